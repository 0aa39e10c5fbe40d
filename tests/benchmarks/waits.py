"""`python -m tests.benchmarks.waits --against REVISION --out FILE`: what a person waits for, beside an earlier revision, in one run.

Every round runs a command once in both trees, and the medians of a round's ratios are reported. Processor seconds, user and system, of the
command and of all processes that it has waited for hardly depend on what else the machine does; seconds do, and the load stands beside them.
Needs a clone with its history, and a system that counts the processor seconds of processes that have ended: Linux or macOS.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singtheory.system import write_json
from tests.benchmarks.origin import origin
from tests.support.out_file import parser

ROOT = Path(__file__).parents[2]
RESULT = Path(__file__).parent / "waits.json"
DIGITS = "docs.experiments.ladder.digits"
OUT = "OUT"
"""In a command: a path at which there is nothing yet."""


@dataclass(frozen=True)
class Wait:
    """One of them.

    Attributes:
        words: of the command after `python`.
        rounds: times that both trees run it.
        first_line: whether the wait ends with the first line, whichever stream it comes from.
    """

    words: tuple[str, ...]
    rounds: int
    first_line: bool = False


@dataclass(frozen=True)
class Tree:
    """A folder with the packages, and the name of the module of the ladder's first stage in it."""

    folder: Path
    digits: str = DIGITS

    @property
    def claims(self) -> list[str]:
        """The ids of its claims, from its own list."""
        return re.findall(r"^\W*([A-F]\d+)\b", self.output("-m", "proofs_checks", "list"), re.MULTILINE)

    @property
    def environment(self) -> dict[str, str]:
        """In which its own packages are imported, whatever is installed, and threads that wait sleep: those that spin count as work on a busy machine."""
        return {**os.environ, "PYTHONPATH": str(self.folder), "OMP_WAIT_POLICY": "passive"}

    def output(self, *words: str) -> str:
        """What a command prints."""
        command = [sys.executable, *words]
        # in its folder, for `-m` looks there first
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def seconds(self, wait: Wait, folder: Path) -> tuple[float, float]:
        """Processor seconds and seconds of one run. Raises where the command fails.

        Args:
            wait: what is run.
            folder: new and empty, the working directory.
        """
        words = [self.digits if word == DIGITS else str(folder / "out") if word == OUT else word for word in wait.words]
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words], env=self.environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        first = time.perf_counter() - start
        if wait.first_line:
            os.kill(process.pid, signal.SIGKILL)  # `process.kill` would count what has ended as waited for
        lines += process.stdout.readlines()
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        took = first if wait.first_line else time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if not lines[0] if wait.first_line else process.returncode:
            raise RuntimeError(f"{' '.join(words)} in {self.folder}: {b''.join(lines[-20:]).decode(errors='replace')}")
        return used.ru_utime + used.ru_stime, took


def waits(both: Sequence[str], rounds: int) -> dict[str, Wait]:
    """All of them.

    Args:
        both: the ids of claims that both trees have.
        rounds: of those that take long; five times as many of those that do not.
    """
    verify = ("-m", "proofs_checks", "verify")
    sample = ("-m", "singdiffusion.cli", "sample", "solid black background", "red apple", "--out", OUT)
    return {
        "`import singtheory`": Wait(("-c", "import singtheory"), 5 * rounds),
        "`from singtheory import ReverseKernel, data`": Wait(
            ("-c", "from singtheory import ReverseKernel, data"), 5 * rounds
        ),
        "`singtheory --help`": Wait(("-m", "proofs_checks", "--help"), 5 * rounds),
        "`singtheory verify --help`": Wait(("-m", "proofs_checks", "verify", "--help"), 5 * rounds),
        "`singtheory verify`, its first line": Wait(verify, 5 * rounds, first_line=True),
        "`singtheory verify`": Wait(verify, rounds),
        "`singdiffusion sample`, two prompts": Wait(sample, rounds),
        "`singtheory verify --report`": Wait((*verify, "--report", OUT), rounds),
        "`singtheory verify`, claims that both have": Wait((*verify, "--claims", ",".join(both)), rounds),
        "`singtheory verify --report`, claims that both have": Wait(
            (*verify, "--claims", ",".join(both), "--report", OUT), rounds
        ),
        "the ladder's first stage": Wait(("-m", DIGITS, "--out", OUT), rounds),
    }


def chosen(all_: dict[str, Wait], text: str) -> dict[str, Wait]:
    """The wait of that name, or else those whose names contain the text."""
    return {name: wait for name, wait in all_.items() if (name == text if text in all_ else text in name)}


def measured(name: str, wait: Wait, before: Tree, now: Tree) -> dict[str, Any]:
    """One row: medians of both trees and of the rounds' ratios, processor seconds first."""
    took: dict[Tree, list[tuple[float, float]]] = {before: [], now: []}
    for round_ in range(wait.rounds):
        for tree in (before, now) if round_ % 2 else (now, before):
            with tempfile.TemporaryDirectory() as folder:
                took[tree].append(tree.seconds(wait, Path(folder)))
    row: dict[str, Any] = {"wait": name, "rounds": wait.rounds}
    for place, kind in enumerate(("processor seconds", "seconds")):
        pairs = [(then[place], here[place]) for then, here in zip(took[before], took[now], strict=True)]
        row[kind] = {
            "before": statistics.median(then for then, _ in pairs),
            "now": statistics.median(here for _, here in pairs),
            "now / before": statistics.median(here / then for then, here in pairs),
        }
    return row | {"load": os.getloadavg()[0]}


def unpacked(revision: str, digits: str, folder: Path) -> Tree:
    """The tree of a revision, compiled as the other one is; `digits` names its ladder's first stage."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    for tree in (folder, ROOT):
        packages = [str(tree / name) for name in ("singtheory", "proofs_checks", "singdiffusion", "docs")]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=True)
    return Tree(folder, digits)


def main() -> None:
    """All waits, or those whose names contain a text."""
    asks = parser(__doc__, RESULT)
    asks.add_argument("--against", required=True, metavar="REVISION")
    asks.add_argument("--rounds", type=int, default=3)
    asks.add_argument(
        "--digits", default=DIGITS, metavar="MODULE", help="the ladder's first stage in the earlier revision"
    )
    asks.add_argument("--only", default="", metavar="TEXT", help="the name of a wait, or a text in those of some")
    arguments = asks.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before, now = unpacked(arguments.against, arguments.digits, Path(folder)), Tree(ROOT)
        earlier, current = before.claims, now.claims
        both = [id for id in earlier if id in current]
        result = origin("tests.benchmarks.waits", "cpu", libraries=("torch", "diffusers", "sympy", "matplotlib")) | {
            "against": arguments.against,
            "claims": {"before": len(earlier), "now": len(current), "both": len(both)},
            "rows": [],
        }
        for name, wait in chosen(waits(both, arguments.rounds), arguments.only).items():
            result["rows"].append(measured(name, wait, before, now))
            print(json.dumps(result["rows"][-1]), file=sys.stderr, flush=True)
            write_json(arguments.out, result)


if __name__ == "__main__":
    main()

"""`python -m tests.mutation --out FILE`: a random sample of mutants of formulas, schedules, divergences and bounds, and how many the tests kill.

Run it in a clean clone, for it leaves a folder `mutants/` and takes mutants and their tests from there if it stands; it takes about a quarter of an hour on two cores. mutmut makes the mutants and
chooses for each the tests that reach it. Mutants that change nothing but a message are not drawn. The last result is `mutation.json`.
With `--only schedule/schedules.py` mutants of that file alone are drawn, with `--seed` another sample, and `--out FILE` says where the result goes.
`--jobs` mutants run at a time, and none starts once `--seconds` are over; those that did not run are counted, and are no part of the rate.
`--again` draws nothing: it runs the survivors of the file at `--out` once more, after tests for them were written, and keeps the rate of the first run,
for tests that were written for a sample say nothing of other mutants.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from scipy.stats import beta

from singtheory.system import write_json
from tests.support.out_file import parser

FOLDER = Path("mutants/singtheory")
FILES = (
    "formula/*.py", "kernel.py", "bound/ladder.py", "limit.py", "schedule/registry.py", "schedule/schedules.py",
    "divergence/*.py", "engine/rounding.py",
)  # fmt: skip
"""As `only_mutate` in pyproject.toml."""
STATS = FOLDER.parent / "mutmut-stats.json"
"""Which tests reach which mutant; mutmut writes it once all tests pass."""
SEED, COUNT = 20261124, 400
RESULT = Path(__file__).parent / "mutation.json"
QUICK = "singtheory.limit.x_conditioning__mutmut_1"
"""A mutant that few tests reach, all of them quick: to run it is to make all mutants and to map tests to them."""
TIMED_OUT = (36, -24)
"""Exit codes of a mutant that did not come to an end."""
KILLED = (1, *TIMED_OUT)
"""Exit codes: a test failed, or the mutant did not come to an end."""


def mutmut(*arguments: str, seconds: float | None = None) -> str:
    """What mutmut prints. After `seconds` it is interrupted, and keeps the mutants that ran."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.communicate()[0]


def exit_codes(patterns: Sequence[str] = FILES) -> dict[str, int | None]:
    """Of every mutant of these files, None if it has not run."""
    codes = {}
    for meta in (path for pattern in patterns for path in sorted(FOLDER.glob(f"{pattern}.meta"))):
        codes |= json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return codes


def changes_a_message(diff: str) -> bool:
    """Whether the two sides differ in nothing but string literals."""
    sides = []
    for sign in "-+":
        lines = [line[1:] for line in diff.splitlines() if line.startswith(sign) and not line.startswith(sign * 3)]
        sides.append(
            re.sub(r'f?"[^"]*"|None', "S", " ".join(lines)).replace(" ", "") if '"' in " ".join(lines) else lines
        )
    return sides[0] == sides[1]


def draw(names: Sequence[str], count: int, seed: int, jobs: int) -> list[str]:
    """The first `count` mutants of a shuffled list that change more than a message; `jobs` of them are read at a time."""
    names, drawn = sorted(names), []
    random.Random(seed).shuffle(names)
    with ThreadPoolExecutor(jobs) as readers:
        while names and len(drawn) < count:
            batch, names = names[: count - len(drawn)], names[count - len(drawn) :]
            diffs = readers.map(lambda name: mutmut("show", name), batch)
            drawn += [name for name, diff in zip(batch, diffs, strict=True) if not changes_a_message(diff)]
    return drawn


def run(names: Sequence[str], jobs: int, seconds: float | None) -> dict[str, int | None]:
    """The exit codes of these mutants, None for those that did not run in time."""
    mutmut("run", "--max-children", str(jobs), *names, seconds=seconds)
    return {name: code for name, code in exit_codes().items() if name in set(names)}


def changed_lines(name: str) -> list[str]:
    """What the mutant changes."""
    return [line for line in mutmut("show", name).splitlines() if re.match(r"[-+][^-+]", line)]


def rate(killed: int, ran: int) -> dict[str, object]:
    """The share that was killed, with its exact interval."""
    low = float(beta.ppf(0.005, killed, ran - killed + 1)) if killed else 0.0
    high = float(beta.ppf(0.995, killed + 1, ran - killed)) if killed < ran else 1.0
    return {"killed": killed, "rate": killed / ran, "exact interval at 99 %": [low, high]}


def commit() -> str:
    """HEAD's, or the empty string where the tree is not in git."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


def sampled(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record of a fresh sample."""
    names = exit_codes(arguments.only)
    if not names:
        sys.exit(
            f"{' '.join(arguments.only)}: no mutants; take some of {' '.join(FILES)}, and see what `mutmut run` says"
        )
    drawn = draw(list(names), arguments.count, arguments.seed, arguments.jobs)
    codes = run(drawn, arguments.jobs, arguments.seconds)
    ran = [name for name in drawn if codes[name] is not None]
    if not ran:
        sys.exit("no mutant ran: mend what `mutmut run` says, or give it more --seconds")
    survivors = {name: changed_lines(name) for name in ran if codes[name] not in KILLED}
    result = {
        "command": " ".join(["python -m tests.mutation", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "commit": commit(),
        "seed": arguments.seed,
        "files": [*arguments.only],
        "of": len(names),
        "drawn": len(drawn),
        "did not run in time": len(drawn) - len(ran),
        "stopped at its time limit": sum(codes[name] in TIMED_OUT for name in ran),
    }
    first = rate(len(ran) - len(survivors), len(ran))
    return result | {"first run": first, "killed": first["killed"], "survivors": survivors}


def is_killed(name: str) -> bool:
    """Whether a test that reaches the mutant fails in a process of its own, where no run before has left a cached value."""
    stats = json.loads(STATS.read_text(encoding="utf-8"))
    reached = stats["tests_by_mangled_function_name"].get(name.rpartition("__mutmut_")[0], ())
    tests = sorted(reached, key=stats["duration_by_test"].__getitem__)
    command = [sys.executable, "-m", "pytest", "--rootdir=.", "-q", "-n0", "-x", "-p", "no:cacheprovider", *tests]
    env = os.environ | {"MUTANT_UNDER_TEST": name, "PYTHONPATH": "."}
    ran = subprocess.run(command, cwd=FOLDER.parent, env=env, capture_output=True, check=False)
    return bool(tests) and ran.returncode in KILLED


def run_again(result: dict) -> dict[str, Any]:
    """The record once its survivors ran against the tests of today; a survivor whose line is no longer in the code is named apart."""
    mutmut("run", "--max-children", "1", QUICK)  # makes the mutants of today, and maps new tests to them
    there = exit_codes()
    lines = {name: changed_lines(name) for name in result["survivors"] if name in there}
    gone = [name for name, changed in result["survivors"].items() if lines.get(name) != changed]
    alive = {name: changed for name, changed in lines.items() if name not in gone and not is_killed(name)}
    killed = result["killed"] + len(result["survivors"]) - len(gone) - len(alive)
    again = {"survivors run again at commit": commit(), "no longer in the code": gone}
    return result | again | {"killed": killed, "survivors": alive}


def map_tests(jobs: int) -> None:
    """Makes all mutants and maps tests to them, for which every test must pass in the mutated tree."""
    said = mutmut("run", "--max-children", str(jobs), QUICK)
    if not STATS.is_file():
        sys.exit("\n".join([*said.splitlines()[-12:], "mutmut knows no test of any mutant: mend what fails above"]))


def main() -> None:
    """Draw, run, tally. The result goes to `--out`."""
    options = parser(__doc__, RESULT)
    options.add_argument("--only", nargs="+", default=FILES, metavar="PATTERN", help="files, below singtheory/")
    options.add_argument("--count", type=int, default=COUNT, help="mutants to draw")
    options.add_argument("--seed", type=int, default=SEED, help="of the sample; another one is a fresh sample")
    options.add_argument("--jobs", type=int, default=1, help="mutants that run at a time")
    options.add_argument("--seconds", type=float, help="for the run of the drawn mutants; without it all of them run")
    options.add_argument("--again", action="store_true", help="run the survivors of the file at --out once more")
    arguments = options.parse_args()
    if not STATS.is_file():
        map_tests(arguments.jobs)
    known = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.again else None
    result = sampled(arguments) if known is None else run_again(known)
    write_json(arguments.out, result)
    print(f"{result['killed']} killed, {len(result['survivors'])} survive; {arguments.out}")


if __name__ == "__main__":
    main()

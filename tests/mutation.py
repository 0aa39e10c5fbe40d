"""`python -m tests.mutation --out FILE`: a random sample of mutants of formulas, schedules, divergences and bounds, and how many the tests kill.

Run it in a clean clone, for it leaves a folder `mutants/`; it takes about a quarter of an hour on two cores. mutmut makes the mutants and
chooses for each the tests that reach it. Mutants that change nothing but a message are not drawn. The last result is `mutation.json`.
With `--only schedule/schedules.py` mutants of that file alone are drawn, with `--seed` another sample, and `--out FILE` says where the result goes.
"""

import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from scipy.stats import beta

from tests.out_file import parser

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
KILLED = (1, 36, -24)
"""Exit codes: a test failed, or the mutant did not come to an end."""


def mutmut(*arguments: str) -> str:
    """What mutmut prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


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


def main() -> None:
    """Draw, run, tally. The result goes to `--out`."""
    options = parser(__doc__, RESULT)
    options.add_argument("--only", nargs="+", default=FILES, metavar="PATTERN", help="files, below singtheory/")
    options.add_argument("--count", type=int, default=COUNT, help="mutants to draw")
    options.add_argument("--seed", type=int, default=SEED, help="of the sample; another one is a fresh sample")
    arguments = options.parse_args()
    # makes all mutants, and maps tests to them, for which every test must pass in the mutated tree
    first = mutmut("run", "--max-children", "1", "singtheory.formula.transitions.x_snr__mutmut_1")
    if not STATS.is_file():
        sys.exit("\n".join([*first.splitlines()[-12:], "mutmut knows no test of any mutant: mend what fails above"]))
    names, drawn = sorted(exit_codes(arguments.only)), []
    if not names:
        sys.exit(
            f"{' '.join(arguments.only)}: no mutants; take some of {' '.join(FILES)}, and see what `mutmut run` says"
        )
    random.Random(arguments.seed).shuffle(names)
    for name in names:
        if len(drawn) == arguments.count:
            break
        if not changes_a_message(mutmut("show", name)):
            drawn.append(name)
    mutmut("run", "--max-children", "1", *drawn)
    codes = {name: code for name, code in exit_codes(arguments.only).items() if name in set(drawn)}
    survivors = {
        name: [line for line in mutmut("show", name).splitlines() if re.match(r"[-+][^-+]", line)]
        for name, code in codes.items()
        if code not in KILLED
    }
    killed = len(codes) - len(survivors)
    interval = [
        float(beta.ppf(0.005, killed, len(codes) - killed + 1)),
        float(beta.ppf(0.995, killed + 1, len(codes) - killed)),
    ]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    result = {
        "command": " ".join(["python -m tests.mutation", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "commit": commit,
        "seed": arguments.seed,
        "files": [*arguments.only],
        "of": len(names),
        "drawn": len(codes),
        "killed": killed,
    }
    result |= {"rate": killed / len(codes), "exact interval at 99 %": interval, "survivors": survivors}
    arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{killed} of {len(codes)} killed, {len(survivors)} survive; {arguments.out}")


if __name__ == "__main__":
    main()

"""`python -m docs.experiments.ladder.again FIRST.json SECOND.json --out FILE.json`: whether a rerun of the digits gives the same verdicts; exit 1 if not."""

from pathlib import Path
from typing import Any

from docs.experiments.ladder.small import verdicts
from docs.experiments.script.arguments import add_out_file, command, one_line_errors
from docs.experiments.script.result import Result, origin
from singtheory.errors import InputError
from singtheory.system import read_json


def compared(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Verdicts that agree, of how many, those that do not, and the largest difference of a mean brightness.

    Raises:
        InputError: for results of other cells.
    """
    one, two = verdicts(first["cells"]), verdicts(second["cells"])
    if one.keys() != two.keys():
        raise InputError("two results of other prompts or weights of guidance; rerun with the command of the first")
    odd = [name for name, held in one.items() if two[name] != held]
    apart = max(abs(a["mean"] - b["mean"]) for a, b in zip(first["cells"], second["cells"], strict=True))
    counts = {"same": len(one) - len(odd), "of": len(one), "otherwise": odd, "verdicts": one}
    return counts | {"largest difference of a mean": apart}


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    add_out_file(parser)
    arguments = parser.parse_args()
    with one_line_errors(parser):
        first, second = (read_json(path, "result") for path in (arguments.first, arguments.second))
        try:
            comparison = compared(first, second)
        except KeyError as error:
            raise InputError(
                f"{arguments.first}, {arguments.second}: give two results of digits, with {error}"
            ) from None
    result = Result(arguments.out, origin("docs.experiments.ladder.again", "cpu", first["seed"]))
    for name, value in comparison.items():
        result.add(name, value)
    print(f"{comparison['same']} of {comparison['of']} verdicts are the same")
    raise SystemExit(bool(comparison["otherwise"]))


if __name__ == "__main__":
    main()

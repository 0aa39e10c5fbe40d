"""`python -m docs.experiments.ladder.merge NEW.json OLD.json`: the parts of a run into a result that has others besides.

A part of the new run takes the place of the old one, and so does a cell, with its brightness in the `.npz` of the same name. What is left of runs before is
kept with their commands and devices, under `earlier`.
"""

from collections.abc import Sequence
from pathlib import Path

from docs.experiments.ladder.cells import Cells
from docs.experiments.ladder.summary import joined
from docs.experiments.script.arguments import command, one_line_errors
from docs.experiments.script.result import HEAD, Result, runs_of
from singtheory.errors import InputError
from singtheory.system import read_json


def merge(new: Path, old: Path, parts: Sequence[str] | None = None) -> None:
    """Into `old`.

    Args:
        new: a result; if several runs made it, the last one counts.
        old: the result that it goes into.
        parts: of the new one; all if None.

    Raises:
        InputError: for a part that the new one has not; nothing is written then.
    """
    added, before = (read_json(path, "result") for path in (new, old))
    available = [name for name in runs_of(added)[-1]["parts"] if name != "cells"]
    for name in parts or ():
        if name not in available:
            raise InputError(f"{name}: {new} has no such part, but {', '.join(available)}")
    every = None
    if "cells" in added:
        mine, others = (
            Cells.load(path.with_suffix(".npz"), one["cells"]) for path, one in ((new, added), (old, before))
        )
        every, _ = joined(mine, others)
    result = Result.continued(old, {name: added[name] for name in HEAD})
    for name in parts or available:
        result.add(name, added[name])
    if every is not None:
        every.save(old.with_suffix(".npz"))
        result.add("cells", every.rows)


def main() -> None:
    """Merge two files."""
    parser = command(__doc__)
    parser.add_argument("new", type=Path)
    parser.add_argument("old", type=Path)
    parser.add_argument("--parts", help="of the new one; all if not given")
    arguments = parser.parse_args()
    try:
        with one_line_errors(parser):
            merge(arguments.new, arguments.old, arguments.parts.split(",") if arguments.parts else None)
    except KeyError as error:
        parser.error(f"{arguments.new} and {arguments.old} must be results with {', '.join(HEAD)}: {error} is missing")


if __name__ == "__main__":
    main()

"""What every measuring script is asked: where its result goes. Without an answer that can be written nothing is measured, and nothing is overwritten."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from docs.experiments.script.arguments import add_out_file


def parser(about: str | None, committed: Path) -> argparse.ArgumentParser:
    """Of a script with `--out`.

    Args:
        about: the script's docstring, for `--help`.
        committed: the result in the repository, which the help names.
    """
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    shown = Path(*committed.parts[committed.parts.index("tests") :]) if "tests" in committed.parts else committed
    add_out_file(made, f"where the JSON goes; the committed one is {shown}")
    return made


def asked(about: str | None, committed: Path, arguments: Sequence[str] | None = None) -> Path:
    """The file of `--out`; `arguments` are those of the process if not given. Exits with 2 and one line of what is missing, as argparse does."""
    return parser(about, committed).parse_args(arguments).out

"""The arguments that experiments share, and bad input in one line."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from singtheory.errors import InputError
from singtheory.system import check_file, check_folder


def command(document: str | None) -> argparse.ArgumentParser:
    """An empty parser, described by the first line of a module's docstring."""
    return argparse.ArgumentParser(description=(document or "").partition("\n")[0])


def add_out(parser: argparse.ArgumentParser, text: str = "folder") -> None:
    """`--out`: the folder of the results. It has no default, so that no run overwrites committed results unasked."""
    parser.add_argument("--out", type=out_folder, required=True, help=text)


def add_out_file(parser: argparse.ArgumentParser, text: str = "FILE.json") -> None:
    """`--out`: the file of the result, likewise."""
    parser.add_argument("--out", type=out_file, required=True, metavar="FILE", help=text)


def out_folder(text: str) -> Path:
    """A folder that is made, and can be written to, before the work. Raises `argparse.ArgumentTypeError` in one line if not."""
    return _usable(text, check_folder)


def out_file(text: str) -> Path:
    """A file that can be written, in a folder that is made before the work. Raises `argparse.ArgumentTypeError` in one line if not."""

    def usable(path: Path) -> None:
        check_file(path)
        check_folder(path.parent)

    return _usable(text, usable)


def _usable(text: str, check: Callable[[Path], None]) -> Path:
    try:
        check(path := Path(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data`: the pictures."""
    parser.add_argument("--data", required=True, help="pictures as docs.experiments.data.captioned reads them")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """`--seed`: of all random draws."""
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")


def add_amounts(parser: argparse.ArgumentParser, without: int) -> None:
    """`--samples`, `--each`, `--without`: how much of a flow is drawn; by default so many without a prompt."""
    parser.add_argument("--samples", type=int, default=4096, help="captions drawn from the data, a cell")
    parser.add_argument("--each", type=int, default=256, help="samples of each prompt, a cell")
    parser.add_argument("--without", type=int, default=without, help="samples without a prompt")


@contextmanager
def one_line_errors(parser: argparse.ArgumentParser) -> Iterator[None]:
    """End the command with one line and exit status 2 on bad input, and on files that cannot be read or written."""
    try:
        yield
    except (InputError, OSError) as error:
        parser.error(str(error))

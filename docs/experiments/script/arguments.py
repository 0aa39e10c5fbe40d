"""The arguments that experiments share, and bad input in one line."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from singtheory.errors import InputError


def command(document: str | None) -> argparse.ArgumentParser:
    """An empty parser, described by the first line of a module's docstring."""
    return argparse.ArgumentParser(description=(document or "").partition("\n")[0])


def add_out(parser: argparse.ArgumentParser, text: str = "folder") -> None:
    """`--out`: where results are written. It has no default, so that no run overwrites committed results unasked."""
    parser.add_argument("--out", type=Path, required=True, help=text)


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

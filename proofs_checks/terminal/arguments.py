"""What the commands of `singtheory` share: their options, and bad input in one line with exit status 2."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from proofs_checks.terminal import interruption
from proofs_checks.terminal.streams import prepare, say

_UsageError: Any = typer.BadParameter.__mro__[1]  # typer brings a click of its own in some versions


class OneLine(TyperGroup):
    """Says what is wrong with the arguments in one line too."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Runs click's main; `standalone_mode` ends the process."""
        prepare()
        try:
            status = super().main(*args, standalone_mode=False, **extra)
        except _UsageError as error:
            message = str(error.format_message())
            # without arguments the message is the help, in lines
            for line in [f"error: {message}"] if message.isprintable() else message.split("\n"):
                say(line, err=True)
            status = 2
        if not standalone_mode:
            return status
        sys.exit(status or 0)


DataOption = Annotated[
    str,
    typer.Option("--data", help="digits, fashion-mnist[:FOLDER], FILE.npy, FILE.npz or a FOLDER of images."),
]
ClaimsOption = Annotated[
    str, typer.Option("--claims", help="Which claims: shell patterns such as 'B*', separated by commas.")
]
SCHEDULE_HELP = (
    "cosine, linear-vp, rectified-flow, variance-exploding, sd, sd-zero-snr, power:P or a scheduler_config.json."
)
"""The registry of schedules in words, which loads torch; a test compares the two."""
ScheduleOption = Annotated[str, typer.Option(help=SCHEDULE_HELP)]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
SeedOption = Annotated[int, typer.Option(help="Of all random draws; the same seed gives the same numbers.")]


@contextlib.contextmanager
def one_line_errors(first: str) -> Iterator[None]:
    """Print the first line, before anything heavy is loaded; otherwise as `errors_in_one_line`."""
    with errors_in_one_line():
        say(first)
        yield


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Bad input inside, a library or memory that is missing become one line on stderr and exit status 2."""
    try:
        yield
    except ValueError as error:
        from singtheory.errors import InputError

        if not isinstance(error, InputError):
            raise
        say(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except ImportError as error:
        if interruption.count:  # a library that was interrupted while it loaded cannot be loaded again
            raise
        from singtheory.errors import not_installed

        say(f"error: {not_installed('this command', error)}", err=True)
        raise typer.Exit(2) from None
    except MemoryError:
        say("error: not enough memory; take a part of the data or fewer queries", err=True)
        raise typer.Exit(2) from None

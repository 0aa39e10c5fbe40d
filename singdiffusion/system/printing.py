"""What goes to a terminal or a log: names and captions of others, with nothing in them that a terminal would act on."""

import sys
import unicodedata

import typer

from singtheory.system import CONTROLS, ignore_odd_sizes, is_closed, mute

_JOINERS = "\u200c\u200d"
"""The joiners of Persian words and of emoji; they do nothing but join."""


def printable(text: object) -> str:
    """The text with what a terminal would not show but act on written as in Python, such as `\\x1b`; the rest as it is."""
    return "".join(_escaped(one) for one in str(text))


def _escaped(one: str) -> str:
    unseen = unicodedata.category(one) in CONTROLS and one not in _JOINERS
    return one.encode("unicode_escape").decode("ascii") if unseen else one


def say(*lines: object, err: bool = False) -> None:
    """Print lines at once, each escaped: on stdout, or on stderr.

    A closed pipe is no error, for whoever read it has enough, and the work goes on. Nor is a standard error that cannot be written: the exit
    status says that something failed.

    Raises:
        OSError: if standard output cannot be written for another reason, such as a full disk.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        typer.echo("\n".join(printable(line) for line in lines), err=err)
    except OSError as error:
        mute(stream)
        if not (err or is_closed(error)):
            raise


def replace_what_cannot_be_printed() -> None:
    """A terminal's encoding that lacks a character shows another in its place, and odd sizes of the terminal are ignored; nothing ends because of either."""
    ignore_odd_sizes()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]

"""What goes to a terminal or a log: names and captions of others, with nothing in them that a terminal would act on."""

import sys
import unicodedata

import typer

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, of what turns the direction of writing, of halves of characters and of ends of lines."""
_JOINERS = "\u200c\u200d"
"""The joiners of Persian words and of emoji; they do nothing but join."""


def printable(text: object) -> str:
    """The text with what a terminal would not show but act on written as in Python, such as `\\x1b`; the rest as it is."""
    return "".join(_escaped(one) for one in str(text))


def _escaped(one: str) -> str:
    unseen = unicodedata.category(one) in _UNSEEN and one not in _JOINERS
    return one.encode("unicode_escape").decode("ascii") if unseen else one


def say(*lines: object, err: bool = False) -> None:
    """Print lines at once, each escaped: on stdout, or on stderr."""
    typer.echo("\n".join(printable(line) for line in lines), err=err)


def replace_what_cannot_be_printed() -> None:
    """A terminal's encoding that lacks a character shows another in its place; nothing ends because of it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]

"""What goes to a terminal or a log: names and captions of others, with nothing in them that a terminal would act on."""

import contextlib
import errno
import os
import re
import sys
import unicodedata
from typing import TextIO

import typer

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, of what turns the direction of writing, of halves of characters and of ends of lines."""
_SIZE = re.compile("[1-9][0-9]{0,5}")
_CLOSED = (errno.EPIPE, errno.EINVAL)  # Windows says EINVAL of a closed pipe
_JOINERS = "\u200c\u200d"
"""The joiners of Persian words and of emoji; they do nothing but join."""


def printable(text: object) -> str:
    """The text with what a terminal would not show but act on written as in Python, such as `\\x1b`; the rest as it is."""
    return "".join(_escaped(one) for one in str(text))


def _escaped(one: str) -> str:
    unseen = unicodedata.category(one) in _UNSEEN and one not in _JOINERS
    return one.encode("unicode_escape").decode("ascii") if unseen else one


def say(*lines: object, err: bool = False) -> None:
    """Print lines at once, each escaped: on stdout, or on stderr.

    A closed pipe is no error, for whoever read it has enough, and the work goes on; nor is a standard error that cannot be written, for what
    is said there is said of something else.

    Raises:
        OSError: if standard output cannot be written for another reason, such as a full disk.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        typer.echo("\n".join(printable(line) for line in lines), err=err)
    except OSError as error:
        _mute(stream)
        if not (err or error.errno in _CLOSED):
            raise


def _mute(stream: TextIO | None) -> None:
    """Send what is still printed nowhere: what waits in its buffer would be an error again when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
        os.close(nowhere)


def replace_what_cannot_be_printed() -> None:
    """A terminal's encoding that lacks a character shows another in its place, and a size that is none is forgotten; nothing ends because of either."""
    for name in ("COLUMNS", "LINES"):
        if not _SIZE.fullmatch(os.environ.get(name, "")):
            os.environ.pop(name, None)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]

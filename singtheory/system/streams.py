"""Standard output and error as the commands of all packages use them; it loads nothing heavy, for a command's first line comes before that."""

import contextlib
import errno
import os
import re
from typing import TextIO

CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, formats, lone surrogates, and separators of lines and paragraphs."""
_CLOSED = (errno.EPIPE, errno.EINVAL)  # Windows says EINVAL of a closed pipe
_SIZE = re.compile("[1-9][0-9]{0,5}")


def is_closed(error: OSError) -> bool:
    """Whether a stream could not be written because nobody reads it any more."""
    return error.errno in _CLOSED


def mute(stream: TextIO | None) -> None:
    """Send what is still printed nowhere: what waits in its buffer would be an error again when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
        os.close(nowhere)


def ignore_odd_sizes() -> None:
    """Take COLUMNS and LINES out of the environment where they are no size: a table of 0 columns is empty, and rich ends where int() refuses one."""
    for name in ("COLUMNS", "LINES"):
        if not _SIZE.fullmatch(os.environ.get(name, "")):
            os.environ.pop(name, None)

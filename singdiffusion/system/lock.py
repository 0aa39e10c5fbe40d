"""One writer a folder: a second run in it is refused, not mixed with the first."""

import contextlib
import errno
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from singdiffusion.system.printing import printable
from singtheory.errors import InputError
from singtheory.system import check_folder

try:
    import fcntl
except ImportError:  # Windows has its own
    fcntl = None
try:
    import msvcrt
except ImportError:
    msvcrt = None

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, for this process alone.

    Nothing is written in it, and the lock ends with the process, however that ends: it is on the folder itself, or on Windows, which locks no
    folders, on a file of the folder's name among the user's temporary ones. File systems that know no locks are said in the log and go without.

    Raises:
        InputError: where another process holds it, and for a folder that cannot be written.
    """
    check_folder(folder)
    with contextlib.ExitStack() as open_files:
        try:
            _hold(folder, open_files)
        except BlockingIOError:
            raise InputError(f"{folder}: another run is writing it; wait for its end, or take another folder") from None
        except OSError as error:
            _LOG.warning("%s: cannot be locked (%s); start no second run in it", printable(folder), error.strerror)
        yield


def _hold(folder: Path, open_files: contextlib.ExitStack) -> None:
    """Take the lock until the files are closed. Raises `BlockingIOError` where it is held, and `OSError` where there are no locks."""
    if fcntl is not None:
        handle = os.open(folder, os.O_RDONLY)
        open_files.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        handle = os.open(lock_file(folder), os.O_RDWR | os.O_CREAT)
        open_files.callback(os.close, handle)
        _hold_first_byte(handle, msvcrt)
    else:
        raise OSError(errno.ENOTSUP, "this system has no locks")


def lock_file(folder: Path) -> Path:
    """The file that stands for a folder on Windows, the same by whatever name the folder is called."""
    whole = os.path.normcase(os.path.realpath(folder))
    name = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Path(tempfile.gettempdir()) / f"singdiffusion-{name}.lock"


def _hold_first_byte(handle: int, windows: Any) -> None:
    try:
        windows.locking(handle, windows.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):  # how Windows says that another has it
            raise BlockingIOError(errno.EAGAIN, "is held") from None
        raise

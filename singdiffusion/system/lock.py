"""One writer a folder: a second run in it is refused, not mixed with the first."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from singdiffusion.system.printing import printable
from singtheory.errors import InputError
from singtheory.system import check_folder

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, for this process alone.

    The lock is on the folder itself: nothing is written in it, and it ends with the process, however that ends. File systems that know no
    locks are said in the log and go without.

    Raises:
        InputError: where another process holds it, and for a folder that cannot be written.
    """
    check_folder(folder)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _hold(handle, folder)
        yield
    finally:
        os.close(handle)


def _hold(handle: int, folder: Path) -> None:
    assert fcntl is not None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{folder}: another run is writing it; wait for its end, or take another folder") from None
    except OSError as error:
        _LOG.warning("%s: cannot be locked (%s); start no second run in it", printable(folder), error.strerror)

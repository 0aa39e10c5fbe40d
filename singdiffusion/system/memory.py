"""Memory: what is about to be held is asked for before it is taken, by threads and by whole models."""

import contextlib
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from singtheory.errors import InputError


class Budget:
    """So many bytes, for all threads together; who asks for more than is left waits.

    Args:
        total: bytes.
    """

    def __init__(self, total: int) -> None:
        self.total, self._left, self._changed = total, total, threading.Condition()

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Hold `count` bytes, at most all of them."""
        count = min(count, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= count)
            self._left -= count
        try:
            yield
        finally:
            with self._changed:
                self._left += count
                self._changed.notify_all()


def available() -> float:
    """Bytes that can be used without swapping; infinite where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf


def check_fits(what: str, count: int) -> None:
    """Raise `InputError` where `count` bytes are more than there are."""
    free = available()
    if count > free:
        raise InputError(
            f"{what}: needs {count / 2**30:.3g} GiB of memory, {free / 2**30:.3g} are free; make it smaller"
        )

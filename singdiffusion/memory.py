"""Memory that threads share: what one is about to hold is asked for before it is taken."""

import contextlib
import threading
from collections.abc import Iterator


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

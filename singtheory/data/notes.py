"""What a reader did with data that are not plain: counted while they are read, and said once at the end."""

from dataclasses import dataclass, field
from threading import Lock


@dataclass
class Notes:
    """Lines with a number in them, each with the first thing that it is about; threads may count at once.

    Attributes:
        counts: by line, how often and where first.
    """

    counts: dict[str, tuple[int, str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def clear(self) -> None:
        """Forget all: data are read from their beginning."""
        with self._lock:
            self.counts.clear()

    def count(self, line: str, name: str = "", times: int = 1) -> None:
        """Counts a note once more, or several times more.

        Args:
            line: with `{}` where the number stands.
            name: of what it is about; the first is shown.
            times: how many.
        """
        with self._lock:
            seen, first = self.counts.get(line, (0, name))
            self.counts[line] = seen + times, first

    def say(self, line: str) -> None:
        """A line without a number, once."""
        with self._lock:
            self.counts[line.replace("{", "{{").replace("}", "}}")] = 1, ""

    def lines(self) -> list[str]:
        """Each in words, in the order in which they came."""
        with self._lock:
            return [
                line.format(number) + (f"; the first is {first}" if first else "")
                for line, (number, first) in self.counts.items()
            ]

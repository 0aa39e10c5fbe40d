"""Data: a law with a name, and the memory that it takes."""

from dataclasses import dataclass

from torch import Tensor

from singtheory.errors import InputError
from singtheory.law import Atoms, Span
from singtheory.system import Shape, available_memory

WORKING_COPIES = 3
"""What loading holds at its peak, in float64 copies of the points: the points, one temporary of their size, and masks or the array as stored."""


@dataclass(frozen=True)
class Data:
    """A law with its name.

    Attributes:
        law: the points as rows.
        name: as given on the command line.
        image_shape: (h, w) or (h, w, c) if the points are images, else None.
        notes: what of the file or folder was not used, a line each.
        span: of the points, if `law` is that of their coordinates in it.
    """

    law: Atoms
    name: str
    image_shape: Shape | None
    notes: tuple[str, ...] = ()
    span: Span | None = None

    @property
    def dim(self) -> int:
        """The dimension of the points, whatever their span."""
        return self.law.dim if self.span is None else self.span.dim

    def lift(self, points: Tensor) -> Tensor:
        """Points of the law, shape (…, law.dim), in the dimensions of the data."""
        return points if self.span is None else self.span.lift(points)


def check_memory(count: int, dim: int, available: float | None = None) -> None:
    """Raise `InputError`, saying how many atoms fit, if `count` atoms of dimension `dim` exceed the memory.

    Args:
        count: how many points.
        dim: their dimension.
        available: bytes; asked from the system when not given.
    """
    available = available_memory() if available is None else available
    each = dim * 8 * WORKING_COPIES
    if count * each > available:
        raise InputError(
            f"{count} atoms of dimension {dim} need {count * each / 2**30:.3g} GiB, {available / 2**30:.3g} GiB are free: "
            f"{int(available // each)} atoms fit, take a part of the data"
        )

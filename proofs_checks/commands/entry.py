"""Where data enter a command: thinned and taken to their span where that is smaller, and checked to fit before the work begins."""

from dataclasses import replace

from proofs_checks.instances.excerpt import ATOMS, COORDINATES, spaced
from singtheory import InputError
from singtheory.data import Data
from singtheory.law import in_span
from singtheory.system import available_memory

SQUARES = 8
"""Square matrices of the width of a law that its covariances and their eigenvalues take at once."""
_MOST_WORK = 2e12
"""The most of `n² d` operations, beyond which a basis would take minutes."""


def enter(data: Data, available: float | None = None) -> Data:
    """The data in their span, if that has at most half of their dimensions (or one or two), else as they are.

    Args:
        data: as loaded.
        available: bytes; asked from the system when not given.

    Raises:
        InputError: one line that says what fits, where covariances exceed the memory.
    """
    count, dim = len(data.law.points), data.law.dim
    span = in_span(data.law) if min(count, dim) ** 2 * max(count, dim) <= _MOST_WORK else None
    entered = data if span is None else replace(data, law=span.law, span=span)
    available = available_memory() if available is None else available
    needs = 8 * SQUARES * entered.law.dim**2
    if needs > available:
        fits = min(int((available / (8 * SQUARES)) ** 0.5), int((_MOST_WORK / dim) ** 0.5), dim // 2)
        raise InputError(
            f"{data.name}: covariances of {count} points in {dim} dimensions need {needs / 2**30:.3g} GiB, {available / 2**30:.3g} GiB are free: "
            f"{fits} points fit, which are worked in their span; take a part of the data"
        )
    return entered


def thinned(data: Data) -> Data:
    """Evenly spaced points of many in many dimensions, as many as every check can afford; data that are smaller in either as they are."""
    support = (data.law.weights > 0).nonzero()[:, 0]
    if len(support) <= ATOMS or data.law.dim <= COORDINATES:
        return data
    law = data.law.subset(support[spaced(len(support), ATOMS)])
    return replace(data, law=law, name=f"{data.name}, {ATOMS} of {len(data.law.points)} points")

"""Data on at most 256 equidistant levels, as images of 8 bits are, and rows in digits: whole numbers whose products are exact."""

from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine.points import BLOCK, HALF_RANGE, decoded

_SEEN = 2**22
"""Numbers among which the step between levels is looked for."""
_LEVELS = 255
_TOP = 127


@dataclass(frozen=True)
class Levels:
    """`y = base + step · K`, up to the rounding of float64.

    Attributes:
        base: the value of K = 0.
        step: between levels.
        numbers: K, int8, shape (n, d).
        rest: at least the largest `‖y − base − step · K‖`.
    """

    base: float
    step: float
    numbers: Tensor
    rest: float


def levels_of(points: Tensor) -> Levels | None:
    """The levels on which all points (n, d) lie, or None where there are more than 256 or they are not equidistant."""
    low, high = float(points.min()), float(points.max())
    gaps = points.flatten()[:_SEEN].unique().diff()
    gaps = gaps[gaps > 1e-9 * max(abs(low), abs(high))]
    if not len(gaps):
        return None
    count = round((high - low) / float(gaps.min()))
    if not 1 <= count <= _LEVELS:
        return None
    step = (high - low) / count
    zero = (count + 1) // 2
    base, unit = low + zero * step, formula.DOUBLE * max(abs(low), abs(high))
    numbers, largest = torch.empty(points.shape, dtype=torch.int8, device=points.device), 0.0
    for part, block in zip(numbers.split(BLOCK), points.split(BLOCK), strict=True):
        part.copy_(((block - low) / step).round() - zero)
        largest = max(largest, float((block - (base + step * part.double())).abs().max()))
    if largest > 32 * unit:
        return None
    # three roundings in what was just compared
    return Levels(base, step, numbers, (largest + 3 * unit) * points.shape[1] ** 0.5)


def levels_of_bytes(stored: Tensor) -> Levels:
    """The levels of bytes that stand for `x/127.5 − 1`, uint8, shape (n, d): known without a look at the data, and no number of it is held in more than a byte."""
    values = decoded(torch.arange(256, dtype=torch.uint8))
    step, base = 1 / HALF_RANGE, float(values[128])
    largest = float((values - (base + step * torch.arange(-128, 128).double())).abs().max())
    # the byte less 128, and what the comparison itself rounds
    return Levels(base, step, (stored ^ 128).view(torch.int8), (largest + 3 * formula.DOUBLE) * stored.shape[1] ** 0.5)


def digits_of(whole: Tensor, digits: int) -> Tensor:
    """Balanced digits of base 256, most significant first, int8, shape (digits, ...); at most eight.

    With 128 added to every digit but the first they are the bytes of a whole number.
    """
    biased = whole + sum(128 * 256**place for place in range(digits - 1))
    planes = biased.view(torch.int8).unflatten(-1, (-1, 8))[..., :digits].movedim(-1, 0).flip(0).contiguous()
    planes[1:] ^= -128
    return planes


@dataclass(frozen=True)
class Rounded:
    """Rows `x = scale · N + r`.

    Attributes:
        digits: of N, most significant first, int8, shape (digits, batch, d); seven at most.
        scale: shape (batch,).
        rest: at least `‖r‖`, shape (batch,).
    """

    digits: Tensor
    scale: Tensor
    rest: Tensor


def rounded(rows: Tensor, digits: int) -> Rounded:
    """Rows (batch, d) in digits, each on a scale of its own."""
    scale = rows.abs().amax(dim=1).clamp(min=1e-300) / (_TOP * 256.0 ** (digits - 1))
    whole = (rows / scale[:, None]).round()
    rest = torch.linalg.vector_norm(rows - whole * scale[:, None], dim=1) * 1.01
    return Rounded(digits_of(whole.long(), digits), scale, rest)

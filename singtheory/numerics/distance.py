"""Distances of points from differences: products of rows lose what lies far from the origin, 1 at 10⁸."""

import math

import torch
from torch import Tensor

from singtheory import formula

_DIRECT = 2**30
"""Differences taken one by one: a second or two."""
_NUMBERS = 2**24
"""Products in one block."""
_PLAIN, _MOST = 400, 1000
"""Exponents, up and down, of numbers whose squares add up to a float64 with all of its digits; and the most that scaling takes."""


def distances(x: Tensor, y: Tensor) -> Tensor:
    """`‖x_i − y_j‖`, shape (n, m), from differences, at any scale: the squares of numbers beyond 1e±154 would leave float64."""
    x, y, unit = _scaled(x, y)
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") * unit


def _scaled(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    """Both in a unit, and that: 1, or where the square of the largest difference leaves the range of float64 a power of two near it, so that no digit changes.

    Coordinates that are all the same are then 0, for in a small unit they might overflow; of others a difference is at least a rounding.
    """
    if not x.numel() or not y.numel():
        return x, y, 1.0
    lows, highs = zip(*(rows.aminmax(dim=0) for rows in (x, y)), strict=True)
    low, high = torch.minimum(*lows), torch.maximum(*highs)
    largest = float((high - low).max())
    exponent = _MOST if math.isinf(largest) else math.frexp(largest)[1]
    if abs(exponent) <= _PLAIN:
        return x, y, 1.0
    unit = 2.0 ** max(-_MOST, min(exponent, _MOST))
    return x.masked_fill(low == high, 0.0) / unit, y.masked_fill(low == high, 0.0) / unit, unit


def diameter(points: Tensor) -> float:
    """The largest distance of two points (n, d): from differences, or for many numbers at most a relative `4du` above it.

    Products are of differences from one of the points. No point lies farther from that one than the diameter, so that what they round is small
    beside it.
    """
    count, dim = points.shape
    points, _, unit = _scaled(points, points)
    if count * count * dim <= _DIRECT:
        return unit * max(float(distances(rows, points).max()) for rows in points.split(max(1, _NUMBERS // count)))
    apart = points - points[0]
    norm2, largest = apart.square().sum(dim=1), 0.0
    for rows in torch.arange(count, device=points.device).split(max(1, _NUMBERS // count)):
        squared = norm2[rows, None] + norm2 - 2 * apart[rows] @ apart.mT
        largest = max(largest, float(squared.max()))
    return unit * math.sqrt(largest + 4 * formula.accumulation(dim + 8, formula.DOUBLE) * float(norm2.max()))

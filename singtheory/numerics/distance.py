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
    size = _size(x, y)
    if size != 1:
        return distances(x / size, y / size) * size
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _size(x: Tensor, y: Tensor) -> float:
    """1, or a power of two, so that no digit changes, near the largest coordinate of a difference where its square leaves the range of float64."""
    exponents = [math.frexp(max(abs(float(end)) for rows in (x, y) for end in rows.aminmax()))[1]]
    if exponents[0] <= _PLAIN:  # else differences may overflow
        exponents.append(
            math.frexp(max(float((end - y[0]).abs().max()) for rows in (x, y) for end in rows.aminmax(dim=0)))[1]
        )
    return 1.0 if abs(exponents[-1]) <= _PLAIN else 2.0 ** max(-_MOST, min(exponents[-1], _MOST))


def diameter(points: Tensor) -> float:
    """The largest distance of two points (n, d): from differences, or for many numbers at most a relative `4du` above it.

    Products are of differences from one of the points. No point lies farther from that one than the diameter, so that what they round is small
    beside it.
    """
    count, dim = points.shape
    size = _size(points, points)
    if size != 1:
        return diameter(points / size) * size
    if count * count * dim <= _DIRECT:
        return max(float(distances(rows, points).max()) for rows in points.split(max(1, _NUMBERS // count)))
    apart = points - points[0]
    norm2, largest = apart.square().sum(dim=1), 0.0
    for rows in torch.arange(count, device=points.device).split(max(1, _NUMBERS // count)):
        squared = norm2[rows, None] + norm2 - 2 * apart[rows] @ apart.mT
        largest = max(largest, float(squared.max()))
    return math.sqrt(largest + 4 * formula.accumulation(dim + 8, formula.DOUBLE) * float(norm2.max()))

"""Distances of points from differences: products of rows lose what lies far from the origin, 1 at 10⁸."""

import math

import torch
from torch import Tensor

from singtheory import formula

_DIRECT = 2**30
"""Differences taken one by one: a second or two."""
_NUMBERS = 2**24
"""Products in one block."""


def distances(x: Tensor, y: Tensor) -> Tensor:
    """`‖x_i − y_j‖`, shape (n, m), from differences."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def diameter(points: Tensor) -> float:
    """The largest distance of two points (n, d): from differences, or for many numbers at most a relative `4du` above it.

    Products are of differences from one of the points. No point lies farther from that one than the diameter, so that what they round is small
    beside it.
    """
    count, dim = points.shape
    if count * count * dim <= _DIRECT:
        return max(float(distances(rows, points).max()) for rows in points.split(max(1, _NUMBERS // count)))
    apart = points - points[0]
    norm2, largest = apart.square().sum(dim=1), 0.0
    for rows in torch.arange(count, device=points.device).split(max(1, _NUMBERS // count)):
        squared = norm2[rows, None] + norm2 - 2 * apart[rows] @ apart.mT
        largest = max(largest, float(squared.max()))
    return math.sqrt(largest + 4 * formula.accumulation(dim + 8, formula.DOUBLE) * float(norm2.max()))

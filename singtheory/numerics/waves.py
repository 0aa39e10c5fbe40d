"""The waves of pictures along one axis."""

import math

import torch
from torch import Tensor


def cosine_waves(count: int, side: int) -> Tensor:
    """The first of the orthonormal DCT-II, `cos(π k (i + ½)/n)` of norm 1, a wave a row, shape (count, side), float64."""
    angles = torch.arange(count, dtype=torch.float64)[:, None] * (torch.arange(side, dtype=torch.float64) + 0.5)
    waves = torch.cos(angles * (math.pi / side))
    return waves / waves.norm(dim=1, keepdim=True)

r"""Bands of spatial frequency: how much of the data's variance along each principal component is layout, and how much is texture.

A picture is a sum of the orthonormal waves `cos(π i (y + ½)/h) cos(π j (x + ½)/w)` of each channel (DCT-II). Their frequency is
`½ n √((i/h)² + (j/w)²)` in cycles across the longer side n, so a band holds the same content at every resolution, and in latents as in pixels.
Band 0 is the constant picture of each channel, to which brightness belongs; each further band is an octave.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.numerics import cosine_waves

_ENTRIES = 2**24
"""Coefficients held at once."""
_FINEST = 3
"""The last band begins at n/3 cycles at most: its waves are two or three pixels long, or are diagonal."""


@dataclass(frozen=True)
class Band:
    """Waves of frequencies in `(low, high]`, in cycles across the longer side.

    Attributes:
        low: above it; band 0 has both at 0.
        high: at most it; infinite for the finest.
        size: how many waves it holds, over all channels.
        spread: `λ_k ‖P φ_k‖²`, the variance in it that each principal component gives, shape (k,).
    """

    low: float
    high: float
    size: int
    spread: Tensor

    @property
    def name(self) -> str:
        """The band's name in tables, in cycles across the picture."""
        if self.high == 0:
            return "constant"
        return f"over {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"

    @property
    def eigenvalue(self) -> float:
        """The variance of one of its waves, on average."""
        return float(self.spread.sum()) / self.size


def frequency_bands(basis: Tensor, variances: Tensor) -> list[Band]:
    """The bands of principal components of pictures, the lowest first; over all bands their spreads add up to the variances.

    Args:
        basis: orthonormal components as pictures, shape (k, channels, h, w).
        variances: λ of each, shape (k,).

    Raises:
        InputError: for a basis that is not one of pictures.
    """
    if basis.ndim != 4 or len(basis) != len(variances):
        raise InputError(f"components of shape {tuple(basis.shape)}: give (k, channels, h, w) and k variances")
    _, channels, height, width = basis.shape
    index = torch.bucketize(_frequencies(height, width), torch.tensor(_edges(max(height, width)))).flatten()
    highest = int(index.max())
    sizes = channels * index.bincount(minlength=highest + 1)
    energy = torch.cat([_energy(part, index, highest + 1) for part in _parts(basis)])
    edges = [0.0, *_edges(max(height, width)), math.inf]
    return [
        Band(edges[b], edges[b + 1] if b else 0.0, int(sizes[b]), energy[:, b] * variances.double())
        for b in range(highest + 1)
        if sizes[b]
    ]


def _edges(side: int) -> list[float]:
    """Where bands end, but the last: 0, 1, 2, 4, … cycles."""
    return [0.0, *(2.0**k for k in range(side.bit_length()) if 2**k <= side / _FINEST)]


def _frequencies(height: int, width: int) -> Tensor:
    """The frequency of each wave, in cycles across the longer side, shape (h, w)."""
    rows, columns = (torch.arange(n, dtype=torch.float64) / n for n in (height, width))
    return max(height, width) / 2 * torch.hypot(rows[:, None], columns)


def _parts(basis: Tensor) -> Iterator[Tensor]:
    yield from basis.split(max(1, _ENTRIES // max(1, basis[0].numel())))


def _energy(basis: Tensor, index: Tensor, bands: int) -> Tensor:
    """`‖P_B φ_k‖²` of each component and band, shape (k, bands)."""
    rows, columns = (cosine_waves(n, n) for n in basis.shape[2:])
    squares = (rows @ basis.double() @ columns.mT).square().sum(dim=1).flatten(1)
    return torch.zeros(len(basis), bands, dtype=torch.float64).index_add(1, index, squares)

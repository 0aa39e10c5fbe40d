r"""The spread around an average image: independent deviations along principal directions, as wide as the condition leaves open.

The directions are `φ_k = Σ_cf M_k,cf e_c ⊗ ψ_f`: orthonormal mixtures of the cosine modes `ψ_f` of the DCT-II in the channels `c`, the principal
components of the data within their low frequencies. What varies as one is one direction: a background that leaves the object alone, a brightness
that colours share. At another size the modes are those of the size at hand, and the mixtures the same.
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from singtheory.errors import InputError
from singtheory.law import Atoms
from singtheory.numerics import cosine_waves
from singtheory.start import principal_axes

MOST = 4096
"""Directions at most: their mixtures are as many numbers squared."""
FLOOR = 1e-6
"""Added to every variance: data without any spread would drive its logarithm to −∞."""
_LOST = 1e-6
"""Norm of a direction of which nothing but rounding is left."""


def cosine_modes(count: int, height: int, width: int) -> Tensor:
    """The `count²` lowest modes of the two-dimensional DCT-II, orthonormal, shape (count², height, width), float32.

    Raises:
        InputError: for more modes than pixels along a side.
    """
    check_modes(count, height, width)
    rows, columns = cosine_waves(count, height), cosine_waves(count, width)
    return torch.einsum("ah,bw->abhw", rows, columns).flatten(0, 1).float()


def check_modes(count: int, height: int, width: int) -> None:
    """Raise `InputError` for more modes than pixels along a side."""
    if not 1 <= count <= min(height, width):
        raise InputError(f"frequencies {count}: images of {width}×{height} have 1 to {min(height, width)} along a side")


def low_frequencies(images: Tensor, count: int) -> Tensor:
    """`⟨x, e_c ⊗ ψ_f⟩`, shape (n, channels · count²), of images (n, channels, height, width), in their dtype. Raises `InputError` as `cosine_modes`."""
    return _parts_along(images, cosine_modes(count, *images.shape[2:]).to(images))


def _parts_along(images: Tensor, modes: Tensor) -> Tensor:
    return torch.einsum("nchw,fhw->ncf", images, modes).flatten(1)


def directions(mixture: Tensor, channels: int, height: int, width: int) -> Tensor:
    """`φ_k` for images of a size, shape (k, channels, height, width), like `mixture` of shape (k, channels · count²)."""
    # what half precision has rounded is made orthonormal again
    axes, triangle = torch.linalg.qr(mixture.to(torch.promote_types(mixture.dtype, torch.float32)).mT)
    axes = (axes * triangle.diagonal().sign()).mT.unflatten(1, (channels, -1))
    modes = cosine_modes(math.isqrt(axes.shape[2]), height, width).to(axes)
    return torch.einsum("kcf,fhw->kchw", axes, modes).to(mixture.dtype)


def resampled(basis: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Orthonormal directions as functions on the picture, at another size, where they are orthonormal again.

    A direction is the sum of its cosine modes; at another size the modes are those of the size at hand. At a larger one that keeps every product
    of two directions. A smaller one does not have the highest frequencies: what is left of the directions is replaced by the nearest
    orthonormal ones, or where it depends on one another by its principal axes.

    Args:
        basis: shape (k, channels, h, w), orthonormal.
        height: wanted.
        width: wanted.

    Returns:
        Directions `φ'_j`, shape (m, channels, height, width) with m ≤ k, and `⟨P φ_k, φ'_j⟩²`, shape (k, m), P the change of size: independent
        deviations `s_k` along `φ_k` have the variance `Σ_k s_k² ⟨P φ_k, φ'_j⟩²` along `φ'_j`.
    """
    there = basis.double()
    for axis, side in ((2, height), (3, width)):
        before = there.shape[axis]
        count = min(before, side)
        change = (cosine_waves(count, side).mT @ cosine_waves(count, before)).to(there)  # (side, before)
        there = (there.movedim(axis, -1) @ change.mT).movedim(-1, axis)
    flat = there.flatten(1)
    left, sizes, axes = torch.linalg.svd(flat, full_matrices=False)
    axes = axes[sizes > _LOST]
    nearest = left @ axes if len(axes) == len(flat) else axes
    return nearest.unflatten(1, there.shape[1:]).to(basis), (flat @ nearest.mT).square().to(basis)


class Spread(nn.Module):
    """Standard deviations `s_k(c)` along principal directions, from the token states of the condition alone.

    They cannot depend on x_1 where `α_1 = 0` (C9). At sizes other than that of training the modes are those of the size at hand and
    `s_k` grows with the root of the number of pixels, as it does for one picture at several sizes.

    Args:
        width: of the token states.
        channels: of the images.
        frequencies: along each side; `channels · frequencies²` directions, at most `MOST`.
        size: height and width in training.
        hidden: width of the layers between tokens and deviations.
        layers: of that width.

    Raises:
        InputError: for more directions, and for more frequencies than pixels along a side.
    """

    mixture: Tensor

    def __init__(
        self, width: int, channels: int, frequencies: int, size: tuple[int, int], hidden: int = 128, layers: int = 1
    ) -> None:
        super().__init__()
        self.channels, self.size = channels, size
        self.rank = channels * frequencies**2
        check_modes(frequencies, *size)
        if self.rank > MOST:
            raise InputError(f"frequencies {frequencies}: {self.rank} directions; take fewer, for at most {MOST}")
        self.register_buffer("mixture", torch.eye(self.rank))
        self._modes: dict[tuple[Any, ...], Tensor] = {}
        self.attention = nn.Linear(width, 1)
        widths = itertools.pairwise([width, *[hidden] * layers])
        inner = [part for a, b in widths for part in (nn.Linear(a, b), nn.SiLU())]
        self.head = nn.Sequential(nn.LayerNorm(width), *inner, nn.Linear(hidden, self.rank))

    def basis(self, height: int, width: int) -> Tensor:
        """`φ_k` for images of a size, shape (rank, channels, height, width), on the device and in the dtype of the weights."""
        return directions(self.mixture, self.channels, height, width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """`s_k(c)`, shape (batch, rank), from token states (batch, tokens, width)."""
        weights = self.attention(tokens).softmax(dim=1)
        log_var = self.head((weights * tokens).sum(dim=1)).float()
        growth = height * width / math.prod(self.size)
        return ((log_var.clamp(-20, 20).exp() + FLOOR) * growth).sqrt().to(tokens)

    def along(self, images: Tensor) -> Tensor:
        """`⟨x, φ_k⟩`, shape (batch, rank), of images (batch, channels, height, width), in their dtype."""
        return _parts_along(images, self._modes_for(images)) @ self.mixture.to(images).mT

    def _modes_for(self, images: Tensor) -> Tensor:
        """The modes of a size, beside the images; kept, for every step of training asks for them."""
        key = (*images.shape[2:], images.device, images.dtype)
        if key not in self._modes:
            count = math.isqrt(self.rank // self.channels)
            self._modes[key] = cosine_modes(count, *images.shape[2:]).to(images)
        return self._modes[key]

    @torch.no_grad()
    def fit(self, points: Tensor) -> None:
        """Let the directions be the principal components of data, from their `low_frequencies`, shape (n, rank)."""
        self.mixture.copy_(principal_axes(Atoms(points)))

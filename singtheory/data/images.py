r"""Images as a law of the data: digits on black, grey and white backgrounds, in coordinates of the subspace they span.

**Exact in 65 dimensions.** Every image is a combination of 65 fixed ones, the constant image and one bump for each of
the 64 digit pixels. Let the rows of B be an orthonormal basis of their span. For `x_0 = Bᵀy` the density of z given `x_0`
is `exp(−½‖Bz − √γ y‖²)` times a factor without y, so posterior weights depend on Bz alone and `x̂ = Bᵀŷ`, ŷ the denoiser
of the coordinates y. A DDIM(0) step then multiplies the part of x off the span by `σ_s/σ_t` and acts on Bx as the same
step of the coordinates; `B x_1` is standard noise again, and at t = 0 nothing is left off the span. So the experiment
runs on coordinates, exactly, at a cost that does not grow with d.
"""

import base64
import io
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from singtheory.errors import InputError
from singtheory.law import Atoms

_BACKGROUNDS = ((-1.0, 1.0), (0.0, 1.0), (1.0, -1.0))
"""Paper and ink, from -1 (black) to 1 (white)."""
HALF_RANGE = 127.5
"""Brightness in 0..255 for one unit of the data."""


@dataclass(frozen=True)
class Pictures:
    """Images in coordinates of the subspace that they span.

    Attributes:
        law: the images' coordinates, shape (n, k).
        basis: B, orthonormal rows, shape (k, d): images are `coordinates @ basis`.
        side: height and width in pixels.
        channels: 1 for grey, 3 for RGB.
    """

    law: Atoms
    basis: Tensor
    side: int
    channels: int

    @property
    def dim(self) -> int:
        """d, the number of values in an image."""
        return self.basis.shape[1]

    @cached_property
    def constant_mode(self) -> Tensor:
        """Coordinates of the constant image of norm one, shape (k,)."""
        return self.basis.sum(dim=1) / math.sqrt(self.dim)

    def images(self, coordinates: Tensor) -> Tensor:
        """Pixels in [-1, 1], shape (batch, channels, side, side), from coordinates (batch, k)."""
        return (coordinates @ self.basis).reshape(-1, self.channels, self.side, self.side)

    def brightness(self, coordinates: Tensor) -> Tensor:
        """The mean of each image over its pixels in 0..255, shape (batch,), from coordinates (batch, k)."""
        return self.brightness_of_mode(coordinates @ self.constant_mode)

    def brightness_of_mode(self, mode: Tensor) -> Tensor:
        """Brightness in 0..255 from the component along the constant image of norm one; keeps the shape."""
        return (mode / math.sqrt(self.dim) + 1) * HALF_RANGE


def digit_pictures(digits: Tensor, side: int = 32, channels: int = 3) -> Pictures:
    """Every digit at half size in the centre of a black, a grey and a white image; black ink on the last, else white.

    Args:
        digits: shape (n, 8, 8), from -1 (paper) to 1 (ink).
        side: a multiple of 4, at least 16.
        channels: how often each pixel is repeated.

    Raises:
        InputError: for other shapes.
    """
    if digits.ndim != 3 or digits.shape[1:] != (8, 8) or len(digits) == 0:
        raise InputError(f"digits of shape {tuple(digits.shape)}: need (n, 8, 8)")
    if side < 16 or side % 4 or channels < 1:
        raise InputError(f"side {side}, channels {channels}: need a multiple of 4 from 16 on, and a channel or more")
    strength = (digits.to(torch.float64).flatten(1) + 1) / 2
    papers = [
        torch.cat([torch.full_like(strength[:, :1], paper), (ink - paper) * strength], dim=1)
        for paper, ink in _BACKGROUNDS
    ]
    columns, triangle = torch.linalg.qr(_frame(side, channels).mT)
    return Pictures(Atoms(torch.cat(papers) @ triangle.mT), columns.mT, side, channels)


def _frame(side: int, channels: int) -> Tensor:
    """The constant image and the 64 images of one digit pixel, enlarged bilinearly; shape (65, d)."""
    pixels = torch.eye(64, dtype=torch.float64).reshape(64, 1, 8, 8)
    patches = torch.nn.functional.interpolate(pixels, size=(side // 2, side // 2), mode="bilinear")
    bumps = torch.nn.functional.pad(patches, (side // 4,) * 4)
    return torch.cat([torch.ones_like(bumps[:1]), bumps]).expand(-1, channels, -1, -1).flatten(1)


def to_bytes(images: Tensor) -> Tensor:
    """Pixels in [-1, 1] as uint8 in 0..255, clamped; keeps the shape."""
    return ((images + 1) * HALF_RANGE).round().clamp(0, 255).to(torch.uint8)


def png_strip(images: Tensor) -> str:
    """Images (count, side, side), uint8, side by side in one PNG, as a data address for pages and JSON."""
    buffer = io.BytesIO()
    Image.fromarray(torch.cat(list(images), dim=1).numpy()).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

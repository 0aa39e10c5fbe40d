"""The average image from the condition alone: where `α_1 = 0` the noise says nothing of it (C9), so a network need not see it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from singdiffusion.average.configs import NETWORK
from singdiffusion.average.network import AverageNetwork
from singdiffusion.system import at_most, mapping, size, whole
from singtheory.errors import InputError

_GROUPS = 8


class AverageDecoder(AverageNetwork):
    """`ȳ_θ(c)`: a coarse grid of places that attends to the tokens of the condition, and convolutions that enlarge it.

    Trained at one size; images of another size are enlarged or reduced from it, for averages are smooth.

    Args:
        size: channels, height and width in training; height and width are those of the grid times a power of two.
        condition: as `condition.condition_of`; without one its kind is text, and its width must be given.
        width: of the grid's tokens, a multiple of 32.
        layers: of attention.
        grid: height and width of the grid are at most this.
        frequencies: of the spread along each side; 0 for none.
        scaling_factor: of the latents; 1 in pixel space.
        shift_factor: of the latents.
        text_encoder: `text.fingerprint` of the encoder of the token states; None where it is not known.
        spread_width: of the layers between tokens and deviations.
        spread_layers: how many of them.

    Raises:
        InputError: for sizes and widths that do not fit.
    """

    config_fields: ClassVar = NETWORK | {
        "size": size(),
        "condition": mapping(),
        "width": at_most(2**15),
        "layers": whole(0, 256),
        "grid": whole(1, 2**12),
    }
    _supports_gradient_checkpointing = False
    _no_split_modules = ("TransformerDecoderLayer", "_Enlarge")

    @register_to_config
    def __init__(
        self,
        size: Sequence[int],
        condition: Mapping[str, Any],
        width: int = 256,
        layers: int = 3,
        grid: int = 8,
        frequencies: int = 0,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        text_encoder: str | None = None,
        spread_width: int = 128,
        spread_layers: int = 1,
    ) -> None:
        super().__init__()
        if width % 32 or width < 32:
            raise InputError(f"width {width}: need a multiple of 32")
        channels, height, columns = size
        doublings = max(0, math.ceil(math.log2(max(height, columns) / grid)))
        if height % 2**doublings or columns % 2**doublings:
            raise InputError(f"size {list(size)}: height and width must be multiples of {2**doublings}")
        self.build_parts()
        self.shape = (height >> doublings, columns >> doublings)
        self.places = nn.Parameter(torch.randn(self.shape[0] * self.shape[1], width) / math.sqrt(width))
        self.reading = nn.Linear(self.conditioning.width, width)
        layer = nn.TransformerDecoderLayer(
            width, width // 32, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerDecoder(layer, layers)
        widths = [max(32, width >> k) for k in range(doublings + 1)]
        self.enlarging = nn.Sequential(*(_Enlarge(a, b) for a, b in itertools.pairwise(widths)))
        self.painting = nn.Conv2d(widths[-1], channels, 3, padding=1)

    @property
    def channels(self) -> int:
        """How many channels the images have."""
        return int(self.config["size"][0])

    def mean(self, tokens: Tensor, x_1: Tensor) -> Tensor:
        """`ȳ_θ`, shape of `x_1`, of which nothing else is read, from token states (batch, tokens, width)."""
        states = self.reading(tokens)
        grid = self.attention(self.places.expand(len(tokens), -1, -1), states)
        image = self.painting(self.enlarging(grid.mT.unflatten(2, self.shape)))
        if image.shape == x_1.shape:
            return image
        return functional.interpolate(image, x_1.shape[2:], mode="bicubic", antialias=True)


class _Enlarge(nn.Module):
    """Twice as high and wide: a residual block after nearest neighbours."""

    def __init__(self, width: int, next_width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, next_width, 1)
        self.block = nn.Sequential(
            nn.GroupNorm(_GROUPS, next_width),
            nn.SiLU(),
            nn.Conv2d(next_width, next_width, 3, padding=1),
            nn.GroupNorm(_GROUPS, next_width),
            nn.SiLU(),
            nn.Conv2d(next_width, next_width, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """From (batch, width, h, w) to (batch, next width, 2h, 2w)."""
        image = functional.interpolate(self.narrow(image), scale_factor=2.0, mode="nearest")
        return image + self.block(image)

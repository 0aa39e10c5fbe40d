"""Whether images look as if they were in [0, 1], where this package takes them for [−1, 1]: then grey would be black, and no number tells."""

import warnings

import torch
from torch import Tensor

from singtheory.data import HALF_RANGE

_NEAR = 1e-3
"""Levels by which float32 may miss a whole one of 0 to 255."""
_COLOURS = (1, 3)


class Levels:
    """The range of images that are seen a few at a time.

    Images of 8 bits in [−1, 1] lie on whole levels; bright ones among them are known by that and not asked about.
    """

    def __init__(self) -> None:
        self.low, self.high, self.whole = float("inf"), -float("inf"), True

    def see(self, images: Tensor) -> None:
        """Reads some more images, of any shape, finite."""
        self.low, self.high = min(self.low, float(images.min())), max(self.high, float(images.max()))
        if self.whole and self._doubtful:
            levels = (images.to(torch.float64) + 1) * HALF_RANGE
            self.whole = bool(((levels - levels.round()).abs() <= _NEAR).all())

    @property
    def _doubtful(self) -> bool:
        return 0 <= self.low < self.high <= 1

    @property
    def halved(self) -> bool:
        """Whether all lie in [0, 1], are not one colour, and did not come from whole levels in [−1, 1]."""
        return self._doubtful and not self.whole


def warn_of_half_range(levels: Levels, what: str, channels: int, scaling_factor: float, shift_factor: float) -> None:
    """Say so where pixels, not latents, lie in [0, 1]: `UserWarning` with the remedy."""
    if levels.halved and channels in _COLOURS and (scaling_factor, shift_factor) == (1, 0):
        warnings.warn(
            f"{what}: all values lie in [{levels.low:.3g}, {levels.high:.3g}] and are taken as they are, of [-1, 1], in which 0 is grey; "
            "if black is 0 in them, give 2 * images - 1",
            UserWarning,
            stacklevel=3,
        )

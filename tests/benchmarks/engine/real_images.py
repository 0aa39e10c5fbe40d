"""Synthetic 8-bit images of a real set's size, made where they are needed: no file, the same bytes for the same seed on one kind of device.

A field of white noise is given the power spectrum 1/f² of photographs. Images of a class share a field of 30 % of the variance, and the
channels of an image share most of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CLASSES = 4
"""In a block, which is drawn at once."""
_SHARED_BY_CLASS, _SHARED_BY_CHANNELS = 0.3, 0.8
_CONTRAST = 60.0
"""About the standard deviation of a byte before it is cut off at 0 and 255."""


@dataclass(frozen=True)
class Images:
    """A set.

    Attributes:
        count: images.
        side: of an image.
        channels: of an image.
        of_class: images of a class, which lie one after another.
        seed: of all draws.
    """

    count: int = 1_281_167
    side: int = 64
    channels: int = 3
    of_class: int = 1300
    seed: int = 0

    @property
    def dim(self) -> int:
        """Bytes of an image."""
        return self.channels * self.side**2

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.count // (CLASSES * self.of_class))

    def rows(self, block: int) -> slice:
        """Which images a block holds."""
        first = block * CLASSES * self.of_class
        return slice(first, min(self.count, first + CLASSES * self.of_class))

    def bytes(self, device: torch.device | str, blocks: range | None = None) -> Tensor:
        """The images of some blocks that follow each other, all by default, uint8, shape (n, dim)."""
        blocks = range(self.blocks) if blocks is None else blocks
        first, last = self.rows(blocks[0]).start, self.rows(blocks[-1]).stop
        images = torch.empty(last - first, self.dim, dtype=torch.uint8, device=device)
        for block, drawn in self._drawn(device, blocks):
            rows = self.rows(block)
            images[rows.start - first : rows.stop - first] = drawn
        return images

    def _drawn(self, device: torch.device | str, blocks: range) -> Iterator[tuple[int, Tensor]]:
        amplitude = self._amplitude(device)
        shape = (CLASSES * (1 + self.of_class), self.channels, self.side, self.side)
        for block in blocks:
            generator = torch.Generator(device).manual_seed(1_000_003 * self.seed + block)
            white = torch.randn(shape, generator=generator, device=device)
            field = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=shape[2:])
            common = field.mean(dim=1, keepdim=True) * self.channels**0.5
            field = _SHARED_BY_CHANNELS**0.5 * common + (1 - _SHARED_BY_CHANNELS) ** 0.5 * field
            classes, own = field[:CLASSES], field[CLASSES:].unflatten(0, (CLASSES, self.of_class))
            images = (1 - _SHARED_BY_CLASS) ** 0.5 * own + _SHARED_BY_CLASS**0.5 * classes[:, None]
            rows = self.rows(block)
            whole = (127.5 + _CONTRAST * images).round().clamp(0, 255).to(torch.uint8)
            yield block, whole.flatten(0, 1).flatten(1)[: rows.stop - rows.start]

    def _amplitude(self, device: torch.device | str) -> Tensor:
        """1/f, so that pixels have variance 1; f = 1 in the place of 0, shape (side, side // 2 + 1)."""
        down, across = torch.fft.fftfreq(self.side, device=device), torch.fft.rfftfreq(self.side, device=device)
        frequency = torch.hypot(down[:, None], across[None, :]) * self.side
        amplitude = 1 / frequency.clamp(min=1)
        # of the whole spectrum, of which rfft2 holds about half
        both = 1 / (torch.hypot(down[:, None], down[None, :]) * self.side).clamp(min=1)
        return amplitude / both.square().mean().sqrt()

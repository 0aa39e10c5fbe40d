"""What turns images and captions into what a cache holds: sizes, pixels, latents and token states."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singdiffusion.base import PromptEncoder, latent_scale, latent_size, vae_fingerprint
from singdiffusion.base import encode as encode_latents
from singdiffusion.source import Record
from singdiffusion.training.buckets import bucket_sizes, nearest_bucket
from singdiffusion.training.cache import Encoding, Outline
from singtheory.data import HALF_RANGE, Size, fitted


@dataclass(frozen=True)
class Encoder:
    """What turns images and captions into what a cache holds.

    Args:
        resolution: side of the images in pixels; they are cut to squares in the middle.
        channels: 1 for grey or 3, in pixel space.
        vae: an `AutoencoderKL` of diffusers; None for pixel space.
        text: encodes captions; None to keep them as words alone.
        device: where both run.
        dtype: in which both run and are stored.
        buckets: whether images keep their shape, each in the nearest of `bucket_sizes`, instead of being cut to squares.
    """

    resolution: int
    channels: int = 3
    vae: Any = None
    text: PromptEncoder | None = None
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    buckets: bool = False

    @cached_property
    def sizes(self) -> list[Size]:
        """Width and height that images may get, in pixels. Raises `InputError` as `bucket_sizes`."""
        return bucket_sizes(self.resolution) if self.buckets else [(self.resolution, self.resolution)]

    @property
    def encoding(self) -> Encoding:
        """What the cache is of. Raises `InputError` for a resolution that the VAE or buckets cannot take."""
        shapes = "buckets" if len(self.sizes) > 1 else "squares"
        text = {
            "text_encoder": None if self.text is None else self.text.fingerprint,
            "clip_skip": getattr(self.text, "clip_skip", 0),
        }
        if self.vae is None:
            return Encoding(self.channels, self.resolution, self.resolution, self.resolution, shapes=shapes, **text)
        scaling_factor, shift_factor = latent_scale(self.vae)
        return Encoding(
            *latent_size(self.vae, self.resolution, self.resolution),
            resolution=self.resolution,
            scaling_factor=scaling_factor,
            shift_factor=shift_factor,
            vae=vae_fingerprint(self.vae),
            shapes=shapes,
            **text,
        )

    def outline(self, folder: Path) -> Outline:
        """What the cache in a folder is going to be, as far as it is known before anything of it is encoded."""
        return Outline(folder, self.encoding, self.texts([""]).shape[2])

    def pixels(self, record: Record) -> np.ndarray:
        """Decoded, cut and resized, uint8, (height, width, channels) of one of `sizes`. Raises `InputError` for what is no image."""
        image = record.image()
        cut = fitted(image, nearest_bucket(image.size, self.sizes))
        grey = self.vae is None and self.channels == 1
        return np.asarray(cut.convert("L"))[..., None] if grey else np.asarray(cut)

    def images(self, pixels: list[np.ndarray]) -> Tensor:
        """`x_0` of a batch of one size, on the CPU: (n, channels, height, width)."""
        batch = torch.as_tensor(np.stack(pixels)).to(self.device).movedim(3, 1).float() / HALF_RANGE - 1
        return (batch if self.vae is None else encode_latents(self.vae, batch)).to(self.dtype).cpu()

    def texts(self, captions: list[str]) -> Tensor:
        """Token states (m, tokens, width), on the CPU; of no width where captions are kept as words."""
        if self.text is None:
            return torch.zeros(len(captions), 0, 0)
        return self.text(captions, torch.device(self.device), self.dtype).cpu()

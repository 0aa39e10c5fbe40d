"""What turns images and captions into what a cache holds: sizes, pixels, latents and token states."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singdiffusion.base import (
    Checkpoint,
    PipelineText,
    PromptEncoder,
    latent_scale,
    latent_size,
    vae_factor,
    vae_fingerprint,
)
from singdiffusion.base import encode as encode_latents
from singdiffusion.source import Record
from singdiffusion.training.buckets import bucket_sizes, nearest_bucket
from singdiffusion.training.cache import Encoding, Outline
from singtheory.data import HALF_RANGE, Size, fitted
from singtheory.errors import InputError

_SIDE = 512
"""Of images without a pipeline, in pixels."""


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
        text = None if self.text is None else self.text.fingerprint
        if self.vae is None:
            return Encoding(
                self.channels, self.resolution, self.resolution, self.resolution, text_encoder=text, shapes=shapes
            )
        scaling_factor, shift_factor = latent_scale(self.vae)
        return Encoding(
            *latent_size(self.vae, self.resolution, self.resolution),
            resolution=self.resolution,
            scaling_factor=scaling_factor,
            shift_factor=shift_factor,
            vae=vae_fingerprint(self.vae),
            text_encoder=text,
            shapes=shapes,
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


def encoder_for(base: str | None, resolution: int | None, channels: int, device: str, buckets: bool = False) -> Encoder:
    """That of a pipeline in a folder or under a hub id, or one of pixels and words.

    Images get the side `resolution`, or if that is None the one at which the pipeline draws, 512 without a pipeline.

    Raises:
        InputError: for a pipeline on latents without an `AutoencoderKL` in safetensors, with text encoders that do not serve, or that
            does not say at which side it draws.
    """
    if base is None:
        return Encoder(_SIDE if resolution is None else resolution, channels, device=device, buckets=buckets)
    if channels != 3:
        raise InputError("grey: latents are of RGB images; leave it out, or leave the base out")
    checkpoint = Checkpoint.find(base)
    vae = checkpoint.autoencoder()
    if vae is None and not checkpoint.on_pixels:
        raise InputError(f"{base}: has no AutoencoderKL in safetensors; give a pipeline with one")
    side = _native_side(checkpoint, vae) if resolution is None else resolution
    if vae is None:
        return Encoder(side, 3, None, PipelineText.stored(base), device, buckets=buckets)
    text, half = PipelineText.stored(base), device.startswith("cuda")
    if half and not _overflows(text.pipeline, vae):
        vae.half()
    return Encoder(side, 3, vae.to(device), text, device, torch.float16 if half else torch.float32, buckets)


def _native_side(checkpoint: Checkpoint, vae: Any) -> int:
    """Of the images that the pipeline draws unless told otherwise, in pixels."""
    size = checkpoint.sample_size
    if size is None:
        raise InputError(
            f"{checkpoint.name}: unet/config.json is not there or names no side of its samples; give --resolution"
        )
    return size if vae is None else size * vae_factor(vae)


def _overflows(pipeline: Any, vae: Any) -> bool:
    """Whether the VAE overflows in float16, as the base's own pipeline sees it.

    SDXL's pipelines run their VAE in float32 where its configuration says `force_upcast`; those of Stable Diffusion 1.x and 2.x never
    do, although diffusers now stores it, as a default, with every VAE.
    """
    return "text_encoder_2" in pipeline.components and vae.config.force_upcast

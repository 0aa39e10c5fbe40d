"""Images and their latents: what a VAE makes of pixels, and what it cannot give back."""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from singdiffusion.base.space import channel_scale, is_tiny
from singtheory.data import HALF_RANGE
from singtheory.errors import InputError

_BATCH, _SIDE, _PROBE = 8, 256, 256
_COLOURS = {"black": -1.0, "grey": 0.0, "white": 1.0}

Tracked = Callable[[Iterable[Tensor]], Iterable[Tensor]]
"""Goes through batches and shows how far it is."""


def a_tensor_of(module: nn.Module) -> Tensor:
    """One of its weights or buffers, for dtype and device: diffusers' properties of these names walk a large network for milliseconds."""
    return next(chain(module.parameters(), module.buffers()))


@torch.no_grad()
def encode(vae: Any, images: Tensor, tracked: Tracked = iter) -> Tensor:
    """The latents of images as a U-Net sees them: the mode of the encoder's law, shifted and scaled.

    Args:
        vae: an `AutoencoderKL` or `AutoencoderTiny` of diffusers, of RGB images, with tiling and slicing if they are on.
        images: in [−1, 1], shape (n, 1 or 3, height, width); grey ones become RGB.
        tracked: shows the progress over batches of 8.

    Returns:
        Shape (n, channels, height/f, width/f), float32.

    Raises:
        InputError: for other channels, and for sides that the VAE's factor f does not divide.
    """
    if images.shape[1] not in (1, 3):
        raise InputError(f"images of {images.shape[1]} channels: the VAE takes grey or RGB; convert them")
    latent_size(vae, *images.shape[-2:])
    scale, shift = (part.to(a_tensor_of(vae)) for part in channel_scale(vae))
    pixels = images.expand(-1, 3, -1, -1)
    return torch.cat([(_mode(vae, batch) - shift) * scale for batch in tracked(pixels.split(_BATCH))])


def _mode(vae: Any, images: Tensor) -> Tensor:
    """The mode of the encoder's law, before it is scaled; a small approximation of a VAE gives it alone."""
    encoded = vae.encode(images.to(a_tensor_of(vae)))
    return encoded.latents if is_tiny(vae) else encoded.latent_dist.mode()


def vae_factor(vae: Any) -> int:
    """How many pixels a side of the image has for each of its latents."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def latent_size(vae: Any, height: int, width: int) -> tuple[int, int, int]:
    """Channels, height and width of the latents of an image. Raises `InputError` for sides that the VAE's factor does not divide."""
    factor = vae_factor(vae)
    if height % factor or width % factor:
        raise InputError(
            f"images of {width}×{height}: this VAE needs sides that are multiples of {factor}; resize them"
        )
    return vae.config.latent_channels, height // factor, width // factor


@torch.no_grad()
def decode(vae: Any, latents: Tensor) -> Tensor:
    """The images of latents as a U-Net sees them, in [−1, 1]: `encode` undone as far as the VAE can."""
    scale, shift = (part.to(a_tensor_of(vae)) for part in channel_scale(vae))
    parts = (latents.to(a_tensor_of(vae)) / scale + shift).split(_BATCH)
    return torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in parts]).to(latents)


def vae_fingerprint(vae: Any) -> str:
    """Class and the signs of some weights: the same in every precision."""
    first = vae.encoder.layers[0] if is_tiny(vae) else vae.encoder.conv_in
    signs = first.weight.flatten()[:_PROBE].signbit().tolist()
    return f"{type(vae).__name__}-{int(''.join('01'[sign] for sign in signs), 2):x}"


@torch.no_grad()
def vae_floor(vae: Any) -> dict[str, float]:
    """The brightness, in 0..255, of black, grey and white images after encoding and decoding."""
    floor = {}
    for name, value in _COLOURS.items():
        latents = _mode(vae, torch.full((1, 3, _SIDE, _SIDE), value))
        floor[name] = float(((vae.decode(latents).sample.clamp(-1, 1) + 1) * HALF_RANGE).mean())
    return floor

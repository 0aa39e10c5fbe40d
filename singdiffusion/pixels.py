"""Pixel space for pipelines of latents: a VAE that passes everything through.

Stable Diffusion's pipelines decode their latents by a VAE. A small model that works on pixels has nothing to decode; `PixelSpace` stands
in the VAE's place, learns nothing and changes nothing: latents are pixels in [−1, 1], at the same size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import (
    ModelMixin,
)  # read here by diffusers, which asks the module of a class what it is
from torch import Tensor


class _Exactly:
    """The law of an encoding: a point."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The image; nothing is drawn."""
        return self.image

    def mode(self) -> Tensor:
        """The image."""
        return self.image


class PixelSpace(AutoencoderKL):
    """The identity, with the interface of `AutoencoderKL`; one of its kind, because pipelines that load say so of anything else.

    Args:
        latent_channels: of the images.
        scaling_factor: 1, for the latents are the pixels.
        block_out_channels: one entry, by which pipelines know that nothing is enlarged.
    """

    config_name = "config.json"
    unit: Tensor

    @register_to_config
    def __init__(
        self, latent_channels: int = 3, scaling_factor: float = 1.0, block_out_channels: Sequence[int] = (1,)
    ) -> None:
        ModelMixin.__init__(self)  # none of the layers of an AutoencoderKL
        self.register_buffer("unit", torch.ones(1))  # holds dtype and device, which pipelines ask for

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """The image itself, as a law with `sample` and `mode`."""
        law: Any = _Exactly(x)
        return AutoencoderKLOutput(latent_dist=law) if return_dict else (law,)

    def decode(self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None) -> Any:
        """The latents themselves."""
        return DecoderOutput(sample=z) if return_dict else (z,)

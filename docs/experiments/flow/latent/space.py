"""Latents of pictures: an `AutoencoderKL` of diffusers trained on them, and the factor that gives its latents a standard deviation of 1."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from docs.experiments.data.captioned import Captioned
from singtheory.data import HALF_RANGE
from singtheory.errors import InputError

CHANNELS = 4
"""The channels of the latents."""
BLOCKS, TINY_BLOCKS = (48, 96, 128), (8, 8, 16)
"""Channels at each resolution; three resolutions make a factor of 4 between the sides of pictures and latents."""
_GROUPS, _TINY_GROUPS = 16, 8
_AT_ONCE = 256


@dataclass
class Space:
    """An autoencoder on a device.

    Attributes:
        vae: of diffusers; its configuration holds the scaling factor.
        device: `cpu` or `cuda`.
    """

    vae: Any
    device: str

    @classmethod
    def new(cls, side: int, device: str, tiny: bool = False, seed: int = 0) -> Self:
        """With random weights, for pictures of a side; its scaling factor is 1."""
        blocks, groups = (TINY_BLOCKS, _TINY_GROUPS) if tiny else (BLOCKS, _GROUPS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            kind: Any = AutoencoderKL  # whose tuples are annotated for one block
            vae = kind(
                in_channels=3,
                out_channels=3,
                latent_channels=CHANNELS,
                sample_size=side,
                block_out_channels=blocks,
                down_block_types=("DownEncoderBlock2D",) * len(blocks),
                up_block_types=("UpDecoderBlock2D",) * len(blocks),
                layers_per_block=1,
                norm_num_groups=groups,
                scaling_factor=1.0,
            )
        return cls(vae.to(device), device)

    @property
    def scale(self) -> float:
        """The factor by which its latents are multiplied."""
        return float(self.vae.config.scaling_factor)

    @property
    def factor(self) -> int:
        """The side of pictures over that of latents."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def ready(self) -> "Space":
        """To encode and decode: no more training; in float32, for a half precision would round levels of brightness."""
        vae = self.vae.eval().requires_grad_(False)
        self.vae = vae.to(memory_format=torch.channels_last) if self.device == "cuda" else vae
        return self

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents of pictures in bytes (n, 3, side, side): the mean of each one's law times the scaling factor; float32 on the CPU."""
        latents = []
        for some in images.split(_AT_ONCE):
            x = some.to(self.device).float() / HALF_RANGE - 1
            latents.append(self.vae.encode(x).latent_dist.mode().float().cpu())
        return torch.cat(latents) * self.scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures, float32 on the device, about in [−1, 1]; from scaled latents (n, 4, side/4, side/4)."""
        parts = (latents.to(self.device) / self.scale).split(_AT_ONCE)
        return torch.cat([self.vae.decode(some).sample for some in parts])

    def set_scale(self, data: Captioned) -> Tensor:
        """Set the scaling factor to 1 over the standard deviation of all latents, as Stable Diffusion's was; returns the scaled latents."""
        self.vae.register_to_config(scaling_factor=1.0)
        latents = self.encode(data.images)
        self.vae.register_to_config(scaling_factor=1 / float(latents.std()))
        return latents * self.scale

    def save(self, folder: Path) -> None:
        """Write it as diffusers does, in float16."""
        stored: Any = AutoencoderKL.from_config(self.vae.config)
        stored.load_state_dict({name: value.float().cpu() for name, value in self.vae.state_dict().items()})
        stored.to(torch.float16).save_pretrained(str(folder))

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """What `save` wrote, ready. Raises `InputError` for another folder."""
        try:
            vae: Any = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: holds no autoencoder ({error}); train it first") from None
        space = cls(vae.to(device), device)
        space.ready()
        return space

"""Training of the autoencoder: small absolute errors of pixels and of edges, and latents that are not far from standard normal."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.latent.space import Space
from docs.experiments.model.fit import say
from singtheory.data import HALF_RANGE

KL_WEIGHT = 1e-3
"""The weight of the mean KL divergence of a latent from a standard normal."""
EDGES = 0.5
"""The weight of the absolute errors of the differences of neighbouring pixels: lines must stay crisp."""


class Both(nn.Module):
    """Encoder and decoder in one call, so that they can be compiled together.

    Args:
        vae: of diffusers.
    """

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructions, and the mean KL divergence of a latent; from pictures and standard normal noise of the latents' size."""
        mean, log_var = self.vae.quant_conv(self.vae.encoder(x)).float().chunk(2, dim=1)
        log_var = log_var.clamp(-30, 20)
        kl = (mean.square() + log_var.exp() - 1 - log_var).mean() / 2
        latents = mean + (log_var / 2).exp() * noise
        return self.vae.decoder(self.vae.post_quant_conv(latents.to(x.dtype))).float(), kl


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours, down and to the right."""
    return images.diff(dim=2), images.diff(dim=3)


def loss_of(space: Space, data: Captioned, batch: int, called: Any = None) -> Callable[[], Tensor]:
    """The loss of a batch drawn anew in each call, half of it mirrored.

    Args:
        space: in training.
        data: on the CPU.
        batch: pictures a step.
        called: in the place of `Both`, such as compiled.
    """
    device, images = space.device, data.images.to(space.device)
    both = Both(space.vae) if called is None else called  # a compiled module has no truth value
    side = data.size[1] // space.factor
    channels = space.vae.config.latent_channels

    def loss() -> Tensor:
        rows = torch.randint(len(images), (batch,), device=device)
        x = images[rows].float() / HALF_RANGE - 1
        mirrored = torch.rand(batch, 1, 1, 1, device=device) < 0.5
        x = torch.where(mirrored, x.flip(3), x).contiguous(memory_format=torch.channels_last)
        noise = torch.randn(batch, channels, side, side, device=device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda", cache_enabled=False):
            again, kl = both(x, noise)
        pixels = l1_loss(again, x) + mse_loss(again, x)
        (down, right), (lower, further) = differences(again), differences(x)
        edges = l1_loss(down, lower) + l1_loss(right, further)
        return pixels + EDGES * edges + KL_WEIGHT * kl

    return loss


def compiled(space: Space, batch: int, side: int) -> Any:
    """`Both` compiled, tried out forwards and backwards; plain where that fails."""
    plain: Any = Both(space.vae)
    noise = torch.zeros(batch, space.vae.config.latent_channels, *2 * [side // space.factor], device=space.device)
    x = torch.zeros(batch, 3, side, side, device=space.device).contiguous(memory_format=torch.channels_last)
    try:
        fast = torch.compile(plain, dynamic=False)
        with torch.autocast(space.device, torch.bfloat16, enabled=space.device == "cuda", cache_enabled=False):
            again, kl = fast(x, noise)
        (again.mean() + kl).backward()
        space.vae.zero_grad(set_to_none=True)
    except Exception as error:  # compilers raise what they like
        say("not compiled:", type(error).__name__, str(error).splitlines()[:1])
        return plain
    return fast


@torch.no_grad()
def decibels(space: Space, data: Captioned, rows: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of the reconstructions of some pictures, in dB; shape (n,)."""
    again = space.decode(space.encode(data.images[rows])).clamp(-1, 1).cpu()
    error = (again - data.x_0(rows)).flatten(1).square().mean(dim=1)
    return 10 * torch.log10(4 / error.clamp(min=1e-10))

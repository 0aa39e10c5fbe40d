r"""What training minimises: the squared error of the mean, and for the spread the Gaussian likelihood along its directions.

    E ‖ȳ_θ(x_1, c) − x_0‖² / d        whose minimum is the mean of the data for c (C1, C9)
    E ½ Σ_k [(a_k² + τ²)/(s_k² + τ²) + log(s_k² + τ²)],   a_k = ⟨x_0 − ȳ, φ_k⟩, with ȳ held still

The second is the likelihood of the deviations under noise of deviation `τ = σ/α`, as a sampler's first step finds them. Its minimum is
`s_k² = E a_k²` whatever `τ` is, but without noise every variance counts alike, and the many that are far below the noise, of which no start shows
anything, take the network from the few that matter.

The spread reads the tokens of the condition with gradients stopped, so that the mean is the same with it and without.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from singdiffusion.average import AverageNetwork, Condition


class Losses(NamedTuple):
    """Means over the batch.

    Attributes:
        mean: squared error a value.
        spread: negative log-likelihood a direction under the noise, without its constant; 0 without a spread.
    """

    mean: Tensor
    spread: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised: neither part touches the other's weights."""
        return self.mean + self.spread


class Objective(nn.Module):
    """The losses of a network as a module, so that wrappers for many processes can hold it.

    Args:
        network: trained in place.
        noise: deviation `τ` under which the spread is judged, in units of `x_0`.
    """

    def __init__(self, network: AverageNetwork, noise: float = 0.0) -> None:
        super().__init__()
        self.network, self.noise = network, noise

    def forward(self, condition: Condition, x_1: Tensor, x_0: Tensor) -> Losses:
        """The losses of a batch.

        Args:
            condition: as the network takes it, one an image.
            x_1: noise of the shape of `x_0`.
            x_0: images or latents, shape (batch, channels, height, width).
        """
        tokens = self.network.conditioning(condition, x_1)
        deviation = x_0 - self.network.mean(tokens, x_1).to(x_0.dtype)
        mean = deviation.square().mean()
        if self.network.spread is None:
            return Losses(mean, torch.zeros_like(mean))
        height, width = x_0.shape[2:]
        std = self.network.spread(tokens.detach(), height, width).to(x_0.dtype)
        along = self.network.spread.along(deviation.detach())
        floor = self.noise**2
        var = std**2 + floor
        return Losses(mean, ((along.square() + floor) / var + var.log()).mean() / 2)

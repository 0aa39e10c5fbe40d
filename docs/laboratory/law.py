"""What theory says of the brightness of a plan's pictures: the plan itself on the exact denoiser of Gaussian data, along the constant image (F1, C7).

Of DDIM's and Euler's steps the deviation that is kept is the product of cosines (F1); of other samplers the same run gives it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from docs.laboratory.plan import Plan
from singtheory import formula

HALF = 127.5
"""Levels of brightness a unit of pixels in [−1, 1]."""


class Predicted(NamedTuple):
    """Brightness in 0 to 255.

    Attributes:
        mean: of the pictures.
        std: their standard deviation.
    """

    mean: float
    std: float


def predicted(plan: Plan, start: str, mean: float, std: float, dim: int) -> Predicted:
    """The brightness of pictures of Gaussian data whose brightness has this mean and deviation.

    Args:
        plan: of the start.
        start: `noise`, `mean` or `matched`.
        mean: of the data's brightness, in 0 to 255.
        std: its standard deviation.
        dim: d, of the pictures.
    """
    unit = HALF / dim**0.5  # levels for 1 along the constant image
    centre, lam = (mean - HALF) / unit, float(formula.brightness_eigenvalue((std / HALF) ** 2, dim))
    noise = float(formula.marginal_var(plan.mean, plan.noise, lam)) ** 0.5 if start == "matched" else plan.noise
    draws = len(plan.rows[0]) - 1 - len(plan.timesteps)
    # one run each for the mean alone, the noise of the start, and each noise of the steps
    starts = torch.tensor([plan.mean * centre, noise, *[0.0] * draws], dtype=torch.float64)
    centres = torch.tensor([centre, *[0.0] * (1 + draws)], dtype=torch.float64)
    offset, *parts = _end(plan, starts, centres, lam, torch.eye(2 + draws, dtype=torch.float64)[2:]).tolist()
    return Predicted(HALF + unit * offset, unit * sum(part**2 for part in parts) ** 0.5)


def _end(plan: Plan, start: Tensor, centre: Tensor, lam: float, noises: Tensor) -> Tensor:
    """Where the sampler ends along one direction, shape (runs,), from starts (runs,) of data around `centre` (runs,), with noises (draws, runs)."""
    steps = len(plan.timesteps)
    values = torch.cat([start[None], torch.zeros(steps, len(start), dtype=torch.float64), noises])
    rows = torch.tensor(plan.rows, dtype=torch.float64)
    x = start
    for k, (alpha, sigma) in enumerate(plan.levels):
        seen = plan.scales[k] * x
        x_hat = centre + formula.posterior_slope(alpha, sigma, lam) * (seen - alpha * centre)
        velocity = plan.sign * (seen - x_hat) / sigma
        values[1 + k] = velocity if plan.sign else formula.gaussian_epsilon(seen, centre, lam, alpha, sigma)
        x = rows[k] @ values
    return x

"""Small laws on which a statement fails without one of its assumptions."""

import torch
from torch import Tensor

from singtheory import Schedule


def uniform_score(schedule: Schedule, x: Tensor, t: float) -> Tensor:
    """The score of data uniform on [−1, 1]: a density with an edge, where it diverges like 1/σ; x and result (batch, 1) (D4)."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    low, high = (x - alpha) / sigma, (x + alpha) / sigma
    mass = torch.special.ndtr(high) - torch.special.ndtr(low)
    return ((-high.square() / 2).exp() - (-low.square() / 2).exp()) / ((2 * torch.pi) ** 0.5 * sigma * mass)

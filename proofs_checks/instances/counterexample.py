"""Small laws on which a statement fails without one of its assumptions."""

import math

import torch
from torch import Tensor

from singtheory import Gaussian, Power, Schedule

STEEP = Power(0.5)
"""`α = √(1 − t)`: α̇(1) is infinite, and so is the limit of the ODE's drift unless μ = 0 (C3)."""

SMOOTH = Gaussian([0.3], [[0.64]])
"""A density: every reverse kernel is the Gaussian with its moments, so that its KL is 0 and its TV not 1 (D3)."""

LINE = Gaussian([0.3, 1.2], [[0.64, 0.0], [0.0, 0.0]])
"""A Gaussian along the first axis of the plane, at height 1.2: no density there, so the score diverges like 1/σ² off it (D4)."""


def cauchy_trace(snr: Tensor) -> Tensor:
    """`tr C` of Cauchy data at `x_t = 0`, γ > 0: it passes every `D²/4` as γ → 0, as the support has no finite D (B3).

    `E x² = ∫ e^{−γx²/2} x²/(1+x²) dx / ∫ e^{−γx²/2}/(1+x²) dx`, and `x²/(1+x²) = 1 − 1/(1+x²)`.
    """
    return (2 / (math.pi * snr)).sqrt() / torch.special.erfcx((snr / 2).sqrt()) - 1


def cauchy_diameter(samples: int) -> float:
    """The diameter of Cauchy's quantiles at `(k − ½)/n`, k = 1, …, n, which stand for n draws: it grows like `4n/π` (B3)."""
    return 2 / math.tan(math.pi / (2 * samples))


def uniform_score(schedule: Schedule, x: Tensor, t: float) -> Tensor:
    """The score of data uniform on [−1, 1]: a density with an edge, where it diverges like 1/σ; x and result (batch, 1) (D4)."""
    alpha, sigma = schedule(t)
    low, high = (x - alpha) / sigma, (x + alpha) / sigma
    mass = torch.special.ndtr(high) - torch.special.ndtr(low)
    return ((-high.square() / 2).exp() - (-low.square() / 2).exp()) / ((2 * torch.pi) ** 0.5 * sigma * mass)

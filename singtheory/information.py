r"""KL through information: the I-MMSE identity B4 and its derivative B11 on finite data.

`h ↦ E[tr C_h | x_t]` is the posterior covariance's trace expected after one more measurement `√h ξ + n`; KL is half the area between
its value at h = 0 and its graph.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from singtheory import draw
from singtheory.law import Atoms, Gaussian
from singtheory.posterior import AtomsPosterior

_NODES = 64
_LINE_NODES, _TAIL = 600, 9.0
"""The trapezoidal rule's nodes; a Gaussian has 1e-19 of its mass beyond nine standard deviations."""


def posterior_trace(posterior: AtomsPosterior, u: Tensor, gap: Tensor) -> Tensor:
    """`tr C` of one query once `u = √g ξ + n` is known too; `u` (n, d) and `gap` (n,) give shape (n,)."""
    xi = posterior.points - posterior.mean
    norms = xi.square().sum(dim=1)
    logits = gap.sqrt()[:, None] * (u @ xi.mT) - gap[:, None] / 2 * norms + posterior.log_weights
    weights = torch.softmax(logits, dim=1)
    return (weights @ norms - (weights @ xi).square().sum(dim=1)).clamp(min=0)


def expected_trace(posterior: AtomsPosterior, gap: float, nodes: int = 2001) -> float:
    """`E[tr C_h | x_t]` at `h = gap` by quadrature, for one query in one dimension."""
    return _expectation(posterior, gap, nodes, lambda variance: variance)


def _expectation(posterior: AtomsPosterior, gap: float, nodes: int, function: Callable[[Tensor], Tensor]) -> float:
    """The mean over u of a function of the variance that remains."""
    centres = math.sqrt(gap) * (posterior.points - posterior.mean)[:, 0]
    u = torch.linspace(float(centres.min()) - 12, float(centres.max()) + 12, nodes, dtype=torch.float64)
    density = torch.exp(-(u[:, None] - centres).square() / 2) @ posterior.weights[0] / math.sqrt(2 * math.pi)
    variance = posterior_trace(posterior, u[:, None], torch.full_like(u, gap))
    return float((density * function(variance)).sum() * (u[1] - u[0]))


def expected_square(posterior: AtomsPosterior, gap: float, nodes: int = 2001) -> float:
    """`E[‖C_h‖_F² | x_t]` at `h = gap` by quadrature, for one query in one dimension (B11)."""
    return _expectation(posterior, gap, nodes, lambda variance: variance.square())


def kl_by_covariance(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (g − h) E[‖C_h‖_F² | x_t] dh` (B11) by Gauss and Legendre's rule, for one query in one dimension."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    steps = zip(gap * (x + 1) / 2, gap * w / 2, strict=True)
    return sum(weight * (gap - h) * expected_square(posterior, h) for h, weight in steps) / 2


def kl_by_information(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (tr C − E[tr C_h | x_t]) dh` (B4) by Gauss and Legendre's rule, for one query in one dimension."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    trace = float(posterior.trace_cov)
    steps = zip(gap * (x + 1) / 2, gap * w / 2, strict=True)
    return sum(weight * (trace - expected_trace(posterior, h)) for h, weight in steps) / 2


def kl_information_draws(posterior: AtomsPosterior, gap: float, samples: int, generator: torch.Generator) -> Tensor:
    """Draws of `(g/2)(tr C − tr C_h)`, h uniform in [0, g], with mean KL(P‖Q), for one query; shape (samples,)."""
    h = gap * draw.uniform(samples, posterior.mean.device, generator)
    xi = posterior.sample(samples, generator)[0] - posterior.mean
    u = h.sqrt()[:, None] * xi + draw.normal(xi.shape, xi.device, generator)
    return gap / 2 * (posterior.trace_cov - posterior_trace(posterior, u, h))


def line_mmse(law: Atoms, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ)` and `mmse′(γ) = −E‖C‖_F²` of finite data on a line by quadrature, `snr` and results of shape (n,)."""
    centres = snr.sqrt()[:, None] * (law.points - law.mean)[:, 0]
    low, high = centres.amin(dim=1) - _TAIL, centres.amax(dim=1) + _TAIL
    z = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, _LINE_NODES, dtype=torch.float64)
    joint = torch.exp(-(z[..., None] - centres[:, None]).square() / 2) * law.weights
    density = joint.sum(dim=-1)
    weights = joint / density[..., None]
    off = law.points[:, 0] - (weights @ law.points[:, 0])[..., None]
    variance = (weights * off.square()).sum(dim=-1)
    mass = density * ((high - low) / (_LINE_NODES - 1))[:, None] / math.sqrt(2 * math.pi)
    return (mass * variance).sum(dim=1), -(mass * variance.square()).sum(dim=1)


def gaussian_mmse(law: Gaussian, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ) = Σ λ/(1 + γλ)` and its derivative for Gaussian data, `snr` and results of shape (n,)."""
    eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)
    spectrum = eigenvalues / (1 + snr[:, None] * eigenvalues)
    return spectrum.sum(dim=1), -spectrum.square().sum(dim=1)

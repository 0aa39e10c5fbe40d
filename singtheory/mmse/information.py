r"""KL through information: the I-MMSE identity B4 and its derivative B11 on finite data.

`h ↦ E[tr C_h | x_t]` is the posterior covariance's trace expected after one more measurement `√h ξ + n`; KL is half the area between
its value at h = 0 and its graph.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from singtheory import numerics
from singtheory.law import Atoms, AtomsPosterior, Law

_NODES = 64
_MEAN_NODES = 2001
"""Nodes of the trapezoidal rule over u."""
_NUMBERS = 2**19
"""Nodes times atoms in one block."""
_LINE_NODES, _TAIL = 600, 9.0
"""The trapezoidal rule's nodes; a Gaussian has 1e-19 of its mass beyond nine standard deviations."""


def posterior_trace(posterior: AtomsPosterior, u: Tensor, gap: Tensor) -> Tensor:
    """`tr C` of one query once `u = √g ξ + n` is known too; `u` (n, d) and `gap` (n,) give shape (n,)."""
    (xi,) = posterior.deviations()
    norms = xi.square().sum(dim=1)
    # in place: each copy of so many numbers takes as long as the sums
    logits = (u @ xi.mT).mul_(gap.sqrt()[:, None]).sub_(gap[:, None] / 2 * norms).add_(posterior.log_weights)
    weights = torch.softmax(logits, dim=1)
    return (weights @ norms - (weights @ xi).square().sum(dim=1)).clamp(min=0)


def expected_trace(posterior: AtomsPosterior, gap: float, nodes: int = _MEAN_NODES) -> float:
    """`E[tr C_h | x_t]` at `h = gap` by quadrature, for one query in one dimension."""
    return float(_expectations(posterior, torch.tensor([gap], dtype=torch.float64), nodes, lambda variance: variance))


def _expectations(posterior: AtomsPosterior, gaps: Tensor, nodes: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    """The means over u of a function of the variance that remains at each gap, both of shape (h,)."""
    rows = max(1, _NUMBERS // (nodes * len(posterior.points)))
    return torch.cat([_means(posterior, part, nodes, function) for part in gaps.split(rows)])


def _means(posterior: AtomsPosterior, gaps: Tensor, nodes: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    (xi,) = posterior.deviations()
    centres = gaps.sqrt() * xi
    low, high = centres.amin(dim=0) - 12, centres.amax(dim=0) + 12
    u = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, nodes, dtype=torch.float64)
    density, variance = _seen(u, centres, posterior.weights[0], posterior.points[:, 0])
    return (density * function(variance)).sum(dim=1) * (high - low) / (nodes - 1)


def _seen(z: Tensor, centres: Tensor, weights: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Density of `Σ w_k N(c_k, 1)` and variance of the atom at places on a line, both of the shape (n, nodes) of z.

    Args:
        z: places, shape (n, nodes).
        centres: `c_k`, shape (k, n).
        weights: `w_k`, shape (k,).
        points: the atoms, shape (k,).
    """
    # one plane of places for each atom: sums over a few neighbouring numbers are slow
    joint = (z - centres[:, :, None]).square_().div_(-2).exp_() * weights[:, None, None]
    density = joint.sum(dim=0)
    shares = joint.div_(density)
    off = points[:, None, None] - (shares * points[:, None, None]).sum(dim=0)
    return density / math.sqrt(2 * math.pi), (shares * off.square_()).sum(dim=0)


def expected_square(posterior: AtomsPosterior, gap: float, nodes: int = _MEAN_NODES) -> float:
    """`E[‖C_h‖_F² | x_t]` at `h = gap` by quadrature, for one query in one dimension (B11)."""
    return float(_expectations(posterior, torch.tensor([gap], dtype=torch.float64), nodes, torch.square))


def kl_by_covariance(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (g − h) E[‖C_h‖_F² | x_t] dh` (B11) by Gauss and Legendre's rule, for one query in one dimension."""
    h, weights = _legendre(gap)
    return float(weights * (gap - h) @ _expectations(posterior, h, _MEAN_NODES, torch.square)) / 2


def kl_by_information(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (tr C − E[tr C_h | x_t]) dh` (B4) by Gauss and Legendre's rule, for one query in one dimension."""
    h, weights = _legendre(gap)
    left = float(posterior.trace_cov) - _expectations(posterior, h, _MEAN_NODES, lambda variance: variance)
    return float(weights @ left) / 2


def _legendre(gap: float) -> tuple[Tensor, Tensor]:
    """Gauss and Legendre's nodes and weights on [0, g]."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_NODES))
    return gap * (x + 1) / 2, gap * w / 2


def kl_information_draws(posterior: AtomsPosterior, gap: float, samples: int, generator: torch.Generator) -> Tensor:
    """Draws of `(g/2)(tr C − tr C_h)`, h uniform in [0, g], with mean KL(P‖Q), for one query; shape (samples,)."""
    h = gap * numerics.uniform(samples, posterior.mean.device, generator)
    xi = posterior.sample(samples, generator)[0] - posterior.mean
    u = h.sqrt()[:, None] * xi + numerics.normal(xi.shape, xi.device, generator)
    return gap / 2 * (posterior.trace_cov - posterior_trace(posterior, u, h))


def line_mmse(law: Atoms, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ)` and `mmse′(γ) = −E‖C‖_F²` of finite data on a line by quadrature, `snr` and results of shape (n,)."""
    centres = snr.sqrt()[:, None] * law.deviations()[:, 0]
    low, high = centres.amin(dim=1) - _TAIL, centres.amax(dim=1) + _TAIL
    z = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, _LINE_NODES, dtype=torch.float64)
    density, variance = _seen(z, centres.mT, law.weights, law.points[:, 0])
    mass = density * ((high - low) / (_LINE_NODES - 1))[:, None]
    return (mass * variance).sum(dim=1), -(mass * variance.square()).sum(dim=1)


def gaussian_mmse(law: Law, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ) = Σ λ/(1 + γλ)` and its derivative for Gaussian data of the law's covariance, `snr` and results of shape (n,)."""
    eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)
    spectrum = eigenvalues / (1 + snr[:, None] * eigenvalues)
    return spectrum.sum(dim=1), -spectrum.square().sum(dim=1)

r"""KL through information: the I-MMSE identity B4 and its derivative B11 on finite data.

`h ↦ E[tr C_h | x_t]` is the posterior covariance's trace expected after one more measurement `√h ξ + n`; KL is half the area between
its value at h = 0 and its graph.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from singtheory import numerics
from singtheory.engine import Points
from singtheory.law import Atoms, AtomsPosterior, Law
from singtheory.mmse.exact import LineCurve, as_snr

_NODES = 64
_MEAN_NODES = 2001
"""Nodes of the trapezoidal rule over u."""
_NUMBERS = 2**19
"""Nodes times atoms in one block."""
_NEAR = 0.5
"""Equal steps serve where their length times the distance of the outermost atoms is at most this, both in units of the noise."""
_FAR = 12.0
_LINE_NODES, _TAIL = 600, 9.0
"""The trapezoidal rule's nodes; a Gaussian has 1e-19 of its mass beyond nine standard deviations."""


def posterior_trace(posterior: AtomsPosterior, u: Tensor, gap: Tensor) -> Tensor:
    """`tr C` of one query once `u = √g ξ + n` is known too; `u` (n, d) and `gap` (n,) give shape (n,)."""
    (xi,) = posterior.deviations()
    norms = xi.square().sum(dim=1)
    logits = gap.sqrt()[:, None] * (u @ xi.mT) - gap[:, None] / 2 * norms + posterior.log_weights
    weights = torch.softmax(logits, dim=1)
    return (weights @ norms - (weights @ xi).square().sum(dim=1)).clamp(min=0)


def expected_trace(posterior: AtomsPosterior, gap: float, nodes: int = _MEAN_NODES) -> float:
    """`E[tr C_h | x_t]` at `h = gap` by quadrature, for one query in one dimension."""
    numerics.check_precisions("gap", gap)
    return float(_expectations(posterior, torch.tensor([gap], dtype=torch.float64), nodes, 1))


def _expectations(posterior: AtomsPosterior, gaps: Tensor, nodes: int, power: Literal[1, 2]) -> Tensor:
    """The means over u of a power of the variance that remains at each gap, both of shape (h,)."""
    rows = max(1, _NUMBERS // (nodes * len(posterior.points)))
    return torch.cat([_means(posterior, part, nodes, power) for part in gaps.split(rows)])


def _means(posterior: AtomsPosterior, gaps: Tensor, nodes: int, power: Literal[1, 2]) -> Tensor:
    held = posterior.weights[0] > 0
    weights, xi = posterior.weights[0, held], next(posterior.deviations())[held]
    centres = gaps.sqrt() * xi
    low, high = centres.amin(dim=0) - _FAR, centres.amax(dim=0) + _FAR
    step = (high - low) / (nodes - 1)
    if bool((step * (high - low - 2 * _FAR) > _NEAR).any()):
        level, slope = LineCurve(Atoms.stored(Points(xi, weights)))(gaps)
        return level if power == 1 else -slope
    u = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, nodes, dtype=torch.float64)
    density, variance = _seen(u, centres, weights, xi[:, 0])
    return (density * variance.pow(power)).sum(dim=1) * step


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
    numerics.check_precisions("gap", gap)
    return float(_expectations(posterior, torch.tensor([gap], dtype=torch.float64), nodes, 2))


def kl_by_covariance(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (g − h) E[‖C_h‖_F² | x_t] dh` (B11) by Gauss and Legendre's rule, for one query in one dimension.

    For `gD²` up to about a hundred: of longer steps the rule over h loses digits, and its error is not bounded.
    """
    h, weights = _legendre(gap)
    return float(weights * (gap - h) @ _expectations(posterior, h, _MEAN_NODES, 2)) / 2


def kl_by_information(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (tr C − E[tr C_h | x_t]) dh` (B4) by Gauss and Legendre's rule, for one query in one dimension.

    For `gD²` up to about a hundred: of longer steps the rule over h loses digits, and its error is not bounded.
    """
    h, weights = _legendre(gap)
    left = float(posterior.trace_cov) - _expectations(posterior, h, _MEAN_NODES, 1)
    return float(weights @ left) / 2


def _legendre(gap: float) -> tuple[Tensor, Tensor]:
    """Gauss and Legendre's nodes and weights on [0, g]. Raises `InputError` for a gap beyond the domain."""
    numerics.check_precisions("gap", gap)
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_NODES))
    return gap * (x + 1) / 2, gap * w / 2


def kl_information_draws(posterior: AtomsPosterior, gap: float, samples: int, generator: torch.Generator) -> Tensor:
    """Draws of `(g/2)(tr C − tr C_h)`, h uniform in [0, g], with mean KL(P‖Q), for one query; shape (samples,)."""
    numerics.check_precisions("gap", gap)
    h = gap * numerics.uniform(samples, posterior.mean.device, generator)
    xi = posterior.sample(samples, generator)[0] - posterior.mean
    u = h.sqrt()[:, None] * xi + numerics.normal(xi.shape, xi.device, generator)
    return gap / 2 * (posterior.trace_cov - posterior_trace(posterior, u, h))


def line_mmse(law: Atoms, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ)` and `mmse′(γ) = −E‖C‖_F²` of finite data on a line by quadrature, `snr` and results of shape (n,).

    By the trapezoidal rule where its equal steps resolve the posterior, and as `exact_curve` has them where atoms lie too far apart for that.
    """
    snr = as_snr(snr)
    held = law.subset(law.weights > 0)
    centres = snr.sqrt()[:, None] * held.deviations()[:, 0]
    low, high = centres.amin(dim=1) - _TAIL, centres.amax(dim=1) + _TAIL
    step = (high - low) / (_LINE_NODES - 1)
    # a density of two atoms s apart has zeros π/s off the line, where the rule is off by e^{−2π²/(s·step)}
    near = step * (high - low - 2 * _TAIL) <= _NEAR
    level, slope = torch.zeros_like(snr), torch.zeros_like(snr)
    if bool(near.any()):
        level[near], slope[near] = _by_equal_steps(held, low[near], step[near], centres[near])
    if not bool(near.all()):
        level[~near], slope[~near] = LineCurve(held)(snr[~near])
    return level, slope


def _by_equal_steps(law: Atoms, low: Tensor, step: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """`E C` and `−E C²` by the trapezoidal rule from `low` in steps, each (n,), of atoms seen at centres (n, k)."""
    z = low[:, None] + step[:, None] * torch.arange(_LINE_NODES, dtype=torch.float64)
    density, variance = _seen(z, centres.mT, law.weights, law.deviations()[:, 0])
    mass = density * step[:, None]
    return (mass * variance).sum(dim=1), -(mass * variance.square()).sum(dim=1)


def gaussian_mmse(law: Law, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ) = Σ λ/(1 + γλ)` and its derivative for Gaussian data of the law's covariance, `snr` and results of shape (n,)."""
    snr = as_snr(snr)
    eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)
    spectrum = eigenvalues / (1 + snr[:, None] * eigenvalues)
    return spectrum.sum(dim=1), -spectrum.square().sum(dim=1)

r"""KL through information: the I-MMSE identity B4 and its derivative B11 on finite data.

`h ↦ E[tr C_h | x_t]` is the posterior covariance's trace expected after one more measurement `√h ξ + n`; KL is half the area between
its value at h = 0 and its graph.
"""

import math

import numpy as np
import torch
from torch import Tensor

from singtheory import numerics
from singtheory.law import Atoms, AtomsPosterior, Law
from singtheory.mmse.exact import as_snr

_NODES, _OCTAVE_NODES = 64, 16
"""Nodes of the rule over h where the gap is small, and in an octave of h where it is not."""
_SMALL = 2.0**-4
"""The least h times the squared distance of the atoms at which a polynomial in h would miss something."""
_PER_STD, _LEAST_PER_STD, _TAIL = 24, 4, 18
"""Nodes of the trapezoidal rule in a standard deviation of the noise, at most and at least, and how many deviations it goes beyond each atom: what lies farther off is below e^-162."""
_NUMBERS = 2**19
"""Nodes times atoms in one block."""


def posterior_trace(posterior: AtomsPosterior, u: Tensor, gap: Tensor) -> Tensor:
    """`tr C` of one query once `u = √g ξ + n` is known too; `u` (n, d) and `gap` (n,) give shape (n,)."""
    (xi,) = posterior.deviations()
    norms = xi.square().sum(dim=1)
    # in place: each copy of so many numbers takes as long as the sums
    logits = (u @ xi.mT).mul_(gap.sqrt()[:, None]).sub_(gap[:, None] / 2 * norms).add_(posterior.log_weights)
    weights = torch.softmax(logits, dim=1)
    return (weights @ norms - (weights @ xi).square().sum(dim=1)).clamp(min=0)


def expected_trace(posterior: AtomsPosterior, gap: float) -> float:
    """`E[tr C_h | x_t]` at `h = gap` by quadrature, for one query in one dimension."""
    numerics.check_precisions("gap", gap)
    return float(_posterior_moments(posterior, torch.tensor([gap], dtype=torch.float64))[0])


def expected_square(posterior: AtomsPosterior, gap: float) -> float:
    """`E[‖C_h‖_F² | x_t]` at `h = gap` by quadrature, for one query in one dimension (B11)."""
    numerics.check_precisions("gap", gap)
    return float(_posterior_moments(posterior, torch.tensor([gap], dtype=torch.float64))[1])


def _posterior_moments(posterior: AtomsPosterior, gaps: Tensor) -> tuple[Tensor, Tensor]:
    (xi,) = posterior.deviations()
    held = posterior.weights[0] > 0
    return _moments(xi[held, 0], posterior.log_weights[0, held], gaps)


def _moments(points: Tensor, log_weights: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`E C` and `E C²` of atoms on a line seen through noise, at each γ of shape (n,)."""
    width = len(points) * (2 * _PER_STD * _TAIL + 1)
    rows = max(1, _NUMBERS // (width * len(points)))
    parts = [_block(points, log_weights, part) for part in snr.split(rows)]
    level, square = (torch.cat(part) for part in zip(*parts, strict=True))
    return level, square


def _block(points: Tensor, log_weights: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`_moments` of a few γ together; many atoms far apart need so many nodes that these go in blocks."""
    level, square = torch.zeros_like(snr), torch.zeros_like(snr)
    centres = snr.sqrt()[:, None] * points
    nodes = max(1, _NUMBERS // centres.numel())
    for place, mass in zip(*(part.split(nodes, dim=1) for part in _places(centres)), strict=True):
        # one plane of places for each atom: sums over a few neighbouring numbers are slow
        logits = log_weights[:, None, None] - (place - centres.mT[:, :, None]).square() / 2
        density = torch.logsumexp(logits, dim=0)
        shares = (logits - density).exp()
        off = points[:, None, None] - (shares * points[:, None, None]).sum(dim=0)
        variance = (shares * off.square()).sum(dim=0)
        weight = density.exp() * mass / math.sqrt(2 * math.pi)
        level += (weight * variance).sum(dim=1)
        square += (weight * variance.square()).sum(dim=1)
    return level, square


def _places(centres: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes of a trapezoidal rule near some centres (n, k) only, each once, and the length that each stands for, 0 for none; both (n, nodes).

    They are as fine as the noise: equal steps over all of the range miss what near atoms do beside a far one.
    """
    ordered = centres.sort(dim=1).values
    if bool((ordered.diff(dim=1) <= 2 * _TAIL).all()):
        return _places_between(ordered[:, :1] - _TAIL, ordered[:, -1:] + _TAIL)
    reach = torch.arange(-_TAIL * _PER_STD, _TAIL * _PER_STD + 1, dtype=torch.float64)
    cells = ((ordered * _PER_STD).round()[:, :, None] + reach).flatten(1).sort(dim=1).values
    first = torch.cat([torch.ones_like(cells[:, :1]), cells.diff(dim=1)], dim=1) > 0
    most = int(first.sum(dim=1).max())
    which = first.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
    return cells.gather(1, which) / _PER_STD, first.gather(1, which).to(cells.dtype) / _PER_STD


def _places_between(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes from `low` to `high`, both (n, 1), where what is near one atom touches what is near the next.

    A density of two atoms s apart has zeros π/s off the line, and so n nodes in a standard deviation are off by `e^{−2π²n/s}`: 1e-17 for n = 2s.
    """
    span = float((high - low).max())
    per_std = min(_PER_STD, max(_LEAST_PER_STD, 2 * math.ceil(span - 2 * _TAIL)))
    place = low + torch.arange(math.ceil(span * per_std) + 1, dtype=torch.float64) / per_std
    return place, torch.full_like(place, 1 / per_std)


def kl_by_covariance(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (g − h) E[‖C_h‖_F² | x_t] dh` (B11) by Gauss and Legendre's rule, for one query in one dimension."""
    h, weights = _legendre(posterior, gap)
    return float(weights * (gap - h) @ _posterior_moments(posterior, h)[1]) / 2


def kl_by_information(posterior: AtomsPosterior, gap: float) -> float:
    """`KL(P‖Q) = ½ ∫_0^g (tr C − E[tr C_h | x_t]) dh` (B4) by Gauss and Legendre's rule, for one query in one dimension."""
    h, weights = _legendre(posterior, gap)
    left = float(posterior.trace_cov) - _posterior_moments(posterior, h)[0]
    return float(weights @ left) / 2


def _legendre(posterior: AtomsPosterior, gap: float) -> tuple[Tensor, Tensor]:
    """Gauss and Legendre's nodes and weights on [0, g], by octaves down to where the atoms cannot be told apart."""
    numerics.check_precisions("gap", gap)
    size2 = float(posterior.points.max() - posterior.points.min()) ** 2
    octaves = max(0, math.ceil(math.log2(gap * size2 / _SMALL))) if gap * size2 > _SMALL else 0
    edges = gap * torch.cat([torch.zeros(1), 2.0 ** torch.arange(-octaves, 1, dtype=torch.float64)])
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_OCTAVE_NODES if octaves else _NODES))
    half = edges.diff()[:, None] / 2
    return (edges[:-1, None] + half * (x + 1)).flatten(), (half * w).flatten()


def kl_information_draws(posterior: AtomsPosterior, gap: float, samples: int, generator: torch.Generator) -> Tensor:
    """Draws of `(g/2)(tr C − tr C_h)`, h uniform in [0, g], with mean KL(P‖Q), for one query; shape (samples,)."""
    numerics.check_precisions("gap", gap)
    h = gap * numerics.uniform(samples, posterior.mean.device, generator)
    xi = posterior.sample(samples, generator)[0] - posterior.mean
    u = h.sqrt()[:, None] * xi + numerics.normal(xi.shape, xi.device, generator)
    return gap / 2 * (posterior.trace_cov - posterior_trace(posterior, u, h))


def line_mmse(law: Atoms, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ)` and `mmse′(γ) = −E‖C‖_F²` of finite data on a line by quadrature, `snr` and results of shape (n,)."""
    snr = as_snr(snr)
    held = law.subset(law.weights > 0)
    level, square = _moments(held.deviations()[:, 0], held.weights.log(), snr)
    return level, -square


def gaussian_mmse(law: Law, snr: Tensor) -> tuple[Tensor, Tensor]:
    """`mmse(γ) = Σ λ/(1 + γλ)` and its derivative for Gaussian data of the law's covariance, `snr` and results of shape (n,)."""
    snr = as_snr(snr)
    eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)
    spectrum = eigenvalues / (1 + snr[:, None] * eigenvalues)
    return spectrum.sum(dim=1), -spectrum.square().sum(dim=1)

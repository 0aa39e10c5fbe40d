"""What the moments of P alone tell: KL of Gaussians, and closed-form bounds on `KL(P‖Q)` that hold with their rounding."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence.chi2 import ChiSquare
from singtheory.divergence.components import Components
from singtheory.estimate import Estimate
from singtheory.law import Posterior

_SMALL = 0.5
"""A `gD²` up to which `kl_ratio_high` is below `1 + gD²/2`."""
_SQUARES_KEEP = 1e-280
"""Above this a sum of squares has lost nothing that counts to underflow."""


@dataclass(frozen=True)
class Enclosure:
    """A number with bounds on both sides."""

    low: float
    value: float
    high: float


def kl_gauss(posterior: Posterior, gap: float) -> Tensor:
    """`KL(M‖Q) = ½ Σ (gλ_i − log(1 + gλ_i))` (B5): all of `KL(P‖Q)` if the posterior is Gaussian; shape (batch,)."""
    return _column(posterior, [moments_kl(Components.of(query, gap)).value for query in posterior])


def kl_gauss_low(posterior: Posterior, gap: float) -> Tensor:
    """`kl_gauss` less what rounding may have added; shape (batch,)."""
    return _column(posterior, [moments_kl(Components.of(query, gap)).low for query in posterior])


def kl_gauss_exact(posterior: Posterior, gap: float) -> Estimate:
    """`KL(P‖Q)` of Gaussian posteriors in closed form; the interval is its rounding."""
    brackets = [moments_kl(Components.of(query, gap)) for query in posterior]
    return Estimate.stack([Estimate.single(of.value, of.low, of.high, "exact") for of in brackets])


def moments_kl(of: Components) -> Enclosure:
    """`½ Σ (λ_i − log(1 + λ_i))` over the eigenvalues of gC, of slope `½ λ/(1 + λ)`."""
    value = float(formula.log1p_rest(of.eigenvalues, torch).sum()) / 2
    errors = of.eigenvalue_errors
    moved = of.eigenvalues + errors
    lost = float((errors * moved / (1 + moved)).sum()) / 2 + of.rounding * value
    if bool((of.eigenvalues > 0).any()):  # squares near the least float are rounded to it
        lost += of.dim * formula.LEAST_FLOAT
    return Enclosure(max(0.0, value - lost), value, value + lost)


def components_kl(of: Components) -> float:
    """`Σ p_j KL(N(m_j, I + S_j)‖Q)`, with `½ g tr C` for atoms: at most this is `KL(P‖Q)`, for KL is convex."""
    spread = 0.0 if of.spread is None else formula.log1p_rest(of.spread, torch).sum(dim=1)
    return float(of.p @ (of.norms2 + spread)) / 2


def root_trace(of: Components) -> Enclosure:
    """`√(g tr C)`; where squares or weights underflow, from the roots of weights times lengths."""
    if of.trace > _SQUARES_KEEP:
        low, value, high = (math.sqrt(max(0.0, of.trace + k * of.trace_error)) for k in (-1, 0, 1))
        return Enclosure(low * (1 - 8 * formula.DOUBLE), value, high * (1 + 8 * formula.DOUBLE))
    root_p = (of.log_p / 2).exp()
    lengths = of.centres if of.spread is None else torch.cat([of.centres, of.spread.sqrt()], dim=1)
    parts = root_p[:, None] * lengths
    size = float(parts.abs().max())
    value = size * float((parts / size).norm()) if size > 0 else 0.0
    share = float(of.tilt.max()) + (len(of.p) + 64 + of.dim) * formula.DOUBLE
    off = of.centre_errors if of.spread_error is None else of.centre_errors + of.spread_error.sqrt().sum(dim=1)
    # the mean moves by the errors of weights, and by what underflows
    sizes = lengths.abs().sum(dim=1)
    moved = float((of.p * of.tilt) @ sizes) + formula.LEAST_FLOAT * (parts.numel() + float(sizes.sum()))
    lost = value * share + float(root_p @ off) + (moved if bool((lengths != 0).any()) else 0.0)
    return Enclosure(max(0.0, value - lost), value, value + lost)


def kl_between(of: Components, chi2: ChiSquare) -> tuple[float, float]:
    """Bounds on `KL(P‖Q)` from below (B5) and from above (convexity, B2, and B11 of atoms that a step hardly tells apart)."""
    least = formula.LEAST_FLOAT if bool((of.points != 0).any()) else 0.0  # where squares underflow
    return moments_kl(of).low, min(components_kl(of) + of.trace_error, chi2.high, _small_gap_high(of)) + least


def _small_gap_high(of: Components) -> float:
    """At least KL of atoms: `¼ ‖gC‖_F²` times `kl_ratio_high` of `gD²` (B11), at most a part `gD²/2` above it where B2 is twice as much; else ∞."""
    off = float(of.centre_errors.max()) if of.point_error is not None else 0.0
    norms = of.norms2.sqrt()
    # a mean of wrong weights is moved by `Σ p_j t_j ‖m_j‖`; a diameter is of differences, from which it is gone but for rounding
    across = 2 * (float(norms.max()) * (1 + 64 * of.rounding) + float((of.p * of.tilt) @ norms) + off)
    x = across**2
    if of.spread is not None or not x <= _SMALL:
        return math.inf
    squares = float((of.eigenvalues + of.eigenvalue_errors).square().sum())
    # below the least float a square is lost, and an error with it
    return float(formula.kl_small_gap(1.0, squares)) * (1 + x / 2) * (1 + 64 * of.rounding) + 1e-300


def kl_moment_between(of: Components) -> tuple[float, float]:
    """Bounds on `KL(P‖M) = h(M) − h(P)` for atoms, as `h(n) ≤ h(P) ≤ h(n) + H(p)`: `½ log det(I + gC)` from above, less H(p) from below (D3); else 0 and ∞."""
    if of.spread is not None:
        return 0.0, math.inf
    whole, entropy = float(torch.log1p(of.eigenvalues).sum()) / 2, float(torch.special.entr(of.p).sum())
    least = (of.eigenvalues - of.eigenvalue_errors).clamp(min=0)
    lost = float((of.eigenvalue_errors / (1 + least)).sum()) / 2 + of.rounding * whole
    # a relative change t of a weight moves −p log p by at most pt(1 + |log p|) to first order, for which there is a factor of two
    of_weights = 2 * float((of.p * of.tilt) @ (1 + of.log_p.abs().clamp(max=745.0))) + of.rounding * (1 + entropy)
    return max(0.0, whole - entropy - lost - of_weights), whole + lost + formula.LEAST_FLOAT


def _column(posterior: Posterior, values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=posterior.mean.device)


def log_tail(reach: float) -> float:
    """At least `log P(|n| > reach)` for a standard normal n."""
    return math.log(2) - reach**2 / 2

r"""The ladder of bounds on the Gaussian reverse-process error: B2, B3, B5, B6, B9 and B10.

Each rung is an object that declares what it bounds, from which side, under which assumptions, and the power of the gap g at which it
vanishes as g → 0; a test fits the slope and compares. Everything is a function of the posterior at t and of g alone (A3).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from singtheory import divergence, formula
from singtheory.divergence import log_mean_exp
from singtheory.errors import unknown_name
from singtheory.posterior import AtomsPosterior, Posterior

BETAS = tuple(0.5 + 0.05 * k for k in range(11))
"""The β of B10 that are tried: ½ is B9's, 1 is the pairwise form of B2."""
_HEAVY = 256
_NEGLIGIBLE = 1e-20
_MAX_PAIRS = 4096


@dataclass(frozen=True)
class Bound:
    """One rung.

    Attributes:
        name: the name in tables and JSON.
        statement: the statement id of theory.md.
        quantity: `kl` for KL(P‖Q), `kl_moment` for KL(P‖M), `tv` for TV(P, Q).
        side: `upper` or `lower`; `leading` for the small-gap value that is exact to first order.
        rate: the power of g at which it vanishes as g → 0; None for a bound that is negative there.
        assumptions: under which it holds.
        finite_only: whether it needs finite data.
        evaluate: maps (posterior, gap) to values of shape (batch,).
    """

    name: str
    statement: str
    quantity: Literal["kl", "kl_moment", "tv"]
    side: Literal["upper", "lower", "leading"]
    rate: float | None
    assumptions: str
    finite_only: bool
    evaluate: Callable[[Posterior, float], Tensor]


def kl_chi2(posterior: Posterior, gap: float) -> Tensor:
    """`KL ≤ log(1 + χ²)` (B2)."""
    # in log space all the way: χ² itself overflows at large gaps
    return divergence.log1p_chi2(posterior, gap)


def tv_chi2(posterior: Posterior, gap: float) -> Tensor:
    """`TV ≤ ½ √χ²` (B2)."""
    return formula.tv_chi2_bound(torch.expm1(divergence.log1p_chi2(posterior, gap)), torch)


def kl_trace(posterior: Posterior, gap: float) -> Tensor:
    """`KL ≤ ½ g tr C` (B3)."""
    return formula.kl_trace_bound(gap, posterior.trace_cov)


def tv_trace(posterior: Posterior, gap: float) -> Tensor:
    """`TV ≤ √(g tr C/2π)` (B3)."""
    return formula.tv_trace_bound(gap, posterior.trace_cov, torch)


def tv_norm(posterior: Posterior, gap: float) -> Tensor:
    """`TV ≤ E[2Φ(√g‖ξ‖/2) − 1]`, the TV distances of the components averaged (B3)."""
    assert isinstance(posterior, AtomsPosterior)
    norms = torch.cdist(posterior.mean, posterior.points, compute_mode="donot_use_mm_for_euclid_dist")
    return (posterior.weights * formula.tv_shift(math.sqrt(gap) * norms, torch)).sum(dim=1)


def kl_small_gap(posterior: Posterior, gap: float) -> Tensor:
    """`(g²/4)‖C‖_F²`, the leading order of KL(P‖Q) (B6)."""
    return formula.kl_small_gap(gap, posterior.eigenvalues.square().sum(dim=1))


def kl_moment_small_gap(posterior: Posterior, gap: float) -> Tensor:
    """`(g³/12)‖κ‖²`, the leading order of KL(P‖M) (B6)."""
    assert isinstance(posterior, AtomsPosterior)
    return formula.kl_moment_small_gap(gap, skewness2(posterior))


def skewness2(posterior: AtomsPosterior) -> Tensor:
    """`‖κ‖² = E⟨ξ, ξ'⟩³` for independent ξ, ξ' (B6), shape (batch,)."""
    return torch.stack([p @ (xi @ xi.mT).pow(3) @ p for p, xi in _deviations(posterior)])


def kl_pair_upper(posterior: Posterior, gap: float) -> Tensor:
    """`½ g tr C + Σ p_i log Σ p_j exp(−g d_ij²/8)` (B9, upper)."""
    return kl_trace(posterior, gap) + _pair_term(posterior, gap / 8)


def kl_pair_lower(posterior: Posterior, gap: float) -> Tensor:
    """`½ g tr C + Σ p_i log Σ p_j exp(−g d_ij²/2)` (B9, lower)."""
    return kl_trace(posterior, gap) + _pair_term(posterior, gap / 2)


def kl_family(posterior: Posterior, gap: float) -> Tensor:
    """B10 with `S = I − (I + (2β−1)² gC)⁻¹` and the best of `BETAS`.

    With many atoms the best β on the heaviest ones and β = 1 are tried; the bound holds for every β.
    """
    assert isinstance(posterior, AtomsPosterior)
    return torch.cat([_kl_family(query, gap) for query in posterior])


def kl_family_at(posterior: AtomsPosterior, gap: float, beta: float) -> Tensor:
    """B10 at one β, with S as in `kl_family`; shape (batch,).

    `(1−β) g tr C + ½[tr S + g tr(SC) − log det(I+S)] + Σ p_i log Σ p_j exp{½β²(m_i+m_j)ᵀ(I+S)⁻¹(m_i+m_j) − ½β(‖m_i‖²+‖m_j‖²)}`,
    `m_i = √g ξ_i`.
    """
    return torch.cat([_kl_family_at(query, gap, beta) for query in posterior])


def kl_gauss_lower(posterior: Posterior, gap: float) -> Tensor:
    """`½ Σ (gλ − log(1 + gλ)) ≤ KL` (B5)."""
    return divergence.kl_gauss(posterior, gap)


def _deviations(posterior: AtomsPosterior) -> list[tuple[Tensor, Tensor]]:
    """Weights and deviations `ξ_i` of the atoms that carry weight, query by query."""
    pairs = []
    for p, mean in zip(posterior.weights, posterior.mean, strict=True):
        pairs.append((p[p > 0], posterior.points[p > 0] - mean))
    return pairs


def _pair_term(posterior: Posterior, rate: float) -> Tensor:
    """`Σ_i p_i log Σ_j p_j exp(−rate d_ij²)`, shape (batch,)."""
    assert isinstance(posterior, AtomsPosterior)
    # the matrix is the same for all queries; expm1 keeps the digits of the sum, which is near one for small gaps
    excess = torch.expm1(-rate * torch.cdist(posterior.points, posterior.points).square())
    # the j = i term alone is p_i, which rounding must not lose
    inner = torch.maximum(torch.log1p((posterior.weights @ excess).clamp(min=-1)), posterior.log_weights)
    return torch.where(posterior.weights > 0, posterior.weights * inner, 0.0).sum(dim=1)


def _kl_family(query: AtomsPosterior, gap: float) -> Tensor:
    """B10 on the atoms that matter, by the convexity of KL.

    `P = m P' + (1−m) P''` gives `KL(P‖Q) ≤ m KL(P'‖Q) + ½ g Σ'' p_i ‖ξ_i‖²`, and P' with its mean moved by `√g δ` has
    `KL(P'‖Q) = KL(P'‖Q') + ½ g ‖δ‖²`.
    """
    weights, log_p = query.weights[0], query.log_weights[0]
    kept = weights > _NEGLIGIBLE
    if int(kept.sum()) > _MAX_PAIRS:
        kept = torch.zeros_like(kept).index_fill(0, log_p.topk(_MAX_PAIRS).indices, True)
    core = AtomsPosterior(query.points[kept], torch.log_softmax(log_p[kept], 0)[None], query.log_evidence)
    mass, shift2 = weights[kept].sum(), (core.mean - query.mean).square().sum(dim=1)
    rest = weights[~kept] @ (query.points[~kept] - query.mean).square().sum(dim=1)
    inner = torch.stack([_kl_family_at(core, gap, beta) for beta in _betas_to_try(core, gap)]).amin(dim=0)
    return mass * (inner + gap / 2 * shift2) + gap / 2 * rest


def _betas_to_try(query: AtomsPosterior, gap: float) -> set[float]:
    """All of `BETAS` for few atoms; for many, β = 1 and the best one on the heaviest atoms alone."""
    log_p = query.log_weights[0]
    if len(log_p) <= _HEAVY:
        return set(BETAS)
    heavy = log_p.topk(_HEAVY).indices
    proxy = AtomsPosterior(query.points[heavy], torch.log_softmax(log_p[heavy], 0)[None], query.log_evidence)
    values = torch.cat([_kl_family_at(proxy, gap, beta) for beta in BETAS])
    return {BETAS[int(values.argmin())], 1.0}


def _kl_family_at(query: AtomsPosterior, gap: float, beta: float) -> Tensor:
    log_p = query.log_weights[0]
    m = math.sqrt(gap) * (query.points - query.mean)
    eigenvalues, basis = torch.linalg.eigh(gap * query.cov[0])
    eigenvalues = eigenvalues.clamp(min=0)
    s = 1 - 1 / (1 + (2 * beta - 1) ** 2 * eigenvalues)
    gauss_part = (s + s * eigenvalues - torch.log1p(s)).sum() / 2
    white = (m @ basis) / (1 + s).sqrt()
    own = beta**2 / 2 * white.square().sum(dim=1) - beta / 2 * m.square().sum(dim=1)
    exponents = own[:, None] + own + beta**2 * (white @ white.mT)
    pair_part = log_p.exp() @ log_mean_exp(log_p, exponents)
    return ((1 - beta) * gap * query.trace_cov + gauss_part + pair_part).reshape(1)


_FINITE = "finite data"
_MOMENTS = "finite second moment of the posterior"
_BOUNDED = "posterior of bounded support"

LADDER: tuple[Bound, ...] = (
    Bound("kl_chi2_bound", "B2", "kl", "upper", 2.0, "none (it may be infinite)", False, kl_chi2),
    Bound("tv_chi2_bound", "B2", "tv", "upper", 1.0, "none (it may be infinite)", False, tv_chi2),
    Bound("kl_trace_bound", "B3", "kl", "upper", 1.0, _MOMENTS, False, kl_trace),
    Bound("tv_trace_bound", "B3", "tv", "upper", 0.5, _MOMENTS, False, tv_trace),
    Bound("tv_norm_bound", "B3", "tv", "upper", 0.5, _FINITE, True, tv_norm),
    Bound("kl_gauss_lower", "B5", "kl", "lower", 2.0, _MOMENTS, False, kl_gauss_lower),
    Bound("kl_small_gap", "B6", "kl", "leading", 2.0, _BOUNDED, False, kl_small_gap),
    Bound("kl_moment_small_gap", "B6", "kl_moment", "leading", 3.0, _BOUNDED, True, kl_moment_small_gap),
    Bound("kl_pair_bound", "B9", "kl", "upper", 1.0, _FINITE, True, kl_pair_upper),
    Bound("kl_pair_lower", "B9", "kl", "lower", None, _FINITE, True, kl_pair_lower),
    Bound("kl_family_bound", "B10", "kl", "upper", 2.0, _FINITE, True, kl_family),
)
"""All rungs, in the order of their statements."""


def bound_named(name: str) -> Bound:
    """The rung of that name. Raises `InputError` for an unknown one."""
    for rung in LADDER:
        if rung.name == name:
            return rung
    raise unknown_name("bound", name, [rung.name for rung in LADDER])


def evaluate_ladder(posterior: Posterior, gap: float) -> dict[str, Tensor]:
    """Every rung that applies to the posterior, by name, each of shape (batch,)."""
    finite = isinstance(posterior, AtomsPosterior)
    if math.isinf(gap):
        return {rung.name: torch.full((len(posterior),), torch.inf, dtype=torch.float64) for rung in LADDER}
    return {rung.name: rung.evaluate(posterior, gap) for rung in LADDER if finite or not rung.finite_only}

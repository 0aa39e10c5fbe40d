r"""The ladder of bounds on the Gaussian reverse-process error: B2, B3, B5, B6, B9, B10 and B12.

Each bound is an object that declares what it bounds, from which side, under which assumptions, and the power of the gap g at which it
vanishes as g → 0; a test fits the slope and compares. Everything is a function of the posterior at t and of g alone (A3).
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Literal, ParamSpec

import torch
from torch import Tensor

from singtheory import divergence, formula, numerics
from singtheory.bound import pairwise, variation
from singtheory.divergence import Components, chi_square
from singtheory.errors import unknown_name
from singtheory.law import Posterior


@dataclass(frozen=True)
class Bound:
    """One bound of the ladder.

    Attributes:
        name: the name in tables and JSON.
        statement: the statement id, as on docs/derivations/b.md.
        quantity: `kl` for KL(P‖Q), `kl_moment` for KL(P‖M), `tv` for TV(P, Q).
        side: `upper` or `lower`; `leading` for the small-gap value that is exact to first order.
        rate: the power of g at which it vanishes as g → 0; None for a bound that is 0 there, where it says nothing.
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


_More = ParamSpec("_More")
_AtGap = Callable[Concatenate[Posterior, float, _More], Tensor]


def _in_domain(evaluate: _AtGap[_More]) -> _AtGap[_More]:
    """`evaluate` behind a check: it raises `InputError` for a gap beyond the domain (`singtheory.numerics.domain`)."""

    @functools.wraps(evaluate)
    def checked(posterior: Posterior, gap: float, *more: _More.args, **named: _More.kwargs) -> Tensor:
        numerics.check_precisions("gap", gap)
        return evaluate(posterior, gap, *more, **named)

    return checked


@_in_domain
def kl_chi2(posterior: Posterior, gap: float) -> Tensor:
    """`KL ≤ log(1 + χ²)` (B2)."""
    if posterior.finite:
        return _each(posterior, lambda core: _least_kl(core, pairwise.log1p_chi2(core, gap), gap))
    return _of_components(posterior, gap, lambda of: chi_square(of).high)


@_in_domain
def tv_chi2(posterior: Posterior, gap: float) -> Tensor:
    """`TV ≤ ½ √χ²` (B2)."""
    if posterior.finite:
        return _each(posterior, lambda core: _tv_chi2(core, gap))
    return formula.tv_chi2_bound(torch.expm1(kl_chi2(posterior, gap)), torch) * formula.UP


def _least_kl(core: pairwise.Core, core_bound: Tensor, gap: float) -> Tensor:
    """From a bound on the core's KL one on all of it, or B2 for all atoms by their moments, whichever is less."""
    return torch.minimum(core.kl_upper(core_bound, gap), pairwise.log1p_chi2_of_all(core, gap))


def _tv_chi2(core: pairwise.Core, gap: float) -> Tensor:
    of_core = core.tv_upper(_half_root_chi2(pairwise.log1p_chi2(core, gap), core, gap))
    of_all = formula.tv_chi2_bound(torch.expm1(pairwise.log1p_chi2_of_all(core, gap)), torch) * formula.UP
    return torch.minimum(of_core, of_all)


def _half_root_chi2(log1p_chi2: Tensor, core: pairwise.Core, gap: float) -> Tensor:
    """`½ √χ²` of the core, and the TV between the Gaussians at its mean and at the posterior's, `√g δ` apart."""
    return formula.tv_chi2_bound(torch.expm1(log1p_chi2), torch) + _moved(core, gap)


def _moved(core: pairwise.Core, gap: float) -> Tensor:
    """At least the TV between unit Gaussians at the core's mean and at the posterior's: B3 for a distance."""
    distance = math.sqrt(gap) * core.shift
    return formula.tv_trace_bound(1.0, torch.where(distance > 0, distance.clamp(min=1e-150), 0.0).square(), torch)


@_in_domain
def kl_trace(posterior: Posterior, gap: float) -> Tensor:
    """`KL ≤ ½ g tr C` (B3)."""
    return formula.kl_trace_bound(1.0, _spread(posterior, gap)) * formula.UP


@_in_domain
def tv_trace(posterior: Posterior, gap: float) -> Tensor:
    """`TV ≤ √(g tr C/2π)` (B3)."""
    return formula.tv_trace_bound(1.0, _spread(posterior, gap), torch) * formula.UP


def _spread(posterior: Posterior, gap: float) -> Tensor:
    """At least `g tr C`, shape (batch,); of components made at the gap, for small variances of rare ones would underflow without it."""
    if posterior.finite:
        return _each(posterior, lambda core: gap * (core.all_trace + (5e-300 if core.apart else 0.0)))
    return _of_components(
        posterior, gap, lambda of: of.trace + of.trace_error + (formula.LEAST_FLOAT if len(of.p) > 1 else 0.0)
    )


@_in_domain
def tv_norm(posterior: Posterior, gap: float) -> Tensor:
    """`TV ≤ E[2Φ(√g‖ξ‖/2) − 1]`, the TV distances of the components averaged (B3)."""
    return _each(posterior, lambda core: _tv_norm(core, gap))


def _tv_norm(core: pairwise.Core, gap: float) -> Tensor:
    log_weights, errors = core.query.log_weights[0], core.query.log_weight_error[0]
    # a weight that underflows is at most the least float
    weights = torch.where(log_weights > -torch.inf, log_weights.exp().clamp(min=formula.LEAST_FLOAT), 0.0)
    distances = math.sqrt(gap) * core.lengths
    apart = formula.tv_shift(torch.where(distances > 0, distances.clamp(min=1e-150), 0.0), torch)
    total = (weights * (1 + 2 * torch.expm1(errors.clamp(max=700.0))) * formula.UP) @ apart
    return total + (formula.LEAST_FLOAT if bool(((weights > 0) & (apart > 0)).any()) else 0.0)  # as may the product


@_in_domain
def kl_small_gap(posterior: Posterior, gap: float) -> Tensor:
    """`(g²/4)‖C‖_F²`, the leading order of KL(P‖Q) (B6)."""
    # of gC, for a square of a gap may underflow where that of C overflows
    values = [Components.of(query, gap).eigenvalues.square().sum() for query in posterior]
    return formula.kl_small_gap(1.0, torch.stack(values))


@_in_domain
def kl_moment_small_gap(posterior: Posterior, gap: float) -> Tensor:
    """`(g³/12)‖κ‖²`, the leading order of KL(P‖M) (B6)."""
    scaled = _each(posterior, lambda core: core.p @ (gap * core.gram).pow(3) @ core.p)
    # a sum of infinities of both signs is none, and of what adds up to nothing rounding may leave a negative number
    return formula.kl_moment_small_gap(1.0, scaled.nan_to_num(nan=torch.inf).clamp(min=0))


def skewness2(posterior: Posterior) -> Tensor:
    """`‖κ‖² = E⟨ξ, ξ'⟩³` for independent ξ, ξ' (B6), shape (batch,)."""
    return _each(posterior, lambda core: core.p @ core.gram.pow(3) @ core.p).clamp(min=0)


@_in_domain
def kl_pair_upper(posterior: Posterior, gap: float) -> Tensor:
    """`½ g tr C + Σ p_i log Σ p_j exp(−g d_ij²/8)` (B9, upper)."""
    return _each(posterior, lambda core: core.kl_upper(pairwise.pair_upper(core, gap), gap))


@_in_domain
def kl_pair_lower(posterior: Posterior, gap: float) -> Tensor:
    """`½ g tr C + Σ p_i log Σ p_j exp(−g d_ij²/2)` (B9, lower), as it is stated: negative at small gaps."""
    return _each(posterior, lambda core: core.kl_lower(pairwise.pair_lower(core, gap), gap))


def _kl_pair_lower(posterior: Posterior, gap: float) -> Tensor:
    """B9's lower bound, or 0 where it says less than that KL is not negative."""
    return kl_pair_lower(posterior, gap).clamp(min=0)


@_in_domain
def kl_family(posterior: Posterior, gap: float) -> Tensor:
    """B10 with `S = I − (I + (2β−1)² gC)⁻¹` and the best of `pairwise.BETAS`; for many atoms two, one by rule, with B9, which is that at ½."""
    return _each(posterior, lambda core: _least_kl(core, pairwise.family(core, gap), gap))


@_in_domain
def kl_family_at(posterior: Posterior, gap: float, beta: float) -> Tensor:
    """B10 at one β (`pairwise.family_at`), shape (batch,)."""
    return _each(posterior, lambda core: core.kl_upper(pairwise.family_at(core, gap, beta) + core.rounding(gap), gap))


@_in_domain
def tv_family(posterior: Posterior, gap: float) -> Tensor:
    """The least of what B10 implies for TV, through KL alone and over M (B12), of B2, of B3 and of 1."""

    def value(core: pairwise.Core) -> Tensor:
        return core.tv_upper(variation.upper(core, gap) + _moved(core, gap))

    others = torch.minimum(tv_norm(posterior, gap), tv_chi2(posterior, gap))
    return torch.minimum(_each(posterior, value), others).clamp(max=1)


def _each(posterior: Posterior, value: Callable[[pairwise.Core], Tensor]) -> Tensor:
    """A value of each query's core, shape (batch,). Raises `InputError` for a posterior with a density."""
    atoms = posterior.atoms()
    queries = [atoms] if len(atoms) == 1 else atoms  # the same object finds its core again
    return torch.stack([value(pairwise.core(query)) for query in queries])


def _of_components(posterior: Posterior, gap: float, value: Callable[[Components], float]) -> Tensor:
    """A value of each query's components, shape (batch,)."""
    values = [value(Components.of(query, gap)) for query in posterior]
    return torch.tensor(values, dtype=torch.float64, device=posterior.mean.device)


@_in_domain
def kl_gauss_lower(posterior: Posterior, gap: float) -> Tensor:
    """`½ Σ (gλ − log(1 + gλ)) ≤ KL` (B5)."""
    return divergence.kl_gauss_low(posterior, gap)


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
    Bound("kl_pair_lower", "B9", "kl", "lower", None, _FINITE, True, _kl_pair_lower),
    Bound("kl_family_bound", "B10", "kl", "upper", 2.0, _FINITE, True, kl_family),
    Bound("tv_family_bound", "B12", "tv", "upper", 1.0, _FINITE, True, tv_family),
)
"""All bounds, in the order of their statements."""


def bound_named(name: str) -> Bound:
    """The bound of that name. Raises `InputError` for an unknown one."""
    for bound in LADDER:
        if bound.name == name:
            return bound
    raise unknown_name("bound", name, [bound.name for bound in LADDER])


def evaluate_ladder(posterior: Posterior, gap: float) -> dict[str, Tensor]:
    """Every bound that applies to the posterior, by name, each of shape (batch,); for g = ∞ its limit; for another gap beyond the domain `InputError`.

    There KL is infinite, and so are its bounds, unless the posterior is a single point.
    """
    bounds = [bound for bound in LADDER if posterior.finite or not bound.finite_only]
    if math.isinf(gap):
        spread = ~divergence.is_point(posterior)
        return {bound.name: _at_infinity(bound, posterior, spread) for bound in bounds}
    columns = [{bound.name: bound.evaluate(query, gap) for bound in bounds} for query in posterior]
    return {bound.name: torch.cat([column[bound.name] for column in columns]) for bound in bounds}


def _at_infinity(bound: Bound, posterior: Posterior, spread: Tensor) -> Tensor:
    """0 for a single point; else TV's own bounds are 1, all others infinite."""
    most = 1.0 if bound.name in ("tv_norm_bound", "tv_family_bound") else math.inf
    return torch.where(spread, most, 0.0).to(torch.float64)

r"""Bounds on `TV(P, Q)` that keep their digits at small and at large gaps (B12).

From above, the least of what U, the bound of B10 on `KL(P‖Q)`, implies through Pinsker and through Bretagnolle and Huber, and of the way
over M, the Gaussian with the moments of P: `TV(M, Q)` and what B10 leaves of U for `KL(P‖M)`, or `½ √χ²(P‖M)`. From below, TV along a
line, where the set on which `dP/dQ ≤ 1` is an interval and TV a sum of normal distribution functions.
"""

import math

import torch
from torch import Tensor

from singtheory import divergence, formula
from singtheory.bound import pairwise
from singtheory.bound.pairwise import Core
from singtheory.divergence import Components, moments_kl
from singtheory.law import AtomsPosterior

_SMALL = 30.0
"""Below this the exponents are summed by expm1, which keeps the digits of a χ² near zero."""


def upper(core: Core, gap: float) -> Tensor:
    """The least upper bound on `TV(P, Q)` of a core, Q centred at its own mean."""
    spread, rounding = gap * core.principal[0], core.rounding(gap)
    kl = pairwise.family(core, gap) + rounding
    rest = (kl - moments_kl(core.at(gap)).low).clamp(min=0)
    over_moments = (
        moments_tv(spread)
        + rounding
        + torch.minimum(formula.tv_pinsker(rest, torch), formula.tv_chi2_bound(moments_chi2(core, gap), torch))
    )
    bounds = [formula.tv_pinsker(kl, torch), formula.tv_bretagnolle_huber(kl, torch), over_moments]
    return torch.stack(bounds).amin() * formula.UP


def moments_tv(spread: Tensor) -> Tensor:
    """`TV(M, Q)` in one dimension; in more, at most the sum over the eigenvectors, and at most Pinsker's of `KL(M‖Q)`."""
    along_each = torch.where(spread > 0, formula.tv_widening(spread.clamp(min=1e-300), torch) + 8 * formula.DOUBLE, 0.0)
    if len(spread) == 1:
        return along_each[0]
    return torch.minimum(along_each.sum(), formula.tv_pinsker(formula.log1p_rest(spread, torch).sum() / 2, torch))


def moments_chi2(core: Core, gap: float) -> Tensor:
    """At least `χ²(P‖M) = Σ p_i p_j Π_k √(s/A) exp(½ (m_i+m_j)_k²/A − ½ (m_i² + m_j²)_k) − 1`, `s = 1 + gλ_k`, `A = 2 − 1/s`; infinite where its exponents are all rounding."""
    variances, basis = core.principal
    shrunk = gap * variances / (1 + gap * variances)
    a = 1 + shrunk
    shifts = math.sqrt(gap) * (core.xi @ basis)
    white = shifts / a.sqrt()
    own = (white.square() - shifts.square()).sum(dim=1) / 2
    exponents = (
        (white @ white.mT).add_(own).add_(own[:, None]).sub_(torch.log1p(-shrunk.square()).sum() / 2)
    )  # s/A = 1/(1 − shrunk²), without cancellation
    highest, lost = float(exponents.max()), _lost(core, shifts)
    if not lost < 0.1:
        return torch.full_like(core.mass, torch.inf)
    if highest < _SMALL:
        chi2 = (core.p @ exponents.expm1_() @ core.p).clamp(min=0)
    else:
        chi2 = torch.expm1(highest + (core.p @ exponents.sub_(highest).exp_() @ core.p).log()).clamp(min=0)
    return chi2 + (1 + chi2) * math.expm1(lost)


def _lost(core: Core, shifts: Tensor) -> float:
    """At least the error of the exponents, and of the logarithms of the pairs of weights."""
    sizes = 4 * (core.xi.shape[1] + 20) * formula.DOUBLE * (1 + float(shifts.square().sum(dim=1).max()))
    return sizes + 2 * float(core.log_p_error.max())


def projected(posterior: AtomsPosterior, gap: float, direction: Tensor) -> float:
    """`TV(P, Q)` along a direction, at most that in all: a projection loses information. One query.

    Args:
        posterior: of one query.
        gap: g.
        direction: shape (d,), not zero.
    """
    parts = posterior.parts()
    moved = parts.places - parts.places[int(parts.log_p.argmax())]
    direction = direction.to(torch.float64)
    line = (moved @ (direction / direction.norm()))[:, None]
    # of the differences, the unit vector and the product; what is lost of a place is no part of its projection
    lost = 2 * (moved.shape[1] + 8) * formula.DOUBLE * moved.norm(dim=1)
    points = torch.zeros_like(line), torch.ones_like(line)[:, :, None]
    along = Components(parts.log_p, parts.log_p_error, line, gap, *points, torch.zeros_like(line), lost)
    return float(divergence.components_tv(along).low)


def lower(posterior: AtomsPosterior, gap: float) -> float:
    """`TV(P, Q)` along the leading eigenvector of C: exact in one dimension (B12). One query."""
    _, basis = torch.linalg.eigh(posterior.cov[0])
    return projected(posterior, gap, basis[:, -1])

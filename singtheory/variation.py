r"""Bounds on `TV(P, Q)` that keep their digits at small and at large gaps (B12).

From above, the least of what U, the bound of B10 on `KL(P‖Q)`, implies through Pinsker and through Bretagnolle and Huber, and of the way
over M, the Gaussian with the moments of P: `TV(M, Q)` and what B10 leaves of U for `KL(P‖M)`, or `½ √χ²(P‖M)`. From below, TV along a
line, where the set on which `dP/dQ ≤ 1` is an interval and TV a sum of normal distribution functions.
"""

import math

import torch
from torch import Tensor

from singtheory import divergence, formula, pairwise
from singtheory.pairwise import Core
from singtheory.posterior import AtomsPosterior

_ROUNDINGS = 8
"""Roundings in a sum over pairs; what they may hide is added, so that the bound stays one where the divergences are as small."""
_SMALL = 30.0
"""Below this the exponents are summed by expm1, which keeps the digits of a χ² near zero."""


def upper(core: Core, gap: float) -> Tensor:
    """The least upper bound on `TV(P, Q)` of a core, Q centred at its own mean."""
    spread = gap * core.principal[0]
    rounding = _ROUNDINGS * torch.finfo(spread.dtype).eps * spread.sum()  # sums of size g tr C cancel to KL and to χ²
    kl = pairwise.family(core, gap).clamp(min=0) + rounding
    rest = (kl - formula.kl_gauss_term(gap, core.principal[0], torch).sum()).clamp(min=0) + rounding
    over_moments = moments_tv(spread) + torch.minimum(
        formula.tv_pinsker(rest, torch), formula.tv_chi2_bound(moments_chi2(core, gap) + rounding, torch)
    )
    found = [formula.tv_pinsker(kl, torch), formula.tv_bretagnolle_huber(kl, torch), over_moments]
    return torch.stack(found).amin()


def moments_tv(spread: Tensor) -> Tensor:
    """`TV(M, Q)` in one dimension; in more, at most the sum over the eigenvectors, and at most Pinsker's of `KL(M‖Q)`."""
    along_each = torch.where(spread > 0, formula.tv_widening(spread.clamp(min=1e-300), torch), 0.0)
    if len(spread) == 1:
        return along_each[0]
    return torch.minimum(along_each.sum(), formula.tv_pinsker(formula.kl_gauss_term(1.0, spread, torch).sum(), torch))


def moments_chi2(core: Core, gap: float) -> Tensor:
    """`χ²(P‖M) = Σ p_i p_j Π_k √(s/A) exp(½ (m_i+m_j)_k²/A − ½ (m_i² + m_j²)_k) − 1`, `s = 1 + gλ_k`, `A = 2 − 1/s`; always finite."""
    variances, basis = core.principal
    shrunk = gap * variances / (1 + gap * variances)
    a = 1 + shrunk
    shifts = math.sqrt(gap) * (core.xi @ basis)
    white = shifts / a.sqrt()
    own = (white.square() - shifts.square()).sum(dim=1) / 2
    exponents = (
        (white @ white.mT).add_(own).add_(own[:, None]).sub_(torch.log1p(-shrunk.square()).sum() / 2)
    )  # s/A = 1/(1 − shrunk²), without cancellation
    highest = float(exponents.max())
    if highest < _SMALL:
        return (core.p @ exponents.expm1_() @ core.p).clamp(min=0)
    return torch.expm1(highest + (core.p @ exponents.sub_(highest).exp_() @ core.p).log()).clamp(min=0)


def projected(posterior: AtomsPosterior, gap: float, direction: Tensor) -> float:
    """`TV(P, Q)` along a direction, at most that in all: a projection loses information. One query.

    Args:
        posterior: of one query.
        gap: g.
        direction: shape (d,), not zero.
    """
    line = (posterior.points @ (direction / direction.norm()))[:, None]
    along = AtomsPosterior.of(line, posterior.log_weights[0])
    return float(divergence.tv_exact(along, gap).value)


def lower(posterior: AtomsPosterior, gap: float) -> float:
    """`TV(P, Q)` along the leading eigenvector of C: exact in one dimension (B12). One query."""
    _, basis = torch.linalg.eigh(posterior.cov[0])
    return projected(posterior, gap, basis[:, -1])

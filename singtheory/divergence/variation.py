r"""TV in one dimension, from the interval on which `r = dP/dQ ≤ 1` (B12).

Each component's ratio to Q is the exponential of a convex function of u, so r is convex; `E_Q r = 1` and `E_Q u r = 0` give `r(0) ≤ 1`. So `{r ≤ 1}` is an interval
about 0 with one root of `r = 1` on either side, and `TV = ∫ (1 − r) dQ` over it: of one sign, so that the digits of a small TV stay.
"""

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence.cells import Value, nodes_of, refine
from singtheory.divergence.components import Components
from singtheory.errors import InputError
from singtheory.estimate import Estimate
from singtheory.law import Posterior

_REACH = 38.0
"""Q has less than 1e-314 of its mass beyond."""
_POINTS, _ROUNDS = 17, 18
"""A bracket of a root is cut by 16 in each round."""
_SPENT = 32
"""Roundings in a density, in units of its exponent."""


def tv_exact(posterior: Posterior, gap: float) -> Estimate:
    """`TV(P, Q)` in one dimension (B12); the interval holds the rule's error and the rounding. Raises `InputError` in more dimensions."""
    if posterior.mean.shape[1] != 1:
        raise InputError(f"exact TV in {posterior.mean.shape[1]} dimensions: it serves one, use tv_monte_carlo")
    return Estimate.stack([components_tv(Components.of(query, gap).on_host()) for query in posterior])


def components_tv(of: Components) -> Estimate:
    """`TV(P, Q)` of one query's components on a line."""
    low, high = _roots(of)
    # where r climbs to one within a step of 1/m beside a far root, cells are halved until they agree
    between = torch.linspace(float(low), float(high), 9, dtype=torch.float64)
    edges = torch.cat([low[None], torch.zeros_like(low[None]), high[None], between]).unique()
    integral = refine(lambda n, _: _shortfall(of, n), [(-1, edges[:-1, None], edges[1:, None])])
    error = (
        integral.error
        + integral.rounding
        + float(of.tilt @ _slopes(of, integral))
        + 64 * formula.DOUBLE * integral.value
        + 1e-300
    )
    value = min(integral.value, 1.0)
    return Estimate.single(value, max(0.0, value - error), min(1.0, value + error), "exact")


def _roots(of: Components) -> Tensor:
    """Where r exceeds 1 to the left and to the right of 0, or the ends of Q's mass, shape (2,): both brackets are cut in one pass over the components."""
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    low, high = torch.zeros_like(sign), torch.full_like(sign, _REACH)
    open_, unreached = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    inside = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
    for _ in range(_ROUNDS):
        at = low[:, None] + (high - low)[:, None] * inside
        above = of.ratio((sign[:, None] * at).flatten()[:, None]).excess.view_as(at) > 0
        unreached |= open_ & ~above.any(dim=1)
        first = above.to(torch.int8).argmax(dim=1, keepdim=True)
        open_ &= ~unreached
        low = torch.where(open_, at.gather(1, (first - 1).clamp(min=0))[:, 0], low)
        high = torch.where(open_, at.gather(1, first)[:, 0], high)
        open_ &= high - low > 2 * formula.DOUBLE * high  # else they are neighbours among the numbers of float64
        if not bool(open_.any()):
            break
    return sign * torch.where(unreached, high, (low + high) / 2)


def _shortfall(of: Components, n: Tensor) -> tuple[Tensor, Tensor]:
    """`(1 − r)` times Q's density where it is positive, and at least its error."""
    at = of.ratio(n)
    density = at.log_q.exp()
    value = (-at.excess).clamp(min=0) * density
    return value, (1 + at.excess.clamp(max=0)) * at.error * density + _SPENT * formula.DOUBLE * (
        1 + at.log_q.abs()
    ) * value


def _slopes(of: Components, integral: Value) -> Tensor:
    """At least what a relative change of each weight moves TV by, shape (k,); Q moves with the mean.

    With `r_j = e^{l_j}` it is `p_j ∫ |r_j − 1 − m_j w| dQ`, `w = u r − r'`, which differs from u by terms of the order of r − 1.
    """
    total = torch.zeros_like(of.p)
    for n, weights, _ in nodes_of(integral):
        at, density = of.exponents(n, of.centres), (-n.square().sum(dim=1) / 2).exp() / (2 * torch.pi) ** 0.5
        ratio = torch.exp(at.value.clamp(max=700.0))
        linear = n @ of.centres.mT
        slope = ratio * _slope(of, n)
        drift = n[:, 0] * (ratio @ of.p) - slope @ of.p - n[:, 0]
        total += (weights * density) @ (
            (torch.expm1(at.value.clamp(max=700.0)) - linear).abs() + drift.abs()[:, None] * of.centres[:, 0].abs()
        )
    return of.p * total


def _slope(of: Components, n: Tensor) -> Tensor:
    """`dl_j/du`, shape (nodes, k)."""
    if of.spread is None:
        return of.centres[:, 0].expand(len(n), len(of.p))
    s = of.spread[:, 0]
    return (s * n + of.centres[:, 0]) / (1 + s)

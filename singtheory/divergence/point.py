r"""The last step, to s = 0: there P is the posterior itself and Q the point x̂.

`TV(P, δ_x̂) = 1 − P({x̂})`, which is below one where x̂ is one of the points: `Σ w_j (y_j − y_i) e^{e_j} = 0`, `e_j = √γ⟨z, y_j⟩ − ½γ‖y_j‖²`. Powers of e with
different algebraic exponents are linearly independent over the algebraic numbers (Lindemann and Weierstrass), so that this holds if and only if the sum
`Σ w_j (y_j − y_i)` over each set of points with one exponent is zero: a question in rational numbers, which is decided exactly.
"""

import math
from collections import defaultdict
from fractions import Fraction

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence.components import Components
from singtheory.divergence.gauss import root_trace
from singtheory.estimate import Estimate
from singtheory.law import AtomsPosterior, Posterior


def is_point(posterior: Posterior) -> Tensor:
    """Whether all mass lies on one point, shape (batch,)."""
    return torch.tensor([_is_point(Components.of(query, 1.0)) for query in posterior], device=posterior.mean.device)


def _is_point(of: Components) -> bool:
    return not bool((of.points != 0).any()) and (of.spread is None or not bool((of.spread > 0).any()))


def to_point(posterior: Posterior) -> Estimate:
    """KL and χ² to the point: infinite, but 0 where the posterior is that point."""
    return Estimate.exact(torch.where(is_point(posterior), 0.0, math.inf).to(torch.float64))


def tv_to_point(posterior: Posterior) -> Estimate:
    """`1 − P({x̂})`."""
    return Estimate.stack([_tv(query) for query in posterior])


def w2_to_point(posterior: Posterior) -> Estimate:
    """`√tr C`, in units of the data (D3)."""
    roots = [root_trace(Components.of(query, 1.0)) for query in posterior]
    return Estimate.stack([Estimate.single(root.value, root.low, root.high, "exact") for root in roots])


def _tv(query: Posterior) -> Estimate:
    of = Components.of(query, 1.0)
    solid = of.spread_trace == 0
    chance = float(of.tilt.max()) + 64 * formula.DOUBLE
    sizes = (of.p @ of.points.abs()).sum() + of.points.abs().sum(dim=1)
    near = solid & (of.centres.abs().sum(dim=1) <= chance * sizes + of.dim**0.5 * of.centre_errors)
    if not bool(near.any()):
        return Estimate.single(1.0, 1.0, 1.0, "exact")
    # points that are equal to each other are one
    first = int(near.nonzero()[0])
    same = solid & (of.points == of.points[first]).all(dim=1)
    left = float(of.p[~same].sum())
    lost = left * chance
    if _is_point(of) or (query.finite and mean_is(query.atoms(), _original(query.atoms(), first))):
        return Estimate.single(left, max(0.0, left - lost), min(1.0, left + lost), "exact")
    if query.finite:
        return Estimate.single(1.0, 1.0, 1.0, "exact")
    value = left if bool((of.centres[first] == 0).all()) else 1.0
    return Estimate.single(value, max(0.0, left - lost), 1.0, "exact")


def _original(query: AtomsPosterior, kept: int) -> int:
    """The number of a point among all, from that among those with weight."""
    return int((query.log_weights[0] > -torch.inf).nonzero()[kept])


def mean_is(query: AtomsPosterior, number: int) -> bool:
    """Whether the posterior mean is exactly the point of that number; one query."""
    # most data are decided by this, and rational numbers of many points take minutes
    if bool((_alone(query) & (query.points != query.points[number]).any(dim=1)).any()):
        return False
    snr, z = Fraction(float(query.snr[0])), [Fraction(v) for v in query.z[0].tolist()]
    target = [Fraction(v) for v in query.points[number].tolist()]
    root = _root(snr)
    sums: defaultdict[tuple[Fraction, Fraction], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * len(target))
    weights = query.engine.points.weights.tolist()
    for weight, point in zip(weights, query.points.tolist(), strict=True):
        if weight > 0:
            y = [Fraction(v) for v in point]
            linear = sum((a * b for a, b in zip(z, y, strict=True)), Fraction(0))
            square = sum((v * v for v in y), Fraction(0)) / 2
            key = (linear, square) if root is None else (root * linear - snr * square, Fraction(0))
            moved = [Fraction(weight) * (a - b) for a, b in zip(y, target, strict=True)]
            sums[key] = [a + b for a, b in zip(sums[key], moved, strict=True)]
    return all(value == 0 for total in sums.values() for value in total)


def _alone(query: AtomsPosterior) -> Tensor:
    """Points of positive weight whose exponent is surely no other's: their sums have one term, which is zero for the point itself only; shape (n,)."""
    snr, z, y = query.snr[0], query.z[0], query.points
    exponents = snr.sqrt() * (y @ z) - snr / 2 * y.square().sum(dim=1)
    sizes = snr.sqrt() * (y.abs() @ z.abs()) + snr * y.square().sum(dim=1)
    errors = 2 * (y.shape[1] + 8) * formula.DOUBLE * sizes + 1e-300
    kept = query.engine.points.weights > 0
    low, high = torch.where(kept, exponents - errors, torch.inf), torch.where(kept, exponents + errors, -torch.inf)
    order = low.argsort()
    low, high = low[order], high[order].cummax(dim=0).values
    beyond = torch.full((1,), torch.inf, dtype=low.dtype, device=low.device)
    # apart from all that begin before it, and from the next
    apart = (low > torch.cat([-beyond, high[:-1]])) & (high < torch.cat([low[1:], beyond]))
    alone = torch.zeros_like(kept)
    alone[order] = apart & kept[order]
    return alone


def _root(x: Fraction) -> Fraction | None:
    """The root where it is rational."""
    above, below = math.isqrt(x.numerator), math.isqrt(x.denominator)
    return Fraction(above, below) if above**2 == x.numerator and below**2 == x.denominator else None

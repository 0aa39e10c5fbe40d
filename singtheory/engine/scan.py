"""Posterior means by products in float64 over all atoms, one pass, block by block, with a bound on the rounding.

A log weight is `√γ⟨z′, y′_i⟩ − ½γ‖y′_i‖² + log w_i`, up to a constant, with `y′ = y − μ` and `z′ = z − √γ μ`. Products are summed over
parts of the width, so that few roundings meet on a path.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine.points import BLOCK, Points, sum_roundings
from singtheory.engine.results import PosteriorMoments, Sums
from singtheory.engine.statistic import Statistic

_INNER = 512
"""Atoms whose weighted sum is taken at once: its roundings grow with them."""
_SAFE = 1.01
"""Over first-order counts of roundings, whose higher orders are below 1e-9."""
_LOWEST = -1e300
_PARTS = (1, 2, 4, 8, 11, 14, 17, 20, 24)
"""Into how many the width may be cut, beside the most."""
_WIDER = 1.2
"""Times as far as is expected a posterior may spread, and is still weighed in as many parts: to weigh a few again takes longer than more parts for all."""
_LARGEST_DELTA = 1e-2
"""The largest error of log weights: `e^δ − 1` is below `1.01 δ` for all up to it."""


def parts_for(points: Points, z: Tensor, snr: Tensor, spread: Tensor, tol: float) -> int:
    """Into how many parts the width is cut: the fewest for which rounding should stay below `tol`, as more would cost time.

    Args:
        points: the atoms.
        z: shape (batch, d).
        snr: shape (batch,).
        spread: what `√tr C` is expected to be, shape (batch,).
        tol: relative to the scale of the points.
    """
    shifted, deviation = points.shifted(z, snr), math.sqrt(points.variance)
    rounding, most = _sums_rounding(points) * deviation + formula.DOUBLE * points.mean.norm(), most_parts(points)
    for parts in (few for few in _PARTS if few < most):
        delta = logit_error(points, shifted, snr, parts, deviation)
        if float((_WIDER * delta * spread).max() + rounding) <= tol * points.scale:
            return parts
    return most


def _sums_rounding(points: Points) -> float:
    """The rounding of both sums of a mean's ratio and of the division, relative to the root mean square of `‖y′‖` under the weights."""
    inner = formula.accumulation(min(_INNER, points.total) + 10 * _blocks(points), formula.DOUBLE)
    return 2 * inner + 3 * formula.DOUBLE


def _blocks(points: Points) -> float:
    return points.total / BLOCK + 1


def most_parts(points: Points) -> int:
    """The number of parts with which the fewest roundings meet."""
    return max(1, round(points.dim**0.5))


def logit_error(points: Points, shifted: Tensor, snr: Tensor, parts: int, norm: Tensor | float) -> Tensor:
    """`δ`: at least the root mean square error of log weights over atoms of root mean square `‖y′‖` `norm`, shape (batch,).

    An atom's is `(p √γ‖z′‖ + 3γ‖μ‖)‖y′‖ + q γ‖y′‖²/2 + …` times u; the mean distance from the largest is at most `log n`.

    Args:
        points: the atoms.
        shifted: `z′`, shape (batch, d).
        snr: shape (batch,).
        parts: of the width.
        norm: number or shape (batch,).
    """
    product = -(-points.dim // parts) + _group(parts) + -(-parts // _group(parts)) + 9
    root = snr.sqrt() * shifted.norm(dim=1) + 3 * snr * points.mean.norm() / product
    squares = (sum_roundings(points.dim) + 10) * snr * points.radius / 2
    others = math.log(points.total) - 9 * points.least_log_weight + 8 + 5 * (points.total / BLOCK + 1)
    return _SAFE * formula.logit_error(formula.DOUBLE, product * root * norm, squares * norm, others)


def scan(points: Points, z: Tensor, snr: Tensor, parts: int, statistics: Sequence[Statistic] = ()) -> PosteriorMoments:
    """The posteriors of some queries, from all atoms.

    Args:
        points: the atoms.
        z: shape (batch, d).
        snr: shape (batch,).
        parts: into how many the width is cut.
        statistics: each sees every block.
    """
    z = points.shifted(z, snr)
    top = torch.full((len(z),), _LOWEST, dtype=torch.float64, device=z.device)
    total, square, first_moment = torch.zeros_like(top), torch.zeros_like(top), torch.zeros_like(z)
    for first, block in points.blocks():
        rows = slice(first, first + len(block))
        logits = _products(z, block, parts).mul_(snr.sqrt()[:, None])
        logits.addcmul_(snr[:, None], points.norms2[rows], value=-0.5).add_(points.log_weights[rows])
        for statistic in statistics:
            statistic.update(torch.arange(first, first + len(block), device=z.device), logits)
        higher = torch.maximum(top, logits.amax(dim=1))
        decay, weights = torch.exp(top - higher), logits.sub_(higher[:, None]).exp_()
        top = higher
        first_moment.mul_(decay[:, None])
        for part, atoms in zip(weights.split(_INNER, dim=1), block.split(_INNER), strict=True):
            first_moment.addmm_(part, atoms)
        total.mul_(decay).add_(weights.sum(dim=1))
        square.mul_(decay).add_(weights @ points.norms2[rows])
    return _bounded(points, z, snr, parts, points.gathered(Sums(top, total, square, first_moment)))


def _products(z: Tensor, block: Tensor, parts: int) -> Tensor:
    """`⟨z, y_i⟩`, summed part by part, and these in groups, shape (batch, atoms)."""
    width, group = -(-z.shape[1] // parts), _group(parts)
    pairs = list(zip(z.split(width, dim=1), block.split(width, dim=1), strict=True))
    total = _sum_of_products(pairs[:group])
    for first in range(group, len(pairs), group):
        total.add_(_sum_of_products(pairs[first : first + group]))
    return total


def _group(parts: int) -> int:
    """So many parts are summed at once that as many sums are left."""
    return math.isqrt(parts - 1) + 1


def _sum_of_products(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    total = pairs[0][0] @ pairs[0][1].mT
    for left, right in pairs[1:]:
        total.addmm_(left, right.mT)
    return total


def _bounded(points: Points, shifted: Tensor, snr: Tensor, parts: int, sums: Sums) -> PosteriorMoments:
    """The moments with bounds on mean and trace, from the moments of `y′` themselves."""
    mean, second = sums.first_moment / sums.total[:, None], sums.square / sums.total
    log_norm = shifted.square().sum(dim=1) / 2 + points.dim / 2 * math.log(2 * math.pi)
    rounding, norm = _sums_rounding(points), second.sqrt() * _SAFE
    slack = (formula.accumulation(min(BLOCK, points.total) + 10 * _blocks(points), formula.DOUBLE) + rounding) * second
    norm2 = mean.square().sum(dim=1)
    variance = (second - norm2).clamp(min=0)
    # where no log weight is far off, the root mean square of e^δ − 1 is that of δ up to _SAFE
    eta = _SAFE * logit_error(points, shifted, snr, parts, norm)
    small = logit_error(points, shifted, snr, parts, points.radius) < _LARGEST_DELTA
    tilted = formula.tilt_error(eta * (variance + 2 * slack).sqrt(), eta).where(small, torch.inf)
    # both sums of the ratio, and the division
    error = tilted + rounding * norm + formula.DOUBLE * points.mean.norm()
    return PosteriorMoments(mean + points.mean, variance, sums.top + sums.total.log() - log_norm, error)

"""Posterior means by products in float64 over all atoms, one pass, block by block, with a bound on the rounding.

A log weight is `√γ⟨z′, y′_i⟩ − ½γ‖y′_i‖² + log w_i`, up to a constant, with `y′ = y − μ` and `z′ = z − √γ μ`. Products are summed over
parts of the width, so that few roundings meet on a path.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine.points import BLOCK, Points, sum_roundings
from singtheory.engine.results import PosteriorMoments, Sums
from singtheory.engine.statistic import Statistic

_INNER = 512
"""Atoms whose weighted sum is taken at once: its roundings grow with them."""
SMALL_BLOCK = 256
"""Atoms that lie near one another, which a query needs together or not at all."""
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
    path, most = Path.of_all(points), most_parts(points)
    rounding = path.rounding * deviation + formula.DOUBLE * points.mean.norm()
    for parts in (few for few in _PARTS if few < most):
        delta = logit_error(points, shifted, snr, parts, deviation, path.blocks)
        if float((_WIDER * delta * spread).max() + rounding) <= tol * points.scale:
            return parts
    return most


class Path(NamedTuple):
    """How many roundings meet on the way of an atom into a sum.

    Attributes:
        atoms: whose weighted sum is taken at once.
        blocks: after which the sums so far are scaled and added to.
    """

    atoms: float
    blocks: float

    @classmethod
    def of_all(cls, points: Points) -> "Path":
        """In `scan`."""
        return cls(min(_INNER, points.total), points.total / BLOCK + 1)

    @property
    def rounding(self) -> float:
        """Rounding of both sums of a mean's ratio and of the division, relative to the root mean square of `‖y′‖` under the weights."""
        return 2 * formula.accumulation(self.atoms + 10 * self.blocks, formula.DOUBLE) + 3 * formula.DOUBLE


def most_parts(points: Points) -> int:
    """The number of parts with which the fewest roundings meet."""
    return max(1, round(points.dim**0.5))


def logit_error(
    points: Points, shifted: Tensor, snr: Tensor, parts: int, norm: Tensor | float, blocks: float
) -> Tensor:
    """`δ`: at least the root mean square error of log weights over atoms of root mean square `‖y′‖` `norm`, shape (batch,).

    An atom's is `(p √γ‖z′‖ + 3γ‖μ‖)‖y′‖ + q γ‖y′‖²/2 + …` times u; the mean distance from the largest is at most `log n`.

    Args:
        points: the atoms.
        shifted: `z′`, shape (batch, d).
        snr: shape (batch,).
        parts: of the width.
        norm: number or shape (batch,).
        blocks: see `Path`.
    """
    product = -(-points.dim // parts) + _group(parts) + -(-parts // _group(parts)) + 9
    root = snr.sqrt() * shifted.norm(dim=1) + 3 * snr * points.mean.norm() / product
    squares = (sum_roundings(points.dim) + 10) * snr * points.radius / 2
    others = math.log(points.total) - 9 * points.least_log_weight + 8 + 5 * blocks
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
    shifted, path = points.shifted(z, snr), Path.of_all(points)
    sums = _Running(shifted, snr, parts, BLOCK)
    for first, block in points.blocks():
        rows = slice(first, first + len(block))
        logits = sums.logits(slice(None), block, points.norms2[rows], points.log_weights[rows])
        for statistic in statistics:
            statistic.update(torch.arange(first, first + len(block), device=z.device), logits)
        sums.add(slice(None), logits, block, points.norms2[rows])
    return _bounded(points, shifted, snr, parts, path, points.gathered(sums.value()))


def scan_blocks(points: Points, z: Tensor, snr: Tensor, parts: int, needed: Tensor, below: float) -> PosteriorMoments:
    """The posteriors of some queries, each from those blocks of `points.order` that it needs.

    Args:
        points: the atoms.
        z: shape (batch, d).
        snr: shape (batch,).
        parts: into how many the width is cut.
        needed: which blocks of `SMALL_BLOCK` atoms, shape (batch, blocks), at least one a query; what lies in no other is at least `below` under the largest log weight.
        below: see there.
    """
    shifted, path = points.shifted(z, snr), Path(SMALL_BLOCK, float(needed.sum(dim=1).amax()))
    sums = _Running(shifted, snr, parts, SMALL_BLOCK)
    for rows, asking in zip(points.order.split(SMALL_BLOCK), needed.mT, strict=True):
        if bool(asking.any()):
            queries, block = asking.nonzero()[:, 0], points.centred(rows)
            logits = sums.logits(queries, block, points.norms2[rows], points.log_weights[rows])
            sums.add(queries, logits, block, points.norms2[rows])
    moments = _bounded(points, shifted, snr, parts, path, sums.value())
    left_out = formula.truncation_error(points.count * math.exp(-below), 2 * points.radius)
    return replace(moments, error_bound=moments.error_bound + _SAFE * left_out)


class _Running:
    """Sums over blocks of atoms, relative to the largest log weight so far, and the memory of a block.

    Args:
        shifted: `z′`, shape (batch, d).
        snr: shape (batch,).
        parts: into how many the width is cut.
        atoms: at most so many in a block.
    """

    def __init__(self, shifted: Tensor, snr: Tensor, parts: int, atoms: int) -> None:
        self.scaled, self.parts = snr.sqrt()[:, None] * shifted, parts
        self.others = torch.stack([snr, torch.ones_like(snr)], dim=1)
        self.top = torch.full_like(snr, _LOWEST)
        self.total, self.square, self.first_moment = (torch.zeros_like(one) for one in (snr, snr, shifted))
        self._memory = shifted.new_empty(2, len(shifted) * atoms)

    def logits(self, queries: Tensor | slice, block: Tensor, norms2: Tensor, log_weights: Tensor) -> Tensor:
        """Log weights of a block's atoms, shape (queries, atoms); they lie in memory that the next block takes."""
        scaled = self.scaled[queries]
        logits, spare = self._memory[:, : len(scaled) * len(block)].view(2, len(scaled), len(block))
        _products(scaled, block, self.parts, logits, spare)
        return logits.addmm_(self.others[queries], torch.stack([norms2 / -2, log_weights.clamp(min=_LOWEST)]))

    def add(self, queries: Tensor | slice, logits: Tensor, block: Tensor, norms2: Tensor) -> None:
        """Add a block; its log weights are used up."""
        top, first_moment = self.top[queries], self.first_moment[queries]
        higher = torch.maximum(top, logits.amax(dim=1))
        decay, weights = torch.exp(top - higher), logits.sub_(higher[:, None]).exp_()
        first_moment.mul_(decay[:, None])
        for part, atoms in zip(weights.split(_INNER, dim=1), block.split(_INNER), strict=True):
            first_moment.addmm_(part, atoms)
        self.top[queries], self.first_moment[queries] = higher, first_moment
        self.total[queries] = self.total[queries] * decay + weights.sum(dim=1)
        self.square[queries] = self.square[queries] * decay + weights @ norms2

    def value(self) -> Sums:
        """The sums so far."""
        return Sums(self.top, self.total, self.square, self.first_moment)


def _products(z: Tensor, block: Tensor, parts: int, total: Tensor, spare: Tensor) -> None:
    """`⟨z, y_i⟩`, summed part by part, and these in groups; `total` and `spare` have the shape (batch, atoms)."""
    width, group = -(-z.shape[1] // parts), _group(parts)
    pairs = list(zip(z.split(width, dim=1), block.split(width, dim=1), strict=True))
    _sum_of_products(pairs[:group], total)
    for first in range(group, len(pairs), group):
        _sum_of_products(pairs[first : first + group], spare)
        total.add_(spare)


def _group(parts: int) -> int:
    """So many parts are summed at once that as many sums are left."""
    return math.isqrt(parts - 1) + 1


def _sum_of_products(pairs: Sequence[tuple[Tensor, Tensor]], total: Tensor) -> None:
    torch.mm(pairs[0][0], pairs[0][1].mT, out=total)
    for left, right in pairs[1:]:
        total.addmm_(left, right.mT)


def _bounded(points: Points, shifted: Tensor, snr: Tensor, parts: int, path: Path, sums: Sums) -> PosteriorMoments:
    """The moments with bounds on mean and trace, from the moments of `y′` themselves."""
    mean, second = sums.first_moment / sums.total[:, None], sums.square / sums.total
    log_norm = shifted.square().sum(dim=1) / 2 + points.dim / 2 * math.log(2 * math.pi)
    rounding, norm = path.rounding, second.sqrt() * _SAFE
    slack = (formula.accumulation(min(BLOCK, points.total) + 10 * path.blocks, formula.DOUBLE) + rounding) * second
    norm2 = mean.square().sum(dim=1)
    variance = (second - norm2).clamp(min=0)
    # where no log weight is far off, the root mean square of e^δ − 1 is that of δ up to _SAFE
    eta = _SAFE * logit_error(points, shifted, snr, parts, norm, path.blocks)
    small = logit_error(points, shifted, snr, parts, points.radius, path.blocks) < _LARGEST_DELTA
    tilted = formula.tilt_error(eta * (variance + 2 * slack).sqrt(), eta).where(small, torch.inf)
    # both sums of the ratio, and the division
    error = tilted + rounding * norm + formula.DOUBLE * points.mean.norm()
    return PosteriorMoments(mean + points.mean, variance, sums.top + sums.total.log() - log_norm, error)

r"""The mmse curve of many atoms in many dimensions, from draws, with intervals that hold at any sample size.

**At nodes.** `tr C ≤ R²` at every x_t bounds the draws of `mmse(γ)`; those of the information `log p(z|x_0)/q(z)`, at most `−log min w`, fall below
`−c` with probability at most `e^{−c}`. Both have betting intervals (`estimate.mean_interval`), the error split over all of them.

**Between nodes** the mmse decreases, and `1/mmse − γ/r` increases (`formula.mmse_ahead`, r the rank of Σ). No convexity is assumed, for it fails for
rare atoms. The information is half the integral of the mmse, so that chords of one bound the other, and `singtheory.mmse.ceiling` bounds both without a draw.
"""

import math
from typing import final

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine import Points
from singtheory.errors import InputError
from singtheory.estimate import check_confidence, mean_interval
from singtheory.law import Atoms
from singtheory.mmse.ceiling import Ceiling
from singtheory.mmse.draws import DEPTH, LEAST_PAIRS, Draws, Progress, draw_curve, smooth_curve
from singtheory.mmse.exact import Curve, Interval, as_chain, as_snr
from singtheory.mmse.smooth import Smooth
from singtheory.numerics import check_precisions

NODES, QUERIES = 64, 256
"""Nodes of a curve, and x_t a node on average."""
_GROUPS = 8
"""Into so many the draws are split for the standard error of what is computed from the smooth curve."""
_ROUNDS = 2
"""How often mmse and information tell each other their bounds; a third time moves nothing."""


def sample_curve(
    law: Atoms,
    snr_end: float,
    generator: torch.Generator,
    queries: int = QUERIES,
    nodes: int = NODES,
    confidence: float = 0.99,
    progress: Progress | None = None,
) -> "SampledCurve":
    """The curve from γ = 0 to `snr_end`.

    Args:
        law: finite data.
        snr_end: finite and positive.
        generator: for the draws.
        queries: x_t a node, on average.
        nodes: how many γ, at least three.
        confidence: with which all intervals of the curve hold at once.
        progress: called after each node.

    Raises:
        InputError: for numbers out of these ranges, and for data that do not vary.
    """
    check_confidence(confidence)
    if queries < 2 * LEAST_PAIRS:
        raise InputError(f"queries {queries}: need at least {2 * LEAST_PAIRS}")
    if nodes < 3:
        raise InputError(f"nodes {nodes}: need at least 3")
    if not 0 < snr_end < math.inf:
        raise InputError(f"snr {snr_end}: the curve must end at a positive and finite one")
    check_precisions("snr", snr_end)
    law = _about_an_atom(law)
    ceiling = Ceiling(law)
    draws = draw_curve(law, ceiling, snr_end, nodes, queries, generator, progress)
    return SampledCurve(ceiling, draws, -math.log(float(law.weights.min())), confidence)


def _about_an_atom(law: Atoms) -> Atoms:
    """The atoms of positive weight less one of them: the mmse is the same, and a distant origin costs no digits."""
    support = law.weights > 0
    points, weights = law.points[support], law.weights[support] / law.weights[support].sum()
    return Atoms.stored(Points(points - points[weights.argmax()], weights))


@final
class SampledCurve(Curve):
    """See the module; made by `sample_curve`.

    Args:
        ceiling: what is known without a draw.
        draws: at the nodes.
        most: that a draw of the information can be.
        confidence: of all intervals at once.

    Attributes:
        snr: the nodes, from 0, shape (n,).
        low: of the mmse's interval at the nodes, shape (n,).
        high: of the mmse's interval at the nodes, shape (n,).
        smooth: the smooth curve that gives all values.
    """

    method = "monte-carlo"

    def __init__(self, ceiling: Ceiling, draws: Draws, most: float, confidence: float) -> None:
        self.confidence, self.snr, self._ceiling = confidence, draws.snr, ceiling
        self.smooth = smooth_curve(ceiling, draws.snr, draws.traces)
        parts = [[t[k::_GROUPS] for t in draws.traces] for k in range(_GROUPS)]
        self._groups = [smooth_curve(ceiling, draws.snr, part) for part in parts]
        each = 1 - (1 - confidence) / (2 * (len(self.snr) - 1))
        # what is proven of draws holds but for their rounding, which may be more than `mean_interval` allows for where γ is large
        shares = [mean_interval((t / ceiling.largest).clamp(0, 1), 0.0, 1.0, each) for t in draws.traces[1:]]
        known = [mean_interval(i.clamp(-DEPTH, most), -DEPTH, most, each) for i in draws.information[1:]]
        level = torch.tensor(shares, dtype=torch.float64) * ceiling.largest
        start = ceiling.trace * torch.tensor([[1 - ceiling.rounding, 1 + ceiling.rounding]], dtype=torch.float64)
        self.low, self.high = torch.cat([start, level]).unbind(1)
        self._known_low, self._known_high = torch.tensor([(0.0, 0.0), *known], dtype=torch.float64).unbind(1)
        self._known_low = (self._known_low - math.exp(-DEPTH)).clamp(min=0)
        for _ in range(_ROUNDS):
            self._join_levels()
            self._join_information()
            self._join_chords()
        self._join_levels()

    @property
    def nodes(self) -> Tensor:
        """`snr`."""
        return self.snr

    @property
    def smoothed(self) -> Smooth:
        """`smooth`."""
        return self.smooth

    def _join_levels(self) -> None:
        """What each node's mmse says of the next one's, and the integrals that follow."""
        low, high, gap = self.low, torch.minimum(self.high, self._ceiling.mmse(self.snr)), self.snr.diff()
        for k in range(1, len(low)):
            high[k] = torch.minimum(high[k], self._after(high[k - 1], gap[k - 1]))
        for k in reversed(range(len(low) - 1)):
            low[k] = torch.maximum(low[k], self._before(low[k + 1], gap[k]))
        self.low, self.high = torch.minimum(low, high), high
        areas = self._cell_areas(self.snr[:-1], self.snr[1:])
        self._areas_low, self._areas_high = (torch.cat([a.new_zeros(1), a.cumsum(0)]) for a in areas)

    def _join_information(self) -> None:
        """What each node's information says of the others', which differ by half the integrals."""
        least, most = (areas.diff() / 2 for areas in (self._areas_low, self._areas_high))
        low, high = self._known_low, torch.minimum(self._known_high, self._ceiling.information(self.snr))
        for k in range(1, len(low)):
            low[k] = torch.maximum(low[k], low[k - 1] + least[k - 1])
            high[k] = torch.minimum(high[k], high[k - 1] + most[k - 1])
        for k in reversed(range(len(low) - 1)):
            low[k] = torch.maximum(low[k], low[k + 1] - most[k])
            high[k] = torch.minimum(high[k], high[k + 1] - least[k])
        self._known_low, self._known_high = low, high

    def _join_chords(self) -> None:
        """The mmse is at most twice the slope of a chord of the information that ends there, at least of one that begins there."""
        apart = (self.snr - self.snr[:, None]).clamp(min=1e-300)
        later = self.snr > self.snr[:, None]
        steepest = 2 * (self._known_high - self._known_low[:, None]) / apart
        flattest = 2 * (self._known_low - self._known_high[:, None]) / apart
        self.high = torch.minimum(self.high, steepest.masked_fill(~later, math.inf).amin(dim=0))
        self.low = torch.maximum(self.low, flattest.masked_fill(~later, 0.0).amax(dim=1))

    def _after(self, level: Tensor, distance: Tensor) -> Tensor:
        """What mmse is at most, `distance` after it is `level`."""
        return formula.mmse_ahead(level, distance, self._ceiling.rank)

    def _before(self, level: Tensor, distance: Tensor) -> Tensor:
        """What mmse is at least, `distance` before it is `level`."""
        return self._after(level, -distance).clamp(max=self._ceiling.trace * (1 + self._ceiling.rounding))

    def _left(self, snr: Tensor) -> Tensor:
        check_precisions("snr", snr)
        if bool((snr > self.snr[-1] * (1 + 1e-9)).any()):
            raise InputError(f"snr {float(snr.max()):.6g}: this curve was sampled up to {float(self.snr[-1]):.6g}")
        return (torch.searchsorted(self.snr, snr.contiguous(), right=True) - 1).clamp(0, len(self.snr) - 2)

    def __call__(self, snr: Tensor) -> Interval:
        """From the smooth curve."""
        return self.smooth(as_snr(snr))

    def information(self, snr: Tensor) -> Tensor:
        """Half the area under the smooth curve."""
        return self.smooth.area(as_snr(snr)) / 2

    def interval(self, snr: Tensor) -> Interval:
        """From the nodes beside and from the ceiling."""
        snr = as_snr(snr)
        k = self._left(snr)
        high = self._after(self.high[k], (snr - self.snr[k]).clamp(min=0))
        low = self._before(self.low[k + 1], (self.snr[k + 1] - snr).clamp(min=0))
        return low, torch.minimum(high, self._ceiling.mmse(snr))

    def _cell_areas(self, start: Tensor, end: Tensor) -> Interval:
        """An interval that holds `∫ mmse` between two points of one cell of nodes each, to the digits of their difference however short it is."""
        k, ahead = self._left(start), end - start
        low = self._before(self.low[k + 1], (self.snr[k + 1] - start).clamp(min=0))
        high = self._after(self.high[k], (start - self.snr[k]).clamp(min=0))
        least, most = (formula.area_ahead(level, ahead, self._ceiling.rank, torch) for level in (low, high))
        return least, most

    def _step_areas(self, snr: Tensor) -> Interval:
        """An interval that holds `∫ mmse` of each step, from the mmse alone: of its parts in the cells where it starts and ends, and of the cells between."""
        start, end = snr[:-1], snr[1:]
        first, last = self._left(start), self._left(end)
        crosses = last > first
        edge, entered = torch.where(crosses, self.snr[first + 1], end), torch.where(crosses, self.snr[last], end)
        parts = zip(self._cell_areas(start, edge), self._cell_areas(entered, end), strict=True)
        whole = [areas[last] - areas[torch.minimum(first + 1, last)] for areas in (self._areas_low, self._areas_high)]
        low, high = (head + tail + between for (head, tail), between in zip(parts, whole, strict=True))
        return low, high

    def information_interval(self, snr: Tensor) -> Interval:
        """From the draws of the information and of the mmse at the nodes."""
        snr = as_snr(snr)
        k = self._left(snr)
        low, high = self._cell_areas(self.snr[k], snr)
        return self._known_low[k] + low / 2, torch.minimum(self._known_high[k] + high / 2, self._known_high[k + 1])

    def discretisation_interval(self, snr: Tensor) -> tuple[float, float]:
        """Step by step from the mmse, or at once from the information between the ends, whichever says more."""
        snr = as_chain(snr)
        gap, (low, high) = snr.diff(), self.interval(snr[:-1])
        area_low, area_high = self._step_areas(snr)
        least = formula.discretisation(gap, low, area_high).clamp(min=0).sum()
        most = formula.discretisation(gap, high, area_low).sum()
        known_low, known_high = self.information_interval(snr[[0, -1]])
        total_low, total_high = (formula.kl_trace_bound(gap, v).sum() for v in (low, high))
        least = torch.maximum(least, total_low - (known_high[1] - known_low[0]))
        most = torch.minimum(most, total_high - (known_low[1] - known_high[0]).clamp(min=0))
        value = float(self.discretisation(snr).sum())  # the smooth curve may leave the band by sampling
        return min(float(least), value), max(float(most), value)

    def discretisation_error(self, snr: Tensor) -> float:
        """The standard error of the sum of `discretisation`, from curves through groups of the draws."""
        snr = as_chain(snr)
        totals = [
            formula.discretisation(1.0, g(snr[:-1])[0] @ snr.diff(), g.area(snr[[0, -1]]).diff()) for g in self._groups
        ]
        return float(torch.cat(totals).std()) / _GROUPS**0.5

r"""The mmse curve of many atoms in many dimensions, from draws, with intervals that hold at any sample size.

**At nodes.** `tr C ≤ R²` at every x_t bounds the draws of `mmse(γ)`; those of the information `log p(z|x_0)/q(z)`, at most `−log min w`, fall below
`−c` with probability at most `e^{−c}`. Both have betting intervals (`estimate.mean_interval`), the error split over all of them. Draws come in pairs
`√γ x_0 ± n`, the same `(x_0, n)` at every node.

**Between nodes** the mmse decreases, and `1/mmse − γ/r` increases (`formula.mmse_ahead`, r the rank of Σ). No convexity is assumed, for it fails for
atoms at two scales. Beside these, `mmse ≤ Σ λ/(1 + γλ)`, and for few atoms the chance of taking one for another bounds what is left at large γ.

**Where.** A short pilot run, with draws of its own, finds the nodes, equal steps of `∫√|mmse′|dγ` (E2) and of `log(1 + cγ)`, and how many draws each
needs. The main run is independent of it, so its intervals are as honest as those of a fixed design.
"""

import math
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from singtheory import draw, formula
from singtheory.errors import InputError
from singtheory.estimate import check_confidence, mean_interval
from singtheory.law import Atoms
from singtheory.mmse import Curve, Interval, check_snr
from singtheory.smooth import Smooth

NODES, QUERIES = 64, 256
"""Of a curve, and x_t a node on average."""
_PILOT_NODES, _LEAST = 17, 8
"""Nodes of the pilot run, and the fewest pairs of draws at a node."""
_EVEN = 0.3
"""The share of nodes that lie evenly in log(1 + cγ), and of draws that go evenly to the nodes."""
_DEPTH = 8.0
"""c: the information's draws are cut at −c, which moves their mean by e^{−c} at most."""
_CHUNK, _MOST_PAIRS = 2**20, 2048
"""Numbers in one block of pairs times points, and pairs at most."""
_PAIRS, _BINS = 5000, 4096
"""Up to so many atoms their distances are all taken, sorted into so many bins."""
_GROUPS = 8
"""Into so many the draws are split for the standard error of what is computed from the smooth curve."""
_FLOOR = 1e-12
"""Of tr Σ: below, the mean of the draws is rounding."""

Progress = Callable[[int, int], None]
"""Called with the x_t done and their total."""


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
        progress: called after each batch.

    Raises:
        InputError: for numbers out of these ranges, and for data that do not vary.
    """
    check_confidence(confidence)
    if queries < 2 * _LEAST:
        raise InputError(f"queries {queries}: need at least {2 * _LEAST}")
    if nodes < 3:
        raise InputError(f"nodes {nodes}: need at least 3")
    if not 0 < snr_end < math.inf:
        raise InputError(f"snr {snr_end}: the curve must end at a positive and finite one")
    law = Atoms(law.points[law.weights > 0], law.weights[law.weights > 0])
    spectrum = _Spectrum(law.to("cpu"))
    pilot_pairs = torch.full((_PILOT_NODES,), max(_LEAST, queries // 8))
    main_pairs = max(_LEAST, queries // 2)
    tally = _Tally(progress, 2 * int(pilot_pairs.sum()) + 2 * main_pairs * nodes)
    places = _evenly(_PILOT_NODES, spectrum.trace, snr_end)
    pilot = [t for t, _ in _draws(law, places, pilot_pairs, generator, tally)]
    snr = _nodes(spectrum.smooth(places, pilot), nodes, spectrum.trace, snr_end)
    pairs = _pairs(snr, places, pilot, main_pairs)
    return SampledCurve(law, spectrum, snr, _draws(law, snr, pairs, generator, tally), confidence)


class _Spectrum:
    """What is known of atoms without a draw: the eigenvalues of Σ, a bound on tr C and the distances of few atoms."""

    def __init__(self, law: Atoms) -> None:
        eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)
        self.eigenvalues = eigenvalues[eigenvalues > 1e-12 * eigenvalues[-1]]
        self.trace = float(eigenvalues.sum())
        if not self.trace > 0:
            raise InputError("all points are equal, so there is nothing to measure; give different points")
        self.rank = min(len(self.eigenvalues), len(law.points) - 1)
        radius = float((law.points - law.mean).square().sum(dim=1).max())
        simplex = float(formula.trace_diameter_bound(law.diameter, len(law.points), law.dim))
        self.largest = min(radius, simplex)
        self._bins = _distances(law) if len(law.points) <= _PAIRS else None

    def ceiling(self, snr: Tensor) -> Tensor:
        """What `mmse(γ)` cannot exceed, from moments and from the distances of few atoms; shape (n,)."""
        linear = formula.gaussian_mmse(snr[:, None], self.eigenvalues).sum(dim=1)
        if self._bins is None:
            return linear
        near, far, weight = self._bins
        # the chance of a mistake at the near edge of a bin, its cost at the far one
        mistaken = formula.mistaken_atom(snr[:, None], near, torch) * (far / near).square()
        return torch.minimum(linear, mistaken @ weight)

    def information_ceiling(self, snr: Tensor) -> Tensor:
        """What the information cannot exceed: that of Gaussian data; shape (n,)."""
        return formula.gaussian_information(snr[:, None], self.eigenvalues, torch).sum(dim=1)

    def smooth(self, snr: Tensor, traces: list[Tensor]) -> Smooth:
        """The curve through the means of draws at nodes, the first at γ = 0, made to decrease."""
        level = torch.stack([t.mean() for t in traces])
        level[0] = self.trace
        level = torch.minimum(level, self.ceiling(snr)).cummin(0).values
        floor = _FLOOR * self.trace / (1 + self.trace * snr)
        shrink = 1 - 1e-9 * torch.arange(len(snr), dtype=torch.float64)  # equal levels would have slope zero
        return Smooth(snr, torch.maximum(level * shrink, floor), self.trace)


def _distances(law: Atoms) -> tuple[Tensor, Tensor, Tensor]:
    """Bins of the positive distances: near and far edges and the weight `Σ w_i` of pairs in each, (bins,)."""
    distance = torch.cdist(law.points, law.points)
    apart = distance > 1e-9 * law.diameter
    edges = torch.logspace(
        math.log10(float(distance[apart].min()) * (1 - 1e-6)),
        math.log10(law.diameter * (1 + 1e-6)),
        _BINS + 1,
        dtype=torch.float64,
    )
    which = torch.bucketize(distance[apart], edges).clamp(1, _BINS) - 1
    weight = torch.zeros(_BINS, dtype=torch.float64)
    weight.index_add_(0, which, law.weights[:, None].expand_as(distance)[apart])
    return edges[:-1], edges[1:], weight


class _Tally:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def add(self, count: int) -> None:
        self._done = min(self._done + count, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)


def _evenly(nodes: int, scale: float, end: float) -> Tensor:
    """Nodes from 0 to `end` with equal steps in `log(1 + cγ)`."""
    snr = torch.expm1(torch.linspace(0, math.log1p(scale * end), nodes, dtype=torch.float64)) / scale
    snr[-1] = end
    return snr


def _nodes(pilot: Smooth, nodes: int, scale: float, end: float) -> Tensor:
    """Equal steps of a measure: mostly `√|mmse′|dγ`, for the rest `d log(1 + cγ)`."""
    snr = _evenly(32 * nodes, scale, end)
    root = (-pilot(snr)[1]).clamp(min=0).sqrt()
    bent = torch.cat([snr.new_zeros(1), ((root[1:] + root[:-1]) / 2 * snr.diff()).cumsum(0)])
    even = torch.linspace(0, 1, len(snr), dtype=torch.float64)
    share = (1 - _EVEN) * bent / bent[-1] + _EVEN * even
    which = torch.searchsorted(share, torch.linspace(0, 1, nodes, dtype=torch.float64)).clamp(max=len(snr) - 1)
    which[0], which[-1] = 0, len(snr) - 1
    return snr[which.unique()]


def _pairs(snr: Tensor, places: Tensor, pilot: list[Tensor], average: int) -> Tensor:
    """Pairs of draws at each node: `(σ Δγ)^{2/3}`, which makes the integral's interval narrowest, and some everywhere."""
    spread = torch.stack([t.std() for t in pilot])
    at = torch.searchsorted(places, snr).clamp(max=len(places) - 1)
    spread = torch.maximum(spread[at], spread[(at - 1).clamp(min=0)])
    width = torch.gradient(snr)[0]
    wish = (spread * width) ** (2 / 3)
    share = (1 - _EVEN) * wish / wish.sum() + _EVEN / len(snr)
    return (share * average * len(snr)).round().clamp(min=_LEAST).long()


def _draws(
    law: Atoms, snr: Tensor, pairs: Tensor, generator: torch.Generator, tally: _Tally
) -> list[tuple[Tensor, Tensor]]:
    """At each node means of pairs of `tr C` and of the information, each (pairs,); the first `pairs` of the same draws."""
    most = int(pairs.max())
    x_0 = law.sample(most, generator)
    noise = draw.normal(x_0.shape, law.device, generator)
    rows = max(1, min(_MOST_PAIRS, _CHUNK // len(law.points)))
    found = []
    for g, count in zip(snr.tolist(), pairs.tolist(), strict=True):
        batches = zip(x_0[:count].split(rows), noise[:count].split(rows), strict=True)
        parts = [_batch(law, g, x, n) for x, n in batches]
        tally.add(2 * count)
        found.append((torch.cat([t for t, _ in parts]), torch.cat([i for _, i in parts])))
    return found


def _batch(law: Atoms, snr: float, x_0: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.cat([noise, -noise])
    posterior = law.posterior(math.sqrt(snr) * x_0.repeat(2, 1) + both, snr)
    log_forward = -(both.square().sum(dim=1) + law.dim * math.log(2 * math.pi)) / 2
    information = (log_forward - posterior.log_evidence).clamp(min=-_DEPTH)
    trace, known = (v.view(2, -1).mean(dim=0).cpu() for v in (posterior.trace_cov, information))
    return trace, known


@final
class SampledCurve(Curve):
    """See the module; made by `sample_curve`.

    Attributes:
        snr: the nodes, from 0, shape (n,).
        level: the curve's value at the nodes, shape (n,).
        low: of the interval at the nodes, shape (n,).
        high: of the interval at the nodes, shape (n,).
    """

    method = "monte-carlo"

    def __init__(
        self, law: Atoms, spectrum: _Spectrum, snr: Tensor, draws: list[tuple[Tensor, Tensor]], confidence: float
    ) -> None:
        self.confidence, self.snr, self._spectrum = confidence, snr, spectrum
        self.smooth = spectrum.smooth(snr, [t for t, _ in draws])
        self.level = self.smooth(snr)[0]
        self._groups = [spectrum.smooth(snr, [t[k::_GROUPS] for t, _ in draws]) for k in range(_GROUPS)]
        self._entropy = float(torch.special.entr(law.weights).sum())
        each = 1 - (1 - confidence) / (2 * (len(snr) - 1))
        most = -math.log(float(law.weights.min()))
        found = [_intervals(t, i, spectrum.largest, most, each) for t, i in draws[1:]]
        low, high, self._known_low, self._known_high = (
            torch.tensor([start, *values], dtype=torch.float64)
            for start, values in zip((spectrum.trace, spectrum.trace, 0.0, 0.0), zip(*found, strict=True), strict=True)
        )
        self.low, self.high = self._tightened(low, high)
        self._areas_low, self._areas_high = (
            torch.cat([snr.new_zeros(1), areas.cumsum(0)]) for areas in self._cell_areas(snr[:-1], snr[1:])
        )
        self._join_information()

    def _tightened(self, low: Tensor, high: Tensor) -> Interval:
        """What each node says of the others, by `mmse_ahead`, a node at a time."""
        low, high = low.clamp(min=0), torch.minimum(high, self._spectrum.ceiling(self.snr))
        for k in range(1, len(low)):
            high[k] = torch.minimum(
                high[k], formula.mmse_ahead(high[k - 1], self.snr[k] - self.snr[k - 1], self._spectrum.rank)
            )
        for k in reversed(range(len(low) - 1)):
            low[k] = torch.maximum(low[k], self._before(low[k + 1], self.snr[k + 1] - self.snr[k]))
        return torch.minimum(low, high), high

    def _join_information(self) -> None:
        """What each node's information says of the others', which differ by areas."""
        low, high, room = self._known_low, self._known_high, self._spectrum.information_ceiling(self.snr)
        high.clamp_(max=self._entropy)
        for k in range(1, len(low)):
            low[k] = torch.maximum(low[k], low[k - 1] + (self._areas_low[k] - self._areas_low[k - 1]) / 2)
            high[k] = torch.minimum(high[k], high[k - 1] + (self._areas_high[k] - self._areas_high[k - 1]) / 2)
        for k in reversed(range(len(low) - 1)):
            high[k] = torch.minimum(high[k], high[k + 1] - (self._areas_low[k + 1] - self._areas_low[k]) / 2)
        torch.minimum(high, room, out=high)

    def _before(self, level: Tensor, distance: Tensor) -> Tensor:
        """What mmse is at least, `distance` before it is `level`."""
        return (
            formula.mmse_ahead(level, -distance, self._spectrum.rank)
            .nan_to_num(nan=0.0)
            .clamp(max=self._spectrum.trace)
        )

    def _left(self, snr: Tensor) -> Tensor:
        if bool((snr > self.smooth.end * (1 + 1e-9)).any()):
            raise InputError(f"snr {float(snr.max()):.6g}: this curve was sampled up to {self.smooth.end:.6g}")
        return (torch.searchsorted(self.snr, snr.contiguous(), right=True) - 1).clamp(0, len(self.snr) - 2)

    def __call__(self, snr: Tensor) -> Interval:
        """From the smooth curve through the nodes."""
        return self.smooth(snr)

    def information(self, snr: Tensor) -> Tensor:
        """Half the area under the smooth curve."""
        return self.smooth.area(snr) / 2

    def interval(self, snr: Tensor) -> Interval:
        """From the nodes beside, by `mmse_ahead`, and from moments and distances."""
        k = self._left(snr)
        high = formula.mmse_ahead(self.high[k], (snr - self.snr[k]).clamp(min=0), self._spectrum.rank)
        low = self._before(self.low[k + 1], (self.snr[k + 1] - snr).clamp(min=0))
        return low, torch.minimum(high, self._spectrum.ceiling(snr))

    def _cell_areas(self, start: Tensor, end: Tensor) -> Interval:
        """Of `∫ mmse` between two points of one cell of nodes each."""
        k, rank = self._left(start), self._spectrum.rank
        from_node, to_node = (formula.area_ahead(self.high[k], p - self.snr[k], rank, torch) for p in (start, end))
        short, far = (formula.area_ahead(self.low[k + 1], p - self.snr[k + 1], rank, torch) for p in (start, end))
        return far - short, to_node - from_node

    def _areas(self, snr: Tensor) -> Interval:
        """Of `∫_0^γ mmse` from the mmse alone; differences bound the integrals between."""
        k = self._left(snr)
        low, high = self._cell_areas(self.snr[k], snr)
        return self._areas_low[k] + low, self._areas_high[k] + high

    def information_interval(self, snr: Tensor) -> Interval:
        """From the draws of the information and of the mmse at the nodes."""
        k = self._left(snr)
        low, high = self._cell_areas(self.snr[k], snr)
        return self._known_low[k] + low / 2, torch.minimum(self._known_high[k] + high / 2, self._known_high[k + 1])

    def discretisation_interval(self, snr: Tensor) -> tuple[float, float]:
        """Step by step from the mmse, or at once from the information between the ends, whichever says more."""
        check_snr(snr)
        gap, (low, high) = snr.diff(), self.interval(snr[:-1])
        area_low, area_high = (area.diff() for area in self._areas(snr))
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
        totals = [
            formula.discretisation(1.0, g(snr[:-1])[0] @ snr.diff(), g.area(snr[[0, -1]]).diff()) for g in self._groups
        ]
        return float(torch.cat(totals).std()) / _GROUPS**0.5


def _intervals(
    traces: Tensor, information: Tensor, largest: float, most: float, confidence: float
) -> tuple[float, float, float, float]:
    """Of mmse and information at one node."""
    low, high = mean_interval(traces, 0.0, largest, confidence)
    known_low, known_high = mean_interval(information, -_DEPTH, most, confidence)
    return low, high, max(0.0, known_low - math.exp(-_DEPTH)), known_high

"""The engine's ways on a GPU: one product in float16 screens all atoms, and exact products of 8-bit digits stand for float64.

Where few atoms can matter they are weighed from differences in float64 at once. Where many do and the data lie on levels, as images of
8 bits do, log weights are summed from as many digits as the tolerance asks for, and the weights, rounded to whole numbers, meet the
data in exact products again: the rounding of queries and weights to digits is known, and little else is left to be bounded. All other
queries take the ways of `engine`, in float64.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import pad

from singtheory import formula, unfused
from singtheory.engine import Engine
from singtheory.levels import levels_of, rounded
from singtheory.points import Points
from singtheory.replayed import Replayed
from singtheory.scan import Found
from singtheory.screen import left_out_below

TILE = 8
"""Atoms of which only the largest log weight is kept."""
MOST_TILES = 64
"""Beyond them all atoms are weighed."""
_PADDED, _WIDTH = 256, 64
"""Atoms and coordinates come in whole blocks of the kernels."""
_WIDEST = 65536
"""Coordinates that the kernels hold at once."""
_CHUNK = 65536
"""Atoms whose weights lie in memory at once; their products with data stay below 2^31 in all."""
_SAFE = 1.02
"""Over first-order counts of roundings."""
_LEAST = -1e30
"""Stands for the logarithm of no weight in float32."""
_LARGEST_TILT = 1e-2
_DEPTH_ROUNDINGS = 24
"""Roundings on every path of a sum over the width in `near`, a tree over the threads of a row, up to a width of 4096."""
_PRODUCT_ROUNDINGS = 10
"""Of a log weight that is put together from exact products: four of the digits, three of the unit, two of differences, one of the rest."""
_MOST_QUERY_DIGITS, _MOST_WEIGHT_DIGITS = 7, 8
"""Beyond them whole numbers would not go into 63 bits."""


def engine_of(points: Points) -> Engine:
    """The engine for atoms as they lie: that of GPUs for those that lie on one."""
    if points.device.type != "cuda" or not points.resident or not points.stored.is_contiguous() or points.dim > _WIDEST:
        return Engine(points)
    try:
        from singtheory import fused
    except ImportError:  # no Triton, which comes with builds of torch for GPUs
        return Engine(points)
    return FusedEngine(points, fused)


class FusedEngine(Engine):
    """As `Engine`.

    Args:
        points: the atoms, which lie on the device.
        kernels: the module `fused`, or `unfused`.
    """

    def __init__(self, points: Points, kernels: ModuleType = unfused) -> None:
        super().__init__(points)
        self._kernels, self._set_up = kernels, False
        self._first, self._near_zero, self._all = Replayed(self._look), Replayed(self._moments), Replayed(self._weigh)

    def _prepare(self) -> None:
        """Hold the atoms in float16 and, if they lie on levels, their numbers."""
        points = self.points
        self.levels, self._mean_norm = levels_of(points.whole), float(points.mean.norm())
        if self.levels is None:
            centred = points.whole - points.mean
            self._half_unit = float(centred.abs().max()) or 1.0
            half = (centred / self._half_unit).half()
            self._half_rest = _SAFE * _largest_norm(centred - half.double() * self._half_unit)
        else:
            half, self._half_unit, self._half_rest = self.levels.numbers.half(), self.levels.step, self.levels.rest
            self._numbers = _whole_blocks(self.levels.numbers)
            self._columns = self._numbers[:, : points.dim + -points.dim % 8].mT.contiguous()
        self._half_reach = _SAFE * self._half_unit * _largest_norm(half)
        self._halves = _whole_blocks(half)
        more = len(self._halves) - points.count
        self._norms = pad(points.norms2 / 2, (0, more))
        self._log_weights = pad(points.log_weights, (0, more), value=-math.inf)
        self._single = self._norms.float(), self._log_weights.clamp(min=_LEAST).float()
        self._set_up = True

    @property
    def needs(self) -> float:
        """As `Engine.needs`; the atoms are held in float16 and, if they lie on levels, twice in bytes."""
        return super().needs + 4 * self.points.count * self.points.dim

    def _group(self, z: Tensor, snr: Tensor, tol: float) -> Found:
        if self.small or not len(z) or not self.points.radius:
            return super()._group(z, snr, tol)
        # kernels read numbers one after another, and run on the device that is current
        with torch.cuda.device_of(z):
            return self._found(z.contiguous(), snr.contiguous(), tol)

    def _found(self, z: Tensor, snr: Tensor, tol: float) -> Found:
        if not self._set_up:
            self._prepare()
        goal = tol * self.points.scale
        mean, numbers, plan = self._first(z, snr, goal=goal)
        series, rest, digits, weight_digits = plan.tolist()
        if series == len(z):
            return _own(*self._near_zero(z, snr))
        top, near_zero, poor = numbers[3], numbers[4] > 0, numbers[5] > 0

        def by_digits(rows: Tensor | slice) -> Found:
            return _own(*self._all(z[rows], snr[rows], top[rows], digits=digits, weight_digits=weight_digits))

        def by_all_digits(rows: Tensor) -> Found:
            return _own(*self._weigh(z[rows], snr[rows], top[rows], _MOST_QUERY_DIGITS, _MOST_WEIGHT_DIGITS))

        dense = rest > 0 and self.levels is not None
        found = by_digits(slice(None)) if dense and rest == len(z) else _own(mean, numbers)
        if series:
            _answer(found, near_zero, lambda rows: self.series.posterior(z[rows], snr[rows]))
        if dense and rest < len(z):
            # most of a batch is answered sooner as a whole, for that is recorded
            _answer(found, poor if 2 * rest < len(z) else torch.ones_like(poor), by_digits)
        if not rest:
            return found
        # the few that fall short get all digits that there are
        in_float64 = [lambda rows: self._weighed(z[rows], snr[rows], tol)]
        return self._mended(found, goal, [by_all_digits, *in_float64] if dense else in_float64)

    @staticmethod
    def _mended(found: Found, goal: float, ways: Sequence[Callable[[Tensor], Found]]) -> Found:
        """With each way in turn for the queries whose bounds are above the goal, as long as there are any."""
        for way in ways:
            poor = ~(found.error_bound <= goal)
            if not bool(poor.any()):
                break
            _answer(found, poor, way)
        return found

    def _moments(self, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
        """By the series."""
        return _packed(self.series.posterior(z, snr))

    def _look(self, z: Tensor, snr: Tensor, goal: float) -> tuple[Tensor, ...]:
        """Screen all atoms, and weigh those of the best tiles.

        Returns:
            Means (batch, d); trace, log evidence, error bound, about the largest log weight, whether the moments suffice and whether
            more must be done (6, batch); how many queries there are of the one and of the other, and how many digits of queries and
            of weights the latter want (4,).
        """
        points, below, root = self.points, left_out_below(self.points, goal), snr.sqrt()
        shifted = points.shifted(z, snr)
        norm, scaled = torch.linalg.vector_norm(shifted, dim=1), shifted.mul(root[:, None])
        size = torch.linalg.vector_norm(scaled, ord=math.inf, dim=1).clamp(min=1e-300)
        largest, error = self._screen(scaled, size, norm * root, snr)
        near = self._kernels.near(z, points.whole, points.log_weights, largest, error, below, snr, TILE, MOST_TILES)
        bound = self._bound(near, norm, root, snr, below)
        series = self.series.remainder_at(norm.square(), snr) <= goal
        rest = ~(bound <= goal) & ~series
        digits, weight_digits = self._digits_for(size, snr, near.tiles / near.mass, goal)
        counts = torch.stack([series, rest]).sum(dim=1)
        wanted = torch.stack([digits, weight_digits]).where(rest, 0.0).nan_to_num(nan=1.0)
        plan = torch.cat([counts, wanted.amax(dim=1).long()])
        evidence = near.log_sum - points.dim / 2 * math.log(2 * math.pi)
        numbers = torch.stack([near.variance, evidence, bound, near.best + error / 8, series.double(), rest.double()])
        return near.mean, numbers, plan

    def _screen(self, scaled: Tensor, size: Tensor, norm: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
        """The largest log weight in every tile, shape (batch, tiles), and at least the error of each, shape (batch,).

        Args:
            scaled: `√γ z′`, shape (batch, d).
            size: its largest number, shape (batch,).
            norm: shape (batch,).
            snr: shape (batch,).
        """
        queries = torch.zeros(len(scaled), self._halves.shape[1], dtype=torch.float16, device=scaled.device)
        queries[:, : self.points.dim] = scaled / size[:, None]
        unit = (size * self._half_unit).float()
        largest = self._kernels.screen(queries, self._halves, *self._single, unit, snr.float(), TILE)
        # rounding of queries to float16, of atoms, of the product, and of what is added in float32
        half = formula.HALF * (1 + math.sqrt(self.points.dim) * formula.HALF)
        per_norm = half * (self._half_reach + self._half_rest) + self._half_rest
        per_norm += (formula.accumulation(self.points.dim, formula.MATRIX) + 10 * formula.SINGLE) * self._half_reach
        # z′ is rounded in float64
        per_snr = 5 * formula.SINGLE * self.points.radius**2 + 4 * formula.DOUBLE * self._mean_norm * self._half_reach
        constant = -10 * formula.SINGLE * self.points.least_log_weight
        return largest, _SAFE * torch.add(norm * per_norm, snr, alpha=per_snr).add_(constant)

    def _bound(self, near: unfused.Near, norm: Tensor, root: Tensor, snr: Tensor, below: float) -> Tensor:
        """On the error of the mean, as in `rescore`: infinite where there are too many tiles.

        A log weight is off by `u(A‖y_i − y_b‖ + 4|log weight| + C)`, with `‖y_i − y_b‖/2` at most the radius.
        """
        points = self.points
        roundings = max(_DEPTH_ROUNDINGS, points.dim / 128) + 6
        per_snr = 2 * self._mean_norm + roundings * points.radius + 6 * points.reach
        along = root * torch.add(2 * norm, near.distance, alpha=roundings) + per_snr * snr
        others = 8 - 4 * points.least_log_weight
        mass = _SAFE * formula.logit_error(formula.DOUBLE, along * near.apart, 4 * near.log_weight, others)
        tilted = formula.tilt_error(mass * (near.apart + near.shift), mass)
        sums = formula.accumulation(MOST_TILES * TILE + 16, formula.DOUBLE)
        rounded_off = torch.add(2 * sums * near.apart, near.shift, alpha=3 * formula.DOUBLE)
        left_out = formula.truncation_error(points.count * math.exp(-below), 2 * points.radius)
        constant = 3 * formula.DOUBLE * points.reach + left_out
        # where no log weight is far off, e^δ − 1 is δ up to what is allowed for
        far = (_LARGEST_TILT / formula.DOUBLE - 3300 - others) / (2 * points.radius)
        return (_SAFE * (tilted + rounded_off) + constant).where((along < far) & near.best.isfinite(), torch.inf)

    def _weigh(self, z: Tensor, snr: Tensor, top: Tensor, digits: int, weight_digits: int) -> tuple[Tensor, Tensor]:
        """From all atoms."""
        assert self.levels is not None
        points, levels = self.points, self.levels
        shifted = points.shifted(z, snr)
        scaled = shifted * snr.sqrt()[:, None]
        rows = rounded(scaled, digits)
        held = pad(rows.digits, (0, self._numbers.shape[1] - points.dim))
        mean = torch.zeros(len(z), points.dim, dtype=torch.float64, device=z.device)
        total, square, lost = (torch.zeros_like(snr) for _ in range(3))
        for start in range(0, len(self._numbers), _CHUNK):
            part = slice(start, start + _CHUNK)
            weighed = self._kernels.weigh(
                held, self._numbers[part], self._norms[part], self._log_weights[part],
                rows.scale * levels.step, snr, top, weight_digits,
            )  # fmt: skip
            total, square, lost = total + weighed.total, square + weighed.square, lost + weighed.lost
            for digit, sums in enumerate(self._kernels.product(weighed.digits, self._columns[:, part])):
                mean.add_(sums[:, : points.dim], alpha=256.0 ** (weight_digits - 1 - digit))
        mean = mean.mul_((levels.step / total)[:, None]).add_(levels.base)
        second, norm2 = square / total, (mean - points.mean).square().sum(dim=1)
        variance = (second - norm2).clamp(min=0)
        # what was rounded has a mean over all weights before it, of which at least total − lost are left
        share = lost / (total - lost)
        size, reach = torch.linalg.vector_norm(scaled, dim=1), points.radius + norm2.sqrt()
        spread = (variance + share * reach.square() + 1e-12 * second).sqrt()
        rest = (rows.rest + size * formula.DOUBLE) * _SAFE
        mass = self._delta(size, snr, second.sqrt()) + rest * spread + size * levels.rest * _SAFE
        far = self._delta(size, snr, points.radius) + 2 * rest * points.radius + size * levels.rest
        tilted = formula.tilt_error(mass * spread, mass)
        sums = 64 + 2 * weight_digits * (len(self._numbers) / _CHUNK + 1)
        rounding = sums * formula.DOUBLE * (self._half_reach + abs(levels.base) * math.sqrt(points.dim) + points.reach)
        # what was multiplied is y − base, not y′
        off_centre = scaled.sum(dim=1) * levels.base - scaled @ points.mean
        log_total = top + (total / (127 * 256.0 ** (weight_digits - 1))).log() + off_centre
        evidence = log_total - shifted.square().sum(dim=1) / 2 - points.dim / 2 * math.log(2 * math.pi)
        # with too few digits, or at too much of a guess at the top, no weight may be left
        bound = _SAFE * (tilted + share * reach + rounding + levels.rest)
        bound = bound.where((far < _LARGEST_TILT) & (total > 2 * lost), torch.inf)
        return _packed(Found(mean, variance, evidence, bound))

    def _delta(self, size: Tensor, snr: Tensor, norm: Tensor | float) -> Tensor:
        """`δ`: at least the root mean square error of log weights through float64, as `scan.logit_error`; shape (batch,)."""
        points = self.points
        product = _PRODUCT_ROUNDINGS * size * self._half_reach + 3 * snr * self._mean_norm * norm
        squares = 32 * snr * points.radius * norm / 2
        others = math.log(points.count) - 9 * points.least_log_weight + 64
        return _SAFE * formula.logit_error(formula.DOUBLE, product, squares, others)

    def _digits_for(self, size: Tensor, snr: Tensor, matter: Tensor, goal: float) -> tuple[Tensor, Tensor]:
        """Of queries and of weights, so that rounding to them should stay below a goal: a certificate decides afterwards.

        Args:
            size: the largest number of every query, shape (batch,).
            snr: shape (batch,).
            matter: tiles that matter in units of the largest weight of all, shape (batch,).
            goal: for the error of the mean.
        """
        # the trace is at most tr Σ and d/γ
        spread = (self.points.dim / snr).clamp(max=self.points.variance)
        step = size * spread * (math.sqrt(self.points.dim / 12) / 127)
        # of a tile about one atom matters, and rounding takes about a quarter of its last digit
        lost = matter * (self.points.radius / (4 * 127))
        places = (torch.stack([1.5 * step, 8 * lost]) / goal).clamp(min=1).log().div_(math.log(256)).ceil_()
        return (1 + places[0]).clamp_(max=_MOST_QUERY_DIGITS), (1 + places[1]).clamp_(max=_MOST_WEIGHT_DIGITS)


def _packed(found: Found) -> tuple[Tensor, Tensor]:
    """Means (batch, d); trace, log evidence and error bound (3, batch)."""
    return found.mean, torch.stack([found.trace_cov, found.log_evidence, found.error_bound])


def _own(mean: Tensor, numbers: Tensor) -> Found:
    """From what may be overwritten, in the order of `_packed`."""
    return Found(mean.clone(), *numbers[:3].clone())


def _answer(found: Found, chosen: Tensor, way: Callable[[Tensor], Found]) -> None:
    """Put the answers of another way in place of the chosen queries' where its bounds are smaller."""
    rows = chosen.nonzero()[:, 0]
    other = way(rows)
    before = found.error_bound[rows]
    # where nothing is certified, what comes later is the better estimate
    better = ~(before <= other.error_bound) | before.isinf()
    for field in fields(Found):
        values, more = getattr(found, field.name), getattr(other, field.name)
        values[rows] = more.where(better.view(-1, *[1] * (more.ndim - 1)), values[rows])


def _whole_blocks(rows: Tensor) -> Tensor:
    return pad(rows, (0, -rows.shape[1] % _WIDTH, 0, -len(rows) % _PADDED)).contiguous()


def _largest_norm(rows: Tensor) -> float:
    return max(float(torch.linalg.vector_norm(part.double(), dim=1).max()) for part in rows.split(4096))

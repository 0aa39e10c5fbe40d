"""The engine's ways on a GPU: one product in float16 or in 8-bit whole numbers screens all atoms, and exact products of 8-bit digits stand for float64.

Where few atoms can matter they are weighed from differences in float64 at once. Where many do and the data lie on levels, as images of
8 bits do, log weights are summed from as many digits as the tolerance asks for, and the weights, rounded to whole numbers, meet the
data in exact products again: the rounding of queries and weights to digits is known, and little else is left to be bounded. All other
queries take the ways of `host`, in float64.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import pad

from singtheory.engine import reference
from singtheory.engine.graphs import Replayed, awaited
from singtheory.engine.host import QUERIES, Engine, out_of_memory
from singtheory.engine.levels import levels_of, levels_of_bytes
from singtheory.engine.points import Points
from singtheory.engine.results import PosteriorMoments, Started
from singtheory.engine.rounding import MOST_QUERY_DIGITS, MOST_WEIGHT_DIGITS, SAFE, Asking, Nearness, Sizes, Weighing
from singtheory.engine.rows import Look, MomentRows, Plan
from singtheory.engine.screen import left_out_below

TILE = 8
"""Atoms of which only the largest log weight is kept."""
MOST_TILES, KEPT_TILES, FEW_TILES = 256, 128, 8
"""Beyond them all atoms are weighed: of tiles by the screen, of those that matter beside the best atom, and by the screen where half of a batch is weighed so anyway."""
_PADDED, _WIDTH = 256, 64
"""Atoms come in multiples of the one and coordinates of the other, by which kernels read them; what their blocks have beyond is 0."""
_WIDEST = 65536
"""Coordinates that the kernels hold at once."""
_CHUNK = 65536
"""Atoms whose weights lie in memory at once; their products with data stay below 2^31 in all."""
_LEAST_RADIUS, _MOST_RADIUS = 1e-15, 1e15
"""The radii of atoms whose squared norms the kernels hold in float32."""
_LEAST = -1e30
"""Stands for the logarithm of no weight in float32."""


@dataclass(frozen=True)
class Looked:
    """What a screen and the best tiles tell.

    Attributes:
        look: what is known of every query.
        plan: what is left to do, which was waited for.
        moments: what is known so far; where one way answers the whole batch, what it gives, which the device may still work on.
        short: for how many queries of such a batch the bound is above the goal; it waits.
    """

    look: Look
    plan: Plan
    moments: PosteriorMoments
    short: Callable[[], int]


def engine_of(points: Points) -> Engine:
    """The engine for atoms as they lie: that of GPUs for those that lie on one."""
    if points.device.type != "cuda" or not points.in_place or not points.stored.is_contiguous() or points.dim > _WIDEST:
        return Engine(points)
    try:
        from singtheory.engine import launch
    except ImportError:  # no Triton, which comes with builds of torch for GPUs, or one without descriptors
        return Engine(points)
    return FusedEngine(points, launch)


class FusedEngine(Engine):
    """The engine on a GPU; it answers like `Engine`.

    Args:
        points: the atoms, which lie on the device.
        kernels: the module `launch`, or `reference`.
    """

    def __init__(self, points: Points, kernels: ModuleType = reference) -> None:
        super().__init__(points)
        self._kernels, self._set_up = kernels, False
        ways = (Replayed(way, kernels.fetched) for way in (self._look, self._moments, self._weigh))
        self._first, self._near_zero, self._all = ways

    @property
    def _ordered(self) -> bool:
        """The few queries that are left to the ways of `host` are answered as the atoms lie: to put all in order would take longer."""
        return False

    def _prepare(self) -> None:
        """Hold the atoms in float16 or, if they lie on levels, their numbers."""
        points = self.points
        in_bytes = points.stored.dtype == torch.uint8
        self.levels = levels_of_bytes(points.stored) if in_bytes else levels_of(points.whole)
        if self.levels is None:
            centred = points.whole - points.mean
            unit = float(centred.abs().max()) or 1.0
            half = (centred / unit).half()
            rest, step, base, levels_rest = SAFE * _largest_norm(centred - half.double() * unit), 0.0, 0.0, 0.0
        else:
            half, unit, rest = self.levels.numbers, self.levels.step, self.levels.rest
            step, base, levels_rest = self.levels.step, self.levels.base, self.levels.rest
            self._numbers = _whole_blocks(half, torch.int8)
            # no second copy of what may fill a tenth of the device
            half = self._numbers[: points.count, : points.dim]
            self.levels = replace(self.levels, numbers=half)
            # chunk by chunk: rows of a transposed whole would lie in as many pages of memory as there are coordinates
            self._columns = [part.mT.contiguous() for part in self._numbers[:, : points.dim].split(_CHUNK)]
        self._sizes = Sizes(
            points.count, points.dim, points.radius, points.reach, points.variance, points.scale,
            float(points.mean.norm()), points.least_log_weight, unit, SAFE * unit * _largest_norm(half), rest,
            step, base, levels_rest,
        )  # fmt: skip
        self._screened = _whole_blocks(half, torch.float16) if self.levels is None else self._numbers
        more = len(self._screened) - points.count
        self._norms = pad(points.norms2 / 2, (0, more))
        self._log_weights = pad(points.log_weights, (0, more), value=-math.inf)
        self._single = self._norms.float(), self._log_weights.clamp(min=_LEAST).float()
        self._tile_norms = (2 * self._norms).sqrt().unflatten(0, (-1, TILE)).amax(dim=1).mul(1 + 1e-6).float()
        self._set_up = True

    @property
    def needs(self) -> float:
        """The memory that it needs, in bytes: the atoms are held in float16 or, if they lie on levels, twice in bytes."""
        return super().needs + 2 * self.points.count * self.points.dim

    def start(self, z: Tensor, snr: Tensor, tol: float) -> Started:
        """Begins like `Engine.start`; all atoms are screened, and what the whole batch needs beyond that is begun. It waits for the device once."""
        if not 0 < len(z) <= QUERIES or self._trivial:
            return super().start(z, snr, tol)
        try:
            looked = self._looked(z, snr, tol)
            plan = looked.plan
            if plan.series or plan.rest:  # the queries may be changed before the answer is asked for
                z, snr = z.clone(), snr.clone()
            return Started(
                partial(self._finish, z, snr, tol, looked),
                checked=not plan.unusual,
                reached=partial(self._reached, looked, len(z)),
            )
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return super().start(z, snr, tol)

    def _finish(self, z: Tensor, snr: Tensor, tol: float, looked: Looked) -> PosteriorMoments:
        try:
            return self._found(z, snr, tol, looked)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return self.find(z, snr, tol)

    def _reached(self, looked: Looked, batch: int) -> bool:
        """Whether it was seen on the device that no bound is above the goal; one by the series is looked at."""
        plan = looked.plan
        whole = self.levels is not None and plan.rest == batch
        return not plan.series and (not plan.rest or (whole and not looked.short()))

    @property
    def _trivial(self) -> bool:
        """Whether nothing need be screened, or kernels could not hold the squares of the atoms in float32."""
        return self.small or not _LEAST_RADIUS < self.points.radius < _MOST_RADIUS

    def _group(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        if self._trivial or not len(z):
            return super()._group(z, snr, tol)
        return self._found(z, snr, tol, self._looked(z, snr, tol))

    def _looked(self, z: Tensor, snr: Tensor, tol: float) -> Looked:
        """What a screen and the best tiles tell, and what follows for the whole batch."""
        if not self._set_up:
            self._prepare()
        goal = tol * self.points.scale
        # kernels run on the device that is current
        with torch.cuda.device_of(z):
            mean, numbers, plan = self._first(z, snr, goal=goal)
            read = awaited(plan)
            # copied while the plan is waited for
            mean, look = mean.clone(), Look(*numbers.clone().unbind())
            plan = Plan(*read())
            if plan.series == len(z):
                return Looked(look, plan, _own(*self._near_zero(z, snr)), _none)
            if self.levels is not None and plan.rest == len(z):
                return Looked(look, plan, *self._by_digits(z, snr, look.top, plan, goal))
        return Looked(look, plan, PosteriorMoments(mean, look.trace, look.evidence, look.bound), _none)

    def _by_digits(
        self, z: Tensor, snr: Tensor, top: Tensor, plan: Plan, goal: float
    ) -> tuple[PosteriorMoments, Callable[[], int]]:
        """From all atoms, with what says for how many queries the bound is above the goal; it does not wait."""
        wanted = {"digits": plan.digits, "weight_digits": plan.weight_digits}
        mean, numbers, short = self._all(z, snr, top, **wanted, goal=goal)
        read = awaited(short)
        return _own(mean, numbers), lambda: read()[0]

    def _found(self, z: Tensor, snr: Tensor, tol: float, looked: Looked) -> PosteriorMoments:
        """The moments, with what is left to do after a look."""
        plan = looked.plan
        if plan.series == len(z) or not (plan.series or plan.rest):
            return looked.moments
        whole = self.levels is not None and plan.rest == len(z)
        if whole and not looked.short():
            return looked.moments
        # kernels read numbers one after another, and run on the device that is current
        with torch.cuda.device_of(z):
            return self._done(z.contiguous(), snr.contiguous(), tol, looked)

    def _done(self, z: Tensor, snr: Tensor, tol: float, looked: Looked) -> PosteriorMoments:
        look, plan, moments, goal = looked.look, looked.plan, looked.moments, tol * self.points.scale
        series, rest, dense = plan.series, plan.rest, plan.rest > 0 and self.levels is not None

        def by_digits(rows: Tensor | slice) -> PosteriorMoments:
            return self._by_digits(z[rows], snr[rows], look.top[rows], plan, goal)[0]

        def by_all_digits(rows: Tensor) -> PosteriorMoments:
            most = MOST_QUERY_DIGITS, MOST_WEIGHT_DIGITS
            return _own(*self._weigh(z[rows], snr[rows], look.top[rows], *most, goal)[:2])

        if series:
            _answer(moments, look.series > 0, lambda rows: self.series.posterior(z[rows], snr[rows]))
        if dense and 2 * rest < len(z):
            _answer(moments, look.rest > 0, by_digits)
        elif dense and rest < len(z):
            # most of a batch is answered sooner as a whole, for that is recorded
            moments = _better(moments, by_digits(slice(None)))
        if not rest:
            return moments
        # the few that fall short get all digits that there are; where all bounds are too large, none of these answers is kept
        in_float64 = [lambda rows: self._weighed(z[rows], snr[rows], tol)]
        return self._mended(moments, goal, [by_all_digits, *in_float64] if dense else in_float64)

    @staticmethod
    def _mended(
        moments: PosteriorMoments, goal: float, ways: Sequence[Callable[[Tensor], PosteriorMoments]]
    ) -> PosteriorMoments:
        """The moments mended by each way in turn, for the queries whose bounds are above the goal, as long as there are any."""
        for way in ways:
            poor = ~(moments.error_bound <= goal)
            if not bool(poor.any()):
                break
            _answer(moments, poor, way)
        return moments

    def _moments(self, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
        """Means and the rows of `MomentRows` by the series."""
        return self._kernels.moments(self.series, z, snr)

    def _look(self, z: Tensor, snr: Tensor, goal: float) -> tuple[Tensor, Tensor, Tensor]:
        """Screen all atoms, and weigh those of the best tiles."""
        points, below, kernels = self.points, left_out_below(self.points, goal), self._kernels
        whole = self.levels is not None
        constants = Asking.whole if whole else Asking.of
        asking = constants(self._sizes, goal, self.series.rounding, self.series.constant)
        queries = kernels.asked(z, snr, points.mean, self._screened.shape[1], asking, whole)
        largest = kernels.screen(queries, self._screened, *self._single, snr, TILE)
        tiles = kernels.tiles(largest, queries, self._tile_norms, below, MOST_TILES)
        near = kernels.near(
            z, points.stored, points.log_weights, queries, largest, tiles, self._tile_norms, snr,
            below, TILE, FEW_TILES, KEPT_TILES,
        )  # fmt: skip
        known = Nearness.of(self._sizes, goal, below, KEPT_TILES * TILE)
        bounded = kernels.bounded(near, tiles, queries, snr, known)
        return near.mean, bounded.numbers, bounded.plan

    def _weigh(
        self, z: Tensor, snr: Tensor, top: Tensor, digits: int, weight_digits: int, goal: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From all atoms; the last says for how many queries the bound is above the goal, shape (1,)."""
        mean, kernels = self.points.mean, self._kernels
        known = Weighing.of(self._sizes, weight_digits, len(self._columns))
        queries = kernels.digits(z, snr, mean, self._numbers.shape[1], digits, known)

        def chunk(number: int) -> tuple[Tensor, Tensor]:
            part = slice(number * _CHUNK, (number + 1) * _CHUNK)
            weighed = kernels.weigh(
                queries, self._numbers[part], self._norms[part], self._log_weights[part], snr, top, weight_digits
            )
            return weighed.sums, kernels.product(weighed.digits, self._columns[number])

        sums, products = chunk(0)
        for number in range(1, len(self._columns)):
            more = chunk(number)
            sums, products = sums + more[0], products + more[1]
        means, numbers = kernels.weighted(products, sums, queries, snr, top, mean, known)
        short = (~(MomentRows(*numbers.unbind()).bound <= goal)).sum(dim=0, keepdim=True)
        return means, numbers, short


def _none() -> int:
    return 0


def _own(mean: Tensor, numbers: Tensor) -> PosteriorMoments:
    """From what may be overwritten: means (batch, d), and the rows of `MomentRows` (3, batch)."""
    rows = MomentRows(*numbers.clone().unbind())
    return PosteriorMoments(mean.clone(), rows.trace, rows.evidence, rows.bound)


def _answer(moments: PosteriorMoments, chosen: Tensor, way: Callable[[Tensor], PosteriorMoments]) -> None:
    """Put the answers of another way in place of the chosen queries' where its bounds are smaller."""
    rows = chosen.nonzero()[:, 0]
    better = _better(moments.of(rows), way(rows))
    for field in fields(PosteriorMoments):
        getattr(moments, field.name)[rows] = getattr(better, field.name)


def _better(moments: PosteriorMoments, other: PosteriorMoments) -> PosteriorMoments:
    """Each query's answer with the smaller bound; where neither is bounded the other's, which comes later and is the better estimate."""
    chosen = (other.error_bound < moments.error_bound) | ~moments.error_bound.isfinite()
    pairs = ((getattr(other, field.name), getattr(moments, field.name)) for field in fields(PosteriorMoments))
    return PosteriorMoments(*(more.where(chosen.view(-1, *[1] * (more.ndim - 1)), values) for more, values in pairs))


def _whole_blocks(rows: Tensor, kind: torch.dtype) -> Tensor:
    """Rows of another type, with zeros to whole blocks."""
    (count, width), shape = rows.shape, (len(rows) + -len(rows) % _PADDED, rows.shape[1] + -rows.shape[1] % _WIDTH)
    blocks = torch.zeros(shape, dtype=kind, device=rows.device)
    blocks[:count, :width] = rows
    return blocks


def _largest_norm(rows: Tensor) -> float:
    return max(float(torch.linalg.vector_norm(part.double(), dim=1).max()) for part in rows.split(4096))

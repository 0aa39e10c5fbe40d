"""Exact posteriors of queries over all atoms to a stated tolerance: each query takes the cheapest way that its bounds allow.

Near γ = 0 the moments of the data suffice (`series`); at low noise few atoms matter, which are found in low precision and weighed
from differences (`screen`, `rescore`); in between all atoms are weighed by products (`scan`). Every way ends with a bound on its own
error, and a query whose bound is above the tolerance takes the next, more careful one.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cached_property, partial

import torch
from torch import Tensor

from singtheory.engine.points import BLOCK, Points
from singtheory.engine.rescore import Candidates, rescore
from singtheory.engine.results import PosteriorMoments, Started
from singtheory.engine.scan import SMALL_BLOCK, most_parts, parts_for, scan, scan_blocks
from singtheory.engine.screen import TILE, Screen, SingleScreen, left_out_below
from singtheory.engine.series import Series
from singtheory.engine.statistic import Statistic
from singtheory.errors import InputError

DOUBLE_TOL, SINGLE_TOL = 1e-12, 1e-6
"""What is aimed at on a CPU and on a GPU where nothing else is asked for."""
_PILOT = 1024
"""Atoms from which the number of those that matter is foretold."""
_PAIR_COST = 48
"""An atom weighed from differences costs as much as that many by products: it is gathered, and nothing of it is reused."""
_MANY = 8
"""Times as many are still weighed from differences where nothing else reaches the tolerance."""
_SOONER = 4
"""Times as soon as all atoms are weighed by products those in the blocks that matter, if a query's atoms are few in all."""
_SCARCE = 4
"""Where less than one atom in so many is foretold to matter, which is too many, the blocks are looked for that have these."""
_MOST_BLOCKS = 0.5
"""Where a larger share of the blocks matters, all atoms are weighed: it takes no longer."""
_PASSED_OVER = 16
"""Where fewer than one query in so many has few atoms, or many, it is answered as the others: to look for the atoms of one takes as long as for many, and so do products."""
QUERIES = 1024
"""Queries that are answered together."""
_SMALL_TRACE = 1e-9
"""The share of the prior's trace: below it a difference of moments keeps fewer than six digits."""


class Engine:
    """The ways to the posteriors of one law, with what they keep.

    Args:
        points: the atoms.
    """

    def __init__(self, points: Points) -> None:
        self.points, self.series = points, Series(points)

    @cached_property
    def screen(self) -> Screen:
        """Low-precision log weights."""
        return SingleScreen(self.points, self._order)

    @property
    def _ordered(self) -> bool:
        """Whether atoms are screened with neighbours together: where they are at hand, else as they lie."""
        return self.points.resident

    @property
    def _order(self) -> Tensor | None:
        """In which atoms are screened; it takes a while, so it is made only where a screen is needed."""
        return self.points.order if self._ordered else None

    @cached_property
    def _pilot(self) -> tuple[Tensor, Tensor]:
        """Some atoms, evenly chosen, with `½‖y‖²` and `log w`."""
        rows = torch.linspace(0, self.points.count - 1, min(_PILOT, self.points.count)).round().long()
        rows = rows.to(self.points.device)
        atoms = self.points.take(rows) - self.points.mean
        return atoms, torch.stack([-self.points.norms2[rows] / 2, self.points.log_weights[rows]])

    def start(self, z: Tensor, snr: Tensor, tol: float) -> Started:
        """Begins a `find` and returns what ends it: a device may work meanwhile, and look at the numbers of the queries in the same pass."""
        return Started(partial(self.find, z, snr, tol), checked=False)

    def find(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        """The posteriors of queries, shape (batch, d) and (batch,), each as far below `tol` times the data's scale as can be."""
        self.points.check()
        parts = zip(z.split(QUERIES), snr.split(QUERIES), strict=True)
        return joined([self._fitted(*part, tol) for part in parts])

    def _fitted(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        """The moments, in halves where the device has no memory for all at once. Raises `InputError` where one query is too many."""
        try:
            return self._group(z, snr, tol)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if len(z) == 1:
                raise InputError(
                    f"device {self.points.device}: no memory for one query over {self.points.count:,} points of width {self.points.dim}; "
                    f"{self.needs / 1e9:.2g} GB are needed beside the data: free them, take a larger device, or data.mapped(FILE)"
                ) from None
        half = -(-len(z) // 2)
        return joined([self._fitted(z[:half], snr[:half], tol), self._fitted(z[half:], snr[half:], tol)])

    @property
    def needs(self) -> float:
        """Bytes that one query takes beside the points: what is kept of each and a few blocks."""
        return 8 * (6 * self.points.count + 6 * BLOCK * self.points.dim + 2 * self.points.dim**2)

    def tell(self, z: Tensor, snr: Tensor, tol: float, statistics: Sequence[Statistic]) -> PosteriorMoments:
        """The moments of all queries, found by one way; each statistic sees the blocks of all atoms that matter."""
        self.points.check()
        if self.small or (len(z) and bool(self._few(self._foretold(z, snr, tol)).all())):
            return self._rescored(z, snr, self._candidates(z, snr, tol), tol, statistics)
        return scan(self.points, z, snr, most_parts(self.points), statistics)

    @property
    def small(self) -> bool:
        """Whether there are so few atoms that all of them are weighed from differences."""
        return self.points.count <= 4 * TILE

    def _group(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        if self.small:
            return self._rescored(z, snr, self._candidates(z, snr, tol), tol)
        near_zero = self.series.remainder(z, snr) <= tol * self.points.scale
        return _parted(near_zero, self.series.posterior, partial(self._weighed, tol=tol), z, snr)

    def _weighed(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        foretold = self._foretold(z, snr, tol)
        scarce = foretold * _SCARCE < self.points.count
        if not self._ordered or int(scarce.sum()) * 2 <= len(scarce):
            scarce = self._few(foretold)
        if int(scarce.sum()) * _PASSED_OVER <= len(scarce):
            return self._dense(z, snr, tol)
        if int((~scarce).sum()) * _PASSED_OVER <= len(scarce):
            return self._by_blocks(z, snr, tol)
        return _parted(scarce, partial(self._by_blocks, tol=tol), partial(self._dense, tol=tol), z, snr)

    def _by_blocks(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        """The moments of queries to which few atoms should matter, or atoms in few blocks."""
        candidates = self._candidates(z, snr, tol)
        if not self._ordered:
            few, others = self._few(candidates.counts), partial(self._dense, tol=tol)
        else:
            few = self._few(candidates.counts * _SOONER)
            others = partial(self._in_blocks, candidates=candidates.of(~few), tol=tol)
        return _parted(few, partial(self._rescored, candidates=candidates.of(few), tol=tol), others, z, snr)

    def _in_blocks(self, z: Tensor, snr: Tensor, candidates: Candidates, tol: float) -> PosteriorMoments:
        """The moments by products with the blocks that matter, where they are few."""
        needed, below = candidates.blocks(SMALL_BLOCK), left_out_below(self.points, tol * self.points.scale)
        if float(needed.double().mean()) > _MOST_BLOCKS:
            return self._dense(z, snr, tol)
        moments = scan_blocks(self.points, z, snr, self._parts(z, snr, tol), needed, below)
        small = self._few(candidates.counts) & self._poor(moments, tol)
        if bool(small.any()):
            exact = self._rescored(z[small], snr[small], candidates.of(small), tol)
            moments = _merged(small, exact, moments.of(~small))
        short = self._short(moments, tol)
        if not bool(short.any()):
            return moments
        return _merged(short, self._dense(z[short], snr[short], tol), moments.of(~short))

    def _foretold(self, z: Tensor, snr: Tensor, tol: float) -> Tensor:
        """About how many atoms of each query matter, judged by some; too many where the best ones are not among them."""
        atoms, (half_norms2, log_weights) = self._pilot
        shifted = self.points.shifted(z, snr)
        logits = snr.sqrt()[:, None] * (shifted @ atoms.mT) + snr[:, None] * half_norms2 + log_weights
        below = left_out_below(self.points, tol * self.points.scale)
        near = logits >= logits.amax(dim=1, keepdim=True) - below
        return near.sum(dim=1) * (self.points.count / len(atoms))

    def _few(self, atoms: Tensor) -> Tensor:
        """Whether so many atoms are weighed from differences sooner than all by products."""
        return atoms * _PAIR_COST < self.points.count

    def _dense(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        """The moments by products; where their bound is too large, from differences if few atoms matter, else in more parts, else from many differences."""
        parts, most = self._parts(z, snr, tol), most_parts(self.points)
        moments = scan(self.points, z, snr, parts)
        moments = self._near(self._poor(moments, tol), moments, z, snr, tol, 1)
        short = self._short(moments, tol)
        if not bool(short.any()):
            return moments
        if parts < most:
            moments = _merged(short, scan(self.points, z[short], snr[short], most), moments.of(~short))
        return self._near(self._short(moments, tol), moments, z, snr, tol, _MANY)

    def _parts(self, z: Tensor, snr: Tensor, tol: float) -> int:
        """Into how many the width is cut."""
        return parts_for(self.points, z, snr, self.series.linear_mmse(snr).sqrt(), tol)

    def _poor(self, moments: PosteriorMoments, tol: float) -> Tensor:
        """Which queries do not reach the tolerance, or have lost the digits of their trace."""
        return self._short(moments, tol) | (moments.trace_cov < _SMALL_TRACE * self.points.variance)

    def _short(self, moments: PosteriorMoments, tol: float) -> Tensor:
        """Which queries do not reach the tolerance."""
        return moments.error_bound > tol * self.points.scale

    def _near(
        self, chosen: Tensor, moments: PosteriorMoments, z: Tensor, snr: Tensor, tol: float, times: int
    ) -> PosteriorMoments:
        """From differences for those of the chosen queries in which few atoms matter, or so many times as many."""
        if not bool(chosen.any()):
            return moments
        candidates = self._candidates(z[chosen], snr[chosen], tol)
        few = chosen.clone()
        few[chosen] = kept = self._few(candidates.counts / times)
        if not bool(few.any()):
            return moments
        return _merged(few, self._rescored(z[few], snr[few], candidates.of(kept), tol), moments.of(~few))

    def _candidates(self, z: Tensor, snr: Tensor, tol: float) -> Candidates:
        if self.small:
            return Candidates.everything(len(z), self.points.count, z.device)
        screened = self.screen(z, snr)
        return Candidates(screened.kept(self.points, tol * self.points.scale), screened.tile, self._order)

    def _rescored(
        self, z: Tensor, snr: Tensor, candidates: Candidates, tol: float, statistics: Sequence[Statistic] = ()
    ) -> PosteriorMoments:
        below = left_out_below(self.points, tol * self.points.scale)
        return rescore(self.points, z, snr, candidates, below, statistics)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that memory is lacking, as torch's errors of a GPU do."""
    return "memory" in str(error).lower()


Way = Callable[[Tensor, Tensor], PosteriorMoments]


def _parted(chosen: Tensor, way: Way, other: Way, z: Tensor, snr: Tensor) -> PosteriorMoments:
    """One way for the chosen queries, another for the rest."""
    if bool(chosen.all()):
        return way(z, snr)
    if not bool(chosen.any()):
        return other(z, snr)
    return _merged(chosen, way(z[chosen], snr[chosen]), other(z[~chosen], snr[~chosen]))


def _merged(chosen: Tensor, first: PosteriorMoments, second: PosteriorMoments) -> PosteriorMoments:
    """The moments of both parts, in the order of the queries."""
    order = torch.cat([chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0]]).argsort()
    return joined([first, second]).of(order)


def joined(parts: Sequence[PosteriorMoments]) -> PosteriorMoments:
    """The moments of all parts in order."""
    if len(parts) == 1:
        return parts[0]
    return PosteriorMoments(
        *(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(PosteriorMoments))
    )


def check_reached(error_bound: Tensor, points: Points, tol: float) -> None:
    """Raise `InputError` where an error cannot be bounded below `tol` times the data's scale."""
    least = float(error_bound.max()) / points.scale
    if not least <= tol:
        raise InputError(f"tol {tol:g}: for these queries the arithmetic certifies {least:.2g}; take at least that")

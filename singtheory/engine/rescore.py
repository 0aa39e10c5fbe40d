"""Posterior means from differences to a query's best atom, for the atoms that can matter, with a bound on the rounding.

`log p_i − log p_b = √γ⟨z − √γ(y_i + y_b)/2, y_i − y_b⟩ + log w_i/w_b`: at low noise no digits cancel, and a tiny trace keeps its own.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine.points import Points, pairwise_sum, sum_roundings
from singtheory.engine.results import PosteriorMoments
from singtheory.engine.statistic import Statistic

_NUMBERS = {"cpu": 2**22, "cuda": 2**27}
"""In one block of queries times atoms times width: 32 MB and 1 GB."""
_FEW = 64
"""Atoms of which none are left out: sorting them would take longer."""
_SAFE = 1.01
_LEAST = 2.3e-162
"""A number below it has a square that underflows."""
_SLACK = 1e-9
"""The relative slack of squared distances, far above their rounding: what is left out is left out for sure."""


@dataclass(frozen=True)
class Candidates:
    """Which atoms are looked at for which query.

    Attributes:
        tiles: of `tile` atoms each, those of every query, shape (batch, tiles).
        tile: atoms in a tile.
        order: the numbers of all atoms as tiles take them, shape (n,); as they lie if None.
    """

    tiles: Tensor
    tile: int
    order: Tensor | None = None

    @classmethod
    def everything(cls, batch: int, count: int, device: torch.device) -> "Candidates":
        """All atoms for every query."""
        return cls(torch.ones(batch, 1, dtype=torch.bool, device=device), count)

    @property
    def whole(self) -> bool:
        """Whether one tile has all atoms, so that queries stay in their order."""
        return self.tiles.shape[1] == 1

    @property
    def counts(self) -> Tensor:
        """Atoms a query, shape (batch,)."""
        return self.tiles.sum(dim=1) * self.tile

    def of(self, queries: Tensor) -> "Candidates":
        """The candidates of some queries."""
        return Candidates(self.tiles[queries], self.tile, self.order)

    def blocks(self, size: int) -> Tensor:
        """Which blocks of `size` atoms have any, a whole number of tiles each; shape (batch, blocks)."""
        tiles = size // self.tile
        return torch.nn.functional.pad(self.tiles, (0, -self.tiles.shape[1] % tiles)).unflatten(1, (-1, tiles)).any(2)

    def groups(self, numbers: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Queries that have about as many atoms, (b,), these atoms, (b, m), and which of them are no padding, (b, m).

        Args:
            numbers: how many atoms a group may have.
        """
        if self.whole:
            yield from self._groups_of_everything(numbers)
            return
        tiles = self.tiles.sum(dim=1)
        order = tiles.argsort(descending=True, stable=True)
        inside = torch.arange(self.tile, device=tiles.device)
        first, sizes = 0, tiles[order].tolist()
        while first < len(order):
            most = max(1, int(sizes[first]))
            queries = order[first : first + max(1, numbers // (most * self.tile))]
            chosen, index = self.tiles[queries].float().topk(most, dim=1)
            atoms = (index[:, :, None] * self.tile + inside).flatten(1)
            real = (chosen > 0)[:, :, None].expand(-1, -1, self.tile).flatten(1)
            if self.order is not None:
                # the last tile may have fewer atoms
                real = real & (atoms < len(self.order))
                atoms = self.order[atoms.clamp(max=len(self.order) - 1)]
            yield queries, atoms, real
            first += len(queries)

    def _groups_of_everything(self, numbers: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        atoms = torch.arange(self.tile, device=self.tiles.device)
        for queries in torch.arange(len(self.tiles), device=atoms.device).split(max(1, numbers // self.tile)):
            yield queries, atoms.expand(len(queries), -1), self.tiles[queries].expand(-1, self.tile)


def rescore(
    points: Points, z: Tensor, snr: Tensor, candidates: Candidates, below: float, statistics: Sequence[Statistic] = ()
) -> PosteriorMoments:
    """The posteriors of some queries, from differences.

    Args:
        points: the atoms.
        z: shape (batch, d).
        snr: shape (batch,).
        candidates: all atoms whose log weights lie less than `below` under the largest of their query, and any others.
        below: how far under it atoms are left out.
        statistics: each sees every query's atoms.
    """
    order, parts, seen = [], [], []
    for queries, atoms, real in candidates.groups(_NUMBERS[z.device.type] // points.dim):
        near = _near(points, z[queries], snr[queries], atoms, real, below)
        moments, logits = _weighed(points, z[queries], snr[queries], near, below)
        order.append(queries)
        parts.append(moments)
        seen.append((near.atoms, logits))
    if candidates.whole and len(parts) == 1 and not statistics:
        return parts[0]
    back = torch.cat(order).argsort()
    if statistics:
        _tell(statistics, seen, back)
    return PosteriorMoments(
        *(torch.cat([getattr(part, field.name) for part in parts])[back] for field in fields(PosteriorMoments))
    )


@dataclass(frozen=True)
class _Near:
    """The atoms that matter.

    Attributes:
        atoms: shape (b, m).
        places: where they lie, shape (b, m, d).
        log_weights: their priors', shape (b, m).
        real: which of them are no padding, shape (b, m).
        best: the place of each query's best atom among them, shape (b, 1).
        score: the log density of `z` and the best atom together, shape (b,).
    """

    atoms: Tensor
    places: Tensor
    log_weights: Tensor
    real: Tensor
    best: Tensor
    score: Tensor


def _near(points: Points, z: Tensor, snr: Tensor, atoms: Tensor, real: Tensor, below: float) -> _Near:
    real = real & (atoms < points.count)
    atoms = atoms.clamp(max=points.count - 1)
    real = real & (points.weights[atoms] > 0)
    root, log_weights = snr.sqrt()[:, None, None], points.log_weights[atoms]
    log_norm = points.dim / 2 * math.log(2 * math.pi)
    places = points.take(atoms.flatten()).unflatten(0, atoms.shape)
    if atoms.shape[1] <= _FEW:
        distance2 = pairwise_sum((z[:, None] - root * places).square_())
        score, best = (log_weights - distance2 / 2 - log_norm).where(real, -torch.inf).max(dim=1)
        return _Near(atoms, places, log_weights, real, best[:, None], score)
    # of many, their order and about how far they lie are wanted, to which the slack is far above the rounding of any sum
    squares = places.mul_(-root).add_(z[:, None]).square_()
    distance2 = squares.sum(dim=2)
    value = (log_weights - distance2 / 2 - log_norm).where(real, -torch.inf)
    matters = real & (value >= (value.amax(dim=1) - below)[:, None] - _SLACK * (1 + distance2))
    index = value.topk(max(1, int(matters.sum(dim=1).max())), dim=1).indices  # the best first
    nearest = pairwise_sum(squares.take_along_dim(index[:, :1, None], 1)[:, 0])
    kept, log_weights = atoms.gather(1, index), log_weights.gather(1, index)
    return _Near(
        atoms=kept,
        places=points.take(kept.flatten()).unflatten(0, kept.shape),
        log_weights=log_weights,
        real=matters.gather(1, index),
        best=torch.zeros_like(index[:, :1]),
        score=log_weights[:, 0] - nearest / 2 - log_norm,
    )


def _weighed(points: Points, z: Tensor, snr: Tensor, near: _Near, below: float) -> tuple[PosteriorMoments, Tensor]:
    """What is known of the queries, and the log weights relative to the best atom, (b, m)."""
    atoms, root, log_weights = near.places, snr.sqrt()[:, None], near.log_weights
    y_best = atoms.take_along_dim(near.best[:, :, None], 1)[:, 0]
    # what has no weight may lie so far away that its square is infinite, and 0 · ∞ is no number
    apart = (atoms - y_best[:, None]).where(near.real[:, :, None], 0.0)
    distance = pairwise_sum(apart.square()).sqrt()
    half_way = z[:, None] - root[:, :, None] * (y_best[:, None] + apart / 2)
    logits = root * pairwise_sum(half_way * apart) + (log_weights - log_weights.gather(1, near.best))
    logits = logits.where(near.real, -torch.inf)
    # far from all atoms rounding decides which one seems best, and another may outweigh it by more than an exponential can hold
    top = logits.amax(dim=1, keepdim=True)
    delta = _logit_error(points, z, root, half_way.norm(dim=2), distance, logits, top)
    logits = logits - top
    weights = logits.exp()
    total = weights.sum(dim=1)
    eta = weights * formula.tilt(delta, torch)
    mass, moved = eta.sum(dim=1) / total, (eta * distance).sum(dim=1) / total
    offset = (weights[:, None] @ apart)[:, 0] / total[:, None]
    square, shift = (weights * distance.square()).sum(dim=1) / total, offset.norm(dim=1)
    least = _LEAST * math.sqrt(points.dim)
    tilted = formula.tilt_error(moved + mass * (shift + 2 * least), mass).where(mass < 0.5, torch.inf)
    sums = formula.accumulation(weights.shape[1] + 8, formula.DOUBLE)
    rounded = 2 * sums * (square.sqrt() + least) + 3 * formula.DOUBLE * (y_best.norm(dim=1) + shift + 2 * least)
    left_out = formula.truncation_error(points.count * math.exp(-below), 2 * points.radius)
    variance = (square - shift.square()).clamp(min=0)
    error = _SAFE * (tilted + rounded + left_out)
    return PosteriorMoments(y_best + offset, variance, near.score + top[:, 0] + total.log(), error), logits


def _logit_error(
    points: Points, z: Tensor, root: Tensor, half_way: Tensor, apart: Tensor, logits: Tensor, top: Tensor
) -> Tensor:
    """`δ` of each atom: rounding of the differences, of their product, of the logarithms and of the exponential; (b, m)."""
    products = (sum_roundings(points.dim) + 6) * root * half_way * apart
    inputs = root * apart * (2 * z.norm(dim=1, keepdim=True) + 6 * root * points.reach)
    # what lies 800 below the largest weighs nothing, however it is rounded
    others = 4 * (torch.minimum(logits.abs(), top + 800.0) - points.least_log_weight) + 8
    return _SAFE * formula.logit_error(formula.DOUBLE, products, inputs, others)


def _tell(statistics: Sequence[Statistic], seen: list[tuple[Tensor, Tensor]], back: Tensor) -> None:
    """All queries as one block, a row as long as the longest."""
    longest = max(atoms.shape[1] for atoms, _ in seen)
    widen = [(0, longest - atoms.shape[1]) for atoms, _ in seen]
    pad = torch.nn.functional.pad
    atoms = torch.cat([pad(one, by) for (one, _), by in zip(seen, widen, strict=True)])[back]
    logits = torch.cat([pad(one, by, value=-torch.inf) for (_, one), by in zip(seen, widen, strict=True)])[back]
    for statistic in statistics:
        statistic.update(atoms, logits)

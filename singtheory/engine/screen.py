"""Which atoms can matter to a query: log weights (`scan`) in float32 with a bound on their error; only their largest in every few atoms are kept."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine.points import BLOCK, Points

TILE = 16
"""Atoms of which only the largest log weight is kept."""
_NEVER = -1e30
"""Stands for the logarithm of no weight in float32."""
_SAFE = 1.01
_LARGEST = 1e30
"""The largest size in a log weight: far below the largest number of float32."""


@dataclass(frozen=True)
class Screened:
    """Log weights of queries, as far as they are known.

    Attributes:
        largest: in every tile of atoms, shape (batch, tiles).
        error: at least what each is off, shape (batch,).
        tile: atoms in a tile.
    """

    largest: Tensor
    error: Tensor
    tile: int

    def kept(self, points: Points, tol: float) -> Tensor:
        """Tiles that are needed: all others together move no mean by more than `tol/8`, shape (batch, tiles)."""
        best = self.largest.amax(dim=1).double()
        threshold = best - 2 * self.error - left_out_below(points, tol)
        # also where the error is not finite, for float32 may have overflowed
        return ~(self.largest < threshold[:, None])


def left_out_below(points: Points, tol: float) -> float:
    """How far below the largest log weight all atoms may be left out: `n e^{−ℓ} · 2r ≤ tol/8`."""
    return max(0.0, math.log(16 * points.count * points.radius / tol)) if points.radius else 0.0


class Screen(Protocol):
    """Screens queries."""

    def __call__(self, z: Tensor, snr: Tensor) -> Screened:
        """Screens queries `z` (batch, d) at `snr` (batch,)."""
        ...


class SingleScreen:
    """Screens in float32 products, of which those with `−½‖y‖²` and `log w` are part; atoms are measured by their radius, whose square float32 may not hold.

    Args:
        points: the atoms.
        order: their numbers in the order in which tiles take them, shape (n,); as they lie if None.
    """

    def __init__(self, points: Points, order: Tensor | None = None) -> None:
        self.points, self.order = points, order
        self._unit = 2.0 ** math.frexp(points.radius)[1] if points.radius else 1.0
        self._kept = [*self._columns()] if points.resident else None

    def _columns(self) -> Iterator[Tensor]:
        """Blocks of atoms, each with two columns more and whole tiles: shape (atoms, d + 2), float32."""
        points = self.points
        for rows, block in self._blocks():
            half = points.norms2[rows] / self._unit / self._unit / 2
            more = torch.stack([half, points.log_weights[rows].clamp(min=_NEVER)], dim=1)
            columns = torch.cat([block / self._unit, more], dim=1).float()
            missing = -len(block) % TILE
            yield torch.cat([columns, columns[-1:].expand(missing, -1)]) if missing else columns

    def _blocks(self) -> Iterator[tuple[Tensor | slice, Tensor]]:
        """All `y′`, each block with the numbers of its atoms."""
        if self.order is not None:
            yield from ((rows, self.points.centred(rows)) for rows in self.order.split(BLOCK))
            return
        yield from ((slice(first, first + len(block)), block) for first, block in self.points.blocks())

    def __call__(self, z: Tensor, snr: Tensor) -> Screened:
        """Screens queries, see `Screen`."""
        points = self.points
        shifted = points.shifted(z, snr)
        scaled = snr.sqrt() * self._unit
        queries = torch.cat(
            [scaled[:, None] * shifted, -scaled.square()[:, None], torch.ones_like(snr)[:, None]], dim=1
        ).float()
        largest, tiles = torch.empty(-(-points.count // TILE), len(z), dtype=torch.float32, device=z.device), 0
        for columns in self._kept or self._columns():
            part = slice(tiles, tiles := tiles + len(columns) // TILE)
            torch.amax(_product(columns, queries).unflatten(0, (-1, TILE)), dim=1, out=largest[part])
        reach = snr.sqrt() * shifted.norm(dim=1) * points.radius + snr * points.radius**2 / 2 - points.least_log_weight
        reach += snr * points.radius * points.mean.norm() * formula.SINGLE  # z′ is rounded in float64
        # of larger ones a partial sum may overflow
        reach = reach.where(reach < _LARGEST, math.inf)
        error = _SAFE * formula.accumulation(points.dim + 8, formula.SINGLE) * reach
        return Screened(largest.mT, error, TILE)


def _product(columns: Tensor, queries: Tensor) -> Tensor:
    """The product in float32, as its roundings are counted; in float64 where torch is set to products of float32 that may be less precise than that."""
    if torch.get_float32_matmul_precision() == "highest":
        return columns @ queries.mT
    return (columns.double() @ queries.double().mT).float()

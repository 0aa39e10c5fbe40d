"""Atoms as they lie, on a device, in RAM or in a file that is mapped, and what bounds on errors need to know of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from singtheory.engine.results import Sums
from singtheory.errors import InputError

BLOCK = 4096
"""Atoms that are looked at together."""
_SOME, _DIRECTIONS, _LEAF = 512, 16, 16
"""Atoms by which the widest directions are judged, so many of these, and how many atoms are left in any order: a tile of `screen`."""
HALF_RANGE = 127.5
"""Half of the largest byte, which stands for 1."""


@dataclass(frozen=True)
class MappedFile:
    """The file behind a memory map, with its size when it was mapped."""

    path: Path
    size: int

    def check(self) -> None:
        """Raise `InputError` where the file is gone or has another size: reading it would end the process."""
        size = self.path.stat().st_size if self.path.is_file() else -1
        if size != self.size:
            raise InputError(
                f"{self.path}: had {self.size} bytes when it was mapped and has {max(size, 0)}; load it again"
            )


class Points:
    """`n` atoms in `d` dimensions with prior weights, relative to their centre: `y′ = y − μ` keeps products and their rounding small.

    Args:
        stored: shape (n, d): in float64, in float32, or in uint8 standing for `x/127.5 − 1`.
        weights: prior weights, float64, shape (n,), on the device where posteriors are computed.
        file: behind `stored` if it is a memory map.
    """

    def __init__(self, stored: Tensor, weights: Tensor, file: MappedFile | None = None) -> None:
        self.stored, self.weights, self.file = stored, weights, file
        self.count, self.dim = stored.shape
        self._centred: Tensor | None = None

    @classmethod
    def mapped(cls, path: Path, array: np.ndarray, device: torch.device) -> Self:
        """Points of a memory-mapped array (n, d), read block by block and never whole; uniform weights."""
        weights = torch.full((len(array),), 1 / len(array), dtype=torch.float64, device=device)
        return cls(torch.from_numpy(array), weights, MappedFile(path, path.stat().st_size))

    @property
    def device(self) -> torch.device:
        """Where posteriors are computed; a mapped file is brought there block by block."""
        return self.weights.device

    @property
    def resident(self) -> bool:
        """Whether all atoms lie there in float64."""
        return self.stored.dtype == torch.float64 and self.stored.device == self.device

    @property
    def in_place(self) -> bool:
        """Whether all atoms lie there in float64 or in bytes, which kernels read as they are."""
        return self.resident or (self.stored.dtype == torch.uint8 and self.stored.device == self.device)

    @cached_property
    def total(self) -> int:
        """Atoms of the law, of which these may be a part (`shard`)."""
        return self.count

    def gathered(self, sums: Sums) -> Sums:
        """Sums over the atoms of the law from those over these."""
        return sums

    def check(self) -> None:
        """Raise `InputError` for a mapped file that has changed its size."""
        if self.file is not None:
            self.file.check()

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, Tensor]]:
        """All `y′` in order, float64, each block with the number of its first; 0 for atoms without weight."""
        if not self.resident:
            # what is decoded is a copy, and fewer of them leave less of a process's memory in pieces
            for first, block in self._blocks(size):
                yield first, self._only_weighted(first, block.sub_(self.mean))
            return
        if self._centred is None:
            self._centred = self._only_weighted(0, self.stored - self.mean)
        yield from zip(range(0, self.count, size), self._centred.split(size), strict=True)

    def _only_weighted(self, first: int, block: Tensor) -> Tensor:
        """A block itself; what has no weight may lie anywhere, and becomes 0: there it widens no bound, and 0 · ∞ meets no sum."""
        if self._weightless is not None:
            block.masked_fill_(self._weightless[first : first + len(block), None], 0.0)
        return block

    @cached_property
    def _weightless(self) -> Tensor | None:
        """Which atoms have no weight, shape (n,); None where all have some."""
        nothing = self.weights == 0
        return nothing if bool(nothing.any()) else None

    def _blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """All atoms as they are."""
        self.check()
        for first in range(0, self.count, size):
            yield first, decoded(self.stored[first : first + size].to(self.device, non_blocking=True))

    def take(self, rows: Tensor) -> Tensor:
        """The atoms `y` of some numbers, float64, shape (len(rows), d): a copy, to be worked on in place."""
        return decoded(self.stored[rows.to(self.stored.device)].to(self.device, non_blocking=True), fresh=True)

    def centred(self, rows: Tensor) -> Tensor:
        """`y′` of some atoms as in `blocks`, shape (len(rows), d): a copy."""
        if self._centred is not None:
            return self._centred[rows]
        block = self.take(rows).sub_(self.mean)
        return block if self._weightless is None else block.masked_fill_(self._weightless[rows, None], 0.0)

    @cached_property
    def order(self) -> Tensor:
        """The numbers of all atoms, shape (n,): halved again and again across the direction in which they lie widest, so that neighbours are near one another."""
        every = torch.arange(self.count, device=self.device)
        some = self.centred(every[:: -(-self.count // _SOME)])
        directions = some.mT @ torch.linalg.eigh(some @ some.mT)[1][:, -_DIRECTIONS:]
        along = torch.cat([block @ directions for _, block in self.blocks()])
        along /= directions.norm(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
        return torch.cat(list(_halved(every, along)))

    @cached_property
    def whole(self) -> Tensor:
        """All atoms in float64 on the device, for those who need them at once; shape (n, d)."""
        return self.stored if self.resident else torch.cat([block for _, block in self._blocks(BLOCK)])

    @cached_property
    def mean(self) -> Tensor:
        """`μ`, summed block by block, shape (d,)."""
        # what is kept lies in one piece: small ones between blocks would leave memory in pieces that no block fits into
        sums = torch.empty(-(-self.count // BLOCK), self.dim, dtype=torch.float64, device=self.device)
        for first, block in self._blocks(BLOCK):
            torch.mv(block.mT, self.weights[first : first + BLOCK], out=sums[first // BLOCK])
        return sums.sum(dim=0)

    def shifted(self, z: Tensor, snr: Tensor) -> Tensor:
        """`z′ = z − √γ μ` of queries (batch, d) at `snr` (batch,), which is to y′ what z is to y."""
        return z - snr.sqrt()[:, None] * self.mean

    @cached_property
    def log_weights(self) -> Tensor:
        """−∞ for atoms without weight, shape (n,)."""
        return self.weights.log()

    @cached_property
    def norms2(self) -> Tensor:
        """`‖y′_i‖²`, shape (n,)."""
        norms2 = torch.empty(self.count, dtype=torch.float64, device=self.device)
        for first, block in self.blocks():
            norms2[first : first + len(block)] = pairwise_sum(block.square())
        return norms2

    @cached_property
    def radius(self) -> float:
        """The largest `‖y′_i‖` of atoms that have weight, rounded up."""
        return float(self.norms2.max().sqrt()) * (1 + 1e-12)

    @cached_property
    def reach(self) -> float:
        """At least the largest `‖y_i‖` of atoms that have weight."""
        return self.radius + float(self.mean.norm()) * (1 + 1e-12)

    @cached_property
    def scale(self) -> float:
        """`√Σ w_i‖y_i‖²`, to which tolerances are relative; 1 where all atoms are 0.

        Raises:
            InputError: where squares leave the range of float64.
        """
        square = self.variance + float(self.mean.square().sum())
        if not square + self.reach * self.reach < math.inf:
            raise InputError(
                "points: their squares leave the range of float64; divide them by a number s, multiply every snr by s² and the means that are found by s"
            )
        return math.sqrt(square) or 1.0

    @cached_property
    def variance(self) -> float:
        """`tr Σ = Σ w_i‖y′_i‖²`."""
        return float(self.weights @ self.norms2)

    @cached_property
    def least_log_weight(self) -> float:
        """The logarithm of the least positive weight: rounding of log weights is relative to it."""
        return float(self.log_weights[self.weights > 0].min())


def decoded(rows: Tensor, *, fresh: bool = False) -> Tensor:
    """A copy in float64, or rows that are `fresh` themselves; bytes are `x/127.5 − 1`, as the loaders scale them, in the same bits on every device."""
    copy = rows.to(torch.float64, copy=not fresh)
    # a GPU would multiply by the rounded reciprocal of a plain number
    return copy.div_(copy.new_full((), HALF_RANGE)).sub_(1) if rows.dtype == torch.uint8 else copy


def _halved(rows: Tensor, along: Tensor) -> Iterator[Tensor]:
    """Rows in halves that lie apart in `along` (n, k), down to `_LEAF`; every half but the last is a power of two times that."""
    if len(rows) <= _LEAF:
        yield rows
        return
    places = along[rows]
    rows = rows[places[:, places.var(dim=0).argmax()].argsort(stable=True)]
    half = _LEAF * 2 ** max(0, math.ceil(math.log2(len(rows) / _LEAF)) - 1)
    yield from _halved(rows[:half], along)
    yield from _halved(rows[half:], along)


def sum_roundings(dim: int) -> int:
    """Roundings on every path of `pairwise_sum` over products."""
    return 1 + math.ceil(math.log2(dim))


def pairwise_sum(values: Tensor) -> Tensor:
    """The sum over the last dimension as a binary tree, so that few roundings meet on a path."""
    while (width := values.shape[-1]) > 1:
        half = width // 2
        sums = values[..., :half] + values[..., half : 2 * half]
        values = torch.cat([sums, values[..., -1:]], dim=-1) if width % 2 else sums
    return values[..., 0]

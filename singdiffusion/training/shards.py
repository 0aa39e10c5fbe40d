"""Rows of a tensor that lies in several safetensors files, one after another: in memory if they are small, or else read where they are wanted."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from singdiffusion.training.cache_index import Shard

_IN_MEMORY = 2**32


def are_small(paths: Sequence[Path]) -> bool:
    """Whether files can be held in memory together."""
    return sum(path.stat().st_size for path in paths) <= _IN_MEMORY


class Shards:
    """The rows of all files as one tensor.

    Args:
        paths: of the files, in order.
        name: of the tensor in each; only the number of rows differs.
        in_memory: whether all are read at once; those that are small together if None.
    """

    def __init__(self, paths: Sequence[Path], name: str, in_memory: bool | None = None) -> None:
        # a file stays mapped into memory as long as its slice is held
        self._slices: list[Any] = [safe_open(path, framework="pt").__enter__().get_slice(name) for path in paths]
        self._stops = torch.tensor([part.get_shape()[0] for part in self._slices]).cumsum(0)
        self.size = tuple(self._slices[0].get_shape()[1:])
        small = are_small(paths) if in_memory is None else in_memory
        self._whole = torch.cat([load_file(path)[name] for path in paths]) if small else None

    def __len__(self) -> int:
        return int(self._stops[-1])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Some rows, shape (len(rows), *size)."""
        if self._whole is not None:
            return self._whole[rows]
        shards = torch.searchsorted(self._stops, rows, right=True)
        firsts = torch.cat([torch.zeros(1, dtype=torch.long), self._stops])[shards]
        items = [self._slices[shard][row] for shard, row in zip(shards.tolist(), (rows - firsts).tolist(), strict=True)]
        return torch.stack(items)


class Images:
    """The rows of shards of images, those of one size after another.

    Args:
        shards: with their sizes; None for the size of all.
        square: height and width of `resized`.
    """

    def __init__(self, shards: Sequence[Shard], square: tuple[int, int]) -> None:
        self.square = square
        small = are_small([shard.path for shard in shards])
        groups = [[shard.path for shard in group] for _, group in groupby(shards, lambda shard: shard.size)]
        self._parts = [Shards(paths, "x_0", small) for paths in groups]
        self._stops = torch.tensor([len(part) for part in self._parts]).cumsum(0)

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The first row of each size, and the one after its last."""
        stops = self._stops.tolist()
        return list(zip([0, *stops[:-1]], stops, strict=True))

    def own(self, rows: Tensor) -> Tensor:
        """Images that have one size, in it, shape (len(rows), channels, height, width)."""
        (number,) = self._numbers(rows).unique().tolist()
        return self._parts[number][rows - self.bounds[number][0]].float()

    def resized(self, rows: Tensor) -> Tensor:
        """Images of whatever sizes in that of the square, as functions on it, shape (len(rows), channels, *square)."""
        numbers = self._numbers(rows)
        batch: Tensor | None = None
        for number in numbers.unique().tolist():
            at = (numbers == number).nonzero()[:, 0]
            images = self.own(rows[at])
            if images.shape[2:] != self.square:
                images = functional.interpolate(images, self.square, mode="bicubic", antialias=True)
            batch = images.new_empty(len(rows), *images.shape[1:]) if batch is None else batch
            batch[at] = images
        return torch.empty(0, self._parts[0].size[0], *self.square) if batch is None else batch

    def _numbers(self, rows: Tensor) -> Tensor:
        """The numbers of the sizes of rows."""
        return torch.searchsorted(self._stops, rows, right=True)

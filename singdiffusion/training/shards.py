"""Rows of a tensor that lies in several safetensors files, one after another: in memory if they are small, or else read where they are wanted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

_IN_MEMORY = 2**32


class Shards:
    """The rows of all files as one tensor.

    Args:
        paths: of the files, in order.
        name: of the tensor in each; only the number of rows differs.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        # a file stays mapped into memory as long as its slice is held
        self._slices: list[Any] = [safe_open(path, framework="pt").__enter__().get_slice(name) for path in paths]
        self._stops = torch.tensor([part.get_shape()[0] for part in self._slices]).cumsum(0)
        self.size = tuple(self._slices[0].get_shape()[1:])
        small = sum(path.stat().st_size for path in paths) <= _IN_MEMORY
        self._whole = torch.cat([load_file(path)[name] for path in paths]) if small else None

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Some rows, shape (len(rows), *size)."""
        if self._whole is not None:
            return self._whole[rows]
        shards = torch.searchsorted(self._stops, rows, right=True)
        firsts = torch.cat([torch.zeros(1, dtype=torch.long), self._stops])[shards]
        items = [self._slices[shard][row] for shard, row in zip(shards.tolist(), (rows - firsts).tolist(), strict=True)]
        return torch.stack(items)

"""Functions of tensors on a GPU whose many small launches are recorded once for every shape and replayed as one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_MOST = 4
"""Shapes that are kept; each holds the memory of its intermediate results."""


class Replayed:
    """A function of tensors and numbers, without branches on what the tensors hold; recorded when a shape comes back.

    What it gives may be overwritten by the next call.

    Args:
        function: gives a tuple of tensors.
        fetch: copies float64 from the addresses in a table (k, 2) to k tensors; as `launch.fetched`.
    """

    def __init__(
        self, function: Callable[..., tuple[Tensor, ...]], fetch: Callable[[Tensor, list[Tensor]], None]
    ) -> None:
        self.function, self.fetch = function, fetch
        self._seen: set[object] = set()
        self._pool: Any = None
        self._records: dict[object, _Record] = {}

    def __call__(self, *tensors: Tensor, **numbers: float) -> tuple[Tensor, ...]:
        """Gives what the function itself gives."""
        if not tensors[0].is_cuda or torch.cuda.is_current_stream_capturing():
            return self.function(*_in_order(tensors), **numbers)
        key = (*(tensor.shape for tensor in tensors), *numbers.values())
        if key not in self._seen:
            result = self.function(*_in_order(tensors), **numbers)
            self._seen.add(key)  # what failed has not prepared all that a record needs
            return result
        if key not in self._records:
            if len(self._records) >= _MOST:
                del self._records[next(iter(self._records))]
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            self._records[key] = _Record(self.function, self.fetch, tensors, numbers, self._pool)
        record = self._records[key] = self._records.pop(key)  # the one that was used last is the last to go
        return record.replay(tensors)


def _in_order(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Kernels read numbers one after another."""
    return tuple(tensor.contiguous() for tensor in tensors)


def awaited(numbers: Tensor) -> Callable[[], list[int]]:
    """What waits for whole numbers, shape (k,), that a device writes, and gives them; work that is asked for meanwhile is not waited for."""
    if not numbers.is_cuda:
        return numbers.tolist
    host, written = torch.empty_like(numbers, device="cpu", pin_memory=True), torch.cuda.Event()
    host.copy_(numbers, non_blocking=True)
    written.record()

    def read() -> list[int]:
        written.synchronize()
        return host.tolist()

    return read


class _Record:
    """One shape's launches; all of them take their memory from one pool, for they run one after another.

    The first of them copies a table that says where the queries lie, and the next ones fetch them: to copy each for itself would be a launch more.
    """

    def __init__(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        fetch: Callable[[Tensor, list[Tensor]], None],
        tensors: tuple[Tensor, ...],
        numbers: dict[str, float],
        pool: Any,
    ) -> None:
        self.inputs = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in tensors]
        self.table = torch.zeros(len(tensors), 2, dtype=torch.int64, pin_memory=True)
        self.addresses, self.read = self.table.numpy(), torch.cuda.Event()
        # many programs read it, which takes them long in the host's memory
        self.where = where = torch.empty_like(self.table, device=tensors[0].device)
        # what is compiled or loaded cannot be recorded
        kept = self.address(tensors)
        where.copy_(self.table, non_blocking=True)
        fetch(where, self.inputs)
        self.read.record()
        self.read.synchronize()
        del kept
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            where.copy_(self.table, non_blocking=True)
            fetch(where, self.inputs)
            self.outputs = function(*self.inputs, **numbers)

    def replay(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.read.synchronize()
        kept = self.address(tensors)
        self.graph.replay()
        self.read.record()
        del kept  # a copy's memory may be used again once the device has read it
        return self.outputs

    def address(self, tensors: tuple[Tensor, ...]) -> list[Tensor]:
        """Write to the table where numbers lie, one step apart from one another, and give what must stay until it was read."""
        apart = [tensor if tensor.ndim == 1 else tensor.contiguous() for tensor in tensors]
        for row, tensor in zip(self.addresses, apart, strict=True):
            row[0], row[1] = tensor.data_ptr(), tensor.stride(0) if tensor.ndim == 1 else 1
        return apart

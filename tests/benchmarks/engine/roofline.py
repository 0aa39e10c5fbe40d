"""What the products of a call take at least: operations at the peak of tensor cores, bytes from memory, and a launch."""

import statistics
from typing import Any

import torch

from singtheory.engine.gpu import TILE, FusedEngine
from singtheory.engine.rows import Plan
from tests.benchmarks.engine.clock import seconds

PEAKS = {torch.float16: 989e12, torch.int8: 1979e12}
"""Operations a second of an H100 or H200 SXM on its tensor cores, dense, as its maker states them."""
MEMORY = 4.8e12
"""Bytes a second from the memory of an H200, as its maker states them."""


def at_least(engine: FusedEngine, plan: Plan, batch: int) -> dict[str, dict[str, float]]:
    """Of each kernel of products: milliseconds at the peak of tensor cores and of memory."""
    atoms = engine._screened
    (count, width), kind, rest = atoms.shape, atoms.dtype, plan.rest > 0
    screened, weights = int(plan.series < batch), batch * count
    # products, their type, and bytes from and to memory beside the atoms
    work: dict[str, tuple[int, torch.dtype, float]] = {
        "screen": (screened, kind, 4 * weights / TILE),
        "weigh": (rest * plan.digits, torch.int8, plan.weight_digits * weights),
        "products": (rest * plan.weight_digits, torch.int8, plan.weight_digits * weights),
    }
    multiplied = batch * count * width
    return {
        name: {
            "at peak, ms": 2000 * number * multiplied / PEAKS[of],
            "from memory, ms": 1000 * (number > 0) * (count * width * of.itemsize + beside) / MEMORY,
        }
        for name, (number, of, beside) in work.items()
    }


def launched(rounds: int = 51) -> float:
    """Milliseconds in which a call of one recorded kernel, which does next to nothing, is launched and waited for."""
    number = torch.zeros(1, device="cuda")
    graph: Any = torch.cuda.CUDAGraph()
    number.add_(1)
    with torch.cuda.graph(graph):
        number.add_(1)
    return statistics.median(1000 * seconds("cuda", graph.replay) for _ in range(rounds))

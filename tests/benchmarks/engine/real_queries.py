"""What the benchmark of real size asks, how it times it, and the products in float64 that answers are held against."""

import gc
import json
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from singtheory.engine import Points
from singtheory.numerics import normal
from tests.benchmarks.engine.real_images import Images

TOL = 1e-6
_SEEDS = 2_000_000_000
"""Far from those of images: noise from the same stream as an image's would be correlated with it, and give its query away."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        images: the set.
        gammas: at which queries are asked.
        queries: of a γ, noised images.
        checked: of them, held against float64.
        slow: of them, asked of rivals that take seconds for more.
        steps: of DDIM.
        samples: that it draws together.
        rounds: that are timed.
        device: of all.
    """

    images: Images
    gammas: tuple[float, ...]
    queries: int
    checked: int
    slow: int
    steps: int
    samples: int
    rounds: int
    device: str


Row = dict[str, Any]


def memory(device: str) -> Row:
    """Gigabytes that torch has held on the card at most since the last question; nothing on a CPU."""
    if device != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated() / 1e9
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return {"peak memory, GB": peak}


def noised(points: Points, gamma: float, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Queries, noised points, shapes (count, d) and (count,)."""
    generator = torch.Generator(points.device).manual_seed(_SEEDS + seed)
    rows = torch.randint(points.count, (count,), generator=generator, device=points.device)
    noise = normal((count, points.dim), points.device, generator)
    return gamma**0.5 * points.take(rows) + noise, torch.full((count,), gamma, dtype=noise.dtype, device=noise.device)


@dataclass(frozen=True)
class Reference:
    """Products in float64 over all points, in many parts, with a bound of their own.

    Attributes:
        mean: shape (checked, d).
        bound: on its error, shape (checked,).
        seconds: that it took.
    """

    mean: Tensor
    bound: Tensor
    seconds: float

    def error(self, mean: Tensor, scale: float) -> float:
        """The largest of the means of the first queries, relative to the size of the data."""
        count = min(len(mean), len(self.mean))
        return float((mean[:count].double() - self.mean[:count]).norm(dim=1).max()) / scale

    def beyond(self, mean: Tensor, bound: Tensor) -> int:
        """How many of the first queries are further off than both bounds allow."""
        error = (mean[: len(self.mean)] - self.mean).norm(dim=1)
        return int((~(error <= bound[: len(self.mean)] + self.bound)).sum())


def say(row: Row) -> Row:
    """The row, shown as it is made."""
    print(json.dumps({name: value for name, value in row.items() if name != "profile"}), file=sys.stderr, flush=True)
    return row

"""What a claim and its false twins ask for at the same places, computed once: a function of law, schedule, `x_t` and t."""

from collections.abc import Callable
from functools import cache, lru_cache

import torch
from torch import Tensor

from singtheory import Law, Schedule, schedule_named

_KEPT = 2**11
"""Values that are kept: those of one claim, of a few kilobytes each."""

shared_schedule = cache(schedule_named)
"""The schedule of a name, one object of each, for shared values are known by identity."""
Along = Callable[[Law, Schedule, Tensor, float], Tensor]


def shared(of: Along, law: Law, schedule: Schedule, x_t: Tensor, t: Tensor | float) -> Tensor:
    """`of(law, schedule, x_t, t)`, for a function that draws nothing and `x_t` in float64. The law and the schedule are known by identity; nobody may write into the result."""
    return _value(of, law, schedule, tuple(x_t.shape), x_t.contiguous().numpy().tobytes(), float(t))


@lru_cache(maxsize=_KEPT)
def _value(of: Along, law: Law, schedule: Schedule, shape: tuple[int, ...], numbers: bytes, t: float) -> Tensor:
    return of(law, schedule, torch.frombuffer(bytearray(numbers), dtype=torch.float64).view(shape), t)

"""Whether tensors are finite, asked of their device in one read that may come late."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from singtheory.errors import InputError


class Finite:
    """Whether tensors hold neither NaN nor infinity. Their device is asked at once; only `check` waits for the answer.

    Args:
        tensors: by the names that an error tells.
        remedy: the end of that error.
    """

    def __init__(self, tensors: Mapping[str, Tensor], remedy: str) -> None:
        self._names, self._remedy = tuple(tensors), remedy
        device = next(iter(tensors.values())).device
        largest = torch.stack([_largest(values).to(device) for values in tensors.values()])
        self._answered = None
        if not largest.is_cuda:
            self._largest = largest.cpu()
            return
        self._largest = largest.to("cpu", non_blocking=True)
        self._answered = torch.cuda.current_stream(largest.device).record_event()

    @property
    def answered(self) -> bool:
        """Whether `check` would wait for nothing, as on a CPU."""
        return self._answered is None or self._answered.query()

    def check(self) -> None:
        """Raise `InputError` that names the first tensor which is not finite."""
        if self._answered is not None:
            self._answered.synchronize()
        for name, value in zip(self._names, self._largest.tolist(), strict=True):
            if not math.isfinite(value):
                raise InputError(f"{name}: holds NaN or infinity; {self._remedy}")


def _largest(values: Tensor) -> Tensor:
    """The largest absolute value, in one pass; NaN where there is NaN, 0 of numbers that are finite whatever they are."""
    if not values.numel() or not values.is_floating_point():
        return torch.zeros((), device=values.device)
    return torch.linalg.vector_norm(values.detach(), math.inf)

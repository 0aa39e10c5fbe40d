"""A watch over tensors that are made on the default device where the data may be on another."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FACTORIES = {
    torch.zeros, torch.ones, torch.full, torch.empty, torch.eye, torch.arange, torch.linspace, torch.logspace, torch.tensor, torch.randn, torch.rand,
}  # fmt: skip


class DevicesGiven(TorchFunctionMode):
    """Within, a factory of torch that is not told a device raises `AssertionError`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in _FACTORIES or (kwargs or {}).get("device") is not None, f"{func.__name__} without a device"
        return func(*args, **(kwargs or {}))

"""A scheduler of diffusers as a linear map: units at the start or in one draw of noise, in the place of normal numbers."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def as_images(values: Tensor) -> Tensor:
    """Shape (batch, 1, 1, 1): some schedulers read the number of channels."""
    return values.view(-1, 1, 1, 1)


class Pulses(TorchFunctionMode):
    """Every draw of normal noise becomes `amounts[:, k]`, k the number of the draw from 1 on; draws beyond are counted and zero."""

    def __init__(self, amounts: Tensor) -> None:
        super().__init__()
        self.amounts, self.draws = amounts, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch calls in the place of its functions."""
        if func not in (torch.randn, torch.randn_like):
            return func(*args, **(kwargs or {}))
        self.draws += 1
        drawn = self.draws < self.amounts.shape[1]
        return as_images(self.amounts[:, self.draws] if drawn else torch.zeros(len(self.amounts), dtype=torch.float64))

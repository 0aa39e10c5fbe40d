"""Random draws on the generator's device, handed over to the data's: so a run draws the same numbers on every device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from singtheory.errors import InputError

MOST_SEED = 2**64 - 1
"""What generators take."""


def check_seed(seed: int) -> None:
    """Raise `InputError` for a seed that no generator takes."""
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed {seed}: must lie from 0 to 2^64 − 1")


def normal(shape: Sequence[int], device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Independent standard normal numbers, float64."""
    source = device if generator is None else generator.device
    return torch.randn(tuple(shape), dtype=torch.float64, device=source, generator=generator).to(device)


def uniform(n: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Independent uniform numbers in [0, 1), float64, shape (n,)."""
    source = device if generator is None else generator.device
    return torch.rand(n, dtype=torch.float64, device=source, generator=generator).to(device)


def choose(weights: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """`n` indices with replacement by the weights of the last dimension, shape (n,) or (batch, n)."""
    source = weights if generator is None else weights.to(generator.device)
    return torch.multinomial(source, n, replacement=True, generator=generator).to(weights.device)

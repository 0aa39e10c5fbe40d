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


def _check_count(n: int) -> None:
    """Raise `InputError` for fewer draws than none."""
    if n < 0:
        raise InputError(f"{n} draws: must not be negative")


def normal(shape: Sequence[int], device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Independent standard normal numbers, float64. Raises `InputError` for a negative number of them."""
    _check_count(min(shape, default=0))
    source = device if generator is None else generator.device
    return torch.randn(tuple(shape), dtype=torch.float64, device=source, generator=generator).to(device)


def uniform(n: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Independent uniform numbers in [0, 1), float64, shape (n,). Raises `InputError` for a negative n."""
    _check_count(n)
    source = device if generator is None else generator.device
    return torch.rand(n, dtype=torch.float64, device=source, generator=generator).to(device)


def choose(weights: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """`n` indices with replacement by the weights of the last dimension, shape (n,) or (batch, n). Raises `InputError` for a negative n."""
    _check_count(n)
    if n == 0:  # which torch refuses
        return torch.zeros(*weights.shape[:-1], 0, dtype=torch.long, device=weights.device)
    source = weights if generator is None else weights.to(generator.device)
    return torch.multinomial(source, n, replacement=True, generator=generator).to(weights.device)

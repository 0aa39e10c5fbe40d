"""How many rows of a large table are worked on together."""

import torch

_LEAST_ROWS = 16
"""Enough for a product of matrices, where one row after the other would read the other factor anew each time."""
_CACHED, _MOST = 2**16, 2**23
"""Numbers that a CPU's nearest caches hold, and those of a block of 64 MB."""


def row_squares(x: torch.Tensor) -> torch.Tensor:
    """`‖x_i‖²` of each row, shape (n,), without a second copy of the table."""
    return torch.cat([rows.square().sum(dim=1) for rows in x.split(block_rows(max(1, x.shape[1]), x.device))])


def block_rows(numbers: int, device: torch.device) -> int:
    """How many rows of so many float64 numbers: on a CPU as many as its caches hold, on a GPU as many as keep it busy.

    >>> [block_rows(numbers, torch.device("cpu")) for numbers in (3, 1797, 10**6, 10**8)]
    [21845, 36, 8, 1]
    """
    most = _MOST // numbers
    return max(1, most if device.type == "cuda" else min(most, max(_LEAST_ROWS, _CACHED // numbers)))

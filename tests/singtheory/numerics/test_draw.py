"""Draws: from the generator's own device, none where none are asked for, and seeds of 64 bits."""

import pytest
import torch

from singtheory import InputError
from singtheory.numerics import check_seed, choose, normal, uniform

CPU = torch.device("cpu")


def test_seeds_have_64_bits():
    check_seed(0)
    check_seed(2**64 - 1)
    for seed in (-1, 2**64):
        with pytest.raises(InputError, match="2\\^64 − 1"):
            check_seed(seed)


def test_no_draws_are_no_draws():
    weights = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert choose(weights, 0, None).shape == (3, 0) and choose(weights, 0, None).dtype == torch.long
    assert uniform(0, CPU, None).shape == (0,) and normal((2, 0), CPU, None).shape == (2, 0)
    for draw in (lambda: choose(weights, -1, None), lambda: uniform(-1, CPU, None), lambda: normal((-1,), CPU, None)):
        with pytest.raises(InputError, match="must not be negative"):
            draw()


def test_draws_are_those_of_their_generator():
    one, other = (torch.Generator().manual_seed(7) for _ in range(2))
    assert torch.equal(normal((3, 2), CPU, one), torch.randn(3, 2, dtype=torch.float64, generator=other))
    assert torch.equal(uniform(4, CPU, one), torch.rand(4, dtype=torch.float64, generator=other))
    weights = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]], dtype=torch.float64)
    assert choose(weights, 5, one).tolist() == [[1] * 5, [2] * 5]

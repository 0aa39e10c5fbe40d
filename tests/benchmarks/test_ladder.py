"""What the bounds cost on the digits at t = 1, where every atom matters; compare the rows of one run with each other."""

import pytest
import torch

from singtheory.bound import ladder
from singtheory.data import sources

DIGITS = sources.load("digits").law


@pytest.mark.parametrize("bound", ladder.LADDER, ids=lambda bound: bound.name)
def test_bound(benchmark, bound):
    posterior = DIGITS.posterior(torch.zeros(DIGITS.dim, dtype=torch.float64), 0.0)

    def evaluate():
        return bound.evaluate(posterior[0], 1e-3)  # another object, of which no bound is known

    assert bool(benchmark(evaluate).isfinite().all())

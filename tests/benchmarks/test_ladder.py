"""What the bounds cost on the digits at t = 1, where every atom matters; compare the rows of one run with each other."""

import pytest
import torch

from singtheory.bound import ladder, pairwise
from singtheory.data import sources

DIGITS = sources.load("digits").law


@pytest.mark.parametrize("bound", ladder.LADDER, ids=lambda bound: bound.name)
def test_bound(benchmark, bound):
    posterior = DIGITS.posterior(torch.zeros(DIGITS.dim, dtype=torch.float64), 0.0)

    def evaluate():
        pairwise.core.cache_clear()
        pairwise.family.cache_clear()
        pairwise.log1p_chi2.cache_clear()
        return bound.evaluate(posterior, 1e-3)

    assert bool(benchmark(evaluate).isfinite().all())

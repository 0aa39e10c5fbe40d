"""What is told in one pass, block by block, is what all weights at once would tell."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import Atoms
from singtheory.engine.points import Points
from singtheory.engine.statistic import CovarianceAlong, Draws, Entropy, Nearest


def blocks(logits: torch.Tensor, sizes: list[int]):
    """The logits cut into blocks, in another order, each with the numbers of its atoms."""
    order = torch.randperm(logits.shape[1], generator=torch.Generator().manual_seed(0))
    first = 0
    for size in [*sizes, logits.shape[1]]:
        chosen = order[first : first + size]
        if len(chosen):
            yield chosen, logits[:, chosen]
        first += size


@st.composite
def queries_in_blocks(draw):
    """Log weights of a few queries, some −∞, and how they are cut."""
    batch, n = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = draw(st.sampled_from([0.1, 3.0, 300.0])) * torch.randn(batch, n, generator=generator, dtype=torch.float64)
    logits[:, 1:][torch.rand(batch, n - 1, generator=generator) < 0.2] = -math.inf
    return logits, draw(st.lists(st.integers(1, 15), max_size=5))


@given(queries_in_blocks())
def test_entropy(case):
    logits, sizes = case
    entropy = Entropy()
    for block in blocks(logits, sizes):
        entropy.update(*block)
    torch.testing.assert_close(
        entropy.value(), torch.special.entr(torch.softmax(logits, 1)).sum(1), rtol=1e-9, atol=1e-12
    )


@given(queries_in_blocks(), st.integers(1, 6))
def test_nearest(case, k):
    logits, sizes = case
    nearest = Nearest(k)
    for block in blocks(logits, sizes):
        nearest.update(*block)
    p = torch.softmax(logits, dim=1)
    expected = p.topk(min(k, p.shape[1]), dim=1).values
    torch.testing.assert_close(nearest.weights(), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(p.gather(1, nearest.value()), expected, rtol=1e-9, atol=1e-12)


@given(queries_in_blocks())
def test_covariance_along_directions(case):
    logits, sizes = case
    generator = torch.Generator().manual_seed(1)
    atoms = torch.randn(logits.shape[1], 4, generator=generator, dtype=torch.float64)
    points = Points(atoms, torch.full((len(atoms),), 1 / len(atoms), dtype=torch.float64))
    directions = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    covariance = CovarianceAlong(points, directions)
    for block in blocks(logits, sizes):
        covariance.update(*block)
    for actual, p in zip(covariance.value(), torch.softmax(logits, dim=1), strict=True):
        apart = (atoms - p @ atoms) @ directions
        torch.testing.assert_close(actual, (apart * p[:, None]).mT @ apart, rtol=1e-9, atol=1e-11)


def test_draws_have_the_frequencies_of_the_weights_however_they_are_cut():
    logits = torch.tensor([[0.0, 1.0, -math.inf, 2.0, 0.5]], dtype=torch.float64)
    n = 40_000
    for sizes in ([], [1], [2, 1], [1, 1, 1, 1]):
        draws = Draws(n, torch.Generator().manual_seed(3))
        for block in blocks(logits, sizes):
            draws.update(*block)
        share = torch.bincount(draws.value()[0], minlength=5).double() / n
        assert float((share - torch.softmax(logits, dim=1)[0]).abs().max()) < 5 * math.sqrt(0.25 / n)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1e3])
def test_a_posterior_tells_the_same_by_either_way(gamma):
    generator = torch.Generator().manual_seed(4)
    law = Atoms(torch.randn(3000, 5, generator=generator, dtype=torch.float64))
    z = torch.randn(6, 5, generator=generator, dtype=torch.float64) + math.sqrt(gamma) * law.points[:6]
    actual = law.posterior(z, gamma)
    p = actual.weights
    torch.testing.assert_close(actual.entropy, torch.special.entr(p).sum(dim=1), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(p.gather(1, actual.nearest(3)), p.topk(3, dim=1).values, rtol=1e-9, atol=1e-12)
    directions = torch.linalg.qr(torch.randn(5, 2, generator=generator, dtype=torch.float64))[0]
    expected = directions.mT @ actual.cov @ directions
    torch.testing.assert_close(actual.cov_along(directions), expected, rtol=1e-8, atol=1e-10)
    drawn = actual.sample(2000, torch.Generator().manual_seed(5))
    off = (drawn.mean(dim=1) - actual.mean).norm(dim=1)
    assert bool((off < 6 * (actual.trace_cov / 2000).sqrt() + 1e-12).all())

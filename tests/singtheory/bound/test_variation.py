"""TV along a line, from below: no more than TV in all, with the rounding of the projection and of the weights."""

import random

import mpmath
import pytest

from singtheory import Atoms
from singtheory.bound import variation
from tests.support import reference


@pytest.mark.parametrize("seed", range(12))
def test_tv_along_the_line_of_all_atoms_is_at_most_tv(seed):
    """Atoms on a line in d dimensions have the TV of their places on it, which is computed apart at 200 digits; so much is lost of it at most."""
    draw = random.Random(seed)
    dim, direction = 3 + 2 * (seed % 2), [1, 2, -1, 1, 3]
    # multiples of 1/16, so that the points are on the line exactly
    base = [round(16 * draw.gauss(0, 1) * draw.choice([1, 1e4, 1e6])) / 16 for _ in range(dim)]
    places = draw.sample(range(-8, 9), 3)
    points = [[b + place / 16 * x for b, x in zip(base, direction, strict=False)] for place in places]
    law = Atoms(points, [1.0, draw.choice([1.0, 1e-3]), 0.5])
    snr, gap = 10 ** draw.uniform(-1, 2), 10 ** draw.uniform(-3, 3)
    z = [snr**0.5 * x + draw.gauss(0, 1) for x in points[0]]
    weights = reference.posterior_in_space(points, law.weights.tolist(), z, snr)
    with mpmath.workdps(200):
        length = mpmath.sqrt(sum(x * x for x in direction[:dim]))
        truth = reference.tv([mpmath.mpf(place) / 16 * length for place in places], weights, gap)
    least = variation.lower(law.posterior(z, snr), gap)
    assert mpmath.mpf(least) <= truth
    assert least >= float(truth) * (1 - 1e-6)

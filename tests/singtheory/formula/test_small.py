"""Functions that vanish to second order, numbers of twice the digits, and what is summed with them."""

from fractions import Fraction

import mpmath as mp
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import Atoms, Gaussian, GaussianMixture, divergence, formula
from singtheory.numerics.double_double import Double2

floats = st.floats(-1e30, 1e30, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


@given(st.floats(-60, 2.8).map(lambda e: 10.0**e), st.booleans())
def test_second_order_rests(size, negative):
    with mp.workdps(150):
        x = -min(size, 700.0) if negative else min(size, 700.0)
        exact = mp.expm1(x) - mp.mpf(x)
        assert float(formula.expm1_rest(tensor(x), torch)) == pytest.approx(float(exact), rel=2e-15, abs=0)
        if x > -1:
            exact = mp.mpf(x) - mp.log1p(x)
            assert float(formula.log1p_rest(tensor(x), torch)) == pytest.approx(float(exact), rel=2e-15, abs=0)


@given(floats, floats, floats)
def test_doubled_numbers_are_exact(a, b, c):
    pair = Double2.difference(tensor(a), tensor(b))
    assert Fraction(float(pair.high)) + Fraction(float(pair.low)) == Fraction(a) - Fraction(b)
    actual = pair.times(Double2(tensor(c), tensor(0.0)))
    exact = (Fraction(a) - Fraction(b)) * Fraction(c)
    error = abs(Fraction(float(actual.high)) + Fraction(float(actual.low)) - exact)
    assert error <= abs(exact) * Fraction(1, 2**98) + Fraction(1, 10**290)


@given(st.floats(1e-30, 1e30))
def test_doubled_roots(a):
    root = Double2.root(tensor(a))
    with mp.workdps(60):
        assert abs(mp.mpf(float(root.high)) + mp.mpf(float(root.low)) - mp.sqrt(a)) <= mp.sqrt(a) * mp.mpf(2) ** -98
    assert float(Double2.root(tensor(0.0)).value()) == 0


@pytest.mark.parametrize("spread", [1e-15, 1e-8, 1e-3, 1.0, 1e9])
def test_gaussians_keep_their_digits(spread):
    """At a gap of 1e-15 the difference `gλ − log(1 + gλ)` of equal numbers was 18 % off."""
    posterior = Gaussian([0.0], [[1.0]]).posterior([0.0], 0.0)
    with mp.workdps(60):
        exact = (mp.mpf(spread) - mp.log1p(spread)) / 2
    actual = divergence.kl_gauss_exact(posterior, spread)
    assert float(actual) == pytest.approx(float(exact), rel=1e-14)
    assert mp.mpf(float(actual.low)) <= exact <= mp.mpf(float(actual.high))
    assert float(actual.high - actual.low) < 1e-13 * float(actual)
    assert mp.mpf(float(divergence.kl_gauss_low(posterior, spread))) <= exact
    twice = Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).posterior([0.0, 0.0], 0.0)
    assert float(divergence.kl_gauss(twice, spread)) == pytest.approx(2 * float(exact), rel=1e-13)
    assert formula.kl_gauss_term(spread, 1.0, mp) == pytest.approx(exact, rel=1e-6) or spread < 1e-6


@pytest.mark.parametrize("gap", [1e-10, 0.3])
def test_chi2_of_mixtures_at_small_gaps(gap):
    """A mixture of points is finite data; one of equal bumps a Gaussian."""
    points, weights = [[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3]
    finite = Atoms(points, weights).posterior([0.0], 0.0)
    mixture = GaussianMixture(weights, points, torch.zeros(3, 1, 1)).posterior([0.0], 0.0)
    actual = [float(divergence.log1p_chi2(p, gap)) for p in (finite, mixture)]
    assert actual[0] == pytest.approx(actual[1], rel=1e-12, abs=0)
    bumps = GaussianMixture([0.5, 0.5], [[0.3], [0.3]], [[[0.5]], [[0.5]]]).posterior([0.0], 0.0)
    gauss = Gaussian([0.3], [[0.5]]).posterior([0.0], 0.0)
    expected = float(-mp.log1p(-((mp.mpf(gap) * 0.5) ** 2)) / 2)
    for posterior in (bumps, gauss):
        assert float(divergence.log1p_chi2(posterior, gap)) == pytest.approx(expected, rel=1e-12, abs=0)

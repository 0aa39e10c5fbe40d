"""Functions that vanish to second order, numbers of twice the digits, and what is summed with them."""

from fractions import Fraction
from typing import Any

import mpmath as mp
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import Atoms, Gaussian, GaussianMixture, divergence, formula
from singtheory.numerics.double_double import Double2
from tests.support.strategies import dimensions, eigenvalues, precisions

EPS = 2.0**-52
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


# --- over the whole domain of numbers, against 500 digits ------------------------------------------------------------


def assert_near(actual: torch.Tensor, exact: Any, operations: float = 16, least: float = 0.0) -> None:
    """Within so many roundings of itself; `least` is what underflows."""
    assert abs(mp.mpf(float(actual)) - exact) <= operations * EPS * abs(exact) + mp.mpf(least), (float(actual), exact)


@given(precisions(), eigenvalues())
@pytest.mark.parametrize("ratio", [formula.kl_ratio_low, formula.kl_ratio_high])
def test_the_factors_of_b11(ratio, gap, size2):
    """At x = 1e-9 both were off by all of their digits."""
    x = min(gap * size2, 1e3) if ratio is formula.kl_ratio_high else gap * size2
    with mp.workdps(500):
        y = mp.mpf(x) if ratio is formula.kl_ratio_high else -mp.mpf(x) / 2
        exact = 2 * (mp.exp(y) - 1 - y) / y**2
        actual = ratio(tensor(x), torch)
        if exact < mp.mpf(1e308):
            assert_near(actual, exact, 16 + abs(float(y)) * (y > 0))
        else:
            assert float(actual) == float("inf")


@pytest.mark.parametrize("ratio", [formula.kl_ratio_low, formula.kl_ratio_high])
def test_the_factors_of_b11_at_no_gap(ratio):
    assert float(ratio(tensor(0.0), torch)) == 1.0


@given(eigenvalues(), st.floats(-140, 0).map(lambda e: 10.0**e))
def test_two_spreads_apart(var, share):
    """`(√v − √(v − lost))²` was 0 where a step loses less than a rounding of v."""
    lost = var * share
    with mp.workdps(500):
        exact = (mp.sqrt(var) - mp.sqrt(mp.mpf(var) - mp.mpf(lost))) ** 2
        assert_near(formula.step_w2_low(tensor(var), tensor(lost), torch), exact, least=1e-300)


@pytest.mark.parametrize("var", [0.0, 1.0])
def test_nothing_lost_and_all_lost(var):
    assert float(formula.step_w2_low(tensor(var), tensor(0.0), torch)) == 0.0
    assert float(formula.step_w2_low(tensor(var), tensor(var), torch)) == var


@given(st.floats(-30, 0).map(lambda e: 10.0**e), st.floats(-40, 40).map(lambda e: 10.0**e), eigenvalues())
def test_how_much_a_start_is_widened(alpha, sigma, eigenvalue):
    """`√(α²λ + σ²) − σ` was 0 where the noise is much larger."""
    with mp.workdps(500):
        exact = mp.sqrt(mp.mpf(alpha) ** 2 * eigenvalue + mp.mpf(sigma) ** 2) - sigma
        assert_near(formula.widening(alpha, sigma, tensor(eigenvalue), torch), exact)


def test_nothing_is_widened_where_nothing_varies():
    assert float(formula.widening(1.0, 0.0, tensor(0.0), torch)) == 0.0
    assert float(formula.widening(1.0, 0.0, tensor(4.0), torch)) == 2.0
    assert formula.widening(0.5, 2.0, torch.ones(3), torch).dtype == torch.float32


@given(precisions(), eigenvalues(), dimensions())
def test_what_the_best_isotropic_variance_saves(gap, trace, dim):
    with mp.workdps(500):
        y = mp.mpf(gap) * trace
        exact = (y - dim * mp.log1p(y / dim)) / 2
        assert_near(formula.isotropic_gain(gap, tensor(trace), dim, torch), exact, 32)
        exact = (y - mp.log1p(y)) / 2
        assert_near(formula.kl_gauss_term(gap, tensor(trace), torch), exact, 32)


@given(precisions(), st.one_of(st.just(0.0), eigenvalues()), st.one_of(st.just(0.0), eigenvalues()))
def test_what_a_wrong_covariance_leaves(gap, eigenvalue, other):
    """Infinite where `g(λ − v)/(1 + gv)` rounds to −1, and without digits where λ is near v."""
    assert_wrong(gap, eigenvalue, other)


@given(precisions(), eigenvalues(), st.floats(-16, 0).map(lambda e: 10.0**e))
def test_what_a_covariance_leaves_that_is_nearly_right(gap, eigenvalue, share):
    assert_wrong(gap, eigenvalue, eigenvalue * (1 + share))
    assert_wrong(gap, eigenvalue * (1 + share), eigenvalue)


def assert_wrong(gap: float, eigenvalue: float, other: float) -> None:
    with mp.workdps(500):
        g, right, wrong = mp.mpf(gap), mp.mpf(eigenvalue), mp.mpf(other)
        x = g * (right - wrong) / (1 + g * wrong)
        exact = (x - mp.log1p(g * right) + mp.log1p(g * wrong)) / 2
        actual = formula.wrong_covariance(gap, tensor(eigenvalue), tensor(other), torch)
        assert_near(actual, exact, 64, least=1e-300)


@given(
    st.floats(-30, 0).map(lambda e: 10.0**e), st.floats(-40, 40).map(lambda e: 10.0**e), st.floats(0, 1), eigenvalues()
)
def test_what_a_step_keeps(alpha, sigma, share, eigenvalue):
    """`cos(θ_s − θ_t)`: no product of two variances of the domain overflows."""
    alpha_s, sigma_s = alpha + share * (1 - alpha), sigma * (1 - share)
    with mp.workdps(500):
        a_t, s_t, a_s, s_s, lam = map(mp.mpf, (alpha, sigma, alpha_s, sigma_s, eigenvalue))
        exact = (a_s * a_t * lam + s_s * s_t) / mp.sqrt((a_t**2 * lam + s_t**2) * (a_s**2 * lam + s_s**2))
        assert_near(formula.step_kept(alpha, sigma, alpha_s, sigma_s, tensor(eigenvalue), torch), exact)


@given(st.floats(-16, 60).map(lambda e: 10.0**e), st.integers(1, 1000))
def test_the_cost_of_a_geometric_grid(above, steps):
    ratio = 1 + above
    with mp.workdps(200):
        exact = steps * (mp.mpf(ratio) - 1 - mp.log(mp.mpf(ratio))) / 2
        assert_near(formula.geometric_cost(tensor(ratio), steps, torch), exact)


@given(st.floats(-16, 30).map(lambda e: 10.0**e), st.booleans())
def test_the_entropy_part_of_a_noise_start(above, below):
    """At α = 0 all that a start from N(0, I) costs is `½ d (σ² − 1 − log σ²)`."""
    sigma = 1 / (1 + above) if below else 1 + above
    with mp.workdps(200):
        var = mp.mpf(sigma) ** 2
        exact = 3 * (var - 1 - mp.log(var)) / 2
        actual = formula.noise_start_gain(0.0, tensor(sigma), 0.0, 0.0, 3, torch)
        # σ² is rounded once, which moves `σ² − 1` by that rounding
        assert abs(mp.mpf(float(actual)) - exact) <= 16 * EPS * exact + 3 * EPS * var * abs(1 - 1 / var)

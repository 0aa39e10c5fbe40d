"""Formulas against a hundred and more digits over the whole domain of numbers, for none may lose its digits where its terms cancel."""

import mpmath as mp
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import formula
from tests.strategies import dimensions, eigenvalues, precisions

EPS = 2.0**-52


def tensor(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


def assert_near(actual: torch.Tensor, exact: mp.mpf, operations: float = 16, least: float = 0.0) -> None:
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

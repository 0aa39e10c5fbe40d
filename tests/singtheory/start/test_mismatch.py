"""The mismatch of starts against densities integrated without any of its formulas, and against C6 and C7."""

import math
from fractions import Fraction

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import Atoms, InputError, formula
from singtheory.data.sources import digits
from singtheory.start import mismatch
from singtheory.start.mismatch import (
    Moments,
    Start,
    arrival,
    from_matched,
    from_mean,
    from_noise,
    gaussian_mismatch,
    initial_mismatch,
    reading_moments,
)
from singtheory.start.starts import Components
from tests.support import strategies

ALPHAS = st.floats(0.01, 0.95)


@pytest.fixture(scope="module")
def moments():
    return Moments.of(digits().law)


def kl_on_a_line(law: Atoms, alpha: float, sigma: float, mean: float, std: float) -> float:
    """`∫ q log(q/N(m, s²))` by the trapezoidal rule."""
    points, weights = alpha * law.points[:, 0], law.weights
    reach = 12 * sigma + float((points - points.mean()).abs().max())
    x = torch.linspace(float(points.mean()) - reach, float(points.mean()) + reach, 40001, dtype=torch.float64)
    log_q = torch.logsumexp(-((x[:, None] - points) ** 2) / (2 * sigma**2) + weights.log(), dim=1) - math.log(sigma)
    log_s = -((x - mean) ** 2) / (2 * std**2) - math.log(std)
    return float(torch.trapezoid(log_q.exp() * (log_q - log_s), x) / math.sqrt(2 * math.pi))


@given(law=strategies.atoms(dims=(1,)), alpha=ALPHAS)
def test_brackets_hold_the_integral_on_a_line(law, alpha):
    sigma = math.sqrt(1 - alpha**2)
    moments = Moments.of(law)
    for start in (from_noise(moments), from_noise(moments, 0.9), from_mean(moments, alpha, sigma)):
        actual = initial_mismatch(moments, start, alpha, sigma)
        std = float(start.std[0]) if len(start.std) else start.rest
        truth = kl_on_a_line(law, alpha, sigma, float(start.mean[0]), std)
        slack = 1e-7 * (1 + actual.high)
        assert actual.low - slack <= truth <= actual.high + slack


@pytest.mark.parametrize("alpha", [0.068, 0.3, 0.9])
def test_differences_are_c6(moments, alpha):
    sigma = math.sqrt(1 - alpha**2)
    noise, mean, wide = (
        initial_mismatch(moments, start, alpha, sigma)
        for start in (from_noise(moments), from_mean(moments, alpha, sigma), from_noise(moments, sigma))
    )
    norm2, trace = float(moments.mean @ moments.mean), float(moments.eigenvalues.sum())
    gain = formula.noise_start_gain(alpha, sigma, norm2, trace, 64, math)
    assert noise.low - mean.low == pytest.approx(gain, rel=1e-9)
    assert noise.high - mean.high == pytest.approx(gain, rel=1e-9)
    assert wide.low - mean.low == pytest.approx(formula.mean_gain(alpha**2 / sigma**2, norm2), rel=1e-9)
    assert mean.high == pytest.approx(formula.kl_terminal_bound(alpha**2 / sigma**2, trace))


def test_matching_every_direction_leaves_nothing_of_the_gaussian_part(moments):
    actual = [initial_mismatch(moments, from_matched(moments, k, 0.3, 0.954), 0.3, 0.954).low for k in (0, 1, 8, 64)]
    assert actual == sorted(actual, reverse=True) and actual[0] > 0.05
    assert actual[-1] == pytest.approx(0, abs=1e-12)


def test_at_the_very_end_noise_is_right(moments):
    actual = initial_mismatch(moments, from_noise(moments), 0.0, 1.0)
    assert (actual.low, actual.high) == (0.0, 0.0)


def test_without_noise_is_refused(moments):
    with pytest.raises(InputError, match="without noise"):
        initial_mismatch(moments, from_noise(moments), 1.0, 0.0)


@pytest.mark.parametrize("alpha", [0.076, 0.4])
def test_arrival_is_the_flow_of_the_gaussian(moments, alpha):
    """Against `x_0 = μ + Σ^½(α²Σ + σ²I)^{−½}(x − αμ)`, computed with the matrix root of a covariance of full rank."""
    sigma = math.sqrt(1 - alpha**2)
    law = digits().law
    cov = law.cov
    inverse_root = torch.linalg.inv(_root(alpha**2 * cov + sigma**2 * torch.eye(64, dtype=torch.float64)))
    flow = _root(cov) @ inverse_root
    reading = torch.linspace(-1, 2, 64, dtype=torch.float64)
    for start in (from_noise(moments), from_mean(moments, alpha, sigma), from_matched(moments, 3, alpha, sigma)):
        basis = moments.components.basis
        cov_start = start.rest**2 * torch.eye(64, dtype=torch.float64)
        cov_start += basis.mT @ ((start.std**2 - start.rest**2)[:, None] * basis)
        mean, std = arrival(moments, start, alpha, sigma, reading, 0.5)
        assert mean == pytest.approx(float(reading @ (law.mean + flow @ (start.mean - alpha * law.mean)) + 0.5))
        assert std == pytest.approx(float(reading @ flow @ cov_start @ flow.mT @ reading) ** 0.5, rel=1e-6)


def _root(matrix):
    values, basis = torch.linalg.eigh(matrix)
    return basis @ (values.clamp(min=0).sqrt()[:, None] * basis.mT)


def test_full_match_arrives_at_the_data(moments):
    reading = torch.full((64,), 1 / 64, dtype=torch.float64)
    start = from_matched(moments, 64, 0.2, 0.98)
    assert arrival(moments, start, 0.2, 0.98, reading) == pytest.approx(reading_moments(moments, reading))
    brightness = digits().law.points.mean(dim=1)
    assert reading_moments(moments, reading) == pytest.approx(
        (float(brightness.mean()), float(brightness.std(correction=0)))
    )


def test_one_point_has_no_spread():
    moments = Moments.of(Atoms(torch.tensor([[0.5, -1.0]], dtype=torch.float64)))
    assert len(moments.eigenvalues) == 0
    actual = initial_mismatch(moments, from_noise(moments), 0.6, 0.8)
    expected = (0.36 * 1.25 + 2 * (0.64 - 1 - math.log(0.64))) / 2
    assert (actual.low, actual.high) == pytest.approx((expected, expected))
    assert arrival(moments, from_noise(moments), 0.6, 0.8, torch.ones(2, dtype=torch.float64)) == (-0.5, 0.0)


@given(
    st.floats(-30, 12),
    st.floats(-12, 3),
    st.sampled_from(["noise", "mean", "matched", "wide"]),
    st.floats(-8, 0),
    st.booleans(),
)
def test_the_gaussian_part_holds_with_its_rounding(log_variance, log_alpha, kind, log_sigma, missing):
    """Of data that vary little against the noise nothing of `x − log(1 + x)` is left in float64 by itself."""
    dim = 3 if missing else 2
    std = 10.0 ** (log_variance / 2) * torch.tensor([1.0, 0.3], dtype=torch.float64)
    mean = torch.tensor([1.0, -3.0, 0.5][:dim], dtype=torch.float64)
    moments = Moments(mean, Components(torch.eye(2, dim, dtype=torch.float64), std))
    alpha, sigma = 10.0**log_alpha, 10.0**log_sigma
    start = {
        "noise": lambda: from_noise(moments),
        "mean": lambda: from_mean(moments, alpha, sigma),
        "matched": lambda: from_matched(moments, 1, alpha, sigma),
        "wide": lambda: from_noise(moments, 1e8),
    }[kind]()
    actual = gaussian_mismatch(moments, start, alpha, sigma)
    with mpmath.workdps(80):
        a, s = mpmath.mpf(alpha), mpmath.mpf(sigma)
        lifted = [a**2 * mpmath.mpf(v) for v in moments.eigenvalues.tolist()] + [0] * (dim - 2)
        stds = start.std.tolist() + [start.rest] * (dim - 2)
        total = mpmath.mpf(0)
        for v, of, m, begin in zip(lifted, stds, mean.tolist(), start.mean.tolist(), strict=True):
            x = (v + s**2) / mpmath.mpf(of) ** 2 - 1
            total += (x - mpmath.log1p(x)) / 2 + ((a * m - begin) / of) ** 2 / 2
        assert actual.low <= total <= actual.high
        assert initial_mismatch(moments, start, alpha, sigma).low <= total
    # and of means that agree to the last digit their own rounding is left, in units of the start's deviation, along three directions
    lost = 4 * 2.0**-53 * float(alpha * mean.norm() + start.mean.norm()) / min(stds)
    assert actual.high - actual.low <= 1e-12 * (1 + actual.high) + 2 * lost**2


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 1.0, 1 - 2.0**-20, 1 - 2.0**-40, 1 - 2.0**-50])
def test_the_distance_of_the_means_holds_with_its_rounding(dim, share):
    """Data of one point and a start of the right variance: `½‖αμ − m‖²/σ²` and no more, an exact rational, of means that agree to some digits."""
    alpha, sigma = 0.3, 0.7
    mean = torch.tensor([1.1, -3.3, 0.7, 2.9, -0.1][:dim], dtype=torch.float64)
    moments = Moments.of(Atoms(mean[None]))
    start = Start(share * (alpha * mean), torch.empty(0, dtype=torch.float64), sigma)
    actual = gaussian_mismatch(moments, start, alpha, sigma)
    apart = [
        Fraction(alpha) * Fraction(a) - Fraction(b) for a, b in zip(mean.tolist(), start.mean.tolist(), strict=True)
    ]
    exact = sum(v**2 for v in apart) / Fraction(sigma) ** 2 / 2
    assert 0 <= Fraction(actual.low) <= exact <= Fraction(actual.high)
    # a relative error of the distance counts twice
    distance = math.sqrt(float(exact))
    lost = 50 * dim * 2.0**-53 * float(alpha * mean.norm()) / sigma
    assert actual.high - actual.low <= 4 * lost * (distance + lost) + 1e-14 * actual.high


@pytest.mark.parametrize("sigma", [1e-2, 1e-6, 1e-9, 1e-10, 1e-13])
@pytest.mark.parametrize("rank", [0, 1])
def test_the_upper_end_holds_where_two_large_numbers_cancel(sigma, rank):
    """Of ±1 with little noise: the matched start misses `½ log(1 + γ) − log 2`, a difference of numbers of the size of γ, the mean start `½γ − log 2`.

    The entropy of `q_t` is that of its noise and log 2, but for what two peaks at a distance of 2/σ share, which is below `e^{−1/(2σ²)}`.
    """
    one = torch.ones(1, dtype=torch.float64)
    moments = Moments(0 * one, Components(one[None], one))
    actual = initial_mismatch(moments, from_matched(moments, rank, 1.0, sigma), 1.0, sigma)
    with mpmath.workdps(60):
        snr = 1 / mpmath.mpf(sigma) ** 2
        exact = (mpmath.log1p(snr) if rank else snr) / 2 - mpmath.log(2)
        # the standard deviation of the matched start is the nearest number to the right one
        assert actual.low <= exact * (1 + mpmath.mpf(2) ** -50) and exact <= actual.high
        assert actual.high <= exact + 1 + 100 * 2.0**-53 * snr


def test_where_squares_of_sigma_or_of_the_data_overflow_no_upper_bound_is_made_up():
    """At σ = 5e-324 and three atoms the upper end was 22.8 nats; the entropy of the noise alone says more than 1400."""
    moments = Moments.of(Atoms([[0.0, 0.0], [1.0, 0.0], [0.0, 1e-9]]))
    for sigma in (5e-324, 1e-200, 1e200, math.inf, math.nan):
        with pytest.raises(InputError, match="sigma"):
            initial_mismatch(moments, from_noise(moments), 0.5, sigma)
    actual = initial_mismatch(moments, from_noise(moments), 0.5, 1e-40)
    # three bumps far apart: −log 3 − log 2πe σ² + log 2π + E‖x‖²/2
    assert actual.low <= -math.log(3) - 1 - 2 * math.log(1e-40) + 0.25 / 6 <= actual.high
    large = Moments.of(Atoms([[-5e29], [5e29]]))
    actual = initial_mismatch(large, from_noise(large, 5e29), 0.5, 1e-40)
    # KL(q‖N(0, s²)) of two far bumps: log(s/σ) − ½ + (σ² + α²y²)/2s² − log 2
    truth = math.log(5e29 / 1e-40) - 0.5 + 0.125 - math.log(2)
    assert actual.low <= truth <= actual.high


def test_the_rounding_of_a_spread_is_on_both_sides():
    """`x − log(1 + x)` from 60 digits, where x is no small number and where it is: what rounds up must not leave the lower side."""
    generator = torch.Generator().manual_seed(0)
    lifted, std = (10 ** (4 * torch.rand(300, dtype=torch.float64, generator=generator) - 2) for _ in range(2))
    sigma = 0.3
    low, high = mismatch._spread_terms(lifted, std, sigma)
    with mpmath.workdps(60):
        for part, s, least, most in zip(*(values.tolist() for values in (lifted, std, low, high)), strict=True):
            ratio = (mpmath.mpf(part) + mpmath.mpf(sigma) ** 2) / mpmath.mpf(s) ** 2
            assert least <= ratio - 1 - mpmath.log(ratio) <= most

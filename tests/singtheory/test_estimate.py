"""The confidence interval: it must cover, must not be absurdly wide, and must refuse what would void it."""

import math

import pytest
import torch
from scipy.stats import binom

from singtheory import Estimate, InputError, estimate
from singtheory.estimate import mean_interval

REPETITIONS, CONFIDENCE = 300, 0.9
MISSES_ALLOWED = int(binom.ppf(1 - 1e-6, REPETITIONS, 1 - CONFIDENCE))
"""Even at exactly the stated error more misses than this happen once in a million runs."""


@pytest.mark.parametrize(
    ("draw", "mean", "lowest", "highest"),
    [
        (lambda g: torch.rand(200, dtype=torch.float64, generator=g), 0.5, 0.0, 1.0),
        (lambda g: (torch.rand(200, generator=g) < 0.02).double() * 3 - 1, -0.94, -1.0, 2.0),
        (lambda g: torch.rand(200, dtype=torch.float64, generator=g) ** 8, 1 / 9, 0.0, 1.0),
    ],
)
def test_coverage(draw, mean, lowest, highest):
    generator = torch.Generator().manual_seed(0)
    misses = 0
    for _ in range(REPETITIONS):
        low, high = mean_interval(draw(generator), lowest, highest, CONFIDENCE)
        assert lowest <= low <= high <= highest
        misses += not low <= mean <= high
    assert misses <= MISSES_ALLOWED


@pytest.mark.parametrize("confidence", [0.9, 1 - 1e-6])
def test_width_is_near_the_normal_intervals(confidence):
    """Validity at every sample size costs less than a factor of two here."""
    x = torch.rand(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    low, high = mean_interval(x, 0.0, 1.0, confidence)
    half_normal = float(torch.special.ndtri(torch.tensor((1 + confidence) / 2))) * 12**-0.5 / 100
    assert half_normal < (high - low) / 2 < 2 * half_normal


def test_small_variance_in_a_wide_range_is_noticed():
    x = 0.001 * torch.rand(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    low, high = mean_interval(x, 0.0, 1.0, 0.99)
    assert low < 0.0005 < high < 0.0015


def test_affine_and_mirrored():
    x = torch.rand(500, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    low, high = mean_interval(x, 0.0, 1.0, 0.95)
    assert mean_interval(4 * x - 7, -7.0, -3.0, 0.95) == pytest.approx((4 * low - 7, 4 * high - 7))
    assert mean_interval(-x, -1.0, 0.0, 0.95) == pytest.approx((-high, -low))


def test_higher_confidence_is_wider():
    x = torch.rand(500, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    intervals = [mean_interval(x, 0.0, 1.0, c) for c in (0.5, 0.9, 0.999)]
    assert intervals[0][0] > intervals[1][0] > intervals[2][0]
    assert intervals[0][1] < intervals[1][1] < intervals[2][1]


def test_one_sample_and_a_range_of_nothing():
    low, high = mean_interval(torch.tensor([0.5], dtype=torch.float64), 0.0, 1.0, 0.99)
    assert low < 0.05 and high > 0.95
    assert mean_interval(torch.zeros(5, dtype=torch.float64), 0.0, 0.0, 0.99) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("samples", "confidence", "words"),
    [
        ([0.5, 1.1], 0.9, "leave the stated range"),
        ([-0.01], 0.9, "leave the stated range"),
        ([float("nan")], 0.9, "leave the stated range"),
        ([], 0.9, "leave the stated range"),
        ([0.5], 1.0, "confidence"),
        ([0.5], 0.0, "confidence"),
    ],
)
def test_what_would_void_it_is_refused(samples, confidence, words):
    with pytest.raises(InputError, match=words):
        mean_interval(torch.tensor(samples, dtype=torch.float64), 0.0, 1.0, confidence)


def test_estimates_stack():
    parts = [Estimate.exact(torch.tensor([v])) for v in (1.0, 2.0)]
    stacked = Estimate.stack(parts)
    assert stacked.value.tolist() == [1.0, 2.0]
    assert float(parts[1]) == 2.0


@pytest.mark.parametrize("unit", [1e-200, 1e-20, 1e-14, 1e9, 1e200])
def test_the_unit_of_the_samples_does_not_matter(unit):
    """An interval of samples below 1e-14 was their whole range, and samples far outside of such a range were taken."""
    x = torch.rand(500, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    low, high = mean_interval(x, 0.0, 1.0, 0.95)
    assert mean_interval(unit * x, 0.0, unit, 0.95) == pytest.approx((unit * low, unit * high), rel=1e-9, abs=0)
    with pytest.raises(InputError, match="leave the stated range"):
        mean_interval(unit * (x + 1), 0.0, unit, 0.95)


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.3, 1.0])
def test_the_end_is_where_the_bets_reach_their_goal(share):
    """Against 60 halvings of all of [0, mean]: the search from the standard error loses at most a thousandth of the half-width."""
    generator = torch.Generator().manual_seed(3)
    x = (torch.rand(20_000, generator=generator) < share).double() * torch.rand(20_000, generator=generator).double()
    low, _ = mean_interval(x, 0.0, 1.0, 0.99)
    bets = estimate._predictable_bets(x, goal := math.log(200))
    a, b = 0.0, float(x.mean())
    for _ in range(60):
        m = (a + b) / 2
        wealth = torch.log1p(bets.clamp(max=0.75 / m if m else math.inf) * (x - m)).cumsum(0).max()
        a, b = (m, b) if float(wealth) >= goal else (a, m)
    assert a - 1e-3 * (float(x.mean()) - a) <= low <= a + 1e-12


def test_a_rare_variable_is_known_by_its_draws():
    """Of a million draws that are nearly all zero the end lies within `log(2/δ)/0.75` of n⁻¹ and the mean."""
    x = torch.zeros(1_000_000, dtype=torch.float64)
    assert mean_interval(x, 0.0, 1.0, 1 - 1e-9)[1] < 2 * math.log(2e9) / 0.75 / 1e6


@pytest.mark.parametrize("size", [5e-324, 1e-315, 1e-311, 1e-300, 1e-160])
def test_draws_that_are_next_to_nothing_have_an_interval(size):
    """The first step of the search underflowed to nothing, and the search went on for ever."""
    for samples in (torch.full((40,), size, dtype=torch.float64), size * torch.arange(40, dtype=torch.float64)):
        low, high = mean_interval(samples, 0.0, 1.0, 0.99)
        assert 0 <= low <= float(samples.mean()) <= high < 0.3


@pytest.mark.parametrize("mean", [1e-300, 1e-311, 1e-320, 5e-324])
def test_an_interval_for_a_mean_near_the_least_float_is_found(mean):
    """Its variance and a part of it underflow: the search took steps of zero, without end."""
    x = torch.zeros(32, dtype=torch.float64)
    x[3] = 32 * mean
    low, high = mean_interval(x, 0.0, 1.0, 0.9)
    assert 0 <= low <= mean <= high < 0.2


def _low_of(x: list[float], confidence: float) -> float:
    """The end from below by its definition, one sample after the other, at 60 halvings."""
    goal, n = math.log(2 / (1 - confidence)), len(x)
    bets, total = [], 0.5
    before, squares = 0.25, 0.25 / n**0.5
    for count, sample in enumerate(x, 1):
        bets.append(math.sqrt(2 * goal / (n * before)))  # from what came before alone
        total += sample
        squares += (sample - total / (count + 1)) ** 2
        before = squares / (count + 1)
    low, high = 0.0, sum(x) / n
    for _ in range(60):
        m, wealth, best = (low + high) / 2, 0.0, 0.0
        for bet, sample in zip(bets, x, strict=True):
            wealth += math.log1p(min(bet, 0.75 / m) * (sample - m))
            best = max(best, wealth)
        low, high = (m, high) if best >= goal else (low, m)
    return low


@pytest.mark.parametrize(
    "samples",
    [[0.0] + [1.0] * 19, [1.0, 0.0] * 30, [0.9] * 40 + [0.0] + [0.95] * 40, [0.2 + 0.1 * (k % 3) for k in range(200)]],
    ids=["a zero first", "in turn", "one in between", "narrow"],
)
def test_the_interval_is_that_of_its_definition(samples):
    """A bet on a sample knows those before it alone, and never more than three quarters of the capital is at stake."""
    x = torch.tensor(samples, dtype=torch.float64)
    low, high = mean_interval(x, 0.0, 1.0, 0.99)
    mean = float(x.mean())
    expected = _low_of(samples, 0.99), 1 - _low_of([1 - v for v in samples], 0.99)
    assert expected[0] - 1e-3 * (mean - expected[0]) - 1e-12 <= low <= expected[0] + 1e-12
    assert expected[1] - 1e-12 <= high <= expected[1] + 1e-3 * (expected[1] - mean) + 1e-12


def test_a_value_lies_in_its_interval():
    for value, expected in ((-1.0, 0.0), (0.25, 0.25), (2.0, 1.0)):
        assert float(Estimate.single(value, 0.0, 1.0, "exact").value) == expected

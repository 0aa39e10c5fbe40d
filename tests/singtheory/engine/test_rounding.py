"""The bounds of `rounding` in cases that come close to them; `test_gpu` holds engines against ball arithmetic."""

import math
from fractions import Fraction

import pytest
import torch

from singtheory.engine.rounding import (
    MOST_QUERY_DIGITS,
    MOST_WEIGHT_DIGITS,
    Asking,
    Nearness,
    Sizes,
    digits_bound,
    digits_delta,
    near_bound,
    query_digits,
    screen_error,
    weight_digits,
)
from singtheory.formula import DOUBLE

SIZES = Sizes(1000, 50, 3.0, 4.0, 2.0, 2.5, 1.0, -7.0, 0.1, 3.0, 1e-3, 0.01, 0.5, 1e-15)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_a_sum_that_loses_all_but_its_first_term_comes_close_to_the_bound():
    """One atom at 1 and 512 of weight u at −1: one after another both sums stay at 1, and the mean is off by 2 · 512 u."""
    known = Nearness.of(SIZES, 1e-6, 800.0, 512)
    numerator = denominator = number(1.0)
    for _ in range(512):
        numerator, denominator = numerator - DOUBLE / 4, denominator + DOUBLE / 2
    assert float(numerator) == float(denominator) == 1
    nothing = number(0.0)
    bound = float(near_bound(*[nothing] * 4, number(1.0), *[nothing] * 2, *known[:2], 0.0, *known[3:5], 0.0))
    assert 512 * (DOUBLE / 2 + DOUBLE / 4) < bound < 2.2 * 512 * DOUBLE


def test_products_of_float64_that_round_come_close_to_their_error():
    """`√γ⟨z′, y⟩` put together from a rounded unit: three roundings of half a unit each."""
    size, reach = 1 / 3, 3.0
    off = 3 * DOUBLE * size * reach
    delta = float(digits_delta(number(size), number(0.0), number(1.0), 1.0, 0.0, reach, 0.0))
    assert off < delta < 4 * off


def test_where_nothing_is_known_the_bound_is_infinite():
    known = Nearness.of(SIZES, 1e-6, 20.0, 512)
    one = number(1.0)
    for distance in (math.inf, math.nan, 1e18):
        assert float(near_bound(one, one, one, number(distance), one, one, one, *known[:6])) == math.inf
    assert float(near_bound(one, one, one, one, one, one, one, *known[:6])) < math.inf


@pytest.mark.parametrize("over", [1e-3, 0.99, 1.01, 255.0, 257.0, 256.0**4 * 1.01])
def test_there_are_as_many_digits_as_the_goal_needs(over):
    """The last digit of so many is at most as large as what is over the goal with one."""
    wanted = 1 + max(0, math.ceil(math.log(over, 256)))
    assert int(query_digits(number(over), number(1e-9), 1e9, 1.0, 1.0)) == min(wanted, MOST_QUERY_DIGITS)
    assert int(weight_digits(number(over), number(1.0), 1.0)) == min(wanted, MOST_WEIGHT_DIGITS)


def test_no_more_digits_are_asked_for_than_there_are():
    assert int(query_digits(number(1e300), number(0.0), 1.0, 1.0, 1.0)) == MOST_QUERY_DIGITS
    assert int(weight_digits(number(1e300), number(1.0), 1.0)) == MOST_WEIGHT_DIGITS
    assert int(weight_digits(number(math.nan), number(1.0), 1.0)) == 1


def test_constants_of_the_screen_and_of_differences_worked_out_by_hand():
    """For ‖μ‖ = 2, a radius of 3, a reach of 4, half precision's reach of 3 and a least log weight of −7."""
    sizes = SIZES._replace(mean_norm=2.0)
    asking, nearness = Asking.of(sizes, 1e-6, 0.0, 0.0), Nearness.of(sizes, 1e-6, 40.0, 1024)
    assert Fraction(asking.per_snr) == pytest.approx(
        45 * Fraction(1, 2**24) + 24 * Fraction(1, 2**53), rel=1e-15, abs=0
    )
    assert Fraction(asking.weights) == pytest.approx(70 * Fraction(1, 2**24), rel=1e-15, abs=0)
    assert (nearness.roundings, nearness.per_snr, nearness.others) == (30, 4 + 90 + 24, 36)


def weighed_bound(total: float = 2.0, lost: float = 0.0, size: float = 0.0, levels_rest: float = 0.0) -> float:
    """`digits_bound` of weights about one point: nothing else is rounded."""
    numbers = (total, 0.0, lost, 0.0, size, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, levels_rest, 0.0)
    return float(digits_bound(*map(number, numbers)))


def test_what_atoms_miss_of_their_levels_is_in_the_bound():
    """All of it moves the mean, and it counts against the log weights, which may be off by 1e-2 at most."""
    assert weighed_bound() == pytest.approx(0.0, abs=1e-5)
    assert 0.05 <= weighed_bound(levels_rest=0.05) <= 0.052
    assert weighed_bound(size=1.0, levels_rest=0.009) < math.inf
    assert weighed_bound(size=1.0, levels_rest=0.011) == math.inf


def test_no_bound_where_rounding_may_have_taken_half_of_the_weights():
    assert weighed_bound(total=2.0, lost=0.999) < math.inf
    assert weighed_bound(total=2.0, lost=1.0) == math.inf


@pytest.mark.parametrize(("snr", "known"), [(0.0, True), (1e29, True), (3.5e38, False), (1e39, False), (1e300, False)])
def test_a_screen_knows_nothing_where_float32_cannot_hold_gamma(snr, known):
    """Of points near 0 the error may be small all the same: γ itself, and what it is multiplied with, is infinite there."""
    gamma = number(snr)
    error = screen_error(number(0.0), gamma.sqrt(), gamma, number(1e-3), number(1e-310), number(0.0))
    assert bool(gamma.float().isfinite()) == known
    assert bool(error.isfinite()) == known


def test_a_screen_knows_nothing_where_its_error_is_no_small_number():
    zero, one = number(0.0), number(1.0)
    assert float(screen_error(zero, zero, zero, zero, zero, number(1e19))) == pytest.approx(1.02e19)
    assert float(screen_error(one, number(3.0), one, number(2.0), number(5.0), number(7.0))) == pytest.approx(1.02 * 18)
    assert float(screen_error(zero, zero, zero, zero, zero, number(1e21))) == math.inf

"""The bounds of `rounding` in cases that come close to them; `test_gpu` holds engines against ball arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from singtheory.engine import reference
from singtheory.engine.rounding import (
    MOST_QUERY_DIGITS,
    MOST_WEIGHT_DIGITS,
    SAFE,
    Asking,
    Nearness,
    Sizes,
    Weighing,
    digits_bound,
    digits_delta,
    near_bound,
    query_digits,
    screen_error,
    weight_digits,
)
from singtheory.formula import DOUBLE

WIDEST = 65_536
"""Coordinates that a GPU's engine takes: `gpu.engine_of`."""
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


class Perturbed(TorchDispatchMode):
    """Every result that float64 may round is made larger by one part in `1/EPSILON`, so that a product shows how often it was rounded.

    Exact are products with powers of two and sums of whole numbers below 2⁵³. `exponents` are what `exp` was asked of.
    """

    EPSILON = 1e-9
    ROUNDS = ("mul", "mul_", "add", "add_", "sub", "sub_", "rsub", "div", "div_", "sqrt")

    def __init__(self) -> None:
        super().__init__()
        self.exponents: list[torch.Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name == "exp":
            self.exponents.append(args[0].clone())
        if name in self.ROUNDS and isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            power = not isinstance(args[-1], torch.Tensor) and args[-1] in (1, 256)
            whole = name == "add_" and bool((result.abs() < 2.0**53).all())
            if not (power or whole):
                result.mul_(1 + self.EPSILON)
        return result


def log_weight(width: int, perturbed: Perturbed) -> float:
    """Of one atom at the largest level in all coordinates, as the kernels compute it."""
    sizes = SIZES._replace(atoms=1, dim=width, mean_norm=0.0, least_log_weight=0.0, step=1.0, base=0.0)
    known, zero = Weighing.of(sizes, MOST_WEIGHT_DIGITS, 1), torch.zeros(1, dtype=torch.float64)
    z, snr = torch.full((1, width), 1 + 2.0**-20 / 3, dtype=torch.float64), torch.tensor([0.37], dtype=torch.float64)
    atoms = torch.full((1, width), 127, dtype=torch.int8)
    with perturbed:
        queries = reference.digits(z, snr, torch.zeros(width, dtype=torch.float64), width, MOST_QUERY_DIGITS, known)
        reference.weigh(queries, atoms, zero, zero, snr, zero, MOST_WEIGHT_DIGITS)
    return float(perturbed.exponents[0])


def test_the_error_of_log_weights_counts_every_rounding_on_their_way():
    """Eleven where rows are widest, of which `digits_bound` adds one beside the query's rest, and fewer in few coordinates."""
    counted = []
    for width in (1, 4096, WIDEST):
        exact, moved = Perturbed(), Perturbed()
        exact.EPSILON = 0.0
        counted.append((log_weight(width, moved) / log_weight(width, exact) - 1) / moved.EPSILON)
    assert counted == pytest.approx([9, 10, 11], abs=1e-3)
    allowed = float(digits_delta(number(1.0), number(0.0), number(1.0), 1.0, 0.0, 1.0, 0.0)) / DOUBLE / SAFE
    assert counted[-1] - 1e-3 < allowed + 1 < counted[-1] + 0.5


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


def test_constants_of_a_screen_by_whole_numbers_worked_out_by_hand():
    """A product is exact but for what levels miss, and ten roundings of float32; what a query misses is in two products more."""
    asking, halves = Asking.whole(SIZES, 1e-6, 0.0, 0.0), Asking.of(SIZES, 1e-6, 0.0, 0.0)
    single = Fraction(1, 2**24)
    assert Fraction(asking.per_norm) == pytest.approx(Fraction(1e-15) + 30 * single, rel=1e-14, abs=0)
    assert Fraction(asking.per_rest) == pytest.approx(Fraction(1e-15) + 78 * single, rel=1e-14, abs=0)
    assert (asking.unit, halves.unit, halves.per_rest) == (0.01 / 127, 0.1, 0.0)
    assert (asking.per_snr, asking.weights) == (halves.per_snr, halves.weights)


@pytest.mark.parametrize(("dim", "roundings"), [(50, 30), (1536, 30), (4096, 50), (WIDEST, 530)])
def test_wide_differences_are_summed_chunk_after_chunk(dim, roundings):
    assert Nearness.of(SIZES._replace(dim=dim), 1e-6, 40.0, 512).roundings == roundings


def test_tiles_that_are_left_out_for_all_goals_are_in_the_bound():
    """512 atoms at `e^−64` of the largest weight and 6 away move the mean by 3072 of it; none else is left out at 800 below."""
    one = Nearness.of(SIZES, 1e-6, 800.0, 512).constant - 12 * DOUBLE
    assert 12 * DOUBLE + 3072 * math.exp(-64) == pytest.approx(12 * DOUBLE + one, rel=1e-15)
    assert Nearness.of(SIZES, 1e-6, 64.0, 512).constant > Nearness.of(SIZES, 1e-6, 800.0, 512).constant


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
    zero = number(0.0)
    error = screen_error(zero, gamma.sqrt(), gamma, zero, number(1e-3), zero, number(1e-310), zero)
    assert bool(gamma.float().isfinite()) == known
    assert bool(error.isfinite()) == known


def test_a_screen_knows_nothing_where_its_error_is_no_small_number():
    nothing = [number(0.0)] * 7
    assert float(screen_error(*nothing, number(1e19))) == pytest.approx(1.02e19)
    assert float(screen_error(*map(number, (1.0, 3.0, 1.0, 11.0, 2.0, 13.0, 5.0, 7.0)))) == pytest.approx(1.02 * 161)
    assert float(screen_error(*nothing, number(1e21))) == math.inf

"""The comparisons themselves, with planted errors."""

import math

import pytest
import sympy
import torch

from proofs_checks.harness.claim import Outcome
from proofs_checks.harness.outcome import (
    at_least,
    at_most,
    equal,
    identically_zero,
    no_instance,
    rounding,
    worst,
    worst_or_none,
)
from proofs_checks.harness.slope import fitted_slope, vanishes_at_rate
from singtheory import Estimate


def interval(low: float, high: float) -> Estimate:
    values = (torch.tensor([v]) for v in ((low + high) / 2, low, high))
    return Estimate(*values, 0.99, 10, "monte-carlo")


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.9, "supported"), (0.1, 1.1, "undecided"), (1.01, 1.1, "refuted")]
)
def test_at_most_and_its_mirror(low, high, verdict):
    assert at_most(interval(low, high), 1.0, "").verdict == verdict
    assert at_least(interval(-high, -low), -1.0, "").verdict == verdict


def test_margins_have_the_sign_of_the_distance():
    assert at_most(0.5, 1.0, "").margin == pytest.approx(0.5)
    assert at_most(2.0, 1.0, "").margin == pytest.approx(-0.5)
    assert at_least(2.0, 1.0, "").margin == pytest.approx(0.5)
    assert at_least(0.5, 1.0, "").margin == pytest.approx(-0.5)
    assert at_most(3.0, math.inf, "").margin == 1.0


@pytest.mark.parametrize("compare", [at_most, at_least])
def test_nan_is_undecided(compare):
    assert compare(math.nan, 1.0, "").verdict == "undecided"
    assert compare(1.0, math.nan, "").verdict == "undecided"
    assert equal(math.nan, 1.0, 0.1, "").verdict == "undecided"


def test_equal_within_the_tolerance_only():
    assert equal(1.05, 1.0, 0.1, "").verdict == "supported"
    assert equal(1.11, 1.0, 0.1, "").verdict == "refuted"
    assert equal(interval(1.05, 1.2), 1.0, 0.04, "").verdict == "refuted"
    assert equal(interval(0.9, 1.2), 1.0, 0.04, "").margin == 1.0


def test_outcomes_say_on_which_side_the_measured_value_must_lie():
    assert [f(1.0, 2.0, "").relation for f in (at_most, at_least)] == ["≤", "≥"]
    assert equal(1.0, 2.0, 0.1, "").relation == "=" and no_instance("none").relation is None


def test_rounding_is_that_of_the_terms_and_not_of_what_is_left():
    tie = 0.1 + 0.2  # one rounding above 0.3
    assert at_most(tie, 0.3, "").verdict == "refuted"
    assert at_most(tie, 0.3, "", rounding(2, 0.1, 0.2)).verdict == "supported"
    assert at_least(0.3, tie, "", rounding(2, 0.1, 0.2)).verdict == "supported"
    assert at_most(0.3 * (1 + 1e-14), 0.3, "", rounding(2, 0.1, 0.2)).verdict == "refuted"
    assert rounding(3, -4.0, 4.0) == 24 * 2.0**-52


def test_equal_without_tolerance_and_at_infinity():
    assert equal(1.0, 1.0, 0.0, "").verdict == "supported"
    assert equal(1.0, 1.0 + 1e-15, 0.0, "").verdict == "refuted"
    assert equal(math.inf, math.inf, 1.0, "").verdict == "supported"
    assert equal(1.0, math.inf, 1.0, "").verdict == "refuted"
    assert equal(1.0, 1.0, math.nan, "").verdict == "undecided"


def test_undecided_says_what_would_decide():
    assert at_most(interval(0.1, 1.1), 1.0, "").remedy
    assert not at_most(interval(0.1, 0.9), 1.0, "").remedy
    assert worst_or_none([], "none here") == no_instance("none here")


def test_worst_puts_failures_first_then_small_margins():
    good, close = Outcome("supported", margin=0.9), Outcome("supported", margin=0.1)
    open_, bad = Outcome("undecided"), Outcome("refuted", margin=-1.0)
    assert worst([good, close]) is close
    assert worst([good, open_]) is open_
    assert worst([open_, bad, good]) is bad
    assert worst([]).verdict == "undecided"


def test_identically_zero():
    x, y = sympy.symbols("x y", positive=True)
    assert identically_zero((x + y) ** 2 - x**2 - 2 * x * y - y**2, "").verdict == "proved"
    refuted = identically_zero((x + y) ** 2 - x**2 - y**2, "")
    assert refuted.verdict == "refuted"
    assert refuted.margin is not None and refuted.margin < 0


def test_what_is_no_number_anywhere_is_not_proved():
    """Its numerator expands to zero, and so does its denominator: it was proved."""
    x, y = sympy.symbols("x y", positive=True)
    zeros = [(z + 1) ** 2 - z**2 - 2 * z - 1 for z in (x, y)]
    assert identically_zero(zeros[0] / zeros[1], "").verdict == "undecided"


def _hidden_zero() -> tuple[sympy.Expr, sympy.Expr]:
    """What is zero and does not look it, in x and in y."""
    x, y = sympy.symbols("x y", positive=True)
    return (x + 1) ** 2 - x**2 - 2 * x - 1, sympy.sin(y) ** 2 + sympy.cos(y) ** 2 - 1


@pytest.mark.parametrize(
    "hide",
    [
        lambda zero, nothing: zero / nothing,
        lambda zero, nothing: sympy.Mul(0, 1 / nothing, evaluate=False),
        lambda zero, nothing: zero + zero / nothing,
        lambda zero, nothing: zero * sympy.exp(1 + zero / nothing),
        lambda zero, nothing: zero / sympy.sqrt(nothing),
        lambda zero, nothing: zero * sympy.log(nothing),
        lambda zero, nothing: (
            nothing / nothing.xreplace({y: x for x, y in [sympy.symbols("x y", positive=True)]})
        ),  # rounding by rounding: it was refuted
    ],
    ids=["quotient", "0 over it", "in a sum", "in an exponential", "root", "logarithm", "both"],
)
def test_a_denominator_that_simplifies_to_zero_is_no_proof_and_no_refutation(hide):
    outcome = identically_zero(hide(*_hidden_zero()), "")
    assert outcome.verdict == "undecided" and "divides by" in outcome.remedy


def test_a_denominator_that_is_zero_at_one_of_the_points_is_one():
    x, zero = sympy.Symbol("y", positive=True), _hidden_zero()[0]
    assert identically_zero(zero / (x - sympy.Rational(3, 5)), "").verdict == "proved"


def test_a_point_at_which_an_expression_is_no_number_leaves_the_other_to_refute_it():
    z = sympy.Symbol("z", positive=True)
    at = z - sympy.Rational(3, 5)  # 0 at the first point
    one = sympy.Mul(at, 1 / at, evaluate=False)
    assert identically_zero(z + one, "").verdict == "refuted"


def test_one_refuted_instance_decides_and_none_is_asked_for_after_it():
    good, bad = equal(0.0, 0.0, 1.0, "good"), equal(2.0, 0.0, 1.0, "bad")

    def outcomes():
        yield good
        yield bad
        raise AssertionError("asked for another")

    assert worst(outcomes()) is bad


def test_slopes():
    at = (0.1, 0.2, 0.4)
    assert fitted_slope(at, [3 * a**2.5 for a in at]) == pytest.approx(2.5)
    assert math.isnan(fitted_slope(at, [0.0, 1.0, 2.0]))
    assert vanishes_at_rate(lambda g: -2 * g**3, at, 3.0, "").verdict == "supported"
    assert vanishes_at_rate(lambda g: g**3, at, 2.85, "").verdict == "refuted"

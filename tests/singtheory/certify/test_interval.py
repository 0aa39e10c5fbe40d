"""Certificates in ball arithmetic, and that they can fail."""

from fractions import Fraction

import mpmath
import pytest
import torch
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Atoms, divergence, formula
from singtheory.certify import interval, two_point
from singtheory.certify.certified_bound import CERTIFIED, CertifiedBound
from singtheory.certify.gap_range import GapRange
from singtheory.certify.interval import NAMESPACE, ball
from singtheory.formula import line
from tests.support.strategies import examples

UNIT = ((Fraction(0), Fraction(1)),)
SMALL = ((Fraction(1), Fraction(9, 8)), (Fraction(7, 16), Fraction(1, 2)))
SMALL_NEAR = ((Fraction(1, 50), Fraction(1, 20)), (Fraction(1, 10), Fraction(1, 2)))


def _over(function):
    return lambda box: interval.enclose(function, box)


def test_true_inequality_is_proved_on_all_of_the_box():
    margin = _over(lambda x: x * x - x + arb("0.26"))
    actual = interval.certify(margin, UNIT, margin)
    assert (actual.verdict, actual.coverage) == ("proved", 1.0)
    assert 0 <= actual.margin <= 0.01


def test_false_inequality_is_refuted_by_a_point():
    margin = _over(lambda x: x * x - x + arb("0.24"))
    assert interval.certify(margin, UNIT, margin).verdict == "refuted"


def test_equality_inside_the_box_stays_undecided():
    """`(x − 1/3)² ≥ 0` holds with equality at a point that no halving meets: enclosures of both signs there."""
    margin = _over(lambda x: (x - ball("1/3")) * (x - ball("1/3")))
    actual = interval.certify(margin, UNIT, margin, max_depth=12)
    assert actual.verdict == "undecided"
    assert actual.coverage < 1


@pytest.mark.parametrize("value", [arb("nan"), arb(0, 1)])
def test_a_margin_that_never_decides_is_undecided(value):
    assert interval.certify(lambda _: value, UNIT, lambda _: value, max_depth=6).verdict == "undecided"


def test_a_margin_below_every_float_is_not_proved():
    assert interval.certify(lambda _: -(arb(2) ** -5000), UNIT, None, max_depth=3).verdict == "undecided"


def test_budget_of_boxes_is_kept():
    actual = interval.certify(lambda _: arb(0, 1), UNIT, None, max_boxes=10)
    assert (actual.verdict, actual.boxes) == ("undecided", 10)


@given(st.fractions(0, 3), st.fractions(0, 1), st.floats(0, 1))
@settings(deadline=None)
def test_enclosure_contains_the_values(low, width, share):
    box = ((low, low + width),)
    with interval.precision():
        actual = interval.enclose(lambda x: (x * 3).exp() / (1 + x), box)
        x = ball(low) + ball(width) * arb(share)
        assert actual.overlaps((x * 3).exp() / (1 + x)) or not actual.is_finite()


@pytest.mark.parametrize(("value", "low", "high"), [(2.0, 2, 2), (-1.0, 0, 0)])
def test_relu_away_from_its_kink(value, low, high):
    assert float(NAMESPACE.relu(arb(value)).mid()) == low == high


def test_relu_across_its_kink_keeps_both_sides():
    actual = NAMESPACE.relu(arb(0, 1))
    assert actual.contains(arb(0)) and actual.contains(arb(1))


@pytest.mark.parametrize("bound", CERTIFIED, ids=lambda bound: bound.name)
@pytest.mark.parametrize("box", [SMALL, SMALL_NEAR], ids=["far", "near"])
def test_bounds_are_certified(bound, box):
    assert two_point.certify_two_points(bound, box).verdict == "proved"


WRONG = {"kl_chi2_bound": 0.1, "kl_pair_bound": 0.01, "kl_family_bound": 0.95}
"""Factors that bring each upper bound below the truth where e² is about 1."""


@pytest.mark.parametrize("bound", CERTIFIED, ids=lambda bound: bound.name)
def test_bounds_that_are_off_are_refuted(bound):
    def off(value):
        return lambda *args: value(*args) * arb(WRONG[bound.name]) if bound.upper else value(*args) + 1

    wrong = CertifiedBound(bound.name, bound.upper, bound.near, lambda *law: [off(value) for value in bound.far(*law)])
    assert two_point.certify_two_points(wrong, SMALL).verdict == "refuted"
    law = GapRange(("-1.3", "0.2", "1.1"), ("0.2", "0.5", "0.3"))
    assert law.certify(wrong, (Fraction(1, 10), Fraction(1, 5))).verdict == "refuted"


@pytest.mark.parametrize("gap", ["0.3", "0.1", "0.01"])
def test_golden_values_as_enclosures(gap):
    """The table of golden values, to 1e-10 and to the digits printed there."""
    golden = {
        "0.3": ("0.00970277191999561", "2.17652522548e-4", "0.0467947972", "0.02273920408"),
        "0.1": ("0.00115578318093944", "1.08121939496e-5", "0.0163482291", "0.00242659288"),
        "0.01": ("1.19327801676056e-5", "1.26876203356217e-8", "0.001670619464906", "2.39765512393362e-5"),
    }
    law = GapRange(("-1.3", "0.2", "1.1"), ("0.2", "0.5", "0.3"))
    for name, printed in zip(("kl", "kl_moment", "tv", "chi2"), golden[gap], strict=True):
        actual = getattr(law, name)(Fraction(gap))
        assert 2 * float(actual.rad()) <= 1e-10
        last_digit = float(Fraction(printed)) * 10.0 ** -(len(printed.split("e")[0].lstrip("0.").replace(".", "")) - 1)
        assert abs(float(actual.mid()) - float(printed)) <= last_digit


@given(st.floats(0.02, 0.98), st.floats(0.05, 5.0))
@settings(deadline=None, max_examples=examples(20))
def test_information_and_mmse_agree_with_quadrature(p, e):
    points, weights = [arb(0), arb(e)], [arb(1) - arb(p), arb(p)]
    law = Atoms([[0.0], [e]], [1 - p, p])
    posterior = law.posterior([0.0], 0.0)
    with interval.precision():
        kl = line.variance(points, weights) / 2 - interval.information(points, weights)
        mmse = interval.mmse(points, weights)
    assert float(kl.mid()) == pytest.approx(float(divergence.kl_quadrature(posterior, 1.0).value), rel=1e-9, abs=1e-15)
    from singtheory.mmse.information import expected_trace

    assert float(mmse.mid()) == pytest.approx(expected_trace(posterior, 1.0), rel=1e-9)


def test_concavity_brackets_information_on_a_cell():
    """The bilinear interpolation lies below I and the tangent plane above it, everywhere on a cell."""
    cell = ((Fraction(1), Fraction(2)), (Fraction(1, 10), Fraction(1, 4)))
    with interval.precision():
        below, above = two_point._interpolation(cell), two_point._tangent(cell)
        for g in (Fraction(1), Fraction(5, 4), Fraction(2)):
            for p in (Fraction(1, 10), Fraction(1, 5), Fraction(1, 4)):
                exact = two_point.information(g, p)
                assert not below(ball(g), ball(p)) > exact
                assert not above(ball(g), ball(p)) < exact


def test_the_rule_for_beta_rounds_to_one_near():
    """τ grows with g, so that its largest values near are at `g = ¼`."""
    for p in range(2, 51):
        points, weights = [ball(0), ball(1)], [1 - ball(p) / 100, ball(p) / 100]
        separated = line.separated(points, weights, ball(two_point.NEAR), NAMESPACE)
        assert formula.family_beta(separated, NAMESPACE) > ball("127/128")


def test_series_of_kl_is_the_small_gap_law():
    """The coefficient of g² is `¼ v²`, that of g³ `v²(κ-part)`: B6 for two points at distance one."""
    p = 0.3
    v = p * (1 - p)
    kappa2, cube = (v * (1 - 2 * p)) ** 2, v**3
    actual = [float(arb(two_point.kl_coefficient(k)(fmpq(3, 10))).mid()) * v**2 for k in (2, 3)]
    assert actual[0] == pytest.approx(v**2 / 4)
    assert actual[1] == pytest.approx(kappa2 / 12 - cube / 6)


def test_weights_must_sum_to_one_exactly():
    with pytest.raises(ValueError, match="sum to one"):
        GapRange(("0", "1"), ("0.3", "0.3"))


def test_formulas_on_a_line_take_tensors():
    points, weights = [torch.tensor(y) for y in (-1.0, 1.0)], [torch.tensor(0.5)] * 2
    assert float(line.separated(points, weights, torch.tensor(1e4), torch)) == pytest.approx(1.0)
    assert float(line.separated(points, weights, torch.tensor(0.0), torch)) == pytest.approx(0.0)


def test_weights_are_those_of_a_law():
    with pytest.raises(ValueError, match="none may be negative"):
        GapRange(("0", "1", "2"), ("0.6", "0.6", "-0.2"))


@pytest.mark.parametrize(
    ("points", "weights", "gap"),
    [
        (("0", "200"), ("0.999999", "1e-6"), "1"),
        (("-1", "1"), ("0.5", "0.5"), "1e5"),
        (("0", "1"), ("0.5", "0.5"), "1e-6"),
    ],
)
def test_tv_where_the_densities_cross_far_out(points, weights, gap):
    """Beyond 64 no crossing was looked for: of far atoms, and of large gaps; held against the two halves of the line in 40 digits."""
    with mpmath.workdps(40):
        p = [mpmath.mpf(w) for w in weights]
        y = [mpmath.mpf(v) * mpmath.sqrt(mpmath.mpf(gap)) for v in points]
        mean = mpmath.fsum(w * v for w, v in zip(p, y, strict=True))
        m = [v - mean for v in y]

        def beyond(u):
            return mpmath.fsum(w * (mpmath.ncdf(v - u) - mpmath.ncdf(-u)) for w, v in zip(p, m, strict=True))

        def log_ratio(u):
            return mpmath.log(mpmath.fsum(w * mpmath.exp(v * u - v * v / 2) for w, v in zip(p, m, strict=True)))

        reach = 2 * max(abs(v) for v in m) + 10
        low, high = (
            mpmath.findroot(
                log_ratio, (side * mpmath.mpf("1e-9"), side * reach), solver="bisect", maxsteps=200, verify=False
            )
            for side in (-1, 1)
        )
        truth = beyond(high) - beyond(low)
    with interval.precision():
        value = GapRange(points, weights).tv(Fraction(gap))
        assert float(abs(value - arb(mpmath.nstr(truth, 30)))) <= 1e-12 * float(truth)

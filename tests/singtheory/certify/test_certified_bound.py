"""Bounds as certificates take them: the rule for β rounded, and margins against a known information."""

from fractions import Fraction

import pytest
from flint import arb

from singtheory import formula
from singtheory.certify import interval, two_point
from singtheory.certify.certified_bound import BETA_STEPS, CERTIFIED, CertifiedBound, family
from singtheory.certify.interval import NAMESPACE, ball
from singtheory.formula import line


@pytest.mark.parametrize("gap", ["0.3", "2", "5", "12", "30"])
@pytest.mark.parametrize("p", ["0.02", "0.2", "0.5"])
def test_family_takes_the_nearest_beta_of_the_rule(gap, p):
    with interval.precision():
        points, weights, g = two_point.law(ball(gap), ball(p))
        rule = formula.family_beta(line.separated(points, weights, g, NAMESPACE), NAMESPACE)
        (value,) = family(line.kl_family_at).far(points, weights, g)
        nearest = arb(round(float(rule) * BETA_STEPS)) / BETA_STEPS
        assert abs(rule - nearest) <= arb(1) / (2 * BETA_STEPS)
        expected = line.kl_family_at(points, weights, g, nearest, NAMESPACE)
        assert value(points, weights, g, NAMESPACE).overlaps(expected)


def test_family_takes_both_betas_of_a_tie():
    """A ball of gaps on which the rule crosses the middle of two multiples must hold for both."""
    taken: list[arb] = []

    def at_beta(*law_and_beta):
        taken.append(law_and_beta[3])

    with interval.precision():
        points, weights, g = two_point.law(ball("5.1") + ball("0.1") * arb(0, 1), ball("0.3"))
        for value in family(at_beta).far(points, weights, g):
            value(points, weights, g, NAMESPACE)
        rule = formula.family_beta(line.separated(points, weights, g, NAMESPACE), NAMESPACE) * BETA_STEPS
        tie = next(k for k in range(BETA_STEPS // 2, BETA_STEPS) if rule.contains(arb(k) + arb("0.5")))
        betas = [round(float(beta) * BETA_STEPS) for beta in taken]
    assert {tie, tie + 1} <= set(betas)


def test_family_of_too_wide_a_ball_is_left_to_smaller_ones():
    points, weights, g = two_point.law(interval.hull(ball("0.3"), ball(30)), ball("0.3"))
    assert family(line.kl_family_at).far(points, weights, g) == ()


@pytest.mark.parametrize("bound", CERTIFIED, ids=lambda bound: bound.name)
def test_margin_at_a_point_is_the_excess_over_b2(bound):
    at = (Fraction(2), Fraction(3, 10))
    with interval.precision():
        law = two_point.law(*map(ball, at))
        (value,) = bound.far(*law)
        kl = formula.kl_trace_bound(law[2], line.variance(law[0], law[1])) - two_point.information(*at)
        excess = (value(*law, NAMESPACE) - kl) * (1 if bound.upper else -1) / line.kl_chi2(*law, NAMESPACE)
        actual = bound.margin(two_point.law, lambda *_: two_point.information(*at), interval.point(at))
    assert float(actual) == pytest.approx(float(excess), rel=1e-12)
    assert actual > 0


@pytest.mark.parametrize("values", [("0.1", "nan"), ("nan", "0.1")])
def test_margin_of_several_values_is_none_if_one_cannot_be_enclosed(values):
    bounds = tuple(lambda points, weights, gap, xp, v=v: gap * 0 + arb(v) for v in values)
    bound = CertifiedBound("two", True, bounds[0], lambda *_: bounds)
    with interval.precision():
        actual = bound.margin(two_point.law, lambda *_: arb(0), interval.point((Fraction(2), Fraction(3, 10))))
    assert not actual.is_finite()

"""Interval certificates as checks: B2, B9 and B10 on all laws on two points and on the golden atoms, D1 on a box."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import torch
from flint import arb

from proofs_checks.harness.claim import Check, Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, worst
from proofs_checks.instances.laws import GOLDEN
from proofs_checks.measurements.toy_steps import prior_posterior, toy_instances
from singtheory import certify
from singtheory.certify import NAMESPACE, Box, Certificate, CertifiedBound, GapRange
from singtheory.formula import Number
from singtheory.law import AtomsPosterior

GOLDEN_ATOMS = (("-1.3", "0.2", "1.1"), ("0.2", "0.5", "0.3"))
"""The golden law in decimals, which balls contain exactly."""
GOLDEN_GAPS, QUICK_GAPS = (Fraction(1, 100), Fraction(100)), (Fraction(1), Fraction(10))
"""All the gaps that are certified on the golden atoms, and those of a quick run."""
NEAREST_BOX: Box = ((Fraction(4, 5), Fraction(6, 5)), (Fraction(4, 5), Fraction(1)), (Fraction(2, 5), Fraction(3, 5)))
"""x, α and σ where the golden atom 1.1 is nearest to x."""

BoundOf = Callable[[Sides], CertifiedBound]
OnLine = Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor], Number]
OfPosterior = Callable[[AtomsPosterior, float], Number]


@cache
def golden_atoms() -> GapRange:
    """The golden atoms at a range of gaps; all certificates share the information of those that they ask for."""
    return GapRange(*GOLDEN_ATOMS)


def checks(bound_of: BoundOf, what: str) -> tuple[Check, Check]:
    """The two certificates of a bound that is built from the sides of its claim."""

    def two_points(sides: Sides, context: Context) -> Outcome:
        box = certify.WHOLE if context.full else certify.QUICK
        return outcome(certify.certify_two_points(bound_of(sides), box), box)

    def golden(sides: Sides, context: Context) -> Outcome:
        gaps = GOLDEN_GAPS if context.full else QUICK_GAPS
        return outcome(golden_atoms().certify(bound_of(sides), gaps), (gaps,))

    return (
        Check("interval", f"{what}: every law on two points, (e², p) in a box", two_points),
        Check("interval", f"{what}: the golden atoms at every gap in a range", golden),
    )


def golden_enclosures(enclosure: str, sides_of: Callable[[Sides], OfPosterior]) -> Check:
    """The floating-point value at the golden gaps against a rigorous enclosure at most 1e-10 wide; `enclosure` names a method of `GapRange`."""

    def run(sides: Sides, _: Context) -> Outcome:
        balls, posterior, outcomes = golden_atoms(), prior_posterior(GOLDEN), []
        for gap in ("0.3", "0.1", "0.01"):
            ball = getattr(balls, enclosure)(Fraction(gap))
            value = float(sides_of(sides)(posterior, float(gap)))
            if float(ball.rad()) > 0.5e-10:
                return Outcome("undecided", float(ball.mid()), value, None, f"g = {gap}: enclosure wider than 1e-10")
            # 1e-9 relative is what the quadratures promise
            outcomes.append(equal(value, float(ball.mid()), 1e-9 * abs(value), f"golden, g = {gap}"))
        return worst(outcomes)

    return Check("interval", "the golden values, enclosed to 1e-10 or better", run)


def outcome(certificate: Certificate, box: Box) -> Outcome:
    """What a certificate says of a box, and where its margin is least; the numbers are the coverage and the one asked for."""
    where = (
        f"all of {certify.describe(box)}" if certificate.verdict == "proved" else f"in {certify.describe(box)}"
    ) + f": {certificate.boxes} boxes, depth {certificate.depth}, least margin at {certificate.where}"
    return Outcome(certificate.verdict, certificate.coverage, 1.0, certificate.margin, where, "≥")


def agreement(pairs: Callable[[Sides], list[tuple[OnLine, OfPosterior]]]) -> Check:
    """Ties what is certified to what is used: the formula on a line against the ladder's bound, on toy atoms."""

    def run(sides: Sides, _: Context) -> Outcome:
        outcomes = []
        for i in (i for i in toy_instances() if i.posterior.points.shape[1] == 1):
            points, weights = list(i.posterior.points[:, 0]), list(i.posterior.weights[0])
            scale = 1e-12 * (1 + i.gap)  # roundings of exponents of size g
            for on_line, of_posterior in pairs(sides):
                expected = float(of_posterior(i.posterior, i.gap))
                value = float(on_line(points, weights, torch.tensor(i.gap, dtype=torch.float64)))
                outcomes.append(equal(value, expected, scale, i.where))
        return worst(outcomes)

    return Check("exact", "the formula that is certified is the ladder's: toy atoms on a line", run)


def nearest_point(sides: Sides, _: Context) -> Outcome:
    """`|x̂ − y*| ≤ Σ (w_j/w*) e^{−m_j/2σ²} |y_j − y*|` on a box of x, α and σ (D1)."""
    with certify.precision():
        points, priors = ([certify.ball(v) for v in values] for values in GOLDEN_ATOMS)
        nearest, prior = points.pop(), priors.pop()

        def difference(x: Number, alpha: Number, sigma: Number) -> Number:
            likelihoods = [((alpha * y - x) * (x - alpha * y) / (2 * sigma * sigma)).exp() for y in (*points, nearest)]
            *joint, own = (w * likelihood for w, likelihood in zip((*priors, prior), likelihoods, strict=True))
            off = sum(p * (nearest - y) for p, y in zip(joint, points, strict=True)) / (sum(joint, own * 0) + own)
            margins = [alpha * (nearest - y) * (2 * x - alpha * (nearest + y)) for y in points]
            rivals = [sides["rival"](w / prior, m, sigma, NAMESPACE) for w, m in zip(priors, margins, strict=True)]
            return sum(r * (nearest - y) for r, y in zip(rivals, points, strict=True)) - off

        def margin(box: Box) -> arb:
            return certify.enclose(difference, box)

        certificate = certify.certify(margin, NEAREST_BOX, margin)
        return outcome(certificate, NEAREST_BOX)

"""Integrals on a line: their intervals hold what mpmath finds, on laws that a hostile reader would give."""

import itertools
import math
from fractions import Fraction

import mpmath
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from singtheory import Atoms, Gaussian, GaussianMixture
from singtheory.mmse import line_panel, line_rule
from singtheory.mmse.exact import GaussianCurve, LineCurve, exact_curve
from singtheory.numerics import LENGTHS
from tests.support import reference_posterior
from tests.support.strategies import examples, wild_atoms, wild_snrs


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def rare(m: float) -> Atoms:
    """Two atoms, and a rare one so far away that a rule of equal steps over all three would see none of them."""
    return Atoms([[0.0], [1.0], [3000 / m]], [0.5, 0.5, 1e-6])


def held(interval, truth) -> bool:
    low, high = interval
    return bool(float(low) <= truth <= float(high))


@pytest.mark.parametrize("m", [0.5, 2, 6, 8, 20])
def test_far_rare_atoms_alias_nothing(m):
    law = rare(m)
    curve, snr = LineCurve(law), tensor(m**2)
    truth = reference_posterior.mmse(law, m**2)
    assert held(curve.interval(snr), truth)
    assert float(curve(snr)[0]) == pytest.approx(float(truth), rel=1e-11)
    low, high = curve.interval(snr)
    assert float(high - low) < 1e-10 * float(truth)


def test_near_atoms_keep_their_distance_beside_a_far_one():
    """At γ = 0 all are in one panel, whose places are told from the far one: the variance is that of the two others, to its last digits."""
    law = Atoms([[10000.546377075312], [9998.60416927772], [-791971.4455786755]], [0.5, 0.5, 5.2e-101])
    truth = (Fraction(10000.546377075312) - Fraction(9998.60416927772)) ** 2 / 4
    low, high = LineCurve(law).interval(tensor(0.0))
    assert Fraction(float(low)) <= truth <= Fraction(float(high)) and float(high - low) < 1e-12


def test_no_number_depends_on_what_else_is_asked_for():
    law = rare(6)
    alone = [LineCurve(law)(tensor(g))[0] for g in (1e-3, 36.0, 1e4)]
    together = LineCurve(law)(tensor(1e4, 0.0, 36.0, 1e9, 1e-3, 36.0))[0]
    assert together[[4, 2, 0]].tolist() == [float(v) for v in alone] and together[2] == together[5]
    curve = LineCurve(law)
    curve(tensor(*range(1, 40)))
    assert curve(tensor(36.0))[0] == alone[1]


@given(wild_atoms(dims=(1,)), wild_snrs())
@settings(deadline=None, max_examples=examples(6))
def test_intervals_hold_the_reference(law, snr):
    points = law.points[-3:]
    assume(not 0 < float(points.max() - points.min()) < LENGTHS[0])  # those left out may have been what lay apart
    law = Atoms(points, law.weights[-3:].clamp(min=1e-290))
    curve, at = LineCurve(law), tensor(snr)
    size = max(float(law.points.max() - law.points.min()), 1e-300)
    truth = reference_posterior.mmse(law, snr)
    low, high = curve.interval(at)
    assert float(low) <= truth <= float(high)
    assert float(high - low) <= 1e-10 * float(truth) + 1e-250 * size**2
    known = reference_posterior.information(law, snr)
    low, high = curve.information_interval(at)
    assert float(low) - 1e-16 <= known <= float(high) + 1e-16
    assert float(low) <= float(curve.information(at)) <= float(high) <= float(low) + 1e-9


@pytest.mark.parametrize("snr", [1e-6, 0.3, 20.0, 3e4, 1e10])
def test_wide_and_narrow_bumps_side_by_side(snr):
    """Scales of 10⁻³ and 10³, against scipy's adaptive rule around each bump."""
    law = GaussianMixture([0.3, 0.3, 0.4], [[0.0], [1.0], [5.0]], [[[1e-6]], [[0.0]], [[1e6]]])
    curve, at = LineCurve(law), tensor(snr)
    means, covs = (torch.cat([getattr(c, name).flatten() for c in law.components]).tolist() for name in ("mean", "cov"))
    spread = [1 + snr * v for v in covs]

    def integrand(z: float) -> float:
        logs = [
            math.log(w) - (z - math.sqrt(snr) * m) ** 2 / (2 * s) - math.log(2 * math.pi * s) / 2
            for w, m, s in zip(law.weights.tolist(), means, spread, strict=True)
        ]
        top = max(logs)
        shares = [math.exp(v - top) for v in logs]
        total = sum(shares)
        centres = [
            m + math.sqrt(snr) * v / s * (z - math.sqrt(snr) * m) for m, v, s in zip(means, covs, spread, strict=True)
        ]
        mean = sum(p * c for p, c in zip(shares, centres, strict=True)) / total
        within = (
            sum(p * (v / s + (c - mean) ** 2) for p, v, s, c in zip(shares, covs, spread, centres, strict=True)) / total
        )
        return math.exp(top) * total * within

    limits = sorted(
        math.sqrt(snr) * m + k * math.sqrt(s)
        for m, s in zip(means, spread, strict=True)
        for k in (-9, -6, -3, -1, 0, 1, 3, 6, 9)
    )
    truth = sum(quad(integrand, a, b, epsrel=1e-12, limit=200)[0] for a, b in itertools.pairwise(limits))
    assert float(curve(at)[0]) == pytest.approx(truth, rel=1e-9)
    low, high = curve.interval(at)
    assert float(high - low) < 1e-9 * truth


def test_narrow_bumps_in_the_middle_of_a_wide_one_keep_their_digits():
    """A cell of 38,000 standard deviations of the narrow bumps: panels that meet but for the rounding of its ends miss 1e-12 of them.

    By mpmath's rule at 40 digits, cut at every standard deviation of every bump.
    """
    law = GaussianMixture(
        [0.595845667633407, 0.1497549929068045, 0.4458691453841581],
        [[0.0443941825737276], [0.040588577594319955], [0.04349049085713141]],
        [[[0.006823193730341481]], [[913.5474868383383]], [[1.9859089500684834e-07]]],
    )
    curve, snr = LineCurve(law), tensor(150.24327873561637)
    assert held(curve.interval(snr), mpmath.mpf("0.002963253728176097936713949821385552700633"))
    assert held(curve.information_interval(snr), mpmath.mpf("1.313034116489429853324289942136889781827"))


@pytest.mark.parametrize("snr", [0.0, 1e-3, 1.0, 1e5])
def test_panels_cover_the_line_once(snr):
    """Each panel begins where the one before it ends, to the last digit of that place."""
    rule = line_rule.LineRule(tensor(0.0, 0.3, 2e3), tensor(1e-8, 0.0, 7e4), tensor(0.3, 0.3, 0.4))
    panels = rule.cells(tensor(snr))
    panels = panels.halved().halved()
    left, right = panels.middle - panels.half, panels.middle + panels.half
    same = panels.origin[1:] == panels.origin[:-1]
    assert len(panels.row) > 4
    assert bool(((left[1:] - right[:-1]).abs() <= 4 * 2.0**-53 * left[1:].abs())[same].all())


def test_many_atoms_are_looked_at_in_windows(monkeypatch):
    """What is left out of a window is charged, and does not show."""
    law = Atoms(torch.randn(40, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    whole = [LineCurve(law)(tensor(g))[0] for g in (1e-3, 1.0, 1e3, 1e6)]
    monkeypatch.setattr(line_rule, "_FEW", 1)
    for value, g in zip(whole, (1e-3, 1.0, 1e3, 1e6), strict=True):
        curve = LineCurve(law)
        low, high = curve.interval(tensor(g))
        assert float(low) <= float(value) <= float(high) < float(low) * (1 + 1e-9)


@pytest.mark.parametrize("gap", [1e-16, 1e-10, 1e-8, 1e-4, 0.01, 1.0])
@pytest.mark.parametrize("law", [Atoms([[-1.0], [1.0]], [0.3, 0.7]), Gaussian([0.0], [[2.0]])])
def test_steps_of_any_length_keep_their_digits(law, gap):
    """`½ ∫_0^g (g − h) E C² dh` from the slope of the curve, which is never negative."""
    curve = LineCurve(law) if isinstance(law, Atoms) else GaussianCurve(law)
    start = 0.5
    x, w = (
        torch.tensor(v, dtype=torch.float64)
        for v in zip((-0.7745966692414834, 5 / 9), (0.0, 8 / 9), (0.7745966692414834, 5 / 9), strict=True)
    )
    pieces = 16
    edges = torch.linspace(0, gap, pieces + 1, dtype=torch.float64)
    h = (edges[:-1, None] + gap / pieces * (x + 1) / 2).flatten()
    truth = float((gap / pieces / 2 * w).repeat(pieces) @ ((gap - h) * -curve(start + h)[1])) / 2
    actual = float(curve.discretisation(tensor(start, start + gap)))
    low, high = curve.discretisation_interval(tensor(start, start + gap))
    exact_gap = (start + gap - start) / gap  # of float64 near ½
    if exact_gap == 0:
        assert actual == 0
    else:
        assert actual == pytest.approx(truth * exact_gap**2, rel=2e-5)
        assert (
            0 < low <= high and low <= truth * exact_gap**2 * (1 + 1e-5) and truth * exact_gap**2 <= high * (1 + 1e-5)
        )


@pytest.mark.parametrize("gap", [1e-6, 1e-4, 1e-3])
def test_a_rare_atom_makes_a_short_step_as_dear_as_it_can_be(gap):
    """With a weight w → 0 at distance D `E C²` grows like `e^{D²h}` (B11), and a step costs `w² D⁴ (e^x − 1 − x)/2D⁴ …`, `x = D²g`, to order w."""
    weight, apart = 1e-6, 3.0
    curve = LineCurve(Atoms([[0.0], [apart]], [1 - weight, weight]))
    x = apart**2 * gap
    truth = weight**2 * (x**2 / 2 + x**3 / 6 + x**4 / 24) / 2
    low, high = curve.discretisation_interval(tensor(0.0, gap))
    assert low <= truth * (1 + 10 * weight) and truth * (1 - 10 * weight) <= high
    assert float(curve.discretisation(tensor(0.0, gap))) == pytest.approx(truth, rel=x)


@given(
    st.integers(0, 10**6),
    st.floats(-2, 2.5).map(lambda e: 10.0**e),
    st.floats(-2, 1).map(lambda e: 10.0**e),
    st.floats(-4, 4),
)
@settings(deadline=None, max_examples=examples(60))
def test_the_bounds_hold_on_the_ellipse(seed, snr, half, middle):
    """Where a panel is called regular: the density against the sum of sizes, and the three integrands against their bounds, at complex places."""
    generator = torch.Generator().manual_seed(seed)
    count = 1 + seed % 4
    centres = torch.randn(count, generator=generator, dtype=torch.float64)
    variances = torch.rand(count, generator=generator, dtype=torch.float64) * (seed % 3)
    weights = torch.rand(count, generator=generator, dtype=torch.float64) ** (6 * (seed % 2)) + 1e-9
    rule = line_rule.LineRule(centres, variances, weights / weights.sum())
    gamma = tensor(snr) * rule._unit**2
    panels = line_panel.Panels(torch.tensor([0]), torch.tensor([0]), tensor(0.0), tensor(half))
    ordered = (rule._centres - rule._centres[0]) / rule._unit
    # between two components the density has its zeros nearest to the line
    between = float(gamma.sqrt() * (ordered[0] + ordered[-1]) / 2)
    panels = line_panel.Panels(panels.row, panels.origin, tensor(between + middle), tensor(half))
    seen = rule.seen(panels, gamma, torch.arange(rule.count))
    bound = line_panel.largest(seen, panels)[0] * (1 + 1e-9)
    angle = torch.linspace(0, 2 * math.pi, 240, dtype=torch.float64)
    rho = line_panel.RHO
    around = half * torch.complex((rho + 1 / rho) / 2 * angle.cos(), (rho - 1 / rho) / 2 * angle.sin())
    straight = torch.linspace(-half, half, 50, dtype=torch.float64) + 0j
    around = torch.cat([height * around for height in (0.25, 0.5, 0.75, 1.0)])
    places = torch.cat([around, straight]) if bool(line_panel.regular(seen, panels)) else straight
    off = panels.middle + places[:, None] - gamma.sqrt() * seen.apart
    parts = (seen.level - off.square() / (2 * seen.spread)).exp()
    density = parts.sum(dim=1)
    assume(float(parts.abs().sum(dim=1).min()) > 1e-250)
    assert bool((parts.abs().sum(dim=1) <= 3 * density.abs() * (1 + 1e-9)).all())
    shares, means = parts / density[:, None], seen.apart + seen.slope * off
    mean = (shares * means).sum(dim=1, keepdim=True)
    variance = (shares * ((means - mean).square() + seen.variances / seen.spread)).sum(dim=1)
    slack = 1e-12 * bound.max()
    assert bool(((density * variance).abs() <= bound[0] + slack).all())
    assert bool(((density * variance.square()).abs() <= bound[1] + slack).all())
    assert bool((density.abs() * density.abs().log().abs() <= bound[2] + slack).all())


@given(wild_atoms(dims=(1,)), st.lists(wild_snrs(), min_size=2, max_size=6, unique=True))
@settings(deadline=None, max_examples=examples(20))
def test_the_cost_of_a_chain_is_not_negative_and_in_its_interval(law, snr):
    curve, at = LineCurve(law), tensor(*sorted(snr))
    low, high = curve.discretisation_interval(at)
    value = float(curve.discretisation(at).sum())
    assert 0 <= low <= value * (1 + 1e-12) and value <= high * (1 + 1e-12) + 1e-300
    assert bool(
        (curve(at)[0].diff() <= curve.interval(at)[1][1:] - curve.interval(at)[0][1:] + 1e-9 * curve(at)[0][:-1]).all()
    )


def test_one_place_has_no_mmse():
    curve = LineCurve(Atoms([[3.0], [3.0]]))
    assert curve(tensor(0.0, 1.0, 1e16))[0].tolist() == [0.0, 0.0, 0.0]
    assert curve.information(tensor(0.0, 5.0)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_panels_between_two_atoms_are_as_narrow_as_their_phases_ask(side):
    """Four standard deviations apart the phases differ by `4η`: at most 2.4, with `η = 4/3` of the half-width."""
    rule = line_rule.LineRule(tensor(0.0, 4.0), tensor(0.0, 0.0), tensor(0.5, 0.5))
    gamma = tensor(1.0) * rule._unit**2
    for half, allowed in ((0.449, True), (0.451, False)):
        origin = torch.tensor([0 if side > 0 else 1])
        panels = line_panel.Panels(torch.tensor([0]), origin, tensor(2.0 * side), tensor(half))
        seen = rule.seen(panels, gamma, torch.arange(2))
        assert bool(line_panel.regular(seen, panels)) == allowed


HOSTILE = {
    "far and rare": (
        [1, 1e-9],
        [0, 50.0],
        [1, 0.01],
        0.01,
        "0.990101322265174773003094",
        "0.00497517771086586384433472",
    ),
    "far and rare, a strong signal": (
        [1, 1e-9],
        [0, 50.0],
        [1, 0.01],
        30.0,
        "0.0322580644915632754588089",
        "1.71699362238002747026471",
    ),
    "as rare as can be": (
        [1, 1e-30],
        [0, 1e6],
        [1, 1e-4],
        1e-6,
        "0.999999000000999999000046",
        "4.99999750000166643915815e-7",
    ),
    "near equal": (
        [0.5, 0.5],
        [0, 1e-7],
        [1, 1.0000001],
        1.0,
        "0.500000012500000319798316",
        "0.346573602779973130756943",
    ),
    "one in the other": (
        [0.5, 0.5],
        [0, 0],
        [1e-8, 1e8],
        1e4,
        "0.0000500069433895253769422841",
        "7.60090585108688687833184",
    ),
    "of many scales": (
        [0.3, 0.3, 0.4],
        [0, 1e8, 2e8],
        [1e10, 1, 1e14],
        1e-14,
        "20050720623628.5488130236",
        "1.22750712510124431220162",
    ),
}
"""Weights, means and variances, γ, and mmse and information by mpmath's rule at 30 digits, cut at all deviations of all components and where two are alike."""


@pytest.mark.parametrize("name", HOSTILE)
def test_mixtures_that_a_hostile_reader_would_give(name):
    weights, means, variances, snr, mmse, information = HOSTILE[name]
    curve = exact_curve(GaussianMixture(weights, [[y] for y in means], [[[v]] for v in variances]))
    at = torch.tensor([snr], dtype=torch.float64)
    for (low, high), exact in ((curve.interval(at), mmse), (curve.information_interval(at), information)):
        assert held((low, high), mpmath.mpf(exact))
        assert float(high - low) <= 1e-7 * float(exact) + 1e-12

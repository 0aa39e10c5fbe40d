"""Every interval and bound on laws that a hostile reader would give, against integrals at a hundred digits (`tests.support.reference`)."""

import math

import mpmath as mp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from singtheory import Atoms, GaussianMixture, InputError, divergence
from singtheory.bound import ladder
from singtheory.divergence import sampled
from singtheory.estimate import mean_interval
from singtheory.law import AtomsPosterior, MixturePosterior, in_span
from tests.support import reference
from tests.support.strategies import examples, wild_atoms, wild_gaps, wild_snrs

GOLDEN = ((-1.3, 0.2, 1.1), (0.2, 0.5, 0.3))
HOSTILE = {
    "golden, g = 1e-16": (*GOLDEN, 0.0, 0.0, 1e-16),
    "golden, g = 1e-12": (*GOLDEN, 0.0, 0.0, 1e-12),
    "golden, g = 1e-9": (*GOLDEN, 0.0, 0.0, 1e-9),
    "golden, g = 1e-6": (*GOLDEN, 0.0, 0.0, 1e-6),
    "golden, a large gap": (*GOLDEN, 0.3 / math.sin(0.45 * math.pi), 0.025, 405284.0),
    "golden, g = 1e12": (*GOLDEN, 0.0, 0.0, 1e12),
    "golden, z far from the data": (*GOLDEN, 3e8, 1e-17, 1.0),
    "a far light atom": ((-1.0, 1.0, 1e6), (0.5, 0.5, 1e-12), 0.0, 0.0, 9.0),
    "a weight that decides": ((0.0, 1e25), (1.0, 1e-41), 0.0, 0.0, 1.0),
    "rare and moderately far": ((0.0, 3.3), (1.0, 1e-6), 0.0, 0.0, 1.0),
    "a kink in the far atom's own window": ((0.0, 0.5, 37.0), (1.0, 1.0, 1e-290), 0.0, 0.0, 1.0),
    "far from the origin": ((1e8, 1e8 + 1, 1e8 + 3), (1.0, 2.0, 3.0), 3e7, 0.09, 1.0),
    "near duplicates": ((0.0, 1e-16, 3e-16), (1.0, 2.0, 3.0), 0.0, 0.0, 1e16),
    "two far ones side by side": ((0.0, 1.0, 1e12, 1e12 + 1), (1.0, 0.5, 1e-13, 1e-13), 0.0, 0.0, 1.0),
    "nearly collapsed": ((-1.0, 1.0), (1.0, 1e-18), 0.0, 0.0, 1.0),
    "collapsed by z": ((-1.0, 1.0), (0.5, 0.5), 6.0, 9.0, 0.3),
    "a core and a light atom whose shift underflows when squared": ((0.0, 4e10), (1.0, 4e-274), 0.0, 0.0, 1.9e-8),
    "weight 0 beside it": ((0.0, 2.0, 1e30), (1.0, 1.0, 0.0), 0.1, 0.2, 1.0),
    "a core, and a light atom two thousand away": (
        (
            0.6741912392051016,
            0.6741912392050999,
            0.6741912392051155,
            0.6741912392050776,
            0.6741912392051042,
            -1910.0455229102106,
            0.6741912392050877,
        ),
        (
            1.4130451428786518e-06,
            0.5067160035137523,
            0.0,
            0.004476141609554541,
            0.0012815203952902168,
            0.020751357984947875,
            0.002639089329652831,
        ),
        -7.475505814205595,
        9.094877661074727e-05,
        0.13703926266256633,
    ),
    "a weight that underflows": ((-2e9, 1e4), (4e-5, 0.2), 686.2088424777879, 4.641736921857941e-19, 1e-9),
    "equal atoms": ((0.1, 0.1, 0.1), (1.0, 2.0, 3.0), 0.3, 2.0, 5.0),
}


def truths(y, weights, z, snr, gap):
    """The posterior, and KL, TV and χ² of it."""
    law = Atoms([[value] for value in y], list(weights))
    p = reference.posterior(y, law.weights.tolist(), z, snr)
    return law.posterior([z], snr), {
        "kl": reference.kl(y, p, gap),
        "tv": reference.tv(y, p, gap),
        "chi2": reference.chi2(y, p, gap),
    }


def assert_holds(estimate, truth, what):
    assert mp.mpf(float(estimate.low)) <= truth <= mp.mpf(float(estimate.high)), what
    assert float(estimate.low) <= float(estimate.value) <= float(estimate.high), what


def assert_all_hold(posterior, gap, truth, what=""):
    """KL, TV, W₂ and the ladder."""
    kl, tv = divergence.kl_quadrature(posterior, gap), divergence.tv_exact(posterior, gap)
    assert_holds(kl, truth["kl"], f"KL {what}")
    assert_holds(tv, truth["tv"], f"TV {what}")
    assert float(tv.low) >= 0 and float(tv.high) <= 1
    for bound in ladder.LADDER:
        if bound.side != "leading":
            value, exact = (
                mp.mpf(float(bound.evaluate(posterior, gap))),
                truth[bound.quantity] if bound.quantity != "kl_moment" else 0,
            )
            assert value >= exact if bound.side == "upper" else value <= exact, f"{bound.name} {what}"
    w2, bracket = divergence.w2_exact(posterior, gap), divergence.w2_bracket(posterior, gap)
    assert float(bracket.low) <= float(w2.low) <= float(w2.value) <= float(w2.high) <= float(bracket.high)


@pytest.mark.parametrize("name", HOSTILE)
def test_laws_of_a_hostile_reader(name):
    y, weights, z, snr, gap = HOSTILE[name]
    posterior, truth = truths(y, weights, z, snr, gap)
    assert_all_hold(posterior, gap, truth)
    chi2 = float(divergence.log1p_chi2(posterior, gap))
    assert chi2 == pytest.approx(float(mp.log1p(truth["chi2"])), rel=1e-10)
    kl, tv = divergence.kl_quadrature(posterior, gap), divergence.tv_exact(posterior, gap)
    assert float(kl) == pytest.approx(float(truth["kl"]), rel=1e-8, abs=1e-300)
    # an interval of no use would hold too
    assert float(kl.high - kl.low) <= 1e-7 * float(kl) + 1e-300
    assert float(tv.high - tv.low) <= 1e-8 * float(tv) + 1e-299


def test_a_light_atom_whose_square_underflows_and_whose_exponent_does_not():
    """KL is 2.46e-202 (`reference.kl`, a minute), where B2 and B10 were 1e-300: `p²` was 0 before `e^{gΔ²}` made it large again."""
    posterior = Atoms([[0.0], [2.0]], [1.0, 1e-185]).posterior([0.0], 0.0)
    for bound in ladder.LADDER:
        if (bound.quantity, bound.side) == ("kl", "upper"):
            assert float(bound.evaluate(posterior, 120.0)) >= 2.4603917e-202, bound.name
    assert float(divergence.kl_quadrature(posterior, 120.0)) == pytest.approx(2.4603917e-202, rel=1e-7)


def test_bounds_on_a_tv_below_the_least_float_are_not_zero():
    """The far atom has the weight e^-1012, and its share of TV underflows however the weight is rounded."""
    y, weights = (4492.7, 3457.8, 3457.8), (5.5e-270, 1.0, 1.0)
    law = Atoms([[value] for value in y], list(weights))
    truth = reference.tv(y, reference.posterior(y, law.weights.tolist(), 92.7, 7.2e-4), 2.2e-7)
    posterior = law.posterior([92.7], 7.2e-4)
    assert 0 < truth < mp.mpf(5e-324)
    for name in ("tv_norm_bound", "tv_chi2_bound", "tv_trace_bound", "tv_family_bound"):
        assert mp.mpf(float(ladder.bound_named(name).evaluate(posterior, 2.2e-7))) >= truth, name


def test_where_cubature_overflows_what_is_known_besides_is_left():
    """The sum of the cells was infinite, and the interval of KL began at NaN."""
    y, weights, gap = (8e0, 4e5, 2e10, -1e15, 6e19, 3e24, 1.5e29), (1, 1, 1, 1, 0.02, 1, 1), 7e18
    posterior, truth = truths(y, weights, 0.0, 0.0, gap)
    assert_all_hold(posterior, gap, truth)
    kl, moment = divergence.kl_quadrature(posterior, gap), divergence.kl_moment_quadrature(posterior, gap)
    assert float(kl.high - kl.low) <= 1e-12 * float(kl) and float(moment.high - moment.low) <= 2
    isotropic = divergence.kl_isotropic_quadrature(posterior, gap, 2.0)
    assert 0 <= float(isotropic.low) <= float(isotropic.value) <= float(isotropic.high)


@settings(max_examples=examples(12))
@given(wild_atoms(dims=(1,)), wild_gaps(), st.one_of(st.just(0.0), wild_snrs()), st.floats(-3, 3), st.booleans())
def test_any_law_on_a_line(law, gap, snr, noise, scaled):
    """Gaps from 1e-16 to 1e16, or as many in units of the data."""
    y, weights = law.points[:, 0].tolist(), law.weights.tolist()
    scale = float(law.cov.trace()) ** 0.5
    gap = gap / scale**2 if scaled and 1e-20 < scale < 1e20 else gap
    z = snr**0.5 * y[0] + noise
    p = reference.posterior(y, weights, z, snr)
    truth = {"kl": reference.kl(y, p, gap), "tv": reference.tv(y, p, gap)}
    assert_all_hold(law.posterior([z], snr), gap, truth, repr((y, weights, z, snr, gap)))


@pytest.mark.parametrize("gap", [1e-12, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("name", ["golden, g = 1e12", "far from the origin", "two far ones side by side"])
def test_a_line_in_the_plane(name, gap):
    """Points (y, y) are points on a line at √2 the distance: so the gap is twice that of the line."""
    y, weights, z, snr, _ = HOSTILE[name]
    law = Atoms([[value, value] for value in y], list(weights))
    z = [z, z]
    p = reference.posterior_in_space([[value, value] for value in y], law.weights.tolist(), z, snr)
    actual = divergence.kl_quadrature(law.posterior(z, snr), gap)
    assert_holds(actual, reference.kl(y, p, 2 * gap), name)
    assert float(actual.high - actual.low) <= 1e-6 * float(actual)


def test_the_plane_by_another_rule():
    """Three atoms in the plane by the trapezoidal rule, which converges exponentially for them."""
    law = Atoms([[0.0, 0.0], [1.0, 0.2], [-0.3, 1.4]], [0.2, 0.5, 0.3])
    posterior = law.posterior([0.2, -0.1], 0.3)
    (xi,), p = posterior.deviations(), posterior.weights[0]
    for gap in (0.3, 4.0):
        axis = torch.linspace(-14, 14, 701, dtype=torch.float64)
        u = torch.cartesian_prod(axis, axis)
        log_r = torch.logsumexp(p.log() + gap**0.5 * (u @ xi.mT) - gap / 2 * xi.square().sum(dim=1), dim=1)
        density = torch.exp(log_r - u.square().sum(dim=1) / 2) / (2 * math.pi)
        expected = float((density * log_r).sum()) * float(axis[1] - axis[0]) ** 2
        actual = divergence.kl_quadrature(posterior, gap)
        assert float(actual) == pytest.approx(expected, rel=1e-11)
        assert float(actual.high - actual.low) <= 1e-11 * expected


@pytest.mark.parametrize(
    ("y", "weights", "gap"),
    [
        ((0.0, 1.0, 3.0, -3.6e11), (0.015, 0.012, 0.65, 0.09), 0.069),
        ((0.0, 1e30), (1.0, 1.0), 1e8),
        # numbers near the atoms are eight standard deviations apart, and no cell about the origin has a width
        ((-3.238664381422022e23, -2.8690944270405645e23), (1.0, 1.0), 4.2367934752896515e-12),
        (GOLDEN[0], GOLDEN[1], 1e12),
    ],
)
def test_kl_from_the_moments_of_a_law_that_is_told_apart(y, weights, gap):
    """`½ log(1 + gC) − KL(P‖M)` lies between 0 and the entropy; cubature about a Gaussian 1e10 wide gave no number."""
    law = Atoms([[value] for value in y], list(weights))
    p = reference.posterior(y, law.weights.tolist(), 0.0, 0.0)
    noticed, plain = divergence.kl_moment_quadrature(law.posterior([0.0], 0.0), gap), reference.kl(y, p, gap)
    with mp.workdps(reference.DIGITS):
        mean = mp.fsum(w * mp.mpf(v) for w, v in zip(p, y, strict=True))
        spread = mp.mpf(gap) * mp.fsum(w * (mp.mpf(v) - mean) ** 2 for w, v in zip(p, y, strict=True))
        truth = plain - (spread - mp.log1p(spread)) / 2
    assert_holds(noticed, truth, y)
    assert float(noticed.high - noticed.low) <= 1.1


# --- Monte Carlo -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("light", "far"), [(1e-6, 3.3), (1e-4, 3.0), (1e-3, 8.0)])
def test_coverage_with_a_rare_far_atom(light, far):
    """In 60 runs at 90 % more misses than allowed happen once in a million."""
    law = Atoms([[0.0, 0.0, 0.0], [far, 0.0, 0.0]], [1.0, light])
    p = reference.posterior([0.0, far], law.weights.tolist(), 0.0, 0.0)
    truth = {"kl": float(reference.kl([0.0, far], p, 1.0)), "tv": float(reference.tv([0.0, far], p, 1.0))}
    posterior, generator = law.posterior([0.0] * 3, 0.0), torch.Generator().manual_seed(0)
    allowed = int(binom.ppf(1 - 1e-6, 60, 0.1))
    missed = dict.fromkeys(truth, 0)
    for _ in range(60):
        for name, sample in {"kl": divergence.kl_monte_carlo, "tv": divergence.tv_monte_carlo}.items():
            actual = sample(posterior, 1.0, 600, generator, 0.9)
            missed[name] += not float(actual.low) <= truth[name] <= float(actual.high)
            assert float(actual.low) <= float(actual.value) <= float(actual.high)
    assert max(missed.values()) <= allowed


@settings(max_examples=examples(25))
@given(wild_atoms(dims=(3, 5, 20)), wild_gaps(), st.one_of(st.just(0.0), wild_snrs()))
def test_any_law_in_space_is_between_its_bounds(law, gap, snr):
    """Two thousand draws at 1 − 1e-7: the intervals meet the proved bounds, and what they are in themselves."""
    posterior = law.posterior(snr**0.5 * law.points[:1] + 0.5, snr)
    generator = torch.Generator().manual_seed(0)
    kl = divergence.kl_monte_carlo(posterior, gap, 400, generator, 1 - 1e-7)
    tv = divergence.tv_monte_carlo(posterior, gap, 400, generator, 1 - 1e-7)
    assert 0 <= float(kl.low) <= float(kl.value) <= float(kl.high)
    assert 0 <= float(tv.low) <= float(tv.value) <= float(tv.high) <= 1
    for name, value in ladder.evaluate_ladder(posterior, gap).items():
        bound = ladder.bound_named(name)
        assert not bool(value.isnan().any()), name
        if bound.quantity in ("kl", "tv") and bound.side != "leading":
            actual = {"kl": kl, "tv": tv}[bound.quantity]
            assert float(value) >= float(actual.low) if bound.side == "upper" else float(value) <= float(actual.high), (
                name
            )


def test_the_intervals_behind_one_estimate_share_its_error(monkeypatch):
    """All that is used together may miss with the probability that the estimate states, not each."""
    stated = []

    def recorded(samples, lowest, highest, confidence):
        stated.append(1 - confidence)
        return mean_interval(samples, lowest, highest, confidence)

    monkeypatch.setattr(sampled, "mean_interval", recorded)
    near = Atoms([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0.9, 0.1]).posterior([0.0] * 3, 0.0)
    bumps = GaussianMixture([0.4, 0.6], [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], torch.stack([torch.eye(3) * 0.1] * 2))
    for posterior in (near, bumps.posterior([0.0] * 3, 0.0)):
        for gap in (0.1, 2.0):
            stated.clear()
            divergence.kl_monte_carlo(posterior, gap, 200, torch.Generator().manual_seed(0), 0.9)
            assert len(stated) >= 3 and sum(stated) <= 0.1 * (1 + 1e-9)


def test_the_reference_of_tv_has_its_digits_where_atoms_are_near():
    """`g tr C φ(1)`, the leading order."""
    y, p = [0.0, -2e-30], [0.5, 0.5]
    tv = reference.tv(y, p, 1.0)
    assert float(tv) == pytest.approx(1e-60 * math.exp(-0.5) / math.sqrt(2 * math.pi), rel=1e-15, abs=0)
    assert_holds(divergence.tv_exact(Atoms([[v] for v in y]).posterior([0.0], 0.0), 1.0), tv, "near atoms")


def test_the_slope_of_the_tail_is_its_supremum():
    """`sup f(r)/(r − 1)` over r ≥ R, against a search, on both sides of the peak."""
    log_r = torch.linspace(1e-3, 40, 400_001, dtype=torch.float64)
    ratios = divergence.excess(log_r) / torch.expm1(log_r)
    for threshold in (0.01, 0.5, 1.1, 1.2, 3.0, 9.0):
        largest = float(ratios[log_r >= threshold].max())
        assert sampled.tail_slope(threshold) >= largest * (1 - 1e-12)
        assert sampled.tail_slope(threshold) == pytest.approx(largest, rel=1e-4)


def _bumps(weights=(0.4, 0.6)):
    return GaussianMixture(
        [*weights, 0.0],
        [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1e5, 1e5, 0.0]],
        torch.stack(
            [torch.diag(torch.tensor([0.1, 0.3, 2.0])), torch.diag(torch.tensor([0.4, 0.3, 2.0])), 9 * torch.eye(3)]
        ),
    )


@pytest.mark.parametrize("gap", [1e-6, 0.2, 3.0])
def test_mixtures_in_space_have_intervals_that_hold(gap):
    """Along the first axis two bumps, along the others one Gaussian: KL is that of the line and of the other axes."""
    line = GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [[[0.1]], [[0.4]]]).posterior([0.0], 0.0)
    expected = float(divergence.kl_quadrature(line, gap))
    expected += (
        sum((gap * v - math.log1p(gap * v)) / 2 for v in (0.3, 2.0)) if gap > 1e-3 else gap**2 / 4 * (0.09 + 4.0)
    )
    posterior, generator = _bumps().posterior([0.0] * 3, 0.0), torch.Generator().manual_seed(0)
    missed = 0
    for _ in range(40):
        actual = divergence.kl_monte_carlo(posterior, gap, 400, generator, 0.9)
        missed += not float(actual.low) <= expected * (1 + 1e-6) or not expected * (1 - 1e-6) <= float(actual.high)
        assert actual.method == "monte-carlo"
    assert missed <= int(binom.ppf(1 - 1e-6, 40, 0.1))


def test_a_component_of_weight_zero_changes_nothing():
    """Its own spread would make χ² infinite, and with its weight not a number."""
    law = GaussianMixture([0.4, 0.6, 0.0], [[-1.0], [1.0], [50.0]], [[[0.1]], [[0.4]], [[9.0]]])
    without = GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [[[0.1]], [[0.4]]])
    a, b = law.posterior([0.3], 0.2), without.posterior([0.3], 0.2)
    for function in (divergence.log1p_chi2, lambda p, g: divergence.kl_quadrature(p, g).value):
        assert float(function(a, 0.9)) == pytest.approx(float(function(b, 0.9)), rel=1e-12)
    for name, value in ladder.evaluate_ladder(a, 0.9).items():
        assert float(value) == pytest.approx(float(ladder.evaluate_ladder(b, 0.9)[name]), rel=1e-12)
    assert divergence.kl_monte_carlo(_bumps().posterior([0.0] * 3, 0.1), 0.2, 100, None, 0.9).value.isfinite().all()


# --- log weights -----------------------------------------------------------------------------------------------------


@settings(max_examples=examples(60))
@given(wild_atoms(dims=(1, 2, 3, 5)), wild_snrs(), st.floats(-3, 3), st.floats(-3, 3))
def test_log_weights_are_within_their_error(law, snr, noise, away):
    z = snr**0.5 * law.points[:1] + noise + away * snr**0.5
    posterior = law.posterior(z, snr)
    assert isinstance(posterior, AtomsPosterior)
    p = reference.posterior_in_space(law.points.tolist(), law.weights.tolist(), z[0].tolist(), snr)
    for actual, error, exact in zip(posterior.log_weights[0], posterior.log_weight_error[0], p, strict=True):
        if exact > 0 and float(actual) > -1e300:
            # mpmath's log of a number barely above 1/4, with more digits than are asked for, is that of one barely above 1
            with mp.workdps(reference.DIGITS):
                assert abs(mp.mpf(float(actual)) - mp.log(exact)) <= mp.mpf(float(error))


def test_weights_far_from_the_data_depend_on_z():
    posterior = Atoms([[v] for v in GOLDEN[0]], list(GOLDEN[1])).posterior([3e8], 1e-17)
    expected = [float(p) for p in reference.posterior(GOLDEN[0], GOLDEN[1], 3e8, 1e-17)]
    assert posterior.weights[0].tolist() == pytest.approx(expected, rel=1e-14)


def test_mixture_weights_far_from_the_data_depend_on_z():
    """Components of the same spread weigh as points do, at the SNR less what the spread takes."""
    law = GaussianMixture(list(GOLDEN[1]), [[v] for v in GOLDEN[0]], [[[0.5]]] * 3)
    actual = law.posterior([3e8], 1e-17)
    assert isinstance(actual, MixturePosterior)
    tilted = [math.log(w) + 3e8 * math.sqrt(1e-17) * y for y, w in zip(*GOLDEN, strict=True)]
    expected = torch.softmax(torch.tensor(tilted, dtype=torch.float64), dim=0)
    torch.testing.assert_close(actual.weights[0], expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("apart", [1e-30, 1e-35, 1e-40])
@pytest.mark.parametrize("gap", [1e-80, 1e-40, 1.0, 1e60, 1e79])
def test_part_of_data_that_were_accepted_is_accepted_and_its_bounds_hold(apart, gap):
    """Two points nearer than the domain's least length, beside one at 1: `subset` refused them, where a posterior of the whole collapses on them."""
    whole = Atoms([[0.0, 1.0], [apart, 1.0], [1.0, 1.0]], [0.5, 0.3, 0.2])
    part = whole.subset(torch.tensor([True, True, False]))
    assert part.to("cpu").points.tolist() == part.points.tolist() == [[0.0, 1.0], [apart, 1.0]]
    query = part.posterior([0.0, 0.0], 0.0)
    p = reference.posterior([0.0, apart], part.weights.tolist(), 0.0, 0.0)
    with mp.workdps(100):
        spread = mp.mpf(gap) * p[0] * p[1] * mp.mpf(apart) ** 2
        # B5 below, B11 above: both are `¼ (g var)²` but for a part of the order of gD²
        size = mp.mpf(gap) * mp.mpf(apart) ** 2
        least, most = (spread - mp.log1p(spread)) / 2, spread**2 / 4 * (1 + size)
    if size <= 1e-3:
        low_of_kl, high_of_kl = least, most
    else:
        low_of_kl = high_of_kl = reference.kl([0.0, apart], p, gap)
    values = ladder.evaluate_ladder(query, gap)
    for bound in ladder.LADDER:
        if bound.quantity == "kl" and bound.side == "upper":
            assert float(values[bound.name]) >= low_of_kl, bound.name
        if bound.quantity == "kl" and bound.side == "lower":
            assert float(values[bound.name]) <= high_of_kl, bound.name
    actual = divergence.kl_quadrature(query, gap)
    assert float(actual.low) <= high_of_kl and low_of_kl <= float(actual.high)


def test_a_span_at_the_end_of_the_domain_has_parts():
    """A rotation takes a coordinate as far as the norm, beyond what `Atoms` takes: parts and copies of it were refused."""
    points = torch.zeros(3, 6, dtype=torch.float64)
    points[1] = 1e30
    points[2, 0] = 5e29
    span = in_span(Atoms(points))
    assert span is not None and float(span.law.points.abs().max()) > 1.1e30
    assert span.law.subset(torch.tensor([0, 1])).to("cpu").weights.tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match="subset: empty"):
        span.law.subset(torch.zeros(3, dtype=torch.bool))

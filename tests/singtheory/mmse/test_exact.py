"""The mmse curve: closed forms, quadrature, and draws whose intervals hold the truth."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, TRI
from singtheory import Atoms, Gaussian, GaussianMixture, InputError, RectifiedFlow, formula
from singtheory.estimate import mean_interval
from singtheory.grid import grids
from singtheory.mmse import ceiling, draws, sampled
from singtheory.mmse.ceiling import Ceiling
from singtheory.mmse.exact import LineCurve, exact_curve
from singtheory.mmse.information import expected_trace, line_mmse
from singtheory.mmse.sampled import sample_curve
from singtheory.mmse.smooth import Smooth
from tests.support.strategies import atoms, examples, snrs_to

SNR = torch.tensor([0.0, 1e-3, 0.3, 2.0, 11.0, 50.0, 400.0], dtype=torch.float64)
TWO_SCALES = Atoms([[-1.1], [-0.9], [0.9], [1.1]])
"""The mmse falls at γ ≈ 1 and again at γ ≈ 100."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("law", [GOLDEN, NINE_TO_ONE, TWO_SCALES])
def test_the_curve_on_a_line_is_that_of_its_atoms(law):
    """Against the sums over atoms of `information.line_mmse`, which know no posterior."""
    for ours, theirs in zip(LineCurve(law)(SNR), line_mmse(law, SNR), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("law", [GOLDEN, BUMPS, Gaussian([0.3, 1.0], [[2.0, 0.3], [0.3, 0.5]])])
def test_the_slope_and_the_information_are_derivative_and_half_the_integral(law):
    curve, h = exact_curve(law), 1e-4
    at = SNR[1:]
    slope = (curve(at + h)[0] - curve(at - h)[0]) / (2 * h)
    level = (curve.information(at + h) - curve.information(at - h)) / h
    torch.testing.assert_close(slope, curve(at)[1], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(level, curve(at)[0], rtol=1e-7, atol=1e-9)
    assert float(curve.information(SNR[:1])) == pytest.approx(0, abs=1e-14)


def test_one_wide_component_is_its_gaussian():
    mixture = GaussianMixture([1.0], [[0.7]], [[[2.3]]])
    ours, theirs = exact_curve(mixture), exact_curve(Gaussian([0.7], [[2.3]]))
    torch.testing.assert_close(ours(SNR)[0], theirs(SNR)[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(ours.information(SNR), theirs.information(SNR), rtol=0, atol=1e-13)


def test_all_information_of_atoms_is_their_entropy():
    assert float(exact_curve(GOLDEN).information(SNR[-1:])) == pytest.approx(
        float(torch.special.entr(GOLDEN.weights).sum())
    )


def test_the_mmse_is_not_convex_in_general():
    """So nothing between nodes may be read off chords: `mmse″(0) = 2C³ − κ²` is negative where a rare atom makes the law skew."""
    snr = torch.tensor([0.0, 0.2, 0.4], dtype=torch.float64)
    level = exact_curve(NINE_TO_ONE)(snr)[0]
    assert float(level[1]) > float(level[0] + level[2]) / 2


@given(atoms(dims=(1,), least=2), snrs_to(5), st.floats(0.01, 5))
@settings(deadline=None, max_examples=examples(30))
def test_one_over_mmse_gains_at_least_gamma_over_rank(law, at, ahead):
    assume(float(law.cov) > 1e-4)
    curve, snr = exact_curve(law), torch.tensor([at, at + ahead], dtype=torch.float64)
    (here, there), half = curve(snr)[0].tolist(), curve.information(snr).diff()
    assert there <= formula.mmse_ahead(here, ahead, 1) * (1 + 1e-9)
    assert here >= formula.mmse_ahead(there, -ahead, 1) * (1 - 1e-9)
    assert (
        float(2 * half) <= float(formula.area_ahead(curve(snr)[0][0], ahead, 1, torch)) * (1 + 1e-9) + 1e-13
    )  # of two entropies


def test_isotropic_gaussian_data_gain_just_that():
    curve = exact_curve(Gaussian([0.0, 0.0, 0.0], torch.eye(3) * 1.7))
    snr = torch.tensor([0.4, 2.9], dtype=torch.float64)
    level = curve(snr)[0]
    torch.testing.assert_close(formula.mmse_ahead(level[0], 2.5, 3), level[1], rtol=1e-14, atol=0)
    torch.testing.assert_close(
        formula.area_ahead(level[0], 2.5, 3, torch), 2 * curve.information(snr).diff()[0], rtol=1e-14, atol=0
    )


@given(atoms(dims=(1,), least=2), snrs_to(200))
@settings(deadline=None, max_examples=examples(30))
def test_taking_the_nearest_atom_costs_no_less_than_the_mmse(law, snr):
    apart = torch.cdist(law.points, law.points)
    cost = law.weights @ (formula.mistake_chance(torch.tensor(snr), apart, torch) * apart.square()).sum(dim=1)
    assert float(exact_curve(law)(torch.tensor([snr], dtype=torch.float64))[0]) <= float(cost) * (1 + 1e-9) + 1e-14


@pytest.mark.parametrize(
    "law", [TRI, NINE_TO_ONE, TWO_SCALES, Atoms([[0.0], [0.0], [1e-4], [3.0]], [0.1, 0.2, 0.3, 0.4])]
)
def test_distances_in_bins_bound_what_distances_say(law):
    """Never less than the sum over all pairs, and more by the width of a bin alone; the chance, Φ, is written out here."""
    snr = torch.tensor([0.5, 5.0, 50.0], dtype=torch.float64)
    apart = torch.cdist(law.points, law.points, compute_mode="donot_use_mm_for_euclid_dist")
    chance = torch.special.ndtr(-snr.sqrt()[:, None, None] * apart / 2)
    cost = (law.weights[:, None] * apart.square() * chance).sum(dim=(1, 2))
    near, far2, weight = Ceiling(law)._bins or pytest.fail("few atoms have bins")
    actual = torch.stack([formula.mistake_chance(g, near, torch) for g in snr]) @ (far2 * weight)
    assert bool((cost <= actual).all() and (actual <= cost * 1.3 + 1e-10).all())
    assert float(weight.sum()) == pytest.approx(len(law.points) - 1)


@pytest.mark.parametrize("weight", [0.3, 1e-3, 1e-8, 1e-14])
def test_no_ceiling_is_below_the_exact_curve(weight):
    """An atom the rarer, the nearer the mmse comes to `2H/γ`: nothing is known of it until γ has paid for its surprise."""
    law = Atoms([[0.0], [1.0]], [1 - weight, weight])
    exact, actual = exact_curve(law), Ceiling(law)
    snr = torch.logspace(-2, 3, 400, dtype=torch.float64)
    ratio = exact(snr)[0] / actual.mmse(snr)
    assert float(ratio.max()) <= 1 + 1e-9
    by_entropy = exact(snr)[0] * snr / (2 * actual.entropy)
    assert float(by_entropy.max()) > (0.55 if weight < 1e-6 else 0.2)
    assert bool((exact.information(snr) <= actual.information(snr) * (1 + 1e-9) + 1e-14).all())


@pytest.mark.parametrize("small", [1e-5, 1e-8, 1e-11])
def test_directions_that_hardly_vary_count_where_the_signal_is_strong(small):
    """Five independent coordinates, one of scale 1 and four of scale `small`: once the first is known, all of the mmse is the others'."""
    scales = (1.0, small, small, small, small)
    law = Atoms(list(itertools.product(*((-s, s) for s in scales))))
    parts = [exact_curve(Atoms([[-s], [s]])) for s in scales]
    actual = Ceiling(law)
    assert actual.rank == 5
    for snr in (1.0, 0.1 / small**2, 1 / small**2, 10 / small**2):
        at = torch.tensor([snr], dtype=torch.float64)
        level, known = sum(float(c(at)[0]) for c in parts), sum(float(c.information(at)) for c in parts)
        assert level * (1 - 1e-9) <= float(actual.mmse(at)) and known * (1 - 1e-9) <= float(actual.information(at))
        if snr * small**2 <= 1:
            curve = sample_curve(law, snr, seeded(), 200, 8, confidence=1 - 1e-6)
            low, high = curve.interval(at)
            assert float(low) <= level <= float(high)


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e12])
def test_draws_of_data_of_any_scale_and_offset(scale, offset):
    """In the plane a product of two pairs of points, whose mmse is the sum of theirs on a line."""
    sides = torch.tensor([[-1.0, -0.5], [-1.0, 0.5], [1.0, -0.5], [1.0, 0.5]], dtype=torch.float64) * scale
    law = Atoms(sides + offset * scale)
    snr = torch.tensor([0.3, 2.0], dtype=torch.float64) / scale**2
    curve = sample_curve(law, float(snr[-1]), seeded(), 400, 8, confidence=1 - 1e-6)
    for interval, name in ((curve.interval, "__call__"), (curve.information_interval, "information")):
        values = [getattr(exact_curve(Atoms([[-s * scale], [s * scale]])), name)(snr) for s in (1.0, 0.5)]
        truth = sum(v[0] if isinstance(v, tuple) else v for v in values)
        low, high = interval(snr)
        tolerance = 1e-6 if offset else 1e-12  # the offset has rounded the points themselves
        assert bool((low <= truth * (1 + tolerance)).all() and (truth * (1 - tolerance) <= high).all())
        assert bool((high - low < 0.9 * truth.max() + 0.2 * truth).all())


def test_the_variance_of_data_far_from_the_origin_is_that_of_their_differences():
    """10¹² away a mean is off by 10⁻⁴, and a sum of squares about it by 10⁻⁸."""
    points, weights = [0.0, 1.0, 3.0], [0.1, 0.2, 0.7]
    law = Atoms([[2.0**40 + y, 2.0**40] for y in points], weights)
    exact = [Fraction(w) for w in law.weights.tolist()]
    mean = sum(w * Fraction(y) for w, y in zip(exact, points, strict=True)) / sum(exact)
    truth = float(sum(w * (Fraction(y) - mean) ** 2 for w, y in zip(exact, points, strict=True)) / sum(exact))
    low, high = sample_curve(law, 1.0, seeded(), 64, 6).interval(torch.zeros(1, dtype=torch.float64))
    assert float(low) <= truth <= float(high) <= truth * (1 + 1e-11)


def test_draws_keep_what_is_proven_of_them_at_any_signal():
    """At γ = 10³ and data of 10¹² the information of a draw is the entropy but for a rounding of 10⁻³."""
    law = Atoms(1e12 * torch.randn(60, 3, generator=seeded(), dtype=torch.float64))
    curve = sample_curve(law, 1e3, seeded(), 64, 8)
    low, high = curve.information_interval(torch.tensor([1e3], dtype=torch.float64))
    assert float(low) <= math.log(60) * (1 + 1e-12) and float(high) >= math.log(60) * (1 - 1e-12)


def test_blocks_of_distances_add_up(monkeypatch):
    law = Atoms(torch.randn(37, 3, generator=seeded()), torch.rand(37, generator=seeded()))
    whole = Ceiling(law).mmse(SNR)
    monkeypatch.setattr(ceiling, "_CHUNK", 100)
    torch.testing.assert_close(Ceiling(law).mmse(SNR), whole, rtol=1e-14, atol=0)


def test_the_smooth_curve_meets_levels_slopes_and_area():
    curve = exact_curve(GOLDEN)
    smooth = Smooth.through(curve, 400.0, 0.7, 257)
    for ours, theirs in zip(smooth(SNR), curve(SNR), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(smooth.area(SNR) / 2, curve.information(SNR), rtol=1e-8, atol=1e-8)


LAWS = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "two scales": TWO_SCALES}


@pytest.fixture(scope="module", params=LAWS)
def both_curves(request):
    law = LAWS[request.param]
    return exact_curve(law), sample_curve(law, 300.0, seeded(), queries=4000, nodes=24, confidence=1 - 1e-6)


def test_bands_hold_the_truth_at_and_between_nodes(both_curves):
    exact, curve = both_curves
    snr = torch.cat([curve.snr, torch.logspace(-3, math.log10(300), 200, dtype=torch.float64)])
    for interval, truth in ((curve.interval, exact(snr)[0]), (curve.information_interval, exact.information(snr))):
        low, high = interval(snr)
        assert bool((low <= truth + 1e-12).all() and (truth <= high + 1e-12).all())
        assert bool((high - low < 0.3 * float(truth.max())).all())


def test_the_cost_of_a_grid_lies_in_its_interval(both_curves):
    exact, curve = both_curves
    for steps in (1, 4, 40):
        snr = RectifiedFlow().snr(grids.cosine(RectifiedFlow(), steps, 0.0, 300.0))
        low, high = curve.discretisation_interval(snr)
        truth = float(exact.discretisation(snr).sum())
        assert low <= truth <= high
        assert abs(float(curve.discretisation(snr).sum()) - truth) < 6 * curve.discretisation_error(snr) + 0.02 * truth


def test_the_error_probability_is_split_over_all_intervals(monkeypatch):
    spent = []

    def spy(samples, lowest, highest, confidence):
        spent.append(1 - confidence)
        return mean_interval(samples, lowest, highest, confidence)

    monkeypatch.setattr(sampled, "mean_interval", spy)
    sample_curve(TRI, 20.0, seeded(), 32, 12, confidence=0.9)
    assert sum(spent) == pytest.approx(0.1)


def test_cutting_the_information_is_paid_for(monkeypatch):
    """Cut at 0 the draws have a mean far above the information; the interval must still hold it."""
    monkeypatch.setattr(draws, "DEPTH", 0.0)
    monkeypatch.setattr(sampled, "DEPTH", 0.0)
    curve, snr = sample_curve(GOLDEN, 0.5, seeded(), 4000, 6), torch.tensor([0.05, 0.2, 0.5], dtype=torch.float64)
    low, high = curve.information_interval(snr)
    truth = exact_curve(GOLDEN).information(snr)
    assert bool(((low <= truth) & (truth <= high)).all())


def test_bands_narrow_with_draws():
    few, many = (sample_curve(TRI, 50.0, seeded(), q, 40) for q in (50, 3000))
    snr = torch.tensor([1.0, 3.0], dtype=torch.float64)
    widths = [c.interval(snr)[1] - c.interval(snr)[0] for c in (few, many)]
    assert bool((widths[1] < widths[0] / 2).all())


def test_nodes_lie_where_the_curve_bends():
    curve = sample_curve(Atoms(GOLDEN.points / 10, GOLDEN.weights), 1e5, seeded(), 64, 32)  # falls at γ about 100
    assert int(((curve.snr > 10) & (curve.snr < 3000)).sum()) > 14


@pytest.mark.parametrize("seed", range(12))
def test_intervals_hold_for_other_draws_and_weights(seed):
    generator = seeded(seed)
    law = Atoms(torch.randn(5, 1, generator=generator), torch.rand(5, generator=generator))
    curve, exact = sample_curve(law, 40.0, generator, 64, 8, 1 - 1e-6), exact_curve(law)
    snr = torch.linspace(0, 40, 50, dtype=torch.float64)
    low, high = curve.interval(snr)
    assert bool(((low <= exact(snr)[0] + 1e-12) & (exact(snr)[0] <= high + 1e-12)).all())
    low, high = curve.information_interval(snr)
    assert bool(((low <= exact.information(snr) + 1e-12) & (exact.information(snr) <= high + 1e-12)).all())


def test_the_same_seed_gives_the_same_curve_and_progress_is_told():
    lines = []
    one = sample_curve(TRI, 20.0, seeded(3), 64, 8, progress=lambda *done: lines.append(done))
    assert torch.equal(one.low, sample_curve(TRI, 20.0, seeded(3), 64, 8).low)
    assert lines[-1][0] == lines[-1][1] and [done for done, _ in lines] == sorted(done for done, _ in lines)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exact_curve(TRI), "2 dimensions"),
        (lambda: sample_curve(TRI, math.inf, seeded()), "positive and finite"),
        (lambda: sample_curve(TRI, -1.0, seeded()), "positive and finite"),
        (lambda: sample_curve(TRI, math.nan, seeded()), "positive and finite"),
        (lambda: sample_curve(TRI, 1.0, seeded(), queries=4), "queries 4"),
        (lambda: sample_curve(TRI, 1.0, seeded(), nodes=2), "nodes 2"),
        (lambda: sample_curve(TRI, 1.0, seeded(), confidence=1.0), "confidence"),
        (lambda: sample_curve(Atoms([[1.0, 2.0]] * 3), 1.0, seeded()), "all points are equal"),
        (lambda: sample_curve(TRI, 1.0, seeded(), 32, 4).interval(torch.tensor([2.0])), "sampled up to 1"),
        (lambda: exact_curve(GOLDEN).discretisation(torch.tensor([-1.0, 1.0])), "at least 0"),
        (lambda: exact_curve(GOLDEN).discretisation(torch.tensor([0.0, math.nan])), "finite"),
        (lambda: exact_curve(GOLDEN).discretisation(torch.tensor([0.0, math.inf])), "finite"),
        (lambda: exact_curve(GOLDEN).discretisation(torch.tensor([2.0, 1.0])), "must increase"),
        (lambda: exact_curve(GOLDEN).discretisation(torch.tensor([2.0])), "a start and an end"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_pilot_run_that_draws_no_rare_atom_still_shares_out_the_draws():
    curve = sample_curve(Atoms([[0.0, 0.0], [-0.7, 0.1]], [1.0, 1e-10]), 10.0, seeded(), queries=64, nodes=5)
    low, high = curve.interval(SNR[:4])
    trace = 1e-10 * 0.5
    assert bool((low <= trace).all() and (high >= 0).all()) and float(high[0]) == pytest.approx(trace, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0])
def test_steps_after_the_mmse_has_underflowed_cost_numbers(scale):
    """At γ where the mmse is below the least float; between 0 and the entropy of what the first step left."""
    curve = LineCurve(Atoms([[0.0], [scale], [2.5 * scale]], [0.2, 0.5, 0.3]))
    snr = torch.tensor([0.0, 1.0, 1e5, 3e6, 1e7], dtype=torch.float64) / scale**2
    low, high = curve.discretisation_interval(snr)
    assert math.isfinite(low) and math.isfinite(high) and 0 <= low <= high < low * (1 + 1e-6)
    assert bool((curve.interval(snr)[1] > 0).all())  # for it is not 0


def test_draws_come_in_pairs_of_opposite_noise():
    """`√γ x_0 ± n`: the mean over both, which the sign of the noise does not change, at the clip of the information too."""
    law = Atoms([[-1.0, 0.0], [2.0, 0.5], [0.0, -1.0]], [0.5, 0.3, 0.2])
    x_0 = torch.tensor([[2.0, 0.5], [-1.0, 0.0]], dtype=torch.float64)
    noise = torch.tensor([[0.7, -1.2], [9.0, 8.0]], dtype=torch.float64)
    trace, information = draws._batch(law, 0.8, x_0, noise)
    other, same = draws._batch(law, 0.8, x_0, -noise)
    torch.testing.assert_close(trace, other, rtol=1e-12, atol=0)
    torch.testing.assert_close(information, same, rtol=1e-12, atol=0)
    log_forward = -noise.square().sum(dim=1) / 2 - math.log(2 * math.pi)
    limits = [law.posterior(0.8**0.5 * x_0 + sign * noise, 0.8) for sign in (1, -1)]
    torch.testing.assert_close(trace, (limits[0].trace_cov + limits[1].trace_cov) / 2, rtol=1e-12, atol=0)
    parts = [(log_forward - end.log_evidence).clamp(min=-8.0) for end in limits]
    assert bool((parts[0] == -8.0).any() | (parts[1] == -8.0).any())
    torch.testing.assert_close(information, (parts[0] + parts[1]) / 2, rtol=1e-12, atol=1e-12)


def test_a_smooth_curve_falls_at_its_ends_too():
    """Where the levels bend much beside an end, three-point slopes are 0 there, and E2's measure `√|mmse′|` with them."""
    curve = Smooth(
        torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64), torch.tensor([1.0, 0.99, 0.01], dtype=torch.float64), 1.0
    )
    limits = torch.tensor([0.0, 3.0], dtype=torch.float64)
    level, slope = curve(limits)
    assert level.tolist() == pytest.approx([1.0, 0.01], rel=1e-12)
    chords = [math.log(0.99) / math.log(2), math.log(0.01 / 0.99) / math.log(2)]
    assert slope.tolist() == pytest.approx([chords[0], 0.01 * chords[1] / 4], rel=1e-9)


def test_a_smooth_curve_goes_on_where_the_mmse_underflows():
    """Two atoms at γ = 10⁴: e^-1250 is 0, of which there is no logarithm; `singtheory budget` ended with a traceback."""
    curve = LineCurve(Atoms([[0.0], [1.0]]))
    smooth = Smooth.through(curve, 1e4, 0.25, 257)
    snr = torch.tensor([0.0, 1.0, 50.0, 5e3, 1e4], dtype=torch.float64)
    level, slope = smooth(snr)
    torch.testing.assert_close(level, curve(snr)[0], rtol=1e-5, atol=1e-300)
    assert bool((slope <= 0).all()) and float(smooth.area(snr)[-1]) == pytest.approx(2 * math.log(2), rel=1e-8)


@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
@pytest.mark.parametrize("law", [Atoms([[0.0], [1.0], [3.0]], [0.2, 0.5, 0.3]), Gaussian([0.0], [[2.0]])])
def test_a_curve_asked_in_single_precision_is_that_of_its_numbers(law, kind):
    """Gaps were taken in the type of γ, and so the intervals of costs missed them by 1e-7."""
    curve, snr = exact_curve(law), torch.tensor([0.1, 2.3]).to(kind)
    pairs = (curve, curve.interval, curve.information_interval, curve.discretisation_interval)
    for of in (*pairs, lambda at: (curve.information(at),), lambda at: (curve.discretisation(at),)):
        for actual, expected in zip(of(snr), of(snr.double()), strict=True):
            assert torch.equal(torch.as_tensor(actual), torch.as_tensor(expected))


@pytest.mark.parametrize(
    ("points", "weights", "snr"),
    [
        ([0.0, 1000.0], [0.5, 0.5], 1.0),
        ([0.0, 1.0, 500.0], [0.5, 0.5, 1e-6], 36.0),
        ([1e8, 1e8 + 1, 1e30], [1.0, 1.0, 0.0], 2.0),
    ],
)
def test_equal_steps_are_not_taken_over_far_atoms(points, weights, snr):
    """Between far atoms the density underflows, which made the sum no number; far from the origin and atoms without weight count for nothing."""
    law = Atoms([[y] for y in points], weights)
    low, high = LineCurve(law).interval(torch.tensor([snr], dtype=torch.float64))
    level, slope = line_mmse(law, torch.tensor([snr], dtype=torch.float64))
    assert float(low) * (1 - 1e-12) <= float(level) <= float(high) * (1 + 1e-12) and float(slope) <= 0
    alone = law.posterior([0.0], 0.0)
    assert expected_trace(alone, snr) == pytest.approx(float(level), rel=1e-10, abs=1e-290)

"""The law of the steps: golden values, the sampler itself, the mirror, shifts, corrections, and bad input."""

import itertools
import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from singtheory import Gaussian, InputError, RectifiedFlow, formula, schedule_named
from singtheory.response import respond, spread_kept
from singtheory.sampler import DDIM, exact_denoiser
from tests.support.strategies import schedules

EIGENVALUES = [900.0, 12.0, 1.0, 0.01]
GOLDEN = {
    (900.0, 4, 1.0): (0.099254176926, 0.099503719021),
    (900.0, 10, 1.0): (0.283115744545, 0.287347885566),
    (900.0, 10, 3.0): (0.617245671400, 0.668964731622),
    (900.0, 28, 3.0): (0.851219060229, 0.937748760724),
    (1.0, 10, 1.0): (0.878984378453, 0.993883734674),
    (0.01, 10, 1.0): (0.617245671400, 0.999938277320),
}


def even(steps: int, shift: float = 1.0) -> torch.Tensor:
    return formula.shifted_time(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)


@st.composite
def grids(draw: st.DrawFn) -> torch.Tensor:
    """Decreasing times with random ends, t = 1 and t = 0 often; no two so near that they are one once they are mirrored or shifted."""
    inside = draw(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6, unique_by=lambda t: round(t, 12)))
    assume(all(b - a > 1e-12 for a, b in itertools.pairwise(sorted(inside))))
    limits = [1.0] * draw(st.booleans()) + sorted(inside, reverse=True) + [0.0] * draw(st.booleans())
    return torch.tensor(limits if len(limits) > 1 else [1.0, *limits], dtype=torch.float64)


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_values(case):
    lam, steps, shift = case
    actual = respond(RectifiedFlow(), even(steps, shift), [lam])
    assert float(actual.kept) == pytest.approx(GOLDEN[case][0], abs=1e-11)
    assert float(actual.first) == pytest.approx(GOLDEN[case][1], abs=1e-11)


@pytest.mark.parametrize(("steps", "kept"), [(4, 0.104394), (10, 0.309826), (50, 0.785790)])
def test_golden_ancestral_values(steps, kept):
    assert float(spread_kept(RectifiedFlow(), even(steps), [900.0], eta=1.0)) == pytest.approx(kept, abs=5e-7)


@given(schedules(), grids(), st.sampled_from([1e-6, 0.01, 1.0, 900.0, 1e8]))
def test_one_deviation_is_carried_by_the_sampler_as_said(schedule, times, lam):
    law = Gaussian([0.5], [[lam]])
    alpha, sigma = schedule(times[0])
    width = formula.marginal_var(alpha, sigma, lam) ** 0.5
    start = alpha * law.mean + torch.tensor([[0.0], [1.0]], dtype=torch.float64) * width
    end = DDIM(schedule).sample(exact_denoiser(law, schedule), start, times)
    reached = formula.marginal_var(*schedule(times[-1]), lam) ** 0.5
    kept = torch.ones(1, dtype=torch.float64)
    for t, s in itertools.pairwise(times):
        limits = (*schedule(t), *schedule(s))
        kept = kept * formula.step_kept(*limits, torch.tensor([lam], dtype=torch.float64), torch)
    # the two states differ by the deviation, and each carries a rounding of the mean
    allowed = 1e-12 * (1 + 0.5 / float(reached))
    assert float((end[1] - end[0]) / reached) == pytest.approx(float(kept), abs=allowed)


@given(grids(), st.floats(-6, 6))
def test_the_mirror_exchanges_the_two_ends(times, exponent):
    lam = 10.0**exponent
    whole = torch.cat([torch.ones(1), times[(times > 0) & (times < 1)], torch.zeros(1)]).double()
    there = spread_kept(RectifiedFlow(), 1 - whole.flip(0), [1 / lam])
    assert float(there) == pytest.approx(float(spread_kept(RectifiedFlow(), whole, [lam])), rel=1e-11)


@given(grids(), st.floats(-3, 3), st.floats(0.1, 20))
def test_a_shift_divides_the_eigenvalue_by_its_square(times, exponent, shift):
    lam = 10.0**exponent
    whole = torch.cat([torch.ones(1), times[times < 1]]).double()
    shifted = spread_kept(RectifiedFlow(), formula.shifted_time(whole, shift), [lam])
    plain = spread_kept(RectifiedFlow(), whole, [lam / shift**2])
    assert float(shifted) == pytest.approx(float(plain), rel=1e-10)


@given(schedules(), grids(), st.integers(3, 20), st.integers(0, 2**31))
def test_the_sampler_in_many_dimensions_keeps_the_product_along_each_eigenvector(schedule, times, dim, seed):
    """A deviation along each eigenvector of a covariance that is not diagonal, over its own size."""
    generator = torch.Generator().manual_seed(seed)
    lam = 10 ** (5 * torch.rand(dim, dtype=torch.float64, generator=generator) - 2)
    basis = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=generator))[0]
    root = basis * lam.sqrt()
    law = Gaussian(torch.zeros(dim, dtype=torch.float64), root @ root.mT)
    values, axes = torch.linalg.eigh(law.cov)
    start = (axes * formula.marginal_var(*schedule(times[0]), values).sqrt()).mT
    end = DDIM(schedule).sample(exact_denoiser(law, schedule), start, times)
    seen = (end * axes.mT).sum(dim=1) / formula.marginal_var(*schedule(times[-1]), values).sqrt()
    kept = torch.ones(dim, dtype=torch.float64)
    for t, s in itertools.pairwise(times):
        kept = kept * formula.step_kept(*schedule(t), *schedule(s), values, torch)
    torch.testing.assert_close(seen, kept, rtol=0, atol=1e-12)


@given(schedules(), grids(), st.data(), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_grid_in_two_parts_keeps_what_the_parts_keep_one_after_the_other(schedule, times, data, eta):
    """Composition: of DDIM(0) the shares multiply; of fresh noise the variance of the second part begins where the first ends."""
    cut = data.draw(st.integers(1, len(times) - 1))
    whole = spread_kept(schedule, times, EIGENVALUES, eta=eta, start="matched")
    head = spread_kept(schedule, times[: cut + 1], EIGENVALUES, eta=eta, start="matched").square()
    if cut == len(times) - 1:
        torch.testing.assert_close(head.sqrt(), whole)
        return
    # linear in the variance at the cut: from the right law and from the mean start there
    right, mean = (
        spread_kept(schedule, times[cut:], EIGENVALUES, eta=eta, start=s).square() for s in ("matched", "mean")
    )
    alpha, sigma = schedule(times[cut])
    at_mean = sigma**2 / formula.marginal_var(alpha, sigma, torch.tensor(EIGENVALUES, dtype=torch.float64))
    slope = torch.where(at_mean < 1, (right - mean) / (1 - at_mean), right)
    if eta == 0:
        torch.testing.assert_close(whole, head.sqrt() * right.sqrt(), rtol=1e-11, atol=1e-12)
    if bool((at_mean < 0.999).all()):
        torch.testing.assert_close(whole.square(), right + slope * (head - 1), rtol=1e-9, atol=1e-9)


@given(schedules(), grids())
def test_nothing_is_gained_and_every_eigenvalue_keeps_something(schedule, times):
    kept = spread_kept(schedule, times, EIGENVALUES, start="matched")
    assert bool((kept <= 1 + 1e-12).all()) and bool((kept >= 0).all())


@given(schedules(), grids())
def test_corrected_steps_lose_only_at_the_last(schedule, times):
    actual = respond(schedule, times, EIGENVALUES, start="matched", corrected=True)
    lam = torch.tensor(EIGENVALUES, dtype=torch.float64)
    limits = [f(u) for u in times[-2:] for f in (schedule.alpha, schedule.sigma)]
    singular = len(times) == 2 and float(schedule.alpha(times[0])) == 0
    last = torch.ones(4, dtype=torch.float64) if singular else formula.step_kept(*limits, lam, torch)
    torch.testing.assert_close(actual.kept, last, rtol=1e-12, atol=0)


def test_matched_directions_are_the_largest_eigenvalues():
    lam = [1.0, 900.0, 50.0]
    none, one, most = (
        respond(RectifiedFlow(), even(4), lam, start=start, matched=count).first
        for start, count in (("mean", 0), ("matched", 1), ("matched", 0))
    )
    assert most.tolist() == [1.0, 1.0, 1.0]
    assert one[1] == 1 and one[0] == none[0] and one[2] == none[2] and none[1] < 0.1


def test_starts_short_of_the_end_by_the_brightness_law():
    schedule, t, lam = schedule_named("sd"), 0.9, torch.tensor([640.0], dtype=torch.float64)
    alpha, sigma = schedule(t)
    width = formula.marginal_var(alpha, sigma, lam) ** 0.5
    expected = {"noise": 1 / width, "mean": sigma / width, "matched": width / width}
    for start, value in expected.items():
        actual = respond(schedule, [t, 0.5, 0.0], lam, start=start)
        torch.testing.assert_close(actual.first, value)
        assert actual.kept < actual.first + 1e-12


def test_a_schedule_of_large_sigma_starts_from_its_own_noise():
    schedule = schedule_named("variance-exploding")
    sigma = float(schedule.sigma(1.0))
    actual = respond(schedule, [1.0, 0.0], [1.0], start="noise")
    assert float(actual.first) == pytest.approx(sigma / math.sqrt(1 + sigma**2))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_smallest_and_the_largest_spread_keep_what_the_cosine_says(eta):
    """From 1 over ½ to 0 on rectified flow, `θ_½ = arctan √λ`: both keep `cos θ sin θ`, 1e-30, one at each end; 1e-300 kept nothing, and is refused."""
    kept = spread_kept(RectifiedFlow(), [1.0, 0.5, 0.0], [1e60, 1e-60], eta=eta)
    torch.testing.assert_close(kept, torch.full((2,), 1e-30, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("times", [[1.0, 0.9, 0.0], [0.95, 0.9, 0.0]])
def test_times_at_which_alpha_underflows_are_refused(times):
    """On `power:1000` what is kept was no number."""
    with pytest.raises(InputError, match=r"s = 0\.9: alpha"):
        spread_kept(schedule_named("power:1000"), times, [1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eigenvalues": [0.0]}, "positive and finite"),
        ({"eigenvalues": [-1.0]}, "positive and finite"),
        ({"eigenvalues": [math.nan]}, "positive and finite"),
        ({"eigenvalues": [1.0, 1e-320]}, "eigenvalue is 1e-320: must be 0 or lie from 1e-60 to 1e\\+60"),
        ({"eigenvalues": [1e308]}, "lie from"),
        ({"eigenvalues": []}, "at least one"),
        ({"eigenvalues": [[1.0]]}, "one dimension"),
        ({"times": [0.5, 0.7]}, "must decrease"),
        ({"times": [0.5, 0.5]}, "must decrease"),
        ({"times": [0.5]}, "a start and an end"),
        ({"times": [1.5, 0.5]}, "outside"),
        ({"eta": 1.5}, "eta"),
        ({"start": "men"}, "did you mean"),
        ({"matched": 2}, "match at most"),
        ({"corrected": True, "eta": 0.5}, "take eta 0"),
    ],
)
def test_bad_input_is_refused_with_its_remedy(change, message):
    arguments = {"times": [1.0, 0.0], "eigenvalues": [1.0], **change}
    with pytest.raises(InputError, match=message):
        spread_kept(RectifiedFlow(), arguments.pop("times"), arguments.pop("eigenvalues"), **arguments)

"""The error budget of an ancestral sampler: B8."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs_checks.laws import GOLDEN, NINE_TO_ONE, TRI
from singtheory import Atoms, Cosine, InputError, RectifiedFlow, budget, grid
from singtheory.sampler import exact_denoiser

SCHEDULES = [Cosine(), RectifiedFlow()]


@given(st.lists(st.floats(0.05, 1.0), min_size=2, max_size=8, unique=True), st.sampled_from(SCHEDULES))
@settings(deadline=None)
def test_terms_are_not_negative_and_the_exact_denoiser_has_no_network_error(times, schedule):
    at = torch.tensor(sorted(times, reverse=True), dtype=torch.float64)
    found = budget.budget(GOLDEN, schedule, at, 0.1, exact_denoiser(GOLDEN, schedule))
    assert bool((found.discretisation > -1e-12).all())
    assert float(found.network.abs().max()) < 1e-20
    assert found.total == pytest.approx(0.1 + float(found.discretisation.sum()))


def test_finer_grids_cost_less_and_like_one_over_their_steps():
    schedule, costs = Cosine(), []
    for steps in (8, 16, 32, 64):
        times = torch.cat([grid.trailing(schedule, steps)[:-1], torch.tensor([0.01], dtype=torch.float64)])
        costs.append(float(budget.discretisation(NINE_TO_ONE, budget.snr_along(NINE_TO_ONE, schedule, times)).sum()))
    assert costs == sorted(costs, reverse=True)


def test_a_start_at_the_law_itself_costs_nothing_more_than_its_gaussian_error():
    """A start with the right mean and variance is nearer than the mean start, and that than noise."""
    schedule, t = Cosine(), 0.6
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    mean, var = float(GOLDEN.mean), float(GOLDEN.cov)
    matched = budget.start_mismatch(GOLDEN, schedule, t, alpha * mean, alpha**2 * var + sigma**2)
    centred = budget.start_mismatch(GOLDEN, schedule, t, alpha * mean, sigma**2)
    off = budget.start_mismatch(GOLDEN, schedule, t, 0.0, sigma**2)
    assert 0 < matched < centred < off


def test_the_marginal_has_mass_one_and_the_moments_of_q_t():
    x_t, mass = budget.marginal(GOLDEN, Cosine(), 0.3)
    alpha, sigma = Cosine().alpha(0.3), Cosine().sigma(0.3)
    torch.testing.assert_close(mass.sum(), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(mass @ x_t, alpha * GOLDEN.mean)
    torch.testing.assert_close(mass @ x_t.square() - (mass @ x_t).square(), (alpha**2 * GOLDEN.cov + sigma**2)[0])


@pytest.mark.parametrize("t", [0.5, 1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize("law", [GOLDEN, Atoms([[-100.0], [100.0]], [0.3, 0.7])])
def test_the_marginal_resolves_little_noise_and_far_atoms(law, t):
    x_t, mass = budget.marginal(law, RectifiedFlow(), t)
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-6)  # at σ = 1e-8 the last digits of x count
    assert bool((x_t.diff(dim=0) > 0).all())


@pytest.mark.parametrize("law", [GOLDEN, Atoms([[-100.0], [100.0]], [0.3, 0.7])])
def test_start_mismatch_at_little_noise_is_that_of_separate_bumps(law):
    """`−H(w) − ½log(2πeσ²) − E log N(x_t; 0, 1)` once the bumps do not meet."""
    t = 1e-3
    stated = budget.start_mismatch(law, RectifiedFlow(), t, 0.0, 1.0)
    second = float((1 - t) ** 2 * (law.weights @ law.points.square()) + t**2)
    entropy = float(torch.special.entr(law.weights).sum()) + (1 + math.log(2 * math.pi * t**2)) / 2
    assert stated == pytest.approx((second + math.log(2 * math.pi)) / 2 - entropy, rel=1e-12)


@pytest.mark.parametrize(
    ("law", "times", "message"),
    [
        (TRI, [0.9, 0.5], "data in 2 dimensions"),
        (GOLDEN, [0.5, 0.9], "need at least two that decrease"),
        (GOLDEN, [0.5], "need at least two that decrease"),
        (GOLDEN, [0.5, 0.5], "need at least two that decrease"),
        (GOLDEN, [0.9, 0.0], "must end where σ > 0"),
    ],
)
def test_bad_chains_are_refused(law, times, message):
    with pytest.raises(InputError, match=message):
        budget.snr_along(law, Cosine(), torch.tensor(times, dtype=torch.float64))

"""The error budget of an ancestral sampler: B8."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, TRI
from singtheory import Atoms, Cosine, Estimate, Gaussian, GaussianMixture, InputError, RectifiedFlow, budget, formula
from singtheory.estimate import mean_interval
from singtheory.grid import grids
from singtheory.kernel import bridge
from singtheory.mmse.exact import exact_curve
from singtheory.mmse.sampled import sample_curve
from singtheory.sampler import exact_denoiser
from singtheory.start.mismatch import Mismatch, Start, from_matched, from_mean, from_noise
from tests.support.strategies import examples

SCHEDULES = [Cosine(), RectifiedFlow()]


@given(st.lists(st.floats(0.05, 1.0), min_size=2, max_size=8, unique=True), st.sampled_from(SCHEDULES))
@settings(deadline=None, max_examples=examples(20))
def test_terms_are_not_negative_and_the_exact_denoiser_has_no_network_error(times, schedule):
    at = torch.tensor(sorted(times, reverse=True), dtype=torch.float64)
    errors = budget.denoiser_errors(GOLDEN, schedule, at, exact_denoiser(GOLDEN, schedule), 20, 6.0)
    actual = budget.budget(exact_curve(GOLDEN), budget.chain_snr(schedule, at), Mismatch(0.1, 0.2), errors)
    assert bool((actual.discretisation.steps > -1e-12).all())
    assert abs(actual.network.value) < 1e-20
    assert actual.low == pytest.approx(0.1 + actual.discretisation.value + actual.network.low)
    assert actual.high == pytest.approx(0.2 + actual.discretisation.value + actual.network.high)


def _linear_chain(law: Gaussian, schedule, times: list[float], shrink: float, shift: float, mean: float, var: float):
    """Means and covariances of the whole path `(x_{t_0}, …, x_{t_N})` under q and under p, for Gaussian data on a line.

    The model starts from N(mean, var) and steps by `N(a x + b m, c²)`, `m = shrink x̂ + shift`, x̂ linear in x.
    """
    mu, lam = float(law.mean), float(law.cov)
    alpha, sigma = (getattr(schedule, n)(torch.tensor(times, dtype=torch.float64)).numpy() for n in ("alpha", "sigma"))
    count = len(times)
    marginal = alpha**2 * lam + sigma**2
    # x_t given x_s is α_{t|s} x_s and noise, so that the covariance of two times is that factor times the variance at s
    true = np.array(
        [[alpha[min(i, j)] / alpha[max(i, j)] * marginal[max(i, j)] for j in range(count)] for i in range(count)]
    )
    mix, offset = np.zeros((count, count)), np.zeros(count)  # x = offset + mix @ (independent standard noises)
    mix[0, 0], offset[0] = var**0.5, mean
    for k in range(count - 1):
        coefficients = bridge(schedule, times[k], times[k + 1])
        gain = alpha[k] * lam / marginal[k]  # x̂ = μ + gain (x − αμ)
        slope = float(coefficients.a) + float(coefficients.b) * shrink * gain
        mix[k + 1] = slope * mix[k]
        mix[k + 1, k + 1] = float(coefficients.var) ** 0.5
        offset[k + 1] = slope * offset[k] + float(coefficients.b) * (shrink * (mu - gain * alpha[k] * mu) + shift)
    errors = [
        ((1 - shrink) * mu - shift) ** 2 + (1 - shrink) ** 2 * (alpha[k] * lam) ** 2 / marginal[k]
        for k in range(count - 1)
    ]
    return (alpha * mu, true), (offset, mix @ mix.T), torch.tensor(errors, dtype=torch.float64)


def _gaussian_kl(one, other) -> float:
    (m, c), (n, s) = one, other
    off = n - m
    inside = np.trace(np.linalg.solve(s, c)) + off @ np.linalg.solve(s, off) - len(m)
    return (inside + np.linalg.slogdet(s)[1] - np.linalg.slogdet(c)[1]) / 2


@given(
    st.lists(st.floats(0.1, 0.98), min_size=2, max_size=6, unique_by=lambda t: round(t, 1)),
    st.sampled_from(SCHEDULES),
    st.tuples(st.floats(-1, 1), st.floats(0.2, 3)),
    st.tuples(st.floats(0.5, 1.2), st.floats(-0.5, 0.5)),
    st.tuples(st.floats(-0.5, 0.5), st.floats(0.5, 2)),
)
@settings(deadline=None)
def test_the_budget_of_gaussian_data_is_the_kl_of_the_paths(times, schedule, data, miss, begin):
    """Both paths are Gaussian vectors, whose KL is a matter of two matrices: no mmse, no information, no gap."""
    law, times = Gaussian([data[0]], [[data[1]]]), sorted(times, reverse=True)
    true, model, errors = _linear_chain(law, schedule, times, *miss, *begin)
    curve, moments = exact_curve(law), budget.moments_of(law)
    snr = budget.chain_snr(schedule, torch.tensor(times, dtype=torch.float64))
    start = Start(
        torch.tensor([begin[0]], dtype=torch.float64),
        torch.tensor([begin[1] ** 0.5], dtype=torch.float64),
        begin[1] ** 0.5,
    )
    term = budget.start_term(curve, moments, start, float(schedule.alpha(times[0])), float(schedule.sigma(times[0])))
    actual = budget.budget(curve, snr, term, Estimate.exact(errors))
    kl = _gaussian_kl(true, model)
    assert actual.low == pytest.approx(kl, rel=1e-8, abs=1e-8)
    assert actual.high == pytest.approx(kl, rel=1e-8, abs=1e-8)


def _density(law, schedule, t: float, x: torch.Tensor) -> torch.Tensor:
    """`q_t(x)` on a line."""
    sigma = schedule.sigma(t)
    return law.posterior((x / sigma)[:, None], schedule.snr(t)).log_evidence.exp() / sigma


def _wrong(law, schedule):
    return lambda x, t: 0.8 * law.posterior(x / schedule.sigma(t), schedule.snr(t)).mean + 0.1


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("law", [GOLDEN, NINE_TO_ONE, BUMPS])
def test_the_budget_of_mixtures_is_the_kl_of_the_paths(law, schedule):
    """One step from noise with a wrong denoiser: the KL of the two laws of `(x_t, x_s)` on a grid of the plane."""
    t, s = 0.7, 0.45
    x = torch.linspace(-8, 8, 1281, dtype=torch.float64)
    step, coefficients = float(x[1] - x[0]), bridge(schedule, t, s)
    ratio = schedule.alpha(t) / schedule.alpha(s)
    var = formula.transition_var(*(f(u) for u in (t, s) for f in (schedule.alpha, schedule.sigma)))
    forward = (
        -((x[:, None] - ratio * x).square() / var + torch.log(2 * math.pi * var)) / 2
    )  # x_t in rows, x_s in columns
    joint = _density(law, schedule, s, x) * forward.exp()
    made = coefficients.a * x + coefficients.b * _wrong(law, schedule)(x[:, None], t)[:, 0]
    backward = -((x - made[:, None]).square() / coefficients.var + math.log(2 * math.pi * coefficients.var)) / 2
    begin = -(x.square() + math.log(2 * math.pi)) / 2
    kl = float((joint * (joint.clamp(min=1e-300).log() - backward - begin[:, None])).sum()) * step**2
    marginal = _density(law, schedule, t, x)
    missed = (
        _wrong(law, schedule)(x[:, None], t) - law.posterior((x / schedule.sigma(t))[:, None], schedule.snr(t)).mean
    )
    error2 = (marginal @ missed.square()) * step
    curve, moments = exact_curve(law), budget.moments_of(law)
    term = budget.start_term(curve, moments, from_noise(moments), float(schedule.alpha(t)), float(schedule.sigma(t)))
    snr = budget.chain_snr(schedule, torch.tensor([t, s], dtype=torch.float64))
    actual = budget.budget(curve, snr, term, Estimate.exact(error2))
    assert actual.low == pytest.approx(kl, abs=1e-8) and actual.high == pytest.approx(kl, abs=1e-8)


@pytest.mark.parametrize("s", [0.6, 0.2])
@pytest.mark.parametrize("law", [GOLDEN, NINE_TO_ONE, BUMPS])
def test_one_step_from_the_end_is_an_equality(law, s):
    """From t = 1 with a constant denoiser m the sampler makes `N(α_s m, σ_s²)`, and the budget is its KL from q_s."""
    schedule, constant = Cosine(), 0.9
    alpha, sigma = map(float, schedule(s))
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    true = _density(law, schedule, s, x)
    made = -((x - alpha * constant).square() / sigma**2 + math.log(2 * math.pi * sigma**2)) / 2
    kl = float((true * (true.clamp(min=1e-300).log() - made)).sum() * (x[1] - x[0]))
    snr = budget.chain_snr(schedule, torch.tensor([1.0, s], dtype=torch.float64))
    error2 = (law.mean - constant).square()
    assert budget.budget(exact_curve(law), snr, Mismatch(0, 0), Estimate.exact(error2)).high == pytest.approx(
        kl, abs=1e-8
    )


@pytest.mark.parametrize("law", [GOLDEN, NINE_TO_ONE])
@pytest.mark.parametrize("t", [0.4, 0.9, 1.0])
def test_the_start_term_is_the_kl_of_every_start(law, t):
    schedule = Cosine()
    alpha, sigma = map(float, schedule(t))
    moments = budget.moments_of(law)
    for start in (from_noise(moments), from_mean(moments, alpha, sigma), from_matched(moments, 1, alpha, sigma)):
        actual = budget.start_term(exact_curve(law), moments, start, alpha, sigma)
        direct = budget.start_mismatch(law, schedule, t, float(start.mean), float(start.std) ** 2)
        assert actual.low == pytest.approx(direct, abs=1e-13) and actual.high == pytest.approx(direct, abs=1e-13)


def test_the_start_term_of_a_sampled_curve_holds_the_exact_one():
    law, schedule, t = NINE_TO_ONE, Cosine(), 0.5
    curve = sample_curve(law, 2.0, torch.Generator().manual_seed(0), 1000, 12, 1 - 1e-6)
    moments, (alpha, sigma) = budget.moments_of(law), (float(schedule.alpha(t)), float(schedule.sigma(t)))
    actual = budget.start_term(curve, moments, from_matched(moments, 1, alpha, sigma), alpha, sigma)
    exact = budget.start_term(exact_curve(law), moments, from_matched(moments, 1, alpha, sigma), alpha, sigma)
    assert exact.low <= exact.high < exact.low + 1e-13
    assert actual.low < exact.low and exact.high < actual.high < 10 * exact.high


def test_moments_of_a_mixture_are_those_of_its_points():
    points = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    mixture = GaussianMixture([1, 1, 1], points, torch.zeros(3, 3, 3, dtype=torch.float64))
    ours, theirs = budget.moments_of(mixture), budget.moments_of(Atoms(points))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.components.std, theirs.components.std)
    torch.testing.assert_close(
        (ours.components.basis @ theirs.components.basis.mT).abs(), torch.eye(2, dtype=torch.float64)
    )


def test_errors_of_a_denoiser_hold_the_exact_ones():
    schedule, times = Cosine(), torch.tensor([0.9, 0.6, 0.4], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    actual = budget.denoiser_errors(GOLDEN, schedule, times, _wrong(GOLDEN, schedule), 4000, 4.0, generator, 1 - 1e-6)
    exact = torch.stack(
        [budget.denoiser_error(GOLDEN, schedule, t, _wrong(GOLDEN, schedule)) for t in times[:-1].tolist()]
    )
    assert bool((actual.low <= exact).all() and (exact <= actual.high).all())
    assert bool((actual.high - actual.low < 0.05).all())
    assert actual.n == 4000 and actual.value.tolist() == pytest.approx(exact.tolist(), rel=0.1)


def test_the_error_probability_is_split_over_the_steps(monkeypatch):
    """And draws are shares of the stated bound, so that no unit of the data is too small."""
    spent, schedule = [], Cosine()

    def spy(samples, lowest, highest, confidence):
        spent.append(1 - confidence)
        assert (lowest, highest) == (0.0, 1.0)
        return mean_interval(samples, lowest, highest, confidence)

    monkeypatch.setattr(budget, "mean_interval", spy)
    times = torch.tensor([0.9, 0.7, 0.5, 0.3, 0.1], dtype=torch.float64)
    actual = budget.denoiser_errors(GOLDEN, schedule, times, _wrong(GOLDEN, schedule), 8, 4.0, confidence=0.9)
    assert spent == pytest.approx([0.1 / 4] * 4) and actual.confidence == 0.9


def test_tiny_data_have_intervals_of_their_size():
    law, schedule = Atoms(GOLDEN.points * 1e-12, GOLDEN.weights), Cosine()
    times = torch.tensor([0.9, 0.5], dtype=torch.float64)
    actual = budget.denoiser_errors(law, schedule, times, lambda x, _: torch.full_like(x, 1e-12), 2000, 4e-24)
    truth = budget.denoiser_error(law, schedule, 0.9, lambda x, _: torch.full_like(x, 1e-12))
    assert float(actual.low) <= float(truth) <= float(actual.high) and float(actual.high - actual.low) < 1e-24


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s, t: budget.denoiser_errors(GOLDEN, s, t, lambda x, _: x, 8, 0.0), "largest 0.0"),
        (lambda s, t: budget.denoiser_errors(GOLDEN, s, t, lambda x, _: x, 0, 4.0), "samples 0"),
        (lambda s, t: budget.denoiser_errors(GOLDEN, s, t, lambda x, _: x + 9, 8, 4.0), "leave the stated range"),
        (
            lambda s, t: budget.budget(exact_curve(GOLDEN), s.snr(t), Mismatch(0, 0), Estimate.exact(t)),
            "one for each of 1",
        ),
        (lambda s, t: budget.budget(exact_curve(GOLDEN), s.snr(t).flip(0), Mismatch(0, 0)), "must increase"),
        (lambda s, t: budget.start_term(exact_curve(GOLDEN), budget.moments_of(GOLDEN), None, 1.0, 0.0), "sigma 0"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call(Cosine(), torch.tensor([0.9, 0.5], dtype=torch.float64))


def test_finer_grids_cost_less_and_like_one_over_their_steps():
    schedule, costs = Cosine(), []
    for steps in (8, 16, 32, 64):
        times = torch.cat([grids.trailing(schedule, steps)[:-1], torch.tensor([0.01], dtype=torch.float64)])
        costs.append(float(budget.discretisation(NINE_TO_ONE, budget.snr_along(NINE_TO_ONE, schedule, times)).sum()))
    assert costs == sorted(costs, reverse=True)


def test_a_start_at_the_law_itself_costs_nothing_more_than_its_gaussian_error():
    """A start with the right mean and variance is nearer than the mean start, and that than noise."""
    schedule, t = Cosine(), 0.6
    alpha, sigma = map(float, schedule(t))
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


def test_moments_of_a_gaussian_keep_small_variances():
    """A variance of 1e-13 of the largest is one: it was cut at 1e-12, and the start taken for right along it."""
    law = Gaussian([0.0, 0.0, 0.0], torch.diag(torch.tensor([1.0, 1e-13, 0.0], dtype=torch.float64)))
    assert budget.moments_of(law).components.std.tolist() == pytest.approx([1.0, 1e-13**0.5], rel=1e-9)


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 200])
def test_as_many_draws_are_made_as_are_named(samples):
    """The interval is for that many: each batch but the last is full."""
    made = []

    def denoiser(x_t, t):
        made.append(len(x_t))
        return x_t * 0

    times = torch.tensor([0.9, 0.6], dtype=torch.float64)
    actual = budget.denoiser_errors(GOLDEN, Cosine(), times, denoiser, samples, 4.0, torch.Generator().manual_seed(0))
    assert sum(made) == samples == actual.n and max(made) <= 64


@pytest.mark.parametrize("origin", [0.0, 1e8, 1e20])
@pytest.mark.parametrize("apart", [0.0, 1.0, 1e3, 1e20])
def test_quadrature_on_a_line_holds_at_any_distance(origin, apart):
    """`KL = ½[(v + (m − μ)²)/v' − 1 + log v'/σ²] − I`, where moments are exact and far atoms tell all, `I = log 2`; nodes that all coincided said 16 for 62."""
    schedule, t = RectifiedFlow(), 0.5
    law = Atoms([[origin], [origin + apart]])
    spread = float(law.points[1, 0] - law.points[0, 0])
    mean, var = float(law.points[0, 0]) / 2, 0.25 + (spread / 4) ** 2
    snr = torch.ones(1, dtype=torch.float64)
    expected = ((var + (spread / 4) ** 2) / var - 1 + math.log(var / 0.25)) / 2 - float(
        exact_curve(law).information(snr)
    )
    assert budget.start_mismatch(law, schedule, t, mean, var) == pytest.approx(expected, rel=1e-11, abs=1e-12)
    off = budget.denoiser_error(law, schedule, t, lambda x, t: law.posterior(x / 0.5, 1.0).mean * (1 + 2.0**-10))
    moments = (law.points.square().T @ law.weights).item() - (float(exact_curve(law)(snr)[0]) if origin == 0 else 0.0)
    assert float(off) == pytest.approx(moments * 2.0**-20, rel=1e-5 if origin else 1e-9)


def test_places_that_float64_does_not_tell_apart_are_refused():
    with pytest.raises(InputError, match="move the origin"):
        budget.marginal(Atoms([[1e20], [1e20 + 1e5]]), RectifiedFlow(), 0.5)

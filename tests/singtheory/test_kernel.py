"""Kernels against Bayes' rule, at both exact ends, and the Gaussians that stand in for them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import (
    Atoms,
    Cosine,
    Gaussian,
    GaussianMixture,
    InputError,
    LinearVP,
    Power,
    RectifiedFlow,
    ReverseKernel,
    VarianceExploding,
    divergence,
    schedule_named,
)
from singtheory.kernel import bridge, forward
from singtheory.response import spread_kept
from tests.support.strategies import schedules, steps, times

GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])
TRI = Atoms([[0.0, 0.0], [1.0, 0.2], [-0.3, 1.4]], [0.2, 0.5, 0.3])


@given(schedules(), steps())
def test_bridge_is_bayes_rule(schedule, step):
    t, s = step
    alpha_s, var_s = float(schedule.alpha(s)), float(schedule.sigma(s)) ** 2
    factor, std = forward(schedule, t, s)
    if std < 1e-6:
        return  # the two times have merged in floating point
    var = 1 / (1 / var_s + factor**2 / std**2)
    actual = bridge(schedule, t, s)
    # σ²_{t|s} is a difference: steps of a thousandth keep ten of its digits
    assert actual.var == pytest.approx(var, rel=1e-6)
    assert actual.a == pytest.approx(var * factor / std**2, rel=1e-6, abs=1e-12)
    assert actual.b == pytest.approx(var * alpha_s / var_s, rel=1e-6)
    assert actual.b**2 / actual.var == pytest.approx(actual.gap, rel=1e-6)


@pytest.mark.parametrize("name", ["cosine", "rectified-flow", "power:0.5", "sd-zero-snr"])
def test_at_t_one_nothing_of_x_is_left(name):
    schedule = schedule_named(name)
    actual = bridge(schedule, 1.0, 0.4)
    assert actual.a == 0
    assert actual.b == pytest.approx(float(schedule.alpha(0.4)), rel=1e-14)
    assert actual.var == pytest.approx(float(schedule.sigma(0.4)) ** 2, rel=1e-14)
    assert actual.gap == float(schedule.snr(0.4))


def test_at_s_zero_the_kernel_is_the_posterior():
    step = ReverseKernel(GOLDEN, Cosine(), t=0.5, s=0.0).at([[0.3], [-0.2]])
    assert step.bridge.gap == math.inf and step.bridge.a == 0 and step.bridge.b == 1
    assert bool(torch.isin(step.sample(100), GOLDEN.points).all())
    assert step.kl().value.tolist() == [math.inf] * 2
    assert step.tv().value.tolist() == [1.0, 1.0]
    assert step.chi2().tolist() == [math.inf] * 2
    torch.testing.assert_close(step.w2().value, step.posterior.trace_cov.sqrt())
    with pytest.raises(InputError, match="no density"):
        step.log_prob(torch.zeros(2, 1, 1))


LAWS = [
    GOLDEN,
    TRI,
    Gaussian([0.5, -1.0], [[0.7, 0.3], [0.3, 0.4]]),
    GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.05]], [[0.2]]]),
]


@pytest.mark.parametrize("schedule", [Cosine(), RectifiedFlow(), VarianceExploding(5.0)])
@pytest.mark.parametrize("law", LAWS)
def test_density_is_bayes_rule(law, schedule):
    t, s = 0.7, 0.4
    generator = torch.Generator().manual_seed(0)
    x_t = schedule.alpha(t) * law.sample(1, generator) + 0.5
    step = ReverseKernel(law, schedule, t, s).at(x_t)
    x_s = step.sample(6, generator)
    factor, std = forward(schedule, t, s)

    def log_marginal(time, x):
        return (
            law.posterior(x / schedule.sigma(time), schedule.snr(time)).log_evidence
            - law.dim * schedule.sigma(time).log()
        )

    noise = torch.distributions.Normal(factor * x_s[0], std).log_prob(x_t).sum(dim=1)
    torch.testing.assert_close(step.log_prob(x_s)[0], noise + log_marginal(s, x_s[0]) - log_marginal(t, x_t))


def test_samples_and_gaussians_share_their_moments():
    step = ReverseKernel(TRI, RectifiedFlow(), t=0.6, s=0.3).at([[0.2, 0.4]])
    draws = step.sample(60_000, torch.Generator().manual_seed(0))[0]
    matched, plug_in, isotropic = step.moment_matched()[0], step.plug_in()[0], step.best_isotropic()[0]
    for gauss in (matched, plug_in, isotropic):
        torch.testing.assert_close(gauss.mean, step.mean[0])
    assert (draws.mean(dim=0) - step.mean[0]).abs().max() < 5 * float(matched.cov.diagonal().max().sqrt()) / 60_000**0.5
    torch.testing.assert_close(draws.T.cov(), matched.cov, rtol=0.03, atol=1e-3)
    assert float(isotropic.cov.trace()) == pytest.approx(float(matched.cov.trace()), rel=1e-12)
    torch.testing.assert_close(plug_in.cov, step.bridge.var * torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ReverseKernel(GOLDEN, Cosine(), 0.5, 0.5), "need s < t"),
        (lambda: ReverseKernel(GOLDEN, Cosine(), 0.4, 0.5), "need s < t"),
        (lambda: ReverseKernel(GOLDEN, Cosine(), 1.1, 0.5), "outside"),
        (lambda: ReverseKernel(GOLDEN, Cosine(), 0.5, -0.1), "outside"),
        (lambda: ReverseKernel(GOLDEN, Cosine(), math.nan, 0.1), "outside"),
        (lambda: ReverseKernel(GOLDEN, Cosine(), 0.9, 0.8).at([0.0, 1.0]), "dimension 1"),
        (lambda: ReverseKernel(GOLDEN, Cosine(), 0.9, 0.8).at([math.nan]), "NaN"),
        (lambda: forward(Cosine(), 0.1, 0.2), "need s < t"),
    ],
)
def test_bad_steps(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_one_atom_has_a_gaussian_kernel():
    step = ReverseKernel(Atoms([[0.7, -0.2, 0.1]]), Cosine(), t=0.9, s=0.8).at([0.1, 0.2, 0.3])
    kl, tv = step.kl(samples=100), step.tv(samples=100)
    assert float(kl.value) == pytest.approx(0, abs=1e-12) and float(kl.high) < 1e-9
    assert float(tv.value) == pytest.approx(0, abs=1e-12)
    assert all(float(value) == pytest.approx(0, abs=1e-12) for value in step.bounds().values())


def test_float32_queries_are_taken():
    exact = ReverseKernel(GOLDEN, Cosine(), 0.9, 0.8).at([[0.25]])
    single = ReverseKernel(GOLDEN, Cosine(), 0.9, 0.8).at(torch.tensor([[0.25]], dtype=torch.float32))
    assert float(single.kl()) == float(exact.kl())


def test_divergences_are_those_of_the_posterior_and_its_gap():
    """χ², KL and W₂ of a step pass on what they were given: the gap, the generator, every field of the estimate, every query."""
    step = ReverseKernel(Atoms([[-1.0], [0.5]], [0.3, 0.7]), Cosine(), t=0.8, s=0.6).at([[0.2], [-0.4]])
    gap, c = step.bridge.gap, step.bridge.var**0.5
    torch.testing.assert_close(step.chi2(), torch.expm1(divergence.log1p_chi2(step.posterior, gap)))
    unit, actual = divergence.w2_exact(step.posterior, gap), step.w2()
    for name in ("value", "low", "high"):
        torch.testing.assert_close(getattr(actual, name), c * getattr(unit, name))
    assert (actual.confidence, actual.n, actual.method) == (unit.confidence, unit.n, unit.method)
    assert len(step.moment_matched()) == len(step.plug_in()) == len(actual.value) == 2


def test_w2_in_the_plane_is_a_bracket():
    step = ReverseKernel(Atoms([[-1.0, 0.0], [0.5, 2.0]]), Cosine(), t=0.8, s=0.6).at([0.2, 0.1])
    actual = step.w2()
    assert bool((actual.low < actual.high).all())
    torch.testing.assert_close(
        actual.high, step.bridge.var**0.5 * divergence.w2_bracket(step.posterior, step.bridge.gap).high
    )


def test_mixtures_of_bumps_in_space_are_sampled_from_the_generator():
    """Monte Carlo for a smooth law beyond the plane: the same seed gives the same estimate, another seed another."""
    law = GaussianMixture(
        [0.4, 0.6], [[-1.0, 0.0, 0.0], [1.0, 0.5, 0.0]], torch.stack([0.1 * torch.eye(3)] * 2).tolist()
    )
    step = ReverseKernel(law, Cosine(), t=0.8, s=0.6).at([0.2, 0.1, 0.0])
    values = [float(step.kl(500, torch.Generator().manual_seed(seed)).value) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    direct = divergence.kl_monte_carlo(step.posterior, step.bridge.gap, 500, torch.Generator().manual_seed(1), 0.99)
    assert values[0] == float(direct.value)


@given(schedules(), times(), st.integers(1, 3))
def test_steps_between_neighbouring_floats_have_no_negative_variance(schedule, t, apart):
    s = t
    for _ in range(apart):
        s = math.nextafter(s, 0.0)
    if s < 1e-150:
        return
    noticed, (_, std) = bridge(schedule, t, s), forward(schedule, t, s)
    assert min(noticed.a, noticed.b, noticed.var, noticed.gap, std) >= 0
    # what is kept of a deviation has no rounding of c² in it
    assert float(spread_kept(schedule, [t, s], [1.0], start="matched")) == pytest.approx(1, abs=1e-12)


def test_a_negative_rounding_of_a_step_is_none():
    """At the node 0.6 of Stable Diffusion's schedule and beside it c² was −1e-17, its root no number."""
    schedule = schedule_named("sd")
    for t in torch.linspace(0.01, 0.99, 400, dtype=torch.float64).tolist():
        step = ReverseKernel(GOLDEN, schedule, t, math.nextafter(t, 0.0)).at([0.1])
        assert step.bridge.var >= 0 and step.bridge.gap >= 0 and math.isfinite(float(step.sample(1)))
        kl = step.kl()
        assert 0 <= float(kl.low) <= float(kl.high) < 1e-9


def test_an_infinite_gap_is_that_of_s_zero_alone():
    """At s = 1e-160 the gap is 1e320, and KL of atoms near to each other is not infinite: neither it nor a gap beyond the domain is answered."""
    law = Atoms([[-0.5e-30], [0.5e-30]])
    for s, words in ((1e-160, "time 1e-160"), (1e-41, r"time 1e-41: .* 1e\+82, .* or at least 1e-40")):
        with pytest.raises(InputError, match=words):
            ReverseKernel(law, RectifiedFlow(), 0.5, s)
    at_zero = ReverseKernel(law, RectifiedFlow(), 0.5, 0.0).at([0.0])
    assert float(at_zero.kl()) == math.inf


@pytest.mark.parametrize(("schedule", "t", "s"), [(Power(1e6), 0.002, 0.001), (LinearVP(1e-8, 1e4), 0.9, 0.8)])
def test_steps_where_alpha_has_underflowed_are_refused(schedule, t, s):
    """`α_t/α_s` is then 0/0, and means and variances were no numbers."""
    for step in (bridge, forward):
        with pytest.raises(InputError, match="nearer to 0"):
            step(schedule, t, s)


def test_tv_on_a_line_is_that_of_the_roots():
    step = ReverseKernel(GOLDEN, Cosine(), 0.7, 0.3).at([0.4])
    exact = divergence.tv_exact(step.posterior, step.bridge.gap)
    actual = step.tv()
    assert (float(actual), actual.method) == (float(exact), exact.method) and 0 < float(actual) < 1

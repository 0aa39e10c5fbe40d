"""DDPM, DDIM and the ODE: E1, A2, A5, C7, D3."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from singtheory import Atoms, Cosine, Gaussian, InputError, RectifiedFlow, VarianceExploding, numerics, schedule_named
from singtheory.grid.grids import leading, trailing, uniform_log_snr
from singtheory.kernel import bridge
from singtheory.numerics.draw import normal
from singtheory.sampler import DDIM, DDPM, ODE, Exact, Matched, exact_denoiser
from singtheory.start import starts

SCHEDULES = [Cosine(), RectifiedFlow(), VarianceExploding(3.0), schedule_named("sd")]
GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])
TIMES = st.floats(0.01, 1.0)


def _constant(value: Tensor):
    """A denoiser that answers `value` whatever it is asked."""
    return lambda x_t, t: value.expand_as(x_t)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@given(one=TIMES, other=TIMES, x=st.floats(-3, 3), mean=st.floats(-3, 3))
def test_eta_one_is_the_bridge_with_the_denoiser_in_the_place_of_the_data(schedule, one, other, x, mean):
    """`N(a x_t + b x̂, c² I)` on every schedule, VP or not (A2, E1)."""
    t, s = max(one, other), min(one, other)
    if t - s < 1e-6:
        return
    x_t, x_hat = torch.tensor([[x]], dtype=torch.float64), torch.tensor([[mean]], dtype=torch.float64)
    kernel = bridge(schedule, t, s)
    noise = torch.randn(1, 1, dtype=torch.float64, generator=_generator())
    expected = kernel.a * x_t + kernel.b * x_hat + math.sqrt(kernel.var) * noise
    x_s = DDPM(schedule).step(_constant(x_hat), x_t, t, s, _generator())
    # ε* = (x − αx̂)/σ of numbers up to 3 carries their rounding over σ_t into a part of size σ_s < σ_t
    assert float(x_s) == pytest.approx(float(expected), abs=1e-13 * (1 + float(schedule.sigma(t))))


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_every_eta_keeps_the_law_of_a_single_point(schedule, eta):
    """Data at one point y: `x_t = α_t y + σ_t n` must step to `α_s y + σ_s n`, so that the variance is σ_s² for every η."""
    y, (t, s) = torch.tensor([1.7], dtype=torch.float64), (0.9, 0.6)
    alpha_t, sigma_t, alpha_s, sigma_s = (float(f(u)) for u in (t, s) for f in (schedule.alpha, schedule.sigma))
    step = DDIM(schedule, eta).step
    from_mean = step(_constant(y), (alpha_t * y)[None], t, s, _generator())
    from_high = step(_constant(y), (alpha_t * y + sigma_t)[None], t, s, _generator())
    fresh = torch.randn(1, 1, dtype=torch.float64, generator=_generator())
    noise_std = float((from_mean - alpha_s * y) / fresh) if eta else 0.0
    assert float(from_high - from_mean) ** 2 + noise_std**2 == pytest.approx(sigma_s**2, rel=1e-9)
    assert noise_std == pytest.approx(eta * math.sqrt(bridge(schedule, t, s).var), rel=1e-9, abs=1e-12)


def test_the_textbook_noise_is_wrong_on_rectified_flow():
    """The twin of E1: `√((1−ᾱ_s)/(1−ᾱ_t))·√(1−ᾱ_t/ᾱ_s)` is c on VP alone."""
    t, s = 0.8, 0.5

    def textbook(schedule) -> float:
        bar_t, bar_s = float(schedule.alpha(t)) ** 2, float(schedule.alpha(s)) ** 2
        return math.sqrt((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s))

    assert textbook(Cosine()) == pytest.approx(math.sqrt(bridge(Cosine(), t, s).var), rel=1e-9)
    assert textbook(RectifiedFlow()) != pytest.approx(math.sqrt(bridge(RectifiedFlow(), t, s).var), rel=0.05)


@pytest.mark.parametrize(
    "schedule", [Cosine(), RectifiedFlow(), schedule_named("sd-zero-snr")], ids=lambda schedule: type(schedule).__name__
)
def test_ddim_from_the_singular_end_is_the_singular_step(schedule):
    """From t = 1 with α = 0: `α_s μ + σ_s x_1/σ_1` at η = 0 (E1), and `α_s μ + σ_s n`, blind to x_1, at η = 1 (A5)."""
    assert float(schedule.alpha(1.0)) == 0
    s, denoiser = 0.9, exact_denoiser(GOLDEN, schedule)
    x_1 = torch.tensor([[-2.0], [0.3], [4.0]], dtype=torch.float64)
    expected = schedule.alpha(s) * GOLDEN.mean + schedule.sigma(s) * x_1 / schedule.sigma(1.0)
    assert torch.allclose(DDIM(schedule).step(denoiser, x_1, 1.0, s), expected, rtol=0, atol=1e-12)
    fresh = torch.randn(3, 1, dtype=torch.float64, generator=_generator())
    ancestral = DDPM(schedule).step(denoiser, x_1, 1.0, s, _generator())
    expected = schedule.alpha(s) * GOLDEN.mean + schedule.sigma(s) * fresh
    assert torch.allclose(ancestral, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("sampler", [DDIM(Cosine()), DDPM(Cosine()), ODE(Cosine())], ids=["ddim", "ddpm", "ode"])
@pytest.mark.parametrize("t", [1.0, 0.5, 1e-3])
def test_a_step_to_zero_returns_the_denoiser(sampler, t):
    """Exactly `x̂`, from the singular end too (D3)."""
    denoiser = exact_denoiser(GOLDEN, Cosine())
    x_t = torch.tensor([[-0.7], [0.0], [0.4]], dtype=torch.float64)
    assert torch.equal(sampler.step(denoiser, x_t, t, 0.0), denoiser(x_t, t))


@pytest.mark.parametrize("sampler", [DDIM(Cosine()), DDPM(Cosine()), ODE(Cosine())], ids=["ddim", "ddpm", "ode"])
def test_the_exact_denoiser_ends_on_atoms(sampler):
    """From t = 1 to t = 0 with α_1 = 0 exactly: every sample is one of the points, each with its share (D1)."""
    x_1 = torch.randn(500, 1, dtype=torch.float64, generator=_generator())
    end = sampler.sample(exact_denoiser(GOLDEN, Cosine()), x_1, trailing(Cosine(), 50), _generator())
    nearest = (end - GOLDEN.points[:, 0]).abs()
    assert float(nearest.min(dim=1).values.max()) < 1e-6
    shares = torch.bincount(nearest.argmin(dim=1), minlength=3) / 500
    assert torch.allclose(shares.to(torch.float64), GOLDEN.weights, rtol=0, atol=0.08)


@pytest.mark.parametrize("kind", [DDIM, ODE])
@pytest.mark.parametrize("schedule", [Cosine(), RectifiedFlow(), schedule_named("sd")], ids=lambda s: type(s).__name__)
def test_samplers_converge_to_the_brightness_law_at_their_declared_order(kind, schedule):
    """Gaussian data: `x_s` tends to `α_s μ + √((α_s²λ+σ_s²)/(α_t²λ+σ_t²)) (x_t − α_t μ)` (C7) as the grid is refined."""
    law, low, high = Gaussian([0.7], [[6.0]]), 0.02, 50.0
    arrivals = uniform_log_snr(schedule, 1, low, high)
    start_alpha, end_alpha = schedule.alpha(arrivals)
    start_sigma, end_sigma = schedule.sigma(arrivals)
    x_t = torch.tensor([[2.5]], dtype=torch.float64)
    stretch = ((end_alpha**2 * 6 + end_sigma**2) / (start_alpha**2 * 6 + start_sigma**2)).sqrt()
    exact = end_alpha * 0.7 + stretch * (x_t - start_alpha * 0.7)
    sampler, counts = kind(schedule), (32, 64, 128)
    errors = [
        float(
            (sampler.sample(exact_denoiser(law, schedule), x_t, uniform_log_snr(schedule, n, low, high)) - exact).abs()
        )
        for n in counts
    ]
    slope = math.log2(errors[-2] / errors[-1])
    assert slope == pytest.approx(sampler.order, abs=0.1)


def test_euler_in_time_is_not_ddim_where_the_path_is_curved():
    """The twin of E1: an Euler step of the drift in t agrees on rectified flow and not on the cosine schedule."""
    t, s, x_t = 0.8, 0.5, torch.tensor([[0.9]], dtype=torch.float64)

    def euler_in_time(schedule) -> Tensor:
        x_hat = exact_denoiser(GOLDEN, schedule)(x_t, t)
        epsilon = (x_t - schedule.alpha(t) * x_hat) / schedule.sigma(t)
        return x_t + (s - t) * (schedule.alpha_dot(t) * x_hat + schedule.sigma_dot(t) * epsilon)

    for schedule, agree in ((RectifiedFlow(), True), (Cosine(), False)):
        x_s = DDIM(schedule).step(exact_denoiser(GOLDEN, schedule), x_t, t, s)
        assert bool(torch.allclose(euler_in_time(schedule), x_s, rtol=0, atol=0.01)) is agree


def test_ddim_is_euler_in_the_coordinates_that_are_regular_at_each_end():
    """`(x/σ, α/σ)` and `(x/α, σ/α)` give the same step (E1)."""
    schedule, t, s = Cosine(), 0.8, 0.5
    x_t = torch.tensor([[0.9]], dtype=torch.float64)
    denoiser = exact_denoiser(GOLDEN, schedule)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (schedule(u) for u in (t, s))
    x_hat = denoiser(x_t, t)
    epsilon = (x_t - alpha_t * x_hat) / sigma_t
    x_s = DDIM(schedule).step(denoiser, x_t, t, s)
    assert torch.allclose(x_s / sigma_s, x_t / sigma_t + (alpha_s / sigma_s - alpha_t / sigma_t) * x_hat, rtol=1e-12)
    assert torch.allclose(x_s / alpha_s, x_t / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * epsilon, rtol=1e-12)


@pytest.mark.parametrize("name", ["mean", "matched"])
def test_gaussian_samples_of_a_start_have_the_moments_of_the_brightness_law(name):
    """Two dimensions, one matched: DDIM with many steps ends with C7's variances, exact along the matched direction."""
    schedule, law = schedule_named("sd"), Gaussian([1.0, -0.5], [[400.0, 0.0], [0.0, 9.0]])
    times = leading(schedule, 250)
    alpha, sigma = map(float, schedule(times[0]))
    components, unit = starts.principal_components(law, 1), torch.cat([torch.zeros(1, 2), torch.eye(2)]).double()
    images = {
        "mean": starts.mean_start(unit, law.mean, alpha, sigma),
        "matched": starts.matched_start(unit, law.mean, components, alpha, sigma),
    }
    arrivals = DDIM(schedule).sample(exact_denoiser(law, schedule), images[name], times)
    stds = (arrivals[1:] - arrivals[0]).diagonal()
    eigenvalues = torch.tensor([400.0, 9.0], dtype=torch.float64)
    contraction = sigma / (alpha**2 * eigenvalues + sigma**2).sqrt()
    if name == "matched":
        contraction[0] = 1.0
    assert torch.allclose(arrivals[0], law.mean, rtol=0, atol=0.01)
    assert torch.allclose(stds, contraction * eigenvalues.sqrt(), rtol=0.01)


def test_the_state_is_double_whatever_the_denoiser():
    def single(x_t: Tensor, t: float) -> Tensor:
        return torch.zeros_like(x_t, dtype=torch.float32)

    for sampler in (DDIM(Cosine(), 0.5), ODE(Cosine())):
        assert sampler.sample(single, torch.ones(2, 3), trailing(Cosine(), 4)).dtype == torch.float64


def test_chunks_of_queries_do_not_change_the_denoiser():
    x_t = torch.linspace(-2, 2, 7, dtype=torch.float64)[:, None]
    whole, parts = (exact_denoiser(GOLDEN, Cosine(), chunk)(x_t, 0.6) for chunk in (256, 3))
    assert torch.allclose(whole, parts, rtol=1e-13)


def test_progress_and_randomness():
    lines, x_1 = [], torch.zeros(2, 1, dtype=torch.float64)
    denoiser, times = exact_denoiser(GOLDEN, Cosine()), trailing(Cosine(), 5)
    first = DDPM(Cosine()).sample(denoiser, x_1, times[:-1], _generator(), lambda *step: lines.append(step))
    assert lines == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(first, DDPM(Cosine()).sample(denoiser, x_1, times[:-1], _generator()))
    generator = _generator()
    DDIM(Cosine()).sample(denoiser, x_1, times, generator)
    assert torch.equal(generator.get_state(), _generator().get_state())


def test_bad_input():
    denoiser, x = exact_denoiser(GOLDEN, Cosine()), torch.zeros(1, 1)
    for eta in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match="eta"):
            DDIM(Cosine(), eta)
    with pytest.raises(InputError, match="need s < t"):
        DDIM(Cosine()).step(denoiser, x, 0.5, 0.5)
    with pytest.raises(InputError, match="need s < t"):
        ODE(Cosine()).sample(denoiser, x, torch.tensor([0.5, 0.7]))
    with pytest.raises(InputError, match="outside"):
        ODE(Cosine()).step(denoiser, x, 1.5, 0.5)
    with pytest.raises(InputError, match="a start and an end"):
        DDPM(Cosine()).sample(denoiser, x, torch.tensor([0.5]))


def test_fresh_noise_is_drawn_where_the_generator_is(monkeypatch):
    """As everywhere (`draw`), so that a generator on the CPU serves a state on a GPU, with the same numbers."""
    asked = []

    def spy(shape, device, generator):
        asked.append((tuple(shape), device, generator))
        return normal(shape, device, generator)

    monkeypatch.setattr(numerics, "normal", spy)
    generator, x = _generator(), torch.zeros(3, 2, dtype=torch.float64)
    DDPM(Cosine()).step(_constant(x), x, 0.9, 0.5, generator)
    assert asked == [((3, 2), x.device, generator)]


@pytest.mark.gpu
def test_a_generator_on_the_cpu_serves_a_state_on_a_gpu():
    x = torch.ones(3, 2, dtype=torch.float64)
    on_cpu = DDPM(Cosine()).step(_constant(x), x, 0.9, 0.5, _generator())
    on_gpu = DDPM(Cosine()).step(_constant(x.cuda()), x.cuda(), 0.9, 0.5, _generator())
    assert on_gpu.device.type == "cuda"
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-14, atol=0)


def test_steps_to_a_time_whose_ratio_overflows_are_refused():
    """Heun's rule had infinite steps there and gave NaN; a widening took the covariance of t = 0."""
    flow, law = RectifiedFlow(), Atoms([[-1.0], [1.0]])
    x, denoiser = torch.tensor([[0.3]], dtype=torch.float64), exact_denoiser(law, flow)
    for sampler in (ODE(flow), DDIM(flow), DDPM(flow), Matched(flow, Exact(law, flow))):
        with pytest.raises(InputError, match="time 1e-160"):
            sampler.step(denoiser, x, 0.5, 1e-160)
    with pytest.raises(InputError, match="time 1e-160"):
        Exact(law, flow).widened(x, 1e-160, x, 1.0, 1.0)

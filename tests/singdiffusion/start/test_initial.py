"""The singular step: what it is made of, every precision, and what it refuses."""

import copy

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from singdiffusion.start.initial import first_point, initial_latents, prepared_latents
from singtheory import InputError
from singtheory.schedule.schedules import STABLE_DIFFUSION
from singtheory.start.starts import Components, matched_start

SHAPE = (2, 4, 8, 8)


def scheduler_of(kind=DDIMScheduler, steps=50, **settings):
    scheduler = kind.from_config(STABLE_DIFFUSION | settings)
    scheduler.set_timesteps(steps)
    return scheduler


def pair(shape=SHAPE, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=generator).to(dtype)


def directions(shape, rank=3):
    rows = torch.linalg.qr(torch.randn(torch.Size(shape).numel(), rank, generator=torch.Generator().manual_seed(3)))[0]
    return rows.mT.reshape(rank, *shape)


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_first_point_is_the_schedules(kind):
    scheduler = scheduler_of(kind, timestep_spacing="leading", steps_offset=1)
    alpha, sigma = first_point(scheduler)
    assert (alpha, sigma) == (pytest.approx(0.0760, abs=5e-5), pytest.approx((1 - 0.0760**2) ** 0.5, abs=1e-4))


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_start_is_made_of_mean_and_noise(kind):
    mean, noise = pair()
    scheduler = scheduler_of(kind)
    latents = initial_latents(mean, noise, scheduler) * scheduler.init_noise_sigma
    seen = scheduler.scale_model_input(latents, scheduler.timesteps[0])
    alpha, sigma = first_point(scheduler_of(kind))
    torch.testing.assert_close(seen, alpha * mean + sigma * noise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_prepared_latents_are_rounded_once(kind):
    """`α ȳ + σ x_1` as `add_noise` has the factors: not divided by `init_noise_sigma` and multiplied again, which in float16 rounds three times."""
    mean, noise = pair(dtype=torch.float16)
    scheduler = scheduler_of(kind)
    one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    first = scheduler.timesteps[:1]
    alpha, sigma = (float(scheduler.add_noise(*parts, first)) for parts in ((one, none), (none, one)))
    latents = prepared_latents(mean, noise, scheduler)
    exact = alpha * mean.double() + sigma * noise.double()
    spacing = torch.exp2(torch.floor(torch.log2(exact.abs().clamp(min=2.0**-14))) - 10)
    assert latents.dtype == torch.float16
    assert ((latents.double() - exact).abs() <= 0.51 * spacing).all()
    torch.testing.assert_close(latents, initial_latents(mean, noise, scheduler) * scheduler.init_noise_sigma)


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
@pytest.mark.parametrize("std_shape", [(3,), (2, 3)])
def test_spread_is_the_matched_start(kind, std_shape):
    mean, noise = pair()
    basis, std = directions(SHAPE[1:]), torch.linspace(1, 20, 3).expand(std_shape)
    scheduler = scheduler_of(kind)
    latents = initial_latents(mean, noise, scheduler, spread=(basis, std)) * scheduler.init_noise_sigma
    seen = scheduler.scale_model_input(latents, scheduler.timesteps[0])
    expected = matched_start(noise, mean, Components(basis, std), *first_point(scheduler_of(kind)))
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 1000), st.sampled_from(["trailing", "linspace"]), st.booleans())
@settings(deadline=None, max_examples=30)
def test_a_spread_of_zero_changes_nothing(steps, spacing, zero):
    mean, noise = pair()
    scheduler = scheduler_of(steps=steps, timestep_spacing=spacing, rescale_betas_zero_snr=zero)
    spread = (directions(SHAPE[1:]), torch.zeros(3))
    torch.testing.assert_close(
        initial_latents(mean, noise, scheduler, spread=spread), initial_latents(mean, noise, scheduler)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_precision_of_the_noise_is_kept(dtype, kind):
    mean, noise = pair(dtype=dtype)
    scheduler = scheduler_of(
        kind, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )  # σ = 4096 in Euler's units
    latents = initial_latents(mean, noise, scheduler)
    assert latents.dtype == dtype and bool(latents.isfinite().all())
    assert bool((latents * scheduler.init_noise_sigma).isfinite().all())
    expected = initial_latents(mean.double(), noise.double(), scheduler)
    torch.testing.assert_close(latents.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-6)


def test_video_and_broadcast_means():
    noise, scheduler = pair((2, 4, 3, 8, 8))[0], scheduler_of()
    mean = torch.randn(2, 4, 1, 8, 8)
    torch.testing.assert_close(
        initial_latents(mean, noise, scheduler), initial_latents(mean.expand_as(noise), noise, scheduler)
    )


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler])
def test_the_scheduler_is_not_touched_and_its_step_does_not_matter(kind):
    mean, noise = pair()
    scheduler = scheduler_of(kind)
    before = copy.deepcopy(scheduler.__dict__)
    first = initial_latents(mean, noise, scheduler)
    assert str(before) == str(scheduler.__dict__)
    scheduler.step(noise, scheduler.timesteps[0], scheduler.scale_model_input(noise, scheduler.timesteps[0]))
    torch.testing.assert_close(initial_latents(mean, noise, scheduler), first, rtol=0, atol=0)


def test_custom_timesteps_start_where_they_say():
    scheduler = DDPMScheduler.from_config(STABLE_DIFFUSION)
    scheduler.set_timesteps(timesteps=[500, 100])
    assert first_point(scheduler).alpha == pytest.approx(float(scheduler.alphas_cumprod[500] ** 0.5), abs=1e-6)


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler])
@pytest.mark.parametrize("begin", [0, 1, 20])
def test_a_start_in_the_middle_is_where_it_begins(kind, begin):
    """As image to image sets it: `(α, σ)` are those of the timestep at which the sampler begins, not of the first."""
    scheduler = scheduler_of(kind, timestep_spacing="trailing")  # whole timesteps, of which the bars are known
    if kind is DDIMScheduler:
        scheduler.begin_index = begin  # it has no setter, and reads none: of others the same name is a property
    else:
        scheduler.set_begin_index(begin)
    bars, timestep = scheduler.alphas_cumprod, int(scheduler.timesteps[begin])
    alpha, sigma = first_point(scheduler)
    assert alpha == pytest.approx(float(bars[timestep]) ** 0.5, abs=2e-4)
    assert sigma == pytest.approx(float(1 - bars[timestep]) ** 0.5, abs=2e-4)
    mean, noise = pair()
    latents = initial_latents(mean, noise, scheduler) * scheduler.init_noise_sigma
    scale = 1.0 if kind is not EulerDiscreteScheduler else (scheduler.sigmas[begin] ** 2 + 1) ** -0.5
    torch.testing.assert_close(latents * scale, alpha * mean + sigma * noise, rtol=1e-4, atol=1e-4)


BAD = {
    "NaN": (lambda m, n: (m * torch.nan, n), "mean: holds NaN"),
    "noise of NaN": (lambda m, n: (m, n * torch.nan), "noise: holds NaN"),
    "dtype": (lambda m, n: (m.half(), n), "cast one"),
    "device": (lambda m, n: (m.to("meta"), n), "cast one"),
    "shape": (lambda m, n: (m[:, :3], n), "does not fit noise"),
    "larger batch": (lambda m, n: (torch.cat([m, m]), n), "does not fit noise"),
    "flat noise": (lambda m, n: (m, n.flatten(1)), "need \\(batch"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tensors_are_refused(name):
    change, message = BAD[name]
    with pytest.raises(InputError, match=message):
        initial_latents(*change(*pair()), scheduler_of())


def test_bad_spread_is_refused():
    mean, noise = pair()
    with pytest.raises(InputError, match="basis"):
        initial_latents(mean, noise, scheduler_of(), spread=(torch.ones(1, 4, 4, 4) / 8, torch.ones(1)))
    with pytest.raises(InputError, match="orthonormal"):
        initial_latents(mean, noise, scheduler_of(), spread=(torch.ones(1, 4, 8, 8), torch.ones(1)))


def _unset():
    return DDIMScheduler.from_config(STABLE_DIFFUSION)


def _flow():
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(10)
    return scheduler


class _TwiceTheNoise(DDIMScheduler):
    def add_noise(self, original_samples, noise, timesteps):
        return super().add_noise(original_samples, 2 * noise, timesteps)


class _NotAffine(DDIMScheduler):
    def add_noise(self, original_samples, noise, timesteps):
        return super().add_noise(original_samples, noise, timesteps) + original_samples * noise


class _OtherTimestep(DDIMScheduler):
    def add_noise(self, original_samples, noise, timesteps):
        return super().add_noise(original_samples, noise, timesteps - 20)


BAD_SCHEDULERS = {
    "before set_timesteps": (_unset, "set_timesteps"),
    "flow matching": (_flow, "no gap"),
    "flow sigmas": (
        lambda: scheduler_of(UniPCMultistepScheduler, use_flow_sigmas=True, prediction_type="flow_prediction"),
        "no gap",
    ),
    "another noise": (lambda: scheduler_of(_TwiceTheNoise), "would see"),
    "not affine": (lambda: scheduler_of(_NotAffine), "not alpha y"),
    "another timestep": (lambda: scheduler_of(_OtherTimestep), "would see"),
}


@pytest.mark.parametrize("name", BAD_SCHEDULERS)
def test_schedulers_that_are_not_known_to_work_are_refused(name):
    make, message = BAD_SCHEDULERS[name]
    with pytest.raises(InputError, match=message):
        initial_latents(*pair(), make())

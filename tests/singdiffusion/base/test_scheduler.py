"""Schedules read from live schedulers."""

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    IPNDMScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from singdiffusion.base.scheduler import schedule_of
from singdiffusion.start.initial import first_point
from singtheory import InputError
from singtheory.schedule.schedules import STABLE_DIFFUSION, Discrete

TIMES = torch.linspace(0, 1, 401, dtype=torch.float64)


@pytest.mark.parametrize(
    "kind",
    [
        DDIMScheduler,
        PNDMScheduler,
        EulerDiscreteScheduler,
        DPMSolverMultistepScheduler,
        UniPCMultistepScheduler,
        LCMScheduler,
        TCDScheduler,
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"rescale_betas_zero_snr": True},
        {"trained_betas": [0.01, 0.1, 0.2], "num_train_timesteps": 3},
    ],
    ids=["sd", "linear", "cosine", "zero-snr", "trained"],
)
def test_it_is_the_schedule_of_the_config(kind, settings):
    if settings.get("rescale_betas_zero_snr") and kind is PNDMScheduler:
        pytest.skip("PNDM has no such setting")
    scheduler = kind.from_config(STABLE_DIFFUSION | settings)
    actual, expected = schedule_of(scheduler), Discrete.from_config(scheduler.config)
    torch.testing.assert_close(actual.alpha(TIMES), expected.alpha(TIMES), rtol=2e-4, atol=2e-5)  # theirs is float32
    torch.testing.assert_close(actual.sigma(TIMES), expected.sigma(TIMES), rtol=2e-4, atol=2e-5)
    assert (actual.steps_offset, actual.set_alpha_to_one) == (expected.steps_offset, expected.set_alpha_to_one)


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, HeunDiscreteScheduler])
def test_a_class_without_the_field_ends_at_zero(kind):
    """They append σ = 0 to their steps, and have no `set_alpha_to_one`."""
    scheduler = kind()
    assert "set_alpha_to_one" not in scheduler.config
    assert schedule_of(scheduler).set_alpha_to_one
    scheduler.set_timesteps(5)
    assert float(scheduler.sigmas[-1]) == 0


def test_terminal_snr_of_zero_is_zero():
    """Euler keeps 2⁻²⁴ for it, which is its own makeshift."""
    assert (
        float(
            schedule_of(EulerDiscreteScheduler.from_config(STABLE_DIFFUSION | {"rescale_betas_zero_snr": True})).snr(
                1.0
            )
        )
        == 0
    )


@pytest.mark.parametrize("kind", [PNDMScheduler, HeunDiscreteScheduler])
def test_a_class_that_does_not_read_the_field_keeps_its_terminal_snr(kind):
    """`Heun.from_config(pipe.scheduler.config)` keeps `rescale_betas_zero_snr` in its config, and does nothing about it."""
    config = STABLE_DIFFUSION | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    scheduler = kind.from_config(config)
    assert scheduler.config.rescale_betas_zero_snr
    scheduler.set_timesteps(10)
    assert float(schedule_of(scheduler).alpha(1.0)) == pytest.approx(0.0683, abs=1e-4)
    assert first_point(scheduler).alpha == pytest.approx(0.0683, abs=1e-4)


def test_edm_is_variance_exploding():
    schedule = schedule_of(EDMEulerScheduler(sigma_max=50.0))
    assert float(schedule.snr(1.0)) == pytest.approx(1 / 50.0**2)


@pytest.mark.parametrize(
    ("kind", "message"), [(FlowMatchEulerDiscreteScheduler, "no gap"), (IPNDMScheduler, "alphas_cumprod")]
)
def test_others_are_refused(kind, message):
    with pytest.raises(InputError, match=message):
        schedule_of(kind())

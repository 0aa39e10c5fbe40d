"""Solvers of a flow: those of diffusers on the same grid, and exact where the path is straight."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from docs.experiments.flow.solvers import (
    SOLVERS,
    dpm,
    euler,
    evaluations_of,
    half_log_snr,
    shifted_grid,
    steps_for,
    unipc,
)

MULTISTEP = {"DPM++ 2M": (DPMSolverMultistepScheduler, dpm), "UniPC": (UniPCMultistepScheduler, unipc)}


def velocity(x, t):
    """Any that bends."""
    return torch.sin(2 * x) + t * x**2 / 3 - 0.5


def denoise(x, t):
    return x - t * velocity(x, t)


def unchanged(x, t, s):
    return x


def noise(n=5):
    return torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", MULTISTEP)
@pytest.mark.parametrize("steps", [1, 2, 4, 7])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_multistep_solvers_are_those_of_diffusers(name, steps, shift):
    kind, solve = MULTISTEP[name]
    scheduler = kind(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    scheduler.set_timesteps(steps)
    x = noise().reshape(1, 1, 1, -1)
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas.double().tolist(), strict=False):
        x = scheduler.step(velocity(x, sigma), t, x, return_dict=False)[0]
    ours = solve(noise(), scheduler.sigmas.double().tolist(), denoise, unchanged)
    torch.testing.assert_close(ours, x.flatten().double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        torch.tensor(shifted_grid(steps, shift, name)), scheduler.sigmas.float(), rtol=0, atol=2e-6
    )


def test_euler_is_that_of_diffusers():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25])
    x = noise()
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas.double().tolist(), strict=False):
        x = scheduler.step(velocity(x, sigma), t, x, return_dict=False)[0]
    torch.testing.assert_close(
        euler(noise(), shifted_grid(4, 3.0), denoise, unchanged), x.double(), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", SOLVERS)
def test_a_single_point_is_reached_exactly_and_evaluations_are_counted(name):
    asked = []

    def point(x, t):
        asked.append(t)
        return torch.full_like(x, 0.3)

    steps = steps_for(name, 6)
    images = SOLVERS[name](noise(), shifted_grid(steps, 3.0, name), point, unchanged)
    torch.testing.assert_close(images, torch.full_like(images, 0.3))
    assert len(asked) == evaluations_of(name, steps) and 6 <= len(asked) <= 7


@pytest.mark.parametrize(("name", "order"), [("Euler", 1), ("Heun", 2), ("DPM++ 2M", 2), ("UniPC", 3)])
def test_errors_fall_as_the_order_says(name, order):
    """On the exact denoiser of N(1, 4), away from both ends, where a last step of order one is not taken."""

    def gaussian(x, t):
        alpha = 1 - t
        return 1 + alpha * 4 / (alpha**2 * 4 + t**2) * (x - alpha)

    times = 0.9, 0.1
    start = noise()
    var = [(1 - t) ** 2 * 4 + t**2 for t in times]
    exact = 0.9 + (var[1] / var[0]) ** 0.5 * (start - 0.1)

    def error(steps):
        grid = torch.linspace(*times, steps + 1, dtype=torch.float64).tolist()
        return float((SOLVERS[name](start, grid, gaussian, unchanged) - exact).abs().max())

    assert error(40) / error(80) == pytest.approx(2**order, rel=0.25)


def test_half_log_snr_ends():
    assert half_log_snr(0) == float("inf") and half_log_snr(1) == -float("inf") and half_log_snr(0.5) == 0

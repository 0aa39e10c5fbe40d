"""Grids: diffusers' own step numbers, and the formulas of the others."""

import pytest
import torch

from singtheory import Cosine, InputError, RectifiedFlow, schedule_named
from singtheory.grid import grid_named, karras, leading, trailing, uniform_log_snr
from singtheory.schedule import STABLE_DIFFUSION, Discrete


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 50, 333])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_the_steps_are_those_of_diffusers(spacing, steps):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler.from_config({**STABLE_DIFFUSION, "timestep_spacing": spacing})
    theirs.set_timesteps(steps)
    ours = grid_named(spacing, schedule_named("sd"), steps)
    assert ((ours[:-1] * 1000).round().long() - 1).tolist() == theirs.timesteps.tolist()


def test_known_starts():
    sd = schedule_named("sd")
    assert round(float(leading(sd, 50)[0]) * 1000) - 1 == 981
    assert round(float(leading(sd, 10)[0]) * 1000) - 1 == 901
    assert round(float(trailing(sd, 50)[0]) * 1000) - 1 == 999


def test_the_end_follows_the_config():
    first_node = Discrete.from_config(STABLE_DIFFUSION)
    at_zero = Discrete.from_config({**STABLE_DIFFUSION, "set_alpha_to_one": True})
    assert float(leading(first_node, 50)[-1]) == 0.001
    assert float(leading(at_zero, 50)[-1]) == 0
    # linspace ends on the first node, from where only t = 0 is left
    assert float(grid_named("linspace", first_node, 50)[-1]) == 0


def test_continuous_grids():
    assert leading(Cosine(), 4).tolist() == pytest.approx([0.75, 0.5625, 0.375, 0.1875, 0])
    assert trailing(Cosine(), 4).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert grid_named("linspace", Cosine(), 4).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_uniform_log_snr_and_karras_are_uniform_in_their_variables():
    schedule = RectifiedFlow()
    log_snr = schedule.snr(uniform_log_snr(schedule, 5, 0.01, 100)).log()
    assert log_snr.diff().tolist() == pytest.approx([float(log_snr[1] - log_snr[0])] * 5)
    noise = schedule.snr(karras(schedule, 5, 0.01, 100)) ** (-0.5 / 7)
    assert noise.diff().tolist() == pytest.approx([float(noise[1] - noise[0])] * 5)
    for grid in (uniform_log_snr, karras):
        ends = schedule.snr(grid(schedule, 3, 0.01, 100))[[0, -1]]
        torch.testing.assert_close(ends, torch.tensor([0.01, 100.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: leading(Cosine(), 0), "at least one"),
        (lambda: leading(schedule_named("sd"), 1000), "step 1000 of 1000"),
        (lambda: trailing(schedule_named("sd"), 1001), "fewer steps"),
        (lambda: grid_named("tailing", Cosine(), 5), "trailing"),
        (lambda: karras(Cosine(), 5, 1.0, 0.5), "start < end"),
        (lambda: uniform_log_snr(Cosine(), 5, 0.0, 1.0), "start < end"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()

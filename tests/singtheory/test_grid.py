"""Grids: diffusers' own step numbers, and the formulas of the others."""

from functools import partial

import pytest
import torch

from singtheory import Atoms, Cosine, Gaussian, InputError, LinearVP, RectifiedFlow, formula, schedule_named
from singtheory.grid import grid_named, karras, leading, optimal, trailing, uniform_log_snr
from singtheory.information import gaussian_mmse, line_mmse
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


GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])
UNIT = partial(gaussian_mmse, Gaussian([0.0], [[1.0]]))


def _area(snr: torch.Tensor, mmse) -> float:
    """`Σ mmse(γ_k)(γ_{k+1} − γ_k)`, the part of the discretisation term that depends on the nodes between the ends."""
    return float((mmse(snr[:-1])[0] * snr.diff()).sum())


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
@pytest.mark.parametrize("ends", [(0.0, 10.0), (0.01, 1e4), (0.0, 1e8)])
def test_optimal_is_geometric_for_gaussian_data(steps, ends):
    """E2; on any schedule that reaches the ends."""
    snr = RectifiedFlow().snr(optimal(RectifiedFlow(), steps, *ends, UNIT))
    expected = formula.geometric_snr(1.0, *ends, torch.arange(steps + 1, dtype=torch.float64) / steps)
    # γ_1 is known to a rounding of mmse(0) = 1
    torch.testing.assert_close(1 + snr, 1 + expected, rtol=1e-9, atol=0)


def test_optimal_grids_are_times_of_the_schedule():
    times = optimal(LinearVP(), 6, 0.01, 100.0, UNIT)
    assert bool((times.diff() < 0).all())
    torch.testing.assert_close(
        LinearVP().snr(times), RectifiedFlow().snr(optimal(RectifiedFlow(), 6, 0.01, 100.0, UNIT))
    )


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_optimal_is_cheaper_than_the_usual_grids(steps):
    mmse, schedule = partial(line_mmse, GOLDEN), RectifiedFlow()
    best = _area(schedule.snr(optimal(schedule, steps, 0.01, 20.0, mmse)), mmse)
    for other in (uniform_log_snr, karras):
        assert best < _area(schedule.snr(other(schedule, steps, 0.01, 20.0)), mmse)


def test_optimal_takes_the_cheapest_of_several_stationary_grids():
    """±0.9 and ±1.1: three grids of three steps satisfy E2, with areas 13.388, 13.506 and 13.122 above a common integral."""
    mmse = partial(line_mmse, Atoms([[-1.1], [-0.9], [0.9], [1.1]]))
    snr = RectifiedFlow().snr(optimal(RectifiedFlow(), 3, 0.0, 1000.0, mmse))
    assert _area(snr, mmse) == pytest.approx(13.122050106, rel=1e-9)


def test_the_slope_of_the_mmse_is_its_derivative():
    snr = torch.tensor([0.0, 0.3, 5.0], dtype=torch.float64)
    for mmse in (UNIT, partial(line_mmse, GOLDEN)):
        slopes = (mmse(snr + 2e-5)[0] - mmse(snr)[0]) / 2e-5
        torch.testing.assert_close(slopes, mmse(snr + 1e-5)[1], rtol=1e-8, atol=1e-10)
    assert float(line_mmse(GOLDEN, snr)[0][0]) == pytest.approx(float(GOLDEN.cov))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: leading(Cosine(), 0), "at least one"),
        (lambda: leading(schedule_named("sd"), 1000), "step 1000 of 1000"),
        (lambda: trailing(schedule_named("sd"), 1001), "fewer steps"),
        (lambda: grid_named("tailing", Cosine(), 5), "trailing"),
        (lambda: karras(Cosine(), 5, 1.0, 0.5), "start < end"),
        (lambda: uniform_log_snr(Cosine(), 5, 0.0, 1.0), "start < end"),
        (lambda: optimal(Cosine(), 0, 0.0, 1.0, UNIT), "at least one"),
        (lambda: optimal(Cosine(), 5, 2.0, 1.0, UNIT), "start < end"),
        (lambda: optimal(Cosine(), 5, 0.0, float("inf"), UNIT), "start < end"),
        (lambda: optimal(Cosine(), 5, 0.0, 1.0, lambda g: (g, 1 + g)), "must decrease"),
        (lambda: optimal(LinearVP(), 5, 0.0, 1.0, UNIT), "below the schedule"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()

"""Grids for a flow: each divides what it says evenly, and none is worse than its rivals at what it minimises."""

import itertools
import math

import pytest
import torch

from docs.experiments.flow.grids import GRIDS, divided, grid_of, lost_w2, profile_of
from singtheory import InputError
from singtheory.grid.spread_grid import nats_grid, w2_grid
from singtheory.response import spread_kept
from singtheory.schedule.schedules import RectifiedFlow

LAM = torch.tensor([900.0, 90.0, 9.0, 1.0, 0.1, 0.01], dtype=torch.float64)


@pytest.fixture(scope="module")
def profile():
    """Of Gaussian data, in closed form for the errors."""
    x_0 = torch.randn(400, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * LAM.sqrt()

    def velocity(x, t):
        slope = (1 - t) * LAM / ((1 - t) ** 2 * LAM + t**2)
        return (x - slope * x) / t

    return profile_of(velocity, x_0, LAM, seed=0)


@pytest.mark.parametrize("name", ["shift 1", "shift 3", *GRIDS])
@pytest.mark.parametrize("solver", ["Euler", "UniPC"])
def test_grids_fall_from_one_to_zero(profile, name, solver):
    grid = grid_of(name, 5, profile, solver)
    assert len(grid) == 6 and grid[-1] == 0 and grid[0] == (1 if solver == "Euler" else pytest.approx(1, abs=1e-2))
    assert all(a > b for a, b in itertools.pairwise(grid))


def test_the_errors_are_those_of_gaussian_data(profile):
    t = profile.times
    expected = (LAM * t[:, None] ** 2 / ((1 - t[:, None]) ** 2 * LAM + t[:, None] ** 2)).sum(dim=1)
    torch.testing.assert_close(profile.errors, expected, rtol=0.15, atol=1e-3)


def test_the_spectral_grid_loses_the_least(profile):
    losses = {
        name: float(lost_w2(torch.tensor(grid_of(name, 6, profile)), LAM)) for name in ["shift 1", "shift 3", *GRIDS]
    }
    assert min(losses, key=losses.__getitem__) == "spectral"
    kept = spread_kept(RectifiedFlow(), grid_of("spectral", 6, profile), LAM)
    assert losses["spectral"] == pytest.approx(float((LAM * (1 - kept) ** 2).sum()))


@pytest.mark.parametrize("name", ["W2", "nats"])
def test_thinned_grids_are_those_of_f8(profile, name):
    make = {"W2": w2_grid, "nats": nats_grid}[name]
    thin = LAM if name == "W2" else LAM[:1]  # every twelfth
    for steps in (6, 9):
        expected = make(RectifiedFlow(), steps, 0.0, float("inf"), thin).tolist()
        assert grid_of(name, steps, profile) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("steps", [4, 7])
def test_entropic_steps_are_equal_in_information(profile, steps):
    """`½ Σ log(1 + γλ)` between the nodes, in closed form; the last node stands for the least time that is probed."""
    times = torch.tensor([*grid_of("entropic", steps, profile)[:-1], float(profile.times[0])], dtype=torch.float64)
    gamma = (1 / times - 1) ** 2
    passed = torch.log1p(gamma[:, None] * LAM).sum(dim=1).diff() / 2
    assert passed.tolist() == pytest.approx([float(passed.mean())] * steps, rel=0.1)


def test_rescaled_steps_are_equal_in_the_root_of_the_rate(profile):
    times = grid_of("rescaled", 5, profile)[1:-1]

    def passed(t, s):
        odds = torch.linspace(math.log(s / (1 - s)), math.log(t / (1 - t)), 2001, dtype=torch.float64)
        gamma = torch.exp(-2 * odds)[:, None]
        return float(torch.trapezoid((gamma * LAM / (1 + gamma * LAM)).sum(dim=1).sqrt(), odds))

    parts = [passed(t, s) for t, s in itertools.pairwise(times)]
    assert parts == pytest.approx([sum(parts) / len(parts)] * len(parts), rel=0.1)


def test_divided_evenly():
    times = torch.linspace(0, 1, 401, dtype=torch.float64)
    assert divided(times, 2 * times, 4) == pytest.approx([1, 0.75**0.5, 0.5**0.5, 0.5, 0], abs=1e-3)


def test_taken_up_on_the_way_and_unknown_names(profile):
    grid = grid_of("shift 3", 4, profile, start=0.8)
    assert grid[0] == pytest.approx(0.8) and grid[-1] == 0
    with pytest.raises(InputError, match="grid"):
        grid_of("shfit", 4, profile)
    assert grid_of("shift 3", 4, None) == grid_of("shift 3", 4, profile)
    with pytest.raises(InputError, match="profile_of"):
        grid_of("W2", 4, None)

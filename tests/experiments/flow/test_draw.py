"""Drawing from a flow by every way: on Gaussian data with the exact denoiser the ways keep what the law of the steps says."""

import math
from dataclasses import replace

import pytest
import torch

from docs.experiments.flow.blocks import BLOCKS, is_drawn, plan
from docs.experiments.flow.draw import Flows, Moments, Spread, projection
from docs.experiments.flow.grids import Profile
from docs.experiments.flow.model import TRAIN_STEPS
from docs.experiments.flow.ways import CORE, WAYS, Way
from singdiffusion.average.model import Average
from singtheory.response import spread_kept
from singtheory.schedule.schedules import RectifiedFlow

SIZE = (1, 2, 3)
LAM = torch.tensor([900.0, 90.0, 9.0, 1.0, 0.5, 0.1])
MEAN = torch.linspace(-0.5, 0.5, 6).reshape(1, *SIZE)


def moments():
    basis, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2)))
    return Moments(MEAN, basis.mT.contiguous(), LAM, (basis.square() * LAM).sum(dim=1))


class Gaussian:
    """A drawer whose network is the exact one of Gaussian data; with a prompt their mean is another."""

    batch, device = 2000, "cpu"

    def __init__(self, known, prompted=0.0):
        self.known, self.prompted, self.asked = known, prompted, 0

    def encode(self, prompts):
        return torch.tensor([[float(prompt != "")] for prompt in prompts])

    def predict(self, x, timestep, states):
        self.asked += 1
        t = timestep / TRAIN_STEPS
        mean = self.known.mean + self.prompted * states[:, :, None, None]
        deviation = Spread(self.known.basis, self.known.var)
        slope = (1 - t) * self.known.var / ((1 - t) ** 2 * self.known.var + t**2)
        return (x - mean - deviation.along(x - (1 - t) * mean, slope)) / t


def trained(known):
    def average(states, x_1):
        mean = known.mean.expand(len(x_1), *SIZE)
        return Average(mean, known.basis.reshape(-1, *SIZE), known.var.sqrt().expand(len(x_1), -1))

    return average


def drawn(way, evaluations=4, n=4000, guidance=1.0, prompted=0.0, prompts=None):
    known = moments()
    times = torch.linspace(1e-3, 1, 20, dtype=torch.float64)
    profile = Profile(LAM.double(), times, torch.ones(20).double(), torch.ones(20).double())
    drawer = Gaussian(known, prompted)
    flows = Flows(drawer, trained(known), known, profile)  # pyright: ignore[reportArgumentType]
    x_1 = torch.randn(n, *SIZE, generator=torch.Generator().manual_seed(4))
    rows = x_1.flatten(1) - x_1.flatten(1).mean(dim=0)
    x_1 = (rows @ torch.linalg.inv(torch.linalg.cholesky(rows.mT @ rows / n)).mT).reshape(n, *SIZE)  # exactly white
    images, counts = flows(way, x_1, prompts or ["a"] * n, guidance, evaluations)
    centred = (images - images.mean(dim=0)).flatten(1) @ known.basis.mT
    return centred.square().mean(dim=0).sqrt() / LAM.sqrt(), images.mean(dim=0) - known.mean[0], counts, drawer


@pytest.mark.parametrize("grid", ["shift 1", "shift 3", "spectral"])
def test_euler_keeps_what_the_law_says(grid):
    kept, off, counts, drawer = drawn(Way("", grid=grid), 5)
    times = drawn_grid(grid, 5)
    torch.testing.assert_close(kept.double(), spread_kept(RectifiedFlow(), times, LAM.double()), rtol=1e-3, atol=1e-4)
    assert off.abs().max() < 1e-3 and counts["evaluations"] == 5 and drawer.asked == 5 * 2


def drawn_grid(grid, steps):
    known = moments()
    profile = Profile(LAM.double(), *(torch.ones(2).double(),) * 3)
    return Flows(Gaussian(known), None, known, profile).grid(Way("", grid=grid), steps)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("mean", ["network", "trained", "unguided", "trained unguided"])
def test_a_matched_first_step_and_corrected_steps_keep_everything_but_the_last(mean):
    one = Way("", mean=mean, spread="trained")
    matched = spread_kept(RectifiedFlow(), drawn_grid("shift 3", 4), LAM.double(), start="matched")
    torch.testing.assert_close(drawn(one)[0].double(), matched, rtol=1e-3, atol=1e-4)
    last = spread_kept(RectifiedFlow(), drawn_grid("shift 3", 4), LAM.double(), start="matched", corrected=True)
    corrected = replace(one, corrected="all but the last")
    torch.testing.assert_close(drawn(corrected)[0].double(), last, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(drawn(replace(one, corrected="all"))[0], torch.ones(6), rtol=1e-3, atol=1e-3)


def test_ranks_leave_the_other_directions_as_they_were():
    plain, one = drawn(Way(""))[0], drawn(Way("", spread="statistics", rank=1))[0]
    assert one[0] > 2 * plain[0]
    torch.testing.assert_close(one[1:], plain[1:], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("solver", ["UniPC", "DPM++ 2M", "Heun after the first"])
def test_every_solver_keeps_more_of_the_widest_direction_from_a_matched_first_step(solver):
    plain = drawn(Way("", solver="Heun" if solver.startswith("Heun") else solver))[0]
    matched, off, _, _ = drawn(Way("", solver=solver, spread="trained"))
    assert abs(math.log(matched[0])) < 0.35 * abs(math.log(plain[0]))
    assert off.abs().max() < 1e-3


def test_teleported_exactly_and_zero_init_stays():
    assert drawn(Way("", teleport=0.9), 40)[0][0] > 0.97
    _, off, counts, _ = drawn(Way("", zero=True))
    assert counts["evaluations"] == 3 and counts["planned"] == 4 and off.abs().max() > 0.02


def test_guidance_and_its_effective_weight():
    *_, counts, drawer = drawn(Way(""), guidance=3.0, prompted=0.4)
    assert counts["effective guidance"] == pytest.approx(3.0, abs=1e-3) and drawer.asked == 4 * 2 * 2
    scaled = drawn(Way("", guide="scaled"), guidance=3.0, prompted=0.4)[2]["effective guidance"]
    assert scaled != pytest.approx(3.0, abs=1e-2)
    first, second = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    rest = first - projection(first, second) * second
    assert (rest * second).sum(dim=(1, 2, 3)).abs().max() < 1e-5


def test_a_trained_mean_saves_an_evaluation_that_can_be_spent():
    assert drawn(WAYS["UniPC matched, trained mean"])[2]["evaluations"] == 3
    assert drawn(WAYS["UniPC matched, trained mean, one more step"])[2]["evaluations"] == 4


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_every_way_draws(way, guidance):
    kept, _, counts, _ = drawn(way, 4, 200, guidance)
    assert torch.isfinite(kept).all() and counts["evaluations"] in (3, 4, 5)


def test_the_plan_begins_with_what_counts_and_draws_nothing_twice():
    cells = plan(True, BLOCKS)
    assert len({(way.name, w, n) for way, w, n in cells}) == len(cells)
    assert {way.name for way, _, _ in cells[: 2 * 3 * len(CORE) - 6]} <= {way.name for way in CORE}
    assert not any(way.spread == "trained" or way.mean.startswith("trained") for way, _, _ in plan(False, BLOCKS))
    assert not is_drawn(WAYS["scaled"], 1.0, True) and is_drawn(WAYS["scaled"], 3.0, True)

"""Drawing from an ε model: on Gaussian data with the exact denoiser DDIM keeps what the law of the steps says, and corrected steps keep all."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from docs.experiments.flow.draw import Moments, Spread
from docs.experiments.flow.epsilon.draw import Epsilons, corrected, nodes
from docs.experiments.flow.epsilon.measure import ALL, FEW, plan, seeds_of
from docs.experiments.flow.epsilon.ways import ALL_WAYS, WAYS, Way
from docs.experiments.model.draw import sampler
from singdiffusion.average import Average
from singtheory import formula
from singtheory.errors import InputError

SIZE = (1, 2, 3)
LAM = torch.tensor([900.0, 90.0, 9.0, 1.0, 0.5, 0.1])
MEAN = torch.linspace(-0.5, 0.5, 6).reshape(1, *SIZE)
MODEL = SimpleNamespace(prediction="epsilon", zero_snr=False)


def moments():
    basis, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2)))
    return Moments(MEAN, basis.mT.contiguous(), LAM, (basis.square() * LAM).sum(dim=1))


class Gaussian:
    """A drawer whose network is the exact one of Gaussian data."""

    batch, device, model = 2000, "cpu", MODEL

    def __init__(self, known):
        self.known, self.asked = known, 0
        self.bars = sampler(MODEL).alphas_cumprod.double()  # pyright: ignore[reportArgumentType]

    def encode(self, prompts):
        return torch.zeros(len(prompts), 1)

    def predict(self, x, t, states):
        self.asked += 1
        bar = float(self.bars[int(t)])
        alpha, sigma = bar**0.5, (1 - bar) ** 0.5
        slope = sigma / (alpha**2 * self.known.var + sigma**2)
        return Spread(self.known.basis, self.known.var).along(x - alpha * self.known.mean, slope)


def drawn(way, steps, n=2000):
    known = moments()

    def trained(states, x_1):
        mean = known.mean.expand(len(x_1), *SIZE)
        return Average(mean, known.basis.reshape(-1, *SIZE), known.var.sqrt().expand(len(x_1), -1))

    drawer = Gaussian(known)
    x_1 = torch.randn(n, *SIZE, generator=torch.Generator().manual_seed(4))
    rows = x_1.flatten(1) - x_1.flatten(1).mean(dim=0)
    x_1 = (rows @ torch.linalg.inv(torch.linalg.cholesky(rows.mT @ rows / n)).mT).reshape(n, *SIZE)  # exactly white
    images, _ = Epsilons(drawer, trained, known)(way, x_1, ["a"] * n, 1.0, steps)  # pyright: ignore[reportArgumentType]
    centred = (images - images.mean(dim=0)).flatten(1) @ known.basis.mT
    return centred.square().mean(dim=0).sqrt() / LAM.sqrt(), images.mean(dim=0) - known.mean[0], drawer


def cosines(name, steps):
    """The factor of each step along each eigenvector, shape (steps, 6)."""
    scheduler = sampler(MODEL, name, steps)  # pyright: ignore[reportArgumentType]
    rows = [formula.step_kept(*begin, *end, LAM.double(), torch) for begin, end in pairwise(nodes(scheduler))]
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["DDIM", "DDIM trailing"])
def test_ddim_from_the_matched_start_keeps_the_product_of_its_cosines(name):
    kept, off, drawer = drawn(Way(name), 5)
    torch.testing.assert_close(kept.double(), cosines(name, 5).prod(dim=0), rtol=1e-3, atol=1e-4)
    assert off.abs().max() < 1e-3 and drawer.asked == 5


@pytest.mark.parametrize("along", ["trained", "statistics"])
@pytest.mark.parametrize(("name", "spared"), [("DDIM", 0), ("DDIM", 1), ("DDIM", 2), ("DDIM trailing", 1)])
def test_corrected_steps_keep_all_but_what_the_spared_ones_take(name, spared, along):
    kept, _, _ = drawn(Way(name, along=along, spared=spared), 5)
    expected = cosines(name, 5)[5 - spared :].prod(dim=0)
    torch.testing.assert_close(kept.double(), expected, rtol=1e-3, atol=1e-4)


def test_the_nodes_are_those_of_the_scheduler():
    """A step of diffusers' own from the first node to the next, of a denoiser that is zero: `x_s = (σ_s/σ_t) x_t`."""
    for name in ("DDIM", "DDIM trailing"):
        scheduler = sampler(MODEL, name, 4)  # pyright: ignore[reportArgumentType]
        places, x = nodes(scheduler), torch.ones(1, 1, 1, 1)
        assert len(places) == 5 and places[-1] == pytest.approx((1, 0))
        for (_, sigma), (_, after), t in zip(places[:-1], places[1:], scheduler.timesteps, strict=True):
            moved = scheduler.step(x / sigma, t, x, return_dict=False)[0]
            assert float(moved) == pytest.approx(after / sigma, abs=1e-4)


def test_a_corrected_step_leaves_the_mean_where_it_is():
    known, mean = moments(), torch.full((1, *SIZE), 0.3)
    x = 0.8 * mean.expand(3, *SIZE)
    torch.testing.assert_close(corrected(x, mean, Spread(known.basis, known.var), (0.5, 0.9), (0.8, 0.6)), x)


def test_ways_have_names_of_their_own_and_each_is_drawn_once():
    assert len(WAYS) == len(ALL_WAYS)
    cells, few = ([(way.name, w, n) for block in blocks for way, w, n in plan(block)] for blocks in (ALL, FEW))
    assert len(cells) == len(set(cells)) == len(WAYS) * 2 * 3
    assert len(few) == len(set(few)) and set(few) < set(cells)
    with pytest.raises(InputError, match="whole numbers"):
        seeds_of("0,a")
    assert seeds_of("0,1") == [0, 1]

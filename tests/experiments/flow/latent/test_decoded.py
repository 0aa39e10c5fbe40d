"""The ε twin drawn by the solvers of flows: DDIM is that of diffusers, and on Gaussian data the law of the steps holds."""

import pytest
import torch

from docs.experiments.flow.draw import Moments, Spread
from docs.experiments.flow.latent.decoded import Decoded, Twin
from docs.experiments.flow.latent.train import new
from docs.experiments.flow.ways import EPSILON, EVERY, WAYS
from docs.experiments.model.denoiser import Denoiser, scheduler_config
from docs.experiments.model.draw import Drawer
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

SIZE, LAM = (1, 2, 2), torch.tensor([400.0, 30.0, 1.0, 0.1])
MEAN = torch.linspace(-0.5, 0.5, 4).reshape(1, *SIZE)


def moments():
    basis, _ = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))
    return Moments(MEAN, basis.mT.contiguous(), LAM, torch.ones(4))


class Levels:
    """Noise levels of Stable Diffusion."""

    alphas_sigmas = staticmethod(lambda: Denoiser.alphas_sigmas(Denoiser(None, None)))  # pyright: ignore[reportArgumentType]


class Exact:
    """The exact ε of Gaussian data, or as a flow's network their mean at t = 1."""

    batch, device, model = 4000, "cpu", Levels()

    def __init__(self, known):
        self.known = known
        self.levels = self.model.alphas_sigmas()

    def encode(self, prompts):
        return torch.zeros(len(prompts), 1)

    def predict(self, x, step, states):
        alpha, sigma = (float(one[step]) for one in self.levels)
        slope = alpha * LAM / (alpha**2 * LAM + sigma**2)
        x_hat = MEAN + Spread(self.known.basis, LAM).along(x - alpha * MEAN, slope)
        return (x - alpha * x_hat) / sigma


class Mean(Exact):
    """Velocity `n − μ` at t = 1."""

    def predict(self, x, step, states):
        assert step == 1000
        return x - MEAN


class Wide:
    """Decodes everything to itself a thousandth as large, so that nothing is clamped."""

    def decode(self, latents):
        return latents / 1000


def drawn(way, steps=5, n=4000, guidance=1.0):
    known = moments()
    twin = Twin(Exact(known), Mean(known), known, Wide())  # pyright: ignore[reportArgumentType]
    x_1 = torch.randn(n, *SIZE, generator=torch.Generator().manual_seed(4))
    rows = x_1.flatten(1) - x_1.flatten(1).mean(dim=0)
    x_1 = (rows @ torch.linalg.inv(torch.linalg.cholesky(rows.mT @ rows / n)).mT).reshape(n, *SIZE)  # exactly white
    images, record = twin(way, x_1, ["a"] * n, guidance, steps)
    images = 1000 * images
    along = (images - images.mean(dim=0)).flatten(1) @ known.basis.mT
    return along.square().mean(dim=0).sqrt() / LAM.sqrt(), images.mean(dim=0) - MEAN[0], record, twin


def test_ddim_matched_along_all_directions_keeps_what_its_steps_keep():
    kept, off, record, twin = drawn(EVERY["DDIM matched, rank 64"])
    grid = twin.grid(EVERY["DDIM matched, rank 64"], 5)
    law = spread_kept(RectifiedFlow(), [1.0, *grid], LAM.double(), start="matched")
    torch.testing.assert_close(kept.double(), law, rtol=2e-3, atol=2e-4)
    assert record["evaluations"] == 6 and off.abs().max() < 1e-2


def test_from_noise_and_from_the_mean_lose_spread_and_the_mean_is_right_from_the_mean():
    noise, off, record, _ = drawn(EVERY["DDIM from noise"])
    mean, near, more, _ = drawn(EVERY["DDIM from the mean"])
    matched = drawn(EVERY["DDIM matched, rank 64"])[0]
    assert noise[0] < 0.6 * matched[0] and mean[0] < 0.6 * matched[0]
    assert near.abs().max() < 1e-2 < off.abs().max() and (record["evaluations"], more["evaluations"]) == (5, 6)
    one = drawn(EVERY["DDIM matched, rank 1"])[0]
    assert float(one[0]) == pytest.approx(float(matched[0]), rel=1e-3) and float(one[2]) == pytest.approx(float(mean[2]), rel=1e-3)  # fmt: skip


def test_corrected_steps_lose_in_the_last_alone():
    kept = drawn(EVERY["DDIM corrected, rank 64"])[0]
    assert float(kept[0]) == pytest.approx(1, abs=0.02) and kept[0] > drawn(EVERY["DDIM matched, rank 64"])[0][0]


@pytest.mark.parametrize("way", EPSILON, ids=lambda way: way.name)
def test_every_way_draws_at_both_weights(way):
    for guidance in (1.0, 3.0):
        kept, off, _, _ = drawn(way, 4, 300, guidance)
        assert torch.isfinite(kept).all() and torch.isfinite(off).all()


def test_ddim_from_noise_is_that_of_diffusers():
    model = new("epsilon", 8, True, 0)
    assert model.prediction == "epsilon" and scheduler_config()["prediction_type"] == "epsilon"
    drawer = Drawer(model, "cpu", 8)
    known = Moments(torch.zeros(1, 4, 8, 8), torch.eye(256), torch.ones(256), torch.ones(256))
    twin = Twin(drawer, drawer, known, Wide())  # pyright: ignore[reportArgumentType]
    x_1 = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    prompts = ["cat", "house"]
    for guidance in (1.0, 3.0):
        results, _ = twin._drawn(EVERY["DDIM from noise"], x_1, prompts, guidance, 4)
        torch.testing.assert_close(results, drawer(x_1, prompts, guidance, "DDIM", 4), rtol=1e-3, atol=1e-3)


def test_a_flow_is_decoded_after_its_last_step():
    known = moments()

    class Still(Exact):
        def predict(self, x, step, states):
            return x - MEAN

    flows = Decoded(Still(known), known, Wide())  # pyright: ignore[reportArgumentType]
    images, record = flows(WAYS["Euler, shift 1"], torch.zeros(3, *SIZE), ["a"] * 3, 1.0, 1)
    torch.testing.assert_close(images, (MEAN / 1000).expand(3, *SIZE))
    assert record["evaluations"] == 1

"""A U-Net as a denoiser: x̂ of every kind of prediction, its Jacobian in forward mode, and samples by Lanczos's method."""

import copy

import pytest
import torch
from diffusers import DDIMScheduler, EDMEulerScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from singdiffusion.base import NetworkDenoiser
from singtheory import InputError
from singtheory.sampler import Lanczos, Matched, jacobian_product
from singtheory.schedule.schedules import STABLE_DIFFUSION
from tests.singdiffusion.support.tiny import LATENTS, TEXT_WIDTH, stable_diffusion


@pytest.fixture(scope="module")
def unet():
    return stable_diffusion().unet.eval()


def scheduler(prediction: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler.from_config(STABLE_DIFFUSION | {"prediction_type": prediction, "clip_sample": False})


def states() -> torch.Tensor:
    return torch.randn(1, 7, TEXT_WIDTH, generator=torch.Generator().manual_seed(0))


def noise(n: int = 2) -> torch.Tensor:
    return torch.randn(n, *LATENTS, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_it_is_what_the_scheduler_takes_for_x_0(unet, prediction):
    """The scheduler's own `pred_original_sample` at a step of training."""
    live, x_t, step = scheduler(prediction), noise(), 601
    live.set_timesteps(1000)
    with torch.no_grad():
        output = unet(x_t, step, states().expand(2, -1, -1)).sample
        actual = NetworkDenoiser(unet, live, states())(x_t, (step + 1) / 1000)
    expected = live.step(output, step, x_t).pred_original_sample
    assert torch.allclose(actual, expected, atol=2e-5)


def test_its_jacobian_is_that_of_finite_differences(unet):
    denoiser = NetworkDenoiser(copy.deepcopy(unet).double(), scheduler(), states().double())
    x, v = noise().double(), noise(4)[2:].double()
    with torch.no_grad():
        mean, image = jacobian_product(denoiser, x, 0.5, v)
        assert torch.equal(mean, denoiser(x, 0.5))
        apart = (denoiser(x + 1e-5 * v, 0.5) - denoiser(x - 1e-5 * v, 0.5)) / 2e-5
    assert torch.allclose(image, apart, rtol=1e-6, atol=1e-8)


def test_matched_chains_run_and_count_their_work(unet):
    denoiser, lanczos = NetworkDenoiser(unet, scheduler(), states()), Lanczos(scheduler_schedule(), 2)
    times = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    with torch.no_grad():
        end = Matched(scheduler_schedule(), lanczos).sample(denoiser, noise(), times, torch.Generator().manual_seed(0))
    assert end.shape == noise().shape and end.dtype == torch.float64 and bool(torch.isfinite(end).all())
    assert (lanczos.work.products, lanczos.work.draws) == (8, 4) and 0 <= lanczos.work.negative <= 4


def scheduler_schedule():
    return NetworkDenoiser(None, scheduler(), states()).schedule


def test_bad_input(unet):
    with pytest.raises(InputError, match="prediction 'flow'"):
        NetworkDenoiser(unet, scheduler("flow"), states())
    for other in (FlowMatchEulerDiscreteScheduler(), EDMEulerScheduler()):
        with pytest.raises(InputError, match=type(other).__name__):
            NetworkDenoiser(unet, other, states())
    NetworkDenoiser(unet, EulerDiscreteScheduler.from_config(STABLE_DIFFUSION), states())

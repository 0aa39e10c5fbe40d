"""The first step of flow schedulers, mended: against the formula, in spread on Gaussian data, and what is refused."""

import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler,
    UniPCMultistepScheduler,
)

from singdiffusion import SingDiffusion, first_step
from singdiffusion.start.flow import Measured, measured
from singtheory import InputError, formula

SHAPE = (4, 8, 8)
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
EIGENVALUES = torch.tensor([0.01, 0.1, 1.0, 10.0, 100.0, 640.0, 1700.0, 1e4], dtype=torch.float64)
SOLVERS = {
    "Euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "Euler, sigmas from 0 to 1": lambda: FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    "Heun": lambda: FlowMatchHeunDiscreteScheduler(shift=3.0),
    "UniPC": lambda: UniPCMultistepScheduler(**FLOW),
    "DPM++ 2M": lambda: DPMSolverMultistepScheduler(**FLOW),
    "DPM++ 3M": lambda: DPMSolverMultistepScheduler(solver_order=3, **FLOW),
    "DPM++ 2S": lambda: DPMSolverSinglestepScheduler(**FLOW, lower_order_final=True),
    "DEIS": lambda: DEISMultistepScheduler(**FLOW),
}


def euler(steps=4, **config):
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    scheduler.set_timesteps(steps)
    return scheduler


def noise(batch=2):
    return torch.randn(batch, *SHAPE, generator=torch.Generator().manual_seed(0))


def spread(rank=3, std=(30.0, 5.0, 0.2)):
    rows = torch.randn(math.prod(SHAPE), rank, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.linalg.qr(rows)[0].mT.reshape(rank, *SHAPE).float(), torch.tensor(std)


@pytest.mark.parametrize("mean", [None, torch.full(SHAPE, 0.3)])
def test_the_first_step_of_euler_is_the_formula(mean):
    scheduler, x_1 = euler(shift=3.0), noise()
    velocity = x_1 - 0.1 * torch.randn(x_1.shape, generator=torch.Generator().manual_seed(2))
    (basis, std), sigma = spread(), float(scheduler.sigmas[1])
    m = (x_1 - velocity if mean is None else mean).double()
    along = torch.einsum("nchw,kchw->nk", x_1.double(), basis.double())
    wider = ((1 - sigma) ** 2 * std.double() ** 2 + sigma**2).sqrt() - sigma
    expected = (1 - sigma) * m + sigma * x_1.double() + torch.einsum("nk,kchw->nchw", along * wider, basis.double())
    actual = first_step(x_1, velocity, scheduler, mean=mean, spread=(basis, std))
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5)
    assert scheduler.step_index == 1


def test_a_mean_alone_needs_no_spread():
    scheduler, x_1, mean = euler(), noise(), torch.full(SHAPE, 0.3)
    actual = first_step(x_1, torch.zeros_like(x_1), scheduler, mean=mean)
    sigma = float(scheduler.sigmas[1])
    torch.testing.assert_close(actual, (1 - sigma) * mean + sigma * x_1)


@pytest.mark.parametrize("steps", [400, 1000])
@pytest.mark.parametrize("name", ["UniPC", "DPM++ 2M"])
def test_steps_that_share_a_rounded_timestep_are_steps_of_their_own(name, steps):
    scheduler = SOLVERS[name]()
    scheduler.set_timesteps(steps)
    assert len(scheduler.timesteps.unique()) < steps
    actual = measured(scheduler)
    assert (actual.sigma, actual.sigma_s, actual.stages) == (float(scheduler.sigmas[0]), float(scheduler.sigmas[1]), 1)
    # of x − σu: what a flow's Euler step has, which is the first of these solvers
    assert actual.of_sample == pytest.approx(1, abs=1e-3) and actual.of_output == pytest.approx(
        actual.sigma_s - actual.sigma, abs=1e-5
    )


@pytest.mark.parametrize("steps", [4, 10])
@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("name", SOLVERS)
def test_the_spread_of_gaussian_data_is_kept(name, corrected, steps):
    """1 within 1e-3 after the first step, for every solver; corrected, after every step but the last."""
    states = _on_gaussian_data(SOLVERS[name](), steps, corrected)
    first = states[0 if name != "Heun" else 1]
    torch.testing.assert_close(first, torch.ones_like(first), rtol=0, atol=1e-3)
    for state in states[:-1] if corrected else []:
        torch.testing.assert_close(state, torch.ones_like(state), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["Heun", "UniPC", "DPM++ 2M", "DPM++ 2S"])
def test_later_steps_do_not_take_the_widening_back(name):
    """Of large eigenvalues no more is lost than the steps after the first lose by themselves: at least 0.9 arrives, of 0.23 to 0.6 before."""
    large = EIGENVALUES >= 100
    kept = _on_gaussian_data(SOLVERS[name](), 10, False)[-1][large]
    assert bool((kept > 0.9).all() and (kept < 1.05).all())


class Steps:
    """As much of a pipeline as a hook needs."""

    def __init__(self, scheduler):
        self.scheduler = scheduler

    def prepare_latents(self, x_1):
        return x_1.clone()


def _on_gaussian_data(scheduler, steps, corrected):
    """Standard deviations over those of the noised data after each step, for the exact denoiser of Gaussian data."""
    pipe, count = Steps(scheduler), len(EIGENVALUES)
    basis = torch.eye(count).view(count, 1, 1, count)
    states = []
    with SingDiffusion(spread=(basis, EIGENVALUES.sqrt().float()), corrected=corrected).attached(pipe):
        scheduler.set_timesteps(steps)
        first = measured(scheduler)
        x = pipe.prepare_latents(torch.ones(1, 1, 1, count, dtype=torch.float64))
        for i, timestep in enumerate(scheduler.timesteps):
            sigma, after = (first.sigma_at(float(s)) for s in scheduler.sigmas[i : i + 2])
            x_hat = formula.posterior_slope(1 - sigma, sigma, EIGENVALUES) * x
            x = scheduler.step(first.sign * (x - x_hat) / sigma, timestep, x, return_dict=False)[0]
            states.append(x.flatten() / formula.marginal_var(1 - after, after, EIGENVALUES).sqrt())
    return states


def test_a_step_that_draws_noise_keeps_the_variance():
    """`κ² + η² = σ_s²`: the widening is that of κ, here 0, and the sum of the two independent parts has the noised data's variance."""
    scheduler, std = euler(stochastic_sampling=True), torch.tensor([30.0, 5.0, 0.2])
    basis, _ = spread()
    x_1 = torch.randn(4000, *SHAPE, generator=torch.Generator().manual_seed(3))
    actual = first_step(x_1, x_1, scheduler, spread=(basis, std), generator=torch.Generator().manual_seed(4))
    sigma = float(scheduler.sigmas[1])
    along = torch.einsum("nchw,kchw->nk", actual, basis)
    expected = ((1 - sigma) ** 2 * std**2 + sigma**2).sqrt()
    torch.testing.assert_close(along.std(dim=0), expected, rtol=0.05, atol=0)


@pytest.mark.parametrize(("x_1", "mean"), [("float32", "float64"), ("float64", "float32"), ("float16", "float64")])
def test_latents_and_a_mean_of_different_dtypes_go_with_a_spread(x_1, mean):
    latents, image = noise().to(getattr(torch, x_1)), torch.full(SHAPE, 0.3)
    exact = first_step(latents.float(), noise() / 2, euler(), mean=image, spread=spread())
    output = (noise() / 2).to(torch.float16 if x_1 == "float16" else torch.float32)
    actual = first_step(latents, output, euler(), mean=image.to(getattr(torch, mean)), spread=spread())
    assert actual.dtype == output.dtype
    assert float((actual.float() - exact).norm() / exact.norm()) < 1e-3


def test_half_precision_comes_back_as_it_went_in():
    x_1 = noise().to(torch.bfloat16)
    exact = first_step(x_1.float(), x_1.float() / 2, euler(), spread=spread())
    actual = first_step(x_1, x_1 / 2, euler(), spread=spread())
    assert actual.dtype == torch.bfloat16
    assert float((actual.float() - exact).norm() / exact.norm()) < 0.01


def not_finite():
    x_1 = noise()
    x_1[0, 0, 0, 0] = float("nan")
    return x_1


def begun():
    scheduler = euler()
    scheduler.step(noise(), scheduler.timesteps[0], noise())
    return scheduler


def at(sigmas):
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=sigmas)
    return scheduler


def heun():
    scheduler = FlowMatchHeunDiscreteScheduler()
    scheduler.set_timesteps(4)
    return scheduler


def clipped():
    scheduler = UniPCMultistepScheduler(**FLOW, thresholding=True)
    scheduler.set_timesteps(4)
    return scheduler


def predicting(kind):
    scheduler = UniPCMultistepScheduler(**FLOW | {"prediction_type": kind})
    scheduler.set_timesteps(4)
    return scheduler


BAD = {
    "neither mean nor spread": ({}, "network without a spread"),
    "NaN from the network": (
        {"model_output": not_finite, "spread": spread},
        "model_output at the first step: holds NaN",
    ),
    "NaN in the noise": ({"x_1": not_finite, "spread": spread}, "x_1 at the first step: holds NaN"),
    "directions that are not orthonormal": ({"spread": lambda: (2 * spread()[0], spread()[1])}, "orthonormal"),
    "a negative deviation": ({"spread": lambda: (spread()[0], -spread()[1])}, "not negative"),
    "NaN in the deviations": (
        {"spread": lambda: (spread()[0], spread()[1] * math.nan)},
        "std of the spread: holds NaN",
    ),
    "a spread of another size": ({"spread": lambda: (spread()[0][:, :, :4], spread()[1])}, "does not fit x_1"),
    "a deviation too few": ({"spread": lambda: (spread()[0], spread()[1][:2])}, "does not fit x_1"),
    "no pair": ({"spread": lambda: 3}, "need \\(basis, std\\)"),
    "a mean of another size": ({"mean": lambda: torch.zeros(4, 4, 4)}, "mean of shape \\(4, 4, 4\\): does not fit"),
    "an output of another shape": ({"model_output": lambda: noise(1), "spread": spread}, "give that of the network"),
    "sigmas from 0.7": ({"scheduler": lambda: at([0.7, 0.3]), "spread": spread}, "lacks 0.3 of the average image"),
    "a scheduler that has begun": ({"scheduler": begun, "spread": spread}, "has stepped already"),
    "a scheduler before set_timesteps": (
        {"scheduler": lambda: UniPCMultistepScheduler(**FLOW), "spread": spread},
        "set_timesteps first",
    ),
    "no flow": ({"scheduler": DDIMScheduler, "spread": spread}, "initial_latents"),
    "two stages": ({"scheduler": heun, "spread": spread}, "two stages"),
    "thresholds": ({"scheduler": clipped, "spread": spread}, "not linear"),
    "a network of noise": ({"scheduler": lambda: predicting("epsilon"), "spread": spread}, "no flow with a network"),
    "a network of images": ({"scheduler": lambda: predicting("sample"), "spread": spread}, "no flow with a network"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_and_the_scheduler_untouched(name):
    arguments, message = BAD[name]
    made = {"x_1": noise, "model_output": noise, "scheduler": euler, **arguments}
    made = {key: make() for key, make in made.items()}
    scheduler = made.pop("scheduler")
    before = dict(vars(scheduler))
    with pytest.raises(InputError, match=message) as caught:
        first_step(made.pop("x_1"), made.pop("model_output"), scheduler, **made)
    assert "\n" not in str(caught.value)
    assert vars(scheduler).keys() == before.keys()
    assert all(vars(scheduler)[key] is before[key] for key in before)


def test_noise_of_the_process_is_not_touched_by_measuring():
    state = torch.get_rng_state()
    scheduler = FlowMatchLCMScheduler()
    scheduler.set_timesteps(4)
    assert measured(scheduler).kept_std == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_a_grid_that_is_changed_after_it_was_set_is_measured_anew():
    """In place, or by another tensor; what was measured of one as it is need not be measured again."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(4)
    known = Measured.of(scheduler)
    assert Measured.of(scheduler, known) is known
    scheduler.sigmas[1] = 0.5
    assert Measured.of(scheduler, known).first.sigma_s == pytest.approx(0.5)
    scheduler.set_timesteps(4)
    assert Measured.of(scheduler, known) is not known


def test_a_step_is_known_again_after_many_writes_and_measured_anew_where_none_are_counted():
    """Numbers beyond 256 were other objects; a tensor of inference mode has no count of writes, and asking for it is an error."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    for _ in range(300):
        scheduler.sigmas.mul_(1.0)
    assert Measured.of(scheduler, known := Measured.of(scheduler)) is known
    with torch.inference_mode():
        scheduler.set_timesteps(4)
        assert Measured.of(scheduler, Measured.of(scheduler)).first.sigma_s == measured(scheduler).sigma_s

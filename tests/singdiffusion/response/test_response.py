"""What schedulers keep: measured values of real ones, parts, random ones, and refusals."""

import json
import math
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    LTXEulerAncestralRFScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image
from typer.testing import CliRunner

from singdiffusion import AverageTable
from singdiffusion.cli import app
from singdiffusion.response import kept, respond, scheduler_response
from singtheory import InputError, RectifiedFlow, formula, schedule_named
from singtheory.grid.grids import leading
from singtheory.response import spread_kept

EIGENVALUES = [0.01, 0.1, 1.0, 10.0, 100.0, 640.0, 1700.0, 1e4]
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
DDIM = {**SD, "clip_sample": False, "set_alpha_to_one": False}
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
MEASURED = {
    "DDIM": (DDIMScheduler(**DDIM), 20, ".739 .846 .937 .919 .720 .397 .258 .110"),
    "DPM++": (DPMSolverMultistepScheduler(**SD), 20, ".405 .815 .980 .976 .823 .500 .334 .145"),
    "Karras": (
        DPMSolverMultistepScheduler(**SD, use_karras_sigmas=True),
        20,
        ".964 1.013 1.012 .987 .829 .501 .335 .145",
    ),
    "Euler": (EulerDiscreteScheduler(**SD), 10, ".497 .681 .862 .872 .751 .483 .329 .144"),
    "flow Euler": (FlowMatchEulerDiscreteScheduler(shift=3.0), 10, ".332 .610 .818 .867 .805 .631 .481 .232"),
    "flow DPM++": (DPMSolverMultistepScheduler(**FLOW), 10, ".286 .670 .957 .999 .911 .718 .561 .301"),
    "flow UniPC": (UniPCMultistepScheduler(**FLOW), 10, ".283 .670 .966 1.016 .984 .838 .666 .335"),
    "flow Heun": (FlowMatchHeunDiscreteScheduler(shift=3.0), 10, "1.620 1.004 .980 .984 .964 .847 .685 .348"),
}
"""Measured apart from this package, in a script that steps each scheduler on the linear denoiser."""


@pytest.mark.parametrize("name", MEASURED)
def test_real_schedulers_keep_what_was_measured(name):
    scheduler, steps, measured = MEASURED[name]
    actual = respond(scheduler, EIGENVALUES, steps)
    expected = torch.tensor([float(value) for value in measured.split()], dtype=torch.float64)
    torch.testing.assert_close(actual.kept, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(actual.start * actual.solver * actual.end, actual.kept)
    assert actual.noises == 0


def test_ddim_is_the_cosine_law_on_its_own_grid():
    schedule = schedule_named("sd")
    expected = spread_kept(schedule, leading(schedule, 20), EIGENVALUES, start="noise")
    actual = respond(DDIMScheduler(**DDIM), EIGENVALUES, 20)
    # the law measures the end by what is right there, the response by the data; float32 holds 1 − ᾱ near t = 0 to four digits
    torch.testing.assert_close(actual.start * actual.solver, expected, rtol=1e-3, atol=0)


def test_random_steps_add_their_variances():
    """DDPM's noise is counted once a step; the law of ancestral steps says what is kept."""
    schedule = schedule_named("sd")
    law = spread_kept(schedule, leading(schedule, 20), EIGENVALUES, eta=1.0, start="noise")
    actual = respond(DDPMScheduler(**{**SD, "clip_sample": False, "variance_type": "fixed_small"}), EIGENVALUES, 20)
    assert actual.noises >= 19
    big = torch.tensor(EIGENVALUES) > 5  # at the very end DDPM draws no noise and stops at t = 0
    torch.testing.assert_close((actual.start * actual.solver)[big], law[big], rtol=2e-2, atol=0)


def test_a_random_scheduler_agrees_with_draws():
    scheduler = EulerAncestralDiscreteScheduler(**SD)
    actual = respond(scheduler, [100.0], 8)
    scheduler.set_timesteps(8)
    generator, lam = torch.Generator().manual_seed(0), 100.0
    x = torch.randn(20000, 1, 1, 1, dtype=torch.float64, generator=generator) * scheduler.init_noise_sigma
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        noise = x * float(sigma) / (lam + float(sigma) ** 2)  # ε of Gaussian data in the scheduler's units
        x = scheduler.step(noise, t, x, generator=generator).prev_sample.double()
    drawn = float(x.std()) / lam**0.5
    assert drawn == pytest.approx(float(actual.kept), rel=5 / (2 * 20000) ** 0.5)


def test_the_scheduler_is_left_as_it_was():
    scheduler = EulerDiscreteScheduler(**SD)
    scheduler.set_timesteps(7)
    before = scheduler.timesteps.clone()
    scheduler_response(scheduler, [1.0], 20)
    assert torch.equal(scheduler.timesteps, before) and scheduler.step_index is None


def test_a_flow_that_draws_noise_often_loses_none_of_it():
    scheduler = FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)
    expected = respond(scheduler, EIGENVALUES, 100).kept
    scheduler.set_timesteps(100)
    actual = kept(scheduler, torch.tensor(EIGENVALUES, dtype=torch.float64)).end
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("steps", [400, 600, 1000])
@pytest.mark.parametrize(
    "kind", [UniPCMultistepScheduler, DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, DEISMultistepScheduler]
)
def test_many_steps_of_a_flow_keep_what_the_flow_keeps(kind, steps):
    """All of it (F1's limit), though from 400 steps on these solvers round several steps to one timestep."""
    scheduler = kind(**FLOW | ({"lower_order_final": True} if kind is DPMSolverSinglestepScheduler else {}))
    scheduler.set_timesteps(steps)
    assert len(scheduler.timesteps.unique()) < len(scheduler.timesteps)
    kept = scheduler_response(scheduler, [100.0, 0.1], steps)
    assert float((kept - 1).abs().max()) < 4 / steps


def test_flow_euler_is_the_law_on_its_own_sigmas():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    scheduler.set_timesteps(sigmas=[1.0, 0.7, 0.2])
    expected = spread_kept(RectifiedFlow(), scheduler.sigmas.double(), EIGENVALUES)
    actual = respond(FlowMatchEulerDiscreteScheduler(shift=1.0), EIGENVALUES, None, sigmas=[1.0, 0.7, 0.2])
    torch.testing.assert_close(actual.kept, expected, rtol=1e-5, atol=0)
    first = formula.first_step_kept((0.3 / 0.7) ** 2, torch.tensor(EIGENVALUES, dtype=torch.float64), torch)
    torch.testing.assert_close(actual.first, first, rtol=1e-5, atol=0)


def test_edm_is_asked_in_its_own_mixture():
    actual = respond(EDMEulerScheduler(), [0.25, 25.0], 18)
    assert bool((actual.kept > 0.5).all()) and bool((actual.kept < 1.05).all())


@pytest.mark.parametrize(
    ("scheduler", "steps", "message"),
    [
        (DDIMScheduler(**{**DDIM, "clip_sample": True}), 10, "clip_sample cuts pictures off"),
        (DPMSolverMultistepScheduler(**SD, thresholding=True), 10, "thresholding cuts"),
        (FlowMatchEulerDiscreteScheduler(shift=0.0), 10, "shift 0.0: must be positive"),
        (FlowMatchEulerDiscreteScheduler(shift=-2.0), 10, "shift -2.0: must be positive"),
        (UniPCMultistepScheduler(**FLOW | {"flow_shift": 0.0}), 10, "flow_shift 0.0: must be positive"),
        (DDIMScheduler(**DDIM), 2000, "set_timesteps refuses"),
        (DDIMScheduler(**DDIM, rescale_betas_zero_snr=True, timestep_spacing="trailing"), 10, "NaN or infinity"),
    ],
)
def test_what_has_no_response_is_refused(scheduler, steps, message):
    with pytest.raises(InputError, match=message):
        respond(scheduler, [1.0], steps)


@pytest.mark.parametrize("wrong", [[0.0], [-1.0], [float("inf")], []])
def test_eigenvalues_must_be_positive(wrong):
    with pytest.raises(InputError, match="eigenvalue"):
        respond(DDIMScheduler(**DDIM), wrong, 10)


def test_the_command_writes_rows_and_draws(tmp_path):
    DDIMScheduler(**DDIM).save_config(tmp_path)
    files = [tmp_path / "r.json", tmp_path / "r.png"]
    arguments = ["response", str(tmp_path / "scheduler_config.json"), "--steps", "20", "--eigenvalues", "640,1"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(files[0]), "--picture", str(files[1])])
    assert result.exit_code == 0, result.output
    written = json.loads(files[0].read_text())
    assert [row["eigenvalue"] for row in written["rows"]] == [640.0, 1.0]
    assert written["rows"][0]["kept"] == pytest.approx(0.397, abs=1e-3)
    assert written["version"] and written["command"] and written["bands"] == []
    theta = written["angles"]["theta"]
    assert written["angles"]["eigenvalue"] == 640.0 and len(theta) == 21
    steps = math.prod(math.cos(after - before) for before, after in pairwise(theta))
    assert written["rows"][0]["solver"] == pytest.approx(steps, rel=1e-5)  # DDIM's are the cosine law
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "40% arrives: 40% by the start" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eigenvalues", "a"], "separated by commas"),
        (["--eigenvalues", "1", "--data", "digits"], "give one of them"),
        (["--steps", "5", "--sigmas", "1,0.5"], "give one of them"),
        (["--steps", "0"], "refuses 0 steps"),
        (["--steps", "-3"], "refuses -3 steps"),
        (["--steps", "5000"], "steps"),
        (["--sigmas", "0.5,1"], "sigmas"),
        (["--sigmas", "a"], "separated by commas"),
        (["--eigenvalues", "640,-1"], "positive and finite"),
        (["--eigenvalues", "0"], "positive and finite"),
        (["--eigenvalues", "inf"], "positive and finite"),
        (["--eigenvalues", ""], "separated by commas"),
        (["--spacing", "trail"], "did you mean trailing"),
        (["--data", "NONE"], "NONE"),
        (["--module", "NONE"], "NONE"),
    ],
)
def test_bad_input_is_one_line(tmp_path, options, message):
    DDIMScheduler(**DDIM).save_config(tmp_path)
    result = CliRunner().invoke(app, ["response", str(tmp_path / "scheduler_config.json"), *options])
    assert result.exit_code == 2
    assert message in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_a_spacing_that_the_scheduler_does_not_read_is_refused(tmp_path):
    FlowMatchEulerDiscreteScheduler().save_config(tmp_path)
    arguments = ["response", str(tmp_path / "scheduler_config.json"), "--spacing", "trailing"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "has a grid of its own; leave --spacing out" in result.stderr


class Hidden(EulerAncestralDiscreteScheduler):
    """Draws with numpy, which no one sees."""

    def step(self, model_output, timestep, sample, generator=None, return_dict=True):
        noise = torch.from_numpy(np.random.standard_normal(sample.shape))  # noqa: NPY002
        with mock.patch("diffusers.schedulers.scheduling_euler_ancestral_discrete.randn_tensor", lambda *a, **k: noise):
            return super().step(model_output, timestep, sample, generator, return_dict)


class Bent(EulerDiscreteScheduler):
    """Bends what it returns, as a soft threshold does."""

    def step(self, *args, **kwargs):
        actual = super().step(*args, **kwargs)
        actual.prev_sample = 40 * torch.tanh(actual.prev_sample / 40)
        return actual


def test_hidden_noise_is_drawn_and_the_interval_holds_what_is_right():
    exact, actual = (respond(kind(**SD), EIGENVALUES, 8) for kind in (EulerAncestralDiscreteScheduler, Hidden))
    assert exact.draws == 0 and torch.equal(exact.low, exact.kept) and torch.equal(exact.high, exact.kept)
    assert actual.draws > 0 and actual.noises == 0
    assert bool((actual.low < actual.kept).all() and (actual.kept < actual.high).all())
    wide = 2 * (actual.high - actual.low)  # eight intervals at once, far beyond 99 %
    assert bool(((actual.kept - exact.kept).abs() < wide).all())
    assert float(((actual.high - actual.low) / actual.kept).max()) < 0.15
    torch.testing.assert_close(actual.start * actual.solver * actual.end, actual.kept)


def test_steps_that_are_not_linear_are_drawn():
    actual, linear = respond(Bent(**SD), [0.01, 400.0], 8), respond(EulerDiscreteScheduler(**SD), [0.01, 400.0], 8)
    assert actual.draws > 0
    assert float(actual.high[1]) < float(linear.kept[1])  # 20 of 40 bends visibly
    assert float(actual.low[0]) * 0.8 < float(linear.kept[0]) < float(actual.high[0]) * 1.2


def test_draws_are_the_same_each_time_and_leave_the_generators_alone():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    actual = [respond(Bent(**SD), [1.0], 4).kept for _ in range(2)]
    assert torch.equal(*actual)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (EDMEulerScheduler(prediction_type="sample"), "EDMEulerScheduler: cannot be stepped"),
        (EDMDPMSolverMultistepScheduler(prediction_type="sample"), "EDMDPMSolverMultistepScheduler: cannot be stepped"),
        (LTXEulerAncestralRFScheduler(), "mixes no data with noise"),
        (PNDMScheduler(prediction_type="sample"), "cannot be stepped"),
    ],
)
def test_what_cannot_be_run_is_an_input_error(scheduler, message):
    with pytest.raises(InputError, match=message) as actual:
        respond(scheduler, [1.0], 10)
    assert "\n" not in str(actual.value)


def test_a_modules_spread_gives_the_eigenvalues(tmp_path):
    images = torch.randn(40, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 20
    table = AverageTable.from_images({"": images}, rank=3)
    table.save_pretrained(tmp_path / "module")
    DDIMScheduler(**DDIM).save_config(tmp_path)
    arguments = [
        "response",
        str(tmp_path / "scheduler_config.json"),
        "--steps",
        "10",
        "--json",
        str(tmp_path / "r.json"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--module", str(tmp_path / "module")])
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "r.json").read_text())
    assert [row["eigenvalue"] for row in written["rows"]] == pytest.approx((table.stds[0].double() ** 2).tolist())
    AverageTable.from_images({"": images}).save_pretrained(tmp_path / "plain")
    result = CliRunner().invoke(app, [*arguments, "--module", str(tmp_path / "plain")])
    assert result.exit_code == 2 and "no spread" in result.output
    result = CliRunner().invoke(app, [*arguments, "--module", str(tmp_path / "module"), "--eigenvalues", "1"])
    assert result.exit_code == 2 and "give one of them" in result.output


def test_data_of_one_picture_are_refused_in_one_line(tmp_path):
    DDIMScheduler(**DDIM).save_config(tmp_path)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8), (90, 30, 200)).save(tmp_path / "pictures" / "one.png")
    arguments = ["response", str(tmp_path / "scheduler_config.json"), "--data", str(tmp_path / "pictures")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "error" in result.output and "Traceback" not in result.output

"""Schedules: exact ends, exact derivatives, the inverse of the SNR, and diffusers' own numbers."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import Cosine, Discrete, InputError, LinearVP, Power, RectifiedFlow, VarianceExploding, schedule_named
from singtheory.schedule import STABLE_DIFFUSION, VariancePreserving, zero_terminal_snr
from tests.strategies import SCHEDULE_NAMES, schedules, times

REACHES_ZERO = ("cosine", "rectified-flow", "power:0.5", "power:1", "power:3", "sd-zero-snr")


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_ends_are_exact(name):
    schedule = schedule_named(name)
    assert float(schedule.alpha(0.0)) == 1
    assert float(schedule.sigma(0.0)) == 0
    assert float(schedule.snr(0.0)) == math.inf
    assert (float(schedule.alpha(1.0)) == 0) == (name in REACHES_ZERO)
    assert (float(schedule.snr(1.0)) == 0) == (name in REACHES_ZERO)


@given(schedules(), times())
def test_time_of_snr_inverts_snr(schedule, t):
    snr = schedule.snr(t)
    back = float(schedule.time_of_snr(snr))
    # a relative error ε of the SNR is an error ε·γ/|γ'| of the time
    assert back == pytest.approx(t, abs=1e-12, rel=1e-9) or float(schedule.snr(back)) == pytest.approx(
        float(snr), rel=1e-12
    )


@given(schedules(), st.floats(0.01, 0.99))
def test_derivatives_are_those_of_autograd(schedule, t):
    if isinstance(schedule, Discrete):
        t = (math.floor(t * 1000) + 0.5) / 1000  # inside a linear segment
    for value, dot in ((schedule.alpha, schedule.alpha_dot), (schedule.sigma, schedule.sigma_dot)):
        x = torch.tensor(t, dtype=torch.float64, requires_grad=True)
        y = value(x)
        expected = torch.autograd.grad(y, x)[0] if y.requires_grad else torch.zeros(())
        assert float(dot(t)) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "alpha_dot_1", "sigma_dot_0"),
    [
        (Cosine(), -math.pi / 2, math.pi / 2),
        (RectifiedFlow(), -1.0, 1.0),
        (VarianceExploding(80.0), 0.0, 80.0),
        (Power(0.5), -math.inf, math.inf),
        (Power(1.0), -1.0, math.inf),
        (Power(2.0), 0.0, math.inf),
        (LinearVP(), -10.0 * math.exp(-5.025), math.inf),
        (schedule_named("sd-zero-snr"), -math.inf, math.inf),
    ],
)
def test_derivatives_at_the_ends(schedule, alpha_dot_1, sigma_dot_0):
    assert float(schedule.alpha_dot(1.0)) == pytest.approx(alpha_dot_1, rel=1e-12)
    assert float(schedule.sigma_dot(0.0)) == pytest.approx(sigma_dot_0, rel=1e-12)


@given(schedules(), times())
def test_variance_preserving(schedule, t):
    total = float(schedule.alpha(t)) ** 2 + float(schedule.sigma(t)) ** 2
    if isinstance(schedule, VariancePreserving):
        assert total == pytest.approx(1, abs=1e-14)
    elif 0.01 < t < 0.99:
        assert abs(total - 1) > 1e-3


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_snr_decreases(name):
    t = torch.linspace(0, 1, 3001, dtype=torch.float64)
    assert bool((schedule_named(name).snr(t).diff() < 0).all())


def test_stable_diffusions_values():
    """facts: α = .0683 at the last node, .0760 at step 981, .118 at step 901."""
    sd = schedule_named("sd")
    assert float(sd.alpha(1.0)) == pytest.approx(0.0683, abs=5e-5)
    assert float(sd.alpha(0.982)) == pytest.approx(0.0760, abs=5e-5)
    assert float(sd.alpha(0.902)) == pytest.approx(0.118, abs=5e-4)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("rule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_diffusers_configs(rule, zero):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(beta_schedule=rule, beta_start=0.00085, beta_end=0.012, rescale_betas_zero_snr=zero)
    ours = Discrete.from_config(dict(theirs.config))
    nodes = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    bars = ours.alpha(nodes).square()
    # diffusers multiplies a thousand float32 numbers
    torch.testing.assert_close(bars, theirs.alphas_cumprod.double(), rtol=2e-4, atol=2e-6)
    assert (float(bars[-1]) == 0) == zero


def test_zero_terminal_snr_keeps_the_first_node():
    bars = torch.tensor([0.99, 0.5, 0.1], dtype=torch.float64)
    rescaled = zero_terminal_snr(bars)
    assert float(rescaled[-1]) == 0
    assert float(rescaled[0]) == pytest.approx(0.99, rel=1e-15)
    assert float(rescaled[1].sqrt()) == pytest.approx((0.5**0.5 - 0.1**0.5) * 0.99**0.5 / (0.99**0.5 - 0.1**0.5))


def test_trained_betas_are_taken_as_they_are():
    schedule = Discrete.from_config({"trained_betas": [0.1, 0.2], "num_train_timesteps": 2})
    assert float(schedule.alpha(1.0) ** 2) == pytest.approx(0.9 * 0.8)
    assert float(schedule.alpha(0.5) ** 2) == pytest.approx(0.9)
    assert float(schedule.alpha(0.75) ** 2) == pytest.approx((0.9 + 0.72) / 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: schedule_named("cosin"), "did you mean cosine"),
        (lambda: schedule_named("power:"), "exponent"),
        (lambda: schedule_named("power:-1"), "positive"),
        (lambda: LinearVP(2.0, 1.0), "beta_min"),
        (lambda: VarianceExploding(math.inf), "sigma_max"),
        (lambda: Discrete([0.9]), "at least two"),
        (lambda: Discrete([0.5, 0.6]), "decrease"),
        (lambda: Discrete([0.5, math.nan]), "decrease"),
        (lambda: Discrete.from_config({"shift": 3.0}), "beta_start"),
        (lambda: Discrete.from_config({**STABLE_DIFFUSION, "beta_schedule": "scaled"}), "scaled_linear"),
        (lambda: Cosine().alpha(1.0001), "outside"),
        (lambda: Cosine().alpha(-0.1), "outside"),
        (lambda: Cosine().alpha(math.nan), "outside"),
        (lambda: LinearVP().time_of_snr(1e-9), "below"),
        (lambda: Cosine().time_of_snr(math.nan), "below"),
    ],
)
def test_bad_input_is_one_line(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_config_files(tmp_path):
    good, bad = tmp_path / "scheduler_config.json", tmp_path / "list.json"
    good.write_text(json.dumps(STABLE_DIFFUSION))
    bad.write_text("[1]")
    assert float(schedule_named(str(good)).alpha(1.0)) == float(schedule_named("sd").alpha(1.0))
    with pytest.raises(InputError, match="holds no scheduler config"):
        schedule_named(str(bad))
    bad.write_text("{")
    with pytest.raises(InputError, match=r"list\.json: cannot be read"):
        schedule_named(str(bad))

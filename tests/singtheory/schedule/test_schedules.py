"""Schedules: exact ends, exact derivatives, the inverse of the SNR, and diffusers' own numbers."""

import json
import math
import re

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import (
    Cosine,
    Discrete,
    InputError,
    LinearVP,
    Power,
    RectifiedFlow,
    Schedule,
    VarianceExploding,
    schedule_named,
)
from singtheory.schedule.schedules import ROUNDING, STABLE_DIFFUSION, VariancePreserving, zero_terminal_snr
from tests.support.strategies import SCHEDULE_NAMES, schedules, times


def _exactly(name: str, process: Schedule, t: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """α² and σ² at a float, from the parameters as they are."""
    t, one = mpmath.mpf(t), mpmath.mpf(1)
    if name == "cosine":
        return mpmath.cos(mpmath.pi * t / 2) ** 2, mpmath.sin(mpmath.pi * t / 2) ** 2
    if name == "rectified-flow":
        return (1 - t) ** 2, t**2
    if isinstance(process, VarianceExploding):
        return one, (process.sigma_max * t) ** 2
    if isinstance(process, LinearVP):
        low, high = mpmath.mpf(process.beta_min), mpmath.mpf(process.beta_max)
        log_bar = -t * low - t**2 * (high - low) / 2
        return mpmath.exp(log_bar), -mpmath.expm1(log_bar)
    if isinstance(process, Power):
        bar = (1 - t) ** (2 * mpmath.mpf(process.p))
        return bar, 1 - bar
    assert isinstance(process, Discrete), (
        f"{name}: give its α² and σ² here, by which its ends and its rounding are judged"
    )
    bars, steps = [mpmath.mpf(v) for v in process._bars.tolist()], process.train_steps
    node = round(float(t) * steps)
    if node / steps == float(t):
        return bars[node], 1 - bars[node]
    left = int(mpmath.floor(t * steps))
    bar = bars[left] + (t * steps - left) * (bars[left + 1] - bars[left])
    return bar, 1 - bar


REACHES_ZERO = [name for name in SCHEDULE_NAMES if _exactly(name, schedule_named(name), 1.0)[0] < 1e-25]
"""Schedules with `α_1 = 0`; mpmath's cosine of π/2 is not quite."""


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


@pytest.mark.parametrize(("p", "rate"), [(0.2, math.inf), (0.5, 0.5), (0.7, 0.0), (1.0, 0.0), (3.0, 0.0)])
def test_sigma_of_a_power_at_its_end(p, rate):
    """`σ² = 1 − (1−t)^{2p}`: its rate at t = 1 is `p (1−t)^{2p−1}/σ`."""
    assert float(Power(p).sigma_dot(1.0)) == rate
    near = Power(p).sigma_dot(1 - 1e-9)
    assert float(near) == pytest.approx(p * (1e-9) ** (2 * p - 1) / (1 - 1e-9 ** (2 * p)) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("name", ["sd", "sd-zero-snr"])
@pytest.mark.parametrize("snr", [1e4, 1e9, 1e13, 1e16, 1e30, 1e100])
def test_no_signal_is_so_strong_that_its_time_is_zero(name, snr):
    schedule = schedule_named(name)
    assert float(schedule.snr(schedule.time_of_snr(snr))) == pytest.approx(snr, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", REACHES_ZERO)
@pytest.mark.parametrize("snr", [1e-12, 1e-16, 1e-20, 1e-30, 1e-300])
def test_no_signal_is_so_weak_that_its_time_is_one(name, snr):
    """The last float64 below t = 1 bounds what a time can say; none but γ = 0 is t = 1."""
    schedule = schedule_named(name)
    actual = schedule.time_of_snr(snr)
    assert float(actual) < 1 and float(schedule.snr(actual)) > 0
    assert (
        float(schedule.snr(min(float(actual) + 2.0**-51, 1.0)))
        <= 1.01 * snr
        <= 1.03 * float(schedule.snr(actual - 2.0**-51))
    )
    assert float(schedule.time_of_snr(0.0)) == 1.0


@pytest.mark.parametrize("name", ["sd", "sd-zero-snr"])
@pytest.mark.parametrize("t", [1e-15, 0.05, 0.5, 0.9])
def test_the_shortest_steps_are_steps(name, t):
    """Two times that differ are not moved to one node: `σ²` is linear between nodes, whose times are those of `(k + 1)/T`."""
    schedule = schedule_named(name)
    for later in (t * (1 + 1e-13), t + 1e-12):
        assert float(schedule.sigma(later) ** 2 - schedule.sigma(t) ** 2) == pytest.approx(
            float(schedule.sigma_dot(later) * schedule.sigma(later) * 2) * (later - t), rel=0.05, abs=4e-16
        )
    nodes = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    left, fraction, rest = schedule._segment(nodes)
    assert left.tolist() == list(range(1000)) and bool((fraction == 1).all() and (rest == 0).all())


@pytest.mark.parametrize("t", [2e-6, 1e-4, 0.0004, 0.0123, 0.4321, 0.9990001])
def test_times_of_strong_and_weak_signals_keep_their_digits(t):
    """Near t = 0 `ᾱ` is 1 but for its last digits, and near t = 1 `1 − ᾱ` is: each inverse takes the one that has them."""
    schedule = schedule_named("sd-zero-snr")
    assert float(schedule.time_of_snr(schedule.snr(t))) == pytest.approx(t, rel=3e-15, abs=1e-16)
    late = schedule.snr(1 - 1e-12)
    assert 1 - float(schedule.time_of_snr(late)) == pytest.approx(1e-12, rel=1e-3)


def test_fields_that_a_config_leaves_out_are_diffusers_defaults():
    betas = {"beta_start": 0.1, "beta_end": 0.2, "num_train_timesteps": 4}
    schedule = Discrete.from_config(betas)
    assert schedule.set_alpha_to_one and schedule.steps_offset == 0
    assert not Discrete.from_config({**betas, "set_alpha_to_one": False, "steps_offset": 1}).set_alpha_to_one
    assert Discrete.from_config({**betas, "steps_offset": 1}).steps_offset == 1


def test_the_time_and_the_ratio_that_are_wrong_are_named():
    with pytest.raises(InputError, match=r"time 2\.0 is outside"):
        Cosine().alpha(torch.tensor([[0.5, 0.2], [2.0, 0.1]]))
    with pytest.raises(InputError, match=r"snr 0\.001 is below"):
        schedule_named("sd").time_of_snr(torch.tensor([1.0, 0.001, 3.0], dtype=torch.float64))


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
    """Stable Diffusion: α = 0.0683 at the last node, 0.0760 at step 981, 0.118 at step 901."""
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


def test_a_bad_config_is_named_by_its_source():
    with pytest.raises(InputError, match=r"^mine\.json: "):
        Discrete.from_config({"shift": 3.0}, "mine.json")


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


@pytest.mark.parametrize("p", [1e-6, 0.5, 3.0, 1e6])
@pytest.mark.parametrize("t", [1e-16, 1e-9, 1e-4, 0.3])
def test_a_power_keeps_its_digits_near_the_start(p, t):
    """`1 − t` has lost digits of t, and p multiplies them."""
    with mpmath.workdps(60):
        alpha = mpmath.exp(p * mpmath.log1p(-mpmath.mpf(t)))
        snr = alpha**2 / (1 - alpha**2)
    assert float(Power(p).alpha(t)) == pytest.approx(float(alpha), rel=1e-15 * max(1.0, p * t), abs=1e-300)
    assert float(Power(p).snr(t)) == pytest.approx(float(snr), rel=1e-14 * max(1.0, p * t), abs=1e-300)


def test_the_time_of_no_signal_where_alpha_underflows():
    assert float(LinearVP(1e-8, 1e4).time_of_snr(0.0)) == 1.0


@pytest.mark.parametrize("name", [*SCHEDULE_NAMES, "power:100"])
def test_snr_is_within_its_stated_rounding(name):
    """At ends, at nodes and beside them, and anywhere; sd-zero-snr was off by 1e-4 beside t = 1, where `ᾱ` is what is left of 1 − t."""
    process, generator = schedule_named(name), torch.Generator().manual_seed(0)
    near = [10.0**-k for k in range(1, 15)]
    times = [*near, *(1 - t for t in near), *(k / 1000 for k in range(1, 1000, 37)), 0.5 + 2.0**-52, 0.3 + 1e-16]
    times += torch.rand(60, dtype=torch.float64, generator=generator).tolist()
    allowed = ROUNDING + (2 * process.p * 2.0**-53 if isinstance(process, Power) else 0.0)
    with mpmath.workdps(60):
        for t in times:
            alpha2, sigma2 = _exactly(name, process, t)
            snr = alpha2 / sigma2
            if snr > 1e-290:
                assert abs(mpmath.mpf(float(process.snr(t))) - snr) <= allowed * snr, t
            for actual, square in ((process.alpha(t), alpha2), (process.sigma(t), sigma2)):
                off = abs(mpmath.mpf(float(actual)) ** 2 - square)
                assert square < 1e-290 or off <= allowed * square, t


@pytest.mark.parametrize("betas", [(1e-9, 1e-8), (0.1, 20.0), (0.1, 200.0), (1e-3, 1000.0)])
def test_snr_of_steep_betas_is_within_its_stated_rounding(betas):
    """`γ = 1/(e^{−2 log α} − 1)`: what `log α` rounds at its own size is a part of γ."""
    process, worst = LinearVP(*betas), 0.0
    with mpmath.workdps(60):
        low, high = map(mpmath.mpf, betas)
        for t in torch.linspace(0.001, 1, 100, dtype=torch.float64).tolist():
            log_alpha = -(low / 2 * mpmath.mpf(t) + (high - low) / 4 * mpmath.mpf(t) ** 2)
            snr = 1 / mpmath.expm1(-2 * log_alpha)
            off = abs(mpmath.mpf(float(process.snr(t))) / snr - 1)
            assert off <= ROUNDING + 8 * abs(log_alpha) * mpmath.mpf(2) ** -53, t
            worst = max(worst, float(off))
    assert (worst > ROUNDING) == (betas[1] >= 200)


@pytest.mark.parametrize("p", [1e-6, 1e6])
def test_exponents_up_to_both_limits_are_taken_and_none_beyond(p):
    assert Power(p).p == p
    with pytest.raises(InputError, match="from 1e-6 to 1e6"):
        Power(p * (1 + math.copysign(1e-7, math.log(p))))


def test_samplers_of_a_discrete_schedule_end_at_the_data_unless_it_says_otherwise():
    assert Discrete([0.9, 0.1]).set_alpha_to_one is True
    assert Discrete([0.9, 0.1], set_alpha_to_one=False).set_alpha_to_one is False


def test_the_pair_is_alpha_and_sigma():
    alpha, sigma = Power(2.0)(0.5)
    assert float(alpha) == pytest.approx(0.25) and float(sigma) == pytest.approx(math.sqrt(15) / 4)


def test_the_ratio_that_is_named_is_the_one_below_the_smallest():
    """The last rounding of `γ_1` is allowed for, and a ratio exactly at that edge is not the one that is refused."""
    schedule = schedule_named("linear-vp")
    lowest = float(schedule.snr(1.0))
    edge, below = lowest * (1 - 1e-12), lowest / 2
    assert float(schedule.time_of_snr(edge)) == 1.0
    with pytest.raises(InputError, match=re.escape(f"snr {below} is below")):
        schedule.time_of_snr(torch.tensor([edge, below], dtype=torch.float64))

r"""What is wrong with a pipeline's start, how much it costs, and what mends it.

A scheduler tells its sampler to start from noise, and the network that this is `α y + σ n`. How far the two are apart is measured on the
live scheduler; in nats and in brightness it follows from the data's mean and covariance (C5 to C7, `singtheory.start.mismatch`).
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from singdiffusion.base import (
    Checkpoint,
    Implied,
    Scheduler,
    implied_prediction,
    is_discrete,
    matches_flow,
    reaches_zero_snr,
    reads,
    schedule_of,
    vae_floor,
)
from singdiffusion.evaluation.data_statistics import Reading
from singdiffusion.evaluation.diagnose_flow import FlowDiagnosis, diagnose_flow
from singdiffusion.evaluation.remedies import Expected, expected
from singdiffusion.start import Point, first_point, start_std
from singdiffusion.system import first_sentence
from singtheory import formula
from singtheory.errors import InputError, unknown_name
from singtheory.schedule import Discrete
from singtheory.start import arrival, flow_end, from_matched, from_noise, initial_mismatch, sde_end

SPACINGS = ("leading", "trailing", "linspace")
_RANKS = (1, 8)


@dataclass(frozen=True)
class FirstStep:
    """Where a sampler starts.

    Attributes:
        timestep: that the network is told.
        alpha: of `α y + σ n`, which the network expects.
        sigma: the same.
        snr: `γ = α²/σ²`.
        start_std: standard deviation of the noise that it is given instead.
        epsilon_gain: `σ/α`, by which an error in ε enters `x̂` (C2); None where the network is not told a step of training.
        finite: whether one step of the scheduler gives numbers.
        stochastic: whether the step draws noise, as those of the reverse SDE do.
    """

    timestep: float
    alpha: float
    sigma: float
    snr: float
    start_std: float
    epsilon_gain: float | None
    finite: bool
    stochastic: bool


@dataclass(frozen=True)
class Option:
    """A start that one might choose, and what is to be expected of it.

    Attributes:
        start: `noise`, `mean` or `matched`, with the rank.
        spacing: of the timesteps; None where the scheduler has none.
        zero_snr: whether the schedule is rescaled to end at SNR 0.
        first: where it starts.
        nats_low: `KL(q_t‖start)` is at least this; None without data. Exact for Gaussian data.
        nats_high: and at most this.
        mean: of the reading, such as brightness, where many steps take Gaussian data.
        std: its standard deviation there.
    """

    start: str
    spacing: str | None
    zero_snr: bool
    first: FirstStep
    nats_low: float | None = None
    nats_high: float | None = None
    mean: float | None = None
    std: float | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        source: what was diagnosed.
        scheduler: name of its class.
        flow: whether it matches flows; then `options` are those of `flows`.
        prediction: as configured.
        implied: the prediction that the network's answer implies, None without a network.
        terminal_snr: of the schedule as configured, or None where it has no betas.
        implied_terminal_snr: of the live scheduler.
        steps: N.
        options: the first is what the pipeline does now.
        reading: what `mean` and `std` of the options are of; None without data.
        vae: brightness of black, grey and white after the VAE, None without one.
        expected: what arrives of the data's spread, and what remedies bring; None without data.
        flows: what was found of a flow.
    """

    source: str
    scheduler: str
    flow: bool
    prediction: str
    steps: int
    implied: Implied | None = None
    terminal_snr: float | None = None
    implied_terminal_snr: float | None = None
    options: tuple[Option, ...] = ()
    reading: Reading | None = None
    vae: dict[str, float] | None = None
    expected: Expected | None = None
    flows: FlowDiagnosis | None = None

    @property
    def now(self) -> Option:
        """What the pipeline does as it is."""
        return self.options[0]

    def to_json(self) -> dict[str, Any]:
        """The diagnosis in plain values."""
        return {
            "source": self.source,
            "scheduler": self.scheduler,
            "flow_matching": self.flow,
            "steps": self.steps,
            "prediction": {
                "configured": self.prediction,
                "implied": self.implied and self.implied.prediction,
                "correlation": self.implied and self.implied.correlation,
            },
            "terminal_snr": {"configured": self.terminal_snr, "implied": self.implied_terminal_snr},
            "options": [asdict(option) for option in self.options],
            "reading": self.reading and self.reading.to_json(),
            "vae": self.vae,
            "expected": self.expected and self.expected.to_json(),
            "flow": self.flows and self.flows.to_json(),
        }


def diagnose(
    checkpoint: Checkpoint,
    steps: int = 50,
    spacing: str | None = None,
    reading: Reading | None = None,
    vae: Any = None,
    unet: Any = None,
    seed: int = 0,
) -> Diagnosis:
    """Measure a pipeline's start.

    Args:
        checkpoint: with the scheduler.
        steps: N of the sampler.
        spacing: `leading`, `trailing` or `linspace`; the scheduler's own if None.
        reading: statistics of the data, in the space where the model works.
        vae: of the pipeline, in float32.
        unet: of the pipeline, in float32.
        seed: of the noise with which the network and the scheduler are asked.

    Raises:
        InputError: for schedulers that are not known to start at noise, for betas that make no schedule, and for steps and spacings
            that they do not take.
    """
    settings = spacing_settings(checkpoint, spacing)
    scheduler = checkpoint.scheduler(**settings)
    name, prediction = type(scheduler).__name__, str(scheduler.config.get("prediction_type", "epsilon"))
    arrives = None if reading is None else expected(checkpoint, steps, settings, reading)
    if matches_flow(scheduler):
        return _of_flow(checkpoint, name, steps, reading, vae, arrives)
    schedule = _named(checkpoint, lambda: schedule_of(scheduler))
    train_steps = int(scheduler.config.num_train_timesteps)
    return Diagnosis(
        checkpoint.name,
        name,
        flow=False,
        prediction=prediction,
        steps=steps,
        implied=implied_prediction(unet, train_steps, seed) if unet is not None and is_discrete(scheduler) else None,
        terminal_snr=_configured_snr(checkpoint),
        implied_terminal_snr=float(schedule.snr(1.0)),
        options=tuple(_options(checkpoint, settings, steps, reading, seed)),
        reading=reading,
        vae=None if vae is None else vae_floor(vae),
        expected=arrives,
    )


def _of_flow(
    checkpoint: Checkpoint, name: str, steps: int, reading: Reading | None, vae: Any, arrives: Expected | None
) -> Diagnosis:
    """The diagnosis of a flow: its prediction is the velocity, and its grid has no spacing."""
    if steps < 1:
        raise InputError(f"steps {steps}: take at least 1")
    return Diagnosis(
        checkpoint.name,
        name,
        flow=True,
        prediction="flow_prediction",
        steps=steps,
        reading=reading,
        vae=None if vae is None else vae_floor(vae),
        expected=arrives,
        flows=diagnose_flow(checkpoint, steps, reading),
    )


def _named(checkpoint: Checkpoint, call: Any) -> Any:
    """The error of `call` with the checkpoint's name."""
    try:
        return call()
    except InputError as error:
        raise InputError(f"{checkpoint.name}: {error}") from None


def spacing_settings(checkpoint: Checkpoint, spacing: str | None) -> dict[str, Any]:
    """What to put over the scheduler's configuration for a spacing; nothing for None. Raises `InputError` for one that it does not read."""
    if spacing is None:
        return {}
    if spacing not in SPACINGS:
        raise unknown_name("spacing", spacing, SPACINGS)
    scheduler = checkpoint.scheduler()
    if not reads(scheduler, "timestep_spacing"):
        raise InputError(f"spacing {spacing}: {type(scheduler).__name__} has a grid of its own; leave --spacing out")
    return {"timestep_spacing": spacing}


def _configured_snr(checkpoint: Checkpoint) -> float | None:
    """What the betas and fields of the file say, whatever the class makes of them; None where the class has none."""
    scheduler = checkpoint.scheduler()
    if not is_discrete(scheduler) or not reads(scheduler, "beta_start"):
        return None
    return _named(checkpoint, lambda: float(Discrete.from_config(scheduler.config).snr(1.0)))


def _options(
    checkpoint: Checkpoint, settings: dict[str, Any], steps: int, reading: Reading | None, seed: int
) -> Iterator[Option]:
    """The pipeline's start as it is, other starts at its first timestep, and other first timesteps."""
    first, (spacing, zero_snr) = _first(checkpoint, settings, steps, seed)
    yield _option("noise", spacing, zero_snr, first, reading, 0)
    if first.alpha > 0 and reading is not None:
        yield _option("mean", spacing, zero_snr, first, reading, 0)
        for rank in _RANKS:
            if rank <= len(reading.moments.eigenvalues):
                yield _option(f"matched (rank {rank})", spacing, zero_snr, first, reading, rank)
    if spacing not in (None, "trailing"):
        trailing = settings | {"timestep_spacing": "trailing"}
        yield _option("noise", "trailing", zero_snr, _first(checkpoint, trailing, steps, seed)[0], reading, 0)
    if not zero_snr and spacing is not None and reads(checkpoint.scheduler(), "rescale_betas_zero_snr"):
        rescaled = settings | {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
        yield _option("noise", "trailing", True, _first(checkpoint, rescaled, steps, seed)[0], reading, 0)


def _first(
    checkpoint: Checkpoint, settings: dict[str, Any], steps: int, seed: int
) -> tuple[FirstStep, tuple[str | None, bool]]:
    """Where the live scheduler starts, with its spacing and whether its schedule ends at SNR 0."""
    scheduler = checkpoint.scheduler(**settings)
    _set_timesteps(scheduler, steps)
    point = _named(checkpoint, lambda: first_point(scheduler))
    alpha, sigma = point
    zero_snr = is_discrete(scheduler) and reaches_zero_snr(scheduler)
    if zero_snr and scheduler.timesteps[0] >= scheduler.config.num_train_timesteps - 1:
        alpha, sigma = 0.0, 1.0  # as meant: some schedulers hold 2⁻²⁴ for ᾱ = 0
    spacing = scheduler.config.get("timestep_spacing") if reads(scheduler, "timestep_spacing") else None
    finite, stochastic = _step(scheduler, seed)
    first = FirstStep(
        timestep=float(scheduler.timesteps[0]),
        alpha=alpha,
        sigma=sigma,
        snr=float(formula.snr(alpha, sigma)),
        start_std=start_std(scheduler),
        epsilon_gain=_gain(point) if is_discrete(scheduler) else None,
        finite=finite,
        stochastic=stochastic,
    )
    return first, (spacing, zero_snr)


def _gain(point: Point) -> float:
    return -float(formula.epsilon_error_gain(*point)) if point.alpha > 0 else math.inf


def _set_timesteps(scheduler: Scheduler, steps: int) -> None:
    most = int(scheduler.config.num_train_timesteps)
    if not 1 <= steps <= most:
        raise InputError(f"steps {steps}: the model was trained with {most}; take 1 to {most}")
    try:
        scheduler.set_timesteps(steps)
    except Exception as error:  # schedulers raise what they like for numbers that they do not take
        raise InputError(f"steps {steps}: {type(scheduler).__name__} refuses ({first_sentence(error)})") from None
    if is_discrete(scheduler) and float(scheduler.timesteps[0]) > most - 1:
        first = f"{float(scheduler.timesteps[0]):g}"
        raise InputError(
            f"steps {steps}: this spacing asks for timestep {first} of {most}; take fewer, or trailing spacing"
        )


def _step(scheduler: Scheduler, seed: int) -> tuple[bool, bool]:
    """Whether the first step gives numbers, for a network that answers with its input and for one that does not; and whether it draws."""
    generator = torch.Generator().manual_seed(seed)
    x, other = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    outputs = [_stepped(scheduler, answer, x, seed + draw) for answer, draw in ((x, 0), (other, 0), (other, 1))]
    return all(bool(torch.isfinite(one).all()) for one in outputs), not torch.equal(outputs[1], outputs[2])


def _stepped(scheduler: Scheduler, answer: Tensor, x: Tensor, seed: int) -> Tensor:
    """The sample after the first step from noise x, for what the network answers; the random state stays as it was."""
    probe = copy.deepcopy(scheduler)
    sample = x * probe.init_noise_sigma
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            probe.scale_model_input(sample, probe.timesteps[0])
            return probe.step(answer, probe.timesteps[0], sample).prev_sample
        except Exception as error:  # as set_timesteps
            raise InputError(f"{type(scheduler).__name__}: its first step fails ({first_sentence(error)})") from None


def _option(
    start: str, spacing: str | None, zero_snr: bool, first: FirstStep, reading: Reading | None, rank: int
) -> Option:
    plain = Option(start, spacing, zero_snr, first)
    if reading is None:
        return plain
    moments, alpha, sigma = reading.moments, first.alpha, first.sigma
    begin = from_noise(moments, first.start_std) if start == "noise" else from_matched(moments, rank, alpha, sigma)
    nats = initial_mismatch(moments, begin, alpha, sigma)
    end = sde_end if first.stochastic else flow_end
    mean, std = arrival(moments, begin, alpha, sigma, reading.direction, reading.offset, end)
    return Option(start, spacing, zero_snr, first, nats.low, nats.high, mean, std)

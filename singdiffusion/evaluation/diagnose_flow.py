r"""What the sampler of a flow does to the spread, and what would mend it.

A flow's start is right. Its first step is the mean start (F2), and along an eigenvalue λ of the data it keeps `1/√(1 + γ_s λ)`; the steps after it lose
by F1. Both are measured on the live scheduler, for the variance of brightness where data are given, and else for a few λ.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from singdiffusion.base import Checkpoint, Scheduler, check_shift, reads
from singdiffusion.evaluation.data_statistics import Reading
from singdiffusion.response import Kept, kept
from singdiffusion.start import FirstStep, measured, stored_reason
from singdiffusion.system import first_sentence
from singtheory.errors import InputError

LAMBDAS = (1700.0, 640.0, 100.0, 10.0, 1.0, 0.1)
"""Eigenvalues where no data are given: those of a large picture's brightness, of its layout, and of texture."""
TOKENS = 4096
"""The tokens of a picture of 1024 by 1024, for models that shift by the number of tokens."""


@dataclass(frozen=True)
class FlowOption:
    """A way to sample, and what it keeps.

    Attributes:
        name: of the way.
        steps: N.
        shift: as configured, None where it has none.
        first: share of the standard deviation after the first step, along each eigenvalue.
        end: at the end.
    """

    name: str
    steps: int
    shift: float | None
    first: tuple[float, ...]
    end: tuple[float, ...]


@dataclass(frozen=True)
class FlowDiagnosis:
    """What was found of a flow.

    Attributes:
        configured_shift: of the configuration; None where it has none, or shifts by the number of tokens.
        shift: in effect: the s of `s u/(1 + (s − 1)u)` that gives the second σ of the grid; None for one step.
        mu: what shifts a picture of `TOKENS` tokens, None where that does not count.
        sigma: where the grid starts.
        sigma_s: where its first step ends.
        snr_s: `γ_s` there, None at the end of the grid.
        eigenvalues: for which shares are given.
        reading: the name of what the first of them is the variance of; None where there are no data, or it does not vary in them.
        options: the first is what the pipeline does now.
        learned: whether the model was distilled for a few steps.
    """

    configured_shift: float | None
    shift: float | None
    mu: float | None
    sigma: float
    sigma_s: float
    snr_s: float | None
    eigenvalues: tuple[float, ...]
    reading: str | None
    options: tuple[FlowOption, ...]
    learned: bool

    @property
    def now(self) -> FlowOption:
        """What the pipeline does as it is."""
        return self.options[0]

    def to_json(self) -> dict[str, Any]:
        """The diagnosis in plain values."""
        return asdict(self)


def diagnose_flow(checkpoint: Checkpoint, steps: int, reading: Reading | None = None) -> FlowDiagnosis:
    """Measure the sampler of a flow.

    Args:
        checkpoint: with the scheduler.
        steps: N.
        reading: statistics of the data, in the space where the model works.

    Raises:
        InputError: for schedulers whose first step is not that of a flow, and for steps that they do not take.
    """
    scheduler, learned = checkpoint.scheduler(), distilled(checkpoint) is not None
    live, mu = timed(scheduler, steps)
    try:
        first = measured(live)
    except InputError as error:
        raise InputError(f"{checkpoint.name}: {error}") from None
    read = reading if reading is not None and reading.varies else None
    lam = torch.tensor([*([] if read is None else [read.eigenvalue]), *LAMBDAS], dtype=torch.float64)
    name = _shift_field(scheduler)
    configured = None if name is None or mu is not None else float(scheduler.config[name])
    return FlowDiagnosis(
        configured_shift=configured,
        shift=_shift_of(first.sigma_s, steps),
        mu=mu,
        sigma=first.sigma,
        sigma_s=first.sigma_s,
        snr_s=_snr(first),
        eigenvalues=tuple(lam.tolist()),
        reading=None if read is None else read.name,
        options=tuple(islice(_options(checkpoint, live, steps, lam, name, configured), 1 if learned else None)),
        learned=learned,
    )


def distilled(checkpoint: Checkpoint) -> str | None:
    """What tells that a model was distilled for a few steps, which it has learned; None for nothing."""
    return stored_reason(
        str(checkpoint.config.get("_class_name")), checkpoint.name, checkpoint.config_of("transformer")
    )


def _options(
    checkpoint: Checkpoint, live: Scheduler, steps: int, lam: Tensor, name: str | None, shift: float | None
) -> Iterator[FlowOption]:
    yield _option("as it is", steps, shift, kept(live, lam))
    with contextlib.suppress(InputError):  # a start below σ = 1 has another first step
        yield _option("first step matched", steps, shift, kept(live, lam, matched=True))
    with contextlib.suppress(InputError):  # a sampler that draws noise cannot be corrected
        yield _option("all but the last corrected", steps, shift, kept(live, lam, matched=True, corrected=True))
    yield _option("twice the steps", 2 * steps, shift, kept(timed(checkpoint.scheduler(), 2 * steps)[0], lam))
    if name is not None and shift is not None:
        shifted = checkpoint.scheduler(**{name: 2 * shift})
        yield _option("twice the shift", steps, 2 * shift, kept(timed(shifted, steps)[0], lam))


def _option(name: str, steps: int, shift: float | None, kept: Kept) -> FlowOption:
    return FlowOption(name, steps, shift, tuple(kept.first.tolist()), tuple(kept.end.tolist()))


def timed(scheduler: Scheduler, steps: int) -> tuple[Scheduler, float | None]:
    """The scheduler after `set_timesteps`, and the mu that its shift by tokens took."""
    options = by_tokens(scheduler)
    check_shift(scheduler)
    try:
        scheduler.set_timesteps(steps, **options)
    except Exception as error:  # schedulers raise what they like for numbers that they do not take
        raise InputError(f"steps {steps}: {type(scheduler).__name__} refuses ({first_sentence(error)})") from None
    return scheduler, options.get("mu")


def by_tokens(scheduler: Scheduler, config: Any = None) -> dict[str, float]:
    """The mu that `set_timesteps` needs of a scheduler that shifts by the number of tokens, from another configuration where one is passed; empty for others."""
    return {"mu": _mu(config or scheduler.config)} if scheduler.config.get("use_dynamic_shifting") else {}


def _mu(config: Any) -> float:
    """What pipelines give for `TOKENS` tokens: linear in their number between the two of the configuration."""
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    least, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return least + (most - least) * (TOKENS - low) / (high - low)


def _shift_field(scheduler: Scheduler) -> str | None:
    return next((name for name in ("shift", "flow_shift") if reads(scheduler, name)), None)


def _shift_of(sigma_s: float, steps: int) -> float | None:
    """s of `σ_s = s u/(1 + (s − 1)u)` with `u = 1 − 1/N`."""
    u = 1 - 1 / steps
    return None if steps == 1 or not 0 < sigma_s < 1 else sigma_s * (1 - u) / (u * (1 - sigma_s))


def _snr(first: FirstStep) -> float | None:
    return ((1 - first.sigma_s) / first.sigma_s) ** 2 if first.sigma_s > 0 else None

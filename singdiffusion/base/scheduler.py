r"""What a diffusers scheduler says of its noise: a `Schedule` of singtheory.

Three families drive a U-Net. *Discrete* schedulers carry `alphas_cumprod`, `ᾱ_k = α²` at the steps of training. *Variance exploding* ones
(EDM) carry `sigmas` alone, with `α = 1`. *Flow matching* starts at `α = 0`, where there is no gap to close: `singdiffusion.start.flow` is of those.
"""

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.schedule import Discrete, Schedule, VarianceExploding

Scheduler = Any
"""A scheduler of diffusers; they share no base class that says so."""


def schedule_of(scheduler: Scheduler) -> Schedule:
    """The `Schedule` of a diffusers scheduler: bounds, budgets and grids can be computed on it.

    Raises:
        InputError: for flow matching, which has no gap, and for schedulers that say neither `alphas_cumprod` nor `sigmas`.
    """
    refuse_flow(scheduler)
    config = scheduler.config
    if is_discrete(scheduler):
        bars = _alpha_bars(scheduler)
        return Discrete(bars, config.get("steps_offset", 0), config.get("set_alpha_to_one", True))
    if config.get("sigma_max") is not None and hasattr(scheduler, "sigmas"):
        return VarianceExploding(float(config.sigma_max))
    raise InputError(
        f"{type(scheduler).__name__}: says neither alphas_cumprod nor sigma_max; use a scheduler of diffusion models"
    )


def is_discrete(scheduler: Scheduler) -> bool:
    """Whether the steps that the network is told are those of training, with `ᾱ` for each."""
    continuous = scheduler.config.get("timestep_type") == "continuous"
    return not continuous and isinstance(getattr(scheduler, "alphas_cumprod", None), Tensor)


def matches_flow(scheduler: Scheduler) -> bool:
    """Whether it is one of flow matching, by its class or by a setting."""
    config, name = scheduler.config, type(scheduler).__name__
    set_so = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    return bool(set_so) or "Flow" in name or name.endswith("RFScheduler") or hasattr(scheduler, "scale_noise")


def refuse_flow(scheduler: Scheduler) -> None:
    """Raises `InputError` for flow matching."""
    if matches_flow(scheduler):
        raise InputError(
            f"{type(scheduler).__name__}: flow matching starts at alpha = 0, where noise is right: no gap; "
            "its first step is mended by first_step, or by SingDiffusion on a pipeline"
        )


def reads(scheduler: Scheduler, field: str) -> bool:
    """Whether the class reads a field of its configuration: diffusers keeps also those that it does not know."""
    return field in inspect.signature(type(scheduler).__init__).parameters


def check_shift(scheduler: Scheduler) -> None:
    """Raises `InputError` for a timestep shift that is not positive: it would run times backwards, or stop them."""
    if scheduler.config.get("use_dynamic_shifting"):
        return  # by the number of tokens
    for field in ("shift", "flow_shift"):
        value = scheduler.config.get(field)
        if reads(scheduler, field) and isinstance(value, int | float) and not 0 < value < math.inf:
            raise InputError(f"{type(scheduler).__name__}: {field} {value}: must be positive and finite; 1 is none")


def reaches_zero_snr(scheduler: Scheduler) -> bool:
    """Whether a discrete scheduler ends at `ᾱ = 0`, if it holds that or the 2⁻²⁴ that some put in its place."""
    return bool(scheduler.config.get("rescale_betas_zero_snr")) and reads(scheduler, "rescale_betas_zero_snr")


def begun_at(scheduler: Scheduler, index: int) -> Scheduler:
    """The scheduler, told at which step it stands as pipelines tell it: by a timestep that several steps share once it is rounded it would not know."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(index)
    return scheduler


def _alpha_bars(scheduler: Scheduler) -> Tensor:
    """`ᾱ` as meant: some schedulers that cannot hold an ᾱ of zero replace it."""
    bars = scheduler.alphas_cumprod.detach().cpu().double()
    if reaches_zero_snr(scheduler):
        bars = torch.cat([bars[:-1], torch.zeros(1, dtype=bars.dtype)])
    return bars

r"""What a diffusers scheduler says of its noise: a `Schedule` of singtheory, and the point at which its sampler starts.

Three families drive a U-Net. *Discrete* schedulers carry `alphas_cumprod`, `ᾱ_k = α²` at the steps of training. *Variance exploding* ones
(EDM) carry `sigmas` alone, with `α = 1`. *Flow matching* starts at `α = 0`, where there is no gap to close.
"""

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


def refuse_flow(scheduler: Scheduler) -> None:
    """Raises `InputError` for flow matching, as a class or as a setting of another scheduler."""
    config = scheduler.config
    flow = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    if flow or "Flow" in type(scheduler).__name__ or hasattr(scheduler, "scale_noise"):
        raise InputError(
            f"{type(scheduler).__name__}: flow matching starts at alpha = 0, where noise is right: no gap, nothing to mend"
        )


def _alpha_bars(scheduler: Scheduler) -> Tensor:
    """`ᾱ` as configured: the schedulers that cannot hold an ᾱ of zero replace it by `2⁻²⁴` on loading."""
    bars = scheduler.alphas_cumprod.detach().cpu().double()
    if scheduler.config.get("rescale_betas_zero_snr"):
        bars = torch.cat([bars[:-1], torch.zeros(1, dtype=bars.dtype)])
    return bars

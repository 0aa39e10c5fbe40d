"""The betas of a diffusers scheduler config, and its rescaling to zero terminal SNR."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from singtheory.errors import InputError, unknown_name


def zero_terminal_snr(alpha_bars: Tensor) -> Tensor:
    """Shift and scale `√ᾱ` so that the last is exactly 0 and the first stays (Lin et al. 2024, arXiv 2305.08891, algorithm 1)."""
    roots = alpha_bars.sqrt()
    return ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2


def betas(config: Mapping[str, Any]) -> Tensor:
    """The T betas of a diffusers scheduler config, float64, by diffusers' own rules."""
    if config.get("trained_betas") is not None:
        return torch.as_tensor(config["trained_betas"], dtype=torch.float64)
    missing = {"beta_start", "beta_end", "num_train_timesteps"} - set(config)
    if missing:
        kind = config.get("_class_name", "the scheduler config")
        raise InputError(
            f"{kind} has no {', '.join(sorted(missing))}: give a config with betas, or --schedule rectified-flow for flow matching"
        )
    steps, start, end = (
        int(config["num_train_timesteps"]),
        float(config["beta_start"]),
        float(config["beta_end"]),
    )
    rule = config.get("beta_schedule", "linear")
    if rule not in _BETA_RULES:
        raise unknown_name("beta_schedule", str(rule), _BETA_RULES)
    return _BETA_RULES[rule](start, end, steps)


def _linear_betas(start: float, end: float, steps: int) -> Tensor:
    return torch.linspace(start, end, steps, dtype=torch.float64)


def _scaled_linear_betas(start: float, end: float, steps: int) -> Tensor:
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2


def _cosine_betas(start: float, end: float, steps: int) -> Tensor:
    """diffusers' `squaredcos_cap_v2`, which ignores `start` and `end` and caps at 0.999."""
    bar = torch.cos((torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * (math.pi / 2)) ** 2
    return (1 - bar[1:] / bar[:-1]).clamp(max=0.999)


def _sigmoid_betas(start: float, end: float, steps: int) -> Tensor:
    return torch.sigmoid(torch.linspace(-6, 6, steps, dtype=torch.float64)) * (end - start) + start


_BETA_RULES = {
    "linear": _linear_betas,
    "scaled_linear": _scaled_linear_betas,
    "squaredcos_cap_v2": _cosine_betas,
    "sigmoid": _sigmoid_betas,
}

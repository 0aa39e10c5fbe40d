"""A diffusers `scheduler_config.json` as far as it says what noise is: its schema, checked in one place, and its betas."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from singtheory.errors import InputError, unknown_name

MOST_STEPS = 10**6
"""The most steps of training, as many as any model has a thousand times over; their betas take 8 MB."""


@dataclass(frozen=True)
class SchedulerConfig:
    """The fields that say what noise is.

    Attributes:
        betas: each in (0, 1], float64, shape (T,) with T ≥ 2.
        rescale_betas_zero_snr: whether `√ᾱ` is shifted and scaled to end at 0.
        steps_offset: added to the step numbers of leading grids, from 0 to T − 1.
        set_alpha_to_one: whether samplers end at t = 0.
    """

    betas: Tensor
    rescale_betas_zero_snr: bool
    steps_offset: int
    set_alpha_to_one: bool


def check_config(config: Mapping[str, Any]) -> SchedulerConfig:
    """The fields of a config; one that is left out has diffusers' own default.

    Raises:
        InputError: one line, for a config without betas and for a field that is no such thing.
    """
    betas = _betas(config)
    return SchedulerConfig(
        betas,
        _flag(config, "rescale_betas_zero_snr", False),
        _whole(config, "steps_offset", 0, len(betas) - 1, 0),
        _flag(config, "set_alpha_to_one", True),
    )


def _betas(config: Mapping[str, Any]) -> Tensor:
    """The T betas, by diffusers' own rules."""
    if config.get("trained_betas") is not None:
        return _trained(config)
    missing = {"beta_start", "beta_end", "num_train_timesteps"} - set(config)
    if missing:
        kind = _shown(config.get("_class_name", "the config"))
        raise InputError(
            f"{kind} has no {', '.join(sorted(missing))}: give a config with betas, or --schedule rectified-flow for flow matching"
        )
    steps = _whole(config, "num_train_timesteps", 2, MOST_STEPS)
    start, end = _beta("beta_start", config["beta_start"]), _beta("beta_end", config["beta_end"])
    rule = config.get("beta_schedule", "linear")
    if not isinstance(rule, str) or rule not in _BETA_RULES:
        raise unknown_name("beta_schedule", _shown(rule), _BETA_RULES)
    return _BETA_RULES[rule](start, end, steps)


def _trained(config: Mapping[str, Any]) -> Tensor:
    """`trained_betas`, which are as many as there are steps."""
    listed = config["trained_betas"]
    listed = listed.tolist() if hasattr(listed, "tolist") else listed
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not 2 <= len(listed) <= MOST_STEPS:
        raise InputError(f"trained_betas {_shown(listed)}: must be a list of 2 to {MOST_STEPS} numbers")
    betas = [_beta(f"trained_betas[{index}]", value) for index, value in enumerate(listed)]
    if "num_train_timesteps" in config:
        steps = _whole(config, "num_train_timesteps", 2, MOST_STEPS)
        if steps != len(betas):
            raise InputError(f"trained_betas: {len(betas)} for num_train_timesteps {steps}; give one a step")
    return torch.tensor(betas, dtype=torch.float64)


def _beta(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InputError(f"{name} {_shown(value)}: must be a number above 0, at most 1")
    return float(value)


def _whole(config: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{name} {_shown(value)}: must be a whole number from {least} to {most}")
    return value


def _flag(config: Mapping[str, Any], name: str, default: bool) -> bool:
    value = config.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name} {_shown(value)}: must be true or false")
    return value


def _shown(value: Any) -> str:
    """A value as a message can hold it."""
    if isinstance(value, Mapping):
        return "{…}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"of {len(value)} entries"
    if isinstance(value, int) and abs(value) > 10**20:
        return "of more than 20 digits"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _linear(start: float, end: float, steps: int) -> Tensor:
    return torch.linspace(start, end, steps, dtype=torch.float64)


def _scaled_linear(start: float, end: float, steps: int) -> Tensor:
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2


def _cosine(start: float, end: float, steps: int) -> Tensor:
    """diffusers' `squaredcos_cap_v2`, which ignores `start` and `end` and caps at 0.999."""
    bar = torch.cos((torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * (math.pi / 2)) ** 2
    return (1 - bar[1:] / bar[:-1]).clamp(max=0.999)


def _sigmoid(start: float, end: float, steps: int) -> Tensor:
    return torch.sigmoid(torch.linspace(-6, 6, steps, dtype=torch.float64)) * (end - start) + start


_BETA_RULES: dict[str, Callable[[float, float, int], Tensor]] = {
    "linear": _linear,
    "scaled_linear": _scaled_linear,
    "squaredcos_cap_v2": _cosine,
    "sigmoid": _sigmoid,
}

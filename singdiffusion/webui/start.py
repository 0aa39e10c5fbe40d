"""The singular start for a web UI that asks from another process: noise and settings come in a file, the start goes out in one."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from singdiffusion.average import AverageModel, Condition, load_average
from singdiffusion.base import Scheduler, Space
from singdiffusion.start import SingDiffusion, prepared_latents
from singtheory.errors import InputError


def answer(request: Path, target: Path) -> None:
    """Write the start for a request: a file of safetensors with `noise`, `trained`, and, if they are known, `c` and `uc`, and settings in its header.

    Raises:
        InputError: as `started`.
    """
    with safe_open(request, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 it is no mapping
        settings = json.loads(stored.metadata()["settings"])
    save_file({"start": started(tensors, settings).contiguous()}, target)


@torch.no_grad()
def started(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """The start in units `y + σ n`, of the shape of the noise (C6, C7).

    Args:
        tensors: `noise`, standard normal, shape (batch, channels, height, width); `trained`, the sigmas of training, rising; and token states `c` and `uc`,
            shape (batch, tokens, width), where they are known.
        settings: `path` of the average image, `rule` of guidance, `start`, `cfg`, the first `sigma`, the `scale` of latents or None, and the texts
            `prompts` and `negative_prompts`.

    Raises:
        InputError: as `load_average`, `SingDiffusion` and `prepared_latents`.
    """
    x_1 = tensors["noise"]
    if not str(settings["path"]).strip():
        raise InputError("average image: no folder is given; give that which train, calibrate or convert wrote")
    module = _module(str(settings["path"]).strip())
    cond, uncond = _conditions(module, tensors, settings, len(x_1))
    sing = SingDiffusion(module, settings["rule"], settings["start"])
    average = sing.average(cond, uncond, x_1, settings["cfg"])
    scheduler = scheduler_of(tensors["trained"], settings["sigma"])
    return prepared_latents(average.mean, x_1, scheduler, spread=average.spread)


def scheduler_of(trained: Tensor, sigma: float) -> Scheduler:
    """A scheduler of diffusers with these sigmas of training, that begins at one of them or between."""
    bars = 1 / (1 + trained.double().square())
    betas = 1 - bars / torch.cat([torch.ones(1, dtype=torch.float64), bars[:-1]])
    scheduler: Any = EulerDiscreteScheduler(
        num_train_timesteps=len(bars), trained_betas=betas.tolist(), timestep_spacing="linspace", steps_offset=1
    )
    scheduler.set_timesteps(sigmas=[sigma, 0.0])
    return scheduler


@lru_cache(maxsize=2)
def _module(path: str) -> AverageModel:
    return load_average(path).eval()


def _conditions(
    module: AverageModel, tensors: Mapping[str, Tensor], settings: Mapping[str, Any], batch: int
) -> tuple[Condition, Condition | None]:
    states = tensors.get("c")
    scale = settings["scale"]
    space = Space(
        tensors["noise"].shape[1],
        module.space.scaling_factor if scale is None else scale,
        module.space.shift_factor,
        None if states is None else states.shape[2],
    )
    if module.condition_for(space) == "prompts" or states is None:
        return list(settings["prompts"]), list(settings["negative_prompts"])
    without = tensors.get("uc")
    if len(states) != batch:
        raise InputError(f"prompt: {len(states)} conditions for {batch} pictures; leave AND and schedules out of it")
    return states, without

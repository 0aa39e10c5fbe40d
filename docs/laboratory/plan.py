r"""A sampler as the numbers that a browser needs: what each step makes of the start, of the network's outputs and of the noise.

Samplers of diffusers without thresholds are linear. So each scheduler is run once on units, an entry of the batch each, and what comes out are the factors:

    x_i = Σ_j rows[i][j] v_j        v = (x_0; outputs of the network m_0, m_1, …; noises n_1, n_2, …)

The network sees `scales[i] x_i` at `timesteps[i]`. No scheduler is written a second time in JavaScript, and one that is not linear is refused.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from singdiffusion.base import Pulses, as_images, matches_flow, scheduler_class
from singdiffusion.start import Began, add_noise_factors, measured, scheduled
from singtheory.errors import InputError

_LINEAR = 1e-4
"""Relative; schedulers step in float32."""


class Plan(NamedTuple):
    """A run of a sampler of n steps.

    Attributes:
        mean: the factor of the average image in the start; 0 for the start from noise.
        noise: the factor of the noise there. Along a direction of deviation s a matched start has `√(mean² s² + noise²)` in its place.
        timesteps: what the network is told, n numbers.
        scales: the factors of the latents in what the network sees, n numbers.
        levels: `(α, σ)` of what the network sees, n pairs.
        rows: `rows[i]` has the factors of `x_{i+1}`: of the start, of n outputs, and of the noises.
        sign: of flows, the network's output is `sign (x − x̂)/σ`; 0 for outputs that are ε.
    """

    mean: float
    noise: float
    timesteps: list[float]
    scales: list[float]
    levels: list[tuple[float, float]]
    rows: list[list[float]]
    sign: int


def plans(scheduler: Any, name: str, steps: int) -> dict[str, Plan]:
    """How a scheduler starts and steps, from noise and mended.

    Args:
        scheduler: of a pipeline, for its configuration; it is not changed.
        name: of a class of diffusers, made from that configuration as the command does it.
        steps: n.

    Raises:
        InputError: for a scheduler that is not linear, and as `singdiffusion.start`.
    """
    fresh = scheduler_class(name).from_config(scheduler.config)
    fresh.set_timesteps(steps)
    if not matches_flow(fresh):
        alpha, sigma = add_noise_factors(fresh)
        plain = _plan(fresh, 0.0, float(fresh.init_noise_sigma), 0)
        return {"noise": plain, "mended": plain._replace(mean=alpha, noise=sigma)}
    first = measured(fresh)
    mended = copy.deepcopy(fresh)
    Began.of(mended).at_second(mended, first.stages)
    # of a mended first step the average image and the noise are all that is left
    return {
        "noise": _plan(fresh, 0.0, float(fresh.init_noise_sigma), first.sign),
        "mended": _plan(mended, first.alpha_s, first.kept_std, first.sign),
    }


def _plan(scheduler: Any, mean: float, noise: float, sign: int) -> Plan:
    begin = getattr(scheduler, "step_index", None) or 0
    times = list(scheduler.timesteps[begin:])
    units = torch.eye(1 + 2 * len(times), dtype=torch.float64)  # a noise a step at most
    mixed = torch.cos(torch.arange(len(units), dtype=torch.float64))
    states, draws = _run(scheduler, times, torch.cat([units, 100 * mixed[None]]))
    rows, whole = states[:, :-1], states[:, -1] / 100
    if draws > len(times) or not float((whole - rows @ mixed).abs().max()) <= _LINEAR * float(whole.abs().max()):
        raise InputError(f"{type(scheduler).__name__}: its steps are not linear; take one without thresholds")
    probe = copy.deepcopy(scheduler)
    levels = [_level(scheduler, float(t), begin + k) for k, t in enumerate(times)]
    scales = [_scale(probe, t) for t in times]
    kept = rows[:, : 1 + len(times) + draws].tolist()
    return Plan(mean, noise, [float(t) for t in times], scales, levels, kept, sign)


def _run(scheduler: Any, times: list[Tensor], amounts: Tensor) -> tuple[Tensor, int]:
    """The latents after each step, shape (steps, batch), for amounts (batch, 1 + steps + draws); and how often noise is drawn."""
    probe, count = copy.deepcopy(scheduler), 1 + len(times)
    x, states = as_images(amounts[:, 0]), []
    # a pulse's first column is the start, which is no draw
    with torch.no_grad(), Pulses(torch.cat([amounts[:, :1], amounts[:, count:]], dim=1)) as pulses:
        for k, t in enumerate(times):
            probe.scale_model_input(x, t)
            x = probe.step(as_images(amounts[:, 1 + k]), t, x).prev_sample.double()
            states.append(x.flatten())
    return torch.stack(states), pulses.draws


def _scale(probe: Any, timestep: Tensor) -> float:
    if hasattr(probe, "_step_index"):
        probe._step_index = None  # each timestep by itself
    return float(probe.scale_model_input(torch.ones(1, dtype=torch.float64), timestep))


def _level(scheduler: Any, timestep: float, index: int) -> tuple[float, float]:
    if matches_flow(scheduler):
        sigma = float(scheduler.sigmas[index])
        return 1 - sigma, sigma
    alpha, sigma = scheduled(scheduler, timestep)
    return alpha, sigma

r"""The singular step in every scheduler's own convention: `x_{1−ε} = α ȳ + σ x_1` instead of noise alone (C6, E1).

Schedulers keep their latents in one of two units, `α y + σ n` or `y + (σ/α) n`, and a pipeline multiplies what it is given as `latents=`
by `init_noise_sigma`. So that no list of schedulers goes out of date, both are measured: `add_noise` at the first timestep is asked for
the factors of y and of n. What the network will see of them must be the `(α, σ)` that the schedule has at the timestep that it is told; a
scheduler for which this is not so is refused.
"""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from singdiffusion.base import Scheduler, is_discrete, refuse_flow, schedule_of
from singtheory.errors import InputError
from singtheory.start import Components, matched_start, mean_start

TOLERANCE = 1e-3
"""How far what the network sees may be from the schedule: schedulers round timesteps, and ᾱ moves by up to this over half a step."""
_MIX = (0.75, -1.25)


class Point(NamedTuple):
    """`α y + σ n` at a time."""

    alpha: float
    sigma: float


def initial_latents(
    mean: Tensor, noise: Tensor, scheduler: Scheduler, *, spread: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """The latents from which to start, as a pipeline takes them: `(α ȳ + σ x_1)/init_noise_sigma` in the scheduler's units.

    The pipeline multiplies them by `init_noise_sigma`; what it has then is `prepared_latents`. With a spread, the moment-matched start `α ȳ + σ x_1 + Σ_k (√(α² s_k² + σ²) − σ) ⟨x_1, φ_k⟩ φ_k` (C7). It is a function of `x_1`
    alone: no second draw disturbs the noise of later steps. Computed in float32 or better, returned like `noise`.

    Args:
        mean: `ȳ`, of the shape of `noise` or one that broadcasts to it.
        noise: `x_1`, standard normal, shape (batch, channels, height, width), or (batch, channels, frames, height, width).
        scheduler: of diffusers, after `set_timesteps`.
        spread: `(basis, std)`, orthonormal `φ_k` of shape (k, *noise.shape[1:]) and `s_k` of shape (k,) or (batch, k).

    Raises:
        InputError: for a scheduler before `set_timesteps`, of flow matching, or not known to work; for NaN and infinities; for shapes, dtypes
            and devices that do not go together.
    """
    return (_start(mean, noise, scheduler, spread) / float(scheduler.init_noise_sigma)).to(noise.dtype)


def prepared_latents(
    mean: Tensor, noise: Tensor, scheduler: Scheduler, *, spread: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """The latents with which the sampler begins, as a pipeline's `prepare_latents` returns them: `α ȳ + σ x_1` in the scheduler's units.

    For arguments, the spread and errors see `initial_latents`.
    """
    return _start(mean, noise, scheduler, spread).to(noise.dtype)


def _start(mean: Tensor, noise: Tensor, scheduler: Scheduler, spread: tuple[Tensor, Tensor] | None) -> Tensor:
    """The start in the scheduler's units, float32 or better (C6, C7)."""
    _check(mean, noise)
    alpha, sigma = add_noise_factors(scheduler)
    dtype = torch.promote_types(noise.dtype, torch.float32)
    x_1, y = noise.to(dtype), mean.to(dtype)
    if spread is None:
        return mean_start(x_1, y, alpha, sigma)
    basis, std = (part.to(dtype) for part in spread)
    return matched_start(x_1, y, Components(basis, std), alpha, sigma)


def first_point(scheduler: Scheduler) -> Point:
    """`(α, σ)` of what the network sees first.

    Raises:
        InputError: as `initial_latents`.
    """
    return _seen(scheduler, add_noise_factors(scheduler))


def start_std(scheduler: Scheduler) -> float:
    """The standard deviation of what the network sees first when a pipeline starts from noise alone.

    Raises:
        InputError: as `initial_latents`.
    """
    return _seen(scheduler, Point(0.0, float(scheduler.init_noise_sigma))).sigma


def add_noise_factors(scheduler: Scheduler) -> Point:
    """The factors of y and of n in the scheduler's own latents at its first timestep, once they are known to be right.

    Raises:
        InputError: as `initial_latents`.
    """
    name, probe = type(scheduler).__name__, _fresh(scheduler)
    timestep = _first_timestep(probe)

    def noised(y: float, n: float) -> float:
        sample, noise = (torch.full((1,), x, dtype=torch.float64) for x in (y, n))
        try:
            return float(probe.add_noise(sample, noise, timestep))
        except Exception as error:  # whatever a scheduler that has no such method raises
            raise InputError(f"{name}: its add_noise does not serve ({error}); use another scheduler") from error

    factors = Point(noised(1, 0), noised(0, 1))
    expected = factors.alpha * _MIX[0] + factors.sigma * _MIX[1]
    if not math.isclose(noised(*_MIX), expected, rel_tol=1e-4, abs_tol=1e-4):
        raise InputError(f"{name}: its add_noise is not alpha y + sigma n; use another scheduler")
    _check_seen(scheduler, factors)
    return factors


def _fresh(scheduler: Scheduler) -> Scheduler:
    """A copy as before its first step, for `add_noise` and `scale_model_input` read and write the step that is on."""
    refuse_flow(scheduler)
    if not hasattr(scheduler, "timesteps") or not hasattr(scheduler, "add_noise"):
        raise InputError(f"{type(scheduler).__name__}: has no timesteps or no add_noise; use another scheduler")
    if getattr(scheduler, "num_inference_steps", 0) is None and not getattr(scheduler, "custom_timesteps", False):
        raise InputError(f"{type(scheduler).__name__}: call set_timesteps first; before it the start is not known")
    probe = copy.copy(scheduler)
    if hasattr(probe, "_step_index"):
        probe._step_index = None
    return probe


def _first_timestep(scheduler: Scheduler) -> Tensor:
    """What the network is told first, shape (1,)."""
    begin = getattr(scheduler, "begin_index", None) or 0
    timesteps, name = scheduler.timesteps.cpu(), type(scheduler).__name__
    if "Inverse" in name or timesteps[0] < timesteps[-1]:
        raise InputError(f"{name}: runs from data to noise and has no start to mend")
    return timesteps[begin : begin + 1]


def _seen(scheduler: Scheduler, factors: Point) -> Point:
    """What the network is given of y and n: a scheduler may scale its input."""
    probe = _fresh(scheduler)
    scale = float(probe.scale_model_input(torch.ones(1, dtype=torch.float64), _first_timestep(probe)[0]))
    return Point(factors.alpha * scale, factors.sigma * scale)


def _check_seen(scheduler: Scheduler, factors: Point) -> None:
    """Refuses a scheduler whose noised data are not, for the network, those of the schedule."""
    seen, timestep = _seen(scheduler, factors), float(_first_timestep(scheduler))
    expected = scheduled(scheduler, timestep)
    if any(not abs(a - b) <= TOLERANCE for a, b in zip(seen, expected, strict=True)):
        raise InputError(
            f"{type(scheduler).__name__}: the network would see {seen.alpha:.4g} y + {seen.sigma:.4g} n at timestep "
            f"{timestep:g}, where the schedule has {expected.alpha:.4g} and {expected.sigma:.4g}; use another scheduler"
        )


def scheduled(scheduler: Scheduler, timestep: float) -> Point:
    """What the schedule has at the timestep that the network is told."""
    schedule = schedule_of(scheduler)
    if is_discrete(scheduler):
        time = min(1.0, (timestep + 1) / scheduler.config.num_train_timesteps)
        return Point(float(schedule.alpha(time)), float(schedule.sigma(time)))
    sigma = math.exp(
        min(4 * timestep, 700.0)
    )  # EDM tells the network a quarter of log σ, and divides by √(σ² + σ_data²)
    norm = math.hypot(sigma, scheduler.config.get("sigma_data", 1.0))
    return Point(1 / norm, sigma / norm)


def _check(mean: Tensor, noise: Tensor) -> None:
    """Raises `InputError` where the two do not go together."""
    if noise.ndim not in (4, 5):
        raise InputError(f"noise of shape {tuple(noise.shape)}: need (batch, channels, [frames,] height, width)")
    if mean.dtype != noise.dtype or mean.device != noise.device:
        raise InputError(
            f"mean in {mean.dtype} on {mean.device}, noise in {noise.dtype} on {noise.device}: cast one with .to(other)"
        )
    try:
        fits = torch.broadcast_shapes(mean.shape, noise.shape) == noise.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InputError(f"mean of shape {tuple(mean.shape)}: does not fit noise of shape {tuple(noise.shape)}")
    for what, values in (("mean", mean), ("noise", noise)):
        if not bool(torch.isfinite(values).all()):
            raise InputError(f"{what}: holds NaN or infinity; check the model that gave it, and float16 for overflow")

r"""What a scheduler of diffusers keeps of the data's spread: the scheduler itself, run on the denoiser of Gaussian data (F10).

    scheduler_response(EulerDiscreteScheduler.from_config(config), [900.0, 1.0], steps=10)

On Gaussian data of one eigenvalue λ the exact denoiser is linear, `x̂ = αλx/(α²λ + σ²)` about the mean, and so is every sampler without
thresholds: in its start and in every noise that it draws. One run answers for all eigenvalues and all noises at once, an entry of the batch each, and
the variances add up. Nothing is listed: noise is caught where it is drawn. A scheduler that is not linear, or whose noise cannot be caught, is run on draws
instead, and what is kept has an interval.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from singdiffusion.base import Pulses, Scheduler, as_images, begun_at, check_shift, matches_flow
from singdiffusion.start import scheduled
from singdiffusion.system import first_sentence, told_in_one_line
from singtheory import formula
from singtheory.errors import InputError
from singtheory.response import check_eigenvalues

_REMEDY = "use another scheduler or prediction_type"
_NONE = 1e-12
"""An eigenvalue so small that what arrives along it is the noise that is left."""
_LOUD = 1e3
"""How much larger the run is that tells clipping from linear steps: what is clipped reaches the bounds of pictures."""
_LINEAR = 1e-3
"""Relative; schedulers step in float32."""
DRAWS, CONFIDENCE, _SEED, _MOST_ENTRIES = 4096, 0.99, 0, 2**17
"""For schedulers that are not linear: draws of each eigenvalue, the confidence of each interval, their seed, and entries run at once."""
_CRITICAL = 2.5758293035489
"""The critical value of the normal law at that confidence."""


class SchedulerResponse(NamedTuple):
    """What is kept along each eigenvalue, as shares of the data's standard deviation; all of shape (k,), and `kept = start · solver · end`.

    Attributes:
        kept: at the end.
        start: of the start alone: what the pipeline begins with beside what the network expects there.
        solver: of the steps between, for a start that is right.
        end: of where the sampler stops: noise that is left, and α below 1.
        first: after the start, or after the first step where the start has α = 0, for there the step is the start (F2).
        noises: how often the sampler draws noise; 0 too where it hides it.
        levels: `(α, σ)` of the latents at each timestep, as shares of the data and of unit noise, and where the sampler stops.
        low: what is kept is at least this, at `CONFIDENCE`; equal to `kept` where it is exact.
        high: and at most this.
        draws: of each eigenvalue; 0 where it is exact.
    """

    kept: Tensor
    start: Tensor
    solver: Tensor
    end: Tensor
    first: Tensor
    noises: int
    levels: tuple[tuple[float, float], ...]
    low: Tensor
    high: Tensor
    draws: int = 0


def scheduler_response(scheduler: Scheduler, eigenvalues: Any, steps: int | None, **set_timesteps: Any) -> Tensor:
    """The standard deviation at the end over the data's, along each eigenvalue; shape (k,), float64.

    Args:
        scheduler: of diffusers, of any prediction type, flow or not, deterministic or random; it is not changed.
        eigenvalues: λ of the covariance of what the network models (latents, or pixels in [−1, 1]), positive, shape (k,).
        steps: N; None where `timesteps=` or `sigmas=` say it.
        set_timesteps: what else the scheduler's `set_timesteps` takes.

    Raises:
        InputError: for a scheduler that thresholds or clips, for one that cannot be run, and for eigenvalues that are not positive.
    """
    return respond(scheduler, eigenvalues, steps, **set_timesteps).kept


def respond(scheduler: Scheduler, eigenvalues: Any, steps: int | None, **set_timesteps: Any) -> SchedulerResponse:
    """`scheduler_response` with its parts; arguments and errors are the same."""
    lam = check_eigenvalues(eigenvalues)
    run = _Run(_prepared(scheduler, steps, set_timesteps))
    every = torch.cat([lam, lam.new_tensor([_NONE])])
    draws = 0 if run.is_linear() else DRAWS
    stds, error = (run.drawn_stds(every, draws, _SEED)) if draws else (run.stds(every), 0 * every)
    begin, end = run.levels[0], run.end(float(stds[-1, -1]))
    start, ended = stds[0, :-1] / begin.std(lam), end.std(lam) / lam.sqrt()
    kept, off = stds[-1, :-1] / lam.sqrt(), error[:-1] / lam.sqrt()
    after = run.levels[1] if len(run.levels) > 1 else end
    first = stds[1, :-1] / after.std(lam) if begin.alpha == 0 else start
    low, high = (kept - off).clamp(min=0), kept + off
    levels = tuple((level.alpha, level.sigma) for level in (*run.levels, end))
    return SchedulerResponse(kept, start, kept / (start * ended), ended, first, run.noises, levels, low, high, draws)


def mended_kept(
    scheduler: Scheduler,
    eigenvalues: Any,
    steps: int | None,
    matched: Tensor,
    **set_timesteps: Any,
) -> Tensor:
    """`scheduler_response` with the start matched along some directions, or the first step where the start has α = 0; shape (k,).

    Of a flow `response.flow.kept` runs what is attached to a pipeline.

    Args:
        scheduler: as there.
        eigenvalues: as there.
        steps: as there.
        matched: along which of them, shape (k,), bool.
        set_timesteps: as there.

    Raises:
        InputError: as there.
    """
    lam = check_eigenvalues(eigenvalues)
    run = _Run(_prepared(scheduler, steps, set_timesteps))
    run.check_linear()
    first = 1 if run.levels[0].alpha == 0 else 0
    factors = torch.ones(len(run.levels) + 1, len(lam), dtype=torch.float64)
    if first < len(run.levels):  # a single step from α = 0 is the last
        right = run.levels[first].std(lam) / run.stds(lam)[first]
        factors[first] = torch.where(matched, right, factors[first])
    return run.stds(lam, factors)[-1] / lam.sqrt()


class _Level(NamedTuple):
    """`(α, σ)` of latents `α y + σ n`, in the scheduler's units."""

    alpha: float
    sigma: float

    def std(self, eigenvalue: Tensor) -> Tensor:
        """`√(α²λ + σ²)`, as it should be."""
        return formula.marginal_var(self.alpha, self.sigma, eigenvalue).sqrt()


class _Run:
    """A scheduler on the denoiser of Gaussian data, as often as asked.

    Attributes:
        levels: of the latents at each timestep.
        noises: how often it draws noise.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.timesteps = list(scheduler.timesteps)
        with told_in_one_line(f"{self._name}: its levels of noise cannot be read", _REMEDY):
            seen = [_seen_level(scheduler, k, t) for k, t in enumerate(self.timesteps)]
            self._scales = [_input_scale(scheduler, k, t) for k, t in enumerate(self.timesteps)]
        self.levels = [_Level(*(x / scale for x in level)) for level, scale in zip(seen, self._scales, strict=True)]
        one = torch.ones(1, dtype=torch.float64)
        self.noises = self._trace(one, one[:, None])[1]

    def stds(self, lam: Tensor, factors: Tensor | None = None) -> Tensor:
        """Standard deviations of the latents at the start and after each step, over start and noises; shape (steps + 1, k).

        `factors` (steps + 1, k), if given, multiply the latents there and are carried on.
        """
        sources = self.noises + 1
        amounts = torch.eye(sources, dtype=torch.float64).repeat_interleave(len(lam), dim=0)
        states, _ = self._trace(lam.repeat(sources), amounts, None if factors is None else factors.repeat(1, sources))
        return states.view(-1, sources, len(lam)).square().sum(dim=1).sqrt()

    def check_linear(self) -> None:
        """Raises `InputError` unless it `is_linear`."""
        if not self.is_linear():
            raise InputError(
                f"{self._name}: its steps are not linear, so nothing can be mended here; use another scheduler"
            )

    def is_linear(self) -> bool:
        """Whether start and noises add up, a larger start gives a larger end, and none gives nothing: noise that is hidden shows there.

        Raises:
            InputError: where the steps give no numbers.
        """
        sources = self.noises + 1
        mixed = _LOUD * torch.cos(torch.arange(sources, dtype=torch.float64))
        amounts = torch.cat([torch.eye(sources, dtype=torch.float64), mixed[None], torch.zeros_like(mixed)[None]])
        tried = torch.tensor([0.5, 50.0], dtype=torch.float64)
        states, _ = self._trace(tried.repeat_interleave(len(amounts)), amounts.repeat(len(tried), 1))
        if not bool(torch.isfinite(states).all()):
            raise InputError(f"{self._name}: its steps give NaN or infinity; `singdiffusion diagnose` says why")
        off = []
        for end in states[-1].view(len(tried), len(amounts)):
            single, whole, silent = end[:sources], end[sources], end[sources + 1]
            size = single.abs() @ mixed.abs()
            off += [float((whole - single @ mixed).abs() / size), float(silent.abs() / (size / _LOUD))]
        return max(off) <= _LINEAR

    def drawn_stds(self, lam: Tensor, draws: int, seed: int) -> tuple[Tensor, Tensor]:
        """What `stds` computes, over draws of the start and of all noise, and how far the last may be off at `CONFIDENCE`; shapes (steps + 1, k) and (k,).

        The interval is that of a variance of many draws by their fourth moment, at `CONFIDENCE` for each eigenvalue alone.
        """
        stds, off = [], []
        for value in lam.split(max(1, _MOST_ENTRIES // draws)):
            with _seeded(seed):
                start = torch.randn(draws * len(value), dtype=torch.float64)
                states = self._steps(value.repeat_interleave(draws), start, None)
            squares = states.view(len(states), len(value), draws).square()
            stds.append(squares.mean(dim=2).sqrt())
            off.append(_CRITICAL * squares[-1].std(dim=1) / draws**0.5 / (2 * stds[-1][-1]))
        return torch.cat(stds, dim=1), torch.cat(off)

    def end(self, sigma: float) -> _Level:
        """Where the sampler stops, by the noise that is left: α follows from the units in which α and σ go together until then."""
        alpha_of = {
            "data scale": lambda s: 1.0,
            "flow": lambda s: 1 - s,
            "variance preserving": lambda s: math.sqrt(max(0.0, 1 - s**2)),
        }
        off = {name: max(abs(f(level.sigma) - level.alpha) for level in self.levels) for name, f in alpha_of.items()}
        return _Level(alpha_of[min(off, key=lambda name: off[name])](sigma), sigma)

    @property
    def _name(self) -> str:
        return type(self.scheduler).__name__

    def _trace(self, lam: Tensor, amounts: Tensor, factors: Tensor | None = None) -> tuple[Tensor, int]:
        """The latents at the start and after each step, shape (steps + 1, batch), and how often noise was drawn.

        Args:
            lam: an eigenvalue an entry, shape (batch,).
            amounts: of the start, and of each noise, shape (batch, 1 + noises).
            factors: by which the latents are multiplied at the start and after each step, shape (steps + 1, batch); None for 1.
        """
        with Pulses(amounts) as pulses:
            return self._steps(lam, amounts[:, 0], factors), pulses.draws

    def _steps(self, lam: Tensor, start: Tensor, factors: Tensor | None) -> Tensor:
        """The latents at the start and after each step, shape (steps + 1, batch), from starts of that many units."""
        scheduler = begun_at(copy.deepcopy(self.scheduler), 0)
        x = as_images(start * float(getattr(scheduler, "init_noise_sigma", 1.0)))
        factors = torch.ones(len(self.timesteps) + 1, 1, dtype=torch.float64) if factors is None else factors
        states = [x * as_images(factors[0])]
        for t, level, scale, factor in zip(self.timesteps, self.levels, self._scales, factors[1:], strict=True):
            x = states[-1]
            with told_in_one_line(f"{self._name}: cannot be stepped", _REMEDY):
                seen = _scaled(scheduler, x, t)
                answer = _answer(scheduler, x, seen, as_images(lam), _Level(level.alpha * scale, level.sigma * scale))
                x = scheduler.step(answer, t, x).prev_sample.double()
            states.append(x * as_images(factor))
        return torch.stack(states).flatten(1)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The global generators of torch and numpy at a seed, and after it as they were."""
    state = np.random.get_state()  # noqa: NPY002 - what schedulers draw from
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


def cutting(scheduler: Scheduler) -> str | None:
    """The setting by which a scheduler cuts pictures off at ±1 or at a share of their pixels; None where it does not."""
    return next((flag for flag in ("thresholding", "clip_sample") if scheduler.config.get(flag)), None)


def _prepared(scheduler: Scheduler, steps: int | None, set_timesteps: dict[str, Any]) -> Scheduler:
    """A copy after `set_timesteps`."""
    name = type(scheduler).__name__
    flag = cutting(scheduler)
    if flag is not None:
        raise InputError(
            f"{name}: {flag} cuts pictures off, so its steps are not linear and have no response; set {flag} to false"
        )
    check_shift(scheduler)
    if steps is not None and steps < 1:  # some make no timesteps of a negative number
        raise InputError(f"{name}: set_timesteps refuses {steps} steps (take at least 1)")
    prepared = copy.deepcopy(scheduler)
    try:
        prepared.set_timesteps(*(() if steps is None else (steps,)), **set_timesteps)
    except Exception as error:  # whatever a scheduler raises for steps that it cannot take
        raise InputError(f"{name}: set_timesteps refuses {steps} steps ({first_sentence(error)})") from error
    if prepared.timesteps[0] < prepared.timesteps[-1]:
        raise InputError(f"{name}: runs from data to noise, so it keeps nothing; use a scheduler that samples")
    return prepared


def _seen_level(scheduler: Scheduler, index: int, timestep: Tensor) -> _Level:
    """`(α, σ)` of what the network sees at a timestep: the schedule's at what it is told, of a flow what the scheduler itself mixes."""
    if not matches_flow(scheduler):
        return _Level(*scheduled(scheduler, float(timestep)))
    scales = hasattr(scheduler, "scale_noise")
    if not scales and not hasattr(scheduler, "add_noise"):
        raise InputError(
            f"{type(scheduler).__name__}: mixes no data with noise, so what its network sees is not known; use another scheduler"
        )
    data, noise = (torch.tensor([v], dtype=torch.float64) for v in (1.0, 0.0))

    def factor(y: Tensor, n: Tensor) -> float:
        probe = begun_at(copy.deepcopy(scheduler), index)
        timesteps = timestep[None]
        return float(probe.scale_noise(y, timesteps, n) if scales else probe.add_noise(y, n, timesteps))

    return _Level(factor(data, noise), factor(noise, data))


def _input_scale(scheduler: Scheduler, index: int, timestep: Tensor) -> float:
    return float(_scaled(begun_at(copy.deepcopy(scheduler), index), torch.ones(1, dtype=torch.float64), timestep))


def _scaled(scheduler: Scheduler, x: Tensor, timestep: Tensor) -> Tensor:
    """What the network is given of the latents."""
    return scheduler.scale_model_input(x, timestep) if hasattr(scheduler, "scale_model_input") else x


def _answer(scheduler: Scheduler, x: Tensor, seen: Tensor, lam: Tensor, level: _Level) -> Tensor:
    """What a network that knows the law predicts, in the scheduler's kind of prediction, shape of x."""
    alpha, sigma = level
    x_hat = formula.posterior_slope(alpha, sigma, lam) * seen
    if hasattr(
        scheduler, "precondition_outputs"
    ):  # EDM's networks give neither ε nor x̂ but a mixture, which is measured
        now = scheduler.sigmas[scheduler.step_index or 0]
        rest, unit = (scheduler.precondition_outputs(*pair, now) for pair in ((x, 0 * x), (0 * x, torch.ones_like(x))))
        return (x_hat - rest) / unit
    noise = formula.epsilon_of(seen, x_hat, alpha, sigma)
    kinds = {
        "epsilon": noise,
        "v_prediction": formula.v_of(noise, x_hat, alpha, sigma),
        "sample": x_hat,
        "flow_prediction": noise - x_hat,
    }
    kind = scheduler.config.get("prediction_type", "flow_prediction" if matches_flow(scheduler) else "epsilon")
    if kind not in kinds:
        raise InputError(
            f"{type(scheduler).__name__}: prediction_type {kind!r} is not known; use one of {', '.join(kinds)}"
        )
    return kinds[kind]

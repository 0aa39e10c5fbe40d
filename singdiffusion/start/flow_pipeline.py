r"""The singular step inside a diffusers pipeline that matches flows: its first step is mended where all schedulers meet, in `scheduler.step`.

On this one pipeline and its scheduler some methods are listened to. `prepare_latents` tells how latents are laid out, `set_timesteps` where
the grid starts, `encode_prompt` what the prompt is, where an average image or a spread depends on it; and the result of the first `step` is
exchanged for the mended one (`singdiffusion.start.flow`). Nothing is drawn, so that a generator gives the steps the same noise as without.

A grid that starts below σ = 1 lacks α of the average image at its start, as samplers of older models do; then the start itself is mended,
by the matched start (C7), before the network sees it. Below full strength nothing is changed.

Nothing is read from a GPU in the first step, so that the next one is started at once. Whether the network gave NaN is asked there and told at the next
step, or at once where there is none.
"""

import copy
import dataclasses
import inspect
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from singdiffusion.base import Finite, Scheduler
from singdiffusion.start import flow_layout
from singdiffusion.start.distilled import refuse_distilled
from singdiffusion.start.flow import (
    HOOKED,
    START_GAP,
    Began,
    FirstStep,
    Measured,
    measured,
    mended,
    sample_of,
)
from singdiffusion.start.flow_checks import check_shapes, finite
from singdiffusion.start.flow_corrected import Corrections, factors
from singdiffusion.start.flow_kinds import check_kind
from singdiffusion.start.flow_layout import Layout
from singdiffusion.start.flow_sources import Asked, Sources
from singdiffusion.start.method import Method, copied_owner, own_methods, put_by_others
from singtheory.errors import InputError
from singtheory.start import Components, matched_start, mean_start

_LOG = logging.getLogger(__name__)
LISTENED = ("check_inputs", "encode_prompt", "prepare_latents")
"""The methods of a pipeline in whose place `SingDiffusion` puts its own."""
_STEPS = (4, 1)
"""Numbers of steps with which a scheduler is asked before it is hooked."""


_PICTURE = torch.ones(1, 4, 8, 8)


def _grids(steps: int) -> tuple[dict[str, Any], ...]:
    """What pipelines give to `set_timesteps`: some no more than a number, some a shift or the sigmas."""
    sigmas = [1 - k / steps for k in range(steps)]
    number = {"num_inference_steps": steps}
    return number, number | {"mu": 1.0}, number | {"sigmas": sigmas}, {"sigmas": sigmas, "mu": 1.0}


def stepping(scheduler: Scheduler) -> list[Scheduler]:
    """Copies with few steps, as a scheduler is asked at `attach`, of which it takes at least one itself. Raises `InputError` for one that takes none."""
    probes, reason = [], None
    for steps in _STEPS:
        for grid in _grids(steps):
            probe = copy.deepcopy(scheduler)
            try:
                probe.set_timesteps(**grid)
                stepped = copy.deepcopy(probe).step(_PICTURE, probe.timesteps[0], _PICTURE)
                finite = bool(torch.isfinite(stepped.prev_sample).all())
            except Exception as error:  # schedulers raise what they like for what they do not take
                reason = reason or error
            else:
                probes += [probe] if finite else []
                break
    if not probes:
        why = "its first step is not finite" if reason is None else f"{type(reason).__name__}: {reason}"
        raise InputError(f"{type(scheduler).__name__}: cannot be stepped ({why}); use another scheduler")
    return probes


def hook_of(pipe: Any) -> Any:
    """The `FlowHook` of a pipeline; None for none."""
    step = vars(pipe.scheduler).get("step") if getattr(pipe, "scheduler", None) is not None else None
    owner = getattr(step.call, "__self__", None) if isinstance(step, Method) else None
    return owner if isinstance(owner, FlowHook) else getattr(vars(pipe).get("prepare_latents"), "__self__", None)


class FlowHook:
    """What stands in for methods of one pipeline and its scheduler.

    Args:
        sing: whose hook it is.
        asked: what is to be done.
        force: whether distilled models are taken.
        pipe: of diffusers; changed by `install` alone.

    Raises:
        InputError: as `SingDiffusion.attach`.
    """

    def __init__(self, sing: Any, asked: Asked, pipe: Any, force: bool) -> None:
        check_kind(pipe)
        if not force:
            refuse_distilled(pipe)
        self.sing, self.pipe = sing, pipe
        self.scheduler: Any = None
        self._sources, self._asked = Sources(asked, pipe), asked
        self._check(pipe.scheduler)
        self._own = {name: getattr(pipe, name) for name in LISTENED if hasattr(pipe, name)}
        self._takes = {name: inspect.signature(own) for name, own in self._own.items()}
        self._put = put_by_others(pipe, LISTENED)
        self._layouts: dict[tuple[Any, ...], Layout | None] = {}
        self._layout: Layout | None = None
        self._made: Tensor | None = None
        self._x_1: Tensor | None = None
        self._timed = False
        self._still = 0
        self._start: Measured | None = None
        self._step_result: Any = None
        self._corrections: Corrections | None = None
        self._finite: Finite | None = None

    def install(self) -> None:
        """Put the methods in their places."""
        if "prepare_latents" in self._own:  # without it, latents are stepped as they are drawn
            self.pipe.prepare_latents = self.prepare_latents
        if self._sources.asks_prompt:
            self.pipe.encode_prompt = self.encode_prompt
            if "check_inputs" in self._own:
                self.pipe.check_inputs = self.check_inputs
        self._follow()

    def remove(self) -> None:
        """Give pipeline and scheduler back as they were."""
        for name in [name for name in LISTENED if name in vars(self.pipe)]:
            delattr(self.pipe, name)
        vars(self.pipe).update(self._put)
        self._leave()

    def check_inputs(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, with which a call begins."""
        self._sources.forget()
        return self._own["check_inputs"](*args, **kwargs)

    def encode_prompt(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, listened to."""
        own = self._own["encode_prompt"]
        bound = self._takes["encode_prompt"].bind(*args, **kwargs)
        bound.apply_defaults()
        encoded = own(*args, **kwargs)
        self._sources.heard(bound.arguments, encoded)
        return encoded

    def prepare_latents(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own; the latents in what it returns are its own values in memory that may be written to."""
        self._follow()
        self._sources.use()
        own = self._own["prepare_latents"]
        made = own(*args, **kwargs)
        latents = flow_layout.first_tensor(made)
        arguments = self._takes["prepare_latents"].bind(*args, **kwargs).arguments
        self._layout = self._layout_of(own, arguments, latents)
        self._made, self._x_1, self._finite = latents.clone(), None, None
        if self._timed:
            self._begin()
        if made is latents:
            return self._made
        return type(made)(self._made if part is latents else part for part in made)

    def set_timesteps(self, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's own; where it starts is seen once there are latents too."""
        result = self._set_timesteps(*args, **kwargs)
        self._timed, self._still, self._corrections = True, 0, None
        self._finite = None  # of a run that was broken off
        if self._made is not None:
            self._begin()
        return result

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's own, its first result mended."""
        self._sources.use()
        if self._finite is not None:
            unread, self._finite = self._finite, None
            unread.check()
        bound = self._step_takes.bind(*args, **kwargs).arguments
        if self._still:  # a second stage of the first step, which is done
            self._still -= 1
            result = _like(self._step_result, bound["sample"])
            self._step_result = self._step_result if self._still else None
            return result
        each = bound.get("per_token_timesteps")
        if not self._starts(bound["timestep"] if each is None else each):
            return self._later(lambda: self._step(*args, **kwargs))
        return self._first(bound, lambda: self._step(*args, **kwargs))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """The hook of a copy of the pipeline: the same singular step; the copy's scheduler is hooked at its first call."""
        mine = copy.copy(self)
        memo[id(self)] = mine
        mine.pipe = copied_owner(self.pipe, memo)
        mine._own = own_methods(mine.pipe, self._own, self._put, memo)
        mine._put = {name: mine._own[name] for name in self._put}
        mine._sources = self._sources.of_copy(mine.pipe)
        mine.scheduler, mine._layouts, mine._layout, mine._made, mine._x_1 = None, {}, None, None, None
        mine._timed, mine._still, mine._corrections = False, 0, None
        mine._start, mine._step_result, mine._finite = None, None, None
        return mine

    def _first(self, bound: Any, step: Callable[[], Any]) -> Any:
        sample, output = bound["sample"], bound["model_output"]
        self._start = Measured.of(self.scheduler, self._start)
        first = self._start.first
        if self._made is None and "prepare_latents" in self._own:  # of another pipeline with the same scheduler
            self._sources.forget()
        self._made, self._timed = None, False
        each = bound.get("per_token_timesteps")
        if each is not None:  # with these a scheduler of diffusers takes the velocity the other way round
            first = first._replace(sign=-first.sign, of_output=-first.of_output)
        layout = self._layout_for(sample)
        if first.alpha > START_GAP:  # its start was mended before the network saw it
            if "prepare_latents" not in self._own:
                self._say_left_alone()
            return step()
        if layout is None:
            self._say_left_alone("a part of its latents is given, or packed in an order that is not known")
            return step()
        began = Began.of(self.scheduler)
        check_shapes(sample, output, None)
        numbers = finite(sample, output)
        mean, components = self._sources.at(layout, sample)
        if began.begin + first.stages < len(self.scheduler.timesteps) and not numbers.answered:
            self._finite = numbers  # read at the next step: until then the device goes on without being waited for
        else:
            numbers.check()
        result = began.step(self.scheduler, first.stages, step)
        self._still = first.stages - 1
        self._step_result = result if self._still else None
        if self._asked.corrected and components is not None:
            centre = first.x_hat(sample, output) if mean is None else mean.expand_as(sample)
            self._corrections = Corrections.of(self.scheduler, first, components, centre)
        if "prepare_latents" not in self._own:  # by which another pipeline's steps would be told apart
            self._sources.forget()
        return _like(result, mended(sample_of(result), sample, output, first, mean, components))

    def _later(self, step: Callable[[], Any]) -> Any:
        """A step that is not the first, corrected where that is asked for."""
        self._made, index = None, getattr(self.scheduler, "step_index", None)
        result = step()
        if self._corrections is None or index is None:
            return result
        return _like(result, self._corrections.applied(index, sample_of(result)))

    def _starts(self, timestep: Any) -> bool:
        """Whether the scheduler is at its first timestep."""
        scheduler = self.scheduler
        if getattr(scheduler, "step_index", None) is not None:
            return False
        if (getattr(scheduler, "begin_index", None) or 0) == 0 and _equal(timestep, scheduler.timesteps[0]):
            return True
        self._say_left_alone()
        return False

    def _begin(self) -> None:
        """Mend the start where the grid begins below σ = 1; else leave the latents as they are."""
        assert self._made is not None
        if (getattr(self.scheduler, "begin_index", None) or 0) > 0:
            self._say_left_alone()
            return
        self._start = Measured.of(self.scheduler, self._start)
        first = self._start.first
        x_1 = self._made if self._x_1 is None else self._x_1
        if first.alpha <= START_GAP:
            if x_1 is not self._made:
                self._made.copy_(x_1)
            return
        self._x_1 = x_1.clone()
        layout = self._layout_for(x_1)
        if layout is None:
            self._say_left_alone("a part of its latents is given, or packed in an order that is not known")
            return
        mean, components = self._sources.at(layout, x_1)
        self._made.copy_(_older_start(self._x_1, mean, components, first))
        lacks = "" if mean is not None else "; of that mean network knows nothing, and only the spread is mended"
        _LOG.warning(
            "%s: starts at sigma %.4g, where noise lacks %.4g of the average image: its start is mended in the place of its first step%s",
            type(self.pipe).__name__, first.sigma, first.alpha, lacks,
        )  # fmt: skip

    def _layout_of(self, own: Callable[..., Any], arguments: dict[str, Any], latents: Tensor) -> Layout | None:
        """How the latents are laid out, asked once for each shape."""
        sizes = (value for value in arguments.values() if isinstance(value, int | str))
        key = (tuple(latents.shape[1:]), *sizes)
        if key not in self._layouts:
            again = arguments | (
                {"latents": None} if "latents" in arguments else {}
            )  # the caller's own would come back
            self._layouts[key] = flow_layout.layout_of(lambda: own(**again), latents)
        return self._layouts[key]

    def _layout_for(self, sample: Tensor) -> Layout | None:
        """The layout of what is stepped; None where it is not known, as where a part of it is a picture that is given."""
        shape = tuple(sample.shape[1:])
        layout = flow_layout.same(sample.shape) if self._layout is None else self._layout
        if len(layout.drawn) not in (3, 4) and not self._sources.as_stepped(shape):
            return None
        return dataclasses.replace(layout, stepped=shape) if layout.fits(shape) else None

    def _check(self, scheduler: Scheduler) -> None:
        """Raise `InputError` for a scheduler whose first step is not known, or that is in the midst of a run."""
        index, timesteps = getattr(scheduler, "step_index", None), getattr(scheduler, "timesteps", ())
        if index is not None and 0 < index < len(timesteps):
            raise InputError(
                f"{type(scheduler).__name__}: is at step {index} of {len(timesteps)}, at sigma < 1; attach before the pipeline "
                "runs, or after an interrupted run call pipe.scheduler.set_timesteps"
            )
        for name in HOOKED:
            if isinstance(vars(scheduler).get(name), Method):
                raise InputError(
                    f"{type(scheduler).__name__}: a singular step is attached to it already; detach it first"
                )
        for method in (getattr(self.pipe, "prepare_latents", None), type(self.pipe).__call__):
            names, words = (set(), set()) if method is None else _names_in(method)
            if type(scheduler).__name__ in names:  # it tells this scheduler from the others by itself
                continue
            wanted = (
                {"init_noise_sigma", "scale_model_input"} & names
            ) - words  # as in hasattr(scheduler, "init_noise_sigma")
            missing = sorted(name for name in wanted if not hasattr(scheduler, name))
            if missing:
                raise InputError(
                    f"{type(self.pipe).__name__}: cannot run with {type(scheduler).__name__}, which has no {missing[0]}; give it its own scheduler"
                )
        for probe in stepping(scheduler):
            first = measured(probe)
            if self._asked.corrected:
                Began.of(probe).at_second(probe, first.stages)
                factors(probe, first, torch.ones(1))

    def _follow(self) -> None:
        """Hook the scheduler that the pipeline has now."""
        now = self.pipe.scheduler
        if now is self.scheduler:
            return
        self._check(now)
        exchanged = self.scheduler is not None
        self._leave()
        self.scheduler, self._step, self._set_timesteps = now, now.step, now.set_timesteps
        self._step_takes = inspect.signature(now.step)
        now.step, now.set_timesteps = Method(now, "step", self.step), Method(now, "set_timesteps", self.set_timesteps)
        if exchanged:  # its timesteps may have been set before it was seen
            self._timed = bool(getattr(now, "num_inference_steps", None)) and now.step_index is None

    def _leave(self) -> None:
        for name in HOOKED if self.scheduler is not None else ():
            delattr(self.scheduler, name)
        self.scheduler = None

    def _say_left_alone(self, why: str = "starts from a noised image and not from noise") -> None:
        _LOG.warning("%s: %s; left as it is", type(self.pipe).__name__, why)


def _names_in(method: Any) -> tuple[set[str], set[Any]]:
    """The names that the code of a function or method uses, and its constants."""
    code = getattr(inspect.unwrap(getattr(method, "__func__", method)), "__code__", _names_in.__code__)
    return {*code.co_names}, {*code.co_consts}


def _like(result: Any, sample: Tensor) -> Any:
    """A result of `step` with other latents in it."""
    if isinstance(result, tuple):
        return (sample, *result[1:])
    result.prev_sample = sample
    return result


def _equal(timestep: Any, first: Tensor) -> bool:
    """Whether a pipeline's timestep, a number or the same for each entry of the batch, is the first; of an entry of the grid no number is read."""
    if isinstance(timestep, Tensor) and timestep.dtype == first.dtype and timestep.is_set_to(first):
        return True
    timesteps = torch.as_tensor(timestep).flatten()
    return bool((timesteps.to(first) == first).all())


def _older_start(x_1: Tensor, mean: Tensor | None, components: Components | None, first: FirstStep) -> Tensor:
    """The start at σ < 1, like `x_1`: mean or matched (C6, C7)."""
    dtype = torch.promote_types(x_1.dtype, torch.float32)
    noise = x_1.to(dtype)
    y = torch.zeros_like(noise) if mean is None else mean.to(dtype)
    if components is None:
        return mean_start(noise, y, first.alpha, first.sigma).to(x_1.dtype)
    exact = Components.orthonormal(components.basis.to(dtype), components.std.to(dtype))
    return matched_start(noise, y, exact, first.alpha, first.sigma).to(x_1.dtype)

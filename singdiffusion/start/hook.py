r"""What stands in for methods of one pipeline of noise: it starts from the average image instead of from noise alone.

A pipeline makes its first latents in `prepare_latents`, which never sees the prompt, and encodes the prompt in `encode_prompt`. The second is
listened to where the average image depends on the prompt, and what the first returns is exchanged for

    α ȳ_w + σ x_1    (C6, E1)    or the moment-matched start (C7), if the average image has a spread,

with `x_1` the noise that the pipeline drew itself. Nothing else is drawn, so that a generator gives the steps the same noise as without.
"""

import copy
import inspect
import logging
from typing import Any

from torch import Tensor

from singdiffusion.average import Average
from singdiffusion.base import refuse_flow
from singdiffusion.start.call import (
    Asked,
    Spoken,
    arguments_of,
    asked,
    check_clip_skip,
    check_numbers,
    guidance_of,
    known_negatives,
    spoken,
)
from singdiffusion.start.flow_layout import first_tensor
from singdiffusion.start.free_noise import KeyFrames, key_frames, one_deviation, over_frames
from singdiffusion.start.guidance import none
from singdiffusion.start.initial import prepared_latents
from singdiffusion.start.kinds import check_pipeline
from singdiffusion.start.made import made
from singdiffusion.start.method import Method, copied_owner, own_methods, put_by_others
from singtheory.errors import InputError

_LOG = logging.getLogger(__name__)
_LISTENED = ("check_inputs", "encode_prompt", "prepare_latents", "_apply_free_init")


class Hook:
    """The singular step on one pipeline.

    Args:
        sing: whose hook it is; gives the average images.
        pipe: of diffusers; changed by `install` alone.
        condition: what the module reads of a prompt: `embeddings`, `prompts`, or `nothing`.

    Raises:
        InputError: for a pipeline that makes its latents in a way that is not known.
    """

    def __init__(self, sing: Any, pipe: Any, condition: str) -> None:
        check_pipeline(pipe, condition)
        self.sing, self.pipe, self.condition = sing, pipe, condition
        names = _LISTENED if condition != "nothing" else _LISTENED[2:]
        self._own = {name: getattr(pipe, name) for name in names if hasattr(pipe, name)}
        self._put = put_by_others(pipe, self._own)
        self._scheduler: Any = None
        self._calls: list[Spoken] = []
        self._used = False
        self._noise: Tensor | None = None
        self._said: set[str] = set()

    def install(self) -> None:
        """Put the methods in their places."""
        for name in self._own:
            setattr(self.pipe, name, getattr(self, name))
        self._watch()

    def remove(self) -> None:
        """Give the pipeline back as it was."""
        for name in self._own:
            vars(self.pipe).pop(name, None)
        vars(self.pipe).update(self._put)
        if self._scheduler is not None:
            vars(self._scheduler).pop("set_timesteps", None)
            self._scheduler = None

    def check_inputs(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, with which a call begins."""
        self._calls, self._used = [], False
        return self._own["check_inputs"](*args, **kwargs)

    def encode_prompt(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, listened to."""
        own = self._own["encode_prompt"]
        bound = inspect.signature(own).bind(*args, **kwargs)
        bound.apply_defaults()
        check_numbers(bound)
        if self.condition == "embeddings":
            check_clip_skip(self.sing.module, bound)
        if self._used:  # what is heard now is of another call
            self._calls, self._used = [], False
        encoded = own(*args, **kwargs)
        self._calls.append(spoken(bound, encoded))
        return encoded

    def prepare_latents(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, its result exchanged."""
        own, scheduler = self._own["prepare_latents"], self.pipe.scheduler
        refuse_flow(scheduler)  # it may have been exchanged
        self._watch()
        arguments = inspect.signature(own).bind(*args, **kwargs).arguments
        latents = arguments.get("latents")
        if latents is not None and arguments.get("dtype", latents.dtype) != latents.dtype:
            raise InputError(
                f"latents in {latents.dtype}: the pipeline works in {arguments['dtype']}; cast them with .to()"
            )
        latents_made = made(own, scheduler, args, kwargs)
        self._used, self._noise = True, first_tensor(latents_made.result)
        if latents_made.x_1 is None:
            self._say_left_alone()
            return latents_made.result
        frames = (
            key_frames(self.pipe, arguments_of(self.pipe), latents_made.x_1) if self.condition != "nothing" else None
        )
        if frames is None:
            start = start_of(self._average(latents_made.x_1), latents_made.x_1, scheduler)
        else:
            start = start_of_frames(self._average_of(frames, latents_made.x_1), latents_made.x_1, scheduler)
        return latents_made.exchanged(start.to(self._noise))

    def _apply_free_init(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own: FreeInit keeps the first latents for the noise of its later rounds, and they must be noise."""
        result = self._own["_apply_free_init"](*args, **kwargs)
        bound = inspect.signature(self._own["_apply_free_init"]).bind(*args, **kwargs).arguments
        if bound.get("free_init_iteration") == 0 and self._noise is not None:
            self.pipe._free_init_initial_noise = self._noise.detach().clone()
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """The hook of a copy of the pipeline: the same singular step, attached to it."""
        mine = copy.copy(self)
        memo[id(self)] = mine
        mine.pipe = copied_owner(self.pipe, memo)
        mine._own = own_methods(mine.pipe, self._own, self._put, memo)
        mine._put = {name: mine._own[name] for name in self._put}
        mine._scheduler, mine._calls, mine._noise, mine._said = None, [], None, set()
        return mine

    def _average(self, x_1: Tensor) -> Average:
        """The guided average images for noise of the pipeline."""
        if self.condition == "nothing":
            empty = [""] * len(x_1)
            return self.sing.average(empty, empty, x_1, guidance_of(self.pipe, arguments_of(self.pipe)))
        said = asked(self._calls, self.pipe, len(x_1))
        cond, uncond = said.condition(self.condition)
        if self.condition == "prompts" and uncond is not None and said.guidance != 1 and self.sing.rule is not none:
            uncond = known_negatives(self.sing.module, said.negative, self._said)
        return self.sing.average(_for_batch(cond, len(x_1)), _for_batch(uncond, len(x_1)), x_1, said.guidance)

    def _average_of(self, frames: KeyFrames, x_1: Tensor) -> Average:
        """The guided average images of a video whose prompt travels, one for each frame."""
        said = asked(self._calls, self.pipe, len(x_1))
        return over_frames(frames, lambda rows, negative: self._of_rows(said, rows, negative, x_1), self.sing.rule)

    def _of_rows(self, said: Asked, rows: int, negative: bool, x_1: Tensor) -> tuple[Average, float]:
        """The averages of the prompts of a video's key frames, without guidance, and its weight."""
        cond, uncond = said.condition(self.condition)
        chosen: Any = uncond if negative else cond
        if negative and self.condition == "prompts":
            spoken_last = next((call.negative for call in reversed(self._calls) if call.negative), [""])
            chosen = known_negatives(self.sing.module, spoken_last, self._said)
        if chosen is None:
            raise InputError("negative prompt: the pipeline shows no embeddings of it; give one")
        chosen = _for_batch(chosen, rows)
        return self.sing.average(chosen, None, x_1[:1].expand(rows, *x_1.shape[1:]), 1.0), said.guidance

    def _watch(self) -> None:
        """Listen to the scheduler that the pipeline has now: others that share it learn that the step is not theirs."""
        now = self.pipe.scheduler
        if now is self._scheduler:
            return
        if self._scheduler is not None:
            vars(self._scheduler).pop("set_timesteps", None)
        self._scheduler = None
        if not isinstance(vars(now).get("set_timesteps"), Method):
            own = now.set_timesteps
            now.set_timesteps = Method(now, "set_timesteps", lambda *args, **kwargs: self._timed(own, args, kwargs))
            self._scheduler = now

    def _timed(self, own: Any, args: Any, kwargs: Any) -> Any:
        other = _pipeline_that_calls()
        if other is not None and other is not self.pipe and not isinstance(hook_in(other), Hook):
            self._say(
                f"{type(other).__name__}: the singular step is attached to the {type(self.pipe).__name__} from which it was made, "
                "and not to it; nothing was done; attach it to this one too"
            )
        return own(*args, **kwargs)

    def _say_left_alone(self) -> None:
        strength = arguments_of(self.pipe).get("strength")
        how = (
            ""
            if strength is None
            else f"; strength {float(strength):g} is below 1, give strength=1.0 to start from the average image"
        )
        self._say(f"{type(self.pipe).__name__}: starts from a noised image and is left as it is, nothing was done{how}")

    def _say(self, line: str) -> None:
        """Writes a line to the log, once."""
        if line not in self._said:
            self._said.add(line)
            _LOG.warning("%s", line)


def hook_in(pipe: Any) -> Any:
    """The object whose method stands in the place of a pipeline's `prepare_latents`, or None."""
    return getattr(vars(pipe).get("prepare_latents"), "__self__", None)


def _pipeline_that_calls() -> Any:
    """The pipeline whose `__call__` is under way, the innermost; None outside of one."""
    frame = inspect.currentframe()
    try:
        while frame is not None:
            mine = frame.f_locals.get("self") if frame.f_code.co_name == "__call__" else None
            if mine is not None and hasattr(mine, "scheduler") and hasattr(mine, "components"):
                return mine
            frame = frame.f_back
    finally:
        del frame
    return None


def _for_batch(condition: Any, batch: int) -> Any:
    """One a latent: each is repeated for its images."""
    if condition is None or not len(condition) or len(condition) == batch or batch % len(condition):
        return condition
    copies = batch // len(condition)
    if isinstance(condition, Tensor):
        return condition.repeat_interleave(copies, dim=0)
    return [text for text in condition for _ in range(copies)]


def start_of(average: Average, x_1: Tensor, scheduler: Any) -> Tensor:
    """The first latents in the scheduler's own units, of pictures, or of videos whose frames share one image and one deviation from it."""
    mean = average.mean if x_1.ndim == 4 else average.mean[:, :, None]
    return _from(mean, average.spread, x_1, scheduler)


def start_of_frames(average: Average, x_1: Tensor, scheduler: Any) -> Tensor:
    """The first latents of a video with an average image for each frame; the frames share one deviation from them."""
    spread = None if average.spread is None else (average.spread[0], one_deviation(average.spread[1]))
    return _from(average.mean.movedim(0, 1)[None], spread, x_1, scheduler)


def _from(mean: Tensor, spread: tuple[Tensor, Tensor] | None, x_1: Tensor, scheduler: Any) -> Tensor:
    if spread is not None and x_1.ndim == 5:  # along φ in each of F frames is φ/√F in all
        basis, std = spread
        frames = x_1.shape[2]
        spread = basis[:, :, None].expand(-1, -1, frames, -1, -1) / frames**0.5, std * frames**0.5
    return prepared_latents(mean.to(x_1), x_1, scheduler, spread=spread)

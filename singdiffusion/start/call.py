"""A call of a pipeline that is under way: what it was given, and what it said of its prompts.

Pipelines keep the weight of guidance in a property, in a field, or nowhere. All of them have it as an argument of their `__call__`, and that is
where it is read, while the call is under way.
"""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch import Tensor

from singdiffusion.average import AverageImage, Condition
from singtheory.errors import InputError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spoken:
    """A call of `encode_prompt`: prompts and negative prompts with their copies, and the tensors that it returned."""

    prompts: list[str] | None
    negative: list[str] | None
    states: tuple[Any, ...]


@dataclass(frozen=True)
class Asked:
    """What a pipeline's call asks for, as far as it is known.

    Attributes:
        prompts: one an image; None where there are embeddings alone.
        negative: as many.
        cond: token states of the prompts, or None.
        uncond: of the negative prompts, or None without guidance.
        guidance: its weight; 1 for none.
    """

    prompts: list[str] | None
    negative: list[str]
    cond: Tensor | None
    uncond: Tensor | None
    guidance: float

    def condition(self, kind: str) -> tuple[Condition, Condition | None]:
        """The condition with and without the prompt, as a module of the kind `embeddings` or `prompts` reads it. Raises `InputError` where it is not known."""
        if kind == "embeddings":
            if self.cond is None:
                raise InputError(
                    "prompt: the pipeline shows no embeddings of it; use an average image that reads prompts, or statistics"
                )
            return self.cond, self.uncond
        if self.prompts is None:
            raise InputError("prompt_embeds: this average image knows prompts alone; give prompt=")
        return self.prompts, self.negative


def arguments_of(pipe: Any) -> dict[str, Any]:
    """The variables of the pipeline's `__call__` that is under way, its arguments among them; empty outside of one."""
    code = getattr(inspect.unwrap(type(pipe).__call__), "__code__", None)
    frame: FrameType | None = inspect.currentframe()
    try:
        while frame is not None:
            if frame.f_code is code and frame.f_locals.get("self") is pipe:
                return dict(frame.f_locals)
            frame = frame.f_back
    finally:
        del frame  # which would keep all that it refers to
    return {}


def guidance_of(pipe: Any, values: dict[str, Any]) -> float:
    """The weight of guidance of a call, 1 for none: the pipeline's own word where it has one, or else its argument.

    Raises:
        InputError: for a pipeline that says none.
    """
    guided = getattr(pipe, "do_classifier_free_guidance", None)
    weight = getattr(pipe, "guidance_scale", None)
    weight = values.get("guidance_scale") if weight is None else weight
    guided = values.get("do_classifier_free_guidance") if guided is None else guided
    if weight is None:
        raise InputError(f"{type(pipe).__name__}: does not say its weight of guidance; call initial_latents yourself")
    if guided is False:
        return 1.0
    if isinstance(weight, Sequence):
        raise InputError(f"guidance_scale {list(weight)}: need one weight for all images")
    return max(1.0, float(weight)) if guided is None else float(weight)


def check_numbers(bound: inspect.BoundArguments) -> None:
    """Raise `InputError` for prompts and negative prompts of `encode_prompt` whose numbers do not go together."""
    prompts, negative = (texts(bound.arguments.get(name)) for name in ("prompt", "negative_prompt"))
    if prompts and negative and len(negative) not in (1, len(prompts)):
        raise InputError(
            f"negative_prompt: {len(negative)} for {len(prompts)} prompts; give one a prompt, or one for all"
        )


def spoken(bound: inspect.BoundArguments, states: Any) -> Spoken:
    """What a call of `encode_prompt` was given, and what it returned."""
    arguments = bound.arguments
    prompts, negative = (texts(arguments.get(name)) for name in ("prompt", "negative_prompt"))
    copies = arguments.get("num_images_per_prompt") or arguments.get("num_videos_per_prompt") or 1
    states = tuple(states) if isinstance(states, tuple | list) else (states,)
    if prompts is None:
        return Spoken(None, None, states)
    without = negative or [""]
    return Spoken(
        [text for text in prompts for _ in range(copies)],
        [text for text in without * (len(prompts) // len(without)) for _ in range(copies)],
        states,
    )


def asked(calls: Sequence[Spoken], pipe: Any, batch: int) -> Asked:
    """What the call of a pipeline asks for, from what its `encode_prompt` was given, or else from the call's own arguments.

    Args:
        calls: those of `encode_prompt`, in their order.
        pipe: whose call it is.
        batch: number of its latents, by which embeddings of both kinds in one tensor are told apart.

    Raises:
        InputError: as `guidance_of`.
    """
    values = arguments_of(pipe)
    guidance = guidance_of(pipe, values)
    prompts = next((call.prompts for call in calls if call.prompts is not None), None)
    negative = next((call.negative for call in calls if call.negative and any(call.negative)), None)
    negative = negative or next((call.negative for call in calls if call.negative is not None), None)
    if not calls:
        prompts, negative = _repeated(values, batch)
    cond, uncond = _states(calls, values, batch)
    return Asked(prompts, negative or [""] * len(prompts or ()), cond, uncond, guidance)


def _repeated(values: dict[str, Any], batch: int) -> tuple[list[str] | None, list[str] | None]:
    """Prompts and negative prompts of a call that encodes them in its own way, one a latent."""
    prompts, negative = (texts(values.get(name)) for name in ("prompt", "negative_prompt"))
    if not prompts or batch % len(prompts) or not all(isinstance(one, str) for one in prompts):
        return None, None
    without = negative or [""]
    every = without * len(prompts) if len(without) == 1 else without
    copies = batch // len(prompts)
    return [text for text in prompts for _ in range(copies)], [text for text in every for _ in range(copies)]


def _states(calls: Sequence[Spoken], values: dict[str, Any], batch: int) -> tuple[Tensor | None, Tensor | None]:
    """Token states with and without the prompt: of the first call that returned some, or as the pipeline's call holds them."""
    cond: Any = next((one for call in calls for one in call.states[:1] if _is_states(one)), None)
    others = [one for call in calls for one in call.states[1:]]
    if not calls:
        cond, others = values.get("prompt_embeds"), [values.get("negative_prompt_embeds")]
    if not _is_states(cond):
        return None, None
    alike = [one for one in others if _is_states(one) and one is not None and one.shape[2] == cond.shape[2]]
    uncond: Any = alike[0] if alike else None
    if uncond is None and not calls and len(cond) == 2 * batch:  # both in one, the negative first, as in diffusers
        uncond, cond = cond.chunk(2)
    return cond, uncond


def _is_states(one: Any) -> bool:
    """Whether these are token states, and neither a mask of attention nor pooled."""
    return isinstance(one, Tensor) and one.is_floating_point() and one.ndim == 3


def check_clip_skip(module: AverageImage, bound: inspect.BoundArguments) -> None:
    """Raise `InputError` where the pipeline encodes its prompt with other layers than those that the module was trained with."""
    arguments = bound.arguments
    if arguments.get("prompt") is None or "clip_skip" not in bound.signature.parameters:
        return  # embeddings, of which nobody can tell
    wanted, now = int(getattr(module, "clip_skip", 0) or 0), int(arguments.get("clip_skip") or 0)
    if wanted != now:
        call = "leave clip_skip out" if wanted == 0 else f"call the pipeline with clip_skip={wanted}"
        raise InputError(
            f"clip_skip {now}: this average image was trained with {wanted}; {call}, or train one with --clip-skip {now}"
        )


def known_negatives(module: AverageImage, negative: Sequence[str], said: set[str]) -> list[str]:
    """Negative prompts as a module knows them: of one with rows or classes, those without one are the empty prompt, which is said once.

    Args:
        module: gives the average images.
        negative: prompts.
        said: those of which it was said already; new ones are put in.
    """
    knows = getattr(module, "knows", None)
    if knows is None:
        return list(negative)
    for prompt in negative:
        if not knows(prompt) and prompt not in said:
            said.add(prompt)
            _LOG.warning(
                "negative_prompt %r: this average image has no row for it, and takes its row without a prompt", prompt
            )
    return [prompt if knows(prompt) else "" for prompt in negative]


def texts(prompt: str | Sequence[str] | None) -> list[str] | None:
    """The texts as a list; None for none."""
    return None if prompt is None else [prompt] if isinstance(prompt, str) else list(prompt)

r"""The singular step inside a diffusers pipeline: one line to attach, one to detach.

A pipeline encodes its prompt in `encode_prompt`, sets its timesteps, and makes its first latents in `prepare_latents`, which never sees the
prompt. So both are wrapped, on this one pipeline object: the first is listened to, and what the second returns is exchanged for

    α ȳ_w + σ x_1    (C6, E1)    or the moment-matched start (C7), if the average image has a spread,

with `x_1` the noise that the pipeline drew itself. Nothing else is drawn, so that a generator gives the steps the same noise as without.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from singdiffusion.average import Average, AverageImage, Condition, load_average
from singdiffusion.base import Space, matches_flow
from singdiffusion.start.flow_pipeline import LISTENED, FlowHook, hook_of
from singdiffusion.start.flow_sources import asked, texts
from singdiffusion.start.guidance import frame_for, guidance_rule, guided_average
from singdiffusion.start.initial import initial_latents
from singtheory.errors import InputError, unknown_name

_LOG = logging.getLogger(__name__)
_HOOKED = ("encode_prompt", "prepare_latents")


class SingDiffusion:
    """The singular step, ready to attach to pipelines of Stable Diffusion 1.x, 2.x and XL and their kin, and to those that match flows.

    Text to image starts from the average image. Inpainting and image to image do so at strength 1; below, they start from a noised
    image, where nothing is to mend, and are left alone. Latents that a caller gives are taken for the noise `x_1`.

    Flows start from noise, which is right, and their first step is mended (`singdiffusion.start.flow`). They need no module: the network's own
    mean image serves, and a spread widens the step around it.

    Args:
        module: gives the average images, and the spread unless there is another; None for flows alone.
        guidance: the rule by which guidance acts on them, a name of `guidance.GUIDANCE`; the weight is the pipeline's own.
        start: `mean`, `matched` (which needs a module with a spread), or `widest`: matched where there is a spread.
        mean: of flows: `module`, or `network` for the network's own, which costs nothing; `module` if None where a module knows prompts.
        spread: of flows: `(basis, std)` with orthonormal directions (k, channels, height, width) and deviations (k,) or (batch, k), or a
            module with a spread; the module's own if None.
        corrected: of flows: whether the steps after the first, but the last, are corrected too (F1).
        force: of flows: whether models that are distilled for a few steps are taken.

    Raises:
        InputError: for an unknown rule, start or mean, and for a mean of the network without a spread, which changes nothing.
    """

    def __init__(
        self,
        module: AverageImage | None = None,
        guidance: str = "normalised",
        start: str = "widest",
        *,
        mean: str | None = None,
        spread: Any = None,
        corrected: bool = False,
        force: bool = False,
    ) -> None:
        if start not in _STARTS:
            raise unknown_name("start", start, _STARTS)
        self.module, self.rule, self._chosen = module, guidance_rule(guidance), _STARTS[start]
        self.force, self._flow = force, asked(module, self.rule, start, mean, spread, corrected)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        guidance: str = "normalised",
        start: str = "widest",
        *,
        mean: str | None = None,
        spread: Any = None,
        corrected: bool = False,
        force: bool = False,
        **kwargs: Any,
    ) -> Self:
        """From a stored average image: a folder or hub id; `kwargs` as `load_average`."""
        module = load_average(path, **kwargs)
        return cls(module, guidance, start, mean=mean, spread=spread, corrected=corrected, force=force)

    def attach(self, pipe: Any) -> None:
        """Let a pipeline start from the singular step. It is not changed if this raises.

        Raises:
            InputError: for a pipeline that has one attached, has other latents or another text encoder, or makes its latents in a way that is
                not known; of flows, for a scheduler whose first step is not known, a run that is under way, and a distilled model
                without `force`.
        """
        if any(name in vars(pipe) for name in LISTENED):
            raise InputError(f"{type(pipe).__name__}: a singular step is attached already; detach it first")
        if getattr(pipe, "scheduler", None) is None:
            raise InputError(f"{type(pipe).__name__}: has no scheduler; give it one first")
        if matches_flow(pipe.scheduler):
            FlowHook(self, self._flow, pipe, self.force).install()
            return
        if self.module is None:
            raise InputError(
                f"{type(pipe).__name__}: matches no flow, and its start needs an average image; give a module"
            )
        condition = self.module.condition_for(Space.of(pipe))
        hook = _Hook(self, pipe, condition, _kind_of(pipe))
        pipe.encode_prompt, pipe.prepare_latents = hook.encode_prompt, hook.prepare_latents

    def detach(self, pipe: Any) -> None:
        """Give the pipeline back as it was.

        Raises:
            InputError: for a pipeline to which this was not attached.
        """
        flow = hook_of(pipe)
        if isinstance(flow, FlowHook) and flow.sing is self:
            flow.remove()
            return
        hooks = [getattr(vars(pipe).get(name), "__self__", None) for name in _HOOKED]
        if not all(isinstance(hook, _Hook) and hook.sing is self for hook in hooks):
            raise InputError(f"{type(pipe).__name__}: this singular step is not attached to it")
        for name in _HOOKED:
            del vars(pipe)[name]

    @contextmanager
    def attached(self, pipe: Any) -> Iterator[Any]:
        """`with sing.attached(pipe): …`, detached at the end whatever happens."""
        self.attach(pipe)
        try:
            yield pipe
        finally:
            self.detach(pipe)

    @torch.no_grad()
    def average(self, cond: Condition, uncond: Condition | None, x_1: Tensor, guidance: float) -> Average:
        """The guided average image for noise `x_1` of a pipeline, in its dtype; of videos, one image for all frames.

        Args:
            cond: prompts or token states, one an image.
            uncond: negative ones; None without guidance.
            x_1: shape (batch, channels, height, width) or (batch, channels, frames, height, width).
            guidance: w; 1 for none.

        Raises:
            InputError: as the module, for NaN in the average, and for a matched start without a spread.
        """
        if self.module is None:
            raise InputError("module: none, so there is no average image; give one")
        frame = frame_for(self.module, x_1)
        cond = cond.to(frame) if isinstance(cond, Tensor) else cond
        uncond = uncond.to(frame) if isinstance(uncond, Tensor) else uncond
        average = self._chosen(guided_average(self.module, cond, uncond, frame, guidance, self.rule))
        spread = (None, None) if average.spread is None else (part.to(x_1) for part in average.spread)
        return Average(average.mean.to(x_1), *spread)


def _mean_alone(average: Average) -> Average:
    return Average(average.mean)


def _with_spread(average: Average) -> Average:
    if average.spread is None:
        raise InputError("start matched: this average image has no spread; use the start mean, or a table of rank 1")
    return average


def _as_given(average: Average) -> Average:
    return average


_STARTS = {"mean": _mean_alone, "matched": _with_spread, "widest": _as_given}


def _start(average: Average, x_1: Tensor, scheduler: Any) -> Tensor:
    """The first latents in the scheduler's own units."""
    mean, spread = average.mean, average.spread
    if x_1.ndim == 5:  # the frames share one image, and one deviation from it: along φ in each of F frames, φ/√F in all
        frames = x_1.shape[2]
        mean = mean[:, :, None]
        if spread is not None:
            basis, std = spread
            spread = basis[:, :, None].expand(-1, -1, frames, -1, -1) / frames**0.5, std * frames**0.5
    return initial_latents(mean, x_1, scheduler, spread=spread) * scheduler.init_noise_sigma


def _kind_of(pipe: Any) -> Callable[["_Hook", "_Call"], Any]:
    """How this pipeline makes its latents, by what `prepare_latents` takes."""
    takes = inspect.signature(pipe.prepare_latents).parameters if hasattr(pipe, "prepare_latents") else {}
    if hasattr(pipe, "encode_prompt"):
        if "is_strength_max" in takes:
            return _Hook.inpaint
        if "latents" in takes and "image" not in takes:
            return _Hook.text_to_image
        if "timestep" in takes and "image" in takes and "latents" not in takes:
            return _Hook.image_to_image
    raise InputError(
        f"{type(pipe).__name__}: does not make its latents as Stable Diffusion does; call initial_latents yourself"
    )


@dataclass(frozen=True)
class _Call:
    """A call of `prepare_latents`: what it was given, by name, and the call itself."""

    arguments: dict[str, Any]
    make: Callable[[], Any]


class _Hook:
    """What stands in for two methods of one pipeline."""

    def __init__(self, sing: SingDiffusion, pipe: Any, condition: str, kind: Callable[["_Hook", _Call], Any]) -> None:
        self.sing, self.pipe, self.kind, self.condition = sing, pipe, kind, condition
        self._encode, self._prepare = pipe.encode_prompt, pipe.prepare_latents
        self._cond: Condition | None = None
        self._uncond: Condition | None = None

    def encode_prompt(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, listened to."""
        bound = inspect.signature(self._encode).bind(*args, **kwargs)
        bound.apply_defaults()
        prompt, negative = (texts(bound.arguments.get(name)) for name in ("prompt", "negative_prompt"))
        if prompt and negative and len(negative) not in (1, len(prompt)):
            raise InputError(
                f"negative_prompt: {len(negative)} for {len(prompt)} prompts; give one a prompt, or one for all"
            )
        encoded = self._encode(*args, **kwargs)
        if self.condition == "embeddings":
            self._cond, self._uncond = encoded[0], encoded[1]
            return encoded
        if prompt is None:
            raise InputError("prompt_embeds: this average image knows prompts alone; give prompt=")
        copies = bound.arguments.get("num_images_per_prompt") or 1
        without = negative or [""]
        self._cond = [text for text in prompt for _ in range(copies)]
        self._uncond = [text for text in without * (len(prompt) // len(without)) for _ in range(copies)]
        return encoded

    def prepare_latents(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's own, its result exchanged."""
        arguments = inspect.signature(self._prepare).bind(*args, **kwargs).arguments
        latents = arguments.get("latents")
        if latents is not None and latents.dtype != arguments["dtype"]:
            raise InputError(
                f"latents in {latents.dtype}: the pipeline works in {arguments['dtype']}; cast them with .to()"
            )
        return self.kind(self, _Call(arguments, lambda: self._prepare(*args, **kwargs)))

    def text_to_image(self, call: _Call) -> Tensor:
        """Latents are noise times `init_noise_sigma`."""
        return self._started(call.make() / self.pipe.scheduler.init_noise_sigma)

    def inpaint(self, call: _Call) -> Any:
        """Latents come with the noise that is blended into the background later and stays as it is."""
        made = call.make()
        if not call.arguments.get("is_strength_max", True) or not call.arguments.get("add_noise", True):
            return self._left_alone(made)
        latents, *rest = made
        x_1 = rest[0] if call.arguments.get("return_noise") else latents / self.pipe.scheduler.init_noise_sigma
        return (self._started(x_1), *rest)

    def image_to_image(self, call: _Call) -> Tensor:
        """Latents are the noised image; its noise is caught where the scheduler adds it."""
        scheduler = self.pipe.scheduler
        first = torch.as_tensor(call.arguments["timestep"]).flatten()[0].to(scheduler.timesteps)
        if first != scheduler.timesteps[0] or not call.arguments.get("add_noise", True):
            return self._left_alone(call.make())
        with _noise_added(scheduler) as caught:
            call.make()
        return self._started(caught[-1])

    def _left_alone(self, made: Any) -> Any:
        _LOG.info("%s: below strength 1 it starts from a noised image; left as it is", type(self.pipe).__name__)
        return made

    def _started(self, x_1: Tensor) -> Tensor:
        if self._cond is None:
            raise InputError(
                f"{type(self.pipe).__name__}: made its latents before its prompt; call initial_latents yourself"
            )
        guidance = float(self.pipe.guidance_scale) if self.pipe.do_classifier_free_guidance else 1.0
        average = self.sing.average(self._cond, self._uncond, x_1, guidance)
        return _start(average, x_1, self.pipe.scheduler)


@contextmanager
def _noise_added(scheduler: Any) -> Iterator[list[Tensor]]:
    """The noise that goes through `scheduler.add_noise` meanwhile."""
    caught: list[Tensor] = []
    add_noise = scheduler.add_noise

    def listening(original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        caught.append(noise)
        return add_noise(original_samples, noise, timesteps)

    scheduler.add_noise = listening
    try:
        yield caught
    finally:
        del scheduler.add_noise

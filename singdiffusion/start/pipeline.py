"""The singular step inside a diffusers pipeline: one line to attach, one to detach.

Pipelines of noise start from the average image (`singdiffusion.start.hook`), those that match flows take another first step
(`singdiffusion.start.flow_pipeline`).
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from singdiffusion.average import Average, AverageImage, Condition, load_average
from singdiffusion.base import Space, matches_flow
from singdiffusion.start.flow_pipeline import FlowHook, hook_of
from singdiffusion.start.flow_sources import asked
from singdiffusion.start.guidance import frame_for, guidance_rule, guided_average
from singdiffusion.start.hook import Hook
from singdiffusion.start.kinds import check_pipeline
from singtheory.errors import InputError, unknown_name


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
        hook = hook_of(pipe)
        if isinstance(hook, FlowHook | Hook) and hook.pipe is pipe:
            raise InputError(f"{type(pipe).__name__}: a singular step is attached already; detach it first")
        if getattr(pipe, "scheduler", None) is None:
            takes = "scheduler" in inspect.signature(type(pipe).__init__).parameters
            remedy = (
                "has no scheduler; give it one first" if takes else "takes no scheduler, so no start of it is known"
            )
            raise InputError(f"{type(pipe).__name__}: {remedy}")
        if matches_flow(pipe.scheduler):
            FlowHook(self, self._flow, pipe, self.force).install()
            return
        if self.module is None:
            raise InputError(
                f"{type(pipe).__name__}: matches no flow, and its start needs an average image; give a module"
            )
        check_pipeline(pipe, "nothing")
        condition = self.module.condition_for(Space.of(pipe))
        Hook(self, pipe, condition if getattr(self.module, "conditional", True) else "nothing").install()

    def detach(self, pipe: Any) -> None:
        """Give the pipeline back as it was.

        Raises:
            InputError: for a pipeline to which this was not attached.
        """
        hook = hook_of(pipe)
        if not isinstance(hook, FlowHook | Hook) or hook.sing is not self:
            raise InputError(f"{type(pipe).__name__}: this singular step is not attached to it")
        hook.remove()

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

"""Where a flow's average image and spread come from, and for which prompt."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import Average, AverageImage, Condition
from singdiffusion.base import Space, channels_of, negative_states
from singdiffusion.start.call import known_negatives, texts
from singdiffusion.start.flow_checks import Once, check_finite_spread, fitting
from singdiffusion.start.flow_layout import Layout
from singdiffusion.start.guidance import Rule, frame_for, guided_average, none
from singtheory.errors import InputError, unknown_name
from singtheory.start import Components

Spread = tuple[Tensor, Tensor]
"""`(basis, std)`: directions (k, ...) and deviations (k,) or (batch, k)."""


@dataclass(frozen=True)
class Asked:
    """What is to be done with a flow.

    Attributes:
        module: gives average images for `mean`; None for the network's own.
        spread: `(basis, std)`, or what gives average images with a spread; None for none.
        rule: by which guidance acts on the average image.
        corrected: whether later steps are corrected too.
        known: the tensors of the spread, once they were checked.
    """

    module: AverageImage | None
    spread: Any
    rule: Rule
    corrected: bool = False
    known: Once = field(default_factory=Once)


def asked(module: AverageImage | None, rule: Rule, start: str, mean: str | None, spread: Any, corrected: bool) -> Asked:
    """What `SingDiffusion` is to do with flows, by its arguments.

    Raises:
        InputError: for an unknown mean, one of a module that is not there, and the network's without a spread; for a spread that is none, and for
            a matched start without one.
    """
    _check_spread(spread)
    if mean not in (None, "module", "network"):
        raise unknown_name("mean", mean, ["module", "network"])
    if mean == "module" and module is None:
        raise InputError("mean module: no module is given; give one, or mean='network' with a spread")
    source = module if spread is None and start != "mean" else spread
    wide = source is not None and (isinstance(source, tuple | list) or getattr(source, "rank", 1) != 0)
    if start == "matched" and not wide:
        raise InputError("start matched: there is no spread; use the start mean, or give a spread or a module with one")
    known = module is not None and (getattr(module, "conditional", True) or not wide)
    by_module = mean == "module" or (mean is None and known)
    if not by_module and not wide:
        raise InputError(
            "mean network without a spread: changes nothing; give spread=(basis, std), or a module with a spread"
        )
    if corrected and not wide:
        raise InputError(
            "corrected without a spread: changes nothing; give spread=(basis, std), or a module with a spread"
        )
    checked = Once(*spread) if isinstance(spread, tuple | list) else Once()
    return Asked(module if by_module else None, source if wide else None, rule, corrected, checked)


@dataclass(frozen=True)
class _Heard:
    """A call of `encode_prompt`: prompts, negative prompts where it takes them, and what it returned."""

    prompts: list[str] | None
    negative: list[str] | None
    takes_negative: bool
    states: tuple[Any, ...]


class Sources:
    """Average image and spread for a pipeline, in its order of latents.

    Args:
        asked: what is to be done.
        pipe: of diffusers; it is not changed.

    Raises:
        InputError: for modules of other latents, and for those that depend on a prompt that cannot be given to them.
    """

    def __init__(self, asked: Asked, pipe: Any) -> None:
        self.asked, self.pipe = asked, pipe
        modules = [one for one in (asked.module, asked.spread) if one is not None and not isinstance(one, tuple | list)]
        self._kinds = {id(module): module.condition_for(Space.of(pipe)) for module in modules}
        self.asks_prompt = any(getattr(module, "conditional", True) for module in modules)
        if self.asks_prompt and not hasattr(pipe, "encode_prompt"):
            raise InputError(
                f"{type(pipe).__name__}: has no encode_prompt, and this module depends on the prompt; use statistics"
            )
        if isinstance(asked.spread, tuple | list):
            _check_channels(asked.spread[0], pipe)
        self._calls: list[_Heard] = []
        self._used = False
        self._said: set[str] = set()
        self._here: Spread | None = None
        self._orthonormal = Once()

    def as_stepped(self, shape: tuple[int, ...]) -> bool:
        """Whether all that is given is of the shape, without the batch, in which latents are stepped."""
        spread = self.asked.spread
        return self.asked.module is None and isinstance(spread, tuple | list) and tuple(spread[0].shape[1:]) == shape

    def of_copy(self, pipe: Any) -> "Sources":
        """These sources for a copy of the pipeline."""
        mine = copy.copy(self)
        mine.pipe, mine._calls, mine._used, mine._said, mine._here = pipe, [], False, set(), None
        return mine

    def forget(self) -> None:
        """What was heard in an earlier call of the pipeline."""
        self._calls, self._used = [], False

    def use(self) -> None:
        """The prompts are all heard: what is heard next is of another call of the pipeline."""
        self._used = True

    def heard(self, arguments: dict[str, Any], encoded: Any) -> None:
        """Reads a call of `encode_prompt`: its arguments by name and what it returned."""
        if self._used:
            self.forget()
        states = tuple(encoded) if isinstance(encoded, tuple | list) else (encoded,)
        prompts, negative = (texts(arguments.get(name)) for name in ("prompt", "negative_prompt"))
        self._calls.append(_Heard(prompts, negative, "negative_prompt" in arguments, states))

    @torch.no_grad()
    def at(self, layout: Layout, x_1: Tensor) -> tuple[Tensor | None, Components | None]:
        """The mean, of the shape of `x_1` or None, and the spread, in the order of latents that are stepped, in float32 or better.

        Raises:
            InputError: as the modules, for shapes that do not fit, for directions that are not orthonormal, and for guidance of a weight that
                is not known.
        """
        mean, source, average = None, self.asked.spread, None
        if self.asked.module is not None:
            self._refuse_true_guidance()
            average = self._average(self.asked.module, layout, x_1)
            mean = laid_out(layout, average.mean)
        if source is None:
            return mean, None
        if isinstance(source, tuple | list):
            return mean, self._own_spread(layout, x_1)
        if average is None or source is not self.asked.module:
            average = self._average(source, layout, x_1)
        return mean, None if average.spread is None else self._of_module(layout, average.spread, x_1)

    def _own_spread(self, layout: Layout, x_1: Tensor) -> Components:
        """The spread that somebody gave, on the device of the latents, where it stays; checked anew if it was written to."""
        basis, std = self.asked.spread
        if not self.asked.known.holds(basis, std):
            _check_spread(self.asked.spread)
            self._here = None
        if self._here is None or self._here[0].device != x_1.device:
            self._here = basis.to(x_1.device), std.to(x_1.device)
        return Components.orthonormal(*fitting(spread_laid_out(layout, self._here), x_1))

    def _of_module(self, layout: Layout, spread: Spread, x_1: Tensor) -> Components:
        """The components of an average image, whose numbers were checked; its directions are, unless they are the same as before."""
        basis, std = (part.to(x_1.device) for part in fitting(spread_laid_out(layout, spread), x_1))
        if self._orthonormal.holds(spread[0]):
            return Components.orthonormal(basis, std)
        components = Components(basis, std)
        self._orthonormal = Once(spread[0])
        return components

    def _average(self, module: AverageImage, layout: Layout, x_1: Tensor) -> Average:
        """The average image of a module, for the prompt of this call."""
        frame = frame_for(module, layout.of_pictures(module.space.channels).unpacked(x_1))
        if not getattr(module, "conditional", True):
            return module([""] * len(frame), frame)
        kind = self._kinds[id(module)]
        cond, uncond, weight = self._condition(kind, len(frame))
        if kind == "prompts" and uncond is not None and weight != 1 and self.asked.rule is not none:
            uncond = known_negatives(module, [str(text) for text in uncond], self._said)
        cond = cond.to(frame) if isinstance(cond, Tensor) else cond
        uncond = uncond.to(frame) if isinstance(uncond, Tensor) else uncond
        return guided_average(module, cond, uncond, frame, weight, self.asked.rule)

    def _refuse_true_guidance(self) -> None:
        """Raise `InputError` where a pipeline guides by a negative prompt, with a weight that it shows to no one."""
        if not getattr(self.asked.module, "conditional", True) or hasattr(
            type(self.pipe), "do_classifier_free_guidance"
        ):
            return
        if len(self._calls) > 1 or any(call.takes_negative and call.negative for call in self._calls):
            raise InputError(
                f"{type(self.pipe).__name__}: guides by a negative prompt with a weight that it does not show; give mean='network', or "
                "true_cfg_scale=1 to the call"
            )

    def _condition(self, kind: str, batch: int) -> tuple[Condition, Condition | None, float]:
        """Condition with and without the prompt for each entry of the batch, and the weight of guidance."""
        if not self._calls:
            raise InputError(
                f"{type(self.pipe).__name__}: its scheduler steps before it encodes its prompt, or for another pipeline; "
                "detach for that one, or call first_step yourself"
            )
        first, *later = self._calls
        guided = bool(getattr(self.pipe, "do_classifier_free_guidance", False))
        weight = max(1.0, float(self.pipe.guidance_scale)) if guided else 1.0
        if kind == "embeddings":
            cond = first.states[0]
            uncond = negative_states(first.states)
            uncond = uncond if first.takes_negative else None
            uncond = later[0].states[0] if uncond is None and later else uncond
            return _repeated(cond, batch), None if uncond is None else _repeated(uncond, batch), weight
        if first.prompts is None:
            raise InputError("prompt_embeds: this average image knows prompts alone; give prompt=")
        uncond = first.negative or (later[0].prompts if later else None) or [""]
        return _repeated(first.prompts, batch), _repeated(uncond, batch), weight


def _repeated(values: Any, batch: int) -> Any:
    """One an entry of the batch, each repeated for its images."""
    if batch % len(values):
        raise InputError(f"prompt: {len(values)} for a batch of {batch}; give as many, or one for all")
    times = batch // len(values)
    if isinstance(values, Tensor):
        return values.repeat_interleave(times, dim=0)
    return [text for text in values for _ in range(times)]


def laid_out(layout: Layout, images: Tensor) -> Tensor:
    """Images (n, channels, height, width) as what is stepped, (n, *stepped), in float32 or better. Raises `InputError` for another size."""
    pictures = layout.of_pictures(images.shape[1], *images.shape[-2:])
    return pictures.packed(images.to(torch.promote_types(images.dtype, torch.float32)))


def spread_laid_out(layout: Layout, spread: Any) -> Spread:
    """Directions of pictures as those of what is stepped; frames share a deviation: along φ in each of F frames, φ/√F in all."""
    try:
        basis, std = spread
    except (TypeError, ValueError):
        raise InputError("spread: need (basis, std), orthonormal directions and deviations along them") from None
    if tuple(basis.shape[1:]) == layout.stepped:
        return basis, std
    if basis.ndim not in (4, 5):
        raise InputError(
            f"basis of shape {tuple(basis.shape)}: need (k, channels, height, width), as the pipeline's latents of shape {layout.drawn}"
        )
    pictures = layout.of_pictures(basis.shape[1], *basis.shape[-2:])
    root = pictures.frames**0.5 if pictures.frames is not None and basis.ndim == 4 else 1.0
    return laid_out(layout, basis) / root, std * root


_PICTURED = {4: (1, 3), 5: (1, 2, 4)}
"""Axes of directions in which channels may lie: first, last, or after the frames."""


def _check_channels(basis: Tensor, pipe: Any) -> None:
    """Raise `InputError` for directions of pictures with a number of channels that nothing of the pipeline has."""
    known = channels_of(pipe)
    axes = _PICTURED.get(basis.ndim, ())
    if known and axes and not any(basis.shape[axis] in known for axis in axes):
        raise InputError(
            f"basis of shape {tuple(basis.shape)}: {type(pipe).__name__} has latents of {known[0]} channels; make the spread for them"
        )


def _check_spread(spread: Any) -> None:
    """Raise `InputError` for what is neither None nor a module nor `(basis, std)` as it should be."""
    if spread is None or hasattr(spread, "condition_for"):
        return
    parts = tuple(spread) if isinstance(spread, tuple | list) else ()
    if len(parts) != 2 or not all(isinstance(part, Tensor) and part.is_floating_point() for part in parts):
        raise InputError(
            "spread: need (basis, std), orthonormal directions and deviations along them, both tensors of floats, or a module"
        )
    basis, std = parts
    if basis.ndim < 2 or std.ndim not in (1, 2):
        raise InputError(
            f"spread with basis {tuple(basis.shape)} and std {tuple(std.shape)}: need (k, ...) and (k,) or (batch, k)"
        )
    check_finite_spread(basis, std)
    Components(basis, std)

"""Videos whose prompt travels, by FreeNoise: prompts at key frames, and between them what the pipeline puts there.

The pipeline interpolates embeddings between the key frames; the averages of their prompts are interpolated alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import Average
from singdiffusion.start.guidance import Rule, none

Between = Callable[[int, int, Tensor, Tensor], Tensor]
"""From two frames and what lies at them, shape (1, …), to what lies at all from the first to the second, shape (frames, …)."""


@dataclass(frozen=True)
class KeyFrames:
    """The frames at which prompts stand.

    Attributes:
        cond: of the prompts, in order; the last frame is one of them.
        uncond: of the negative prompts.
        between: the pipeline's interpolation.
        count: of all frames.
    """

    cond: tuple[int, ...]
    uncond: tuple[int, ...]
    between: Between
    count: int

    def over_all(self, values: Tensor, keys: tuple[int, ...]) -> Tensor:
        """What lies at the key frames, shape (keys, …), for all frames, shape (frames, …)."""
        frames = values.new_zeros(self.count, *values.shape[1:])
        frames[keys[0]] = values[0]
        for k in range(len(keys) - 1):
            frames[keys[k] : keys[k + 1] + 1] = self.between(
                keys[k], keys[k + 1], values[k : k + 1], values[k + 1 : k + 2]
            )
        return frames


def key_frames(pipe: Any, values: dict[str, Any], x_1: Tensor) -> KeyFrames | None:
    """The key frames of a call of a pipeline, by the variables of its `__call__`; None where it does not use FreeNoise."""
    if not getattr(pipe, "free_noise_enabled", False) or x_1.ndim != 5:
        return None
    count = x_1.shape[2]
    cond, uncond = (_keys(values.get(name), count) for name in ("prompt", "negative_prompt"))
    return KeyFrames(cond, uncond, pipe._free_noise_prompt_interpolation_callback, count)


def _keys(prompt: Any, count: int) -> tuple[int, ...]:
    frames = sorted(prompt) if isinstance(prompt, dict) else [0]
    return tuple(dict.fromkeys([*frames, count - 1]))


def over_frames(frames: KeyFrames, of_rows: Callable[[int, bool], tuple[Average, float]], rule: Rule) -> Average:
    """The guided averages of all frames, shape (frames, channels, height, width).

    Args:
        frames: where prompts stand.
        of_rows: gives the averages of so many key frames, of the negative prompts if true, and the weight of guidance.
        rule: by which guidance acts.
    """
    at_keys, guidance = of_rows(len(frames.cond), False)
    mean = frames.over_all(at_keys.mean, frames.cond)
    if guidance != 1 and rule is not none:
        without, _ = of_rows(len(frames.uncond), True)
        mean = rule(mean, frames.over_all(without.mean, frames.uncond), guidance)
    if at_keys.spread is None:
        return Average(mean)
    basis, std = at_keys.spread
    return Average(mean, basis, frames.over_all(std, frames.cond))


def one_deviation(std: Tensor) -> Tensor:
    """The deviations of frames, shape (frames, k), as one for all of them: their root mean square, shape (1, k)."""
    return torch.sqrt(std.square().mean(dim=0, keepdim=True))

r"""Guidance at the singular step: from the average with the prompt, c, and without it, u, to the one from which to start.

| rule       | ȳ_w                   | bound                          | right where                                        |
|------------|-----------------------|--------------------------------|----------------------------------------------------|
| normalised | c − (1 − 1/w) u       | ‖c‖ + (1 − 1/w)‖u‖             | u = 0                                              |
| plain      | u + w (c − u)         | none: grows like w ‖c − u‖     | w near 1, or Gaussian data with one covariance     |
| convex     | u + min(w, cap)(c − u)| ‖c‖ + (cap − 1)‖c − u‖         | u far from 0, or a prompt that says little         |
| none       | c                     | ‖c‖                            | the average of the data for the prompt is wanted   |

`normalised` is the paper's rule and the default. All agree at w = 1. The bounds and the failure cases are in C8 (docs/derivations/c.md#c8).
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from singdiffusion.average import Average, AverageImage, Condition
from singdiffusion.base import a_tensor_of
from singtheory import formula
from singtheory.errors import InputError, unknown_name
from singtheory.start import guided_mean

Rule = Callable[[Tensor, Tensor, float], Tensor]
"""`(c, u, w) -> ȳ_w`; the averages have shape (batch, channels, height, width)."""

CAP = 1.5
"""The weight at which the convex rule stops: half of `c − u` beyond c."""


def normalised(cond: Tensor, uncond: Tensor, guidance: float) -> Tensor:
    """`c − (1 − 1/w) u`, bounded for all w; where `c = u`, as for a prompt that says nothing, it shrinks the image by `1/w` (C8)."""
    return guided_mean(cond, uncond, guidance)


def plain(cond: Tensor, uncond: Tensor, guidance: float) -> Tensor:
    """`u + w(c − u)`, classifier-free guidance.

    It is the mean of the guided law `p(x|c)^w p(x)^{1−w}` for Gaussians of one covariance, and keeps `c = u` as it is. It
    grows like `w‖c − u‖` and leaves the range of the data at the weights in use (C8).
    """
    return formula.plain_guidance(cond, uncond, guidance)


def convex(cond: Tensor, uncond: Tensor, guidance: float, cap: float = CAP) -> Tensor:
    """`u + min(w, cap)(c − u)`: on the segment from c to the plain rule's average, at most `(cap − 1)‖c − u‖` from c.

    It has neither of the other rules' failures: bounded in w, and `c = u` stays as it is.

    Args:
        cond: c.
        uncond: u.
        guidance: w.
        cap: the weight beyond which nothing changes, at least 1; 1 gives c itself.

    Raises:
        InputError: for a cap below 1, which would fall short of the prompt.
    """
    if not cap >= 1:
        raise InputError(f"cap {cap}: the convex rule needs at least 1, which is no guidance")
    return formula.plain_guidance(cond, uncond, min(guidance, cap))


def none(cond: Tensor, uncond: Tensor, guidance: float) -> Tensor:
    """c, whatever the weight."""
    return cond


GUIDANCE: dict[str, Rule] = {"normalised": normalised, "plain": plain, "convex": convex, "none": none}
"""The rules by name."""


def guidance_rule(name: str) -> Rule:
    """The rule of that name. Raises `InputError` for another name."""
    if name not in GUIDANCE:
        raise unknown_name("guidance rule", name, GUIDANCE)
    return GUIDANCE[name]


def frame_for(module: AverageImage, x_1: Tensor) -> Tensor:
    """The noise that a module reads: of videos the first frame, in the module's dtype; the module goes to where the noise is.

    Args:
        module: gives the average image.
        x_1: shape (batch, channels, height, width) or (batch, channels, frames, height, width).
    """
    frame = x_1 if x_1.ndim == 4 else x_1[:, :, 0]
    if not isinstance(module, nn.Module):
        return frame
    if a_tensor_of(module).device != frame.device:  # the pipeline may have moved since the last call
        module.to(frame.device)
    return frame.to(a_tensor_of(module).dtype)


def guided_average(
    module: AverageImage,
    cond: Condition,
    uncond: Condition | None,
    x_1: Tensor,
    guidance: float,
    rule: Rule = normalised,
) -> Average:
    """The guided average image, with both halves in one batch through the module.

    At w = 1, or with the rule `none`, the unconditional half is not computed. The spread is that of the prompt: the guided law
    of Gaussians with one covariance has that covariance, and where the prompt narrows the law it is at most that.

    Args:
        module: gives the averages.
        cond: the prompts, or their token states of shape (batch, tokens, width).
        uncond: as many negative prompts, or their token states; read only where it is needed.
        x_1: noise, shape (batch, channels, height, width).
        guidance: w, at least 1.
        rule: one of `GUIDANCE`.

    Raises:
        InputError: for w below 1 or not finite, and where `uncond` is missing or has another length than `cond`.
    """
    if not 1 <= guidance < float("inf"):
        raise InputError(f"guidance {guidance}: need a finite weight of at least 1, which is no guidance")
    if guidance == 1 or rule is none:
        return module(cond, x_1)
    both = module(_joined(uncond, cond), torch.cat([x_1, x_1]))
    without, with_prompt = both.mean.chunk(2)
    std = None if both.std is None else both.std.chunk(2)[1]
    return Average(rule(with_prompt, without, guidance), both.basis, std)


def _joined(uncond: Condition | None, cond: Condition) -> Condition:
    """Both conditions as one batch, the unconditional first, as in diffusers."""
    if uncond is None:
        raise InputError('guidance above 1: needs the condition without the prompt too, such as "" for each image')
    if isinstance(cond, Tensor) != isinstance(uncond, Tensor):
        raise InputError("negative prompt: is text and the prompt embeddings, or the other way round; give both alike")
    if len(cond) != len(uncond):
        raise InputError(f"negative prompt: {len(uncond)} for {len(cond)} prompts; give one a prompt")
    if isinstance(cond, Tensor):
        other = cast(Tensor, uncond)
        if cond.shape != other.shape:
            raise InputError(
                f"negative embeddings of shape {tuple(other.shape)}: the prompt's have {tuple(cond.shape)}; make them alike"
            )
        return torch.cat([other, cond])
    return [*cast(list[str], uncond), *cond]

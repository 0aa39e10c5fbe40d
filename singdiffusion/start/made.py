"""What a pipeline's `prepare_latents` made: noise, from which the start is made anew, or a noised picture, with which it begins later.

Neither is listed by pipeline. A call without a picture makes noise. With one, the scheduler's `add_noise` is listened to: at the first timestep
its noise is the noise of the start, in the order of axes in which the latents came out.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from singdiffusion.start.flow_layout import first_tensor
from singtheory.errors import InputError

PICTURES = ("image", "video")
"""Names of what is noised instead of starting from noise."""


@dataclass(frozen=True)
class Made:
    """What a call of `prepare_latents` returned.

    Attributes:
        result: all of it.
        x_1: its noise, shape of the latents, in the scheduler's units without `init_noise_sigma`; None where it starts from a noised picture.
    """

    result: Any
    x_1: Tensor | None

    def exchanged(self, latents: Tensor) -> Any:
        """The result with other latents in it."""
        mine = first_tensor(self.result)
        if self.result is mine:
            return latents
        return type(self.result)(latents if part is mine else part for part in self.result)


def made(own: Callable[..., Any], scheduler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Made:
    """Call a pipeline's own `prepare_latents` and tell what came out.

    Raises:
        InputError: where a picture is noised and its latents come out in an order that is not known.
    """
    arguments = inspect.signature(own).bind(*args, **kwargs).arguments
    with _listening(scheduler) as noised:
        result = own(*args, **kwargs)
    latents = first_tensor(result)
    pictured = any(arguments.get(name) is not None for name in PICTURES)
    if not pictured:
        return Made(result, latents / scheduler.init_noise_sigma)
    if "is_strength_max" in arguments and arguments.get("mask", arguments) is not None:  # inpainting
        whole = arguments["is_strength_max"] and arguments.get("add_noise", True)
        rest = result[1:] if isinstance(result, tuple | list) else ()
        x_1 = rest[0] if arguments.get("return_noise") and rest else latents / scheduler.init_noise_sigma
        return Made(result, x_1 if whole else None)
    if not noised or not _at_first(scheduler, noised[-1].timesteps):
        return Made(result, None)
    return Made(result, noised[-1].noise_like(latents))


@dataclass(frozen=True)
class _Noised:
    """A call of `add_noise`: the noise, when, and what came out."""

    noise: Tensor
    timesteps: Any
    out: Tensor

    def noise_like(self, latents: Tensor) -> Tensor:
        """The noise in the order of axes of the latents, which is known where what came out agrees with them in it."""
        for order in (_same, _frames_second, _frames_in_batch):
            try:
                alike = order(self.out, latents)
            except RuntimeError:
                continue
            if alike.shape == latents.shape and torch.equal(alike, latents):
                return order(self.noise, latents)
        raise InputError("prepare_latents: its latents are not what add_noise gave it; call initial_latents yourself")


def _same(one: Tensor, latents: Tensor) -> Tensor:
    return one


def _frames_second(one: Tensor, latents: Tensor) -> Tensor:
    """(batch, frames, channels, …) as (batch, channels, frames, …)."""
    return one.transpose(1, 2)


def _frames_in_batch(one: Tensor, latents: Tensor) -> Tensor:
    """(batch · frames, channels, …) as (batch, channels, frames, …)."""
    return one.unflatten(0, (latents.shape[0], -1)).transpose(1, 2)


def _at_first(scheduler: Any, timesteps: Any) -> bool:
    """Whether this is the first timestep of the scheduler."""
    first = torch.as_tensor(timesteps).flatten()[0].to(scheduler.timesteps)
    return bool(first == scheduler.timesteps[0])


@contextmanager
def _listening(scheduler: Any) -> Iterator[list[_Noised]]:
    """The calls of `scheduler.add_noise` meanwhile."""
    heard: list[_Noised] = []
    if not hasattr(scheduler, "add_noise"):
        yield heard
        return
    add_noise = scheduler.add_noise

    def listening(original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        out = add_noise(original_samples, noise, timesteps)
        heard.append(_Noised(noise, timesteps, out))
        return out

    before = vars(scheduler).get("add_noise")
    scheduler.add_noise = listening
    try:
        yield heard
    finally:
        del scheduler.add_noise
        if before is not None:
            scheduler.add_noise = before

"""How a pipeline lays out its latents: which entry of what `scheduler.step` sees is which entry of the noise that was drawn.

Pipelines draw noise of shape (batch, channels, height, width), or with frames beside the channels, and some pack it into tokens. How is
not listed but asked: the pipeline makes its latents from numbers that count the entries, and where they end up is the layout.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from singtheory.errors import InputError


@dataclass(frozen=True)
class Layout:
    """The order of a pipeline's latents.

    Attributes:
        drawn: shape of the noise as it is drawn, without the batch.
        stepped: shape of what is stepped, without the batch.
        order: entry of the drawn noise for each entry of what is stepped, flattened, int32 on the device of the latents; None where they are
            the same.
        axes: the axes of `drawn` that are channels, [frames,] height and width; None for those in this order.
    """

    drawn: tuple[int, ...]
    stepped: tuple[int, ...]
    order: Tensor | None
    axes: tuple[int, ...] | None = None

    @property
    def frames(self) -> int | None:
        """How many frames the noise has; None for pictures."""
        return None if len(self.drawn) != 4 else self.drawn[1 if self.axes is None else self.axes[1]]

    def of_pictures(self, channels: int, *sizes: int) -> "Layout":
        """The layout with the axes found by the channels, and by height and width where they are known.

        Raises:
            InputError: where no axes are of those sizes.
        """
        for axes in _AXES.get(len(self.drawn), ()):
            if self.drawn[axes[0]] == channels and (
                not sizes or tuple(self.drawn[axis] for axis in axes[-2:]) == sizes
            ):
                return Layout(self.drawn, self.stepped, self.order, axes)
        known = any(self.drawn[axes[0]] == channels for axes in _AXES.get(len(self.drawn), ()))
        if not known:
            raise InputError(
                f"average image or spread of {channels} channels: the pipeline's latents are of shape {self.drawn}; use one made for them"
            )
        raise InputError(
            f"average image or spread of shape {(channels, *sizes)}: the pipeline's latents are of shape {self.drawn}; make it for that size"
        )

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether latents of that shape are stepped in this order: axes of one entry may come and go."""
        return _long(shape) == _long(self.stepped)

    def unpacked(self, latents: Tensor) -> Tensor:
        """Stepped latents (batch, *stepped) as (batch, channels, [frames,] height, width)."""
        flat = latents.flatten(1)
        if self.order is not None:
            flat = torch.empty_like(flat).index_copy_(1, self.order.to(flat.device).long(), flat)
        whole = flat.unflatten(1, self.drawn)
        return whole if self.axes is None else whole.permute(0, *(axis + 1 for axis in self.axes))

    def packed(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width), or of videos one for all frames, as the pipeline steps them, (n, *stepped)."""
        if self.frames is not None and images.ndim == 4:
            images = images[:, :, None].expand(-1, -1, self.frames, -1, -1)
        axes = range(images.ndim - 1) if self.axes is None else self.axes
        back = sorted(range(len(axes)), key=lambda axis: axes[axis])
        flat = images.permute(0, *(axis + 1 for axis in back)).flatten(1)
        if flat.shape[1] != math.prod(self.drawn):
            raise InputError(
                f"average image or spread of shape {tuple(images.shape[1:])}: the pipeline's latents are of shape {self.drawn}; "
                "make it for that size"
            )
        if self.order is not None:
            flat = flat[:, self.order.to(flat.device)]
        return flat.unflatten(1, self.stepped)


_AXES: dict[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 1, 2), (2, 0, 1)),
    4: ((0, 1, 2, 3), (1, 0, 2, 3), (3, 0, 1, 2)),
}
"""Where channels, [frames,] height and width lie in noise of three axes and of four: channels first, after the frames, or last."""


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def same(shape: torch.Size) -> Layout:
    """The layout of latents, of shape (batch, ...), that are stepped as they are drawn."""
    return Layout(tuple(shape[1:]), tuple(shape[1:]), None)


def layout_of(make: Callable[[], Any], latents: Tensor, scale: float = 1.0) -> Layout | None:
    """The layout of the latents that `make` makes; None where they are not the noise alone.

    Args:
        make: calls the pipeline's `prepare_latents`, without latents that a caller gave.
        latents: that it has made before, shape (batch, ...).
        scale: by which the pipeline multiplies its noise, `init_noise_sigma` of a scheduler.

    Raises:
        InputError: for latents that are not the noise in another order.
    """
    with _Counting() as counting:
        made = first_tensor(make())
    size = latents[0].numel()
    drawn = [shape for shape in counting.shapes if math.prod(shape) == size and len(shape) in (3, 4)]
    if not drawn:
        return None
    stepped = tuple(latents.shape[1:])
    order = (made[0].flatten().double() / scale).round().long()
    counted = torch.arange(size, device=order.device)
    if torch.equal(order, counted) and drawn[-1] == stepped:
        return Layout(drawn[-1], stepped, None)
    return Layout(drawn[-1], stepped, order.int()) if torch.equal(order.sort().values, counted) else None


def first_tensor(made: Any) -> Tensor:
    """The latents among what `prepare_latents` returns. Raises `InputError` for none."""
    parts = made if isinstance(made, tuple | list) else (made,)
    for part in parts:
        if isinstance(part, Tensor) and part.is_floating_point() and part.ndim >= 3:
            return part
    raise InputError("prepare_latents: returns no latents; call first_step yourself")


class _Counting(TorchFunctionMode):
    """Every draw of normal noise becomes 0, 1, 2, … in each entry of the batch; nothing is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch calls in the place of its functions."""
        kwargs = kwargs or {}
        if func is torch.randn_like:
            return self._counted(tuple(args[0].shape), args[0].device)
        if func is not torch.randn:
            return func(*args, **kwargs)
        size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
        return self._counted(tuple(size), kwargs.get("device"))

    def _counted(self, shape: tuple[int, ...], device: Any) -> Tensor:
        self.shapes.append(shape[1:])
        counted = torch.arange(math.prod(shape[1:]), dtype=torch.float32, device=device)
        return counted.view(1, *shape[1:]).repeat(shape[0], *[1] * (len(shape) - 1))

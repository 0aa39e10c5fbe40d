"""Pictures of average images: the mean of each condition, and how far the widest direction of its spread goes."""

import io
from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from singdiffusion.average.model import Average
from singdiffusion.system import printable
from singtheory.data import to_bytes

_CELL, _TITLE = 1.5, 28
Decode = Callable[[Tensor], Tensor]
"""From `x_0` (n, channels, height, width) to pixels in [−1, 1] (n, 1 or 3, height, width)."""


def first_channels(x_0: Tensor) -> Tensor:
    """Pixels as they are; of latents without a VAE three channels, each in its own range."""
    if x_0.shape[1] in (1, 3):
        return x_0
    shown = x_0[:, :3]
    return shown / shown.abs().amax(dim=(0, 2, 3), keepdim=True).clamp(min=1e-9)


@torch.no_grad()
def gallery(average: Average, names: Sequence[str], decode: Decode = first_channels) -> bytes:
    """A PNG with one column a condition: its mean and, with a spread, two deviations below and above along the widest direction.

    Args:
        average: of the conditions.
        names: of them.
        decode: makes pixels.
    """
    rows = {"mean": average.mean}
    if average.basis is not None and average.std is not None:
        widest = average.std.argmax(dim=1)
        along = average.basis[widest] * average.std[torch.arange(len(widest)), widest][:, None, None, None]
        rows = {"mean − 2 s φ": average.mean - 2 * along, **rows, "mean + 2 s φ": average.mean + 2 * along}
    figure = Figure(figsize=(_CELL * len(names), _CELL * len(rows) + 0.3), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for row, (label, images) in enumerate(rows.items()):
        pixels = to_bytes(decode(images.float().cpu())).movedim(1, 3)
        for column, name in enumerate(names):
            axes = figure.add_subplot(len(rows), len(names), row * len(names) + column + 1)
            _show(axes, pixels[column], name if row == 0 else "", label if column == 0 else "")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def _show(axes: Axes, pixels: Tensor, title: str, label: str) -> None:
    shown = pixels.expand(-1, -1, 3) if pixels.shape[2] == 1 else pixels
    axes.imshow(shown.numpy())
    axes.set_xticks([])
    axes.set_yticks([])
    title = printable(title)
    short = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
    axes.set_title(short, fontsize=7, parse_math=False)
    axes.set_ylabel(label, fontsize=7)

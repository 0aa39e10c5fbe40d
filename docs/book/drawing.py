"""Figures of the pages: one width, a caption, and the same pixels every time."""

import base64
import io
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

_QUALITY = 90
"""The quality of pictures, of 100; a plot's lines stay sharp without any loss, and take less."""


class Drawing(Figure):
    """A figure that shows itself in a page with its caption, which is its alternative text too."""

    caption = ""

    def png(self) -> bytes:
        """The pixels, without the version of the library that drew them."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()

    def webp(self) -> bytes:
        """The pixels as a page holds them: whole, or as a photograph where that is shorter, as of pictures of many colours."""
        with Image.open(io.BytesIO(self.png())) as pixels:
            return min((_packed(pixels, lossless=True), _packed(pixels, quality=_QUALITY)), key=len)

    def _repr_html_(self) -> str:
        address = "data:image/webp;base64," + base64.b64encode(self.webp()).decode()
        return Markup('<figure class="drawing"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
            address, self.caption, self.caption
        )


def _packed(pixels: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pixels.convert("RGB").save(buffer, format="WEBP", **options)
    return buffer.getvalue()


def drawing(caption: str, panels: int = 1, height: float = 3.0) -> tuple[Drawing, Any]:
    """An empty figure and its axes, one or an array of them side by side.

    Args:
        caption: one or two sentences on what is seen.
        panels: how many axes.
        height: in inches; the width is 7.4.
    """
    figure = Drawing(figsize=(7.4, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.caption = caption
    axes = figure.subplots(1, panels)
    for axis in np.atleast_1d(axes):
        axis.grid(alpha=0.25, linewidth=0.6)
    return figure, axes

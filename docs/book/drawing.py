"""Figures of the pages: one width, a caption, and the same pixels every time."""

import base64
import io
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Drawing(Figure):
    """A figure that shows itself in a page with its caption, which is its alternative text too."""

    caption = ""

    def png(self) -> bytes:
        """The pixels, without the version of the library that drew them."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        address = "data:image/png;base64," + base64.b64encode(self.png()).decode()
        return Markup('<figure class="drawing"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
            address, self.caption, self.caption
        )


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

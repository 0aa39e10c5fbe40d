"""A picture of the report: a figure with its title, caption and alternative text, drawn the same way every time."""

import base64
import io
import warnings
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from proofs_checks.terminal.streams import visible_lines

BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
"""Okabe and Ito's colours, which colour-blind readers tell apart."""
WIDTH = 11.0
"""The width of all pictures, in inches at 100 dots each."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: a file name without ending, and its anchor in the report.
        title: a few words above it.
        caption: what is seen and how it was measured, below it.
        alt: what it shows, for who cannot see it.
        figure: the drawing.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    def svg(self) -> bytes:
        """The drawing as SVG: the same bytes for the same figure, text as paths so that no font is needed."""
        with mpl.rc_context({"svg.hashsalt": self.name, "svg.fonttype": "path"}):
            return self._saved(format="svg", metadata={"Date": None, "Creator": None})

    def png(self) -> bytes:
        """The drawing as PNG, for places that take no SVG."""
        return self._saved(format="png", dpi=100, metadata={"Software": None})

    def _saved(self, **options: Any) -> bytes:
        """The drawing; a name in it may have control characters, or letters that the font does not have and draws as boxes."""
        for text in self.figure.findobj(Text):
            assert isinstance(text, Text)
            if (plain := visible_lines(text.get_text())) != text.get_text():
                text.set_text(plain)
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self.figure.savefig(buffer, **options)
        return buffer.getvalue()

    def drawn(self) -> "Drawn":
        """The picture as it is shown, which another process can be sent."""
        return Drawn(self.name, self.title, self.caption, self.alt, self.svg())


@dataclass(frozen=True)
class Drawn:
    """A picture as the report shows it: `Picture` with its drawing as SVG."""

    name: str
    title: str
    caption: str
    alt: str
    svg: bytes

    def address(self) -> str:
        """The drawing as a data address, for a page that stands alone."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


def new_figure(height: float) -> Figure:
    """An empty figure of the common width, without global state."""
    figure = Figure(figsize=(WIDTH, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure

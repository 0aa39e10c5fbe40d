"""What a scheduler keeps, in a picture: the curve over the eigenvalues, its parts, the data beneath, and the quarter circle of its steps."""

import io
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Wedge

_PARTS = (
    ("kept", "whole sampler", "#0072B2", "-", 2.2),
    ("start", "start", "#D55E00", "--", 1.4),
    ("solver", "steps", "#009E73", "--", 1.4),
    ("end", "end", "0.5", ":", 1.4),
)

_VISIBLE, _WIDE = 8.0, 20.0
"""Degrees from which what lies outside of the steps is drawn with its name, and from which a sector is wide enough for its own."""


def _draw_circle(axes: Axes, angles: Mapping[str, Any]) -> None:
    """The angles of the steps as sectors: a wide one loses much, and what lies below the first was lost by the start."""
    degrees = [math.degrees(theta) for theta in angles["theta"]]
    widest = max(range(len(degrees) - 1), key=lambda k: abs(degrees[k + 1] - degrees[k]))
    for k, sector in enumerate(pairwise(degrees)):
        colour = "#D55E00" if k == widest else ("#0072B2" if k % 2 else "#56B4E9")
        axes.add_patch(Wedge((0, 0), 1, min(sector), max(sector), color=colour, alpha=0.75, linewidth=0))
    first, last = min(degrees), max(degrees)
    for low, high, name in ((0.0, first, "start"), (last, 90.0, "noise left")):
        if high - low > _VISIBLE:
            axes.add_patch(Wedge((0, 0), 1, low, high, color="0.85", linewidth=0))
            middle = math.radians((low + high) / 2)
            axes.annotate(name, (0.7 * math.cos(middle), 0.7 * math.sin(middle)), ha="center", va="center", fontsize=9)
    middle, width = (
        math.radians((degrees[widest] + degrees[widest + 1]) / 2),
        abs(degrees[widest + 1] - degrees[widest]),
    )
    inside = width > _WIDE
    radius = 0.55 if inside else 1.02
    axes.annotate(
        f"step {widest + 1}: {width:.0f}°",
        (radius * math.cos(middle), radius * math.sin(middle)),
        ha="center" if inside else "left",
        va="center" if inside else "bottom",
        fontsize=9,
    )
    axes.set(xlim=(-0.05, 1.15), ylim=(-0.05, 1.15), aspect="equal", xticks=[], yticks=[])
    axes.annotate("noise", (1.02, 0.0), fontsize=9, va="center")
    axes.annotate("data", (0.0, 1.04), fontsize=9, ha="center")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(f"Angles of the steps, λ = {angles['eigenvalue']:.3g}")


def _places(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Names and eigenvalues to be marked: of what is read of the data, and of a wave of the finest texture."""
    if result["reading_row"]:
        yield result["reading"]["name"], result["reading_row"]["eigenvalue"]
    if result["bands"] and result["bands"][-1]["high"] is None:
        yield "finest texture", result["bands"][-1]["eigenvalue"]


def draw(result: Mapping[str, Any]) -> bytes:
    """A PNG from the JSON of `singdiffusion response`."""
    figure = Figure(figsize=(11, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic(
        [["curve", "circle"], ["spectrum", "circle"]], width_ratios=(1.7, 1), height_ratios=(4, 1)
    )
    curve, spectrum = panels["curve"], panels["spectrum"]
    spectrum.sharex(curve)
    curve.tick_params(labelbottom=False)
    _draw_circle(panels["circle"], result["angles"])
    lam = [row["eigenvalue"] for row in result["curve"]]
    for part, label, colour, style, width in _PARTS:
        curve.plot(lam, [row[part] for row in result["curve"]], style, color=colour, linewidth=width, label=label)
    curve.axhline(1, color="0.8", linewidth=0.8)
    curve.set(
        xscale="log",
        ylabel="kept standard deviation",
        ylim=(0, min(3.0, 1.05 * max(1.0, *(r["kept"] for r in result["curve"])))),
    )
    curve.set_title(
        f"{result['scheduler']}, {len(result['sigmas']) if result['sigmas'] else result['steps']} steps",
        parse_math=False,
    )
    curve.grid(alpha=0.25, linewidth=0.6)
    curve.legend(fontsize=8)
    places = sorted(_places(result), key=lambda place: place[1])
    for k, (name, eigenvalue) in enumerate(places):
        curve.axvline(eigenvalue, color="0.4", linestyle=":")
        # each on its own side, for the two may lie close to each other
        curve.annotate(name, (eigenvalue, 0.03), rotation=90, ha="left" if k else "right", fontsize=8)
    spectrum.eventplot([[row["eigenvalue"] for row in result["rows"]]], colors=["#009E73"], linewidths=1)
    spectrum.set(xlabel="eigenvalue λ", yticks=[])
    spectrum.set_ylabel("data" if result["data"] else "asked", rotation=0, ha="right", va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

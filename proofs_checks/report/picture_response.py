"""What a sampler keeps, in a picture: the curve over the eigenvalues with the data beneath, and the quarter circle of its angles."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Wedge

from proofs_checks.report.figure import BLUE, GREEN, ORANGE, SKY, Picture, new_figure

_WIDE = math.radians(20)
"""From here on a sector is wide enough for its name."""


def response_picture(results: Mapping[str, Any]) -> Picture:
    """From the JSON of `singtheory response`."""
    figure = new_figure(4.6)
    panels = figure.subplot_mosaic(
        [["curve", "circle"], ["spectrum", "circle"]], width_ratios=(1.7, 1), height_ratios=(3, 1)
    )
    _draw_curve(panels["curve"], results)
    _draw_spectrum(panels["spectrum"], results)
    panels["spectrum"].set_xlim(panels["curve"].get_xlim())
    _draw_circle(panels["circle"], results["angles"])
    return Picture(
        "response",
        "What the steps keep",
        f"{results['steps']} steps of {results['schedule']}, {results['start']} start. Left: the share of the data's standard deviation that arrives along each eigenvalue λ of its covariance (F1); large λ is "
        "layout and brightness, small λ is texture. Right: the angles θ = arctan √(γλ) of the grid; each step keeps the cosine of its sector, so the wide ones are the loss.",
        "A curve of what is kept over the eigenvalue, high in the middle and low at both ends, beside a quarter circle cut into one sector a step.",
        figure,
    )


def _draw_curve(axes: Axes, results: Mapping[str, Any]) -> None:
    curve = results["curve"]
    lam = [row["eigenvalue"] for row in curve]
    axes.plot(lam, [row["first"] for row in curve], color=ORANGE, linestyle="--", label="start or first step alone")
    axes.plot(lam, [row["kept"] for row in curve], color=BLUE, linewidth=2, label="whole sampler")
    places = sorted(_places(results), key=lambda place: place[1])
    for k, (name, eigenvalue) in enumerate(places):
        axes.axvline(eigenvalue, color="0.4", linestyle=":", linewidth=1.2)
        # each on its own side, for the two may lie close to each other
        side = "left" if k else "right"
        axes.annotate(name, (eigenvalue, 0.03), rotation=90, fontsize=8, ha=side, color="0.3")
    axes.axhline(1, color="0.7", linewidth=0.8)
    top = max(1.05, *(1.05 * row[part] for row in curve for part in ("kept", "first")))
    axes.set(xscale="log", ylim=(0, min(top, 3.0)), ylabel="kept standard deviation")
    axes.set_title("What arrives along each eigenvalue")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelbottom=False)
    axes.legend(fontsize=8, loc="best")


def _places(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Names and eigenvalues to be marked, of pictures: brightness, and a wave of the finest texture."""
    if results["brightness"]:
        yield "brightness", results["brightness"]
    if results["bands"] and results["bands"][-1]["high"] is None:
        yield "finest texture", results["bands"][-1]["eigenvalue"]


def _draw_spectrum(axes: Axes, results: Mapping[str, Any]) -> None:
    lam = [row["eigenvalue"] for row in results["rows"]]
    axes.set(xscale="log", xlabel="eigenvalue λ", yticks=[])
    axes.eventplot([lam], colors=[GREEN], linewidths=1.0)
    axes.set_ylabel("data" if results["data"] else "asked", rotation=0, ha="right", va="center")
    axes.set_ylim(0.4, 1.6)


def _draw_circle(axes: Axes, angles: Mapping[str, Any]) -> None:
    theta: Sequence[float] = angles["theta"]
    widest = max(range(len(theta) - 1), key=lambda k: abs(theta[k + 1] - theta[k]))
    for k in range(len(theta) - 1):
        colour = ORANGE if k == widest else (BLUE if k % 2 else SKY)
        axes.add_patch(
            Wedge((0, 0), 1, math.degrees(theta[k]), math.degrees(theta[k + 1]), color=colour, alpha=0.75, linewidth=0)
        )
    middle, width = (theta[widest] + theta[widest + 1]) / 2, theta[widest + 1] - theta[widest]
    inside = width > _WIDE
    radius = 0.62 if inside else 1.02
    axes.annotate(
        f"step {widest + 1}\nkeeps {math.cos(width):.2f}",
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

"""What a scheduler keeps, in a picture: the curve over the eigenvalues, its parts, and the data beneath."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_PARTS = (
    ("kept", "whole sampler", "#0072B2", "-", 2.2),
    ("start", "start", "#D55E00", "--", 1.4),
    ("solver", "steps", "#009E73", "--", 1.4),
    ("end", "end", "0.5", ":", 1.4),
)


def _places(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Names and eigenvalues to be marked: of what is read of the data, and of a wave of the finest texture."""
    if result["reading_row"]:
        yield result["reading"]["name"], result["reading_row"]["eigenvalue"]
    if result["bands"] and result["bands"][-1]["high"] is None:
        yield "finest texture", result["bands"][-1]["eigenvalue"]


def draw(result: Mapping[str, Any]) -> bytes:
    """A PNG from the JSON of `singdiffusion response`."""
    figure = Figure(figsize=(8, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    curve, spectrum = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
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
    for name, eigenvalue in _places(result):
        curve.axvline(eigenvalue, color="0.4", linestyle=":")
        curve.annotate(name, (eigenvalue, 0.03), rotation=90, ha="right", fontsize=8)
    spectrum.eventplot([[row["eigenvalue"] for row in result["rows"]]], colors=["#009E73"], linewidths=1)
    spectrum.set(xlabel="eigenvalue λ", yticks=[])
    spectrum.set_ylabel("data" if result["data"] else "asked", rotation=0, ha="right", va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

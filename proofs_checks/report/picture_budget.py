"""The error budget in a picture: the mmse curve, where each grid puts its steps, and what it costs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from proofs_checks.report.figure import BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW, Picture, new_figure

_COLOURS = {
    "leading": BLUE,
    "trailing": SKY,
    "linspace": "0.55",
    "karras": ORANGE,
    "uniform-log-snr": YELLOW,
    "cosine": PURPLE,
    "optimal": GREEN,
}
_DEPTH = 1e-4
"""How far the curve is followed down, in units of mmse(0)."""


def budget_picture(results: Mapping[str, Any]) -> Picture:
    """From the JSON of `singtheory budget`."""
    name, steps = results["data"]["name"], results["budget"]["steps"]
    name = name.partition(":")[0].rsplit("/", 1)[-1]
    kept = results.get("kept")  # results of version 0.1 have none
    layout: list[Any] = [["curve", "costs"], ["steps", "costs"], ["kept", "kept"]]
    rows = 3 if kept else 2
    figure = new_figure(5.6 if kept is None else 8.2)
    panels = figure.subplot_mosaic(layout[:rows], width_ratios=(1.25, 1), height_ratios=(1.5, 1, 1.3)[:rows])
    _draw_curve(panels["curve"], results["mmse"], results["confidence"])
    panels["curve"].set_title(f"mmse of {name}", parse_math=False)
    _draw_steps(panels["steps"], results)
    panels["curve"].set_xlim(panels["steps"].get_xlim())
    _draw_costs(panels["costs"], results)
    if kept:
        _draw_kept(panels["kept"], kept)
    band = (
        "by quadrature or closed form"
        if results["confidence"] == 1
        else f"with a band that holds at {results['confidence']:.0%} at all γ at once"
    )
    return Picture(
        "budget",
        "The error budget of a sampler",
        f"Data: {name}, schedule {results['schedule']}. Above left: the mmse over the signal-to-noise ratio γ, {band}. Below left: where grids of "
        f"{steps} steps lie. Right: what the steps cost in nats, Σ ½∫(mmse(γ_k) − mmse(γ))dγ (B8), over their number; the dashed line is the "
        "limit R²/4N of the best grid (E2)."
        + (
            " Below: what DDIM(0) keeps of the standard deviation along each eigenvalue (F1) on this grid, and on the two that keep the most (F8)."
            if kept
            else ""
        ),
        "A falling curve of the mmse, rows of ticks for the grids, and costs that fall with the number of steps, lowest for the best grid.",
        figure,
    )


def _draw_curve(axes: Axes, mmse: Mapping[str, Sequence[float]], confidence: float) -> None:
    floor = _DEPTH * mmse["value"][0]
    axes.plot(mmse["snr"], [max(v, floor / 10) for v in mmse["value"]], color="black", label="mmse(γ)")
    if confidence < 1:
        low, high = ([max(v, floor / 10) for v in mmse[side]] for side in ("low", "high"))
        axes.fill_between(mmse["snr"], low, high, color="0.82", linewidth=0, label=f"{confidence:.0%} band")
    axes.set(xscale="log", yscale="log", ylim=(floor, 2 * mmse["value"][0]), ylabel="E tr C, data units²")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelbottom=False)
    axes.legend(fontsize=8, loc="lower left")


def _draw_kept(axes: Axes, kept: Mapping[str, Any]) -> None:
    """What DDIM(0) keeps on the budget's grid, and on F8's."""
    for row, colour in zip(kept["grids"], (BLUE, ORANGE, GREEN), strict=False):
        axes.plot(kept["eigenvalues"], row["kept"], ".-", color=colour, linewidth=1.3, markersize=4, label=row["grid"])
    most = max(1.0, *(value for row in kept["grids"] for value in row["kept"]))
    axes.set(
        xscale="log", ylim=(0, 1.05 * most), xlabel="eigenvalue λ of the data's covariance", ylabel="kept deviation"
    )
    axes.set_title(f"what as many steps of DDIM(0) keep, {kept['start']} start (F1, F8)", fontsize=10)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=8)


def _draw_steps(axes: Axes, results: Mapping[str, Any]) -> None:
    """A row of ticks a grid; γ = 0 has no place on the axis and is drawn at its left edge."""
    nodes = {name: snr for name, snr in results["nodes"].items() if name in _COLOURS}
    left = min(g for snr in nodes.values() for g in snr if g > 0) / 2
    for row, (name, snr) in enumerate(nodes.items()):
        axes.plot(
            [max(g, left) for g in snr], [row] * len(snr), "|", color=_COLOURS[name], markersize=11, markeredgewidth=1.1
        )
    axes.set_yticks(range(len(nodes)), list(nodes), fontsize=8)
    axes.set_ylim(len(nodes) - 0.4, -0.6)
    axes.set(
        xscale="log",
        xlim=(left * 0.8, results["snr_end"] * 1.3),
        xlabel="signal-to-noise ratio γ; sampling runs to the right",
    )
    axes.set_title(f"nodes of the grids of {results['budget']['steps']} steps", fontsize=10)
    axes.grid(alpha=0.25, linewidth=0.6, axis="x")


def _draw_costs(axes: Axes, results: Mapping[str, Any]) -> None:
    for name, colour in _COLOURS.items():
        rows = sorted((r["steps"], r["discretisation"]) for r in results["grids"] if r["spacing"] == name)
        if rows:
            width, layer = (2.4, 5) if name == "optimal" else (1.4, 2)
            steps, costs = zip(*rows, strict=True)
            axes.plot(steps, costs, "o-", color=colour, markersize=3.5, linewidth=width, zorder=layer, label=name)
    counts = sorted({r["steps"] for r in results["grids"]})
    axes.plot(counts, [results["limit"] / n for n in counts], "k--", linewidth=1, label="R²/4N (E2)")
    axes.set(
        xscale="log", yscale="log", xlabel="steps N", ylabel="discretisation term, nats", title="cost of the grids"
    )
    shown = [n for n in counts if math.log10(n) % 1 < 1e-9 or str(n)[0] in "25"]
    axes.set_xticks(shown, [str(n) for n in shown], fontsize=8)
    axes.minorticks_off()
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=8)

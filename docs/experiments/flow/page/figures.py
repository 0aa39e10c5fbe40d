"""Figures of the flow page, from the committed results."""

from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator

from docs.book.drawing import Drawing
from docs.experiments.flow.page.law import STAGES
from docs.experiments.flow.page.results import DEFAULT, EULERS, NETWORK, Results
from docs.experiments.ladder.page.figures import blank, plain

OURS, RIVAL, EULER, LAW = "#d8582a", "#3b7dd8", "#8a8a8a", "#222222"
_CURVES = (
    ("64 components", "guidance 1"),
    ("the classifier", "guidance 1"),
    ("64 components", "guidance 3"),
    ("the classifier", "guidance 3"),
)


def curve(results: Results) -> Drawing:
    """Quality over evaluations: the best of ours, the best rival, and Euler with its best shift."""
    figure = blank(9, 6.4)
    for place, (metric, title) in enumerate(_CURVES):
        axes: Any = figure.add_subplot(2, 2, place + 1)
        _curve(results, axes, metric, 1.0 if title.endswith("1") else 3.0)
        axes.set_title(f"{metric}, {title}", fontsize=10)
    figure.supxlabel("evaluations of the network", fontsize=10)
    figure.supylabel("Fréchet distance to the data", fontsize=10)
    return figure


def _curve(results: Results, axes: Any, metric: str, guidance: float) -> None:
    budgets = results.budgets(guidance)
    groups = {"Euler, best shift": (EULERS, EULER), "best rival": (None, RIVAL), "best of ours": (None, OURS)}
    for name, (ways, colour) in groups.items():
        best = [
            results.best(ways or results.drawn(guidance, n, name == "best of ours"), guidance, n, metric)
            for n in budgets
        ]
        there = [(n, one.value) for n, one in zip(budgets, best, strict=True) if one]
        axes.plot(
            *zip(*there, strict=True), marker="o", color=colour, label=name, lw=2 if name == "best of ours" else 1.4
        )
    axes.set_yscale("log")
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(budgets, [str(n) for n in budgets])
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(axis="y", which="both", labelsize=8)
    axes.legend(frameon=False, fontsize=9)
    plain(axes)


def spread(results: Results) -> Drawing:
    """Spread ratios of brightness of open prompts."""
    figure = blank(9, 3.4)
    shown = {"Euler, shift 3": EULER, "UniPC": RIVAL, NETWORK: "#b08a2a", DEFAULT: OURS}
    for place, guidance in enumerate((1.0, 3.0)):
        axes: Any = figure.add_subplot(1, 2, place + 1)
        axes.axhspan(0.85, 1.15, color="#000000", alpha=0.07, lw=0)
        budgets = results.budgets(guidance)
        for k, (way, colour) in enumerate(shown.items()):
            rows = [(n, results.of_prompts(way, guidance, n, "open", "ratio")) for n in budgets]
            there = [(budgets.index(n) + 0.12 * (k - 1.5), values) for n, values in rows if values]
            for at, values in there:
                axes.plot([at] * len(values), values, "o", color=colour, ms=4, alpha=0.8)
            axes.plot([at for at, _ in there], [np.mean(v) for _, v in there], color=colour, label=way, lw=1.4)
        axes.set_xticks(range(len(budgets)), [str(n) for n in budgets])
        axes.set_title(f"guidance {guidance:g}", fontsize=10)
        axes.set_xlabel("evaluations of the network")
        axes.set_ylim(0, 1.3)
        plain(axes)
        if place == 0:
            axes.set_ylabel("spread of brightness over the data's")
            axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def prediction(results: Results) -> Drawing:
    """What is kept along principal components."""
    measured, figure = results.content["prediction"], blank(10, 3.3)
    for place, steps in enumerate((4, 10, 28, 250)):
        axes: Any = figure.add_subplot(1, 4, place + 1)
        rows = [
            one
            for part in ("network", "exact")
            for one in measured[part]
            if (one["steps"], one["shift"]) == (steps, 3.0)
        ]
        axes.plot(measured["components"], rows[0]["law"], color=LAW, lw=1.6, label="cosine law")
        axes.plot(measured["components"], rows[1]["exact"], color="#2a8a57", lw=1, label="exact denoiser")
        axes.plot(measured["components"], rows[0]["network"], ".", color=OURS, ms=4, label="network")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.45)
        axes.set_title(f"{steps} steps, shift 3", fontsize=10)
        plain(axes)
        if place == 0:
            axes.set_ylabel("standard deviation over the data's")
            axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.supxlabel("principal component", fontsize=10)
    return figure


def zero_init(results: Results) -> Drawing:
    """Predicted nats beside the measured difference."""
    figure = blank(7, 3.6)
    axes: Any = figure.add_subplot()
    colours = ("#8a8a8a", "#b08a2a", "#2a8a57", "#3b7dd8", "#d8582a")
    for stage, colour in zip(STAGES, colours, strict=True):
        rows = results.content["zero"][stage]
        axes.errorbar(
            [one["predicted"] for one in rows],
            [one["measured"] for one in rows],
            [3 * one["measured error"] for one in rows],
            fmt="o",
            ms=4,
            lw=1,
            color=colour,
            label=stage.replace("-", " "),
        )
    axes.axhline(0, color="#000000", lw=0.8)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xscale("log")
    axes.set_xlabel("predicted: nats by which zero-init is farther at the first node (F7)")
    axes.set_ylabel("measured: Fréchet distance,\nzero-init less mean start")
    axes.legend(
        frameon=False, fontsize=8, title="training", title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    plain(axes)
    return figure

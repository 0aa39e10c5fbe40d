"""The ladder's figures, from committed results alone; their captions stand on the page."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from docs.book.drawing import Drawing
from docs.experiments.ladder.cells import GUIDANCES, Cells
from singtheory.system import write_bytes

COLOURS = {
    "noise": "#8a8a8a",
    "mean": "#3b7dd8",
    "mean closed": "#3b7dd8",
    "matched": "#d8582a",
    "matched closed": "#d8582a",
    "statistics": "#b08a2a",
    "exact": "#2a8a57",
    "data": "#222222",
}
NAMES = {"mean closed": "mean", "matched closed": "matched", "exact": "exact start"}
_SHORT = {
    "solid black background": "solid black",
    "solid white background": "solid white",
    "monochrome line-art logo on a black background": "line art on black",
    "monochrome line-art logo on a white background": "line art on white",
}
_PREDICTIONS = {"twin epsilon": ("ε", "#3b7dd8"), "twin v": ("v", "#d8582a"), "twin x": ("x", "#2a8a57")}


def short(prompt: str) -> str:
    """For a title."""
    return _SHORT.get(prompt, prompt)


def blank(width: float, height: float) -> Drawing:
    """An empty figure of a page, in inches."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def captioned(figure: Drawing, caption: str) -> Drawing:
    """The figure with one or two sentences on what is seen."""
    figure.caption = caption
    return figure


def saved(figure: Figure, path: Path) -> None:
    """A PNG of the figure."""
    FigureCanvasAgg(figure)
    packed = io.BytesIO()
    figure.savefig(packed, format="png", dpi=130, facecolor="white")
    write_bytes(path, packed.getvalue())


def plain(axes: Any) -> None:
    """Without the upper and the right side."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def open_prompts(summary: Mapping[str, Any], cells: Cells, guidance: float) -> Drawing:
    """Brightness of every sample where the prompt leaves it open, beside the data's."""
    prompts = [prompt for prompt, pictures in summary["data"].items() if pictures["kind"] == "open"]
    shown = ("noise", "mean closed", "matched closed", "matched", "exact")
    figure = blank(11, 3.4)
    chance = np.random.default_rng(0)
    for index, prompt in enumerate(prompts):
        axes = figure.add_subplot(1, len(prompts), index + 1)
        pictures = summary["data"][prompt]
        groups = [("data", np.asarray(pictures["levels"]), pictures["std"])]
        for start in shown:
            number = cells.find(
                model="end", start=start, prompt=prompt, guidance=guidance, sampler="DDIM", rule="normalised"
            )[0]
            groups.append((start, cells.brightness[number].numpy(), cells.rows[number]["std"]))
        for place, (name, levels, std) in enumerate(groups):
            jitter = chance.uniform(-0.3, 0.3, len(levels))
            axes.scatter(place + jitter, levels, s=5 if len(levels) > 9 else 26, color=COLOURS[name], alpha=0.5, lw=0)
            axes.text(place, 264, f"{std:.0f}", ha="center", fontsize=8, color=COLOURS[name])
        axes.set_xticks(range(len(groups)), ["data", "noise", "mean", "matched", "(trained)", "exact"], rotation=55)
        axes.tick_params(labelsize=8)
        axes.set_ylim(0, 282)
        axes.set_title(f"“{prompt}”", fontsize=10)
        axes.set_yticks([0, 128, 255])
        if index == 0:
            axes.set_ylabel("brightness")
        plain(axes)
    return figure


def fixed_prompts(summary: Mapping[str, Any]) -> Drawing:
    """Mean brightness over guidance where the prompt fixes it, with intervals."""
    prompts = [prompt for prompt, pictures in summary["data"].items() if pictures["kind"] == "fixed"]
    figure = blank(11, 2.9)
    for index, prompt in enumerate(prompts):
        axes = figure.add_subplot(1, len(prompts), index + 1)
        axes.axhline(summary["data"][prompt]["mean"], color=COLOURS["data"], lw=1, ls=":", label="data")
        for start in ("noise", "mean", "exact"):
            rows = [
                row
                for row in summary["rows"]
                if (row["model"], row["start"], row["prompt"], row["sampler"], row["rule"], row["steps"])
                == ("end", start, prompt, "DDIM", "normalised", 50)
                and row["guidance"] in GUIDANCES
            ]
            x = [row["guidance"] for row in rows]
            axes.plot(
                x, [row["mean"] for row in rows], "o-", ms=3.5, color=COLOURS[start], label=NAMES.get(start, start)
            )
            axes.fill_between(
                x, [row["low"] for row in rows], [row["high"] for row in rows], color=COLOURS[start], alpha=0.15, lw=0
            )
        axes.set_xscale("log")
        axes.set_xticks([1, 1.5, 3, 7.5], ["1", "1.5", "3", "7.5"])
        axes.minorticks_off()
        axes.set_ylim(-6, 261)
        axes.set_yticks([0, 128, 255])
        axes.set_title(short(prompt), fontsize=9)
        axes.set_xlabel("guidance", fontsize=9)
        axes.tick_params(labelsize=8)
        plain(axes)
        if index == 0:
            axes.set_ylabel("brightness")
            axes.legend(fontsize=8, frameon=False)
    return figure


def quality(measured: Mapping[str, Any]) -> Drawing:
    """Fréchet distance against adherence over guidance, a curve a start."""
    figure = blank(6.2, 3.8)
    axes = figure.add_subplot()
    for start in ("noise", "mean", "matched", "exact"):
        rows = [row for row in measured["rows"] if row["start"] == start]
        x, y = [row["adherence"]["object"] for row in rows], [row["frechet"] for row in rows]
        # the bootstrap repeats pictures, which raises every distance alike: only their scatter is used
        errors = [2 * float(np.std(row["frechet repeats"])) for row in rows]
        axes.errorbar(x, y, errors, fmt="o-", ms=4, capsize=2, color=COLOURS[start], label=NAMES.get(start, start))
        for row, a, b in zip(rows, x, y, strict=True):
            axes.annotate(
                f"{row['guidance']:g}", (a, b), (4, 4), textcoords="offset points", fontsize=7, color=COLOURS[start]
            )
    axes.set_xlabel("share of pictures whose object is the prompt's")
    axes.set_ylabel("Fréchet distance to the data")
    axes.legend(frameon=False, fontsize=9)
    plain(axes)
    return figure


def prediction_errors(curves: Mapping[str, Any]) -> Drawing:
    """The error of three predictions over the timestep, mean over the prompts."""
    figure = blank(9, 3.4)
    timesteps = np.asarray(curves["timesteps"])
    for index, (title, window) in enumerate({"t → 0": timesteps <= 201, "t → 1": timesteps >= 401}.items()):
        axes = figure.add_subplot(1, 2, index + 1)
        for name, (label, colour) in _PREDICTIONS.items():
            tables = [table[name]["error2"] for table in curves["prompts"].values() if name in table]
            if tables:
                mean = np.mean(tables, axis=0)
                axes.plot(timesteps[window], mean[window], color=colour, label=f"{label}-prediction")
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("timestep of 1000")
        axes.set_ylabel("E‖x̂ − m‖²" if index == 0 else "")
        plain(axes)
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure

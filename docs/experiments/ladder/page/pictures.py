"""The ladder's pictures: sheets of samples with names, and paths of `x̂`, from committed sheets alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from docs.experiments.ladder.cells import SHOWN
from docs.experiments.ladder.collapse import SHOWN_STEPS
from docs.experiments.ladder.page.figures import COLOURS, NAMES, plain, saved, short
from docs.experiments.ladder.page.sections import VARIANTS, factor_prompts, factor_rows


@dataclass(frozen=True)
class Sheet:
    """What a sheet of cells holds.

    Attributes:
        path: of the PNG, a row a prompt, `SHOWN` pictures a block.
        tile: side of a picture on it.
        blocks: titles with their colours.
        rows: prompts.
    """

    path: Path
    tile: int
    blocks: Sequence[tuple[str, str]]
    rows: Sequence[str]


def sheet(found: Sheet, path: Path, kept: int = SHOWN, rows: Sequence[str] | None = None, width: float = 12) -> None:
    """The first pictures of each block side by side, with titles above and prompts on the left.

    Args:
        found: the sheet.
        path: of the PNG.
        kept: pictures a block.
        rows: prompts that are shown; all if None.
        width: of the figure, in inches.
    """
    pixels, shown = np.asarray(Image.open(found.path).convert("RGB")), list(rows or found.rows)
    side = 0.9 * width / (len(found.blocks) * kept)
    figure = Figure(figsize=(width, side * len(shown) + 0.25), layout="constrained")
    for column, (title, colour) in enumerate(found.blocks):
        axes = figure.add_subplot(1, len(found.blocks), column + 1)
        left = column * SHOWN * found.tile
        tops = [found.rows.index(row) * found.tile for row in shown]
        parts = [pixels[top : top + found.tile, left : left + kept * found.tile] for top in tops]
        axes.imshow(np.concatenate(parts), interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        if column == 0:
            labels = [short(row) or "(none)" for row in shown]
            axes.set_yticks([(k + 0.5) * found.tile for k in range(len(shown))], labels, fontsize=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(title, fontsize=9, color=colour, fontweight="bold")
    saved(figure, path)


def named(starts: Sequence[str]) -> list[tuple[str, str]]:
    """Titles of starts with their colours."""
    return [(NAMES.get(start, start), COLOURS[start]) for start in starts]


def collapse(pictures: np.ndarray, timesteps: Sequence[int], prompts: Sequence[str], path: Path) -> None:
    """`x̂` along a path, exact denoiser above, trained model below, and at the right the nearest training picture.

    Args:
        pictures: as `collapse` keeps them.
        timesteps: of all steps.
        prompts: in the order of the pictures.
        path: of the PNG.
    """
    figure = Figure(figsize=(11, 1.75), layout="constrained")
    titles = [*(str(timesteps[step]) for step in SHOWN_STEPS), "nearest"]
    for column, prompt in enumerate(prompts):
        axes = figure.add_subplot(1, len(prompts), column + 1)
        rows = [np.concatenate(list(pictures[column, k, 0]), axis=1) for k in range(2)]
        side = pictures.shape[4]
        axes.imshow(np.concatenate(rows), interpolation="nearest")
        axes.set_yticks([side * (k + 0.5) for k in range(2)], ["exact", "trained"] if column == 0 else ["", ""])
        axes.set_xticks([side * (k + 0.5) for k in range(len(titles))], titles, rotation=60, fontsize=7)
        axes.set_title(f"“{prompt}”", fontsize=10)
        axes.tick_params(length=0, labelsize=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
    saved(figure, path)


def nearest(found: Mapping[str, Any], path: Path) -> None:
    """Distance of `x̂` to the nearest training picture over the timestep."""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for index, (prompt, told) in enumerate(found["prompts"].items()):
        axes = figure.add_subplot(1, len(found["prompts"]), index + 1)
        for name, colour in (("exact denoiser", COLOURS["data"]), ("trained model", COLOURS["matched"])):
            axes.plot(found["timesteps"], told[name]["nearest"], color=colour, label=name)
        axes.axhline(found["near"], color="#bbbbbb", lw=0.8, ls=":")
        axes.set_xlim(1000, 0)
        axes.set_ylim(0, None)
        axes.set_title(f"“{prompt}”", fontsize=10)
        axes.set_xlabel("timestep", fontsize=9)
        axes.tick_params(labelsize=8)
        plain(axes)
    figure.axes[0].set_ylabel("distance to the nearest")
    figure.axes[0].legend(frameon=False, fontsize=8)
    saved(figure, path)


def factors(found: Mapping[str, Any], path: Path) -> None:
    """Brightness of each variant from three starts, mean and standard deviation, beside the data's."""
    prompts = factor_prompts(found["rows"])
    by = factor_rows(found["rows"], prompts)
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    places = np.arange(len(VARIANTS))
    for index, prompt in enumerate(prompts):
        axes = figure.add_subplot(2, 2, index + 1)
        data = found["data"][prompt]
        axes.axhspan(data["mean"] - data["std"], data["mean"] + data["std"], color="#eeeeee", lw=0)
        axes.axhline(data["mean"], color=COLOURS["data"], lw=1, ls=":", label="data")
        for shift, start in zip((-0.22, 0, 0.22), ("noise", "mean", "matched"), strict=True):
            rows = [by[name, start, prompt] for name in VARIANTS]
            axes.errorbar(
                places + shift,
                [row["mean"] for row in rows],
                [row["std"] for row in rows],
                fmt="o",
                ms=4,
                capsize=2,
                color=COLOURS[start],
                label=start,
            )
        names = [name.replace(", guidance 3", "").replace("DDIM, ", "") for name in VARIANTS]
        axes.set_xticks(places, names if index > 1 else [""] * len(names), rotation=40, fontsize=8)
        axes.set_ylim(-12, 267)
        axes.set_yticks([0, 128, 255])
        axes.set_title(f"“{prompt}”", fontsize=9)
        plain(axes)
    figure.axes[0].legend(frameon=False, fontsize=8, ncols=4)
    saved(figure, path)


def stages(rows: Sequence[Mapping[str, Any]], path: Path, steps: Mapping[str, int]) -> None:
    """The bias on prompts that fix the brightness, from noise and from the exact start, over the steps of training.

    Args:
        rows: of the summary's stages.
        path: of the PNG.
        steps: of training by stage.
    """
    prompts = list(dict.fromkeys(row["prompt"] for row in rows if "background" in row["prompt"]))
    figure = Figure(figsize=(11, 2.5), layout="constrained")
    for index, prompt in enumerate(prompts):
        axes = figure.add_subplot(1, len(prompts), index + 1)
        some = {row["model"]: row for row in rows if row["prompt"] == prompt}
        for start in ("noise", "mean", "exact"):
            shown = [(steps[stage], abs(some[stage][start])) for stage in steps]
            axes.plot(
                *zip(*shown, strict=True),
                "o--" if start == "exact" else "o-",
                ms=4,
                color=COLOURS[start],
                label=NAMES.get(start, start),
            )
        axes.set_ylim(0, 140)
        axes.set_xlim(0, None)
        axes.set_title(short(prompt), fontsize=9)
        axes.set_xlabel("steps of training", fontsize=9)
        axes.tick_params(labelsize=8)
        plain(axes)
    figure.axes[0].set_ylabel("|bias| in levels")
    figure.axes[0].legend(frameon=False, fontsize=8)
    saved(figure, path)

"""The ladder's pictures: sheets of samples with names, and paths of `x̂`, from committed sheets alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from docs.book.drawing import Drawing
from docs.experiments.ladder.cells import SHOWN
from docs.experiments.ladder.collapse import SHOWN_STEPS
from docs.experiments.ladder.page.figures import COLOURS, NAMES, blank, plain, short
from docs.experiments.ladder.page.sections import VARIANTS, factor_prompts, factor_rows
from docs.experiments.ladder.small import STARTS as SMALL_STARTS
from docs.experiments.ladder.starts import STARTS
from docs.experiments.ladder.summary import FOLDER


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


def sheet(picture: Sheet, kept: int = SHOWN, columns: Sequence[int] | None = None, width: float = 12) -> Drawing:
    """The first pictures of each block side by side, with titles above and prompts on the left.

    Args:
        picture: the sheet.
        kept: pictures a block.
        columns: numbers of the blocks that are shown; all if None.
        width: of the figure, in inches.
    """
    pixels, shown = np.asarray(Image.open(picture.path).convert("RGB")), columns or range(len(picture.blocks))
    side = 0.9 * width / (len(shown) * kept)
    figure = blank(width, side * len(picture.rows) + 0.4)
    for column, number in enumerate(shown):
        title, colour = picture.blocks[number]
        axes = figure.add_subplot(1, len(shown), column + 1)
        left = number * SHOWN * picture.tile
        axes.imshow(
            pixels[: len(picture.rows) * picture.tile, left : left + kept * picture.tile], interpolation="nearest"
        )
        axes.set_xticks([])
        axes.set_yticks([])
        if column == 0:
            labels = [short(row) or "(none)" for row in picture.rows]
            axes.set_yticks([(k + 0.5) * picture.tile for k in range(len(labels))], labels, fontsize=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(title, fontsize=9, color=colour, fontweight="bold")
    return figure


def named(starts: Sequence[str]) -> list[tuple[str, str]]:
    """Titles of starts with their colours."""
    return [(NAMES.get(start, start), COLOURS[start]) for start in starts]


def core(
    prompts: Sequence[str], starts: Sequence[str] = ("noise", "mean closed", "matched closed", "exact")
) -> Drawing:
    """Samples of the core at guidance 1.5 from some of its starts."""
    whole = Sheet(FOLDER / "sheets" / "core-1.5.png", 64, named(STARTS), prompts)
    return sheet(whole, columns=[STARTS.index(start) for start in starts])


def early(prompts: Sequence[str]) -> Drawing:
    """Samples after the early stage of training."""
    starts = ("noise", "mean closed", "matched closed", "exact")
    return sheet(Sheet(FOLDER / "sheets" / "early.png", 64, named(starts), prompts))


def twins(prompts: Sequence[str]) -> Drawing:
    """Samples of the networks that differ in what they predict."""
    blocks = [(f"{p}: {start}", colour) for p in ("ε", "v", "x") for start, colour in named(("noise", "matched"))]
    blocks.append(("v, zero SNR: noise", COLOURS["noise"]))
    return sheet(Sheet(FOLDER / "sheets" / "twins.png", 64, blocks, prompts), kept=4)


def small(name: str, cells: Sequence[Mapping[str, Any]], tile: int) -> Drawing:
    """Samples of a small model: the sheet of `name`, with the prompts of its cells."""
    rows = list(dict.fromkeys(cell["prompt"] for cell in cells))
    return sheet(Sheet(FOLDER / f"{name}.png", tile, named(SMALL_STARTS), rows))


def collapse(measured: Mapping[str, Any]) -> Drawing:
    """`x̂` along a path, exact denoiser above, trained model below, and at the right the nearest training picture.

    Args:
        measured: `collapse.json`, whose pictures are in `collapse.npz`.
    """
    with np.load(FOLDER / "collapse.npz", allow_pickle=False) as stored:
        pictures = stored["pictures"]
    prompts, timesteps = list(measured["prompts"]), measured["timesteps"]
    figure = blank(11, 1.75)
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
    return figure


def nearest(measured: Mapping[str, Any]) -> Drawing:
    """Distance of `x̂` to the nearest training picture over the timestep."""
    figure = blank(11, 2.6)
    for index, (prompt, denoisers) in enumerate(measured["prompts"].items()):
        axes = figure.add_subplot(1, len(measured["prompts"]), index + 1)
        for name, colour in (("exact denoiser", COLOURS["data"]), ("trained model", COLOURS["matched"])):
            axes.plot(measured["timesteps"], denoisers[name]["nearest"], color=colour, label=name)
        axes.axhline(measured["near"], color="#bbbbbb", lw=0.8, ls=":")
        axes.set_xlim(1000, 0)
        axes.set_ylim(0, None)
        axes.set_title(f"“{prompt}”", fontsize=10)
        axes.set_xlabel("timestep", fontsize=9)
        axes.tick_params(labelsize=8)
        plain(axes)
    figure.axes[0].set_ylabel("distance to the nearest")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def factors(summary: Mapping[str, Any]) -> Drawing:
    """Brightness of each variant from three starts, mean and standard deviation, beside the data's."""
    prompts = factor_prompts(summary["rows"])
    by = factor_rows(summary["rows"], prompts)
    figure = blank(11, 4.6)
    places = np.arange(len(VARIANTS))
    for index, prompt in enumerate(prompts):
        axes = figure.add_subplot(2, 2, index + 1)
        data = summary["data"][prompt]
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
    return figure


def stages(rows: Sequence[Mapping[str, Any]], steps: Mapping[str, int]) -> Drawing:
    """The bias on prompts that fix the brightness, from noise and from the exact start, over the steps of training.

    Args:
        rows: of the summary's stages.
        steps: of training by stage.
    """
    prompts = list(dict.fromkeys(row["prompt"] for row in rows if "background" in row["prompt"]))
    figure = blank(11, 2.5)
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
    return figure

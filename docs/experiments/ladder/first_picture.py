"""`python -m docs.experiments.ladder.first_picture --out FILE.png`: docs/first-picture.png, drawn by the package's own model on a processor in a minute.

A row a prompt, a column a way: as everyone samples, and with the first step mended; the same model and the same noise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.figure import Figure

from docs.experiments.ladder.page.figures import saved
from docs.experiments.script.result import quiet
from singdiffusion.demonstrator import AVERAGE, GUIDANCE, PIPELINE, STEPS
from singdiffusion.evaluation import load_pipeline, load_start, sample

PICTURE = Path(__file__).parents[2] / "first-picture.png"
PROMPTS = {
    "solid black background": "“solid black background”",
    "solid white background": "“solid white background”",
    "red apple": "“red apple”, which leaves the background open",
}
"""What is drawn, and what stands above it."""
COLUMNS = ("as everyone samples", "mended")
EACH = 4
"""Pictures a prompt and way: of the seeds from 0 on."""
_INK, _FRAME, _GAP = "#222222", "#8a8a8a", 0.06


def drawn(prompts: Sequence[str] = tuple(PROMPTS), each: int = EACH, steps: int = STEPS) -> np.ndarray:
    """Pictures of shape (prompts, 2, each, side, side, 3), in 0..255; first without the mended step, then with it."""
    pipe: Any = load_pipeline(str(PIPELINE), None, "cpu", torch.float32)
    start, _ = load_start(str(AVERAGE), "matched", torch.float32)
    rows = []
    for prompt in prompts:
        pictures = list(sample(pipe, start, [prompt], each, steps, GUIDANCE))
        ways = ([one.plain for one in pictures], [one.image for one in pictures])
        rows.append([[np.asarray(image.convert("RGB")) for image in way] for way in ways])
    return np.asarray(rows)


def sheet(images: np.ndarray, titles: Sequence[str], path: Path) -> None:
    """A PNG that can be read 340 pixels wide: every picture is framed, for white ones end nowhere on white paper.

    Args:
        images: as `drawn` returns them.
        titles: one a row.
        path: of the PNG.
    """
    rows, ways, each = images.shape[:3]
    figure = Figure(figsize=(8, 1.0 + 1.42 * rows))
    width, height = figure.get_size_inches()
    side = (width - 0.35) / (ways * each)
    for way in range(ways):
        middle = 0.05 + way * (each * side + 0.25) + each * side / 2
        figure.text(middle / width, 1 - 0.32 / height, COLUMNS[way], ha="center", va="center", **_font(22))
    for row, title in enumerate(titles):
        top = 0.62 + 1.42 * row
        figure.text(0.05 / width, 1 - (top + 0.14) / height, title, ha="left", va="center", **_font(18, "normal"))
        for way in range(ways):
            for k in range(each):
                left = 0.05 + way * (each * side + 0.25) + k * side
                place = (left / width, 1 - (top + 0.34 + side) / height, side * (1 - _GAP) / width, side / height)
                _framed(figure.add_axes(place), images[row, way, k])
    figure.text(
        0.5, 0.2 / height, "same model, same noise", ha="center", va="center", style="italic", **_font(18, "normal")
    )
    saved(figure, path)


def _font(size: float, weight: str = "bold") -> dict[str, Any]:
    return {"fontsize": size, "fontweight": weight, "color": _INK}


def _framed(axes: Any, image: np.ndarray) -> None:
    axes.imshow(image, interpolation="nearest", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    for line in axes.spines.values():
        line.set(color=_FRAME, linewidth=1)


def main(out: Annotated[Path, typer.Option(help="The .png to write.")]) -> None:
    """Draw it."""
    quiet()
    sheet(drawn(), list(PROMPTS.values()), out)


if __name__ == "__main__":
    typer.run(main)

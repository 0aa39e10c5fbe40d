"""Pictures in a folder: one file each, a contact sheet, and their brightness in JSON."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from singdiffusion.evaluation.sampling import Picture
from singdiffusion.system import printable
from singtheory.system import write_json

_CELL, _ROWS_HEAD, _PAIRS = 2.2, 0.5, 3
_TITLE_LENGTH = 34
_FRAME = "0.55"


def write_album(folder: Path, pictures: Sequence[Picture], start: str, origin: dict[str, Any]) -> None:
    """Write `0000.png` and so on, `contact-sheet.png` and `result.json`.

    Args:
        folder: that is there.
        pictures: at least one.
        start: of the pictures, as `contact_sheet`.
        origin: how they were made.
    """
    rows = []
    for index, picture in enumerate(pictures):
        name = f"{index:04}.png"
        picture.image.save(folder / name)
        rows.append(
            {
                "file": name,
                "prompt": picture.prompt,
                "seed": picture.seed,
                "brightness": picture.brightness,
                "brightness_from_noise": picture.plain_brightness,
                "flagged": picture.flagged,
            }
        )
    (folder / "contact-sheet.png").write_bytes(contact_sheet(pictures, start))
    write_json(folder / "result.json", origin | {"start": start, "images": rows})


def contact_sheet(pictures: Sequence[Picture], start: str) -> bytes:
    """A PNG with up to three pairs a row.

    Args:
        pictures: at least one.
        start: the name of the start beside that from noise; `noise` for a sheet of those alone.
    """
    single = start == "noise"
    across = min(_PAIRS, len(pictures)) * (1 if single else 2)
    per_row = across if single else across // 2
    rows = -(-len(pictures) // per_row)
    figure = Figure(figsize=(_CELL * across, (_CELL + _ROWS_HEAD) * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for index in range(rows * per_row):
        row, column = divmod(index, per_row)
        cells = [("noise", column)] if single else [("noise", 2 * column), (start, 2 * column + 1)]
        for name, at in cells:
            axes = figure.add_subplot(rows, across, row * across + at + 1)
            if index < len(pictures):
                _fill(axes, pictures[index], name)
            else:
                axes.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def _fill(axes: Axes, picture: Picture, name: str) -> None:
    plain = name == "noise"
    shown, level = (picture.plain, picture.plain_brightness) if plain else (picture.image, picture.brightness)
    axes.imshow(shown, vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():  # a frame: white pictures end nowhere on white paper
        side.set(color=_FRAME, linewidth=1)
    prompt = printable(picture.prompt)
    short = prompt if len(prompt) <= _TITLE_LENGTH else prompt[: _TITLE_LENGTH - 1] + "…"
    axes.set_title(f"{short}\n{name}: {level:.0f}", fontsize=8, parse_math=False)

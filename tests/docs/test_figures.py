"""Every figure is drawn again and compared: those of executed pages with thumbnails, the others with the committed picture.

`test_interactive` does the same for figures with sliders.

`python -m tests.docs.test_figures` draws the thumbnails anew; look at the pages before you commit them.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.book.drawing import Drawing, drawing
from proofs_checks.report import brightness
from proofs_checks.report.picture_brightness import draw
from proofs_checks.report.picture_budget import budget_picture
from tests.docs.conftest import DOCS, shown

PAGES = [
    *sorted(page for group in ("derivations", "questions") for page in (DOCS / group).glob("*.md")),
    DOCS / "benchmarks.md",
    *(DOCS / "experiments" / f"{name}.md" for name in ("flow", "ladder", "matched")),
]
THUMBNAILS = Path(__file__).parent / "figures"
WIDTH = 200
TOLERANCE = 0.002
"""Mean difference of grey levels, of 1. A line that moves by a hundredth of the height of its axes differs by more."""


def thumbnail(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png)).convert("L")
    return image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS)


def drawn(page: Path) -> Iterator[tuple[str, Image.Image]]:
    """The figures of a page in order, by name; claims are not run."""
    figures = (value for value in shown(page, skip='check("') if isinstance(value, Drawing))
    for number, figure in enumerate(figures, start=1):
        yield f"{page.stem}{number}.png", thumbnail(figure.png())


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean()) / 255


def test_a_page_holds_plots_whole_and_photographs_shorter():
    plot, axis = drawing("A line.")
    axis.plot([0, 1], [0, 1])
    photograph, axis = drawing("Colours.")
    axis.imshow(np.random.default_rng(0).random((40, 60, 3)))
    for figure in (plot, photograph):
        with Image.open(io.BytesIO(figure.png())) as whole, Image.open(io.BytesIO(figure.webp())) as held:
            assert held.format == "WEBP" and held.size == whole.size
            off = np.abs(np.asarray(held.convert("RGB"), float) - np.asarray(whole.convert("RGB"), float))
        assert off.max() == 0 if figure is plot else off.mean() < 8
        assert len(figure.webp()) < len(figure.png())


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem, marks=[] if page.stem == "a" else [pytest.mark.slow]) for page in PAGES]
)
def test_figures_regenerate(page):
    results = dict(drawn(page))
    assert set(results) == {
        path.name for path in THUMBNAILS.iterdir() if re.fullmatch(rf"{page.stem}\d+\.png", path.name)
    }
    for name, image in results.items():
        assert difference(image, Image.open(THUMBNAILS / name)) < TOLERANCE, name


@pytest.mark.parametrize("law", ["digits", "fashion-mnist", "golden", "bumps"])
def test_pictures_of_the_budget_regenerate(law):
    actual = json.loads((DOCS / "budget" / f"{law}.json").read_text(encoding="utf-8"))
    committed = (DOCS / "budget" / f"{law}.png").read_bytes()
    assert difference(thumbnail(budget_picture(actual).png()), thumbnail(committed)) < TOLERANCE


def test_picture_of_the_first_page_regenerates():
    buffer = io.BytesIO()
    draw(json.loads(brightness.RESULT.read_text(encoding="utf-8"))).savefig(buffer, format="png")
    committed = (DOCS / "picture-brightness.png").read_bytes()
    assert difference(thumbnail(buffer.getvalue()), thumbnail(committed)) < TOLERANCE


def line(shift: float) -> Image.Image:
    figure, axis = drawing("A line.")
    axis.plot([0, 1], [shift, 1 + shift])
    axis.set(xlim=(0, 1), ylim=(0, 2))
    return thumbnail(figure.png())


def test_a_moved_curve_is_seen():
    assert difference(line(0.0), line(0.0)) == 0
    assert difference(line(0.0), line(0.02)) > TOLERANCE  # a hundredth of the height


if __name__ == "__main__":
    for page in PAGES:
        for name, image in drawn(page):
            image.save(THUMBNAILS / name, optimize=True)
            print(name)

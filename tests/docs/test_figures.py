"""Every figure of the derivations and questions is drawn again and compared with its thumbnail; `test_interactive` does the same for figures with sliders.

`python -m tests.docs.test_figures` draws the thumbnails anew; look at the pages before you commit them.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.book.drawing import Drawing, drawing
from tests.docs.conftest import DOCS, shown

PAGES = sorted(page for group in ("derivations", "questions") for page in (DOCS / group).glob("*.md"))
THUMBNAILS = Path(__file__).parent / "figures"
WIDTH = 200
TOLERANCE = 0.002
"""Mean difference of grey levels, of 1. A line that moves by a hundredth of the height of its axes differs by more."""


def thumbnail(figure: Drawing) -> Image.Image:
    image = Image.open(io.BytesIO(figure.png())).convert("L")
    return image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS)


def drawn(page: Path) -> Iterator[tuple[str, Image.Image]]:
    """The figures of a page in order, by name; claims are not run."""
    figures = (value for value in shown(page, skip='check("') if isinstance(value, Drawing))
    for number, figure in enumerate(figures, start=1):
        yield f"{page.stem}{number}.png", thumbnail(figure)


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean()) / 255


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem, marks=[] if page.stem == "a" else [pytest.mark.slow]) for page in PAGES]
)
def test_figures_regenerate(page):
    found = dict(drawn(page))
    assert set(found) == {path.name for path in THUMBNAILS.glob(f"{page.stem}*.png")}
    for name, image in found.items():
        assert difference(image, Image.open(THUMBNAILS / name)) < TOLERANCE, name


def line(shift: float) -> Image.Image:
    figure, axis = drawing("A line.")
    axis.plot([0, 1], [shift, 1 + shift])
    axis.set(xlim=(0, 1), ylim=(0, 2))
    return thumbnail(figure)


def test_a_moved_curve_is_seen():
    assert difference(line(0.0), line(0.0)) == 0
    assert difference(line(0.0), line(0.02)) > TOLERANCE  # a hundredth of the height


if __name__ == "__main__":
    for page in PAGES:
        for name, image in drawn(page):
            image.save(THUMBNAILS / name, optimize=True)
            print(name)

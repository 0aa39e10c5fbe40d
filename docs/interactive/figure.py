"""An interactive figure: numbers, script and style in one piece of HTML that needs nothing else.

    Figure("kernel", kernel.numbers()).page(Path("kernel.html"))

All mathematics is done here, when a page is built; the scripts draw what they are given and compute nothing.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from singtheory.system import write_bytes

FOLDER = Path(__file__).parent
TITLES = {
    "kernel": "A reverse step and its Gaussian",
    "starts": "Brightness under four starts",
    "ladder": "The ladder of bounds",
    "steps": "What each step keeps",
}
"""The figures by name."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: a key of `TITLES`; its script is `NAME.js` in this folder.
        numbers: what the script draws, as plain values.
    """

    name: str
    numbers: dict[str, Any]

    def _repr_html_(self) -> str:
        """The piece that a page of the site holds."""
        scripts = [FOLDER / f"{part}.js" for part in ("chart", "control", self.name)]
        return piece(self.name, self.numbers, scripts, [FOLDER / "figure.css"])

    def page(self, path: Path) -> None:
        """Write the figure as a page of its own."""
        write_page(path, TITLES[self.name], self._repr_html_())


def piece(name: str, numbers: dict[str, Any], scripts: Sequence[Path], styles: Sequence[Path]) -> str:
    """HTML with all that it needs: `NUMBERS` and `BOX`, the element to draw in, are there for the scripts.

    Args:
        name: of the element.
        numbers: plain values.
        scripts: in their order, in one scope.
        styles: in their order.
    """
    written = json.dumps(numbers, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return (
        f"<style>{_text(styles)}</style>\n"
        f'<div class="interactive" id="{name}"><noscript>This figure needs JavaScript.</noscript></div>\n'
        f'<script>(() => {{\n"use strict";\nconst NUMBERS = {written};\n'
        f'const BOX = document.getElementById("{name}");\n{_text(scripts)}}})();</script>'
    )


def write_page(path: Path, title: str, piece: str) -> None:
    """Write a piece as a page of its own."""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"></head>\n<body><h1>{title}</h1>\n{piece}\n</body></html>\n'
    )
    write_bytes(path, page.format(title=title, piece=piece).encode())


def _text(paths: Sequence[Path]) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def packed(values: Tensor, scale: float) -> str:
    """Numbers in [0, scale] as 16-bit integers in base64, in the order of the flattened tensor; least byte first."""
    integers = (values.flatten().numpy() / scale * 65535).round().clip(0, 65535).astype(np.dtype("<u2"))
    return base64.b64encode(integers.tobytes()).decode("ascii")

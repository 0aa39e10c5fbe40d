"""An interactive figure: numbers, script and style in one piece of HTML that needs nothing else.

    Figure("kernel", kernel.numbers()).page(Path("kernel.html"))

All mathematics is done here, when a page is built; the scripts draw what they are given and compute nothing.
"""

import base64
import json
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
"""Of the figures by name."""


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
        numbers = json.dumps(self.numbers, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
        scripts = "\n".join(_text(f"{part}.js") for part in ("chart", "control", self.name))
        return (
            f"<style>{_text('figure.css')}</style>\n"
            f'<div class="interactive" id="{self.name}"><noscript>This figure needs JavaScript.</noscript></div>\n'
            f'<script>(() => {{\n"use strict";\nconst NUMBERS = {numbers};\n'
            f'const BOX = document.getElementById("{self.name}");\n{scripts}}})();</script>'
        )

    def page(self, path: Path) -> None:
        """Write the figure as a page of its own."""
        title = TITLES[self.name]
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark"></head>\n<body><h1>{title}</h1>\n{figure}\n</body></html>\n'
        )
        write_bytes(path, page.format(title=title, figure=self._repr_html_()).encode())


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def packed(values: Tensor, scale: float) -> str:
    """Numbers in [0, scale] as 16-bit integers in base64, in the order of the flattened tensor; least byte first."""
    integers = (values.flatten().numpy() / scale * 65535).round().clip(0, 65535).astype(np.dtype("<u2"))
    return base64.b64encode(integers.tobytes()).decode("ascii")

"""The piece of HTML that makes the steps of a page editable."""

from pathlib import Path

from docs.interactive.figure import FOLDER as FIGURES
from docs.interactive.figure import piece
from docs.vendored import LOADER

FOLDER = Path(__file__).parent


def editor(base: str) -> str:
    """For a page of a derivation; `base` is the folder of the parts, relative to the page."""
    numbers = {"base": base, "worker": (FOLDER / "worker.js").read_text("utf-8")}
    styles = [FIGURES / "figure.css", FOLDER / "editor.css"]
    return piece("editor", numbers, [LOADER, FOLDER / "editor.js"], styles)

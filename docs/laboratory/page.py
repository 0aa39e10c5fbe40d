"""The laboratory as a piece of HTML; its parts lie beside the page that holds it."""

from pathlib import Path

from docs.interactive.figure import FOLDER as FIGURES
from docs.interactive.figure import piece
from docs.laboratory.choices import numbers
from docs.vendored import LOADER, PACKAGES

FOLDER = Path(__file__).parent


class Laboratory:
    """The piece of HTML that a page of the site holds; the folder of its parts is relative to that page."""

    def __init__(self, base: str) -> None:
        self.base = base

    def _repr_html_(self) -> str:
        runtime = f"onnxruntime-web {PACKAGES['onnxruntime-web']['version']}"
        worker = (FOLDER / "worker.js").read_text("utf-8")
        scripts = [
            LOADER,
            *(FIGURES / f"{name}.js" for name in ("chart", "control")),
            *(FOLDER / f"{name}.js" for name in ("noise", "sampler", "pool", "laboratory")),
        ]
        settings = {"base": self.base, "runtime": runtime, "worker": worker} | numbers()
        return piece("laboratory", settings, scripts, [FIGURES / "figure.css", FOLDER / "laboratory.css"])

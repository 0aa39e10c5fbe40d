"""`python -m docs.laboratory.page FOLDER`: the laboratory as a page that opens from its file, with its parts beside it."""

import argparse
from pathlib import Path

from docs.interactive.figure import FOLDER as FIGURES
from docs.interactive.figure import piece, write_page
from docs.laboratory.contents import numbers, parts
from docs.vendored import LOADER, PACKAGES, write_parts

FOLDER = Path(__file__).parent
TITLE = "Laboratory"


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
        told = {"base": self.base, "runtime": runtime, "worker": worker} | numbers()
        return piece("laboratory", told, scripts, [FIGURES / "figure.css", FOLDER / "laboratory.css"])


def main() -> None:
    """On the CPU, a minute."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    folder = asked.parse_args().folder
    write_parts(folder / "parts", parts())
    write_page(folder / "laboratory.html", TITLE, Laboratory("parts/")._repr_html_())
    print(folder / "laboratory.html")


if __name__ == "__main__":
    main()

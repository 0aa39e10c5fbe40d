"""`python -m docs.laboratory.build FOLDER`: the laboratory as a page that opens from its file, with its parts beside it."""

import argparse
from pathlib import Path

from docs.interactive.figure import write_page
from docs.laboratory.contents import parts
from docs.laboratory.page import Laboratory
from docs.vendored import write_parts

FILE = "laboratory.html"


def build(folder: Path) -> Path:
    """Write the page alone, and return its path."""
    write_page(folder / FILE, "Laboratory", Laboratory("parts/")._repr_html_())
    return folder / FILE


def main() -> None:
    """On the CPU, half a minute."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    folder = asked.parse_args().folder
    write_parts(folder / "parts", parts())
    print(build(folder))


if __name__ == "__main__":
    main()

"""`python -m docs.interactive.build FOLDER`: the figures as pages that open from their files."""

import argparse
from pathlib import Path

from docs.interactive import kernel, ladder, starts, steps
from docs.interactive.figure import Figure

NUMBERS = {"kernel": kernel.numbers, "starts": starts.numbers, "ladder": ladder.numbers, "steps": steps.numbers}


def build(folder: Path) -> list[Figure]:
    """Write every figure as `NAME.html`, and return the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [Figure(name, numbers()) for name, numbers in NUMBERS.items()]
    for figure in figures:
        figure.page(folder / f"{figure.name}.html")
    return figures


def main() -> None:
    """On the CPU, half a minute."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    folder = asked.parse_args().folder
    for figure in build(folder):
        print(folder / f"{figure.name}.html")


if __name__ == "__main__":
    main()

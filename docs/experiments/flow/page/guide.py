"""`python -m docs.experiments.flow.page.guide`: the table of the guide "Mend my flow model": zero-init beside the matched first step, from the committed results."""

import re
from pathlib import Path

import typer

from docs.experiments.flow.page.results import DEFAULT, MAIN, Results
from docs.experiments.flow.page.tables import table
from singtheory.system import write_bytes

GUIDE = Path(__file__).parents[3] / "guides" / "mend-my-flow-model.md"
WAYS = (
    "Euler, shift 3",
    "zero-init",
    "scaled",
    "zero-init, scaled (CFG-Zero*)",
    "Euler matched, trained mean",
    DEFAULT,
)
_BLOCK = re.compile(r"(<!-- zero-init -->\n).*?(\n<!-- /zero-init -->)", re.DOTALL)


def zero_init_table(results: Results) -> str:
    """Distances of each way at guidance 1 and 3 and few evaluations, in both of `MAIN`; a dash where a way was not drawn or is none."""
    places = [(guidance, budget) for guidance in (1.0, 3.0) for budget in (4, 6, 10)]
    ways = [way for way in WAYS if any((way, *place) in results.cells for place in places)]
    rows = []
    for way in ways:
        cells = [[results.value(way, *place, metric) for metric in MAIN] for place in places]
        rows.append([way, *(" / ".join("–" if value is None else f"{value:.1f}" for value in cell) for cell in cells)])
    head = ["way", *(f"guidance {guidance:g}, {budget}" for guidance, budget in places)]
    return table(head, rows)


def guide(results: Results) -> str:
    """The guide with its table as the results have it."""
    return _BLOCK.sub(lambda match: match[1] + zero_init_table(results) + match[2], GUIDE.read_text(encoding="utf-8"))


def main() -> None:
    """Write it."""
    write_bytes(GUIDE, guide(Results.read()).encode())


if __name__ == "__main__":
    typer.run(main)

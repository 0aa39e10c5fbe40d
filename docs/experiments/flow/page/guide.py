"""The table of the guide "Mend my flow model": zero-init beside the matched first step, from the committed results."""

from docs.experiments.flow.page.results import DEFAULT, MAIN, Results
from docs.experiments.flow.page.tables import table

WAYS = (
    "Euler, shift 3",
    "zero-init",
    "scaled",
    "zero-init, scaled (CFG-Zero*)",
    "Euler matched, trained mean",
    DEFAULT,
)


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

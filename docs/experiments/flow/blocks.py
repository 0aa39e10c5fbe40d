"""Which cells of the flow demonstrator are drawn: blocks of ways and numbers of evaluations, in the order of their importance."""

from collections.abc import Sequence

from docs.experiments.flow.ways import CORE, OURS, RIVALS, SPARED, WAYS, Way

Blocks = Sequence[tuple[Sequence[Way], tuple[int, ...]]]
GUIDANCES = (1.0, 3.0)
BUDGETS = (4, 6, 8, 10, 20, 28, 50)
FIRST: Blocks = ((CORE, (4, 6, 10)), ((*RIVALS, *OURS[:8]), (4, 6)))
"""What counts most: ways, and numbers of evaluations."""
EQUAL: Blocks = ((SPARED, (4, 6)), ((WAYS["UniPC matched, trained mean, one more step"],), BUDGETS), (SPARED, (10,)))
"""Trained means that spend the evaluation they save, beside their solvers at equal evaluations."""
BLOCKS: Blocks = (
    *FIRST,
    *EQUAL,
    (CORE, (20, 8)),
    (RIVALS, (10,)),
    (OURS[8:], (4, 6)),
    (CORE, (28, 50)),
    (OURS, (10,)),
    ((*RIVALS, *OURS), (8,)),
    ((*RIVALS, *OURS), (20, 28, 50)),
)
"""All of it, in the order of its importance."""


def plan(trained: bool, blocks: Blocks) -> list[tuple[Way, float, int]]:
    """Cells of blocks, each ways with numbers of evaluations, in their order; none twice."""
    cells: dict[tuple[str, float, int], tuple[Way, float, int]] = {}
    for ways, budgets in blocks:
        for budget in budgets:
            for guidance in GUIDANCES:
                for way in ways:
                    if is_drawn(way, guidance, trained):
                        cells.setdefault((way.name, guidance, budget), (way, guidance, budget))
    return list(cells.values())


def is_drawn(way: Way, guidance: float, trained: bool) -> bool:
    """Whether a way is another than the plain one at this weight, and can be had."""
    if guidance == 1 and (way.guide == "scaled" or way.mean.endswith("unguided")):
        return False
    return trained or not (way.mean.startswith("trained") or way.spread == "trained")

"""Which cells of the flow demonstrator are drawn: blocks of ways and numbers of evaluations, in the order of their importance."""

from collections.abc import Sequence

from docs.experiments.flow.ways import CORE, OURS, RIVALS, SPARED, WAYS, Way

Blocks = tuple[tuple[Sequence[Way], tuple[int, ...]], ...]
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

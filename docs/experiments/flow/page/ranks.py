"""What the directions of the spread and the mean around which it is made bring in latents, from the committed cells."""

from docs.experiments.flow.page.results import MAIN, Change, Results, changes
from docs.experiments.flow.page.tables import listed, table

SOLVERS = ("UniPC matched", "Euler matched", "Euler corrected, network mean")
RANKS = (1, 16, 64)
UNGUIDED = {
    "UniPC matched, unguided mean, statistics, rank 64": "UniPC matched, statistics, rank 64",
    "Euler corrected, unguided mean, statistics, rank 64": "Euler corrected, network mean, statistics, rank 64",
}
"""Matched around the network's output for the prompt alone, and the same around its guided one."""


def way_of(solver: str, rank: int) -> str:
    """The way with the spread of all latents along so many directions."""
    return f"{solver}, statistics, rank {rank}"


def ranks_text(results: Results) -> str:
    """Each solver along 1, 16 and 64 directions; no text unless all of them were drawn."""
    drawn = [
        (guidance, budget)
        for guidance in (1.0, 3.0)
        for budget in results.budgets(guidance)
        if all((way_of(solver, rank), guidance, budget) in results.cells for solver in SOLVERS for rank in RANKS)
    ]
    if not drawn:
        return ""
    rows = [
        [f"{guidance:g}, {budget}, {solver}", *(_cell(results, way_of(solver, rank), guidance, budget) for rank in RANKS)]
        for guidance, budget in drawn
        for solver in SOLVERS
    ]  # fmt: skip
    head = ["guidance, evaluations, way", *(f"rank {rank}" for rank in RANKS)]
    return (
        f"**Ranks.** {_share(results, *drawn[0])} In each cell the distance in {MAIN[0]} and the spread ratios of open prompts:\n\n{table(head, rows)}\n\n"
        "*Intervals of differences between ranks were not measured; those beside the solver without it are under “Every change”.*"
    )


def _cell(results: Results, way: str, guidance: float, budget: int) -> str:
    ratios = results.of_prompts(way, guidance, budget, "open", "ratio") or []
    return f"{results.value(way, guidance, budget, MAIN[0]):.1f}; {min(ratios):.2f} to {max(ratios):.2f}"


def _share(results: Results, guidance: float, budget: int) -> str:
    """Which part of what 64 directions gain the first one gains, with the better solver."""
    rows = [_change(results, way_of(SOLVERS[0], rank), guidance, budget) for rank in RANKS]
    gains = [row.before - row.after for row in rows]
    return (
        f"At {budget} evaluations, guidance {guidance:g}, {rows[0].plain} alone is at {rows[0].before:.0f} in {MAIN[0]}, and matched along {listed([str(rank) for rank in RANKS])} directions of all latents at "
        f"{listed([f'{row.after:.0f} ({row.verdict})' for row in rows])}. The first direction alone gains {gains[0] / gains[-1]:.0%} of what {RANKS[-1]} gain, {RANKS[1]} gain {gains[1] / gains[-1]:.0%}."
    )


def unguided_text(results: Results) -> str:
    """Guided ways around the mean without guidance beside those around the guided mean; no text unless some were drawn."""
    rows = []
    for way, guided in UNGUIDED.items():
        for (name, guidance, budget), _ in results.cells.items():
            if name == way and (guided, guidance, budget) in results.cells:
                changed = [_change(results, one, guidance, budget, metric) for metric in MAIN for one in (guided, way)]
                rows.append([f"{guidance:g}, {budget}, {changed[0].plain}", *map(_told, changed)])
    if not rows:
        return ""
    head = [
        "guidance, evaluations, without it",
        *(f"{metric}, around the {kind} mean" for metric in MAIN for kind in ("guided", "unguided")),
    ]
    return (
        "**Which mean under guidance.** A guided mean overshoots, in latents too. Around the network's output for the prompt alone, with later steps guided as before, "
        f"the pictures end nearer to the data:\n\n{table(head, rows)}\n\n*Distance without it → with it, its interval and verdict.*"
    )


def _told(one: Change) -> str:
    return f"{one.before:.1f} → {one.after:.1f} ±{one.half:.1f}, {one.verdict}"


def _change(results: Results, way: str, guidance: float, budget: int, metric: str = MAIN[0]) -> Change:
    """What a way changes beside its plain solver, in one cell."""
    return changes(results.only_at(guidance, budget), [way], [metric])[0]

"""Words and tables of cells for the flow page, from the committed results."""

from collections.abc import Callable, Sequence
from typing import Any

from docs.experiments.flow.page.results import (
    DEFAULT,
    EULERS,
    MAIN,
    METRICS,
    NETWORK,
    SAME_GRID,
    Change,
    Results,
    Win,
    border,
    changes,
    wins,
)
from docs.experiments.flow.page.targets import Target, single, targets
from docs.experiments.flow.ways import CORE, OURS, RIVALS, WAYS


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; all columns but the first to the right."""
    ruler = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ruler, *rows))


def folded(title: str, text: str) -> str:
    """Behind a line to click."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def all_cells(of: str, cells: Callable[[float], str]) -> str:
    """Every cell of a model or data set, a table for each weight of guidance, folded."""
    return "\n\n".join(folded(f"All cells of {of}, guidance {guidance:g}", cells(guidance)) for guidance in (1.0, 3.0))


def listed(words: Sequence[str]) -> str:
    """With commas and an “and”."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


# --- the first paragraph ----------------------------------------------------------------------------------------------


def first_paragraph(results: Results) -> str:
    """What the first step buys, and where it buys nothing."""
    return " ".join([_buys(results), _vanishes(results, 1.0), _guided(results), _grid(results)])


def _buys(results: Results) -> str:
    best = max(min(results.of_prompts(way, 1.0, 4, "open", "ratio") or [0.0]) for way in (*EULERS, "UniPC"))
    ours = results.of_prompts(SAME_GRID, 1.0, 4, "open", "ratio") or []
    mine, rival = (results.best(results.drawn(1.0, 4, who), 1.0, 4, MAIN[0]) for who in (True, False))
    assert mine and rival
    return (
        f"Where a prompt leaves the brightness open, 4 evaluations without guidance keep at most {best:.2f} of the data's spread by Euler or UniPC in the worst of {len(ours)} prompts, and "
        f"{min(ours):.2f} to {max(ours):.2f} with the first step matched on the same grid. The Fréchet distance in {MAIN[0]} is {mine.value:.1f} for "
        f"the best of ours and {rival.value:.1f} for the best rival ({rival.way}{_TELEPORT if 'teleported' in rival.way else ''})."
    )


_TELEPORT = ": the exact solution for Gaussian data takes the network's place from t = 1 to there"
"""What is behind the name of that rival."""


def _vanishes(results: Results, guidance: float) -> str:
    places, late = [], []
    for metric in MAIN:
        rows = [one for one in changes(results, [SAME_GRID], [metric]) if one.guidance == guidance]
        places.append(f"{_until(rows)} in {metric}")
        late += [one for one in rows if one.budget >= 20]
    within = sum(one.verdict == "undecided" for one in late)
    return (
        f"**With many steps the gain vanishes**: beside UniPC on the same grid, guidance {guidance:g}, the gain is beyond the interval {listed(places)}. "
        f"With 20 evaluations and more {within} of {len(late)} differences are within their intervals. {_equal(results)}"
    )


def _equal(results: Results) -> str:
    """The default at equal evaluations."""
    rows = changes(results, [DEFAULT], METRICS)
    counts = {word: sum(one.verdict == word for one in rows) for word in ("better", "worse")}
    four = {one.guidance: one for one in rows if one.budget == 4 and one.metric == MAIN[1]}
    content = listed([f"{four[w].before:.1f} to {four[w].after:.1f} at guidance {w:g}" for w in sorted(four)])
    return (
        f"There the trained mean needs the network once less than UniPC. **At as many evaluations**, with one more step, it is better than UniPC beyond the interval in {counts['better']} and worse in "
        f"{counts['worse'] or 'none'} of {len(rows)} cells ({content}, {MAIN[1]}, 4 evaluations)."
    )


def _until(rows: Sequence[Change]) -> str:
    sure = sorted(one.budget for one in rows if one.verdict == "better")
    if not sure:
        return "nowhere"
    return (
        f"{f'up to {sure[-1]}' if border(rows) == sure[-1] else f'with {listed([str(n) for n in sure])}'} evaluations"
    )


def _guided(results: Results) -> str:
    network = [one for one in changes(results, [NETWORK], MAIN) if one.guidance == 3]
    trained = [one for one in changes(results, [SAME_GRID], MAIN) if one.guidance == 3]
    sure = [one for one in network if one.verdict == "better"]
    four = next(one for one in network if one.budget == 4 and one.metric == MAIN[0])
    own = next(one for one in trained if one.budget == 4 and one.metric == MAIN[0])
    return (
        f"**Guidance makes it vanish too, around the network's own mean**, which guidance overshoots. At guidance 3 matching around it is better beyond the interval in {len(sure)} of {len(network)} cells "
        f"({four.before:.1f} without, {four.after:.1f} with it at 4 in {MAIN[0]}). "
        f"Around a trained mean it gains there ({own.before:.1f} to {own.after:.1f}), beyond the interval {_until([one for one in trained if one.metric == MAIN[1]])} in {MAIN[1]}{_elsewhere(results)}."
    )


def _elsewhere(results: Results) -> str:
    """Where the trained mean, asking the network once less, is worse than its plain solver, in any features."""
    worse = [one for one in changes(results, [SAME_GRID], METRICS) if one.verdict == "worse"]
    cells = [
        f"at guidance {one.guidance:g} and {one.budget} evaluations in {one.metric} ({one.before:.1f} to {one.after:.1f}{_mended(results, one)})"
        for one in worse
    ]
    return f". With the evaluation saved it is worse beyond the interval {listed(cells)}" if cells else ""


def _mended(results: Results, one: Change) -> str:
    """What the default reaches where its own grid with an evaluation less was worse."""
    value = results.value(DEFAULT, one.guidance, one.budget, one.metric)
    return "" if value is None else f", and {value:.1f} with it spent on one more step"


def _grid(results: Results) -> str:
    plain = {way: results.value(way, 1.0, 4, MAIN[1]) for way in ("UniPC", "UniPC, shift 1")}
    both = single(results)
    mine = [f"{way} ({results.value(way, 1.0, 4, MAIN[1]):.1f})" for way in both]
    ahead = (
        f"{listed(mine)} alone {'has' if len(mine) == 1 else 'have'} no rival ahead at 4 and 6 in either metric"
        if mine
        else "Each way of ours has a rival ahead at 4 or 6 in one of the metrics"
    )
    return (
        f"The grid counts as much as the first step: in {MAIN[1]}, where detail counts, UniPC at 4 reaches {plain['UniPC']:.1f} at shift 3 and "
        f"{plain['UniPC, shift 1']:.1f} at shift 1. {ahead}."
    )


# --- targets, wins, cells ---------------------------------------------------------------------------------------------


def targets_table(results: Results, second: Results, small: dict[str, Any], more: Sequence[Target] = ()) -> str:
    """Target, what was measured, verdict; `more` are those of other sizes."""
    every = [*targets(results, second, small), *more]
    rows = [[one.statement, one.outcome, f"**{one.verdict}**"] for one in every]
    return f"{table(['target', 'measured', 'verdict'], rows)}\n\n*Targets that compare unlike numbers of evaluations are judged by the distances alone: intervals of those differences were not measured.*"


def wins_text(results: Results) -> str:
    """Every cell where a rival is ahead: of the best of ours, and of the default."""
    best, default = wins(results), wins(results, DEFAULT)
    cells = len(results.pairs) * len(METRICS)
    head = f"Of {cells} cells (guidance, evaluations, metric) a rival is ahead of the best of ours in {len({_cell(one) for one in best})}, "
    head += f"beyond the interval in {len({_cell(one) for one in best if one.sure})}; ahead of the default ({DEFAULT}) in {len({_cell(one) for one in default})}, "
    head += f"beyond it in {len({_cell(one) for one in default if one.sure})}."
    parts = [head, _wins_table(best, "the best of ours")]
    parts.append(folded("Every rival ahead of the default", _wins_table(default, "the default")))
    return "\n\n".join(parts)


def _cell(one: Win) -> tuple[float, int, str]:
    return one.guidance, one.budget, one.metric


def _wins_table(rows: Sequence[Win], who: str) -> str:
    body = [
        [
            f"{one.guidance:g}, {one.budget}",
            one.metric,
            f"{one.rival.way} {one.rival.value:.2f}",
            f"{one.mine.way} {one.mine.value:.2f}",
            f"{one.mine.value - one.rival.value:.2f} ± {one.half:.2f}",
            "yes" if one.sure else "no",
        ]
        for one in rows
    ]
    return table(["guidance, evaluations", "metric", "rival", who, "difference", "beyond the interval"], body)


def cells_tables(results: Results) -> str:
    """Distances of all ways."""
    parts = []
    for guidance in (1.0, 3.0):
        for metric in METRICS:
            parts.append(
                folded(f"Fréchet distance, {metric}, guidance {guidance:g}", _cells_table(results, guidance, metric))
            )
    return "\n\n".join(parts)


def _cells_table(results: Results, guidance: float, metric: str) -> str:
    budgets, order = results.budgets(guidance), [way.name for way in (*CORE, *RIVALS, *OURS)]
    body = []
    for way in order:
        values = [results.value(way, guidance, n, metric) for n in budgets]
        if any(value is not None for value in values):
            name = f"**{way}**" if WAYS[way].matched else way
            body.append([name, *("" if value is None else f"{value:.2f}" for value in values)])
    return table(["way", *map(str, budgets)], body)


def brightness_tables(results: Results) -> str:
    """Open and fixed prompts, adherence and high frequencies."""
    ways = (
        *EULERS,
        "UniPC",
        NETWORK,
        DEFAULT,
        "Euler matched, trained mean",
        "Euler corrected, trained mean",
        "teleported to 0.95",
    )
    parts = []
    for guidance in (1.0, 3.0):
        body = []
        for budget in results.budgets(guidance):
            for way in ways:
                cell = results.cells.get((way, guidance, budget))
                if cell is not None:
                    body.append([f"{budget}, {way}", *_brightness(results, way, guidance, budget)])
        head = [
            "evaluations, way",
            "spread ratios",
            "± at most",
            "W₁, levels",
            "largest bias",
            "± at most",
            "object",
            "high frequencies",
        ]
        parts.append(folded(f"Brightness and adherence, guidance {guidance:g}", table(head, body)))
    return "\n\n".join(parts)


def _brightness(results: Results, way: str, guidance: float, budget: int) -> list[str]:
    def of(kind: str, name: str) -> list[float]:
        return [one or 0.0 for one in results.of_prompts(way, guidance, budget, kind, name) or []]

    cell = results.cells[way, guidance, budget]
    return [
        " ".join(f"{one:.2f}" for one in of("open", "ratio")),
        f"{results.z * max(of('open', 'ratio error')):.2f}",
        " ".join(f"{one:.0f}" for one in of("open", "w1")),
        f"{max(of('fixed', 'bias'), key=abs):+.1f}",
        f"{results.z * max(of('fixed', 'bias error')):.1f}",
        f"{cell['adherence']['object']:.2f}",
        f"{cell['high frequencies']:.2f}",
    ]


# --- guidance rivals --------------------------------------------------------------------------------------------------


def matched_text(results: Results) -> str:
    """CFG-Zero*'s scale beside plain guidance of the same effective weight."""
    body = []
    for (way, guidance, budget), cell in sorted(results.cells.items(), key=lambda one: (one[0][2], one[0][0])):
        if WAYS[way].guide != "scaled" or guidance == 1:
            continue
        weight = cell.get("effective guidance")
        plain = None if weight is None else results.cells.get(("Euler, shift 3", round(weight, 2), budget))
        distances = [
            f"{cell[metric]:.2f} / {'–' if plain is None else format(plain[metric], '.2f')}" for metric in MAIN
        ]
        body.append([f"{way}, {budget}", "" if weight is None else f"{weight:.3f}", *distances])
    head = ["way, evaluations", "effective weight", *(f"{metric}: it / plain at that weight" for metric in MAIN)]
    return table(head, body)

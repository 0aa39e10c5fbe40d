"""Better, worse or undecided: what the committed cells say of ways of ours beside rivals from the same noise, and in which cells a rival wins."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from docs.experiments.flow.keep import ours
from docs.experiments.flow.page.results import MAIN, Results
from docs.experiments.flow.page.tables import folded, table

WORDS = ("better", "worse", "undecided")
LOW, HIGH = 0.85, 1.15
"""Within which a spread ratio of brightness counts as kept."""


class Verdict(NamedTuple):
    """One way of ours beside one rival in one cell.

    Attributes:
        mine: way of ours.
        rival: the other.
        guidance: w.
        budget: number of evaluations.
        metric: distance.
        value: of ours.
        other: of the rival.
        half: half the interval of the difference.
    """

    mine: str
    rival: str
    guidance: float
    budget: int
    metric: str
    value: float
    other: float
    half: float

    @property
    def word(self) -> str:
        """One of `WORDS`: beyond the interval or not."""
        apart = self.value - self.other
        return "undecided" if abs(apart) <= self.half else "worse" if apart > 0 else "better"


def verdicts(
    results: Results, mine: Iterable[str], rivals: Sequence[str], metrics: Sequence[str] = MAIN
) -> list[Verdict]:
    """The changes in all cells in which both were drawn from the same noise."""
    rows = []
    for way in mine:
        for guidance, budget in sorted(results.pairs):
            for rival in rivals:
                for metric in metrics:
                    half = results.half(way, rival, guidance, budget, metric)
                    values = [results.value(one, guidance, budget, metric) for one in (way, rival)]
                    if half is not None and values[0] is not None and values[1] is not None:
                        rows.append(Verdict(way, rival, guidance, budget, metric, values[0], values[1], half))
    return rows


def differences(results: Results, metrics: Sequence[str] = MAIN) -> list[Verdict]:
    """Every way of ours beside every rival, in all that were drawn from the same noise."""
    ways = dict.fromkeys(way for way, _, _ in results.cells)
    mine = [way for way in ways if ours(way)]
    return verdicts(results, mine, [way for way in ways if way not in mine], metrics)


def best_verdicts(results: Results, metrics: Sequence[str] = MAIN) -> list[Verdict]:
    """The best of ours beside the best rival of each cell."""
    rows = []
    for guidance, budget in sorted(results.pairs):
        for metric in metrics:
            best = [
                results.best(results.drawn(guidance, budget, own), guidance, budget, metric) for own in (True, False)
            ]
            if best[0] and best[1]:
                rows += verdicts(results.only_at(guidance, budget), [best[0].way], [best[1].way], [metric])
    return rows


def counted(rows: Sequence[Verdict]) -> str:
    """How many of each word, “of n”."""
    counts = [f"{sum(row.word == word for row in rows)} {word}" for word in WORDS]
    return f"{', '.join(counts)} of {len(rows)}"


def best_table(rows: Sequence[Verdict]) -> str:
    """One row a cell and metric."""
    body = [
        [
            f"{row.guidance:g}, {row.budget}",
            row.metric,
            f"{row.mine} {row.value:.2f}",
            f"{row.rival} {row.other:.2f}",
            f"{row.value - row.other:+.2f} ± {row.half:.2f}",
            f"**{row.word}**",
        ]
        for row in rows
    ]
    head = ["guidance, evaluations", "distance", "best of ours", "best rival", "difference", "verdict"]
    return table(head, body)


def lost_table(rows: Sequence[Verdict]) -> str:
    """The cells where a rival wins beyond the interval, or a line that there is none."""
    body = [
        [
            f"{row.guidance:g}, {row.budget}",
            row.metric,
            f"{row.rival} {row.other:.2f}",
            f"{row.mine} {row.value:.2f}",
            f"{row.value - row.other:.2f} ± {row.half:.2f}",
        ]
        for row in rows
        if row.word == "worse"
    ]
    if not body:
        return "None."
    return table(["guidance, evaluations", "distance", "rival", "ours", "difference"], body)


def best_text(results: Results) -> str:
    """The best of ours beside the best rival of each cell: counts, where a rival wins, and all of them, folded."""
    rows = best_verdicts(results)
    every = folded("The best of ours beside the best rival, every cell", best_table(rows))
    return f"**The best of ours beside the best rival of each cell**: {counted(rows)}. Where a rival wins beyond the interval:\n\n{lost_table(rows)}\n\n{every}"


def agreement(first: Sequence[Verdict], second: Sequence[Verdict]) -> tuple[int, int, int]:
    """Counts of the cells of both runs: decided in either, decided alike in both, and decided against each other."""
    other = {row[:5]: row.word for row in second}
    pairs = [(row.word, other[row[:5]]) for row in first if row[:5] in other]
    either = sum(set(words) != {"undecided"} for words in pairs)
    both = sum(a == b != "undecided" for a, b in pairs)
    opposite = sum({a, b} == {"better", "worse"} for a, b in pairs)
    return either, both, opposite


def agreement_text(first: Sequence[Verdict], second: Sequence[Verdict], seed: int) -> str:
    """In words."""
    either, both, opposite = agreement(first, second)
    return (
        f"A second run with another seed of samples ({seed}): of {either} differences that are beyond the interval in one of the two runs {both} are so in both, "
        f"and {opposite} have opposite signs."
    )


def best_again_text(first: Results, second: Results, metrics: Sequence[str] = MAIN) -> str:
    """In how many cells and distances the best of ours beside the best rival has the same verdict in both runs, over the cells that both drew."""
    keys = [key for key in first.cells if key in second.cells]
    words = [{row[2:5]: row.word for row in best_verdicts(run.only(keys), metrics)} for run in (first, second)]
    pairs = [(word, words[1][cell]) for cell, word in words[0].items() if cell in words[1]]
    same = sum(a == b for a, b in pairs)
    return f"The best of ours beside the best rival, from the {len(keys)} cells that both drew, has the same verdict in {same} of {len(pairs)}."


def inside_table(results: Results, ways: Iterable[str], what: str) -> str:
    """How often each way keeps the spread of brightness of `what`, one row a way, one column a weight of guidance."""
    weights, body = sorted({guidance for guidance, _ in results.pairs}), []
    for way in ways:
        counts = [inside(results, way, guidance) for guidance in weights]
        if any(count.of for count in counts):
            body.append([way, *(f"{count.number} of {count.of}" if count.of else "–" for count in counts)])
    content = table(["way", *(f"guidance {guidance:g}" for guidance in weights)], body)
    return f"**Brightness.** How many spread ratios of {what} are within {LOW} and {HIGH}, over all numbers of evaluations that were drawn:\n\n{content}"


class Inside(NamedTuple):
    """How many spread ratios of open prompts lie within `LOW` and `HIGH`, of how many."""

    number: int
    of: int


def inside(results: Results, way: str, guidance: float) -> Inside:
    """Over all numbers of evaluations at which a way was drawn."""
    ratios = [
        ratio
        for (name, weight, budget) in results.cells
        if (name, weight) == (way, guidance)
        for ratio in results.of_prompts(way, guidance, budget, "open", "ratio") or []
    ]
    return Inside(sum(LOW <= ratio <= HIGH for ratio in ratios), len(ratios))

"""What Fashion-MNIST shows on the page of flows: data that nothing was chosen on, beside what the cosine law says of them."""

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

import torch

from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.keep import ours
from docs.experiments.flow.page.results import MAIN, Results, border, changes, is_plain, plain_of
from docs.experiments.flow.page.runs import run_line
from docs.experiments.flow.page.tables import all_cells, folded, listed, table
from docs.experiments.flow.page.verdicts import (
    Verdict,
    agreement_text,
    best_table,
    best_verdicts,
    counted,
    inside_table,
    lost_table,
    verdicts,
)
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.flow.ways import WAYS
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

FASHION = FOLDER / "fashion"
"""The folder of the results, as `keep` lays them down."""
NETWORK, CLOSED = "UniPC matched, network mean", "UniPC matched, trained mean"
FIRST, _MOST = 16, 200
_METRICS = ("64 components", "256 components", "the classifier")
_SHOWN = (1, 2, 4, 8, 16)

_TEXT = """Nothing was chosen on these data: 60,000 grey pictures of ten classes, whose names are the captions. Network, {steps:,} steps of {batch}, solvers, shifts, the rule of guidance and the defaults are those of the emoji. In the place of a trained
average image stands the closed form of ten classes (C9): “trained mean” is a class's mean here, and the spread {rank} principal components with each class's own deviations. {captions:,} samples of class names drawn from the data and
{each} of each class, the same noise for all.

{predicted}

{kept}

*Standard deviation along principal components over the data's; empty prompt, {without:,} samples. Distances of as many of the data's own pictures: {floor}.*

{classes}

{gains}

{best}

**Where a rival wins.** {wins}

{brightness}

{lists}

{again}

The classifier tells the ten classes apart in {accuracy:.1%} of the pictures that were held out. The network was trained in {seconds:.0f} s; its weights, 15 MB, are not kept, and the command trains them again.

{runs}"""


def read(part: str = "") -> Results:
    """The results of the first run, or of the `second`."""
    return Results.read(FASHION / part)


def section(results: Results, second: Results, emoji: Results) -> str:
    """The part of the page."""
    content = results.content
    best = best_verdicts(results)
    return _TEXT.format(
        steps=content["train"]["steps"],
        batch=content["train"]["batch"],
        rank=_rank(),
        captions=content["amounts"]["captions"],
        each=content["amounts"]["each prompt"],
        without=content["amounts"]["no prompt"],
        floor=listed([f"{content['floor'][metric]:.1f} in {metric}" for metric in _METRICS]),
        predicted=predicted_text(results, emoji),
        kept=_kept_table(results),
        classes=classes_text(results),
        gains=_gains(results),
        best=best_table(best),
        wins=_wins(results, best),
        brightness=inside_table(results, (*_plain(results), NETWORK, CLOSED), "classes"),
        lists=all_cells("Fashion-MNIST", partial(_cells, results)),
        again=agreement_text(_all(results), _all(second), second.content["seed"]),
        accuracy=content["classifier"]["accuracy"]["object"],
        seconds=content["train"]["seconds"],
        runs="\n".join(run_line(one.content) for one in (results, second)),
    )


def _rank() -> int:
    from docs.experiments.flow.fashion import RANK

    return RANK


# --- the law ----------------------------------------------------------------------------------------------------------


def kept_by_law(results: Results, steps: int, shift: float = 3.0) -> float:
    """What Euler's steps keep along the first component."""
    lam = torch.tensor(results.content["prediction"]["eigenvalues"][:1], dtype=torch.float64)
    return float(spread_kept(RectifiedFlow(), shifted_grid(steps, shift), lam))


def predicted_border(results: Results, emoji: Results, last: int, shift: float = 3.0) -> int:
    """The most of Euler's steps here that keep no more of the first component than so many keep on emoji."""
    there = kept_by_law(emoji, last, shift)
    return max((n for n in range(1, _MOST) if kept_by_law(results, n, shift) <= there), default=0)


def predicted_text(results: Results, emoji: Results) -> str:
    """What the law says beforehand: how much less there is to gain, and where the gain ends."""
    lam, large = (one.content["prediction"]["eigenvalues"][0] for one in (results, emoji))
    rows = [row for row in changes(emoji, [CLOSED], MAIN[:1]) if row.guidance == 1]
    last = border(rows)
    here = [row for row in changes(results, [CLOSED], MAIN[:1]) if row.guidance == 1]
    said, seen = predicted_border(results, emoji, last), border(here)
    drawn = sorted({row.budget for row in here})
    measured = f"the gain is beyond the interval up to {seen} evaluations" if seen else "no gain is beyond the interval"
    last_said = max((n for n in drawn if n <= said), default=0)
    own = border([row for row in changes(results, [NETWORK], MAIN[:1]) if row.guidance == 1])
    besides = (
        f"Around the network's own mean there is a gain up to {own}"
        if own
        else "Nor is there one around the network's own mean"
    )
    return (
        f"**Predicted.** The largest eigenvalue is {lam:.0f}, on emoji {large:.0f}: Euler's 4 steps at shift 3 keep {kept_by_law(results, 4):.2f} along it by the law, and {kept_by_law(emoji, 4):.2f} on emoji, so less is to be gained. "
        f"On emoji the gain over UniPC at guidance 1, around the trained mean, is beyond the interval in {MAIN[0]} up to {last} evaluations. There Euler keeps {kept_by_law(emoji, last):.2f}, and here more than that from {said + 1} steps on. "
        f"**Measured** likewise, with {listed([str(n) for n in drawn])} evaluations: {measured}, {'as predicted' if seen == last_said else 'not as predicted'}. {besides}, {'as predicted' if own == last_said else 'which was not predicted'}.\n\n{_first_component(results)}"
    )


def _first_component(results: Results) -> str:
    """How the law fares along the widest component, and why."""
    content = []
    for steps in (6, 20):
        network, exact = (row_of(results, part, steps, 3.0) for part in ("network", "exact"))
        assert network is not None and exact is not None
        law = network["law"][0]
        content.append(
            f"{network['network'][0] / law - 1:+.0%} with {steps} steps (the exact denoiser {exact['exact'][0] / law - 1:+.0%})"
        )
    off = {steps: median(far(results, steps, 3.0, "network", "law")) for steps in (6, 20)}
    return (
        f"Without a prompt the network at shift 3 is within {off[6]:.0%} of the law in the median of {FIRST} components with 6 steps, and within {off[20]:.0%} with 20. Along the first it keeps more than the law: {listed(content)}. Ten classes of "
        "unlike brightness are no Gaussian."
    )


def row_of(results: Results, part: str, steps: int, shift: float) -> dict[str, Any] | None:
    """A row of the prediction; None where it was not measured."""
    rows = results.content["prediction"][part]
    return next((row for row in rows if (row["steps"], row["shift"]) == (steps, shift)), None)


def far(results: Results, steps: int, shift: float, first: str, second: str) -> list[float]:
    """Sizes of the relative differences along the first components of two of `network`, `law` and `exact`."""
    content: dict[str, Any] = {}
    for part in ("network", "exact"):
        content |= row_of(results, part, steps, shift) or {}
    return [abs(a / b - 1) for a, b in zip(content[first][:FIRST], content[second][:FIRST], strict=True)]


def _kept_table(results: Results) -> str:
    body, places = [], [results.content["prediction"]["components"].index(k) for k in _SHOWN]
    for row in sorted(results.content["prediction"]["exact"], key=lambda one: (one["shift"], one["steps"])):
        steps, shift = row["steps"], row["shift"]
        network = row_of(results, "network", steps, shift)
        assert network is not None
        cells = [f"{network['law'][k]:.2f} / {row['exact'][k]:.2f} / {network['network'][k]:.2f}" for k in places]
        away = [f"{median(far(results, steps, shift, *pair)):.0%}" for pair in (("network", "law"), ("exact", "law"))]
        body.append([f"{shift:g}, {steps}", *cells, *away])
    head = ["shift, steps", *(f"component {k}: law / exact / network" for k in _SHOWN)]
    return table([*head, f"network − law, median of {FIRST}", "exact − law"], body)


def classes_text(results: Results) -> str:
    """The brightness of each class beside the law of its own covariance."""
    body, apart = [], {"Euler": [], "matched": []}
    names = {"Euler": "Euler, shift {:g}", "matched": "Euler matched, network mean"}
    for row in sorted(results.content["expected"], key=lambda one: (one["prompt"], one["shift"], one["steps"])):
        cells = [row["prompt"], f"{row['shift']:g}, {row['steps']}"]
        for kind, name in names.items():
            way = (
                name.format(row["shift"])
                if kind == "Euler"
                else name
                if row["shift"] == 3
                else f"Euler matched, shift {row['shift']:g}"
            )
            cell = results.cells.get((way, 1.0, row["steps"]))
            ratio = None if cell is None else cell["prompts"][row["prompt"]]["ratio"]
            cells += [f"{row[kind]:.2f}", "" if ratio is None else f"{ratio:.2f}"]
            if ratio is not None:
                apart[kind].append(abs(ratio / row[kind] - 1))
        body.append(cells)
    head = ["class", "shift, steps", "Euler: law", "measured", "first step matched: law", "measured"]
    content = folded("Spread ratio of brightness, class by class, guidance 1, beside the law", table(head, body))
    sizes = {kind: f"{median(off):.0%} in the median and {max(off):.0%} at most" for kind, off in apart.items()}
    return (
        "**Class by class.** Before anything was drawn the run wrote down what Euler's steps keep of the spread of each class's brightness, from the class's own covariance. "
        f"The ratios measured at guidance 1 differ from it by {sizes['Euler']}, over {len(apart['Euler'])} cells of class, shift and steps. With the first step matched they differ by {sizes['matched']}, over {len(apart['matched'])}.\n\n{content}"
    )


# --- verdicts ---------------------------------------------------------------------------------------------------------


def _mine(results: Results) -> list[str]:
    """Ways of ours, in the order in which they were drawn."""
    return list(dict.fromkeys(way for way, _, _ in results.cells if ours(way)))


def _plain(results: Results) -> list[str]:
    return list(dict.fromkeys(way for way, _, _ in results.cells if way in WAYS and is_plain(WAYS[way])))


def _all(results: Results) -> list[Verdict]:
    return verdicts(results, _mine(results), _plain(results), _METRICS)


def _gains(results: Results) -> str:
    body = []
    for way in _mine(results):
        cells = []
        for guidance in (1.0, 3.0):
            for metric in MAIN:
                rows = [row for row in changes(results, [way], [metric]) if row.guidance == guidance]
                cells.append(
                    " ".join(f"{row.gain:+.0%}{_MARK[row.verdict]}" for row in sorted(rows, key=lambda one: one.budget))
                    or "–"
                )
        body.append([way, plain_of(way) or "–", *cells])
    head = ["way", "beside", *(f"guidance {guidance:g}, {metric}" for guidance in (1, 3) for metric in MAIN)]
    counts = "; ".join(
        f"{way}: {counted(verdicts(results, [way], [plain_of(way) or '']))}" for way in (NETWORK, CLOSED)
    )
    budgets = listed([str(n) for n in results.budgets(1.0)])
    return f"**Beside the same solver without it.** {counts}.\n\n{table(head, body)}\n\n*Share of the distance that is saved, at {budgets} evaluations as far as they were drawn; ✓ better, ✗ worse beyond the interval, no mark undecided.*"


_MARK = {"better": " ✓", "worse": " ✗", "undecided": ""}


def _wins(results: Results, best: Sequence[Verdict]) -> str:
    rows = [row for row in _all(results) if row.metric in MAIN]
    own = [row for way in _mine(results) for row in verdicts(results, [way], [plain_of(way) or ""])]
    lost = sum(row.word == "worse" for row in rows)
    each = folded(
        f"The {lost} of {len(rows):,} differences in which a plain solver, on any grid, is ahead of a way of ours",
        lost_table(rows),
    )
    return f"The best of ours of a cell beside the best rival: {counted(best)}. Ahead of the best of ours beyond the interval:\n\n{lost_table(best)}\n\nA way of ours beside its own solver on its own grid: {counted(own)}; worse in these cells:\n\n{lost_table(own)}\n\n{each}"


def _cells(results: Results, guidance: float) -> str:
    body = []
    for budget in results.budgets(guidance):
        for (way, weight, number), cell in results.cells.items():
            if (weight, number) == (guidance, budget):
                prompts = list(cell["prompts"].values())
                body.append(
                    [
                        f"{budget}, {f'**{way}**' if ours(way) else way}",
                        *(f"{cell[metric]:.1f}" for metric in _METRICS),
                        " ".join(f"{one['ratio']:.2f}" for one in prompts),
                        f"{results.z * max(one['ratio error'] or 0.0 for one in prompts):.2f}",
                        " ".join(f"{one['w1']:.0f}" for one in prompts),
                        f"{cell['adherence']['object']:.2f}",
                    ]
                )
    names = ", ".join(results.kinds("open"))
    head = ["evaluations, way", *_METRICS, "spread ratios", "± at most", "W₁, levels", "class right"]
    return f"{table(head, body)}\n\n*Classes in the order {names}.*"

"""What the ε demonstrator shows on the page of flows: DDIM with corrected steps beside DDIM, DPM++ and UniPC, all from the matched start."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.epsilon.draw import nodes
from docs.experiments.flow.epsilon.measure import ALL
from docs.experiments.flow.epsilon.ways import CORRECTED, MATCHED, SPACINGS, SPARED, TO_THE_END, WAYS, Way
from docs.experiments.flow.page.results import MAIN, Results
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
from docs.experiments.model.draw import plain_sampler
from singtheory import formula

EPSILON = FOLDER / "epsilon"
"""The folder of the results, as `keep` lays them down."""
OURS = (*CORRECTED, *SPARED, *TO_THE_END)
_SHOWN = (1, 2, 16, 64)
"""Principal components whose share is told."""
_METRICS = ("64 components", "256 components", "the classifier")

_TEXT = """The package's first demonstrator predicts ε. All ways here, except those named after noise or the mean, begin at the matched start of its trained average image (C7). A corrected step divides the deviation of DDIM's result from
α_s m by `cos(θ_s − θ_t)` (F1), along the trained directions with the prompt's own deviations, or along every direction of all pictures. The rivals are diffusers' own schedulers. Where no timesteps are named, each takes its own default: DDIM's are leading, and their last
step but one already reaches timestep 1 of 1,000, where σ is 0.04; those of DPM++ and UniPC are evenly spaced from timestep 999, nearly the trailing ones.

{amounts}

{law}

{verdict}

{plain}

*The number of cells (guidance, steps, {metrics}) in which a corrected way is better, worse or undecided beside a sampler from the same start, both with their default timesteps or both with trailing ones.*

{best}

**Where a rival wins.** {wins}

{brightness}

{lists}

{again}

{runs}"""


def read(part: str = "") -> Results:
    """The results of the first run, or of the `second`."""
    return Results.read(EPSILON / part)


def section(results: Results, second: Results, emoji: Results) -> str:
    """The part of the page; the flow's results have the eigenvalues of the same pictures."""
    best = best_verdicts(results)
    return _TEXT.format(
        amounts=_amounts(results, second),
        law=law_text(emoji),
        verdict=_verdict(results, best),
        plain=_plain_table(results),
        metrics=listed(MAIN),
        best=best_table(best),
        wins=_wins(results, best),
        brightness=inside_table(results, [way.name for way in (*MATCHED, *CORRECTED)], "open prompts"),
        lists=all_cells("the ε demonstrator", partial(_cells, results)),
        again=agreement_text(_all(results), _all(second), second.content["seed"]),
        runs="\n".join(run_line(one.content) for one in (results, second)),
    )


def _amounts(results: Results, second: Results) -> str:
    """How much was drawn, how well it can tell, and what is missing."""
    content, amounts = results.content, results.content["amounts"]
    counts = [
        sum(len(ways) * len(steps) * len(weights) for ways, steps, weights in ALL),
        len(results.cells),
        len(second.cells),
    ]
    steps = sorted({(weight, budget) for _, weight, budget in results.cells})
    shown = listed([f"{budget} steps at guidance {weight:g}" for weight, budget in steps])
    floors = listed([f"{content['floor'][metric]:.1f} in {metric}" for metric in MAIN])
    return (
        f"**How much was drawn.** {amounts['captions']:,} samples of captions and {amounts['each prompt']} of each of {len(content['kinds'])} prompts a cell, the same noise for all ways, the network in {content['network']}, on one {content['device']}. Drawn are {shown}: "
        f"{counts[1]} cells of {counts[0]}, and {counts[2]} with a second seed. Even as many of the data's own pictures, drawn at random, are {floors} away from all of them, because they are so few. The verdicts are on differences of ways from the same noise."
    )


def cosines(name: str, steps: int, eigenvalues: Sequence[float]) -> torch.Tensor:
    """What each of DDIM's steps keeps along each eigenvalue (F1), shape (steps, k)."""
    lam = torch.tensor(eigenvalues, dtype=torch.float64)
    places = pairwise(nodes(plain_sampler(name, steps)))
    return torch.stack([formula.step_kept(*begin, *end, lam, torch) for begin, end in places])


def law_text(emoji: Results) -> str:
    """What DDIM keeps from a start that has all, and what of it the steps that are not corrected leave."""
    lam = [emoji.content["prediction"]["eigenvalues"][k - 1] for k in _SHOWN]
    body = []
    for name in ("DDIM", "DDIM trailing"):
        for steps in (5, 10, 20):
            kept = cosines(name, steps, lam)
            every, last = kept.prod(dim=0).tolist(), kept[-1].tolist()
            body.append([f"{name}, {steps}", *(f"{a:.2f} / {b:.2f}" for a, b in zip(every, last, strict=True))])
    head = ["timesteps, steps", *(f"component {k}, λ = {value:.3g}" for k, value in zip(_SHOWN, lam, strict=True))]
    few = cosines("DDIM", 5, lam).prod(dim=0)
    return (
        f"**Predicted.** After a matched start DDIM's steps themselves lose little of brightness. By F1 5 leading steps keep {float(few[0]):.2f} along the first component and {float(few[-1]):.2f} along component {_SHOWN[-1]}. Correcting can give back no more "
        f"than the rest, and along these four components most along the {_SHOWN[int(few.argmin())]}th.\n\n{table(head, body)}\n\n*The share of the standard deviation that DDIM keeps by the law / that is kept if every step but the last is corrected.*"
    )


def twin(way: Way, solver: str) -> str:
    """A sampler from the matched start, with its default timesteps or trailing ones as the way has."""
    return Way(f"{solver}{SPACINGS[way.sampler.endswith(SPACINGS[1])]}").name


def _all(results: Results) -> list[Verdict]:
    """Every way of ours beside every sampler from the matched start."""
    return verdicts(results, [way.name for way in OURS], [way.name for way in MATCHED], _METRICS)


def beside(results: Results, way: Way, solver: str) -> list[Verdict]:
    """One way of ours beside one sampler."""
    return verdicts(results, [way.name], [twin(way, solver)])


def _verdict(results: Results, best: Sequence[Verdict]) -> str:
    rows = [row for way in CORRECTED for row in beside(results, way, "DDIM")]
    return (
        f"**Beside DDIM itself** on the same timesteps, all steps but the last corrected: {counted(rows)} cells. **The best corrected way of a cell beside the best rival of it**, "
        f"whatever its solver, timesteps and start: {counted(best)}."
    )


def _plain_table(results: Results) -> str:
    body = []
    for way in OURS:
        rows = [beside(results, way, solver) for solver in ("DDIM", "DPM++", "UniPC")]
        if rows[0]:
            body.append([way.name, *(counted(one) if one else "–" for one in rows)])
    return table(["way", "beside DDIM", "beside DPM++", "beside UniPC"], body)


def _wins(results: Results, best: Sequence[Verdict]) -> str:
    rows = _all(results)
    lost = sum(row.word == "worse" for row in rows)
    each = folded(
        f"The {lost} of {len(rows):,} differences in which a sampler from the matched start is ahead of a corrected way",
        lost_table(rows),
    )
    return f"Ahead of the best corrected way of its cell beyond the interval:\n\n{lost_table(best)}\n\n{each}"


def _cells(results: Results, guidance: float) -> str:
    body = []
    for budget in results.budgets(guidance):
        for name, way in WAYS.items():
            cell = results.cells.get((name, guidance, budget))
            if cell is not None:
                shown = f"**{name}**" if way.corrected else name
                body.append(
                    [f"{budget}, {shown}", *(f"{cell[metric]:.1f}" for metric in _METRICS), *_prompts(results, cell)]
                )
    head = ["steps, way", *_METRICS, "spread ratios", "± at most", "W₁, levels", "biases, levels", "± at most"]
    return table(head, body)


def _prompts(results: Results, cell: dict[str, Any]) -> list[str]:
    """Brightness in open prompts, and in those that fix it."""
    free, fixed = ([cell["prompts"][prompt] for prompt in results.kinds(kind)] for kind in ("open", "fixed"))
    return [
        " ".join(f"{one['ratio']:.2f}" for one in free),
        _widest(results, [one.get("ratio error") for one in free], 2),
        " ".join(f"{one['w1']:.0f}" for one in free),
        " ".join(f"{one['bias']:+.1f}" for one in fixed),
        _widest(results, [one.get("bias error") for one in fixed], 1),
    ]


def _widest(results: Results, errors: Sequence[float | None], digits: int) -> str:
    """The widest half interval; a dash where the run was stopped before it wrote the samples' influences."""
    known = [error for error in errors if error is not None]
    return f"{results.z * max(known):.{digits}f}" if known else "–"

"""What 64×64 shows on the page of flows: what F6 says from 32×32 alone beside what was measured, and where the gain ends."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.page.results import MAIN, METRICS, Results, border, changes
from docs.experiments.flow.page.runs import run_line
from docs.experiments.flow.page.tables import folded, listed, table
from docs.experiments.flow.page.targets import Target
from docs.experiments.flow.page.verdicts import agreement_text, best_text, differences
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.script.result import present
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

RESOLUTION = FOLDER / "resolution"
"""The folder of the results at 64×64, as `flow_keep` lays them down."""
MATCHED = ("UniPC matched, network mean", "UniPC matched, trained mean")
_AREA = 4
"""Pixels at 64×64 over those at 32×32."""
_MOST = 200

_TEXT = """F6: at {area} times as many pixels the variance along brightness is {area} times as large, and a shift of 2s does at 64×64 what a shift of s does at 32×32. Before anything was drawn at 64×64 the run
wrote down what Euler's steps will keep there, from the eigenvalues at 32×32 alone. Measured since: the first three eigenvalues are {grown} times as large, those of components 16 to 64 {finer} times, for finer pictures have sharper edges.
Against the network at 32×32 with half the shift the network at 64×64 keeps {apart} as much of brightness, where F6 says 100%.

| shift, steps | F6 from 32×32 | the law at 64×64 | exact denoiser | network | exact, 32×32 at half the shift | network, 32×32 at half the shift |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{kept}

*Standard deviation along the first component, brightness, over the data's; empty prompt, {without:,} samples. Along the first 16 components at shift 3 the network is within {far} of the law at 6, 10 and 50 steps, in the median. From F6 the law at 64×64 is {off} away at most.*

{border}

{best}

{changes}

{cells}

{again}

The network is the same U-Net on patches of 2×2 pixels, {steps:,} steps of {batch} in {seconds:.0f} s. It reads the demonstrator's own text encoder, and the trained mean and spread are the demonstrator's of 32×32, read at twice the side. The classifier is the demonstrator's too, and sees these pictures at half their size. `{command}`, seed {seed}, on one {device};
{versions}. Its weights, 15 MB, are not kept; that command trains them again. The second run drew from the same weights:

{second}"""


def read(folder: Path = RESOLUTION) -> Results:
    """The results at 64×64."""
    return Results.read(folder)


def read_second() -> Results:
    """The run with another seed of samples."""
    return read(RESOLUTION / "second")


def kept_first(results: Results, part: str) -> dict[tuple[int, float], float]:
    """What is kept along the first component in a part of the prediction, by steps and shift."""
    name = "exact" if part == "exact" else part if part == "law" else "network"
    rows = results.content["prediction"]["exact" if part == "exact" else "network"]
    return {(row["steps"], row["shift"]): row[name][0] for row in rows}


def said(results: Results) -> dict[tuple[int, float], float]:
    """What the run at 64×64 wrote down before it drew."""
    return {(row["steps"], row["shift"]): row["kept"][0] for row in results.content["expected"]}


def section(large: Results, small: Results, second: Results) -> str:
    """The part of the page; `second` is a run with another seed of samples."""
    content, train = large.content, large.content["train"]
    ratios = [
        a / b for a, b in zip(*(f.content["prediction"]["eigenvalues"][:64] for f in (large, small)), strict=True)
    ]
    law, before = kept_first(large, "law"), said(large)
    return _TEXT.format(
        area=_AREA,
        grown=listed([f"{one:.1f}" for one in ratios[:3]]),
        finer=f"{min(ratios[15:]):.1f} to {max(ratios[15:]):.1f}",
        apart=_apart(large, small),
        kept=_kept_rows(large, small),
        without=content["amounts"]["no prompt"],
        far=_far(large),
        off=f"{max(abs(before[key] / law[key] - 1) for key in before):.0%}",
        border=border_text(large, small),
        best=best_text(large),
        changes=_changes_table(large, small),
        cells=_cells(large),
        again=again_text(large, small, second),
        second=run_line(second.content),
        steps=train["steps"],
        batch=train["batch"],
        seconds=train["seconds"],
        command=present(content["command"]),
        seed=content["seed"],
        device=content["device"],
        versions=", ".join(f"{name} {version}" for name, version in content["versions"].items()),
    )


def halves(large: Results, small: Results) -> list[float]:
    """The network at 64×64 over that at 32×32 with half the shift, along brightness, wherever both were drawn."""
    here, there = kept_first(large, "network"), kept_first(small, "network")
    return [kept / there[steps, shift / 2] for (steps, shift), kept in here.items() if (steps, shift / 2) in there]


def _apart(large: Results, small: Results) -> str:
    ratios = halves(large, small)
    return f"{min(ratios):.0%} to {max(ratios):.0%}"


def _kept_rows(large: Results, small: Results) -> str:
    columns = (said(large), *(kept_first(large, part) for part in ("law", "exact", "network")))
    halved = [kept_first(small, part) for part in ("exact", "network")]
    rows = []
    for steps, shift in sorted(columns[0], key=lambda one: (one[1], one[0])):
        cells = [f"{one[steps, shift]:.3f}" for one in columns]
        cells += [f"{one[steps, shift / 2]:.3f}" if (steps, shift / 2) in one else "" for one in halved]
        rows.append(f"| {shift:g}, {steps} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _far(results: Results) -> str:
    def median(row: dict[str, Any]) -> float:
        return sorted(abs(a / b - 1) for a, b in zip(row["network"][:16], row["law"][:16], strict=True))[8]

    rows = {row["steps"]: row for row in results.content["prediction"]["network"] if row["shift"] == 3}
    return listed([f"{median(rows[steps]):.0%}" for steps in (6, 10, 50)])


# --- where the gain ends ----------------------------------------------------------------------------------------------


def predicted_border(small: Results, steps: int, shift: float = 3.0) -> int:
    """At how many of Euler's steps as much of brightness is kept at 64×64 as by so many at 32×32, by F6 and F1."""
    lam = torch.tensor(small.content["prediction"]["eigenvalues"][:1], dtype=torch.float64)
    flow = RectifiedFlow()
    there = float(spread_kept(flow, shifted_grid(steps, shift), lam))
    more = (n for n in range(steps, _MOST) if float(spread_kept(flow, shifted_grid(n, shift), _AREA * lam)) >= there)
    return next(more, _MOST)


def _borders(results: Results, guidance: float, way: str) -> dict[str, int]:
    rows = [row for row in changes(results, [way]) if row.guidance == guidance]
    return {metric: border([row for row in rows if row.metric == metric]) for metric in MAIN}


def border_text(large: Results, small: Results) -> str:
    """Where the gain ends at both sizes, and where F6 says that it ends."""
    one = border_of(large, small)
    drawn = [budget for budget in large.budgets(1.0) if MATCHED[1] in large.drawn(1.0, budget, True)]
    guided = [_borders(results, 3.0, MATCHED[0])[MAIN[0]] for results in (small, large)]
    return (
        f"At guidance 1 the gain around the trained mean ends at {one.before} evaluations at 32×32, in 64 components beyond the interval. By F6 and the law that is where "
        f"Euler keeps as much of brightness as with {one.said} at 64×64. Measured there the gain is beyond the interval up to {one.now} evaluations; drawn were {listed([str(n) for n in drawn])}. At guidance 3 the "
        f"network's own mean gains in {'no cell' if guided[0] == 0 else f'up to {guided[0]} evaluations'} at 32×32, and at 64×64 up to {guided[1]}, in {MAIN[0]} too."
    )


class Border(NamedTuple):
    """Where the gain ends in larger pictures or latents, without guidance.

    Attributes:
        before: at 32×32, in evaluations.
        said: where it was said beforehand to end in the larger ones.
        now: where it ends there.
        drawn: the numbers of evaluations there.
    """

    before: int
    said: int
    now: int
    drawn: list[int]

    @property
    def expected(self) -> int:
        """The last of those that were drawn up to what is said; 0 for none."""
        return max((n for n in self.drawn if n <= self.said), default=0)

    @property
    def agrees(self) -> bool:
        """Whether the gain is beyond the interval at all that were drawn up to what is said, and no further."""
        return self.now == self.expected

    @property
    def outcome(self) -> str:
        """What was measured, for the table of targets."""
        drawn = listed([str(n) for n in self.drawn])
        return f"predicted {self.said}, from {self.before} at 32×32; the gain is beyond the interval up to {self.now}, of {drawn} that were drawn"

    @property
    def again(self) -> str:
        """What a second run says, after the first."""
        return f"; with another seed of samples up to {self.now}, of {listed([str(n) for n in self.drawn])}"


def border_of(large: Results, small: Results) -> Border:
    """Where the gain around the trained mean ends, in the first of `MAIN`."""
    before, now = (_borders(results, 1.0, MATCHED[1])[MAIN[0]] for results in (small, large))
    return Border(before, predicted_border(small, before), now, large.budgets(1.0))


def target(large: Results, small: Results, second: Results) -> Target:
    """F6's border, for the table of targets; met where both runs agree with it."""
    one, other = (border_of(run, small) for run in (large, second))
    return Target(
        f"F6 says beforehand where the gain of the first step ends at 64×64 (guidance 1, {MAIN[0]})",
        one.outcome + other.again,
        one.agrees and other.agrees,
    )


def first_sentence(large: Results, small: Results) -> str:
    """For the first paragraph of the page."""
    one = border_of(large, small)
    return (
        f"**Resolution moves the border up to which there is a gain{' as F6 says' if one.agrees else ', but not as F6 says'}**: at 64×64 the gain at guidance 1 in {MAIN[0]} is beyond the interval up to {one.now} evaluations, of {listed([str(n) for n in one.drawn])} that were drawn. "
        f"At 32×32 it is so up to {one.before} evaluations, and from these F6 predicts {one.said} at 64×64. There the network's own mean gains at guidance 3 too, up to {_borders(large, 3.0, MATCHED[0])[MAIN[0]]}."
    )


def again_text(large: Results, small: Results, second: Results) -> str:
    """What a second run says of the same differences, and of the border."""
    one, other = border_of(large, small), border_of(second, small)
    drawn = listed([str(n) for n in other.drawn])
    return (
        f"{agreement_text(differences(large, METRICS[:3]), differences(second, METRICS[:3]), second.content['seed'])} In the {len(second.cells)} cells of that run the gain at "
        f"guidance 1 in {MAIN[0]} is beyond the interval up to {other.now} evaluations, of {drawn} that were drawn; in the first run up to {one.now}."
    )


def _changes_table(large: Results, small: Results) -> str:
    rows = []
    for row in changes(large, MATCHED):
        other = next((one for one in changes(small, [row.mine], [row.metric]) if (one.guidance, one.budget) == (row.guidance, row.budget)), None)  # fmt: skip
        at_32 = "" if other is None else f"{other.before:.1f} → {other.after:.1f}, {other.verdict}"
        rows.append([f"{row.guidance:g}, {row.budget}", row.mine, row.metric, f"{row.before:.1f} → {row.after:.1f} ±{row.half:.1f}, {row.verdict}", at_32])  # fmt: skip
    head = ["guidance, evaluations", "way", "distance", "64×64: UniPC → matched", "32×32"]
    return folded("UniPC without and with the first step matched, at both sizes, shift 3", table(head, rows))


def _cells(results: Results) -> str:
    parts = []
    for guidance in (1.0, 3.0):
        rows = []
        for budget in results.budgets(guidance):
            for (way, weight, number), cell in results.cells.items():
                if (weight, number) == (guidance, budget):
                    ratios = " ".join(f"{cell['prompts'][one]['ratio']:.2f}" for one in results.kinds("open"))
                    rows.append([f"{budget}, {way}", *(f"{cell[metric]:.1f}" for metric in MAIN), ratios])
        head = ["evaluations, way", *MAIN, "spread ratios, open prompts"]
        parts.append(folded(f"All cells at 64×64, guidance {guidance:g}", table(head, rows)))
    return "\n\n".join(parts)

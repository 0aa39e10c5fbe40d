"""What the flow demonstrator was to reach, with verdicts from its committed results."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from docs.experiments.flow.page.results import (
    DEFAULT,
    EULERS,
    MAIN,
    METRICS,
    NETWORK,
    SAME_GRID,
    Change,
    Results,
    changes,
    plain_of,
    wins,
)
from docs.experiments.flow.ways import WAYS

LOW, HIGH = 0.85, 1.15
WITHIN, FIRST = 0.15, 16
"""Target of the prediction: its largest relative error, and for how many components."""
GAINS = {4: 0.08, 6: 0.03}
"""Least share of the distance in the classifier's features that is to be saved, by evaluations."""


class Target(NamedTuple):
    """One of them.

    Attributes:
        statement: what was to be reached.
        outcome: what was measured.
        met: whether; None where it could not be decided.
    """

    statement: str
    outcome: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return "not decided" if self.met is None else "met" if self.met else "not met"


def targets(results: Results, second: Results, small: dict[str, Any]) -> list[Target]:
    """All of them; `second` is a run with another seed."""
    return [
        *of_samples(results),
        prediction(results),
        zero_init(results),
        processor(small),
        again(results, second),
    ]


def of_samples(results: Results) -> list[Target]:
    """The targets that samples decide, and so their seed."""
    return [
        spread(results),
        bias(results),
        fewer(results),
        guided(results),
        same_solver(results),
        never_worse(results, MAIN[1:], "in the classifier's features"),
        never_worse(results, [one for one in METRICS if one not in MAIN[1:]], "in the other features"),
        beats_all(results),
    ]


def in_common(first: Results, second: Results) -> tuple[Results, Results]:
    """Two runs without the cells that only one of them drew."""
    keys = [key for key in first.cells if key in second.cells]
    return first.only(keys), second.only(keys)


def reversals(first: Results, second: Results) -> tuple[int, int, int]:
    """Differences between ours and a rival beyond their interval in a run: all, so in both, and of opposite signs in the two."""
    either = both = opposite = 0
    for (guidance, budget), pair in first.pairs.items():
        for metric in METRICS:
            for mine, rival in itertools.product(pair["ours"], pair["rivals"]):
                signs = [_sign(run, mine, rival, guidance, budget, metric) for run in (first, second)]
                either += any(signs)
                both += all(signs)
                opposite += signs[0] * signs[1] < 0
    return either, both, opposite


def _sign(results: Results, mine: str, rival: str, guidance: float, budget: int, metric: str) -> int:
    """−1 where ours is nearer, 1 where the rival is, 0 within the interval or where it is not known."""
    values = [results.value(way, guidance, budget, metric) for way in (mine, rival)]
    half = results.half(mine, rival, guidance, budget, metric)
    if half is None or values[0] is None or values[1] is None or abs(values[0] - values[1]) <= half:
        return 0
    return -1 if values[0] < values[1] else 1


def again(results: Results, second: Results) -> Target:
    """The verdicts above that samples decide, from the cells that both runs drew."""
    runs = in_common(results, second)
    pairs = list(zip(*(of_samples(run) for run in runs), strict=True))
    apart = [first for first, other in pairs if first.verdict != other.verdict]
    either, both, opposite = reversals(*runs)
    outcome = f"seed {second.content['seed']}, {len(runs[0].cells)} cells of both runs: {len(pairs) - len(apart)} of {len(pairs)} verdicts are the same"
    outcome += "".join(f"; not so: {one.statement}" for one in apart)
    outcome += f"; of {either} differences between ours and a rival beyond their interval in a run {both} are so in both, and {opposite} have opposite signs"
    return Target("a second run with another seed gives the same verdicts", outcome, not apart and not opposite)


def spread(results: Results) -> Target:
    """The target for the spread of brightness, in open prompts."""
    ratios = {n: results.of_prompts(DEFAULT, 1.0, n, "open", "ratio") or [] for n in results.budgets(1.0)}
    every = [one for values in ratios.values() for one in values]
    eulers = []
    for budget in (4, 10):
        rows = {way: results.of_prompts(way, 1.0, budget, "open", "ratio") or [] for way in EULERS}
        way, values = max(rows.items(), key=lambda one: min(one[1], default=0))
        eulers.append(f"{min(values):.2f} to {max(values):.2f} at {budget} ({way})")
    outcome = f"{min(every):.2f} to {max(every):.2f} over {len(every)} cells; Euler with its better shift {' and '.join(eulers)}"
    statement = f"open prompts, guidance 1: spread ratio in [{LOW}, {HIGH}] from 4 evaluations on"
    return Target(statement, outcome, all(LOW <= one <= HIGH for one in every))


def bias(results: Results) -> Target:
    """In fixed prompts, of ours less that of Euler."""
    worst = {}
    for guidance in (1.0, 3.0):
        for budget in results.budgets(guidance):
            mine = results.of_prompts(DEFAULT, guidance, budget, "fixed", "bias") or []
            for k, one in enumerate(mine):
                rows = [results.of_prompts(way, guidance, budget, "fixed", "bias") for way in EULERS]
                if any(rows):
                    worst[guidance, budget, k] = abs(one) - min(abs(row[k]) for row in rows if row)
    (guidance, budget, _), most = max(worst.items(), key=lambda one: one[1])
    outcome = f"at most {most:+.1f} levels beside Euler's best shift of each cell (guidance {guidance:g}, {budget} evaluations)"
    return Target("fixed prompts: bias at most 1 level more than Euler's", outcome, most <= 1)


def fewer(results: Results) -> Target:
    """Steps, without guidance."""
    metric = MAIN[0]
    mine = results.best(results.drawn(1.0, 6, True), 1.0, 6, metric)
    most = max(n for way, w, n in results.cells if way in EULERS and w == 1)
    euler = results.best(EULERS, 1.0, most, metric)
    assert mine and euler
    outcome = f"{mine.value:.1f} ({mine.way}); Euler with {most} {euler.value:.1f} ({euler.way})"
    better = mine.value <= euler.value
    if most < 50:
        outcome += f"; Euler with 50 was not drawn, beside {most} it is {'so' if better else 'not so'}"
    statement = f"Fréchet in {metric}, guidance 1: 6 of ours at or below 50 of Euler's with its best shift"
    return Target(statement, outcome, better if most >= 50 else None)


def guided(results: Results) -> Target:
    """Steps, at guidance 3."""
    metric = MAIN[0]
    mine = results.best(results.drawn(3.0, 6, True), 3.0, 6, metric)
    rival = results.best(results.drawn(3.0, 10, False), 3.0, 10, metric)
    assert mine and rival
    outcome = f"{mine.value:.2f} ({mine.way}); the best rival with 10 {rival.value:.2f} ({rival.way})"
    statement = "the same at guidance 3: 6 of ours below 10 of every rival's that was drawn"
    return Target(statement, outcome, mine.value < rival.value)


def same_solver(results: Results) -> Target:
    """In the classifier's features, beside the same solver on the same grid."""
    ways = [way for way in results.drawn(1.0, 4, True) if WAYS[way].spread == "trained" and WAYS[way].corrected == "no"]
    rows = [one for one in changes(results, ways, MAIN[1:]) if one.guidance == 1 and one.budget in GAINS]
    held = _gains(rows)
    ok = {plain: _enough(gains) for plain, gains in held.items()}
    outcome = "; ".join(
        f"{plain} {', '.join(f'{gains[n]:.0%} at {n}' for n in GAINS if n in gains)}" for plain, gains in held.items()
    )
    same = _gains([one for one in rows if not WAYS[one.mine].spare])
    outcome = f"holds for {sum(ok.values())} of {len(ok)} solvers and grids: {outcome}"
    outcome += f". On the solver's own grid, so where the evaluation that a trained mean saves is not spent, for {sum(map(_enough, same.values()))}"
    short = [plain for plain, gains in same.items() if not _enough(gains)]
    outcome += f". {_detail(results, short)}" if short else ""
    statement = "in the classifier's features, guidance 1: at least 8 % better than the same solver at as many evaluations, at 4, and 3 % at 6"
    return Target(statement, outcome, all(ok.values()))


def _gains(rows: Sequence[Change]) -> dict[str, dict[int, float]]:
    """The largest share of the distance that is saved, by plain solver and evaluations."""
    held: dict[str, dict[int, float]] = {}
    for one in rows:
        if one.plain:
            gains = held.setdefault(one.plain, {})
            gains[one.budget] = max(one.gain, gains.get(one.budget, -1.0))
    return held


def _enough(gains: dict[int, float]) -> bool:
    return all(gains.get(n, -1) >= GAINS[n] for n in GAINS)


def _detail(results: Results, ways: Sequence[str]) -> str:
    """What the solvers lack for which the first step alone is not enough: high frequencies, which more steps bring."""
    cells = [results.cells[way, 1.0, 4] for way in ways]
    least, most = (pick(cell["high frequencies"] for cell in cells) for pick in (min, max))
    return f"These features see detail: at 4 evaluations the others reach {least:.2f} to {most:.2f} of the data's high frequencies, which a step more brings and the first step does not"


def never_worse(results: Results, metrics: Sequence[str], where: str) -> Target:
    """The default beside its plain solver, in all cells."""
    rows = changes(results, [DEFAULT], metrics)
    worse = [one for one in rows if one.verdict == "worse"]
    outcome = f"of {len(rows)} cells beside {plain_of(DEFAULT)} {sum(r.verdict == 'better' for r in rows)} better, {len(worse)} worse"
    for one in worse:
        outcome += f"; worse at guidance {one.guidance:g}, {one.budget} evaluations ({one.metric}, {one.before:.1f} to {one.after:.1f})"
    held = [sum(one.verdict == "worse" for one in changes(results, [way], metrics)) for way in (SAME_GRID, NETWORK)]
    outcome += f". Where the network is asked at t = 1 all the same, as by a pipeline of diffusers, {held[0]} worse around the trained mean, {held[1]} around the network's own"
    return Target(f"the default is never worse by more than the interval, {where}", outcome, not worse)


def beats_all(results: Results) -> Target:
    """At few evaluations, without guidance."""
    outcomes, met = [], True
    for budget in (4, 6):
        for metric in MAIN:
            mine = results.best(results.drawn(1.0, budget, True), 1.0, budget, metric)
            rival = results.best(results.drawn(1.0, budget, False), 1.0, budget, metric)
            assert mine and rival
            half = results.half(mine.way, rival.way, 1.0, budget, metric) or 0.0
            met &= rival.value - mine.value > half
            outcomes.append(
                f"{metric} at {budget}: {mine.value:.1f} ({mine.way}) beside {rival.value:.1f} ({rival.way}), ±{half:.1f}"
            )
    return Target("better than every rival at 4 and 6, guidance 1, in both metrics", "; ".join(outcomes), met)


def single(results: Results) -> list[str]:
    """Ways of ours that no rival is ahead of at 4 and 6 evaluations, guidance 1, in both metrics."""
    both = [way for way in results.drawn(1.0, 4, True) if (way, 1.0, 6) in results.cells]
    return [
        way
        for way in both
        if not [one for one in wins(results, way, MAIN) if one.guidance == 1 and one.budget in (4, 6)]
    ]


def apart(results: Results, steps: int, shift: float, first: str, second: str) -> list[float]:
    """Relative differences along the first components of two of `network`, `law`, `exact`."""
    measured = results.content["prediction"]
    rows: dict[str, list[float]] = {}
    for part in ("network", "exact"):
        row = next(one for one in measured[part] if (one["steps"], one["shift"]) == (steps, shift))
        rows |= {name: row[name] for name in ("network", "law", "exact") if name in row}
    return [a / b - 1 for a, b in zip(rows[first][:FIRST], rows[second][:FIRST], strict=True)]


def off_slopes(results: Results, steps: int) -> list[float]:
    """Relative differences of the network along the first components from what the law gives with the network's own slopes, at shift 3."""
    row = next(one for one in results.content["slopes"] if one["steps"] == steps)
    network = next(
        one for one in results.content["prediction"]["network"] if (one["steps"], one["shift"]) == (steps, 3.0)
    )
    return [a / b - 1 for a, b in zip(network["network"][:FIRST], row["kept"][:FIRST], strict=True)]


def prediction(results: Results) -> Target:
    """The cosine law beside the network, and what the network's own slopes and the data's law make of the rest."""
    steps = sorted({one["steps"] for one in results.content["prediction"]["network"] if one["shift"] == 3})
    far = {n: max(map(abs, apart(results, n, 3.0, "network", "law"))) for n in steps if 6 <= n <= 50}
    many = max(map(abs, apart(results, max(steps), 3.0, "network", "exact")))
    outcome = ", ".join(f"{far[n]:.0%} at {n}" for n in far)
    outcome = (
        f"the farthest of {FIRST} is off by {outcome}; the network's own error, at {max(steps)} steps, is {many:.0%}"
    )
    first, both = apart(results, 6, 3.0, "network", "law")[0], explained(results, 6)
    outcome += (
        f". The reason, at 6: along brightness the network is off by {first:+.0%} from the law, and by {off_slopes(results, 6)[0]:+.0%} from the law with its own slopes; "
        f"with these and what the exact denoiser shows of the data, which are no Gaussian, the farthest of {FIRST} is off by {max(map(abs, both)):.0%}"
    )
    statement = (
        f"the law within {WITHIN:.0%} of the network for the first {FIRST} components at shift 3 and 6 steps or more"
    )
    return Target(statement, outcome, all(one <= WITHIN for one in far.values()))


def explained(results: Results, steps: int) -> list[float]:
    """What is left of the network's departure, at shift 3, when the law has the network's slopes and the exact denoiser's departure."""
    exact = apart(results, steps, 3.0, "exact", "law")
    return [(1 + off) / (1 + data) - 1 for off, data in zip(off_slopes(results, steps), exact, strict=True)]


def is_sure(cell: dict[str, Any]) -> bool:
    """Whether zero-init and the mean start are apart by more than three standard errors."""
    return abs(cell["measured"]) > 3 * cell["measured error"]


def zero_init(results: Results) -> Target:
    """F7's sign, and that of its first term alone."""
    rows = [one for cells in results.content["zero"].values() for one in cells]
    sure = [one for one in rows if is_sure(one)]
    right = [one for one in sure if (one["predicted"] > 0) == (one["measured"] > 0)]
    wrong = [one for one in sure if one not in right]
    farther = sum(one["error2"] > one["mean norm2"] for one in wrong)
    outcome = f"right in {len(right)} of the {len(sure)} cells that are, of {len(rows)} in all"
    if wrong:
        outcome += f"; in {farther} of the other {len(wrong)} the network's mean is farther off than no mean, ‖μ̂ − μ‖ > ‖μ‖, and F7 lets the noise that zero-init leaves decide, which later steps take away"
    return Target(
        "F7 predicts whether zero-init or the mean start is better in every cell beyond three standard errors, and those are at least 10",
        outcome,
        len(right) == len(sure) >= 10,
    )


def processor(small: dict[str, Any]) -> Target:
    """The stage of digits."""
    took = small["processor seconds"]
    outcome = f"{took:.0f} s of one core ({small['device']}), without imports"
    return Target("the stage on a processor, digits as a flow, in under a minute of one core", outcome, took < 60)

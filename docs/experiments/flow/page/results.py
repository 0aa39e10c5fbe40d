"""The committed results of the flow demonstrator, and what can be read from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

from docs.book.result import result
from docs.experiments.flow.committed import FOLDER
from docs.experiments.flow.keep import ours
from docs.experiments.flow.ways import EVERY, Way

METRICS = ("64 components", "256 components", "the classifier", "EfficientNet-Lite0")
MAIN = ("64 components", "the classifier")
"""The two that verdicts are about."""
SAME_GRID = "UniPC matched, trained mean"
"""The way of the product with a trained module, on the grid of its rivals. The network's answer at t = 1 is not needed; a pipeline of diffusers asks for it all the same."""
DEFAULT = "UniPC matched, trained mean, one more step"
"""Matched around a trained mean at as many evaluations as its rivals, where the network is not asked at t = 1: what that saves is spent on one more step."""
NETWORK = "UniPC matched, network mean"
EULERS = ("Euler, shift 1", "Euler, shift 3", "Euler, shift 4")
ERROR = 0.05


_COMMANDS = {"digits": "small --out DIR", "train": "train --data openmoji.npz.xz --out DIR --stages DIR"}
_KEEP = "keep --runs DIR... --data openmoji.npz.xz --out DIR"


def committed(name: str, folder: Path = FOLDER) -> Any:
    """One of the committed results. Raises `docs.book.result.ResultError` where it is missing or damaged."""
    how = _COMMANDS.get(name, _KEEP) if folder == FOLDER else _KEEP
    return result(str(folder / f"{name}.json"), f"python -m docs.experiments.flow.{how}")


class Value(NamedTuple):
    """A way with what it reaches."""

    way: str
    value: float


@dataclass(frozen=True)
class Results:
    """Results.

    Attributes:
        content: `measured.json`.
        cells: by way, guidance and number of evaluations.
        pairs: standard errors of differences, by guidance and number of evaluations.
        z: half the width of an interval in standard errors, with `ERROR` over all differences at once.
    """

    content: dict[str, Any]
    cells: dict[tuple[str, float, int], dict[str, Any]]
    pairs: dict[tuple[float, int], dict[str, Any]]
    z: float

    @classmethod
    def read(cls, folder: Path = FOLDER) -> "Results":
        """From a folder of `keep`."""
        content = committed("measured", folder)
        cells = {(cell["way"], cell["guidance"], cell["budget"]): cell for cell in content["cells"]}
        pairs = committed("pairs", folder)["pairs"]
        results = cls(content, cells, {(one["guidance"], one["budget"]): one for one in pairs}, 0.0)
        return replace(results, z=NormalDist().inv_cdf(1 - ERROR / (2 * max(results.compared, 1))))

    def only(self, cells: Iterable[tuple[str, float, int]]) -> "Results":
        """These cells and the differences between them; intervals stay as wide as they are."""
        kept = {key: self.cells[key] for key in cells}
        places = {key: pair for key, pair in self.pairs.items() if any(cell[1:] == key for cell in kept)}
        return replace(self, cells=kept, pairs=places)

    def only_at(self, guidance: float, budget: int) -> "Results":
        """The cells of one weight and number of evaluations."""
        return self.only(key for key in self.cells if key[1:] == (guidance, budget))

    @property
    def compared(self) -> int:
        """Number of differences that hold at once."""
        tables = [rows for one in self.pairs.values() for rows in one["errors"].values()]
        return sum(error is not None for rows in tables for row in rows for error in row)

    def budgets(self, guidance: float) -> list[int]:
        """Numbers of evaluations at which ours and rivals were drawn."""
        return sorted(budget for weight, budget in self.pairs if weight == guidance)

    def value(self, way: str, guidance: float, budget: int, metric: str) -> float | None:
        """The value of a cell; None where it was not drawn or not judged by this metric."""
        return self.cells.get((way, guidance, budget), {}).get(metric)

    def drawn(self, guidance: float, budget: int, mine: bool) -> list[str]:
        """Ways of ours, or of rivals."""
        return [
            way for way, weight, number in self.cells if (weight, number) == (guidance, budget) and ours(way) == mine
        ]

    def best(self, ways: Iterable[str], guidance: float, budget: int, metric: str) -> Value | None:
        """The least of those that were drawn."""
        values = [(way, self.value(way, guidance, budget, metric)) for way in ways]
        there = [Value(way, value) for way, value in values if value is not None]
        return min(there, key=lambda one: one.value, default=None)

    def half(self, mine: str, rival: str, guidance: float, budget: int, metric: str) -> float | None:
        """Half the interval of the difference of two ways from the same noise; None where it is not known."""
        pair = self.pairs.get((guidance, budget))
        if pair is None or metric not in pair["errors"] or mine not in pair["ours"] or rival not in pair["rivals"]:
            return None
        error = pair["errors"][metric][pair["ours"].index(mine)][pair["rivals"].index(rival)]
        return None if error is None else self.z * error

    def kinds(self, kind: str) -> list[str]:
        """Prompts that are `fixed` or `open`."""
        return [prompt for prompt, one in self.content["kinds"].items() if one == kind]

    def of_prompts(self, way: str, guidance: float, budget: int, kind: str, name: str) -> list[float] | None:
        """A number of each prompt of a kind; None where the cell was not drawn."""
        cell = self.cells.get((way, guidance, budget))
        return None if cell is None else [cell["prompts"][prompt][name] for prompt in self.kinds(kind)]


def plain_of(name: str) -> str | None:
    """The rival that is a way without what is ours: the same solver on the same grid."""
    way = EVERY[name]
    solver = "Heun" if way.solver.startswith("Heun") else way.solver
    for other in EVERY.values():
        if (other.solver, other.grid) == (solver, way.grid) and is_plain(other):
            return other.name
    return None


def is_plain(way: Way) -> bool:
    """Whether a way is a solver on a grid and nothing else."""
    return not way.matched and way.guide == "plain" and not way.zero and way.teleport is None


class Change(NamedTuple):
    """What matching changes in a cell.

    Attributes:
        mine: way of ours.
        plain: the same solver without it.
        guidance: w.
        budget: number of evaluations.
        metric: distance.
        before: distance without.
        after: distance with it.
        half: half the interval of the difference.
    """

    mine: str
    plain: str
    guidance: float
    budget: int
    metric: str
    before: float
    after: float
    half: float

    @property
    def gain(self) -> float:
        """Share of the distance that is saved."""
        return 1 - self.after / self.before

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `undecided`: beyond the interval or not."""
        apart = self.after - self.before
        return "undecided" if abs(apart) <= self.half else "worse" if apart > 0 else "better"


def changes(results: Results, ways: Sequence[str], metrics: Sequence[str] = MAIN) -> list[Change]:
    """All cells in which a way and its plain solver were drawn."""
    rows = []
    for guidance, budget in results.pairs:
        for mine in ways:
            plain = plain_of(mine)
            for metric in metrics:
                half = None if plain is None else results.half(mine, plain, guidance, budget, metric)
                if plain is None or half is None:
                    continue
                before, after = (results.value(way, guidance, budget, metric) for way in (plain, mine))
                if before is None or after is None:
                    continue
                rows.append(Change(mine, plain, guidance, budget, metric, before, after, half))
    return rows


def border(rows: Sequence[Change]) -> int:
    """The largest number of evaluations up to which every one shows a gain beyond its interval; 0 for none."""
    last = 0
    for row in sorted(rows, key=lambda one: one.budget):
        if row.verdict != "better":
            break
        last = row.budget
    return last


class Win(NamedTuple):
    """A rival ahead of one of ours in a cell.

    Attributes:
        rival: with its distance.
        mine: with its distance.
        guidance: w.
        budget: number of evaluations.
        metric: distance.
        half: half the interval of the difference.
    """

    rival: Value
    mine: Value
    guidance: float
    budget: int
    metric: str
    half: float

    @property
    def sure(self) -> bool:
        """Whether it is beyond the interval."""
        return self.mine.value - self.rival.value > self.half


def wins(results: Results, mine: str | None = None, metrics: Sequence[str] = METRICS) -> list[Win]:
    """Every rival ahead of a way of ours, or of the best of ours in that cell if None."""
    ahead = []
    for guidance, budget in results.pairs:
        for metric in metrics:
            ways = results.drawn(guidance, budget, True) if mine is None else [mine]
            best = results.best(ways, guidance, budget, metric)
            for rival in results.drawn(guidance, budget, False) if best else []:
                value = results.value(rival, guidance, budget, metric)
                half = results.half(best.way, rival, guidance, budget, metric) if best else None
                if best and value is not None and value < best.value and half is not None:
                    ahead.append(Win(Value(rival, value), best, guidance, budget, metric, half))
    return ahead

"""`python -m docs.experiments.ladder.summary --data openmoji.npz.xz --out FILE.json`: intervals, distances and verdicts from what was drawn.

From docs/experiments/results/ladder/openmoji.json and .npz, and those in second/ of a second run, with the brightness of the data's own pictures:

    bias       mean of the brightness less the data's, with an interval that holds for all cells at once, whatever their law
    ratio      standard deviation over the data's
    w1         Wasserstein distance of the brightness to the data's
    verdicts   of what is asked of the starts, each with its numbers
    rerun      cells that the second run drew again: how far they are apart, and which verdicts come out otherwise

The intervals of means are betting intervals (`singtheory.estimate`). Whether one start is worse than another is judged by paired bootstrap
of their difference in W₁, normal, with the error split over all comparisons.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from scipy.stats import norm
from torch import Tensor

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.ladder.cells import GUIDANCES, Cell, Cells
from docs.experiments.metric.distances import cured, wasserstein
from docs.experiments.script.arguments import add_data, add_out_file, command, one_line_errors
from docs.experiments.script.result import RESULTS, Result, origin
from singtheory.errors import InputError
from singtheory.estimate import mean_interval

FOLDER = RESULTS / "ladder"
ERROR, CORE_STEPS, _REPEATS = 0.05, 50, 400
FIXED_GUIDANCE, OPEN_GUIDANCE = (1.5, 3.0), (1.0, 1.5, 3.0)
RANGE, CLOSED = (0.85, 1.15), 0.8
"""The spread ratio's range, and the share of the distance in W₁, that are the targets."""


def summary(data: Captioned, cells: Cells, core: dict[str, Any]) -> dict[str, Any]:
    """Rows and verdicts.

    Args:
        data: the demonstrator's pictures.
        cells: of the evaluation.
        core: its part about the prompts.
    """
    truth = {prompt: data.brightness[data.rows(prompt)] for prompt in core["prompts"]}
    confidence = 1 - ERROR / len(cells.rows)
    rows = [
        _row(cell, levels, truth[cell["prompt"]], confidence)
        for cell, levels in zip(cells.rows, cells.brightness, strict=True)
    ]
    kinds = {prompt: cell["kind"] for prompt, cell in core["prompts"].items()}
    for row in rows:
        row["kind"] = kinds[row["prompt"]]
    judged = Verdicts(rows, cells, truth)
    verdicts = judged.all()
    pictures = {
        prompt: core["prompts"][prompt] | {"levels": [round(float(level), 1) for level in _thinned(levels)]}
        for prompt, levels in truth.items()
    }
    counts = {"pictures": len(data), "captions": len(data.captions)}
    return counts | {"error": ERROR, "cells": len(rows), "data": pictures, "rows": rows, "verdicts": verdicts}


def of_core(row: dict[str, Any]) -> bool:
    """Whether a row is of the core: DDIM-50 of the trained model, at one of its weights of guidance."""
    shown = (row["model"], row["sampler"], row["steps"], row["rule"])
    return shown == ("end", "DDIM", CORE_STEPS, "normalised") and row["guidance"] in GUIDANCES


def _thinned(levels: Tensor, count: int = 256) -> Tensor:
    """In order, at most so many, evenly chosen."""
    ordered = levels.sort().values
    return ordered[torch.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().long()]


def _row(cell: dict[str, Any], levels: Tensor, truth: Tensor, confidence: float) -> dict[str, Any]:
    low, high = mean_interval(levels.double(), 0.0, 255.0, confidence)
    std = float(truth.std(correction=0))
    names = ("model", "start", "prompt", "guidance", "sampler", "steps", "rule", "n", "mean", "std")
    return {name: cell[name] for name in names} | {
        "low": low,
        "high": high,
        "bias": cell["mean"] - float(truth.mean()),
        "ratio": cell["std"] / std if std > 0 else None,
        "w1": wasserstein(levels, truth),
        "nearest": cell.get("nearest"),
        "near duplicates": cell.get("near duplicates"),
        "adherence": cell.get("adherence"),
    }


def joined(first: Cells, second: Cells) -> tuple[Cells, Cells]:
    """All cells of the first, with what the second has besides; and the first's again, with what the second drew anew in its place."""
    identity = {_identity(cell): k for k, cell in enumerate(second.rows)}
    more = [k for key, k in identity.items() if key not in set(map(_identity, first.rows))]
    every = Cells(
        [*first.rows, *(second.rows[k] for k in more)], [*first.brightness, *(second.brightness[k] for k in more)]
    )
    pairs = [
        (cell, levels) if (k := identity.get(_identity(cell))) is None else (second.rows[k], second.brightness[k])
        for cell, levels in zip(first.rows, first.brightness, strict=True)
    ]
    return every, Cells([cell for cell, _ in pairs], [levels for _, levels in pairs])


def _identity(cell: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[one.name] for one in fields(Cell))


def rerun(first: Cells, again: Cells, verdicts: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What a rerun changes: cells, and verdicts by name as `same of all`.

    Args:
        first: cells as they were drawn.
        again: the same cells; those drawn anew have other numbers.
        verdicts: of the first.
        other: of the second.
    """
    apart = [abs(one["mean"] - two["mean"]) for one, two in zip(first.rows, again.rows, strict=True) if one is not two]
    same: dict[str, Any] = {}
    for name, keys in {"fixed": ("holds", "holds beside exact"), "open": ("spread holds", "distance holds")}.items():
        pairs = list(zip(verdicts[name], other[name], strict=True))
        for key in keys:
            same[f"{name}: {key}"] = [sum(a[key] == b[key] for a, b in pairs), len(pairs)]
    judged = [
        {(row["start"], row["prompt"], row["guidance"]): (row["low"] > 0, row["high"] < 0) for row in table["rows"]}
        for table in (verdicts["never worse"], other["never worse"])
    ]
    same["never worse"] = [sum(judged[1][key] == value for key, value in judged[0].items()), len(judged[0])]
    return {"cells": len(apart), "largest difference of a mean": max(apart, default=0.0), "same verdicts": same}


class Verdicts:
    """What holds and what does not.

    Args:
        rows: of the summary.
        cells: in the same order.
        truth: brightness of the data by prompt.
    """

    def __init__(self, rows: list[dict[str, Any]], cells: Cells, truth: dict[str, Tensor]) -> None:
        self.rows, self.cells, self.truth = rows, cells, truth

    def all(self) -> dict[str, Any]:
        """By name."""
        return {
            "fixed": self.fixed(),
            "open": self.open(),
            "never worse": self.never_worse(),
            "stages": self.stages(),
        }

    def find(self, start: str, prompt: str, guidance: float, model: str = "end", sampler: str = "DDIM") -> int:
        """The number of a row of the core."""
        wanted = {"start": start, "prompt": prompt, "guidance": guidance, "model": model, "sampler": sampler}
        numbers = self.cells.find(**wanted, steps=CORE_STEPS, rule="normalised")
        if not numbers:
            raise InputError(f"no cell for {wanted}")
        return numbers[0]

    def prompts(self, kind: str) -> list[str]:
        """The prompts of a kind, in order."""
        return list(dict.fromkeys(row["prompt"] for row in self.rows if row["kind"] == kind))

    def fixed(self) -> list[dict[str, Any]]:
        """The bias of the mean start against the noise start's, of the data and of what the exact start gives."""
        table = []
        for guidance in FIXED_GUIDANCE:
            for prompt in self.prompts("fixed"):
                noise, mean, exact = (
                    self.rows[self.find(start, prompt, guidance)]["bias"] for start in ("noise", "mean", "exact")
                )
                table.append(
                    {"prompt": prompt, "guidance": guidance, "noise": noise, "mean": mean, "exact": exact}
                    | {"holds": cured(noise, mean), "holds beside exact": cured(noise - exact, mean - exact)}
                )
        return table

    def open(self) -> list[dict[str, Any]]:
        """The spread that starts keep, and the share of the distance in W₁ that the matched start closes."""
        table = []
        for guidance in OPEN_GUIDANCE:
            for prompt in self.prompts("open"):
                noise, mean, exact = (self.rows[self.find(s, prompt, guidance)] for s in ("noise", "mean", "exact"))
                for start in ("matched", "matched closed"):
                    row = self.rows[self.find(start, prompt, guidance)]
                    gap = mean["w1"] - exact["w1"]
                    share = (mean["w1"] - row["w1"]) / gap
                    table.append(
                        {"prompt": prompt, "guidance": guidance, "start": start}
                        | {f"ratio {name}": one["ratio"] for name, one in (("noise", noise), ("mean", mean))}
                        | {"ratio": row["ratio"], "ratio exact": exact["ratio"]}
                        | {"w1 mean": mean["w1"], "w1": row["w1"], "w1 exact": exact["w1"], "closed": share}
                        | {"spread holds": RANGE[0] <= row["ratio"] <= RANGE[1], "distance holds": share >= CLOSED}
                    )
        return table

    def never_worse(self) -> dict[str, Any]:
        """Differences in W₁ between matched and noise starts, in every cell of the core; the least certain first."""
        pairs = [
            (start, prompt, row["guidance"])
            for row in self.rows
            for start in ("matched", "matched closed")
            if of_core(row) and row["start"] == "noise"
            for prompt in [row["prompt"]]
        ]
        z = float(norm.ppf(1 - ERROR / len(pairs)))
        generator, table = torch.Generator().manual_seed(0), []
        for start, prompt, guidance in pairs:
            one, other = (self.cells.brightness[self.find(s, prompt, guidance)] for s in (start, "noise"))
            truth = self.truth[prompt]
            repeats = []
            for _ in range(_REPEATS):
                again = torch.randint(len(one), (len(one),), generator=generator)
                repeats.append(wasserstein(one[again], truth) - wasserstein(other[again], truth))
            difference, error = wasserstein(one, truth) - wasserstein(other, truth), float(torch.tensor(repeats).std())
            table.append(
                {"start": start, "prompt": prompt, "guidance": guidance, "difference": difference}
                | {"low": difference - z * error, "high": difference + z * error, "w1 noise": wasserstein(other, truth)}
                | {"w1 exact": self.rows[self.find("exact", prompt, guidance)]["w1"]}
            )
        table.sort(key=lambda row: -row["low"])
        worse = [row for row in table if row["low"] > 0]
        better = sum(row["high"] < 0 for row in table)
        return {"comparisons": len(table), "better": better, "worse": worse, "rows": table}

    def stages(self) -> list[dict[str, Any]]:
        """The bias at guidance 1 that is the start's and that is the network's, by stage."""
        table = []
        for model in ("early", "middle", "end"):
            for prompt in [*self.prompts("fixed"), *self.prompts("open")]:
                try:
                    row = {
                        name: self.rows[self.find(name, prompt, 1.0, model)]
                        for name in ("noise", "mean closed", "exact")
                    }
                except InputError:
                    continue
                noise, mean, exact = (row[name] for name in ("noise", "mean closed", "exact"))
                table.append(
                    {"model": model, "prompt": prompt}
                    | {"noise": noise["bias"], "mean": mean["bias"], "exact": exact["bias"]}
                    | {"of the start": noise["bias"] - exact["bias"], "w1 noise": noise["w1"], "w1 exact": exact["w1"]}
                )
        return table


def main() -> None:
    """On the CPU, a minute."""
    parser = command(__doc__)
    add_data(parser)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the runs")
    add_out_file(parser)
    arguments = parser.parse_args()
    with one_line_errors(parser):
        openmoji, second = (
            json.loads((arguments.folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("openmoji", "second/openmoji")
        )
        first = Cells.load(arguments.folder / "openmoji.npz", openmoji["cells"])
        every, again = joined(first, Cells.load(arguments.folder / "second" / "openmoji.npz", second["cells"]))
        result, data = (
            Result(arguments.out, origin("docs.experiments.ladder.summary", "cpu", 0)),
            read(arguments.data),
        )
        content = summary(data, every, openmoji["core"])
        other = summary(data, again, openmoji["core"])
        content["rerun"] = rerun(first, again, content["verdicts"], other["verdicts"])
        for name, value in content.items():
            result.add(name, value)


if __name__ == "__main__":
    main()

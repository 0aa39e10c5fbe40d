"""What the figure of the starts shows: brightness of samples on a trained model, from the ladder's committed results, and C7."""

from typing import Any

import torch
from torch import Tensor

from docs.book import result
from docs.experiments.ladder.cells import Cells
from docs.interactive.figure import FOLDER, packed

LADDER = FOLDER.parent / "experiments" / "results" / "ladder"
GUIDANCE = (1.0, 1.5, 3.0, 7.5)
STARTS = {
    "noise": ("noise", "noise"),
    "mean": ("mean closed", "mean"),
    "matched": ("matched closed", "matched"),
    "exact": ("exact", "exact"),
}
"""With statistics in closed form, and with a trained average image."""


def numbers() -> dict[str, Any]:
    """Brightness of every sample by prompt, guidance and start; the data's; and what C7 predicts without guidance."""
    measured = result("docs/experiments/results/ladder/openmoji.json", "python -m docs.experiments.ladder.evaluate")
    summary = result(
        "docs/experiments/results/ladder/summary.json", "python -m docs.experiments.ladder.summary --out FILE.json"
    )
    predicted = result("docs/experiments/results/ladder/predicted.json", "python -m docs.experiments.ladder.predict")
    cells = Cells.load(LADDER / "openmoji.npz", measured["cells"])
    return {
        "guidance": GUIDANCE,
        "starts": list(STARTS),
        "prompts": [
            {
                "name": name,
                "kind": statistics["kind"],
                "data": _spread(statistics) | {"levels": _bytes(statistics["levels"])},
            }
            | {
                "law": {
                    start: _spread(one) for start, one in predicted["prompts"][name]["law"].items() if start in STARTS
                }
            }
            | {"cells": [_cells(cells, name, guidance) for guidance in GUIDANCE]}
            for name, statistics in summary["data"].items()
        ],
    }


def _cells(cells: Cells, prompt: str, guidance: float) -> dict[str, Any]:
    """The cells of every start, twice: closed form, trained."""
    wanted = {"model": "end", "prompt": prompt, "guidance": guidance, "sampler": "DDIM", "rule": "normalised"}
    return {
        start: [_cell(cells, cells.find(start=name, **wanted)[0]) for name in pair] for start, pair in STARTS.items()
    }


def _cell(cells: Cells, number: int) -> dict[str, Any]:
    return _spread(cells.rows[number]) | {"levels": _bytes(cells.brightness[number])}


def _spread(statistics: dict[str, Any]) -> dict[str, float]:
    return {"mean": round(statistics["mean"], 2), "std": round(statistics["std"], 2)}


def _bytes(levels: Any) -> str:
    """Brightness in 0..255, in order, so that a strip is drawn from left to right."""
    ordered: Tensor = torch.as_tensor(levels, dtype=torch.float64).sort().values
    return packed(ordered, 255.0)

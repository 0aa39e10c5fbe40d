"""What digits and Fashion-MNIST share: samples of a small model from every start on the CPU, beside C7's law and the exact denoiser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.ladder.cells import Cell, Cells
from docs.experiments.ladder.predict import STEPS, exact_of, law_of
from docs.experiments.ladder.starts import Starts
from docs.experiments.metric.curves import loss_curves
from docs.experiments.metric.distances import cured, wasserstein
from docs.experiments.model.averages import statistics_of, table_of
from docs.experiments.model.denoiser import Denoiser, scheduler_config
from docs.experiments.model.draw import Drawer, sampler
from docs.experiments.model.fit import say
from docs.experiments.script.result import Result
from singtheory.grid import leading
from singtheory.schedule import Discrete

STARTS = ("noise", "mean closed", "matched closed", "statistics", "exact")
PARTS = ("cells", "curves", "predicted")
_RANK, _CURVE = 8, 32


def _drawn(
    model: Denoiser,
    data: Captioned,
    prompts: Sequence[str],
    result: Result,
    samples: int,
    steps: int,
    guidances: Sequence[float],
    seed: int,
) -> None:
    """Cells, noted in the result; the brightness of each sample beside it, and a picture. Arguments as those of `measured`."""
    drawer, cells = Drawer(model, "cpu", len(STARTS) * samples), Cells()
    table, statistics = table_of(data, list(prompts), _RANK), statistics_of(data, _RANK)
    starts, scheduler = Starts(table, table, statistics, drawer.encode), sampler(model, steps=steps)
    for guidance in guidances:
        for prompt in prompts:
            generator = torch.Generator().manual_seed(seed)
            x_1, rows = torch.randn(samples, *data.size, generator=generator), data.rows(prompt)
            x_0 = data.x_0(rows[torch.randint(len(rows), (samples,), generator=generator)])
            truth, words = data.brightness[rows], [prompt] * samples
            latents = torch.cat([starts(start, scheduler, x_1, words, guidance, x_0=x_0) for start in STARTS])
            drawn = drawer(latents, words * len(STARTS), guidance, steps=steps)  # at once, for few calls
            for start, images in zip(STARTS, drawn.split(samples), strict=True):
                cells.add(Cell("end", start, prompt, guidance, steps=steps), images)
                cells.rows[-1] |= {
                    "truth mean": float(truth.mean()),
                    "truth std": float(truth.std(correction=0)),
                    "w1": wasserstein(cells.brightness[-1], truth),
                }
            result.add("cells", cells.rows)
            say(repr(prompt), f"guidance {guidance}")
    path: Path = result.path
    cells.save(path.with_suffix(".npz"))
    cells.sheet([cells.find(prompt=prompt, guidance=guidances[0]) for prompt in prompts], path.with_suffix(".png"), 2)


def measured(
    model: Denoiser,
    data: Captioned,
    prompts: Sequence[str],
    result: Result,
    samples: int,
    steps: int,
    guidances: Sequence[float],
    seed: int,
    parts: Sequence[str] = PARTS,
) -> None:
    """Cells of every start, loss curves and predictions, noted in the result.

    Args:
        model: trained.
        data: what it was trained on.
        prompts: captions of it, "" for none.
        result: that every part is added to.
        samples: a cell.
        steps: of DDIM.
        guidances: weights of guidance.
        seed: of the noise.
        parts: of these three.
    """
    if "cells" in parts:
        _drawn(model, data, prompts, result, samples, steps, guidances, seed)
    if "curves" in parts:
        drawer = Drawer(model, "cpu", 256)
        result.add("curves", loss_curves({"end": drawer}, data, prompts, min(samples, _CURVE), "cpu", seed))
    if "predicted" in parts:
        result.add("predicted", predicted(data, prompts, samples, seed))


def predicted(data: Captioned, prompts: Sequence[str], samples: int, seed: int) -> dict[str, Any]:
    """C7's law of each prompt's pictures, and what their exact denoiser draws where there is a prompt."""
    schedule = Discrete.from_config(scheduler_config())
    first = leading(schedule, STEPS)[0]
    alpha, sigma = map(float, schedule(first))
    predictions: dict[str, Any] = {}
    for prompt in prompts:
        points = data.x_0(data.rows(prompt)).flatten(1).double()
        predictions[prompt] = {"law": law_of(points, alpha, sigma)}
        if prompt:  # of all pictures it takes minutes
            predictions[prompt]["exact"] = exact_of(data, prompt, samples, seed)
        say(repr(prompt), "predicted")
    return predictions


def verdicts(cells: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """By prompt, weight of guidance and what is asked.

    Where the prompt names a background, whether the mean start's bias is cured, and whether it is when measured from the exact start. Where it names
    none, whether the matched start's deviation is nearer to the exact start's than the mean start's is.
    """
    table: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for cell in cells:
        table.setdefault((cell["prompt"], cell["guidance"]), {})[cell["start"]] = cell
    held: dict[str, bool] = {}
    for (prompt, guidance), starts in table.items():
        noise, mean, matched, exact = (starts[name] for name in ("noise", "mean closed", "matched closed", "exact"))
        where, truth = f"{prompt!r} at guidance {guidance:g}", noise["truth mean"]
        if "background" in prompt:
            held[f"{where}: bias"] = cured(noise["mean"] - truth, mean["mean"] - truth)
            held[f"{where}: bias beside the exact start"] = cured(
                noise["mean"] - exact["mean"], mean["mean"] - exact["mean"]
            )
        else:
            held[f"{where}: spread"] = abs(matched["std"] - exact["std"]) < abs(mean["std"] - exact["std"])
    return held

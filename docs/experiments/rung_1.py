"""`python -m docs.experiments.rung_1`: the ladder's first rung, digits on black, grey and white, on the CPU in about two minutes.

A small ε-predicting network with Stable Diffusion's betas is trained from scratch on digits of 16×16, conditioned on captions that name their
background or do not. Then its samples from every start, beside C7's law and the exact denoiser. Writes docs/experiments/ladder/digits.json.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from docs.experiments.averages import statistics_of, table_of
from docs.experiments.captioned import digits
from docs.experiments.cells import Cell, Cells
from docs.experiments.curves import loss_curves
from docs.experiments.distances import wasserstein
from docs.experiments.draw import Drawer, sampler
from docs.experiments.fit import Fit, denoising_loss, say
from docs.experiments.model import TINY, Denoiser, scheduler_config, weights
from docs.experiments.predict import exact_of, law_of
from docs.experiments.prompts import DIGITS
from docs.experiments.results import Result, origin, quiet
from docs.experiments.starts import Starts
from singtheory.grid import leading
from singtheory.schedule import Discrete

FOLDER = Path(__file__).parent / "ladder"
STARTS = ("noise", "mean closed", "matched closed", "statistics", "exact")
PROMPTS = (DIGITS.fixed[1], DIGITS.fixed[3], DIGITS.open[1], DIGITS.open[3])


def main() -> None:
    """Trained, drawn and predicted."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--out", type=Path, default=FOLDER, help="folder")
    asked.add_argument("--seconds", type=float, default=60, help="of training")
    asked.add_argument("--steps", type=int, default=50, help="of the sampler")
    asked.add_argument("--samples", type=int, default=64, help="a cell")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    quiet()
    result = Result(given.out / "digits.json", origin("docs.experiments.rung_1", "cpu", given.seed))
    run(result, given.out, given.seconds, given.steps, given.samples, given.seed)


def run(result: Result, out: Path, seconds: float, steps: int, samples: int, seed: int) -> None:
    """The rung."""
    since, data = time.perf_counter(), digits()
    model = Denoiser.new(data, TINY, seed=seed)
    torch.manual_seed(seed)
    parameters = [*model.unet.train().parameters(), *model.text.train().parameters()]
    fit = Fit(denoising_loss(model, data, "cpu", 64), parameters, "cpu", lr=2e-3, decay=0.995)
    cells, n = Cells(), samples
    for _ in fit.run(seconds):
        drawer = Drawer(model, "cpu", 256)
        table, statistics = table_of(data, list(PROMPTS), 8), statistics_of(data, 8)
        starts = Starts(table, table, statistics, drawer.encode)
        scheduler = sampler(model, steps=steps)
        for guidance in (1.0, 3.0):
            for prompt in PROMPTS:
                generator = torch.Generator().manual_seed(seed)
                x_1 = torch.randn(n, *data.size, generator=generator)
                rows = data.rows(prompt)
                x_0 = data.x_0(rows[torch.randint(len(rows), (n,), generator=generator)])
                truth = data.brightness[rows]
                for start in STARTS:
                    latents = starts(start, scheduler, x_1, [prompt] * n, guidance, x_0=x_0)
                    images = drawer(latents, [prompt] * n, guidance, steps=steps)
                    cell = Cell("digits", start, prompt, guidance, steps=steps)
                    cells.add(cell, images, kind=DIGITS.kind(prompt), truth_mean=float(truth.mean()))
                    told = cells.told[-1]
                    told["truth_std"] = float(truth.std(correction=0))
                    told["w1"] = wasserstein(cells.brightness[-1], truth)
            say(f"guidance {guidance}")
        curves = loss_curves({"digits": drawer}, data, PROMPTS, min(n, 64), "cpu", seed)
    told_of_fit: dict[str, Any] = {
        "steps": fit.log[-1].step,
        "loss": fit.log[-1].loss,
        "weights of the U-Net": weights(model.unet),
        "weights of the text encoder": weights(model.text),
    }
    result.add("training", told_of_fit)
    result.add("cells", cells.told)
    result.add("curves", curves)
    schedule = Discrete.from_config(scheduler_config())
    first = leading(schedule, 50)[0]
    ends = float(schedule.alpha(first)), float(schedule.sigma(first))
    predicted: dict[str, Any] = {}
    for prompt in PROMPTS:
        points = data.x_0(data.rows(prompt)).flatten(1).double()
        predicted[prompt] = {"law": law_of(points, *ends), "exact": exact_of(data, prompt, n, seed)}
    result.add("predicted", predicted)
    result.add("seconds", time.perf_counter() - since)
    cells.save(out / "digits.npz")
    guided = [cells.find(prompt=prompt, guidance=1.0) for prompt in PROMPTS]
    cells.sheet(guided, out / "digits.png", 3)
    say(f"{time.perf_counter() - since:.0f} s")


if __name__ == "__main__":
    main()

"""`python -m docs.experiments.flow.picture --out FILE.png`: docs/experiments/results/flow/first-step.png, drawn by the package's own flow on a processor in a minute.

A row a way, a column a noise: Euler's steps as diffusers takes them, and the same with the first step matched.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.figure import Figure

from docs.experiments.ladder.page.figures import saved
from docs.experiments.script.result import quiet
from singdiffusion import SingDiffusion, load_average
from singdiffusion.evaluation import load_pipeline
from singdiffusion.flow_demonstrator import AVERAGE, PIPELINE

PROMPTS = ("red apple", "cat", "house")
EACH, STEPS, GUIDANCE = 6, 4, 1.0
ROWS = ("Euler", "matched")
_SOLVER = "DPMSolverMultistepScheduler"


def drawn(prompts: Sequence[str] = PROMPTS, each: int = EACH, steps: int = STEPS) -> np.ndarray:
    """Without and with the first step matched, the seeds counting on from 0; shape (2, prompts, each, side, side, 3), in 0..1."""
    pipe: Any = load_pipeline(str(PIPELINE), _SOLVER, "cpu", torch.float32)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, solver_order=1)  # of order 1 it is Euler's
    pipe.set_progress_bar_config(disable=True)
    texts = [prompt for prompt in prompts for _ in range(each)]

    def images() -> np.ndarray:
        chance = [torch.Generator().manual_seed(seed) for seed in range(len(texts))]
        pictures = pipe(
            texts, generator=chance, num_inference_steps=steps, guidance_scale=GUIDANCE, output_type="np"
        ).images
        return pictures.reshape(len(prompts), each, *pictures.shape[1:])

    plain = images()
    with SingDiffusion(load_average(AVERAGE)).attached(pipe):
        return np.stack([plain, images()])


def sheet(images: np.ndarray, prompts: Sequence[str], path: Path) -> None:
    """A PNG: a block a prompt, a row a way."""
    figure = Figure(figsize=(12, 1.68), layout="constrained")
    for column, prompt in enumerate(prompts):
        axes: Any = figure.add_subplot(1, len(prompts), column + 1)
        rows = [np.concatenate(list(way[column]), axis=1) for way in images]
        height, width = rows[0].shape[:2]
        gap = np.ones((height // 8, width, 3))
        axes.imshow(np.concatenate([rows[0], gap, rows[1]]), interpolation="nearest")
        axes.set_title(prompt, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        if column == 0:
            axes.set_yticks([height / 2, height * 1.625], ROWS, fontsize=10)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
    saved(figure, path)


def main(out: Annotated[Path, typer.Option(help="The .png to write.")]) -> None:
    """Draw it."""
    quiet()
    sheet(drawn(), PROMPTS, out)


if __name__ == "__main__":
    typer.run(main)

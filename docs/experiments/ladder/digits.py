"""`python -m docs.experiments.ladder.digits --out DIR`: the ladder's first stage: digits on black, grey and white, on a processor in two minutes.

A small ε-predicting network with Stable Diffusion's betas is trained from scratch on digits of 16×16, conditioned on captions that name their
background or do not. Then its samples from every start, beside C7's law and the exact denoiser. Writes docs/experiments/results/ladder/digits.json.
"""

import os
import time

import torch

from docs.experiments.data.captioned import digits
from docs.experiments.data.prompts import DIGITS
from docs.experiments.ladder.small import measured
from docs.experiments.model import denoiser as models
from docs.experiments.model.denoiser import Denoiser, weights
from docs.experiments.model.fit import Fit, denoising_loss
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.result import Result, origin, quiet

PROMPTS = (DIGITS.fixed[1], DIGITS.fixed[3], DIGITS.open[1], DIGITS.open[3])


def run(result: Result, train_steps: int, steps: int, samples: int, seed: int) -> None:
    """Train, draw, predict."""
    since, data = time.perf_counter(), digits()
    model = Denoiser.new(data, models.DIGITS, seed=seed)
    torch.manual_seed(seed)
    parameters = [*model.unet.train().parameters(), *model.text.train().parameters()]
    fit = Fit(denoising_loss(model, data, "cpu", 32), parameters, "cpu", lr=1e-2, decay=0.99, warmup=20)
    for _ in fit.run(float("inf"), steps=train_steps):
        progress = {"steps": fit.log[-1].step, "loss": fit.log[-1].loss, "batch": 32}
        sizes = {"weights of the U-Net": weights(model.unet), "weights of the text encoder": weights(model.text)}
        result.add("training", progress | sizes | {"seconds": time.perf_counter() - since})
        measured(model, data, PROMPTS, result, samples, steps, (1.0, 3.0), seed)
    result.add("seconds", time.perf_counter() - since)
    result.add("processor seconds", time.process_time())  # of all threads, imports included
    result.add("processors", os.cpu_count())
    result.add("load", os.getloadavg()[1] if hasattr(os, "getloadavg") else None)  # of five minutes, this run included


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    add_out(parser)
    parser.add_argument("--train-steps", type=int, default=360, help="of training")
    parser.add_argument("--steps", type=int, default=16, help="of the sampler")
    parser.add_argument("--samples", type=int, default=64, help="a cell")
    add_seed(parser)
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        result = Result(arguments.out / "digits.json", origin("docs.experiments.ladder.digits", "cpu", arguments.seed))
        run(result, arguments.train_steps, arguments.steps, arguments.samples, arguments.seed)


if __name__ == "__main__":
    main()

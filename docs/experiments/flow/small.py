"""`python -m docs.experiments.flow.small --out DIR`: digits as a flow, trained and measured on a processor in under a minute of one idle core.

A small network is trained from scratch on digits of 16×16, whose captions name their background, or do not: which digit it is, they leave open. Then each prompt is drawn with few steps, as it is and
with the first step matched to the prompt's own pictures, around the network's own mean. The exact denoiser of a prompt's pictures is drawn alike, and the cosine law
stands beside it. Writes docs/experiments/results/flow/digits.json.
"""

import time
from typing import Any

import torch

from docs.experiments.data.captioned import Captioned, brightness_of, digits
from docs.experiments.flow import predict as flow_predict
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.keep import brightness_errors, rounded
from docs.experiments.flow.model import Flow, flow_loss
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.flow.ways import Way
from docs.experiments.metric.distances import wasserstein
from docs.experiments.model import denoiser as models
from docs.experiments.model.draw import Drawer
from docs.experiments.model.fit import Fit, say
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.result import Result, origin, quiet
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

FIXED, OPEN = ("a digit on a black background", "a digit on a white background"), ("a digit",)
WAYS = tuple(
    Way(f"{solver}{', matched' if spread == 'statistics' else ''}", solver=solver, spread=spread, rank=8)
    for solver in ("Euler", "UniPC")
    for spread in ("none", "statistics")
)
COMPONENTS, SHIFT = 8, 3.0


def pictures() -> Captioned:
    """Digits by the words after their number."""
    data = digits()
    words = [data.captions[int(k)].partition(" ")[2] for k in data.caption]
    return Captioned.of(data.images, [f"a digit {one}".strip() for one in words])


def trained(data: Captioned, steps: int, seed: int) -> tuple[Flow, float]:
    """A flow, and its last loss."""
    model = Flow.new(data, models.DIGITS, seed=seed)
    torch.manual_seed(seed)
    parameters = [*model.unet.train().parameters(), *model.text.train().parameters()]
    fit = Fit(flow_loss(model, data, "cpu", 32), parameters, "cpu", lr=1e-2, decay=0.99, warmup=20)
    for _ in fit.run(float("inf"), steps=steps):
        pass
    return model, fit.log[-1].loss


def of_prompt(data: Captioned, prompt: str) -> Captioned:
    """Its own pictures."""
    images = data.images[data.rows(prompt)]
    return Captioned.of(images, [prompt] * len(images))


def cell(images: torch.Tensor, data: Captioned) -> dict[str, Any]:
    """Brightness beside that of a prompt's own pictures."""
    levels, truth = brightness_of(images.clamp(-1, 1)), data.brightness.double()
    std = float(truth.std(correction=0))
    numbers = {"bias": float(levels.mean() - truth.mean()), "w1": wasserstein(levels, truth)}
    numbers["ratio"] = float(levels.std(correction=0)) / std
    return numbers | brightness_errors(levels.numpy(), truth.numpy())


def predicted(data: Captioned, moments: Moments, x_1: torch.Tensor, steps: int) -> dict[str, Any]:
    """What the exact denoiser keeps along the first components, and the law."""
    lam = moments.eigenvalues[:COMPONENTS]
    law = spread_kept(RectifiedFlow(), shifted_grid(steps, SHIFT), lam)
    prediction = flow_predict.exact(data.x_0().flatten(1), x_1, moments, steps, SHIFT, lam)
    return prediction | {"law": flow_predict.rounded(law)}


def run(result: Result, train_steps: int, samples: int, budgets: tuple[int, ...], seed: int) -> None:
    """Train, draw, predict."""
    since, data = time.process_time(), pictures()
    model, loss = trained(data, train_steps, seed)
    result.add("training", {"steps": train_steps, "loss": loss, "weights": models.weights(model.unet)})
    drawer, cells, exact = Drawer(model, "cpu", samples), [], []
    for prompt in (*FIXED, *OPEN):
        own = of_prompt(data, prompt)
        flows = Flows(drawer, None, Moments.of(own, "cpu"))
        x_1 = torch.randn(samples, *data.size, generator=torch.Generator().manual_seed(seed))
        kind = "open" if prompt in OPEN else "fixed"
        for budget in budgets:
            exact.append({"prompt": prompt} | predicted(own, flows.moments, x_1, budget))
            for way in WAYS:
                images, _ = flows(way, x_1, [prompt] * samples, 1.0, budget)
                key = {"way": way.name, "prompt": prompt, "kind": kind, "budget": budget}
                cells.append(rounded(key | cell(images, own)))
        say(repr(prompt))
    result.add("cells", cells)
    result.add("predicted", exact)
    result.add("processor seconds", time.process_time() - since)


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    add_out(parser)
    parser.add_argument("--train-steps", type=int, default=300)
    parser.add_argument("--samples", type=int, default=64, help="a cell")
    add_seed(parser)
    arguments = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    with one_line_errors(parser):
        result = Result(arguments.out / "digits.json", origin("docs.experiments.flow.small", "cpu", arguments.seed))
        run(result, arguments.train_steps, arguments.samples, (4, 8), arguments.seed)


if __name__ == "__main__":
    main()

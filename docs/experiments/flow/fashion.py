"""`python -m docs.experiments.flow.fashion --data fashion.npz.xz --out DIR --minutes M`: Fashion-MNIST as a flow, trained and measured on one GPU.

Data that nothing here was chosen on: 60,000 pictures, grey, 28×28 in the middle of 32×32, with the names of their ten classes as captions
(`docs.experiments.data.captioned fashion-mnist:FOLDER fashion.npz.xz --count 60000`). Network, steps, batch, solvers, shifts and the rule of guidance are those of the
flow demonstrator. Its trained average image is here the closed form of ten classes (C9): their means, and their deviations along common directions.
In order, each noted as it comes, and left as it is where it is there already:

    flow-fashion.tar                 the trained pipeline, float16
    fashion-classifier.safetensors   of the classes, whose features serve a Fréchet distance
    flow-fashion.json                expected: what the law says of each class's brightness before anything is drawn
                                     train, classifier, prediction, cells: as `docs.experiments.flow.measure` notes them
    flow-fashion-CELLS.npz           influences and brightness of the cells' samples
    second/                          the last two once more, from another seed of samples
"""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.measure import Measured, OutOfTimeError, floor
from docs.experiments.flow.metrics import Judge
from docs.experiments.flow.model import Flow
from docs.experiments.flow.predict import brightness_kept
from docs.experiments.flow.resolution import predicted
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.flow.train import BATCH, STEPS, fit_and_pack, fitted
from docs.experiments.flow.ways import WAYS, Way
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.distances import Features, of_classifier
from docs.experiments.model.averages import placed
from docs.experiments.model.denoiser import LARGE, TINY, weights
from docs.experiments.model.draw import Drawer
from docs.experiments.model.fit import Fit, say
from docs.experiments.model.tars import unpacked
from docs.experiments.script.arguments import add_amounts, add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32, prepared
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import Average, AverageTable
from singtheory import formula
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

NAME, CLASSIFIER = "flow-fashion", "fashion-classifier.safetensors"
RANK = 64
"""Directions of the closed form's spread, as many as the most that are compared."""
BUDGETS, SHIFTS = (4, 6, 8, 10, 20), (3.0, 1.0)
_LEAST = 1e-6

_FIRST = tuple(
    WAYS[name]
    for name in (
        "Euler, shift 1",
        "Euler, shift 3",
        "UniPC",
        "DPM++ 2M",
        "Euler matched, network mean",
        "UniPC matched, network mean",
        "Euler matched, trained mean",
        "UniPC matched, trained mean",
    )
)
_NEXT = tuple(
    WAYS[name]
    for name in (
        "DPM++ 2M matched, network mean",
        "DPM++ 2M matched, trained mean",
        "Euler corrected, network mean",
        "Euler corrected, trained mean",
        "UniPC matched, rank 1",
        "UniPC matched, rank 16",
    )
)
_LAST = tuple(
    WAYS[name]
    for name in (
        "UniPC, shift 1",
        "UniPC matched, shift 1",
        "Euler matched, shift 1",
        "Euler corrected, shift 1",
        "Euler corrected, statistics, all directions",
        "Euler corrected to the end, trained mean",
        *(f"UniPC matched, statistics, rank {rank}" for rank in (1, 16, 64)),
    )
)
BLOCKS: tuple[tuple[int, Sequence[Way], tuple[int, ...]], ...] = (
    (0, _FIRST, (4, 6)),
    (0, _FIRST, (10,)),
    (0, _NEXT, (4, 6)),
    (1, _FIRST, (4, 6, 10)),
    (0, _FIRST, (20, 8)),
    (0, _NEXT, (10,)),
    (1, _NEXT, (4, 6, 10)),
    (0, _NEXT, (20, 8)),
    (0, _LAST, (4, 6, 10)),
    (1, _FIRST, (20, 8)),
    (1, _NEXT, (20, 8)),
    (0, _LAST, (20, 8)),
    (1, _LAST, (4, 6, 10)),
)
"""Number of the run, ways and numbers of evaluations, in the order of their importance. The second run has another seed of samples."""
PREDICTED_AFTER = 1
"""So many blocks the prediction is measured."""


class Coloured(nn.Module):
    """A network of coloured pictures that sees grey ones.

    Args:
        network: of three channels.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """What it gives for images (n, 1, side, side)."""
        return self.network(coloured(images))


def coloured(images: Tensor) -> Tensor:
    """Three equal channels, (n, 3, side, side), of one."""
    return images.expand(-1, 3, -1, -1)


class Classes:
    """The closed form of classes, asked by the token states of their names as a trained average image is.

    Args:
        table: of the names.
        names: of its rows that may be asked for.
        states: of each name, (m, tokens, width).
    """

    def __init__(self, table: AverageTable, names: Sequence[str], states: Tensor) -> None:
        self.table, self.names, self.states = table, names, states.flatten(1)

    def __call__(self, condition: Tensor, x_1: Tensor) -> Average:
        """The rows of the nearest states.

        Args:
            condition: token states, one an image.
            x_1: noise, of which only the shape matters.
        """
        rows = torch.cdist(condition.flatten(1), self.states).argmin(dim=1)
        return self.table([self.names[row] for row in rows.tolist()], x_1)


def classes(data: Captioned, drawer: Drawer, rank: int = RANK) -> Classes:
    """Measurements of a data set and the network that is drawn from."""
    images = {name: data.x_0(data.rows(name)) for name in data.captions}
    names = [*data.captions, ""]
    return Classes(placed(AverageTable.from_images(images, rank=rank), drawer.device), names, drawer.encode(names))


# --- training ---------------------------------------------------------------------------------------------------------


def trained(data: Captioned, arguments: Namespace) -> dict[str, Any]:
    """Train the flow by the demonstrator's recipe, for so many seconds at most, and write it."""
    model, batch = (
        Flow.new(data, TINY if arguments.tiny else LARGE, seed=arguments.seed),
        min(arguments.batch, len(data)),
    )
    fit = fitted(model, data, arguments.device, batch, arguments.seed)
    return fit_and_pack(fit, model, batch, arguments.out / f"{NAME}.tar", _card, arguments.seconds, arguments.steps)


def _card(about: dict[str, Any]) -> str:
    return (
        "# A small flow: class name to 32×32 pictures of clothes\n\nTrained from scratch on the 60,000 pictures of Fashion-MNIST (Zalando, MIT). "
        f"{about['steps']:,} steps of {about['batch']}, {about['seconds']:.0f} s. Target `n − x_0`, t uniform.\n"
    )


def classifier(data: Captioned, arguments: Namespace) -> dict[str, Any]:
    """A classifier of the classes, trained as the ladder trains its own, on the pictures in three equal channels; written."""
    colours = replace(data, images=coloured(data.images).contiguous())
    one = Classifier.new(colours, arguments.seed)
    torch.manual_seed(arguments.seed)
    loss = one.loss(colours, arguments.device, min(arguments.batch, len(data)))
    fit, accuracy = Fit(loss, list(one.network.parameters()), arguments.device, 2e-3, 0.99), {}
    for _ in fit.run(arguments.classifier_seconds):
        accuracy = one.judge(colours)
        one.save(arguments.out / CLASSIFIER)
    say("classifier", accuracy)
    return {"weights": weights(one.network), "accuracy": accuracy, "steps": fit.log[-1].step}


# --- measuring --------------------------------------------------------------------------------------------------------


def judge_of(data: Captioned, moments: Moments, folder: Path, device: str) -> Judge:
    """Principal components of the pictures, and the classifier of a folder."""
    one = Classifier.load(folder / CLASSIFIER)
    one.network.to(device)
    inner = of_classifier(one)

    def extract(images: Tensor) -> Tensor:
        return inner(coloured(images))

    features: dict[str, Features] = {"the classifier": extract}
    seen = replace(one, network=Coloured(one.network))  # pyright: ignore[reportArgumentType]
    return Judge(data, moments, seen, features, device)


def class_kept(eigenvalues: Tensor, axes: Tensor, steps: int, shift: float) -> tuple[float, float]:
    """What Euler's steps keep of the standard deviation of brightness on Gaussian data, and what all but the first keep.

    The variance of brightness is `Σ λ_k ⟨1, φ_k⟩²` over the directions.

    Args:
        eigenvalues: λ, positive, shape (k,), float64.
        axes: φ, orthonormal rows, (k, d).
        steps: of Euler.
        shift: of the grid.
    """
    grid = shifted_grid(steps, shift)
    every = spread_kept(RectifiedFlow(), grid, eigenvalues)
    first = formula.first_step_kept(((1 - grid[1]) / grid[1]) ** 2, eigenvalues, torch)
    share = eigenvalues * axes.sum(dim=1).square()
    return brightness_kept(every, share), brightness_kept(every / first, share)


def expected(data: Captioned, device: str) -> list[dict[str, Any]]:
    """What the law says of the spread of each class's brightness, of its own pictures' covariance alone."""
    rows = []
    for name in data.captions:
        own = data.x_0(data.rows(name)).flatten(1).to(device).double()
        lam, columns = torch.linalg.eigh(torch.cov(own.mT, correction=0))
        kept = lam > _LEAST
        lam, axes = lam[kept].cpu(), columns.mT[kept].cpu()
        for shift in SHIFTS:
            for steps in BUDGETS:
                euler, matched = class_kept(lam, axes, steps, shift)
                rows.append({"prompt": name, "steps": steps, "shift": shift, "Euler": euler, "matched": matched})
    return rows


def measured(data: Captioned, models: Path, arguments: Namespace, results: Sequence[Result], deadline: float) -> None:
    """Everything after training, as far as the time reaches; a run a result."""
    with TemporaryDirectory() as folder:
        model = Flow.load(unpacked(models / f"{NAME}.tar", Path(folder)))
    drawer, moments = (
        Drawer(model, arguments.device, arguments.batch_drawn, arguments.compile),
        Moments.of(data, arguments.device),
    )
    flows = Flows(drawer, classes(data, drawer, arguments.rank), moments)
    judge = judge_of(data, moments, models, arguments.device)
    amounts = (arguments.samples, arguments.each, arguments.without)
    runs = [Measured(flows, judge, data, one, deadline, amounts, one.content["seed"]) for one in results]
    for run in runs:
        run.prompts, run.kinds = list(data.captions), dict.fromkeys(data.captions, "open")
        run.result.add("amounts", dict(zip(("captions", "each prompt", "no prompt"), amounts, strict=True)))
        run.result.add("floor", floor(run))
        run.result.add("kinds", run.kinds)
    say("judge ready")
    try:
        _drawn(runs)
    except OutOfTimeError:
        say("the minutes are over")
    for run in runs:
        run.save()


def _drawn(runs: Sequence[Measured]) -> None:
    for count, (number, ways, budgets) in enumerate(BLOCKS):
        if number < len(runs):
            runs[number].rivals([(ways, budgets)])
        if count + 1 == PREDICTED_AFTER and "prediction" not in runs[0].result.content:
            predicted(runs[0], (*BUDGETS, 50), SHIFTS)


def results_of(arguments: Namespace) -> list[Result]:
    """The measurements of the run, and of a second one with the next seed of samples if that is asked for, in a folder `second`."""
    folders = [arguments.out, arguments.out / "second"] if arguments.second else [arguments.out]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    content = [
        origin("docs.experiments.flow.fashion", arguments.device, arguments.seed + k) for k in range(len(folders))
    ]
    return [Result.continued(folder / f"{NAME}.json", one) for folder, one in zip(folders, content, strict=True)]


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser)
    parser.add_argument(
        "--models", type=Path, help="folder of a run before, whose models are measured; none are trained"
    )
    parser.add_argument("--seconds", type=float, default=240, help="of training at most")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--classifier-seconds", type=float, default=25)
    parser.add_argument(
        "--minutes", type=float, default=8, help="after which no further cell is begun, training included"
    )
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rank", type=int, default=RANK, help="of the closed form's spread")
    add_amounts(parser, without=4096)
    parser.add_argument("--batch-drawn", type=int, default=1024, help="images that the network sees at once")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try the script out")
    add_device(parser)
    parser.add_argument("--second", action="store_true", help="draw the cells from another seed too")
    add_seed(parser)
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        allow_tf32(True)
        data, models = read(arguments.data), arguments.models or arguments.out
        results = results_of(arguments)
        result = results[0]
        say(f"{len(data)} pictures, {time.perf_counter() - since:.0f} s")
        if not (models / f"{NAME}.tar").exists():
            result.add("train", trained(data, arguments))
        if not (models / CLASSIFIER).exists():
            result.add("classifier", classifier(data, arguments))
        allow_tf32(False)  # as the demonstrator is measured
        if "expected" not in result.content:
            result.add("expected", expected(data, arguments.device))
        measured(data, models, arguments, results, since + 60 * arguments.minutes)


if __name__ == "__main__":
    main()

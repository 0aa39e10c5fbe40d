"""`python -m docs.experiments.flow.measure --data openmoji.npz.xz --out DIR --minutes M`: the flow demonstrator, measured on one GPU.

The models are the committed ones, or `flow.tar` in the folder `--models` and, if wanted, `average.tar`, `classifier.safetensors` and `efficientnet.safetensors`. The parts, each noted as it comes:

    zero         zero-init beside the mean start at the stages of training (F7)
    prediction   standard deviation along principal components without a prompt, beside the cosine law and the exact denoiser
    slopes       the same from the slopes that the network has along principal components, its error by band
    first        ways of drawing at equal evaluations, guidance 1 and 3: distances, brightness, adherence, of the most important cells
    equal        trained means that spend the evaluation they save, beside their solvers at equal evaluations
    matched      guidance rivals beside the plain weight that guides as much
    rivals       the other cells

Written again after each cell: `flow.json`, and the influences and brightness of its samples in `flow-CELLS.npz`, by which any two cells can be compared.
A cell that is there already is not drawn again.
"""

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.data.prompts import DIGITS, OPENMOJI
from docs.experiments.flow import predict as flow_predict
from docs.experiments.flow.blocks import BLOCKS, EQUAL, FIRST, Blocks, plan
from docs.experiments.flow.committed import committed
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.grids import profile_of
from docs.experiments.flow.metrics import Judge
from docs.experiments.flow.model import TRAIN_STEPS, Flow
from docs.experiments.flow.ways import WAYS, Way
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.distances import Features, efficientnet, of_classifier
from docs.experiments.model.draw import Drawer
from docs.experiments.model.fit import say
from docs.experiments.model.tars import unpacked
from docs.experiments.script.arguments import add_amounts, add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, prepared
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import load_average
from singtheory.data import to_bytes
from singtheory.errors import InputError
from singtheory.system import write_bytes

PARTS = ("zero", "prediction", "slopes", "first", "equal", "matched", "rivals")
ZERO_STEPS, ZERO_SHIFT = (4, 10, 28), 3.0
SLOPES = (6, 8, 10, 20, 50)
SHOWN: tuple[str, ...] = (
    "Euler, shift 3",
    "UniPC",
    "UniPC matched, network mean",
    "UniPC matched, trained mean",
    "Euler matched, network mean",
    "Euler, shift 1",
)
"""Ways whose pictures are kept."""
_PROBED, _PICTURES, _A_FILE = 1024, 8, 24


class OutOfTimeError(Exception):
    """The minutes are over."""


class Measured:
    """A run of measurements.

    Args:
        flows: ready to draw.
        judge: of pictures.
        data: the pictures.
        result: that every part is added to.
        deadline: on the clock of `time.perf_counter`.
        amounts: samples of captions, of a prompt, and without a prompt.
        seed: of the noise.

    Attributes:
        share: which of how many parts of the rivals' cells are drawn.
        size: of the noise.
        shown: ways whose pictures are kept.
    """

    def __init__(
        self,
        flows: Flows,
        judge: Judge,
        data: Captioned,
        result: Result,
        deadline: float,
        amounts: tuple[int, int, int],
        seed: int,
    ) -> None:
        self.flows, self.judge, self.data, self.result = flows, judge, data, result
        self.deadline, self.amounts, self.seed = deadline, amounts, seed
        known = OPENMOJI if OPENMOJI.open[0] in data.captions else DIGITS
        self.prompts = [prompt for prompt in known.all if prompt in data.captions]
        self.kinds = {prompt: known.kind(prompt) for prompt in self.prompts}
        self.cells: list[dict[str, Any]] = result.content.get("cells", [])
        self.arrays: dict[str, dict[str, np.ndarray]] = {}
        self.share: tuple[int, int] = (0, 1)
        self.size, self.shown = data.size, SHOWN

    def check_time(self) -> None:
        """Raise `OutOfTimeError` once the minutes are over."""
        if time.perf_counter() > self.deadline:
            raise OutOfTimeError

    # --- rivals -------------------------------------------------------------------------------------------------------

    def noise(self) -> tuple[Tensor, list[str]]:
        """`x_1` and prompts of a cell: captions drawn from the data, then each prompt; the same for every way."""
        captions, each, _ = self.amounts
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.randint(len(self.data), (captions,), generator=generator)
        words = [self.data.captions[int(row)] for row in self.data.caption[rows]]
        parts = [torch.randn(captions, *self.size, generator=generator)]
        parts += [flow_predict.noise_of(self.size, prompt, each, self.seed) for prompt in self.prompts]
        return torch.cat(parts).to(self.flows.drawer.device), words + [p for p in self.prompts for _ in range(each)]

    def cell(self, way: Way, guidance: float, evaluations: int, x_1: Tensor, prompts: Sequence[str]) -> dict[str, Any]:
        """Draw and judge one."""
        since = time.perf_counter()
        images, counts = self.flows(way, x_1, prompts, guidance, evaluations)
        if not bool(torch.isfinite(images).all()):
            raise InputError("pictures: hold NaN or infinity")
        n, each, _ = self.amounts
        numbers, arrays = self.judge.captions(images[:n], prompts[:n])
        cell: dict[str, Any] = {"way": way.name, "guidance": guidance, "budget": evaluations} | counts | numbers
        cell["prompts"] = {}
        for prompt, part in zip(self.prompts, images[n:].split(each), strict=True):
            cell["prompts"][prompt], levels = self.judge.prompt(part, prompt)
            arrays[f"brightness of {prompt}"] = levels
        if way.name in self.shown and evaluations in (4, 6):
            arrays["pictures"] = torch.stack([to_bytes(part[:_PICTURES].cpu()) for part in images[n:].split(each)])
        cell["seconds"] = round(time.perf_counter() - since, 2)
        self._keep(key_of(cell), arrays)
        return cell

    def _keep(self, key: str, arrays: dict[str, Tensor]) -> None:
        self.arrays[key] = {
            name: one.numpy() if one.dtype == torch.uint8 else one.numpy().astype(np.float16)
            for name, one in arrays.items()
        }

    def draw(self, plan: Sequence[tuple[Way, float, int]]) -> None:
        """The cells of a plan that are not there yet, as far as the time reaches."""
        x_1, prompts = self.noise()
        done = {(cell["way"], cell["guidance"], cell["budget"]) for cell in self.cells}
        for number, (way, guidance, evaluations) in enumerate(plan):
            if (way.name, guidance, evaluations) in done:
                continue
            self.check_time()
            done.add((way.name, guidance, evaluations))
            try:
                self.cells.append(self.cell(way, guidance, evaluations, x_1, prompts))
            except (InputError, RuntimeError) as error:  # one cell must not take the others with it
                say(way.name, f"w {guidance:g}, {evaluations} failed:", type(error).__name__, error)
                failed = self.result.content.get("failed", [])
                self.result.add("failed", [*failed, [way.name, guidance, evaluations, str(error).splitlines()[0]]])
                continue
            self.result.add("cells", self.cells)
            cell = self.cells[-1]
            figures = {name: round(cell[name], 1) for name in self.judge.laws}
            say(f"{number + 1}/{len(plan)} {way.name}, w {guidance:g}, {evaluations}: {figures}, {cell['seconds']} s")
            if len(self.arrays) >= _A_FILE:
                self.save()

    def save(self) -> None:
        """The arrays since the last time, as one more file; they are compressed, named `CELL/ARRAY`."""
        if not self.arrays:
            return
        packed = io.BytesIO()
        flat = {f"{key}/{name}": one for key, arrays in self.arrays.items() for name, one in arrays.items()}
        np.savez_compressed(packed, **flat)  # pyright: ignore[reportArgumentType]
        path = self.result.path
        write_bytes(path.with_name(f"{path.stem}-{len(self.cells)}.npz"), packed.getvalue())
        self.arrays = {}

    def rivals(self, blocks: Blocks) -> None:
        """Ways in the order of blocks."""
        number, of = self.share
        self.draw(plan(self.flows.trained is not None, blocks)[number::of])

    def matched(self) -> None:
        """Plain guidance at the effective weights of the guidance rivals; it needs their cells."""
        wanted = []
        for cell in self.cells:
            way = WAYS.get(cell["way"])
            if way is not None and way.guide == "scaled" and cell["guidance"] > 1 and "effective guidance" in cell:
                wanted.append((WAYS["Euler, shift 3"], round(cell["effective guidance"], 2), cell["budget"]))
        self.draw(wanted)

    # --- prediction and zero-init -------------------------------------------------------------------------------------

    def prediction(self) -> None:
        """By number of steps and shift."""
        lam = self.flows.moments.eigenvalues[: flow_predict.COMPONENTS]
        prediction = self.result.content.get(
            "prediction", {"eigenvalues": flow_predict.rounded(lam), "network": [], "exact": []}
        )
        n = self.amounts[2]
        x_1 = torch.randn(n, *self.data.size, generator=torch.Generator().manual_seed(self.seed)).to(self.judge.device)
        points = self.data.x_0().flatten(1).to(self.judge.device)
        wanted = [(steps, shift) for shift in flow_predict.SHIFTS for steps in flow_predict.STEPS]
        for steps, shift in [*wanted, (flow_predict.MANY, 3.0)]:
            if any(one["steps"] == steps and one["shift"] == shift for one in prediction["exact"]):
                continue
            self.check_time()
            few = x_1[: n // 4]
            shown = few if steps == flow_predict.MANY else x_1
            prediction["network"].append(flow_predict.compared(self.flows, shown, steps, shift, lam))
            prediction["exact"].append(flow_predict.exact(points, few, self.flows.moments, steps, shift, lam))
            self.result.add("prediction", prediction)
            one = prediction["network"][-1]
            say(
                f"prediction {steps}, {shift:g}: network {one['network'][:3]}, law {one['law'][:3]}, exact {prediction['exact'][-1]['exact'][:3]}"
            )

    def slopes(self) -> None:
        """At the shift of the other ways, by number of steps."""
        lam = self.flows.moments.eigenvalues[: flow_predict.COMPONENTS]
        rows = torch.randint(
            len(self.data), (self.amounts[2] // 2,), generator=torch.Generator().manual_seed(self.seed)
        )
        points = self.data.x_0(rows).to(self.judge.device)
        measured = [flow_predict.slopes(self.flows, points, self.seed, n, 3.0, lam) for n in SLOPES]
        self.result.add("slopes", measured)
        say("slopes", [(one["steps"], one["kept"][:3]) for one in measured])

    def zero(self, folders: Sequence[Path]) -> None:
        """At each stage of training."""
        stages = self.result.content.get("zero", {})
        for folder in folders:
            if folder.name in stages:
                continue
            self.check_time()
            drawer = Drawer(Flow.load(folder), self.judge.device, self.flows.drawer.batch)
            stages[folder.name] = flow_predict.zero_cells(
                drawer, self.data, self.flows.moments, self.prompts, ZERO_STEPS, self.amounts[1], self.seed, ZERO_SHIFT
            )
            self.result.add("zero", stages)
            say("zero", folder.name, [(round(c["predicted"]), round(c["measured"], 1)) for c in stages[folder.name]])


def key_of(cell: dict[str, Any]) -> str:
    """The name of a cell's arrays."""
    return f"{cell['way']}|{cell['guidance']:g}|{cell['budget']}"


def features_of(folder: Path, classifier: Classifier | None, device: str) -> dict[str, Features]:
    """The features of an ImageNet network where its weights are there, and the classifier's."""
    features: dict[str, Features] = {}
    weights = folder / "efficientnet.safetensors"
    if weights.exists():
        features["EfficientNet-Lite0"] = _halved(efficientnet(device, weights), device)
    if classifier is not None:
        features["the classifier"] = of_classifier(classifier)
    return features


def _halved(features: Features, device: str) -> Features:
    def extract(images: Tensor) -> Tensor:
        with torch.autocast(device, torch.float16, enabled=device == "cuda"):
            return features(images)

    return extract


def measured(arguments: argparse.Namespace, data: Captioned, folder: Path, result: Result, since: float) -> Measured:
    """Everything loaded and probed."""
    models: Path = arguments.models or committed(folder)
    drawer = Drawer(
        Flow.load(unpacked(models / "flow.tar", folder)), arguments.device, arguments.batch, arguments.compile
    )
    trained: Any = None
    if (models / "average.tar").exists():
        trained = (
            load_average(unpacked(models / "average.tar", folder), dtype=torch.float32).to(arguments.device).eval()
        )
    classifier = None
    if (models / "classifier.safetensors").exists():
        classifier = Classifier.load(models / "classifier.safetensors")
        classifier.network.to(arguments.device)
    moments = Moments.of(data, arguments.device)
    flows = Flows(drawer, trained, moments)
    probed = min(_PROBED, arguments.batch, len(data))
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(arguments.seed))[:probed]
    x_0, states = (
        data.x_0(rows).to(arguments.device),
        drawer.encode([data.captions[int(k)] for k in data.caption[rows]]),
    )
    flows.profile = profile_of(
        lambda x, t: drawer.predict(x, TRAIN_STEPS * t, states), x_0, moments.eigenvalues, arguments.seed
    )
    profile = flows.profile
    result.add(
        "profile", {name: flow_predict.rounded(getattr(profile, name)) for name in ("times", "errors", "sharpness")}
    )
    judge = Judge(data, moments, classifier, features_of(models, classifier, arguments.device), arguments.device)
    say(f"loaded and probed, {time.perf_counter() - since:.0f} s")
    amounts = (arguments.samples, arguments.each, arguments.without)
    return Measured(flows, judge, data, result, since + 60 * arguments.minutes, amounts, arguments.seed)


def floor(one: Measured) -> dict[str, float]:
    """Distances of as many of the data's own pictures, at random."""
    generator = torch.Generator().manual_seed(one.seed + 1)
    rows = torch.randint(len(one.data), (one.amounts[0],), generator=generator)
    distances = one.judge.distances(one.data.x_0(rows).to(one.judge.device))
    return {name: distance.value for name, distance in distances.items()}


def share_of(words: str) -> tuple[int, int]:
    """`0/2` is the first of two. Raises `InputError` for another form."""
    number, _, of = words.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise InputError(f"share {words}: give K/N with K below N, such as 0/2")
    return int(number), int(of)


def parts_of(one: Measured, arguments: argparse.Namespace) -> Iterator[str]:
    """Go through the parts; yields the name of each when it is done."""
    names = arguments.parts.split(",")
    for name in names:
        if name == "prediction":
            one.prediction()
        elif name == "slopes":
            one.slopes()
        elif name == "zero" and arguments.stages is not None:
            one.zero(sorted(arguments.stages.iterdir(), key=lambda folder: folder.stat().st_mtime))
        elif name == "first":
            one.rivals(FIRST)
        elif name == "equal":
            one.rivals(EQUAL)
        elif name == "rivals":
            one.rivals(BLOCKS)
        elif name == "matched":
            one.matched()
        yield name


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    parser.add_argument("--models", type=Path, help="folder; the committed models if not given")
    add_data(parser)
    parser.add_argument("--stages", type=Path, help="folder of the stages of training, for zero-init")
    add_out(parser)
    parser.add_argument("--minutes", type=float, default=8, help="after which no further cell is begun")
    parser.add_argument("--parts", default=",".join(PARTS))
    add_amounts(parser, without=8192)
    parser.add_argument("--batch", type=int, default=1024, help="images that the network sees at once")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--share", default="0/1", help="K/N: of the rivals every N-th cell from the K-th on")
    parser.add_argument("--name", default="flow", help="of the result")
    add_device(parser)
    add_seed(parser)
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        arguments.out.mkdir(parents=True, exist_ok=True)
        head = origin("docs.experiments.flow.measure", arguments.device, arguments.seed)
        result = Result.continued(arguments.out / f"{arguments.name}.json", head)
        with TemporaryDirectory() as folder:
            one = measured(arguments, read(arguments.data), Path(folder), result, since)
            one.share = share_of(arguments.share)
            result.add("amounts", dict(zip(("captions", "each prompt", "no prompt"), one.amounts, strict=True)))
            result.add("floor", floor(one))
            result.add("kinds", one.kinds)
            try:
                for name in parts_of(one, arguments):
                    say(name, f"done, {time.perf_counter() - since:.0f} s")
            except OutOfTimeError:
                say("the minutes are over")
            one.save()


if __name__ == "__main__":
    main()

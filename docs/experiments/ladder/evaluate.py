"""`python -m docs.experiments.ladder.evaluate --models DIR --data openmoji.npz.xz --out DIR`: the ladder on OpenMoji, measured on one GPU in minutes.

What is evaluated is the package's own model, `singdiffusion/demonstrator/`, or another one in DIR (`end/`, `average/`). DIR holds
`classifier.safetensors` and, if wanted, `early/`, `middle/` and `twins/`, or tars of them. In this order, as far as the time reaches:

    core      all starts × 8 prompts × 256 samples × guidance 1, 1.5, 3, 7.5 on DDIM-50, and noise on the trailing grid
    curves    loss of every model over the noise level, beside the exact denoiser's of the same prompts
    stages    the model early and in the middle of its training
    quality   Fréchet and kernel distance against adherence over guidance, 4096 samples of captions drawn from the data
    factors   one at a time: samplers, steps, guidance, rule
    twins     ε-, v- and x-prediction, and v with zero terminal SNR

Written again after each: `evaluation.json` and `evaluation.npz` (brightness, sample by sample); after some, pictures, of the core `core-1.5.png`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.ladder.cells import GUIDANCES, Cell, Cells
from docs.experiments.ladder.starts import STARTS, Starts
from docs.experiments.ladder.train import TWINS
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.curves import loss_curves
from docs.experiments.metric.distances import Reduced, features_for, frechet, kernel_distance, nearest
from docs.experiments.model.averages import placed, statistics_of, table_of
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.draw import Drawer, faster, sampler
from docs.experiments.model.fit import say
from docs.experiments.model.tars import extracted
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, prepared
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import load_average
from singdiffusion.demonstrator import AVERAGE, PIPELINE

PICTURED = 1.5
"""The weight whose samples of the core are kept as a picture."""
QUALITY = (1.0, 3.0, 7.5)
"""Weights at which Fréchet distances are taken."""
STAGED = ("noise", "mean closed", "matched closed", "exact")
"""Starts of other models, for which no average image was trained."""
TWIN_SHOWN = ("noise", "matched closed")
FEW = ("noise", "mean", "matched")
"""Starts of the factors."""
FOUR = (OPENMOJI.fixed[0], OPENMOJI.fixed[3], OPENMOJI.open[0], OPENMOJI.open[1])
"""Prompts of the factors: two fixed, two open."""
NEAR = 0.1
"""Root mean square distance, of a range of 2, under which a picture counts as a near duplicate of a training picture."""
RANK = 16
"""Directions of the closed form's spread."""
_REPEATS = 20


@dataclass(frozen=True)
class Amounts:
    """How many samples.

    Attributes:
        cell: of a cell.
        quality: of a Fréchet distance.
        curve: draws a prompt and noise level.
        steps: of the sampler, where it is no factor.
    """

    cell: int = 256
    quality: int = 4096
    curve: int = 256
    steps: int = 50


class Evaluation:
    """What is evaluated, and with what.

    Args:
        folder: with the models.
        data: the demonstrator's pictures.
        device: `cpu` or `cuda`.
        amounts: of samples.
        seed: of all draws.
        batch: images that a network sees at once.
        compiled: whether the demonstrator is compiled first.
    """

    def __init__(
        self,
        folder: Path,
        data: Captioned,
        device: str,
        amounts: Amounts,
        seed: int = 0,
        batch: int = 4096,
        compiled: bool = False,
    ) -> None:
        self.batch = batch
        self.features: Path | None = None
        self.guidances: Sequence[float] = GUIDANCES
        self.folder, self.data, self.device, self.amounts, self.seed = folder, data, device, amounts, seed
        self.cells = Cells()
        self.model = Denoiser.load(folder / "end" if (folder / "end").is_dir() else PIPELINE)
        self.drawer = Drawer(self.model, device, batch, compiled)
        self.classifier = Classifier.load(folder / "classifier.safetensors")
        self.classifier.network.to(device)
        prompts = [prompt for prompt in OPENMOJI.all if prompt in data.captions]
        own = folder / "average" if (folder / "average").is_dir() else AVERAGE
        trained = placed(load_average(own, dtype=torch.float32), device)
        closed, statistics = placed(table_of(data, prompts, RANK), device), placed(statistics_of(data), device)
        self.prompts = prompts
        self.starts = Starts(trained, closed, statistics, self.drawer.encode)
        self.points = data.images.flatten(1).to(device).float() / 127.5 - 1

    def noise(self, prompt: str, n: int) -> tuple[Tensor, Tensor]:
        """`x_1` and pictures of a prompt, the same for every start, guidance and model."""
        generator = torch.Generator().manual_seed(self.seed * 1009 + sum(prompt.encode()))
        rows = self.data.rows(prompt)
        x_0 = self.data.x_0(rows[torch.randint(len(rows), (n,), generator=generator)])
        return torch.randn(n, *self.data.size, generator=generator).to(self.device), x_0.to(self.device)

    def draw(self, drawer: Drawer, cells: Sequence[Cell], judged: bool = True) -> None:
        """Cells of one sampler and number of steps."""
        name, steps = cells[0].sampler, cells[0].steps
        scheduler, n = sampler(drawer.model, name, steps, self.device), self.amounts.cell
        latents = []
        for cell in cells:
            x_1, x_0 = self.noise(cell.prompt, n)
            prompts = [cell.prompt] * n
            latents.append(self.starts(cell.start, scheduler, x_1, prompts, cell.guidance, cell.rule, x_0).cpu())
        prompts = [cell.prompt for cell in cells for _ in range(n)]
        guidance = torch.tensor([cell.guidance for cell in cells], device=self.device).repeat_interleave(n)
        images = drawer(torch.cat(latents).to(self.device), prompts, guidance, name, steps)
        for cell, pictures in zip(cells, images.split(n), strict=True):
            self.cells.add(cell, pictures, **(self.judged(cell, pictures) if judged else {}))

    def judged(self, cell: Cell, images: Tensor) -> dict[str, Any]:
        """Adherence and near duplicates."""
        shown = images.clamp(-1, 1)
        distance, _ = nearest(shown, self.points)
        return {
            "adherence": self.classifier.adherence(shown, cell.prompt),
            "nearest": float(distance.median()),
            "near duplicates": float((distance < NEAR).double().mean()),
        }

    # --- the parts ----------------------------------------------------------------------------------------------------

    def core(self) -> dict[str, Any]:
        """All starts, prompts and weights of guidance."""
        prompts = {}
        for prompt in self.prompts:
            pictures = self.data.brightness[self.data.rows(prompt)]
            prompts[prompt] = {
                "kind": OPENMOJI.kind(prompt),
                "pictures": len(pictures),
                "mean": float(pictures.mean()),
                "std": float(pictures.std(correction=0)),
            }
        for guidance in self.guidances:
            one = Cell("end", "", "", guidance, steps=self.amounts.steps)
            cells = [replace(one, start=start, prompt=prompt) for prompt in self.prompts for start in STARTS]
            self.draw(self.drawer, cells)
            trailing = replace(one, sampler="DDIM trailing", start="noise")
            self.draw(self.drawer, [replace(trailing, prompt=prompt) for prompt in self.prompts])
            say(f"core, guidance {guidance}")
        return {"prompts": prompts, "classifier": self.classifier.accuracy, "near": NEAR}

    def sheets(self, out: Path, part: str) -> None:
        """Pictures of a part, a row a prompt: of the core at one guidance, a block a start; of the others a block a model and start."""
        if part == "core":
            drawn = {"model": "end", "guidance": PICTURED, "sampler": "DDIM", "steps": self.amounts.steps}
            self._sheet([drawn | {"start": start} for start in STARTS], out / f"core-{PICTURED:g}.png")
        if part == "stages":
            self._sheet([{"model": "early", "start": start} for start in STAGED], out / "early.png")
        if part == "twins":
            shown = [
                (name, start) for name in TWINS for start in TWIN_SHOWN if start == "noise" or name != "v-zero-snr"
            ]
            self._sheet([{"model": f"twin {name}", "start": start} for name, start in shown], out / "twins.png")

    def _sheet(self, blocks: Sequence[dict[str, Any]], path: Path) -> None:
        rows = [
            [number for block in blocks for number in self.cells.find(prompt=prompt, rule="normalised", **block)[:1]]
            for prompt in self.prompts
        ]
        if all(len(row) == len(blocks) for row in rows):
            self.cells.sheet(rows, path)

    def stages(self) -> dict[str, Any]:
        """Early and middle."""
        for stage in ("early", "middle"):
            if (self.folder / stage).is_dir():
                with self.other(Denoiser.load(self.folder / stage)) as drawer:
                    cells = [
                        Cell(stage, start, prompt, guidance, steps=self.amounts.steps)
                        for guidance in (1.0,)
                        for prompt in self.prompts
                        for start in STAGED
                    ]
                    self.draw(drawer, cells)
                say(stage)
        return {}

    @contextmanager
    def other(self, model: Denoiser) -> Iterator[Drawer]:
        """Another model's drawer; what its token states mean is its own."""
        kept = self.starts
        drawer = Drawer(model, self.device, self.batch)
        self.starts = replace(kept, encode=drawer.encode)
        try:
            yield drawer
        finally:
            self.starts = kept

    def factors(self) -> dict[str, Any]:
        """One at a time."""
        one = Cell("end", "", "", 3.0, steps=self.amounts.steps)
        variants = [
            *(replace(one, sampler=name) for name in ("Euler", "DPM++", "PNDM")),
            *(replace(one, steps=steps) for steps in (10, 25, 100)),
            replace(one, guidance=10.0),
            *(replace(one, rule=rule, guidance=w) for rule in ("plain", "none") for w in (3.0, 7.5)),
        ]
        for variant in variants:
            starts = FEW if variant.rule == "normalised" else FEW[1:]
            cells = [replace(variant, start=start, prompt=p) for p in FOUR if p in self.prompts for start in starts]
            self.draw(self.drawer, cells)
            say(f"{variant.sampler}, {variant.steps} steps, guidance {variant.guidance}, {variant.rule}")
        return {}

    def twin(self, name: str) -> Denoiser:
        """One of the small ones, with the demonstrator's text encoder."""
        prediction, zero_snr = TWINS[name]
        unet: Any = UNet2DConditionModel.from_pretrained(self.folder / "twins" / name, use_safetensors=True)
        return Denoiser(unet.float().eval(), self.model.encoder, prediction, zero_snr)

    def twins(self) -> dict[str, Any]:
        """Three predictions and zero terminal SNR; the last starts from pure noise, where nothing is to mend."""
        for name, (_, zero_snr) in TWINS.items():
            if not (self.folder / "twins" / name).is_dir():
                continue
            with self.other(self.twin(name)) as drawer:
                starts = ("noise",) if zero_snr else STAGED
                sampled = "DDIM trailing" if zero_snr else "DDIM"
                cells = [
                    Cell(f"twin {name}", start, prompt, guidance, sampled, self.amounts.steps)
                    for guidance in (1.0,)
                    for prompt in self.prompts
                    for start in starts
                ]
                self.draw(drawer, cells)
            say("twin", name)
        return {}

    def curves(self) -> dict[str, Any]:
        """Losses over the noise level, of every model."""
        models = {"end": self.model}
        models |= {s: Denoiser.load(self.folder / s) for s in ("early", "middle") if (self.folder / s).is_dir()}
        models |= {f"twin {name}": self.twin(name) for name in TWINS if (self.folder / "twins" / name).is_dir()}
        drawers = {name: Drawer(model, self.device, self.batch) for name, model in models.items() if name != "end"}
        drawers = {"end": self.drawer} | drawers
        return loss_curves(drawers, self.data, self.prompts, self.amounts.curve, self.device, self.seed)

    def quality(self) -> dict[str, Any]:
        """Fréchet and kernel distance, and adherence, of samples for captions drawn from the data."""
        n, generator = self.amounts.quality, torch.Generator().manual_seed(self.seed + 1)
        order = torch.randperm(len(self.data), generator=generator)
        rows, reference = order[:n], order[n : 2 * n]
        captions = [self.data.captions[row] for row in self.data.caption[rows].tolist()]
        name, features = features_for(self.classifier, self.device, self.features)
        reduced = Reduced(features(self.data.x_0(reference)))
        target = reduced(features(self.data.x_0(reference))).to(self.device)
        truth = reduced(features(self.data.x_0(rows))).to(self.device)
        x_1 = torch.randn(n, *self.data.size, generator=generator).to(self.device)
        scheduler = sampler(self.model, steps=self.amounts.steps, device=self.device)
        draws = [torch.randint(n, (n,), generator=generator).to(self.device) for _ in range(_REPEATS)]
        table: list[dict[str, Any]] = []

        def measured(samples: Tensor) -> dict[str, Any]:
            return {
                "frechet": frechet(samples, target),
                "frechet repeats": [frechet(samples[again], target[again]) for again in draws],
                "kernel": kernel_distance(samples, target),
                "kernel repeats": [kernel_distance(samples[a[: n // 2]], target[a[: n // 2]]) for a in draws],
            }

        for guidance in QUALITY:
            for start in ("noise", "mean", "matched", "exact"):
                latents = self.starts(
                    start, scheduler, x_1, captions, guidance, x_0=self.data.x_0(rows).to(self.device)
                )
                images = self.drawer(latents, captions, guidance, steps=self.amounts.steps).clamp(-1, 1)
                drawn = reduced(features(images)).to(self.device)
                table.append(
                    {"start": start, "guidance": guidance}
                    | measured(drawn)
                    | {"adherence": self.classifier.shares(images, captions)}
                )
            say(f"quality, guidance {guidance}")
        return {
            "features": name,
            "directions": target.shape[1],
            "share of the variance": reduced.share,
            "n": n,
            "data": measured(truth),
            "rows": table,
        }


PARTS = ("core", "curves", "stages", "quality", "factors", "twins")


def evaluate(evaluation: Evaluation, out: Path, parts: Sequence[str], seconds: float) -> None:
    """Parts in order, until the time is up."""
    result = Result(
        out / "evaluation.json", origin("docs.experiments.ladder.evaluate", evaluation.device, evaluation.seed)
    )
    since = time.perf_counter()
    for name in parts:
        if time.perf_counter() - since > seconds:
            say(f"{name}: left out, the time is up")
            result.add(name, {"left out": "the time was up"})
            continue
        began = time.perf_counter()
        part: Callable[[], dict[str, Any]] = getattr(evaluation, name)
        try:
            numbers = part()
        except Exception as error:  # what is there must not be lost with what is not
            say(name, "failed:", type(error).__name__, error)
            numbers = {"failed": f"{type(error).__name__}: {error}"}
        result.content["cells"] = evaluation.cells.rows
        result.add(name, numbers | {"seconds": time.perf_counter() - began})
        evaluation.cells.save(out / "evaluation.npz")
        evaluation.sheets(out, name)
        say(f"{name}: {time.perf_counter() - began:.0f} s")


def main() -> None:
    """On one GPU."""
    parser = command(__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of the tars, or of what they hold")
    parser.add_argument("--data", required=True, help="the demonstrator's pictures, packed")
    add_out(parser)
    parser.add_argument("--parts", default=",".join(PARTS), help="in this order")
    parser.add_argument("--seconds", type=float, default=400, help="after which no other part is begun")
    add_device(parser)
    add_seed(parser)
    parser.add_argument("--samples", type=int, default=256, help="a cell")
    parser.add_argument("--quality", type=int, default=4096, help="samples of a Fréchet distance")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4096, help="images that a network sees at once")
    parser.add_argument("--features", type=Path, help="safetensors of EfficientNet-Lite0; of its package if not given")
    parser.add_argument(
        "--compile", action="store_true", help="compile the demonstrator, and use it where it is faster"
    )
    parser.add_argument("--guidances", default=",".join(f"{w:g}" for w in GUIDANCES), help="of the core")
    parser.add_argument("--prompts", type=int, help="that many of the eight, to try the script out")
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        data = read(arguments.data)
        amounts = Amounts(arguments.samples, arguments.quality, arguments.samples, arguments.steps)
        with TemporaryDirectory() as folder:
            models = extracted(arguments.models, Path(folder))
            evaluation = Evaluation(
                models, data, arguments.device, amounts, arguments.seed, arguments.batch, arguments.compile
            )
            evaluation.features = arguments.features
            evaluation.guidances = [float(w) for w in arguments.guidances.split(",")]
            if arguments.compile:
                evaluation.drawer = faster(
                    Drawer(evaluation.model, evaluation.device, evaluation.batch), evaluation.drawer
                )
                evaluation.starts = replace(evaluation.starts, encode=evaluation.drawer.encode)
            evaluation.prompts = evaluation.prompts[: arguments.prompts]
            say("loaded")
            evaluate(evaluation, arguments.out, arguments.parts.split(","), arguments.seconds)


if __name__ == "__main__":
    main()

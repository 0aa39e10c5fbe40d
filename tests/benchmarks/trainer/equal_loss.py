"""`python -m tests.benchmarks.trainer.equal_loss --data openmoji.tar --out FILE`: the text-only decoder beside the paper's U-Net, at equal loss.

Both train from scratch on the demonstrator's data, with our trainer, the same batches and the same noise, for the same time and with
each of some learning rates, of which the better one counts. The loss is `E‖ȳ − x_0‖²/d` of the averaged weights over a fixed part of
the data with fixed noise; it is measured at steps in geometric progression, for which the clock stands still. A run that diverges is
kept with its curve so far, and is never the better one. The equal loss is the larger of the two best ones. The result is `equal_loss.json`; `test_equal_loss.py` runs the same at a tiny size on the CPU.
"""

import contextlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from docs.experiments.model.vocabulary import encoder_of
from singdiffusion.source.records import Source
from singdiffusion.training.cache import Cache, finished
from singdiffusion.training.encode import make_cache
from singdiffusion.training.encoder import Encoder
from singdiffusion.training.objective import Objective
from singdiffusion.training.train import NotFiniteError, Trainer
from singtheory.errors import InputError
from singtheory.system.device import check_device
from singtheory.system.files import write_json
from tests.benchmarks.origin import origin
from tests.benchmarks.trainer.training import EnoughError, say, settings, trainer, wait
from tests.support.out_file import parser

RESULT = Path(__file__).parent / "equal_loss.json"
UNET = {
    "sample_size": 32,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (128, 192, 256),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
}
"""31 million weights without time."""

MODELS = ("unet", "decoder")
_RATIO = 1.15
"""Of the steps at which the loss is measured."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    unet: dict[str, Any]
    side: int
    batch: int
    measured: int
    seconds: float
    lrs: tuple[float, ...]
    precision: str
    device: str


def opened(data: str, folder: Path, sizes: Sizes) -> Cache:
    """The data as a cache: one that is there already, or made of pictures with the words of their captions as vocabulary."""
    if finished(Path(data)):
        return Cache.open(data)
    source = Source(data)
    source.check()
    text = encoder_of([record.caption or "" for record in source])
    make_cache(source, folder, Encoder(sizes.side, 3, None, text, sizes.device), batch=1024)
    return Cache.open(folder)


@dataclass(frozen=True)
class Measured:
    """The fixed part of the data."""

    cache: Cache
    rows: Tensor
    x_1: Tensor

    @classmethod
    def of(cls, cache: Cache, sizes: Sizes) -> "Measured":
        """Drawn once for all models."""
        generator = torch.Generator().manual_seed(1)
        rows = torch.randperm(len(cache), generator=generator)[: sizes.measured]
        return cls(cache, rows, torch.randn(len(rows), *cache.encoding.size, generator=generator))

    @torch.no_grad()
    def loss(self, one: Trainer) -> float:
        """`E‖ȳ − x_0‖²/d` of the averaged weights, in full precision."""
        total, objective = 0.0, Objective(one.network)
        with one.ema.swapped():
            for rows, x_1 in zip(self.rows.split(256), self.x_1.split(256), strict=True):
                x_0 = self.cache.x_0(rows).to(one.data.device)
                condition = one.data.condition(self.cache.caption[rows], x_0, torch.zeros(len(rows), dtype=torch.bool))
                total += len(rows) * float(objective(condition, x_1.to(one.data.device), x_0).mean)
        return total / len(self.rows)

    def least(self) -> float:
        """The loss of the closed form, the mean image of each caption: no network has less with noise for its only other input."""
        x_0, captions = self.cache.x_0(torch.arange(len(self.cache))), self.cache.caption
        sums = torch.zeros(len(self.cache.captions), *x_0.shape[1:]).index_add_(0, captions, x_0)
        counts = torch.bincount(captions, minlength=len(sums)).clamp(min=1)
        means = sums / counts[:, None, None, None]
        return float((x_0[self.rows] - means[captions[self.rows]]).square().mean())


Curve = list[dict[str, float]]
"""Examples seen, seconds of training and loss, again and again from the start on."""


def curve(one: Trainer, measured: Measured, seconds: float) -> tuple[Curve, bool]:
    """Trains for so many seconds, or until it diverges; the second value says whether it did."""
    results: Curve = []

    def note(spent: float) -> None:
        loss = measured.loss(one)
        if not math.isfinite(loss):
            raise NotFiniteError(f"step {one.step}: the loss of the averaged weights is not finite")
        results.append({"examples": one.step * one.data.batch, "seconds": spent, "loss": loss})
        say(results[-1])

    note(0.0)
    spent, due, since = 0.0, one.step, perf_counter()

    def after(run: Trainer, _: object) -> None:
        nonlocal spent, due, since
        enough = spent + perf_counter() - since >= seconds
        if run.step < due and not enough:
            return
        wait(run.data.device.type)
        spent += perf_counter() - since
        note(spent)
        if enough:
            raise EnoughError
        due, since = math.ceil(run.step * _RATIO), perf_counter()

    diverged = False
    with contextlib.suppress(EnoughError):
        try:
            one.fit(after)
        except NotFiniteError as error:
            say(error)
            diverged = True
    return results, diverged


def rate(points: Curve) -> float:
    """Examples a second between the first measurement and the last."""
    first, last = points[0], points[-1]
    return (last["examples"] - first["examples"]) / (last["seconds"] - first["seconds"])


def best(points: Curve) -> float:
    """The least loss, of what was trained."""
    return min(point["loss"] for point in points[1:])


def compare(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What each model, with its better learning rate, needs for the loss that both reach.

    Raises:
        InputError: for a model that diverges at every learning rate.
    """
    of_model = {name: [run for run in runs if run["model"] == name and not run["diverged"]] for name in MODELS}
    for name, its in of_model.items():
        if not its:
            raise InputError(f"{name}: diverges at every learning rate; give lower ones with --lrs")
    better = {name: min(its, key=lambda run: best(run["curve"])) for name, its in of_model.items()}
    equal = max(best(run["curve"]) for run in better.values())
    actual: dict[str, Any] = {"equal loss": equal}
    for model, run in better.items():
        reached = next(point for point in run["curve"][1:] if point["loss"] <= equal)
        actual[model] = {
            "lr": run["lr"],
            "weights": run["weights"],
            "examples a second": rate(run["curve"]),
            "examples to the equal loss": reached["examples"],
            "seconds to the equal loss": reached["seconds"],
            "best loss": best(run["curve"]),
        }
    decoder, unet = actual["decoder"], actual["unet"]
    actual["examples a second, times the U-Net"] = decoder["examples a second"] / unet["examples a second"]
    actual["sooner at the equal loss, times"] = unet["seconds to the equal loss"] / decoder["seconds to the equal loss"]
    return actual


def measure(data: str, folder: Path, sizes: Sizes, save: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Both models with every learning rate; what is there is saved after each."""
    cache = opened(data, folder / "cache", sizes)
    measured = Measured.of(cache, sizes)
    actual: dict[str, Any] = {
        "setting": f"{len(cache)} examples, {len(cache.captions) - 1} captions, batch {sizes.batch}, {sizes.precision} precision, "
        f"{sizes.seconds:g} s of training a run, loss over {len(measured.rows)} of the examples",
        "least loss of any network": measured.least(),
        "runs": [],
    }
    for model, other in zip(MODELS, ({"unet": sizes.unet}, {}), strict=True):
        for lr in sizes.lrs:
            say(model, "lr", lr)
            chosen = settings(
                sizes, cache.folder, folder / f"{model}-{lr}", model=model, lr=lr, schedule="constant", **other
            )
            one = trainer(chosen, cache)
            weights = sum(weight.numel() for weight in one.network.parameters())
            points, diverged = curve(one, measured, sizes.seconds)
            actual["runs"].append({"model": model, "lr": lr, "weights": weights, "diverged": diverged, "curve": points})
            save(actual)
    actual |= compare(actual["runs"])
    save(actual)
    return actual


def main() -> None:
    """On a GPU."""
    asked = parser(__doc__.splitlines()[0], RESULT)
    asked.add_argument(
        "--data", required=True, help="a .tar or folder of captioned pictures, or a cache with token states"
    )
    asked.add_argument("--seconds", type=float, default=45.0, help="of training a run")
    asked.add_argument(
        "--lrs", type=float, nargs="+", default=(1e-4, 3e-4), help="learning rates, the better one counts"
    )
    arguments = asked.parse_args()
    sizes = Sizes(UNET, 32, 256, 1024, arguments.seconds, tuple(arguments.lrs), "bf16", "cuda")
    try:
        check_device(sizes.device)
        provenance = origin("tests.benchmarks.trainer.equal_loss", sizes.device)
        with tempfile.TemporaryDirectory() as folder:
            actual = measure(
                arguments.data, Path(folder), sizes, lambda part: write_json(arguments.out, provenance | part)
            )
    except InputError as error:
        asked.error(str(error))
    say({name: value for name, value in actual.items() if name != "runs"})


if __name__ == "__main__":
    main()

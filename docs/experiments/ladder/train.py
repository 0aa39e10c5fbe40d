"""`python -m docs.experiments.ladder.train --data openmoji.npz.xz --out DIR`: the ladder's models, trained from scratch on one GPU in minutes.

In order, each written as soon as it is there:

    early.tar, middle.tar, end.tar   the demonstrator's pipeline at three shares of its time, float16
    preview.png                      its prompts from noise and from the mean, by diffusers' own pipeline
    average/                         the average image with its spread, by the product's trainer
    twins/NAME/                      small ε-, v- and x-predicting networks trained alike, and v with zero terminal SNR
    classifier.safetensors           backgrounds and objects, for prompt adherence
    fashion/                         Fashion-MNIST with its class names as captions
    train.json                       losses, rates and sizes of all

`twins.tar` and `extras.tar` hold the four in the middle. With `--steps 2739 --stop-at 329` the demonstrator's run of so many steps is
broken off there and kept as early.tar; what else is trained then reads the package's own model.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.metric.adherence import Classifier
from docs.experiments.model import card
from docs.experiments.model.averages import cache_of, placed, table_of, train_average
from docs.experiments.model.denoiser import LARGE, PLAIN, SMALL, TINY, Denoiser, Sizes, weights
from docs.experiments.model.fit import Fit, denoising_loss, say
from docs.experiments.model.tars import packed, unpacked
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32, prepared
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.demonstrator import PIPELINE
from singdiffusion.start import SingDiffusion
from singtheory.errors import InputError, unknown_name

MARKS = (0.08, 0.3)
"""Shares of the time at which the demonstrator is kept; the end is one more."""
STAGES = ("early", "middle", "end")
PARTS = ("average", "classifier", "twins", "fashion")
"""The parts that are trained after the demonstrator."""
TWINS = {
    "epsilon": ("epsilon", False),
    "v": ("v_prediction", False),
    "x": ("sample", False),
    "v-zero-snr": ("v_prediction", True),
}
_TARS = {"twins.tar": ["twins"], "extras.tar": ["average", "classifier.safetensors", "fashion"]}


@dataclass(frozen=True)
class Plan:
    """How large and how long everything is.

    Attributes:
        seconds: of the demonstrator.
        steps: of it, in the place of its seconds, where they are given.
        stop_at: the step at which it is broken off, if it is.
        twin_seconds: of the first twin; the others take as many steps.
        twin_steps: of each twin, where they are given.
        classifier_seconds: of the classifier.
        fashion_seconds: of Fashion-MNIST's model.
        average_steps: of the average image's trainer.
        batch: examples a step.
        large: sizes of the demonstrator.
        small: of the twins.
        plain: of Fashion-MNIST's model.
        device: `cpu` or `cuda`.
        compiled: whether networks are compiled first.
        graphed: whether steps are CUDA graphs.
        seed: of everything.
    """

    seconds: float
    steps: int | None
    stop_at: int | None
    twin_seconds: float
    twin_steps: int | None
    classifier_seconds: float
    fashion_seconds: float
    average_steps: int
    batch: int
    large: Sizes
    small: Sizes
    plain: Sizes
    device: str
    compiled: bool
    graphed: bool
    seed: int


def fitted(model: Denoiser, data: Captioned, plan: Plan, text_too: bool = True) -> tuple[Fit, Any]:
    """A run of a denoiser, to be gone through with `run`."""
    unet: Any = model.unet.to(plan.device).train()
    text = model.text.to(plan.device).train(text_too)
    text.requires_grad_(text_too)
    parameters = [*unet.parameters(), *(text.parameters() if text_too else ())]
    called = torch.compile(unet) if plan.compiled else unet
    torch.manual_seed(plan.seed)
    loss = denoising_loss(model, data, plan.device, min(plan.batch, len(data)), unet=called)
    return Fit(loss, [one for one in parameters if one.requires_grad], plan.device, graphed=plan.graphed), unet


def training_record(fit: Fit, model: Denoiser, batch: int) -> dict[str, Any]:
    """The record of a run of training, for its log."""
    last = fit.log[-1]
    return {
        "weights of the U-Net": weights(model.unet),
        "weights of the text encoder": weights(model.text),
        "batch": batch,
        "steps": last.step,
        "seconds": last.seconds,
        "examples a second": last.step * batch / last.seconds,
        "log": [asdict(one) for one in fit.log],
    }


def demonstrator(data: Captioned, plan: Plan, out: Path, result: Result) -> Denoiser:
    """Trained and written at each stage."""
    model = Denoiser.new(data, plan.large, seed=plan.seed)
    fit, unet = fitted(model, data, plan)
    marks = MARKS if plan.steps is None or plan.stop_at is None else (plan.stop_at / plan.steps,)
    seconds = plan.seconds if plan.steps is None else float("inf")
    for number in fit.run(seconds, plan.steps, marks):
        stage = STAGES[number]
        about = training_record(fit, model, plan.batch) if fit.log else {}
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / stage, card.demonstrator(data, model, stage, about))
            unet.train()
            model.text.train()
            packed(out / f"{stage}.tar", Path(folder), [stage])
        say(stage, "written,", f"{(out / f'{stage}.tar').stat().st_size:,} bytes")
        if stage == "end":
            result.add("demonstrator", about)
            preview(model, data, out / "preview.png", plan.device)
        elif plan.stop_at is not None:
            result.add("early", about | {"steps": plan.stop_at, "of": plan.steps})
            break
    return model  # with the averaged weights no longer in place; what counts is what was written


def preview(model: Denoiser, data: Captioned, path: Path, device: str, steps: int = 25, images: int = 8) -> None:
    """A row a prompt: half from noise, half from the closed-form mean, the same noise; brightness on stderr."""
    prompts = [prompt for prompt in OPENMOJI.all if prompt in data.captions] or data.captions[:2]
    pipe: Any = model.pipeline().to(device)
    sing = SingDiffusion(placed(table_of(data, prompts, 0), device), start="mean")
    rows = []
    for prompt in prompts:
        row: list[np.ndarray] = []
        for attached in (False, True):
            if attached:
                sing.attach(pipe)
            generator = torch.Generator(device).manual_seed(0)
            pictures = pipe(
                prompt,
                num_images_per_prompt=images,
                num_inference_steps=steps,
                guidance_scale=3.0,
                generator=generator,
                output_type="np",
            ).images
            if attached:
                sing.detach(pipe)
            row += list(pictures)
            levels = 255 * pictures.mean(axis=(1, 2, 3))
            real = data.brightness[data.rows(prompt)]
            say(
                f"{prompt!r}: {'mean' if attached else 'noise'} start {levels.mean():.1f} ± {levels.std():.1f}, "
                f"data {float(real.mean()):.1f} ± {float(real.std(correction=0)):.1f}"
            )
        rows.append(np.concatenate(row, axis=1))
    sheet = (np.concatenate(rows, axis=0).squeeze() * 255).round().astype(np.uint8)
    Image.fromarray(sheet).resize((2 * sheet.shape[1], 2 * sheet.shape[0]), Image.Resampling.NEAREST).save(path)


def average(data: Captioned, plan: Plan, out: Path, model: Denoiser) -> dict[str, Any]:
    """The average image, trained on the token states of what was written."""
    since = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cache = cache_of(data, model, Path(folder) / "cache", plan.device)
        say(f"cache made in {time.perf_counter() - since:.0f} s")
        precision = "bf16" if plan.device == "cuda" else "no"
        small = {"width": 32, "layers": 1} if plan.large == TINY else {}
        batch = min(256, len(data))
        trained = train_average(cache, Path(folder) / "run", plan.average_steps, batch, precision, **small)
        from singdiffusion.average import load_average

        module: Any = load_average(trained).half()
        module.save_pretrained(out / "average")
        (out / "average" / "README.md").write_text(
            (trained / "README.md").read_text(encoding="utf-8"), encoding="utf-8"
        )
    return {"weights": weights(module), "seconds": time.perf_counter() - since, "steps": plan.average_steps}


def twins(data: Captioned, plan: Plan, out: Path, model: Denoiser) -> dict[str, Any]:
    """Alike but for what they predict: weights at the start, data, noise, steps; they read the demonstrator's token states."""
    records: dict[str, Any] = {}
    steps = plan.twin_steps
    for name, (prediction, zero_snr) in TWINS.items():
        one = Denoiser.new(data, plan.small, prediction, zero_snr, model.encoder, plan.seed)
        fit, _ = fitted(one, data, plan, text_too=False)
        for _ in fit.run(plan.twin_seconds if steps is None else float("inf"), steps=steps):
            one.pipeline(torch.float16).unet.save_pretrained(str(out / "twins" / name))
        steps = steps or fit.log[-1].step
        records[name] = training_record(fit, one, plan.batch)
        say("twin", name, "written")
    return records


def classifier(data: Captioned, plan: Plan, out: Path) -> dict[str, Any]:
    """Trains the classifier of backgrounds and objects."""
    one = Classifier.new(data, plan.seed)
    torch.manual_seed(plan.seed)
    batch = min(plan.batch, len(data))
    fit = Fit(one.loss(data, plan.device, batch), list(one.network.parameters()), plan.device, 2e-3, 0.99, plan.graphed)
    accuracy: dict[str, Any] = {}
    for _ in fit.run(plan.classifier_seconds):
        accuracy = one.judge(data)
        one.save(out / "classifier.safetensors")
    say("classifier", accuracy)
    return {"weights": weights(one.network), "accuracy": accuracy, "steps": fit.log[-1].step}


def fashion(data: Captioned, plan: Plan, out: Path) -> dict[str, Any]:
    """Fashion-MNIST's model: class names as captions, and none."""
    model = Denoiser.new(data, plan.plain, seed=plan.seed)
    fit, _ = fitted(model, data, plan)
    about: dict[str, Any] = {}
    for _ in fit.run(plan.fashion_seconds):
        about = training_record(fit, model, plan.batch)
        model.save(out / "fashion", card.fashion(data, model, about))
    return about


def train(data: Captioned, others: Captioned | None, plan: Plan, out: Path, wanted: Sequence[str] = PARTS) -> None:
    """The demonstrator, and the parts that are wanted besides."""
    out.mkdir(parents=True, exist_ok=True)
    result = Result(out / "train.json", origin("docs.experiments.ladder.train", plan.device, plan.seed))
    result.add("plan", asdict(plan))
    demonstrator(data, plan, out, result)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as extras:
        if plan.stop_at is None:
            unpacked(out / "end.tar", Path(folder))
        model, workspace = Denoiser.load(PIPELINE if plan.stop_at else Path(folder) / "end"), Path(extras)
        parts = {
            "average": lambda: average(data, plan, workspace, model),
            "classifier": lambda: classifier(data, plan, workspace),
            "twins": lambda: twins(data, plan, workspace, model),
            "fashion": lambda: {} if others is None else fashion(others, plan, workspace),
        }
        for name in wanted:
            make, since = parts[name], time.perf_counter()
            say(name)
            try:
                result.add(name, make())
            except Exception as error:  # what is there must not be lost with what is not
                say(name, "failed:", type(error).__name__, error)
                result.add(name, {"failed": f"{type(error).__name__}: {error}"})
            for tar, names in _TARS.items():
                if name in {Path(one).stem for one in names}:
                    packed(out / tar, workspace, names)
            say(f"{name}: {time.perf_counter() - since:.0f} s")
            if plan.device == "cuda":
                torch.cuda.empty_cache()


def main() -> None:
    """On one GPU."""
    parser = command(__doc__)
    parser.add_argument(
        "--data", required=True, help="the demonstrator's pictures, as docs.experiments.data.captioned packs them"
    )
    parser.add_argument("--fashion", help="Fashion-MNIST, packed; left out if not given")
    add_out(parser)
    parser.add_argument("--seconds", type=float, default=240, help="of the demonstrator's training")
    parser.add_argument("--steps", type=int, help="of it, in the place of seconds")
    parser.add_argument("--stop-at", type=int, help="the step of these at which it is broken off")
    parser.add_argument("--parts", default=",".join(PARTS), help="trained after it, in this order")
    parser.add_argument("--twin-seconds", type=float, default=22, help="of a twin's")
    parser.add_argument("--twin-steps", type=int, help="of each twin, in the place of seconds")
    parser.add_argument("--classifier-seconds", type=float, default=25)
    parser.add_argument("--fashion-seconds", type=float, default=35)
    parser.add_argument("--average-steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--compile", action="store_true", help="compile the networks first")
    parser.add_argument("--no-graph", action="store_true", help="without CUDA graphs")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the script out")
    add_device(parser)
    add_seed(parser)
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        allow_tf32(True)
        data, others = read(arguments.data), None if arguments.fashion is None else read(arguments.fashion)
        say(f"{len(data)} pictures, {len(data.captions)} captions")
        plan = Plan(
            seconds=arguments.seconds,
            steps=arguments.steps,
            stop_at=arguments.stop_at,
            twin_steps=arguments.twin_steps,
            twin_seconds=arguments.twin_seconds,
            classifier_seconds=arguments.classifier_seconds,
            fashion_seconds=arguments.fashion_seconds,
            average_steps=arguments.average_steps,
            batch=arguments.batch,
            large=TINY if arguments.tiny else LARGE,
            small=TINY
            if arguments.tiny and arguments.stop_at is None
            else SMALL,  # the package's token states are as wide
            plain=TINY if arguments.tiny else PLAIN,
            device=arguments.device,
            compiled=arguments.compile,
            graphed=not arguments.no_graph,
            seed=arguments.seed,
        )
        parts = [part for part in arguments.parts.split(",") if part]
        for unknown in sorted(set(parts) - set(PARTS)):
            raise unknown_name("part", unknown, PARTS)
        if arguments.stop_at is not None and not (arguments.steps and 0 < arguments.stop_at < arguments.steps):
            raise InputError(f"stop-at {arguments.stop_at}: give --steps, of which it is one")
        train(data, others, plan, arguments.out, parts)


if __name__ == "__main__":
    main()

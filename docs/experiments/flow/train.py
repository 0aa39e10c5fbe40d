"""`python -m docs.experiments.flow.train --data openmoji.npz.xz --out DIR --stages DIR`: the flow demonstrator, trained from scratch on one GPU.

In order, each written as soon as it is there, and left as it is where it is there already:

    flow.tar                  the pipeline with its text encoder, float16; its stages in training in the folder of stages
    classifier.safetensors    backgrounds and objects, for prompt adherence
    average.tar               the average image with its spread, by the product's trainer on the flow's token states
    flow-train.json           losses, rates and sizes
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.flow.model import Flow, flow_loss
from docs.experiments.ladder.train import Plan, average, classifier, training_record
from docs.experiments.model.denoiser import DIGITS, LARGE, TINY, Denoiser, Sizes
from docs.experiments.model.fit import Fit, say
from docs.experiments.model.tars import packed, unpacked
from docs.experiments.script.arguments import add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32, prepared
from docs.experiments.script.result import Result, origin, quiet

STEPS, BATCH, AVERAGE_STEPS = 2734, 512, 2400
MARKS = (0.004, 0.02, 0.08, 0.3)
"""Shares of the steps at which a stage is kept."""
STAGES = ("first", "very early", "early", "middle", "end")
PARTS = ("flow", "classifier", "average")
_DATA = "26,375 small pictures of OpenMoji 17 (https://openmoji.org), CC BY-SA 4.0; so are these weights"


def fitted(model: Flow, data: Captioned, device: str, batch: int, seed: int, graphed: bool = True) -> Fit:
    """A run of a flow, to be gone through with `run`."""
    unet: Any = model.unet.to(device).train()
    text = model.text.to(device).train()
    text.requires_grad_(True)
    torch.manual_seed(seed)
    loss = flow_loss(model, data, device, min(batch, len(data)))
    return Fit(loss, [*unet.parameters(), *text.parameters()], device, graphed=graphed)


def fit_and_pack(
    fit: Fit,
    model: Denoiser,
    batch: int,
    path: Path,
    card_of: Callable[[dict[str, Any]], str],
    seconds: float,
    steps: int | None,
) -> dict[str, Any]:
    """Go through a run, and write the model as a tar with its card each time that it has averaged weights.

    Args:
        fit: of the model.
        model: to be written.
        batch: examples a step.
        path: of the tar.
        card_of: makes the card from the record of the training.
        seconds: at most.
        steps: at most.
    """
    about: dict[str, Any] = {}
    for _ in fit.run(seconds, steps):
        about = training_record(fit, model, batch)
        with TemporaryDirectory() as folder:
            model.save(Path(folder) / path.stem, card_of(about))
            packed(path, Path(folder), [path.stem])
        say(path.name, f"{path.stat().st_size:,} bytes")
    return about


def flow(
    data: Captioned, sizes: Sizes, steps: int, batch: int, device: str, seed: int, out: Path, stages: Path
) -> dict[str, Any]:
    """Trained and written at each stage."""
    model, about = Flow.new(data, sizes, seed=seed), {}
    fit = fitted(model, data, device, batch, seed)
    for number in fit.run(float("inf"), steps, MARKS):
        name = STAGES[number].replace(" ", "-")
        about = training_record(fit, model, batch) if fit.log else {}
        model.save(stages / name, card(name, about))
        model.unet.train()
        model.text.train()
        say(name, "written")
    with TemporaryDirectory() as folder:
        (stages / "end").rename(Path(folder) / "flow")
        packed(out / "flow.tar", Path(folder), ["flow"])
        (Path(folder) / "flow").rename(stages / "end")
    return about


def card(stage: str, about: dict[str, Any]) -> str:
    """The model card."""
    head = f"# A small flow: text to 32×32 pictures ({stage} of training)\n\nTrained from scratch on {_DATA}.\n"
    if not about:
        return head
    return (
        head
        + f"\n{about['steps']:,} steps of {about['batch']}, {about['seconds']:.0f} s. Target `n − x_0`, t uniform; UniPC at shift 3.\n"
    )


def plan_of(arguments: argparse.Namespace) -> Plan:
    """For the parts that the first demonstrator's training has too."""
    return Plan(
        seconds=0.0,
        steps=arguments.steps,
        stop_at=None,
        twin_seconds=0.0,
        twin_steps=None,
        classifier_seconds=arguments.classifier_seconds,
        fashion_seconds=0.0,
        average_steps=arguments.average_steps,
        batch=arguments.batch,
        large=sizes_of(arguments),
        small=TINY,
        plain=TINY,
        device=arguments.device,
        compiled=False,
        graphed=True,
        seed=arguments.seed,
    )


def sizes_of(arguments: argparse.Namespace) -> Sizes:
    """The sizes of the flow's network."""
    return TINY if arguments.tiny else DIGITS if arguments.data == "digits" else LARGE


def train(data: Captioned, arguments: argparse.Namespace, parts: Sequence[str], result: Result) -> None:
    """What is not there yet of the parts, in their order."""
    out: Path = arguments.out
    for part in parts:
        since = time.perf_counter()
        if part == "flow" and not (out / "flow.tar").exists():
            about = flow(
                data,
                sizes_of(arguments),
                arguments.steps,
                arguments.batch,
                arguments.device,
                arguments.seed,
                out,
                arguments.stages,
            )
            result.add("flow", about)
        if part == "classifier" and not (out / "classifier.safetensors").exists():
            result.add("classifier", classifier(data, plan_of(arguments), out))
        if part == "average" and not (out / "average.tar").exists():
            with TemporaryDirectory() as folder:
                model = Flow.load(unpacked(out / "flow.tar", Path(folder)))
                result.add("average", average(data, plan_of(arguments), Path(folder), model))
                packed(out / "average.tar", Path(folder), ["average"])
        say(f"{part}: {time.perf_counter() - since:.0f} s")


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser, "folder of what is kept")
    parser.add_argument("--stages", type=Path, required=True, help="folder of the stages of training")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--average-steps", type=int, default=AVERAGE_STEPS)
    parser.add_argument("--classifier-seconds", type=float, default=25)
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try the script out")
    add_device(parser)
    add_seed(parser)
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        allow_tf32(True)
        for folder in (arguments.out, arguments.stages):
            folder.mkdir(parents=True, exist_ok=True)
        parts = arguments.parts.split(",")
        name = "flow-train.json" if "flow" in parts else f"flow-train-{parts[0]}.json"
        result = Result(arguments.out / name, origin("docs.experiments.flow.train", arguments.device, arguments.seed))
        train(read(arguments.data), arguments, parts, result)


if __name__ == "__main__":
    main()

"""`python -m docs.experiments.flow.resolution --data openmoji64.npz.xz --out DIR --seconds 200 --minutes M`: the flow at 64×64 (d = 12,288), on one GPU.

The data are those of the flow demonstrator, drawn at twice the side (`docs.experiments.data.openmoji --side 64`). The network is its U-Net on patches of
2×2 pixels, so that a step costs as much; it reads the token states of the demonstrator's own text encoder, which stays as it is, so that the
demonstrator's trained average image and spread serve at this size too. In order, each noted as it comes:

    flow-64.tar            the trained pipeline, float16, whose latents are the patches (12, 32, 32)
    flow-64.json           expected: what F6 says of the spread at 64×64, from the eigenvalues at 32×32 alone, before anything is drawn
                           train, prediction, cells: as `docs.experiments.flow.measure` notes them
    flow-64-CELLS.npz      influences and brightness of the cells' samples
"""

import json
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_shuffle, pixel_unshuffle
from transformers import CLIPTextModel, PreTrainedTokenizerFast

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.flow import predict
from docs.experiments.flow.committed import CLASSIFIER, FOLDER
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.measure import Measured, OutOfTimeError
from docs.experiments.flow.metrics import Judge, of_small_pictures
from docs.experiments.flow.model import Flow, flow_loss
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.flow.train import fit_and_pack
from docs.experiments.flow.ways import TWICE, WAYS, Way
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.distances import Features, of_classifier
from docs.experiments.model.denoiser import LARGE, TINY, Sizes
from docs.experiments.model.draw import Drawer
from docs.experiments.model.fit import Fit, say
from docs.experiments.model.tars import unpacked
from docs.experiments.script.arguments import add_amounts, add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32, prepared
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import load_average
from singdiffusion.base import TextEncoder
from singdiffusion.flow_demonstrator import AVERAGE, PIPELINE
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

PATCH = 2
"""Side of the patches that the U-Net sees as one place."""
NAME, PARTS = "flow-64", ("prediction", "cells")
STEPS, SHIFTS = (4, 6, 10, 20, 50), (3.0, 6.0, 8.0, 1.0)
"""The steps and shifts of the prediction. A shift of 6 is to 64×64 what 3 is to 32×32, and 8 what 4 is, which is √(d/192) (F6)."""
TINY_READING = replace(TINY, text=LARGE.text)
"""A tiny network that reads the demonstrator's token states."""
_DATA = "26,375 small pictures of OpenMoji 17 (https://openmoji.org), CC BY-SA 4.0; so are these weights"


_CORE = tuple(WAYS[name] for name in ("Euler, shift 1", "Euler, shift 3", "Euler, shift 8", "UniPC"))
_MATCHED = tuple(
    WAYS[name]
    for name in (
        "UniPC matched, network mean",
        "UniPC matched, trained mean",
        "Euler matched, network mean",
        "Euler matched, trained mean",
    )
)
_OTHERS = (
    WAYS["UniPC, shift 1"],
    WAYS["UniPC matched, shift 1"],
    *TWICE,
    WAYS["Euler corrected, network mean"],
    WAYS["Euler corrected, trained mean"],
    *(WAYS[f"UniPC matched, statistics, rank {rank}"] for rank in (1, 16, 64)),
    *(WAYS[f"UniPC matched, rank {rank}"] for rank in (1, 16)),
    WAYS["teleported to 0.95"],
    WAYS["zero-init"],
    WAYS["Euler corrected, statistics, rank 64"],
    WAYS["zero-init, scaled (CFG-Zero*)"],
)
_PAIRED = (WAYS["UniPC"], WAYS["UniPC matched, network mean"], WAYS["UniPC matched, trained mean"])
BLOCKS: tuple[tuple[Sequence[Way], tuple[int, ...]], ...] = (
    ((*_CORE, *_MATCHED), (4, 6)),
    ((*_CORE, *_MATCHED), (10,)),
    (_OTHERS, (4,)),
    ((*_CORE, *_MATCHED), (20,)),
    (_OTHERS, (6,)),
    (_PAIRED, (50,)),
    ((WAYS["Euler, shift 3"],), (50,)),
    (_OTHERS, (10,)),
)
"""Cells in the order of their importance."""


class Patches(nn.Module):
    """A U-Net on pictures whose patches are its places.

    Args:
        unet: of patches, `PATCH²` times as many channels.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, states: Tensor) -> UNet2DConditionOutput:
        """What the U-Net gives for pictures (n, channels, side, side), as a picture."""
        output = self.unet(pixel_unshuffle(x, PATCH), t, states).sample
        return UNet2DConditionOutput(sample=pixel_shuffle(output, PATCH))


class Halved(nn.Module):
    """A network that sees pictures at half their size.

    Args:
        network: of the halves.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """What it gives for images (n, channels, side, side)."""
        return self.network(avg_pool2d(images, 2))


def new(data: Captioned, encoder: TextEncoder, sizes: Sizes, seed: int) -> Flow:
    """With random weights, for pictures of the data's size.

    Args:
        data: whose size the pictures have.
        encoder: trained, to be read.
        sizes: of the U-Net.
        seed: of the weights.
    """
    channels, side, _ = data.size
    places = torch.zeros(1, channels * PATCH**2, side // PATCH, side // PATCH, dtype=torch.uint8)
    model = Flow.new(Captioned.of(places, [""]), sizes, encoder=encoder, seed=seed)
    return replace(model, unet=Patches(model.unet))


def demonstrators() -> TextEncoder:
    """The text encoder of the flow demonstrator, without its U-Net."""
    text: Any = CLIPTextModel.from_pretrained(PIPELINE / "text_encoder", dtype=torch.float32)
    return TextEncoder.of(text.eval(), PreTrainedTokenizerFast.from_pretrained(PIPELINE / "tokenizer"))


def load(folder: Path) -> Flow:
    """From a pipeline's folder that `trained` wrote. Raises `InputError` for another."""
    model = Flow.load(folder)
    return replace(model, unet=Patches(model.unet))


def trained(model: Flow, data: Captioned, arguments: Namespace) -> dict[str, Any]:
    """Train the U-Net for so many seconds and write it; it is left with its averaged weights."""
    unet: Any = model.unet.to(arguments.device).train()
    model.text.to(arguments.device).eval().requires_grad_(False)
    torch.manual_seed(arguments.seed)
    batch = min(arguments.batch, len(data))
    fit = Fit(flow_loss(model, data, arguments.device, batch), list(unet.parameters()), arguments.device)
    path, inner = arguments.out / f"{NAME}.tar", replace(model, unet=model.unet.unet)
    about = fit_and_pack(fit, inner, batch, path, _card, arguments.seconds, arguments.steps)
    model.unet.load_state_dict(_written(path).unet.state_dict())
    model.unet.eval()
    return about


def _written(path: Path) -> Flow:
    with TemporaryDirectory() as folder:
        return load(unpacked(path, Path(folder)))


def _card(about: dict[str, Any]) -> str:
    return (
        f"# A small flow: text to 64×64 pictures, in patches of 2×2 pixels\n\nTrained from scratch on {_DATA}. It reads the token states of "
        f"the flow demonstrator of 32×32.\n\n{about['steps']:,} steps of {about['batch']}, {about['seconds']:.0f} s. "
        "Target `n − x_0`, t uniform.\n"
    )


def expected() -> list[dict[str, Any]]:
    """What Euler's steps keep at twice the side along the widest components by F6 and F2: eigenvalues four times those at 32×32."""
    known = json.loads((FOLDER / "measured.json").read_text(encoding="utf-8"))["prediction"]["eigenvalues"]
    lam = PATCH**2 * torch.tensor(known[:16], dtype=torch.float64)
    kept = {
        (steps, shift): spread_kept(RectifiedFlow(), shifted_grid(steps, shift), lam)
        for shift in SHIFTS
        for steps in STEPS
    }
    return [{"steps": steps, "shift": shift, "kept": predict.rounded(one)} for (steps, shift), one in kept.items()]


def predicted(one: Measured, steps_of: Sequence[int] = STEPS, shifts: Sequence[float] = SHIFTS) -> None:
    """Deviations along principal components without a prompt, of the network and of the exact denoiser, beside the law, by number of steps and shift."""
    lam = one.flows.moments.eigenvalues[: predict.COMPONENTS]
    prediction: dict[str, Any] = {"eigenvalues": predict.rounded(lam), "network": [], "exact": []}
    n = one.amounts[2]
    x_1 = torch.randn(n, *one.data.size, generator=torch.Generator().manual_seed(one.seed)).to(one.judge.device)
    points = one.data.x_0().flatten(1).to(one.judge.device)
    wanted = [(steps, shift) for shift in shifts for steps in steps_of]
    for steps, shift in [*wanted, (predict.MANY, 3.0)]:
        one.check_time()
        few = x_1[: n // 2]
        shown = few if steps == predict.MANY else x_1
        prediction["network"].append(predict.compared(one.flows, shown, steps, shift, lam))
        if steps != predict.MANY:
            prediction["exact"].append(predict.exact(points, few, one.flows.moments, steps, shift, lam))
        one.result.add("prediction", prediction)
        row = prediction["network"][-1]
        say(f"prediction {steps}, {shift:g}: network {row['network'][:3]}, law {row['law'][:3]}")


def judge_of(data: Captioned, moments: Moments, device: str) -> Judge:
    """Principal components of the pictures, and the demonstrator's classifier, which sees them at half their size."""
    classifier = Classifier.load(CLASSIFIER)
    classifier.network.to(device)
    features: dict[str, Features] = {"the classifier": of_small_pictures(of_classifier(classifier))}
    seen = replace(classifier, network=Halved(classifier.network))  # pyright: ignore[reportArgumentType]
    return Judge(data, moments, seen, features, device)


def measured(model: Flow, data: Captioned, arguments: Namespace, result: Result, deadline: float) -> None:
    """Everything after training, as far as the time reaches."""
    drawer = Drawer(model, arguments.device, arguments.batch_drawn, arguments.compile)
    moments = Moments.of(data, arguments.device)
    say("moments of the data")
    average: Any = load_average(AVERAGE, dtype=torch.float32).to(arguments.device).eval()
    amounts = (arguments.samples, arguments.each, arguments.without)
    judge = judge_of(data, moments, arguments.device)
    one = Measured(Flows(drawer, average, moments), judge, data, result, deadline, amounts, arguments.seed)
    result.add("amounts", dict(zip(("captions", "each prompt", "no prompt"), amounts, strict=True)))
    result.add("kinds", one.kinds)
    say("judge ready")
    parts = arguments.parts.split(",")
    try:
        if "prediction" in parts and "prediction" not in result.content:
            predicted(one)
        if "cells" in parts:
            one.rivals(BLOCKS)
    except OutOfTimeError:
        say("the minutes are over")
    one.save()


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser)
    parser.add_argument("--seconds", type=float, default=200, help="of training")
    parser.add_argument("--steps", type=int, help="of it at most")
    parser.add_argument(
        "--minutes", type=float, default=8, help="after which no further cell is begun, training included"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured, with commas")
    parser.add_argument("--batch", type=int, default=512)
    add_amounts(parser, without=4096)
    parser.add_argument("--batch-drawn", type=int, default=1024, help="images that the network sees at once")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try the script out")
    add_device(parser)
    add_seed(parser)
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        arguments.out.mkdir(parents=True, exist_ok=True)
        allow_tf32(True)
        head = origin("docs.experiments.flow.resolution", arguments.device, arguments.seed)
        result = Result.continued(arguments.out / f"{NAME}.json", head)
        if "expected" not in result.content:  # what was said beforehand stays as it was said
            result.add("expected", expected())
        data = read(arguments.data)
        say(f"{len(data)} pictures, {time.perf_counter() - since:.0f} s")
        if (arguments.out / f"{NAME}.tar").exists():
            model = _written(arguments.out / f"{NAME}.tar")
        else:
            model = new(data, demonstrators(), TINY_READING if arguments.tiny else LARGE, arguments.seed)
            result.add("train", trained(model, data, arguments))
        allow_tf32(False)  # as at 32×32
        measured(model, data, arguments, result, since + 60 * arguments.minutes)


if __name__ == "__main__":
    main()

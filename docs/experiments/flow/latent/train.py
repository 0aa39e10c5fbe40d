"""`python -m docs.experiments.flow.latent.train --data openmoji128.npz.xz --out DIR`: autoencoder, flow and ε twin at 128×128, trained on one GPU.

Each is written as soon as it is there, and left as it is where it is there already:

    vae.tar                  the autoencoder with its scaling factor, float16
    reconstructions.png      pictures and their reconstructions
    flow-latent.tar          the flow: the demonstrator's U-Net in latents, which reads the demonstrator's token states
    epsilon-latent.tar       its twin with ε-prediction and Stable Diffusion's betas
    flow-train-latent.json   losses, rates, the errors of reconstructions, the latents' eigenvalues, and what F6 says from them
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from docs.experiments.data.captioned import Captioned, brightness_of, read
from docs.experiments.flow import predict
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.latent import autoencoder, prediction
from docs.experiments.flow.latent.space import CHANNELS, Space
from docs.experiments.flow.model import Flow, flow_loss_of
from docs.experiments.flow.resolution import TINY_READING, demonstrators
from docs.experiments.flow.train import fit_and_pack
from docs.experiments.model.denoiser import LARGE, Denoiser
from docs.experiments.model.fit import Examples, Fit, caption_tokens, denoising_loss_of, say
from docs.experiments.model.tars import packed, unpacked
from docs.experiments.script.arguments import add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32, prepared
from docs.experiments.script.result import Result, origin, quiet
from singtheory.data import to_bytes

MODELS: dict[str, type[Denoiser]] = {"flow": Flow, "epsilon": Denoiser}
NAME = "flow-train-latent"
_DATA = "26,375 pictures of OpenMoji 17 (https://openmoji.org) at 128×128, CC BY-SA 4.0; so are these weights"
_JUDGED, _SHOWN = 2048, 24
_VAE_LR, _DROPOUT = 4e-4, 0.1
_RESERVE, _LEAST = 8.0, 20.0
"""Seconds that writing takes, and under which training a twin is no use."""


def trained_space(data: Captioned, arguments: argparse.Namespace) -> tuple[Space, dict[str, Any]]:
    """Train the autoencoder for so many seconds; it is left with its averaged weights and its scaling factor."""
    since = time.perf_counter()
    torch.manual_seed(arguments.seed)
    space = Space.new(data.size[1], arguments.device, arguments.tiny, arguments.seed)
    space.vae.train()
    if arguments.device == "cuda":
        space.vae.to(memory_format=torch.channels_last)
    batch = min(arguments.vae_batch, len(data))
    called = autoencoder.compiled(space, batch, data.size[1]) if arguments.compile else None
    say(f"autoencoder ready, {time.perf_counter() - since:.0f} s")
    loss = autoencoder.loss_of(space, data, batch, called)
    fit = Fit(loss, list(space.vae.parameters()), arguments.device, lr=_VAE_LR, decay=0.999)
    about: dict[str, Any] = {}
    for _ in fit.run(arguments.vae_seconds, arguments.steps):
        about = {"steps": fit.log[-1].step, "batch": batch, "seconds": round(fit.log[-1].seconds, 1)}
        about |= {"loss": [round(one.loss, 5) for one in fit.log]}
        about |= {"parameters": sum(weight.numel() for weight in space.vae.parameters())}
        space.set_scale(data)
        with TemporaryDirectory() as folder:
            space.save(Path(folder) / "vae")
            packed(arguments.out / "vae.tar", Path(folder), ["vae"])
    return space.ready(), about | {"scaling factor": space.scale}


def of_reconstructions(space: Space, data: Captioned, latents: Tensor, seed: int) -> dict[str, Any]:
    """How good they are: signal-to-noise ratio, and what is left of brightness, of true black and of true white."""
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:_JUDGED]
    ratio = autoencoder.decibels(space, data, rows)
    record = {"PSNR": float(ratio.mean()), "PSNR of the worst hundredth": float(ratio.quantile(0.01))}
    truth = data.brightness[rows]
    levels = prediction.levels_of(space, latents[rows])
    record["brightness error"] = float((levels - truth).abs().mean())
    record["brightness ratio"] = float(levels.std() / truth.std())
    for colour, level in (("black", 0.0), ("white", 255.0)):
        if (caption := f"solid {colour} background") in data.captions:
            decoded = space.decode(latents[data.rows(caption)[:8]]).clamp(-1, 1)
            record[f"{colour} error"] = float(brightness_of(decoded).mean()) - level
    return {name: round(value, 4) for name, value in record.items()}


def sheet(space: Space, data: Captioned, path: Path, seed: int) -> None:
    """Rows of pictures, each with its reconstructions below."""
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed + 1))[:_SHOWN]
    again = to_bytes(space.decode(space.encode(data.images[rows])).clamp(-1, 1).cpu())
    strips = []
    for first in range(0, len(rows) - 7, 8):
        for images in (data.images[rows], again):  # whole rows alone
            strips.append(np.concatenate(list(images[first : first + 8].movedim(1, 3).numpy()), axis=1))
    Image.fromarray(np.concatenate(strips)).save(path)


def examples_of(model: Denoiser, data: Captioned, latents: Tensor, device: str, batch: int) -> Examples:
    """Latents with the tokens of their captions, some of which are left out."""
    points, words = latents.half().to(device), caption_tokens(model, data, device, _DROPOUT)

    def draw() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(points), (batch,), device=device)
        return points[rows].float(), words(rows)

    return draw


def new(kind: str, side: int, tiny: bool, seed: int) -> Denoiser:
    """A model of latents of a side, with random weights, that reads the demonstrator's token states."""
    places = Captioned.of(torch.zeros(1, CHANNELS, side, side, dtype=torch.uint8), [""])
    return MODELS[kind].new(places, TINY_READING if tiny else LARGE, encoder=demonstrators(), seed=seed)


def trained(kind: str, data: Captioned, latents: Tensor, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a model for its seconds and write it."""
    model = new(kind, latents.shape[-1], arguments.tiny, arguments.seed)
    unet: Any = model.unet.to(arguments.device).train()
    model.text.to(arguments.device).eval().requires_grad_(False)
    torch.manual_seed(arguments.seed)
    batch = min(arguments.batch, len(data))
    loss_of: Callable[..., Callable[[], Tensor]] = flow_loss_of if kind == "flow" else denoising_loss_of
    loss = loss_of(model, examples_of(model, data, latents, arguments.device, batch), arguments.device)
    fit = Fit(loss, list(unet.parameters()), arguments.device)
    seconds = arguments.flow_seconds if kind == "flow" else arguments.epsilon_seconds
    path = arguments.out / f"{kind}-latent.tar"
    return fit_and_pack(fit, model, batch, path, partial(_card, kind), seconds, arguments.steps)


def _card(kind: str, about: dict[str, Any]) -> str:
    return (
        f"# A small {kind} model in latents\n\nTrained from scratch on {_DATA}. It reads the token states of the flow demonstrator, "
        f"and its latents are those of the autoencoder beside it.\n\n{about['steps']:,} steps of {about['batch']}, {about['seconds']:.0f} s.\n"
    )


def space_of(folder: Path, device: str) -> Space:
    """The written autoencoder."""
    with TemporaryDirectory() as inside:
        return Space.load(unpacked(folder / "vae.tar", Path(inside)), device)


def expect(space: Space, latents: Tensor, result: Result, device: str) -> None:
    """What the law says of Euler's steps in these latents, before anything is drawn."""
    moments = Moments.of_points(latents, device)
    share = prediction.shares(latents, prediction.levels_of(space, latents), moments)
    result.add("eigenvalues", predict.rounded(moments.var[: prediction.COMPONENTS]))
    result.add("brightness shares", predict.rounded(share))
    result.add("expected", prediction.expected(moments.eigenvalues, share, moments.mean.numel()))
    say("expected", [(row["steps"], row["shift"], row["brightness"]) for row in result.content["expected"]])


def train(data: Captioned, arguments: argparse.Namespace, result: Result, since: float) -> None:
    """What is not there yet, in its order; the twin has what is left of the time."""
    if not (arguments.out / "vae.tar").exists():
        space, about = trained_space(data, arguments)
        result.add("autoencoder", about)
    space = space_of(arguments.out, arguments.device)
    latents = space.encode(data.images)
    say(f"latents {tuple(latents.shape[1:])}, standard deviation {float(latents.std()):.3f}")
    if "reconstructions" not in result.content:
        result.add("reconstructions", of_reconstructions(space, data, latents, arguments.seed))
        say("reconstructions", result.content["reconstructions"])
        sheet(space, data, arguments.out / "reconstructions.png", arguments.seed)
    if not (arguments.out / "flow-latent.tar").exists():
        result.add("flow", trained("flow", data, latents, arguments))
    if "expected" not in result.content:  # what was said beforehand stays as it was said
        expect(space, latents, result, arguments.device)
    left = arguments.limit - (time.perf_counter() - since) - _RESERVE
    arguments.epsilon_seconds = min(arguments.epsilon_seconds, left)
    if not (arguments.out / "epsilon-latent.tar").exists() and arguments.epsilon_seconds > _LEAST:
        result.add("epsilon", trained("epsilon", data, latents, arguments))


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser)
    parser.add_argument("--vae-seconds", type=float, default=230)
    parser.add_argument("--flow-seconds", type=float, default=150)
    parser.add_argument("--epsilon-seconds", type=float, default=90)
    parser.add_argument("--limit", type=float, default=540, help="seconds of all, by which the twin's are cut")
    parser.add_argument("--steps", type=int, help="of each training at most")
    parser.add_argument("--vae-batch", type=int, default=64)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--compile", action="store_true", help="the autoencoder while it is trained")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the script out")
    add_device(parser)
    add_seed(parser)
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        arguments.out.mkdir(parents=True, exist_ok=True)
        allow_tf32(True)
        result = Result.continued(
            arguments.out / f"{NAME}.json",
            origin("docs.experiments.flow.latent.train", arguments.device, arguments.seed),
        )
        train(read(arguments.data), arguments, result, since)


if __name__ == "__main__":
    main()

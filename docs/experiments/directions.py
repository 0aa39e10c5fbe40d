"""`python -m docs.experiments.directions --data openmoji.npz.xz`: what the trained matched start lacks beside the closed form.

Where a prompt leaves the brightness open and has few pictures, one part of the trained start after another is replaced by the data's own:

    trained       mean, deviations and directions as trained: independent low frequencies
    mean          of the prompt's pictures
    deviations    of the prompt's pictures too, along the directions as trained
    directions    principal components in their place: the closed form

Spread ratio of the brightness at guidance 1, DDIM-50, from the same noise; on the CPU, a quarter of an hour. Writes docs/experiments/ladder/directions.json.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from docs.experiments.averages import table_of
from docs.experiments.captioned import Captioned, brightness_of, read
from docs.experiments.draw import Drawer, sampler
from docs.experiments.evaluate import RANK
from docs.experiments.fit import say
from docs.experiments.model import Denoiser
from docs.experiments.prompts import OPENMOJI
from docs.experiments.results import Result, origin, quiet
from docs.experiments.summary import CORE_STEPS, FOLDER
from singdiffusion.average import load_average
from singdiffusion.demonstrator import AVERAGE, PIPELINE
from singdiffusion.initial import initial_latents
from singtheory.errors import InputError

FEW = 10
"""Pictures; prompts with more are learned well."""

Moments = tuple[Tensor, Tensor, Tensor]
"""Of one prompt: mean (channels, side, side), directions (k, channels, side, side) and deviations along them (k,)."""


def variants(data: Captioned, prompt: str, trained: Any, closed: Any, drawer: Drawer) -> dict[str, Moments]:
    """The moments of a start by name, one part after another the data's own."""
    x_1, x_0 = torch.zeros(1, *data.size), data.x_0(data.rows(prompt))
    with torch.no_grad():
        learned, own = trained(drawer.encode([prompt]), x_1), closed([prompt], x_1)
    basis, std = learned.spread
    mean = own.mean[0]
    along = torch.einsum("nchw,kchw->nk", x_0 - mean, basis).square().mean(dim=0).sqrt()
    return {
        "trained": (learned.mean[0], basis, std[0]),
        "mean": (mean, basis, std[0]),
        "deviations": (mean, basis, along),
        "directions": (mean, own.spread[0], own.spread[1][0]),
    }


def drawn(moments: Moments, drawer: Drawer, prompt: str, x_1: Tensor) -> Tensor:
    """Brightness of the samples, shape (n,)."""
    mean, basis, std = moments
    scheduler = sampler(drawer.model, steps=CORE_STEPS)
    start = initial_latents(mean.expand_as(x_1), x_1, scheduler, spread=(basis, std)) * scheduler.init_noise_sigma
    return brightness_of(drawer(start, [prompt] * len(x_1), 1.0, steps=CORE_STEPS))


def compared(data: Captioned, prompt: str, trained: Any, closed: Any, drawer: Drawer, n: int) -> dict[str, Any]:
    """Spread ratios of one prompt."""
    x_1 = torch.randn(n, *data.size, generator=torch.Generator().manual_seed(sum(prompt.encode())))
    truth = float(data.brightness[data.rows(prompt)].std(correction=0))
    ratios = {}
    for name, moments in variants(data, prompt, trained, closed, drawer).items():
        ratios[name] = float(drawn(moments, drawer, prompt, x_1).std(correction=0)) / truth
        say(f"{prompt}, {name}: {ratios[name]:.3f}")
    return ratios


def main() -> None:
    """On the CPU."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--data", required=True)
    asked.add_argument("--samples", type=int, default=128, help="a variant")
    asked.add_argument("--out", type=Path, default=FOLDER / "directions.json")
    given = asked.parse_args()
    quiet()
    try:
        data = read(given.data)
        prompts = [prompt for prompt in OPENMOJI.all if prompt in data.captions]
        drawer = Drawer(Denoiser.load(PIPELINE), "cpu", given.samples)
        trained, closed = load_average(AVERAGE, dtype=torch.float32).eval(), table_of(data, prompts, RANK)
        result = Result(given.out, origin("docs.experiments.directions", "cpu", 0))
        result.add("samples", given.samples)
        few = [prompt for prompt in OPENMOJI.open if prompt in prompts and len(data.rows(prompt)) < FEW]
        result.add("ratios", {p: compared(data, p, trained, closed, drawer, given.samples) for p in few})
    except InputError as error:
        asked.error(str(error))


if __name__ == "__main__":
    main()

"""`python -m docs.experiments.ladder.directions --data openmoji.npz.xz --out FILE.json`: what the directions of the matched start are worth.

Where a prompt leaves the brightness open and has few pictures, with the data's own mean but for the trained start:

    one by one   low frequencies of mixed colours, with the deviations of the prompt's pictures along each
    principal    the principal components of the data among them, as trained, with the prompt's deviations along each
    trained      mean, deviations and directions as trained
    closed       the closed form: principal components of the pictures of the compared prompts and of some without a prompt

Spread ratio of the brightness at guidance 1, DDIM-50, from the same noise; a minute on a GPU, half an hour on the CPU. Writes docs/experiments/results/ladder/directions.json.
"""

from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, brightness_of, read
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.ladder.evaluate import RANK
from docs.experiments.ladder.summary import CORE_STEPS
from docs.experiments.model.averages import FREQUENCIES, table_of
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.draw import Drawer, sampler
from docs.experiments.model.fit import say
from docs.experiments.script.arguments import add_data, add_out_file, command, one_line_errors
from docs.experiments.script.device import add_device
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import directions, load_average
from singdiffusion.demonstrator import AVERAGE, PIPELINE
from singdiffusion.start import prepared_latents
from singtheory.law import Atoms
from singtheory.start import principal_axes
from singtheory.system import chosen_device

FEW = 10
"""Pictures; prompts with more are learned well."""

Moments = tuple[Tensor, Tensor, Tensor]
"""The moments of one prompt: mean (channels, side, side), directions (k, channels, side, side) and deviations along them (k,)."""


def one_by_one(x_0: Tensor) -> Tensor:
    """Cosine modes of the principal colours of pictures, each a direction, shape (k, channels, side, side)."""
    colours = principal_axes(Atoms(x_0.mean(dim=(2, 3)))).float()
    return directions(torch.kron(colours, torch.eye(FREQUENCIES**2)), *x_0.shape[1:])


def variants(
    data: Captioned, prompt: str, single: Tensor, trained: Any, closed: Any, drawer: Drawer
) -> dict[str, Moments]:
    """The moments of a start by name; `single` are directions as of `one_by_one`."""
    x_1, x_0 = torch.zeros(1, *data.size), data.x_0(data.rows(prompt))
    with torch.no_grad():
        learned, own = trained(drawer.encode([prompt]).cpu(), x_1), closed([prompt], x_1)
    mean, basis = own.mean[0], learned.basis

    def along(directions: Tensor) -> Moments:
        return mean, directions, torch.einsum("nchw,kchw->nk", x_0 - mean, directions).square().mean(dim=0).sqrt()

    return {
        "one by one": along(single),
        "principal": along(basis),
        "trained": (learned.mean[0], basis, learned.std[0]),
        "closed": (mean, own.basis, own.std[0]),
    }


def drawn(moments: Moments, drawer: Drawer, prompt: str, x_1: Tensor) -> Tensor:
    """Brightness of the samples, shape (n,)."""
    mean, basis, std = (part.to(drawer.device) for part in moments)
    x_1, scheduler = x_1.to(drawer.device), sampler(drawer.model, steps=CORE_STEPS, device=drawer.device)
    start = prepared_latents(mean.expand_as(x_1), x_1, scheduler, spread=(basis, std))
    return brightness_of(drawer(start, [prompt] * len(x_1), 1.0, steps=CORE_STEPS)).cpu()


def compared(
    data: Captioned, prompt: str, single: Tensor, trained: Any, closed: Any, drawer: Drawer, n: int
) -> dict[str, Any]:
    """Spread ratios of one prompt, of `variants`."""
    x_1 = torch.randn(n, *data.size, generator=torch.Generator().manual_seed(sum(prompt.encode())))
    truth = float(data.brightness[data.rows(prompt)].std(correction=0))
    ratios = {}
    for name, moments in variants(data, prompt, single, trained, closed, drawer).items():
        ratios[name] = float(drawn(moments, drawer, prompt, x_1).std(correction=0)) / truth
        say(f"{prompt}, {name}: {ratios[name]:.3f}")
    return ratios


def main() -> None:
    """On the CPU or a GPU."""
    parser = command(__doc__)
    add_data(parser)
    parser.add_argument("--samples", type=int, default=256, help="a variant")
    add_device(parser, "cpu")
    add_out_file(parser)
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        arguments.device = chosen_device(arguments.device)
        data = read(arguments.data)
        prompts = [prompt for prompt in OPENMOJI.all if prompt in data.captions]
        drawer = Drawer(Denoiser.load(PIPELINE), arguments.device, arguments.samples)
        trained, closed = load_average(AVERAGE, dtype=torch.float32).eval(), table_of(data, prompts, RANK)
        result = Result(arguments.out, origin("docs.experiments.ladder.directions", arguments.device, 0))
        result.add("samples", arguments.samples)
        few = [prompt for prompt in OPENMOJI.open if prompt in prompts and len(data.rows(prompt)) < FEW]
        single = one_by_one(data.x_0())
        result.add("ratios", {p: compared(data, p, single, trained, closed, drawer, arguments.samples) for p in few})


if __name__ == "__main__":
    main()

"""`python -m docs.experiments.ladder.fashion --data fashion.npz.xz --out DIR`: the ladder's second stage: Fashion-MNIST by class name and without.

The network was trained on a GPU by `docs.experiments.ladder.train`; its weights are in docs/experiments/results/ladder/fashion/. Here it is sampled on the CPU from
every start, beside C7's law and the exact denoiser. Nothing names a background: the class alone says how bright a picture is. And from the means of
other data, digits on black and on three backgrounds, in the place of its own (question 10). Writes docs/experiments/results/ladder/fashion.json.
"""

import argparse
import time
from pathlib import Path

import torch

from docs.experiments.data.captioned import PAPERS, digits, read
from docs.experiments.data.prompts import FASHION
from docs.experiments.ladder.foreign import foreign
from docs.experiments.ladder.small import PARTS as SHARED
from docs.experiments.ladder.small import measured
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.draw import Drawer
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.result import RESULTS, Result, origin, quiet

FOLDER = RESULTS / "ladder"
PARTS = (*SHARED, "foreign")


def all_parts(arguments: argparse.Namespace) -> None:
    """The parts that are asked for; what else the file holds stays."""
    since, data, parts = time.perf_counter(), read(arguments.data), arguments.parts.split(",")
    result = Result.continued(
        arguments.out / "fashion.json", origin("docs.experiments.ladder.fashion", "cpu", arguments.seed)
    )
    model, prompts = Denoiser.load(arguments.model), ["", *FASHION.open]
    measured(model, data, prompts, result, arguments.samples, arguments.steps, (1.0,), arguments.seed, parts)
    if "foreign" in parts:
        pictures = digits(data.size[1], data.size[0])
        shown = pictures.x_0(
            torch.arange(len(pictures) // 2)
        )  # the other half are the same, without a named background
        on_black = shown[: len(shown) // len(PAPERS)]
        others = {"digits on black": on_black.mean(dim=0), "digits on black, grey and white": shown.mean(dim=0)}
        drawer = Drawer(model, "cpu", 256)
        result.add(
            "foreign", foreign(drawer, data, prompts[:3], others, arguments.samples, arguments.steps, arguments.seed)
        )
    result.add("seconds", time.perf_counter() - since)


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    parser.add_argument("--data", default="fashion-mnist", help="packed, or fashion-mnist[:FOLDER]")
    parser.add_argument("--model", type=Path, default=FOLDER / "fashion")
    add_out(parser)
    parser.add_argument("--steps", type=int, default=25, help="of the sampler")
    parser.add_argument("--samples", type=int, default=32, help="a cell")
    add_seed(parser)
    parser.add_argument("--parts", default=",".join(PARTS), help="of these; what else the file holds stays")
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        all_parts(arguments)


if __name__ == "__main__":
    main()

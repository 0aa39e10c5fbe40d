"""`python -m docs.experiments.flow.epsilon.measure --data openmoji.npz.xz --out DIR --minutes M`: the ε demonstrator with 5, 10 and 20 steps, on one GPU.

The model, its average image and spread are the package's own. Drawn are DDIM, DPM++ and UniPC of diffusers from the matched start, DDIM with
corrected steps, and the same from noise and from the mean, at guidance 1 and 3, all from the same noise. For each seed, again after each cell:

    seed-K/flow-epsilon.json         cells, as `docs.experiments.flow.measure` notes them
    seed-K/flow-epsilon-CELLS.npz    influences and brightness of the cells' samples
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.flow.blocks import GUIDANCES
from docs.experiments.flow.committed import CLASSIFIER
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.epsilon.draw import Epsilons
from docs.experiments.flow.epsilon.ways import CORRECTED, MATCHED, MEAN, NOISE, SPARED, TO_THE_END, Way
from docs.experiments.flow.measure import Measured, OutOfTimeError, floor
from docs.experiments.flow.metrics import Judge
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.distances import of_classifier
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.draw import Drawer
from docs.experiments.model.fit import say
from docs.experiments.script.arguments import add_amounts, add_data, add_out, command, one_line_errors
from docs.experiments.script.device import add_device, prepared
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import load_average
from singdiffusion.demonstrator import AVERAGE, PIPELINE
from singtheory.errors import InputError

NAME = "flow-epsilon"
Block = tuple[Sequence[Way], tuple[int, ...], tuple[float, ...]]
"""Ways, numbers of steps and weights of guidance."""
ALL: tuple[Block, ...] = (
    ((*MATCHED, *CORRECTED), (5, 10), GUIDANCES),
    ((*SPARED, *NOISE[:3]), (5, 10), GUIDANCES),
    ((*MATCHED, *CORRECTED), (20,), GUIDANCES),
    (TO_THE_END, (5, 10), GUIDANCES),
    ((*SPARED, *TO_THE_END), (20,), GUIDANCES),
    ((*NOISE[3:], *MEAN), (5, 10), GUIDANCES),
    ((*NOISE, *MEAN), (20,), GUIDANCES),
)
_PAIRED = (MATCHED[0], MATCHED[2], CORRECTED[0], SPARED[0])
FEW: tuple[Block, ...] = (
    ((*MATCHED[:3], *CORRECTED[:2], SPARED[0]), (5,), (1.0,)),
    (_PAIRED, (5,), (3.0,)),
    (_PAIRED, (10,), (1.0,)),
    ((MATCHED[3], MATCHED[5], *CORRECTED[2:]), (5,), (1.0,)),
    (_PAIRED, (20,), (1.0,)),
)
PLANS = {"all": ALL, "few": FEW}
"""Cells in the order of their importance: all, for a GPU, and a few, for a processor."""


def plan(block: Block) -> list[tuple[Any, float, int]]:
    """The cells of a block: a way, a weight of guidance and a number of steps each."""
    ways, budgets, guidances = block
    return [(way, guidance, budget) for budget in budgets for guidance in guidances for way in ways]


def measured(arguments: argparse.Namespace, data: Captioned, since: float) -> Iterator[Measured]:
    """A run for each seed; all draw from one network and are judged alike."""
    dtype = torch.bfloat16 if arguments.bfloat16 else None
    drawer = Drawer(Denoiser.load(PIPELINE), arguments.device, arguments.batch, arguments.compile, dtype)
    trained: Any = load_average(AVERAGE, dtype=torch.float32).to(arguments.device).eval()
    classifier = Classifier.load(CLASSIFIER)
    classifier.network.to(arguments.device)
    moments = Moments.of(data, arguments.device)
    judge = Judge(data, moments, classifier, {"the classifier": of_classifier(classifier)}, arguments.device)
    epsilons: Any = Epsilons(drawer, trained, moments)
    amounts = (arguments.samples, arguments.each, arguments.without)
    for seed in seeds_of(arguments.seeds):
        folder = arguments.out / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        content = origin("docs.experiments.flow.epsilon.measure", arguments.device, seed)
        result = Result.continued(folder / f"{NAME}.json", content)
        one = Measured(epsilons, judge, data, result, since + 60 * arguments.minutes, amounts, seed)
        if arguments.prompts:
            one.prompts = [prompt for prompt in arguments.prompts.split(",") if prompt in data.captions]
            one.kinds = {prompt: one.kinds[prompt] for prompt in one.prompts}
        result.add("network", str(drawer.dtype).removeprefix("torch."))
        result.add("amounts", {"captions": arguments.samples, "each prompt": arguments.each})
        result.add("floor", floor(one))
        result.add("kinds", one.kinds)
        yield one


def seeds_of(words: str) -> list[int]:
    """`0,1` are two. Raises `InputError` for another form."""
    parts = words.split(",")
    if not all(part.isdigit() for part in parts):
        raise InputError(f"seeds {words}: give whole numbers with commas, such as 0,1")
    return [int(part) for part in parts]


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser)
    parser.add_argument("--seeds", default="0,1", help="of the noise, a run each")
    parser.add_argument("--minutes", type=float, default=3, help="after which no further cell is begun")
    add_amounts(parser, without=0)
    parser.add_argument("--batch", type=int, default=1024, help="images that the network sees at once")
    parser.add_argument("--plan", default="all", choices=list(PLANS), help="which cells, all or a few")
    parser.add_argument("--prompts", help="some of the eight, with commas; all if not given")
    parser.add_argument("--bfloat16", action="store_true", help="the network in this precision, for a processor")
    parser.add_argument("--compile", action="store_true")
    add_device(parser)
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser):
        arguments.device = prepared(arguments.device)
        runs = list(measured(arguments, read(arguments.data), since))
        say(f"loaded, {time.perf_counter() - since:.0f} s")
        try:
            for block in PLANS[arguments.plan]:
                for one in runs:
                    one.draw(plan(block))
                say(
                    f"{len(block[0])} ways at {block[1]}, guidance {block[2]} done, {time.perf_counter() - since:.0f} s"
                )
        except OutOfTimeError:
            say("the minutes are over")
        for one in runs:
            one.save()


if __name__ == "__main__":
    main()

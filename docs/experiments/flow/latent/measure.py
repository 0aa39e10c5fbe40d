"""`python -m docs.experiments.flow.latent.measure --models DIR --data openmoji128.npz.xz --out DIR --minutes M`: the latent models, measured on one GPU.

`--models` is what `docs.experiments.flow.latent.train` wrote. Pictures are judged after decoding. The parts, each noted as it comes:

    expected     what F6 says of Euler's steps from the latents' eigenvalues, before anything is drawn
    floor        distances and brightness of as many of the data's own pictures, and of their reconstructions
    first        the flow's cells that count most: ways at 4 and 6 evaluations, guidance 1 and 3
    prediction   standard deviation along the latents' principal components, and of brightness, beside the law and the exact denoiser
    pictures     samples of the same noise, a row a way
    second       the same ways at 10, 20 and 8
    epsilon      the ε twin's cells, in a folder of their own
    ranks        the start and the steps along 1 and 16 directions in the place of 64, at 4 and 6
    others       the flow's other cells

Written again after each cell: `flow-latent.json`, `flow-latent-CELLS.npz`, and the same of `epsilon/flow-epsilon`. A cell that is there already is not drawn again.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.flow import predict
from docs.experiments.flow.committed import CLASSIFIER
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.latent import prediction
from docs.experiments.flow.latent.decoded import Decoded, Twin
from docs.experiments.flow.latent.judge import DecodedJudge, principal
from docs.experiments.flow.latent.space import Space
from docs.experiments.flow.latent.train import MODELS, space_of
from docs.experiments.flow.measure import Measured, OutOfTimeError, features_of
from docs.experiments.flow.metrics import of_small_pictures
from docs.experiments.flow.ways import EPSILON, LATENT, WAYS, Way
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.distances import of_classifier
from docs.experiments.model.draw import Drawer
from docs.experiments.model.fit import say
from docs.experiments.model.tars import unpacked
from docs.experiments.script.arguments import add_amounts, add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, prepared
from docs.experiments.script.result import Result, origin, quiet
from singtheory.data import to_bytes

PARTS = ("first", "prediction", "pictures", "second", "epsilon", "ranks", "others")
NAME, EPSILON_NAME = "flow-latent", "flow-epsilon"
_RIVALS = tuple(WAYS[name] for name in ("Euler, shift 1", "Euler, shift 3", "UniPC", "DPM++ 2M", "Euler, shift 4.6"))
_OURS = tuple(
    WAYS[name]
    for name in (
        "UniPC matched, statistics, rank 64",
        "Euler corrected, network mean, statistics, rank 64",
        "Euler matched, statistics, rank 64",
        "DPM++ 2M matched, statistics, rank 64",
    )
)
_RANKS = tuple(
    WAYS[name]
    for rank in (1, 16)
    for name in (
        f"UniPC matched, statistics, rank {rank}",
        f"Euler matched, statistics, rank {rank}",
        f"Euler corrected, network mean, statistics, rank {rank}",
    )
)
_OTHERS = (*(way for way in LATENT if "unguided" in way.name or "shift 1" in way.name), WAYS["UniPC, shift 1"])
Blocks = tuple[tuple[Sequence[Way], tuple[int, ...]], ...]
FIRST: Blocks = (((*_RIVALS, *_OURS), (4, 6)),)
SECOND: Blocks = (((*_RIVALS, *_OURS), (10, 20, 8)),)
RANKS: Blocks = ((_RANKS, (4, 6)),)
OTHERS: Blocks = (
    (_OTHERS, (4, 6)),
    (_RANKS, (10, 8)),
    ((WAYS["UniPC"], WAYS["UniPC matched, statistics, rank 64"]), (50,)),
    (_OTHERS, (10, 8)),
    ((*_RANKS, *_OTHERS), (20,)),
)
"""Cells in the order of their importance."""
TWINS: Blocks = ((EPSILON, (10, 5, 20)),)
BLOCKS = {"first": FIRST, "second": SECOND, "ranks": RANKS, "others": OTHERS}
_EXACT, _MANY, _ROW = 1024, 250, 8
_SHOWN = ("Euler, shift 1", "Euler, shift 3", "UniPC", "UniPC matched, statistics, rank 64")


class Loaded:
    """Models on a device with what is known of the data.

    Args:
        arguments: of the command.
        data: the pictures.
        folder: for what is unpacked.
    """

    def __init__(self, arguments: argparse.Namespace, data: Captioned, folder: Path) -> None:
        self.arguments, self.data, self.folder, self.device = arguments, data, folder, arguments.device
        self.space: Space = space_of(arguments.models, arguments.device)
        self.latents = self.space.encode(data.images)
        self.moments = Moments.of_points(self.latents, self.device)
        self.levels = prediction.levels_of(self.space, self.latents)
        self.share = prediction.shares(self.latents, self.levels, self.moments)
        self.drawers: dict[str, Drawer] = {}

    def drawer(self, kind: str) -> Drawer:
        """Everything of the flow or of its ε twin, loaded once."""
        if kind not in self.drawers:
            name = f"{kind}-latent"
            model = MODELS[kind].load(unpacked(self.arguments.models / f"{name}.tar", self.folder))
            self.drawers[kind] = Drawer(model, self.device, self.arguments.batch, self.arguments.compile)
        return self.drawers[kind]

    def flows(self) -> Decoded:
        """The flow, decoded."""
        return Decoded(self.drawer("flow"), self.moments, self.space)

    def twin(self) -> Twin:
        """The ε twin, decoded."""
        return Twin(self.drawer("epsilon"), self.drawer("flow"), self.moments, self.space)

    def judge(self) -> DecodedJudge:
        """The judge of decoded pictures."""
        classifier = Classifier.load(CLASSIFIER)
        classifier.network.to(self.device)
        features = features_of(self.arguments.models, None, self.device)  # of EfficientNet where its weights are
        features["the classifier"] = of_small_pictures(of_classifier(classifier))
        judge = DecodedJudge(self.data, principal(self.data, self.device), None, features, self.device)
        judge.compare_to([self.space.decode(some).clamp(-1, 1) for some in self.latents.split(2048)])
        return judge


def measured(loaded: Loaded, flows: Flows, judge: DecodedJudge, result: Result, deadline: float) -> Measured:
    """A run of cells whose noise has the size of latents."""
    arguments = loaded.arguments
    amounts = (arguments.samples, arguments.each, arguments.without)
    one = Measured(flows, judge, loaded.data, result, deadline, amounts, arguments.seed)
    channels, height, width = loaded.latents.shape[1:]
    one.size, one.shown = (channels, height, width), ()
    result.add("amounts", dict(zip(("captions", "each prompt", "no prompt"), amounts, strict=True)))
    result.add("kinds", one.kinds)
    return one


def floors(one: Measured, loaded: Loaded) -> dict[str, Any]:
    """Distances of as many of the data's own pictures at random, and of their reconstructions; and of each prompt's."""
    rows = torch.randint(len(one.data), (one.amounts[0],), generator=torch.Generator().manual_seed(one.seed + 1))
    decoded = loaded.space.decode(loaded.latents[rows]).clamp(-1, 1)
    sets = {"pictures": one.data.x_0(rows).to(loaded.device), "reconstructions": decoded}
    record: dict[str, Any] = {
        name: {metric: one.value for metric, one in one.judge.distances(images).items()}
        for name, images in sets.items()
    }
    record["prompts"] = {}
    for prompt in one.prompts:
        images = loaded.space.decode(loaded.latents[one.data.rows(prompt)]).clamp(-1, 1)
        record["prompts"][prompt] = one.judge.prompt(images, prompt)[0]
    return record


def predicted(one: Measured, loaded: Loaded) -> None:
    """The network without a prompt and the exact denoiser of the data's latents, beside the law."""
    flows = Flows(loaded.drawer("flow"), None, loaded.moments)
    lam = loaded.moments.eigenvalues[: prediction.COMPONENTS]
    record = one.result.content.get("prediction", {"eigenvalues": predict.rounded(lam), "network": [], "exact": []})
    n, std = one.amounts[2], float(loaded.levels.std())
    x_1 = torch.randn(n, *one.size, generator=torch.Generator().manual_seed(one.seed)).to(loaded.device)
    points = loaded.latents.flatten(1).to(loaded.device)
    wanted = [(steps, shift) for shift in prediction.shifts_of(points.shape[1]) for steps in prediction.STEPS]
    for steps, shift in [*wanted, (_MANY, 3.0)]:
        if any((row["steps"], row["shift"]) == (steps, shift) for row in record["network"]):
            continue
        one.check_time()
        few = x_1[: min(n, _EXACT)]
        noise = few if steps == _MANY else x_1
        record["network"].append(prediction.compared(flows, loaded.space, noise, steps, shift, loaded.share, std))
        if steps != _MANY:
            row = predict.exact(points, few, loaded.moments, steps, shift, lam)
            kept = torch.tensor(row["exact"], dtype=torch.float64)
            record["exact"].append(row | {"brightness": round(predict.brightness_kept(kept, loaded.share), 5)})
        one.result.add("prediction", record)
        row = record["network"][-1]
        say(f"prediction {steps}, {shift:g}: {row['brightness']}, by the law {row['brightness by the law']}")


def pictures(one: Measured, path: Path, steps: int = 4) -> None:
    """A row a way and prompt that leaves the brightness open, the same noise."""
    words = [prompt for prompt in one.prompts if one.kinds[prompt] == "open" for _ in range(_ROW)]
    x_1 = torch.randn(len(words), *one.size, generator=torch.Generator().manual_seed(one.seed))
    rows = []
    for name in _SHOWN:
        images, _ = one.flows(WAYS[name], x_1.to(one.judge.device), words, 1.0, steps)
        strip = to_bytes(images.cpu()).movedim(1, 3).numpy()
        rows.append(np.concatenate(list(strip[: 3 * _ROW]), axis=1))
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.BOX).save(path)


def twins(loaded: Loaded, judge: DecodedJudge, deadline: float) -> None:
    """The ε twin's cells, in a result of their own."""
    folder: Path = loaded.arguments.out / "epsilon"
    folder.mkdir(exist_ok=True)
    record = origin("docs.experiments.flow.latent.measure", loaded.arguments.device, loaded.arguments.seed)
    one = measured(loaded, loaded.twin(), judge, Result.continued(folder / f"{EPSILON_NAME}.json", record), deadline)
    try:
        one.rivals(TWINS)
    except OutOfTimeError:
        say("the twin's seconds are over")
    one.save()


def gone_through(one: Measured, loaded: Loaded, judge: DecodedJudge, since: float) -> None:
    """The parts in their order, as far as the time reaches."""
    arguments = loaded.arguments
    for name in arguments.parts.split(","):
        if name in BLOCKS:
            one.rivals(BLOCKS[name])
        elif name == "prediction":
            predicted(one, loaded)
        elif name == "pictures":
            pictures(one, arguments.out / "samples.png")
        elif name == "epsilon" and (arguments.models / "epsilon-latent.tar").exists():
            twins(loaded, judge, min(one.deadline, time.perf_counter() + arguments.epsilon_seconds))
        say(name, f"done, {time.perf_counter() - since:.0f} s")


def main() -> None:
    """On one GPU, or tiny on a CPU."""
    parser = command(__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder that the training wrote")
    add_data(parser)
    add_out(parser)
    parser.add_argument("--minutes", type=float, default=8.5, help="after which no further cell is begun")
    parser.add_argument("--epsilon-seconds", type=float, default=90, help="after which no further cell of the twin is")
    parser.add_argument("--parts", default=",".join(PARTS))
    add_amounts(parser, without=4096)
    parser.add_argument("--batch", type=int, default=1024, help="latents that the network sees at once")
    parser.add_argument("--compile", action="store_true")
    add_device(parser)
    add_seed(parser)
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser), TemporaryDirectory() as folder:
        arguments.device = prepared(arguments.device)
        arguments.out.mkdir(parents=True, exist_ok=True)
        record = origin("docs.experiments.flow.latent.measure", arguments.device, arguments.seed)
        result = Result.continued(arguments.out / f"{NAME}.json", record)
        loaded = Loaded(arguments, read(arguments.data), Path(folder))
        result.add("eigenvalues", predict.rounded(loaded.moments.var[: prediction.COMPONENTS]))
        result.add("brightness shares", predict.rounded(loaded.share))
        if "expected" not in result.content:  # what was said beforehand stays as it was said
            d = loaded.moments.mean.numel()
            result.add("expected", prediction.expected(loaded.moments.eigenvalues, loaded.share, d))
        judge = loaded.judge()
        one = measured(loaded, loaded.flows(), judge, result, since + 60 * arguments.minutes)
        result.add("floor", floors(one, loaded))
        say(f"loaded, {time.perf_counter() - since:.0f} s; floor {result.content['floor']['reconstructions']}")
        try:
            gone_through(one, loaded, judge, since)
        except OutOfTimeError:
            say("the minutes are over")
        one.save()


if __name__ == "__main__":
    main()

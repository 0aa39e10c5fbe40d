"""`python -m docs.experiments.ladder.stable_diffusion PATH_OR_ID --module MODULE --out FOLDER`: the ladder's fourth stage: any Stable Diffusion 1.x, 2.x or XL of diffusers.

The checks of the first three stages on a pipeline of latents: brightness of the paper's prompts and of prompts that leave it open, from noise, from noise on the
trailing grid, and from every start that the given average images have, over guidance; then one factor at a time at guidance 3. With
`--coco DATA` the paper's protocol too: FID and CLIP score of 30,000 captions over guidance. With `--controlnet` and `--control`, through a ControlNet.
Writes OUT/stable-diffusion.json after every row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from docs.experiments.data.prompts import Prompts
from docs.experiments.model.draw import SAMPLERS
from docs.experiments.model.fit import say
from docs.experiments.script.arguments import add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.average import load_average
from singdiffusion.evaluation import (
    COCO,
    GUIDANCES,
    PROMPTS,
    Metrics,
    brightness,
    captioned,
    control_of,
    curve,
    load_pipeline,
    place,
)
from singdiffusion.start import SingDiffusion
from singtheory.errors import unknown_name

STABLE_DIFFUSION = Prompts(fixed=PROMPTS, open=("a cat", "a house", "a red apple", "a logo"))
"""The paper's test of brightness (arXiv 2403.08381), and prompts that leave it open."""
CORE, FACTOR = (1.5, 3.0, 7.5), 3.0
"""Weights of guidance: of the core, and of the factors."""

Starts = Mapping[str, SingDiffusion | None]


@dataclass(frozen=True)
class Amounts:
    """How much is drawn.

    Attributes:
        images: a prompt and start.
        steps: of DDIM, where they are no factor.
        seed: of the first image.
        batch: images at once.
        core: weights of guidance.
        factor_steps: numbers of steps that are compared.
        call: to the pipeline besides, such as a ControlNet's image.
    """

    images: int = 256
    steps: int = 50
    seed: int = 0
    batch: int = 16
    core: Sequence[float] = CORE
    factor_steps: Sequence[int] = (10, 25, 100)
    call: Mapping[str, Any] = field(default_factory=dict)


def starts_of(module: str | None, statistics: str | None, dtype: Any) -> dict[str, SingDiffusion | None]:
    """All that the given average images allow; noise alone without any.

    Args:
        module: folder or id of an average image that reads the prompt.
        statistics: of a prompt-free one.
        dtype: of their weights.

    Raises:
        InputError: as `load_average`.
    """
    starts: dict[str, SingDiffusion | None] = {"noise": None}
    if module is not None:
        average = load_average(module, dtype=dtype)
        starts["mean"] = SingDiffusion(average, start="mean")
        if average.rank:
            starts["matched"] = SingDiffusion(average, start="matched")
    if statistics is not None:
        average = load_average(statistics, dtype=dtype)
        starts["statistics"] = SingDiffusion(average, start="matched" if average.rank else "mean")
    return starts


def core(pipe: Any, starts: Starts, amounts: Amounts, result: Result) -> None:
    """All starts, prompts and weights of guidance on DDIM, and noise on the trailing grid."""
    for guidance in amounts.core:
        _drawn(pipe, "DDIM", starts, STABLE_DIFFUSION.all, guidance, amounts.steps, amounts, result)
        _drawn(pipe, "DDIM trailing", {"noise": None}, STABLE_DIFFUSION.all, guidance, amounts.steps, amounts, result)


def factors(pipe: Any, starts: Starts, amounts: Amounts, result: Result) -> None:
    """One at a time: samplers, steps, guidance."""
    few = (*STABLE_DIFFUSION.fixed[:2], *STABLE_DIFFUSION.open[:2])
    for name in ("Euler", "DPM++", "PNDM"):
        _drawn(pipe, name, starts, few, FACTOR, amounts.steps, amounts, result)
    for steps in amounts.factor_steps:
        _drawn(pipe, "DDIM", starts, few, FACTOR, steps, amounts, result)
    for guidance in (1.0, 10.0):
        _drawn(pipe, "DDIM", starts, few, guidance, amounts.steps, amounts, result)


def _drawn(
    pipe: Any,
    sampler: str,
    starts: Starts,
    prompts: Sequence[str],
    guidance: float,
    steps: int,
    amounts: Amounts,
    result: Result,
) -> None:
    kind, options = SAMPLERS[sampler]
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **({"timestep_spacing": "leading"} | options))
    rows = result.content.setdefault("rows", [])
    for row in brightness(
        pipe, starts, prompts, amounts.images, steps, guidance, amounts.seed, amounts.batch, **amounts.call
    ):
        cell = {"sampler": sampler, "steps": steps, "guidance": guidance, "kind": STABLE_DIFFUSION.kind(row.prompt)}
        rows.append(row.to_json() | cell)
        result.add("rows", rows)
        say(
            f"{row.prompt!r} from {row.start}, {sampler}, {steps} steps, guidance {guidance:g}: {row.mean:.1f} ± {row.std:.1f}"
        )


def coco(
    pipe: Any,
    starts: Starts,
    source: str,
    count: int,
    metrics: Metrics,
    amounts: Amounts,
    result: Result,
    weights: Sequence[float] = GUIDANCES,
) -> None:
    """The paper's protocol: FID and CLIP score over guidance.

    Args:
        pipe: a text-to-image pipeline.
        starts: by name.
        source: captioned photographs.
        count: captions, and as many photographs.
        metrics: that judge.
        amounts: steps and seed.
        result: that every part is added to.
        weights: of guidance.

    Raises:
        InputError: as `captioned` and `curve`.
    """
    kind, options = SAMPLERS["DDIM"]
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **({"timestep_spacing": "leading"} | options))
    captions, real, notes = captioned(source, count)
    say(*notes)
    points: list[dict[str, Any]] = []
    for point in curve(pipe, starts, captions, real, metrics, weights, amounts.steps, amounts.seed, **amounts.call):
        points.append(asdict(point))
        result.add("coco", points)
        say(f"{point.start} at {point.guidance:g}: FID {point.fid:.2f}, CLIP score {point.clip:.2f}")


PARTS = {"core": core, "factors": factors}


def main(arguments: Sequence[str] | None = None) -> None:
    """With its arguments."""
    parser = command(__doc__)
    parser.add_argument("base", help="folder or hub id of a text-to-image pipeline")
    parser.add_argument("--module", help="folder or hub id of its average image")
    parser.add_argument("--statistics", help="of a prompt-free one")
    parser.add_argument("--controlnet", help="folder or hub id")
    parser.add_argument("--control", type=Path, help="the image that it is given")
    parser.add_argument(
        "--coco", help="captioned photographs: a folder, .tar shards or a hub id; needs the extra [eval]"
    )
    parser.add_argument("--count", type=int, default=COCO, help="captions of it")
    parser.add_argument("--parts", default="core,factors", help="of core and factors")
    add_out(parser)
    parser.add_argument("--images", type=int, default=256, help="a prompt and start")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=16)
    add_device(parser)
    add_seed(parser)
    options = parser.parse_args(arguments)
    quiet()
    with one_line_errors(parser):
        where, dtype = place(options.device)
        metrics = None if options.coco is None else Metrics.of_torchmetrics(device=where)
        control = control_of(options.controlnet, options.control, dtype)
        starts = starts_of(options.module, options.statistics, dtype)
        pipe = load_pipeline(options.base, None, where, dtype, **control.parts)
        result = Result(
            options.out / "stable-diffusion.json",
            origin("docs.experiments.ladder.stable_diffusion", where, options.seed),
        )
        result.add("base", Path(options.base).name)
        amounts = Amounts(options.images, options.steps, options.seed, options.batch, call=control.call)
        for part in filter(None, options.parts.split(",")):
            if part not in PARTS:
                raise unknown_name("part", part, PARTS)
            PARTS[part](pipe, starts, amounts, result)
        if metrics is not None and options.coco is not None:
            coco(pipe, starts, options.coco, options.count, metrics, amounts, result)


if __name__ == "__main__":
    main()

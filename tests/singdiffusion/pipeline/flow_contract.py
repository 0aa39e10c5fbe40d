"""What `SingDiffusion` must do to every flow pipeline of diffusers, and whether it does: right, or refused at attach.

A run is listened to from outside, where the pipeline calls `scheduler.step`. Every step that starts at σ = 1 must give
`α_s m + σ_s x_1 + Σ_k (√(α_s² λ_k + σ_s²) − σ_s) ⟨x_1, φ_k⟩ φ_k` with m the network's own mean image, here in float64 from what the pipeline
gave to that step. `python -m tests.singdiffusion.pipeline.flow_contract --out FILE` runs all pipelines, or those that are named, and writes the counts; the committed ones are in `flow_pipelines.json` beside it.
"""

import collections
import functools
import inspect
import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from singdiffusion import SingDiffusion
from singtheory.errors import InputError
from singtheory.system import write_json
from tests.singdiffusion.pipeline import flow_families
from tests.support.out_file import parser

RECORD = Path(__file__).with_name("flow_pipelines.json")
"""What was found for each pipeline."""

TOLERANCE = 1e-3
"""Of the state after the first step, against its size."""

STD = (6.0, 2.0)
"""Deviations along the known directions once the step has scaled them by its α, so that a step that is not mended is far from the formula."""


@dataclass(frozen=True)
class Step:
    """One call of `scheduler.step`: what it was given and gave, and the sigmas before it."""

    output: Tensor
    sample: Tensor
    result: Tensor
    index: int
    sigmas: Tensor
    reversed: bool


@dataclass
class Found:
    """What a pipeline does with the singular step.

    Args:
        verdict: `right`, `refused` or `wrong`.
        reason: why, in one line; empty for `right`.
        stepped: shape of what the scheduler steps.
        directions: how directions were given: as `pictures`, or as what is `stepped`.
        error: largest error of a first step, of its size.
        unmended: the same of the step as it was, which must be far.
        first_steps: how many steps started at σ = 1.
        below: what happens below full strength; empty where a pipeline has no strength.
    """

    verdict: str
    reason: str = ""
    stepped: list[int] | None = None
    directions: str = ""
    error: float | None = None
    unmended: float | None = None
    first_steps: int = 0
    below: str = ""


class Spy:
    """In the place of `scheduler.step`: keeps what goes in and out. A copy of the scheduler has its own step again."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler, self.inner, self.steps = scheduler, scheduler.step, []
        functools.update_wrapper(self, scheduler.step)
        scheduler.step = self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = memo.get(id(self.scheduler))
        return self if made is None else MethodType(type(made).step, made)

    def __call__(self, model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's own."""
        scheduler = self.scheduler
        before, arguments = sample.double(), model_output.double()
        actual = self.inner(model_output, timestep, sample, *args, **kwargs)
        after = actual[0] if isinstance(actual, tuple) else actual.prev_sample
        index = 0 if getattr(scheduler, "step_index", None) is None else scheduler.step_index - 1
        each = kwargs.get("per_token_timesteps") is not None  # with these the velocity is taken the other way round
        self.steps.append(Step(arguments, before, after.double(), index, scheduler.sigmas.double(), each))
        return actual


class Drawn(TorchFunctionMode):
    """Keeps every tensor of normal noise that is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.noises: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch calls in the place of its functions."""
        actual = func(*args, **(kwargs or {}))
        if func in (torch.randn, torch.randn_like):
            self.noises.append(actual)
        return actual


def plain_run(name: str, **call: Any) -> tuple[list[Step], list[Tensor], Any]:
    """Steps of a pipeline as it is, the noise that it drew, and its result."""
    pipe = flow_families.build(name)
    spy, drawn = Spy(pipe.scheduler), Drawn()
    with torch.no_grad(), drawn:
        result = flow_families.run(pipe, **call)
    return spy.steps, drawn.noises, _first_of(result)


def _first_of(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else next(iter(result.values()))


def orthonormal(shape: tuple[int, ...], count: int = len(STD)) -> Tensor:
    """Orthonormal directions, shape (count, *shape), float64."""
    rows = torch.randn(math.prod(shape), count, dtype=torch.float64, generator=torch.Generator().manual_seed(11))
    return torch.linalg.qr(rows).Q.mT.reshape(count, *shape)


_PICTURES = {3: ((0, 1, 2), (2, 0, 1)), 4: ((0, 2, 3), (1, 2, 3), (3, 1, 2))}
"""Axes of channels, height and width in noise of three axes, or of four with frames: channels first, after the frames, or last."""


def order_of(stepped: Tensor, noises: list[Tensor]) -> tuple[tuple[int, ...], Tensor] | None:
    """Shape of the noise that was drawn, and the entry of it for each entry of what is stepped, by equal values; None if it is not it."""
    values, order = stepped.flatten().sort()
    for noise in reversed(noises):
        if noise[0].numel() == stepped.numel() and noise[0].ndim in (3, 4):
            drawn, entries = noise[0].double().flatten().sort()
            if torch.equal(drawn, values):
                return tuple(noise.shape[1:]), torch.empty_like(order).index_copy_(0, order, entries)
    return None


def directions(first: Step, noises: list[Tensor], height_to_width: float) -> tuple[str, Tensor, Tensor, int]:
    """How directions are given, as they are given, as they lie in what is stepped, and how many frames share one.

    As pictures (channels, height, width) where what is stepped is noise that was drawn as such, or with frames, or has that shape. Else as stepped.
    """
    shape = tuple(first.sample.shape[1:])
    actual = order_of(first.sample[0], noises)
    drawn, order = actual or (shape, torch.arange(first.sample[0].numel()))
    for axes in _PICTURES.get(len(drawn), ()):
        channels, height, width = (drawn[axis] for axis in axes)
        if height * height_to_width == width and (channels, height, width) != shape[1:]:
            basis = orthonormal((channels, height, width))
            frames = math.prod(drawn) // basis[0].numel()
            places = torch.arange(math.prod(drawn)).reshape(drawn)
            free = [axis for axis in range(len(drawn)) if axis not in axes]
            shared = places.permute(*free, *axes).reshape(
                frames, -1
            )  # entry of the drawn noise, by frame and entry of the picture
            whole = torch.zeros(len(basis), math.prod(drawn), dtype=torch.float64)
            whole[:, shared.flatten()] = basis.flatten(1).repeat(1, frames) / frames**0.5
            return "pictures", basis, whole[:, order].reshape(-1, *shape), frames
    basis = orthonormal(shape)
    return "stepped", basis, basis, 1


def levels(step: Step) -> tuple[float, float, float]:
    """σ before and after a step, and 1 where the network gives x_1 less its mean image, or −1 for the negative."""
    now, after = (float(sigma) for sigma in step.sigmas[step.index : step.index + 2])
    sign = 1.0 if now > after else -1.0
    if sign < 0:
        now, after = 1 - now, 1 - after
    return now, after, -sign if step.reversed else sign


def formula(step: Step, basis: Tensor, std: Tensor) -> Tensor:
    """The state after a first step, in float64.

    A grid may start a thousandth below σ = 1: then the network's mean image has a little of the deviation, `α λ/(α² λ + σ²) x_1` for the exact one.
    """
    sigma, sigma_s, sign = levels(step)
    alpha, alpha_s = 1 - sigma, 1 - sigma_s
    x_1, rows = step.sample.flatten(1), basis.flatten(1)
    mean = x_1 - sign * sigma * step.output.flatten(1)
    keeps = sigma_s / sigma
    variance = std**2
    has = keeps + (alpha_s - keeps * alpha) * alpha * variance / (alpha**2 * variance + sigma**2)
    wider = (alpha_s**2 * variance + sigma_s**2).sqrt() - has
    plain = keeps * x_1 + (alpha_s - keeps * alpha) * mean
    return (plain + (wider * (x_1 @ rows.mT)) @ rows).reshape(step.sample.shape)


def plain(step: Step) -> Tensor:
    """The state after an Euler step that is not mended."""
    sigma, sigma_s, sign = levels(step)
    return step.sample + sign * (sigma_s - sigma) * step.output


def is_first(step: Step) -> bool:
    """Whether a step is the first of its grid, and starts at σ = 1."""
    return step.index == 0 and levels(step)[0] > 1 - 2.5e-3


def off(got: Tensor, want: Tensor) -> float:
    """The error of a state, of its size."""
    return float((got - want).norm() / want.norm())


def contract(name: str, **call: Any) -> Found:
    """Attach to a tiny pipeline of that class, run it, and compare."""
    try:
        refused = SingDiffusion(spread=(orthonormal((1, 4)), torch.tensor(STD)), mean="network")
        refused.attach(flow_families.build(name))
    except InputError as refusal:
        return Found("refused", str(refusal))
    steps, noises, _ = plain_run(name, **call)
    if not steps:
        kind, basis, laid, frames = "stepped", *[orthonormal((1, 4))] * 2, 1
    else:
        kind, basis, laid, frames = directions(steps[0], noises, flow_families.WIDE / flow_families.SIDE)
    std = torch.tensor(STD, dtype=torch.float64) / (1 - levels(steps[0])[1] if steps else 1.0)
    pipe = flow_families.build(name)
    sing = SingDiffusion(spread=(basis.float(), std.float()), mean="network")
    sing.attach(pipe)
    shape = list(steps[0].sample.shape[1:]) if steps else None
    actual = Found("wrong", stepped=shape, directions=kind)
    spy = Spy(pipe.scheduler)
    try:
        with torch.no_grad():
            flow_families.run(pipe, **call)
    except Exception as error:
        actual.reason = (
            f"raised at the call: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        )
        return actual
    firsts = [step for step in spy.steps if is_first(step)]
    actual.first_steps = len(firsts)
    if not firsts:
        actual.reason = "no step of its scheduler starts at sigma 1, and nothing was said"
        return actual
    wide = std * frames**0.5
    actual.error = max(off(step.result, formula(step, laid, wide)) for step in firsts)
    actual.unmended = min(off(plain(step), formula(step, laid, wide)) for step in firsts)
    if actual.error <= TOLERANCE < actual.unmended:
        actual.verdict = "right"
    else:
        actual.reason = "the first step is not that of the formula"
    return actual


class Lines(logging.Handler):
    """Keeps the log lines of the package."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


def strength_of(name: str) -> str | None:
    """The argument of a pipeline that says how much of the given picture is noised away; None where it has none."""
    takes = inspect.signature(flow_families.flow_pipelines()[name].__call__).parameters
    return next((strength for strength in ("denoise_strength", "strength") if strength in takes), None)


def below_full_strength(name: str, strength: str) -> str:
    """What happens at strength 0.5: must be `left alone and said`."""
    call = {strength: 0.5, "num_inference_steps": 4}
    plain, _, result = plain_run(name, **call)
    pipe = flow_families.build(name)
    basis = orthonormal(tuple(plain[0].sample.shape[1:])).float()
    SingDiffusion(spread=(basis, torch.tensor(STD)), mean="network").attach(pipe)
    heard = Lines()
    logger = logging.getLogger("singdiffusion")
    logger.addHandler(heard)
    try:
        with torch.no_grad():
            mine = _first_of(flow_families.run(pipe, **call))
    finally:
        logger.removeHandler(heard)
    said = any(line.startswith("WARNING") and "left as it is" in line for line in heard.lines)
    same = torch.equal(torch.as_tensor(mine), torch.as_tensor(result))
    return f"{'left alone' if same else 'changed'} and {'said' if said else 'not said'}"


_KEPT = ("verdict", "reason", "stepped", "directions", "first_steps", "below")
"""What the file keeps: errors differ in their last digits from machine to machine, verdicts do not."""


def record(actual: dict[str, Found]) -> dict[str, Any]:
    """The counts and each pipeline's line, for the file."""
    counts = collections.Counter(one.verdict for one in actual.values())
    kept = {name: {key: asdict(one)[key] for key in _KEPT if asdict(one)[key]} for name, one in actual.items()}
    return {"counts": dict(sorted(counts.items())), "pipelines": kept}


def main() -> None:
    """Run the named pipelines, or all, print the counts, and write them to the file of `--out` beside those that it has."""
    arguments = parser(__doc__, RECORD)
    arguments.add_argument("names", nargs="*", metavar="PIPELINE")
    chosen = arguments.parse_args()
    names, out = chosen.names, chosen.out
    pipelines = flow_families.flow_pipelines()
    made: dict[str, Found] = {}
    for name in names or pipelines:
        made[name] = contract(name)
        strength = strength_of(name)
        if made[name].verdict == "right" and strength is not None:
            made[name].below = below_full_strength(name, strength)
        print(name, made[name], flush=True)
    had = json.loads(out.read_text())["pipelines"] if out.exists() else {}
    actual = {name: Found(**one) for name, one in had.items() if name in pipelines} | made
    written = record(dict(sorted(actual.items())))
    write_json(out, written)
    print(written["counts"])


if __name__ == "__main__":
    main()

"""What arrives of the data's spread with a scheduler, its steps and the data, and what each remedy would bring (F10).

    remedies = expected(checkpoint, steps=20, settings={}, reading=reading)

The scheduler itself runs on the denoiser of Gaussian data of the same covariance (`singdiffusion.response.response`), as it is and changed as a line of code
would change it. Directions are the reading's own, such as brightness, groups of principal components, and of pictures the bands of spatial frequency.
"""

import copy
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from singdiffusion.base import Checkpoint, Scheduler, is_discrete, matches_flow, reads, scheduler_class
from singdiffusion.evaluation.data_statistics import Reading
from singdiffusion.evaluation.diagnose_flow import by_tokens, distilled, timed
from singdiffusion.evaluation.directions import Arrival, BandArrival, Directions
from singdiffusion.response import cutting, kept, mended_kept, respond
from singtheory.errors import InputError

_MATCHED = 8
_SOLVERS = {"DPM++": "DPMSolverMultistepScheduler", "UniPC": "UniPCMultistepScheduler"}
_EDM_SOLVERS = {"DPM++": "EDMDPMSolverMultistepScheduler"}
"""By the family of networks: those that are told a noise level instead of a step of training have their own."""
ENOUGH, _GAIN = 0.9, 0.01
"""From this share of the spread on nothing is to mend; and what a remedy must bring to be named."""


def table_code(checkpoint: Checkpoint, data: str, rank: int) -> list[str]:
    """The lines that make a module of the data for the pipeline; a scheduler alone does not say where that is."""
    source = "PATH_OR_ID" if checkpoint.folder is None else checkpoint.name
    return [
        "from singdiffusion import SingDiffusion",
        "from singdiffusion.evaluation import table_of",
        f"module = table_of({_quoted(source)}, {_quoted(data)}, rank={rank})",
    ]


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


@dataclass(frozen=True)
class Remedy:
    """A change, and what it would bring.

    Attributes:
        name: of the change.
        calls: of the network.
        kept: along each direction, in the order of the arrivals.
        bands: in each band of spatial frequency, in their order.
        code: the lines, with `pipe` for the pipeline.
    """

    name: str
    calls: int
    kept: tuple[float, ...]
    bands: tuple[float, ...] = ()
    code: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """What arrives, and the remedies.

    Attributes:
        arrivals: with the scheduler as it is, the reading's own direction first.
        bands: the same by spatial frequency, the lowest first; empty for data that are no pictures.
        calls: of the network, as it is.
        remedies: those that the scheduler and the data allow.
        refusal: why the scheduler has no response; None if it has one.
        cuts: the setting that cuts pictures off, and so refuses; None for other reasons.
        learned: whether the model was distilled for a few steps, for which there are no remedies.
    """

    arrivals: tuple[Arrival, ...] = ()
    bands: tuple[BandArrival, ...] = ()
    calls: int = 0
    remedies: tuple[Remedy, ...] = ()
    refusal: str | None = None
    cuts: str | None = None
    learned: bool = False

    def to_json(self) -> dict[str, Any]:
        """The expectation in plain values; what each remedy keeps by the name of the direction."""
        names, bands = ([arrival.name for arrival in some] for some in (self.arrivals, self.bands))
        remedies = [
            {
                "name": remedy.name,
                "calls": remedy.calls,
                "kept": dict(zip(names, remedy.kept, strict=True)),
                "bands": dict(zip(bands, remedy.bands, strict=True)),
                "code": remedy.code,
            }
            for remedy in self.remedies
        ]
        return {
            "arrivals": [asdict(arrival) for arrival in self.arrivals],
            "bands": [band.to_json() for band in self.bands],
            "calls": self.calls,
            "remedies": remedies,
            "refusal": self.refusal,
        }

    def sentence(self) -> str:
        """What arrives, where the rest is lost, and what mends it best with no more calls of the network."""
        if self.refusal is not None:
            return f"What arrives of the spread cannot be computed: {self.refusal}."
        first, worst = self.arrivals[0], self.worst
        parts = f"{worst.start:.0%} by the start, {worst.solver:.0%} by the steps, {worst.end:.0%} by the end"
        about = f"Of the spread of {worst.name} {worst.kept:.0%} arrives ({parts})"
        if worst.kept >= ENOUGH:
            return f"{about}, and no less of any other direction: nothing is to mend."
        if worst is not first:
            about = (
                f"Of the spread of {first.name} {first.kept:.0%} arrives; of {worst.name} {worst.kept:.0%} ({parts})"
            )
        if self.learned:
            return f"{about}. This model is distilled for a few steps: such models have learned their steps, and nothing is advised."
        lost = min(("start", "solver", "end"), key=lambda part: getattr(worst, part))
        where = {"start": "the start", "solver": "the steps", "end": "where the sampler stops"}[lost]
        best = self.best
        if best is None:
            return f"{about}: most is lost by {where}. None of the remedies tried brings more of {worst.name} with {self.calls} calls of the network."
        brings = best.kept[self.arrivals.index(worst)]
        return f"{about}: most is lost by {where}. {best.name[0].upper() + best.name[1:]} brings {brings:.0%} with no more calls of the network."

    @property
    def worst(self) -> Arrival:
        """The direction of which the least arrives; the reading's own if it is below `ENOUGH`."""
        return self.arrivals[0] if self.arrivals[0].kept < ENOUGH else min(self.arrivals, key=lambda a: a.kept)

    @property
    def best(self) -> Remedy | None:
        """The remedy that leaves the worst direction nearest to 1 without more calls of the network; of those that are as good the simplest."""
        at = self.arrivals.index(self.worst)
        cheap = [remedy for remedy in self.remedies if remedy.calls <= self.calls]
        off = [abs(1 - remedy.kept[at]) for remedy in cheap]
        if not cheap or min(off) > abs(1 - self.worst.kept) - _GAIN:
            return None
        return next(remedy for remedy, far in zip(cheap, off, strict=True) if far <= min(off) + _GAIN)


def expected(checkpoint: Checkpoint, steps: int, settings: Mapping[str, Any], reading: Reading) -> Expected:
    """What arrives with the scheduler as it is, and with each remedy that it allows.

    Args:
        checkpoint: with the scheduler.
        steps: N of the sampler.
        settings: what is put over the scheduler's configuration.
        reading: of the data.
    """
    if not len(reading.moments.eigenvalues):
        return Expected(refusal="the data do not vary, so there is no spread to keep; give different ones")
    scheduler, directions = checkpoint.scheduler(**settings), Directions.of(reading)
    try:
        response = respond(scheduler, directions.nodes, steps, **by_tokens(scheduler))
    except InputError as error:  # clipping, thresholds, infinities: what is refused is listed with its reason
        return Expected(refusal=str(error), cuts=cutting(scheduler))
    remedies = []
    learned = distilled(checkpoint) is not None
    for change in () if learned else _changes(checkpoint, scheduler, steps, dict(settings), reading.source):
        try:
            brings = change.kept(directions)
        except InputError:  # what cannot be run here is no remedy
            continue
        along, bands = tuple(directions.along(brings)), tuple(directions.in_bands(brings))
        remedies.append(Remedy(change.name, change.calls, along, bands, change.code))
    return Expected(
        directions.arrivals(response),
        directions.band_arrivals(response),
        _calls(scheduler, steps),
        tuple(remedies),
        learned=learned,
    )


@dataclass(frozen=True)
class _Change:
    """A remedy before it is tried."""

    name: str
    calls: int
    code: list[str]
    kept: Callable[[Directions], Tensor]


def _changes(
    checkpoint: Checkpoint, now: Scheduler, steps: int, settings: dict[str, Any], data: str
) -> Iterator[_Change]:
    """Every remedy that fits the scheduler: one change each."""
    most = int(now.config.num_train_timesteps)
    if 2 * steps <= most:
        yield _run(f"{2 * steps} steps", now, 2 * steps, [f"pipe(prompt, num_inference_steps={2 * steps})"])
    for name, changed in _settings(now):
        yield _made(name, checkpoint, settings, steps, {}, changed)
    flow = matches_flow(now)
    if flow or is_discrete(now):
        yield from _starts(now, steps, flow, partial(table_code, checkpoint, data))
    for name, kind in (_SOLVERS if flow or is_discrete(now) else _EDM_SOLVERS).items():
        if kind != type(now).__name__ and _handed(checkpoint, now) <= _taken(kind):
            yield _made(name, checkpoint, settings, steps, {"_class_name": kind}, _as_flow(now) if flow else {})


def _handed(checkpoint: Checkpoint, now: Scheduler) -> set[str]:
    """What the pipeline hands to `set_timesteps` beside the number of steps, as Flux its noise levels; of a scheduler alone, by its configuration."""
    kind = checkpoint.pipeline_class
    if kind is None:
        return {"sigmas", "mu"} if now.config.get("use_dynamic_shifting") else set()
    source = inspect.getsource(kind.__call__)
    levels = {"sigmas"} if re.search(r"\bsigmas\s*=\s*\(?\s*np\.linspace", source) else set()
    return levels | ({"mu"} if "mu=mu" in source else set())


def _taken(kind: str) -> set[str]:
    """What the `set_timesteps` of a class of schedulers takes."""
    return set(inspect.signature(scheduler_class(kind).set_timesteps).parameters)


def _settings(now: Scheduler) -> Iterator[tuple[str, dict[str, Any]]]:
    if reads(now, "timestep_spacing") and not matches_flow(now) and now.config.get("timestep_spacing") != "trailing":
        yield "trailing spacing", {"timestep_spacing": "trailing"}
    if reads(now, "use_karras_sigmas") and not matches_flow(now) and not now.config.get("use_karras_sigmas"):
        yield "Karras's noise levels", {"use_karras_sigmas": True}
    name = next((name for name in ("shift", "flow_shift") if reads(now, name)), None)
    if name is not None and matches_flow(now) and not now.config.get("use_dynamic_shifting"):
        shift = 3.0 * float(now.config.get(name) or 1.0)
        yield f"shift {shift:g}", {name: shift}


def _starts(now: Scheduler, steps: int, flow: bool, module: Callable[[int], list[str]]) -> Iterator[_Change]:
    """Starts, or first steps, matched along few directions; of flows corrected steps too."""
    calls = _calls(now, steps)
    attach = "SingDiffusion(module).attach(pipe)"
    mends = [(1, False), (_MATCHED, False)]
    if flow:
        attach = 'SingDiffusion(module, mean="network").attach(pipe)'
        mends.append((_MATCHED, True))
    for rank, corrected in mends:
        code = [*module(rank), attach]
        if corrected:
            code[-1] = 'SingDiffusion(module, mean="network", corrected=True).attach(pipe)'
        name = f"{'steps corrected' if corrected else 'first step matched' if flow else 'matched start'}, rank {rank}"

        def brings(directions: Directions, rank: int = rank, corrected: bool = corrected) -> Tensor:
            matched = directions.largest(rank)
            if not flow:
                return mended_kept(now, directions.nodes, steps, matched)
            live = timed(copy.deepcopy(now), steps)[0]
            return kept(live, directions.nodes, matched=matched, corrected=corrected).end

        yield _Change(name, calls, code, brings)


def _as_flow(now: Scheduler) -> dict[str, Any]:
    """What makes a multistep solver of flows take over from a scheduler of flows."""
    shift = float(now.config.get("shift") or now.config.get("flow_shift") or 1.0)
    return {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}


def _made(
    name: str,
    checkpoint: Checkpoint,
    settings: dict[str, Any],
    steps: int,
    kind: dict[str, str],
    changed: dict[str, Any],
) -> _Change:
    """A scheduler of another class or configuration, made when it is tried: from what is configured, as `from_config` does."""
    class_name = kind.get("_class_name", str(checkpoint.config.get("_class_name")))
    known = inspect.signature(scheduler_class(class_name).__init__).parameters  # diffusers warns of each other field
    config = {key: value for key, value in checkpoint.config.items() if not kind or key in known}
    other = Checkpoint(checkpoint.name, config | {"_class_name": class_name}, checkpoint.folder)
    words = "".join(f", {key}={value!r}".replace("'", '"') for key, value in changed.items())
    code = [
        f"from diffusers import {class_name}",
        f"pipe.scheduler = {class_name}.from_config(pipe.scheduler.config{words})",
    ]

    def brings(directions: Directions) -> Tensor:
        made = other.scheduler(**settings, **changed)
        return respond(made, directions.nodes, steps, **by_tokens(made, checkpoint.config)).kept

    return _Change(name, steps, code, brings)


def _run(name: str, scheduler: Scheduler, steps: int, code: list[str]) -> _Change:
    def brings(directions: Directions) -> Tensor:
        return respond(scheduler, directions.nodes, steps, **by_tokens(scheduler)).kept

    return _Change(name, _calls(scheduler, steps), code, brings)


def _calls(scheduler: Scheduler, steps: int) -> int:
    """Calls of the network: solvers of second order make more than one a step."""
    return len(timed(copy.deepcopy(scheduler), steps)[0].timesteps)

"""A run of `singdiffusion response`: the eigenvalues, the scheduler that was asked for, and what it keeps."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import load_average
from singdiffusion.base import Checkpoint, Tracked, a_tensor_of
from singdiffusion.evaluation.data_statistics import Reading, read
from singdiffusion.evaluation.diagnose_flow import by_tokens
from singdiffusion.evaluation.diagnosis import spacing_settings
from singdiffusion.evaluation.directions import Directions
from singdiffusion.evaluation.picture_data import load
from singdiffusion.response import CONFIDENCE, SchedulerResponse, respond
from singdiffusion.system import say
from singtheory import formula
from singtheory.errors import InputError
from singtheory.response import check_eigenvalues

_PARTS = ("kept", "first", "start", "solver", "end", "low", "high")
_CURVE, _STEPS, _MOST_ROWS = 60, 50, 400
"""Eigenvalues of the curve between, steps where none are asked for, and most eigenvalues of data, the largest."""
_DECADES = -2.0, 4.0
_SIDE = 64
"""The side of latents for which a network's spread is asked where it names no size of its own."""


@dataclass(frozen=True)
class Request:
    """The options of the command, by their names there."""

    source: str
    steps: int | None
    sigmas: str | None
    spacing: str | None
    data: str | None
    eigenvalues: str | None
    module: str | None = None
    config: str | None = None


def run(request: Request, tracked: Tracked = iter) -> dict[str, Any]:
    """What is kept along each eigenvalue that was asked for, and between.

    Raises:
        InputError: for bad input, and for schedulers that have no response.
    """
    sources = [f"--{name}" for name in ("data", "module", "eigenvalues") if getattr(request, name) is not None]
    if len(sources) > 1:
        raise InputError(
            f"{' and '.join(sources)}: give one of them; eigenvalues come from data or from a module's spread"
        )
    checkpoint = Checkpoint.find(request.source, request.config)
    scheduler = checkpoint.scheduler(**spacing_settings(checkpoint, request.spacing))
    steps, options = _steps(request)
    options |= by_tokens(scheduler)
    asked = None if request.eigenvalues is None else check_eigenvalues(numbers("eigenvalues", request.eigenvalues))
    asked = asked if request.module is None else module_eigenvalues(request.module)
    respond(scheduler, [1.0], steps, **options)  # refuses what it cannot run before data are read
    reading = None if request.data is None else _reading(checkpoint, request.data, tracked)
    lam = asked if reading is None else reading.moments.eigenvalues
    lam = (
        torch.logspace(*_DECADES, 13, dtype=torch.float64)
        if lam is None
        else lam.sort(descending=True).values[:_MOST_ROWS]
    )
    if not len(lam):
        raise InputError(
            f"{request.data}: all of the data are equal, so there is no spread to keep; give different ones"
        )
    directions = None if reading is None else Directions.of(reading)
    curve = torch.logspace(
        min(_DECADES[0], float(lam.min().log10())),
        max(_DECADES[1], float(lam.max().log10())),
        _CURVE,
        dtype=torch.float64,
    )
    nodes = lam.new_tensor([]) if directions is None else directions.nodes
    every = torch.cat([lam, curve, nodes])
    response = respond(scheduler, every, steps, **options)
    at_nodes = response._replace(**{part: getattr(response, part)[len(every) - len(nodes) :] for part in _PARTS})
    rows = _rows(every, response)
    row = None if reading is None or directions is None else _reading_row(reading, directions, at_nodes)
    shown = float(lam.max()) if row is None else row["eigenvalue"]
    return {
        "scheduler": type(scheduler).__name__,
        "source": request.source,
        "steps": steps,
        "sigmas": options.get("sigmas"),
        "spacing": request.spacing or scheduler.config.get("timestep_spacing"),
        "data": request.data,
        "module": request.module,
        "draws": response.draws,
        "confidence": CONFIDENCE if response.draws else 1.0,
        "reading": None if reading is None else reading.to_json(),
        "rows": rows[: len(lam)],
        "curve": rows[len(lam) : len(lam) + _CURVE],
        "reading_row": row,
        "angles": {"eigenvalue": shown, "theta": _angles(response, shown)},
        "bands": [] if directions is None else [band.to_json() for band in directions.band_arrivals(at_nodes)],
    }


def sentence(result: dict[str, Any]) -> str:
    """The result in one line: of the brightness, if data say which direction that is."""
    row = result["reading_row"] or max(result["rows"], key=lambda r: r["eigenvalue"])
    name = result["reading"]["name"] if result["reading_row"] else f"the direction of λ = {row['eigenvalue']:.4g}"
    parts = f"{row['start']:.0%} by the start, {row['solver']:.0%} by the steps and {row['end']:.0%} by the end."
    if not result["draws"]:
        return f"Of the spread of {name} {row['kept']:.0%} arrives: {parts}"
    return (
        f"Of the spread of {name} {row['kept']:.1%} arrives ({row['low']:.1%} to {row['high']:.1%} at {result['confidence']:.0%}, for this scheduler is not "
        f"linear or hides its noise: {result['draws']} draws): {parts}"
    )


def module_eigenvalues(path: str) -> Tensor:
    """The variances `s_k²` along the spread of a stored average image, for no prompt.

    Raises:
        InputError: for a module without a spread, one that needs token states, and one that cannot be read.
    """
    module = load_average(path).eval()
    if module.rank == 0:
        raise InputError(f"{path}: this average image has no spread; train or make one with a rank, or give --data")
    if not module.takes_prompts:
        raise InputError(f"{path}: its spread needs token states of a text encoder; give --data or --eigenvalues")
    size = module.config.get("size")
    side = () if size is None else tuple(size[-2:])
    shape = (1, module.space.channels, *(side or (_SIDE, _SIDE)))
    with torch.no_grad():
        average = module([""], torch.zeros(shape, dtype=a_tensor_of(module).dtype))
    assert average.std is not None
    lam = average.std[0].double().square()
    return check_eigenvalues(lam[lam > 0])


def numbers(name: str, text: str) -> list[float]:
    """Numbers separated by commas. Raises `InputError` for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} {text!r}: give numbers separated by commas, as 900,1,0.01") from None


def _steps(request: Request) -> tuple[int | None, dict[str, Any]]:
    if request.sigmas is None:
        return _STEPS if request.steps is None else request.steps, {}
    if request.steps is not None:
        raise InputError("--steps and --sigmas: give one of them; the noise levels say how many steps there are")
    return None, {"sigmas": numbers("sigmas", request.sigmas)}


def _reading(checkpoint: Checkpoint, data: str, tracked: Tracked) -> Reading:
    loaded = load(data, checkpoint)
    for line in loaded.notes:
        say(line)
    vae = checkpoint.autoencoder()
    if vae is None and checkpoint.has("vae") and loaded.image_shape is not None:
        raise InputError(
            f"{checkpoint.name}: its VAE is no AutoencoderKL or AutoencoderTiny in safetensors, and without it images tell nothing of its latents; "
            "give flattened latents as a two-dimensional .npy with --data"
        )
    return read(loaded, vae, tracked)


def _reading_row(reading: Reading, directions: Directions, response: SchedulerResponse) -> dict[str, float] | None:
    """What arrives of what is read, such as brightness, which many components share; None where it does not vary."""
    if reading.name not in directions.spreads:
        return None
    at = list(directions.spreads).index(reading.name)
    shares = {part: directions.along(getattr(response, part))[at] for part in ("kept", "first", "low", "high")}
    arrival = directions.arrivals(response)[at]
    parts = {"start": arrival.start, "solver": arrival.solver, "end": arrival.end}
    return {"eigenvalue": reading.eigenvalue} | shares | parts


def _angles(response: SchedulerResponse, eigenvalue: float) -> list[float]:
    """θ at each timestep and at the end, from 0 in noise to π/2 in data."""
    alpha, sigma = torch.tensor(response.levels, dtype=torch.float64).mT
    return formula.spread_angle(alpha, sigma, torch.tensor(eigenvalue, dtype=torch.float64), torch).tolist()


def _rows(lam: Tensor, response: SchedulerResponse) -> list[dict[str, float]]:
    columns = [lam.tolist(), *(getattr(response, part).tolist() for part in _PARTS)]
    return [dict(zip(("eigenvalue", *_PARTS), row, strict=True)) for row in zip(*columns, strict=True)]

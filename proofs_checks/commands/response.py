"""A run of `singtheory response`: what a grid of DDIM steps keeps along each eigenvalue, from named eigenvalues or from data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from proofs_checks.harness.record import describe_data
from singtheory import Atoms, InputError, Schedule, formula, response
from singtheory import data as loaders
from singtheory.data import Band, frequency_bands
from singtheory.grid import grid_named
from singtheory.schedule import schedule_named
from singtheory.start import Components, all_components
from singtheory.system import Shape

_CURVE = 200
"""Eigenvalues of the curve that is drawn."""
_DECADES = -3.0, 4.0
"""The decades of the curve at least."""
_MOST_ROWS = 1000
"""A limit on how many eigenvalues of data are listed; the largest come first."""
_NONE = 1e-12
"""Share of all variance below which a band is rounding."""


@dataclass(frozen=True)
class Request:
    """The options of the command, by their names there."""

    schedule: str
    steps: int
    spacing: str
    shift: float
    eta: float
    start: str
    corrected: bool
    data: str | None
    eigenvalues: str | None


def run(request: Request, tell: Callable[[Sequence[str]], None] = lambda _: None) -> dict[str, Any]:
    """The rows that were asked for, the curve between, and the angles of the grid.

    Raises:
        InputError: for bad input, before data are read.
    """
    schedule, times = _grid(request)
    options: dict[str, Any] = {"eta": request.eta, "start": request.start, "corrected": request.corrected}
    response.respond(schedule, times, [1.0], **options)  # refuses wrong options before data are read
    spectrum = _spectrum(request)
    tell(spectrum.notes)
    whole = response.respond(schedule, times, spectrum.eigenvalues, **options)
    rows = len(spectrum.eigenvalues) if spectrum.about is None else _MOST_ROWS
    lam, listed = spectrum.eigenvalues[:rows], response.Response(whole.first[:rows], whole.kept[:rows])
    curve = _curve(lam)
    drawn = response.respond(schedule, times, curve, **options)
    shown = spectrum.brightness or float(lam.max())
    alpha, sigma = schedule(times)
    return {
        "schedule": request.schedule,
        "steps": len(times) - 1,
        "spacing": request.spacing,
        "shift": request.shift,
        **options,
        "data": spectrum.about,
        "brightness": spectrum.brightness,
        "times": times.tolist(),
        "rows": _rows(lam, listed),
        "curve": _rows(curve, drawn),
        "bands": [_band(band, spectrum.eigenvalues, whole) for band in spectrum.bands],
        "angles": {
            "eigenvalue": shown,
            "theta": formula.spread_angle(alpha, sigma, torch.tensor(shown, dtype=torch.float64), torch).tolist(),
        },
    }


def _grid(request: Request) -> tuple[Schedule, Tensor]:
    schedule = schedule_named(request.schedule)
    times = grid_named(request.spacing, schedule, request.steps)
    if not 0 < request.shift < float("inf"):
        raise InputError(f"shift {request.shift:g}: must be positive and finite; 1 is none")
    if request.shift != 1 and not schedule.shiftable:
        raise InputError(
            f"shift {request.shift:g} on {request.schedule}: a timestep shift is of flow models; take --schedule rectified-flow"
        )
    return schedule, formula.shifted_time(times, request.shift)


@dataclass(frozen=True)
class _Spectrum:
    """Eigenvalues, the largest first if they are of data, what they are of, and of pictures the brightness' own and the bands of spatial frequency."""

    eigenvalues: Tensor
    about: dict[str, Any] | None = None
    brightness: float | None = None
    bands: tuple[Band, ...] = ()
    notes: Sequence[str] = ()


def _spectrum(request: Request) -> _Spectrum:
    if request.data is not None and request.eigenvalues is not None:
        raise InputError("--data and --eigenvalues: give one of them; eigenvalues come from the data")
    if request.eigenvalues is not None:
        return _Spectrum(response.check_eigenvalues(_parsed(request.eigenvalues)))
    if request.data is None:
        return _Spectrum(torch.logspace(*_DECADES, 15, dtype=torch.float64))
    loaded = loaders.load(request.data)
    components = all_components(loaded.law)
    lam = components.std.square()
    if len(lam) == 0 or float(lam.max()) == 0:
        raise InputError(f"{loaded.name}: all points are equal, so there is no spread to keep; give different points")
    brightness = None if loaded.image_shape is None else _brightness(loaded.law)
    bands = () if loaded.image_shape is None else _bands(components, loaded.image_shape)
    return _Spectrum(lam, describe_data(loaded), brightness, bands, loaded.notes)


def _bands(components: Components, shape: Shape) -> tuple[Band, ...]:
    """Bands of spatial frequency in which pictures of shape (h, w) or (h, w, channels) vary."""
    height, width, channels = (*shape, 1)[:3]
    basis = components.basis.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    bands = frequency_bands(basis, components.std.square())
    total = sum(float(band.spread.sum()) for band in bands)
    return tuple(band for band in bands if float(band.spread.sum()) > _NONE * total)


def _band(band: Band, lam: Tensor, whole: response.Response) -> dict[str, Any]:
    """What arrives in a band, from what is kept along each eigenvalue."""
    return {
        "name": band.name,
        "low": band.low,
        "high": None if math.isinf(band.high) else band.high,
        "share": float(band.spread.sum() / lam.sum()),
        "eigenvalue": band.eigenvalue,
        "brightness": band.high == 0,
        "kept": response.kept_of(band.spread, whole.kept),
        "first": response.kept_of(band.spread, whole.first),
    }


def _brightness(law: Atoms) -> float | None:
    """`d Var(brightness)`, the variance along the constant picture (C7); None where it does not vary."""
    means = law.points.mean(dim=1)
    var = float(law.weights @ (means - law.weights @ means).square())
    return float(formula.brightness_eigenvalue(var, law.dim)) if var > 0 else None


def _parsed(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"eigenvalues {text!r}: give numbers separated by commas, as 900,1,0.01") from None


def _curve(lam: Tensor) -> Tensor:
    low = min(_DECADES[0], float(lam.min().log10()))
    high = max(_DECADES[1], float(lam.max().log10()))
    return torch.logspace(low, high, _CURVE, dtype=torch.float64)


def _rows(lam: Tensor, listed: response.Response) -> list[dict[str, float]]:
    columns = zip(lam.tolist(), listed.kept.tolist(), listed.first.tolist(), strict=True)
    return [{"eigenvalue": e, "kept": k, "first": f} for e, k, f in columns]

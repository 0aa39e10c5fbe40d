"""The parts of a run's report, pictures and what is measured for it alone, and the page; loaded only where one is asked for."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import ClaimResult
from proofs_checks.harness.part import Part, Step
from proofs_checks.measurements.brightness import measure, sweep
from proofs_checks.report import brightness, few_steps
from proofs_checks.report.figure import Drawn, Picture
from proofs_checks.report.picture_brightness import draw
from proofs_checks.report.picture_counterexamples import counterexamples_picture
from proofs_checks.report.picture_ladder import grid_picture, ladder_picture
from proofs_checks.report.picture_least import least_picture
from proofs_checks.report.picture_limits import limits_picture, thumbnails_picture
from proofs_checks.report.report import write_report
from singtheory import InputError
from singtheory.data import digit_pictures, digits_images

QUICK_SAMPLES = 64
"""Samples of each start in the report's own brightness run; the sweep over sizes, with more, is committed."""
FULL_SAMPLES = 256
"""Samples of each start and size in a full run's own sweep."""
_GRID_STEPS = 50
_QUICK, _FEW = "quick brightness", "few steps"
"""Parts that are numbers; all others are pictures."""
_BOUNDS, _ENDS, _BRIGHTNESS = (
    frozenset({"B2", "B3", "B5", "B6", "B9", "B10", "B12"}),
    frozenset({"C1", "C2", "C3", "C9", "D1", "D2"}),
    frozenset({"C7", "F1", "F2"}),
)
ABOUT = {
    _QUICK: _BRIGHTNESS,
    _FEW: _BRIGHTNESS,
    "brightness": _BRIGHTNESS,
    "least": _BOUNDS,
    "ladder": _BOUNDS,
    "grid": frozenset({"B8", "E2"}),
    "limits": _ENDS,
    "thumbnails": _ENDS,
    "counterexamples": frozenset({"B3", "C3", "C8", "D3", "D4"}),
}
"""The statements that each part shows: a report has the parts of its claims, and a run of one claim does not wait for the others."""


def report_parts(context: Context, claims: Collection[str]) -> list[Part]:
    """What the report of a run of these claims shows beside them, in the order shown; thumbnails only of data that are images."""
    long = 400 if context.full else 3
    parts = [
        Part(_QUICK, _quick_brightness, steps=1, work=15),
        Part(_FEW, _few_steps, steps=1, work=long),
        Part("brightness", _drawn(_brightness_picture), steps=1, work=long),
        Part("least", _drawn(_least_picture), steps=2, work=10),
        Part("ladder", _drawn(ladder_picture), steps=11, work=40),
        Part("grid", _drawn(partial(grid_picture, steps=_GRID_STEPS)), steps=_GRID_STEPS, work=80),
        Part("limits", _drawn(limits_picture), steps=1, work=12),
        Part("thumbnails", _drawn(thumbnails_picture), steps=1, work=6),
        Part("counterexamples", _drawn(_counterexamples_picture), steps=1, work=9),
    ]
    images = context.data.image_shape is not None
    return [part for part in parts if not ABOUT[part.name].isdisjoint(claims) and (images or part.name != "thumbnails")]


def _drawn(picture: Callable[[Context, Step], Picture]) -> Callable[[Context, Step], Drawn]:
    """Draws it and returns it as it is shown, for figures cannot be sent."""
    return partial(_draw_with, picture)


def _draw_with(picture: Callable[[Context, Step], Picture], context: Context, step: Step) -> Drawn:
    return picture(context, step).drawn()


def run_report(
    results: Sequence[ClaimResult],
    made: Mapping[str, Any],
    meta: Mapping[str, Any],
    folder: Path,
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the report of claims and of what its parts have made, with the files `beside` it; its path. Raises what a part has met, an interruption too."""
    checked = {result.claim.id for result in results}
    for value in made.values():
        if isinstance(value, BaseException):
            raise value
    pictures = [value for name, value in made.items() if name not in (_QUICK, _FEW)]
    about: dict[str, Any] = {"left_out": sum(statements.isdisjoint(checked) for statements in ABOUT.values())}
    if _QUICK in made:
        about |= {"brightness": made[_QUICK], "few_steps": made[_FEW]}
    return write_report(results, pictures, {**meta, **about}, folder, beside)


def _quick_brightness(context: Context, step: Step) -> dict[str, Any]:
    """The brightness law measured in this run, at one size."""
    step("brightness law C7")
    measured = measure(digit_pictures(digits_images(), 32, 3), QUICK_SAMPLES, context.seed)
    return {
        "caption": f"digits on three backgrounds, 32×32 RGB, {measured.samples} samples a start, {measured.steps} steps, "
        f"intervals at {measured.confidence:.0%}",
        "rows": [arrival.to_json() for arrival in measured.arrivals],
        "reading": measured.reading(),
    }


def _least_picture(_: Context, step: Step) -> Picture:
    return least_picture(step)


def _counterexamples_picture(_: Context, step: Step) -> Picture:
    return counterexamples_picture(step)


def _sweep(context: Context, step: Step) -> dict[str, Any]:
    """The brightness law over sizes: the committed result, or a new one in a full run."""
    step("picture: brightness law C7, all sizes")
    if context.full:
        return brightness.describe(
            sweep(digits_images(), samples=FULL_SAMPLES, seed=context.seed), context.seed, "singtheory verify --full"
        )
    try:
        return json.loads(brightness.RESULT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{brightness.RESULT}: missing or damaged; make it with python -m proofs_checks.report.brightness --out FILE"
        ) from None


def _few_steps(context: Context, step: Step) -> dict[str, Any]:
    """What few Euler steps keep of real data: the committed result, or a new one in a full run."""
    step("few steps F1, all grids")
    if not context.full:
        return few_steps.committed()
    return few_steps.measured(FULL_SAMPLES, context.seed, "singtheory verify --full")


def _brightness_picture(context: Context, step: Step) -> Picture:
    swept = _sweep(context, step)
    return Picture(
        "brightness",
        "The brightness law (C7): where a sampler starts decides how much of the brightness it keeps",
        "No network: digits at half size on black, grey and white backgrounds, the exact denoiser, 50 DDIM steps with Stable "
        "Diffusion's schedule. Above: brightness of samples from four starts over the data's, with the first samples. Below: the "
        f"spread of brightness kept, over the number of values in an image ({swept['sizes'][0]['samples']:,} samples a point), beside the law for one Gaussian "
        "and the prediction for three clusters. "
        f"Computed by: {swept['command']}.",
        "Noise and mean starts give grey images at large d; moment-matched and exact starts keep the data's brightness.",
        draw(dict(swept)),
    )

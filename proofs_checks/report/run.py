"""The report of a run under a progress bar: pictures and the brightness law; loaded only where one is asked for."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import ClaimResult
from proofs_checks.measurements.brightness import measure, sweep
from proofs_checks.report import brightness, few_steps
from proofs_checks.report.figure import Picture
from proofs_checks.report.picture_brightness import draw
from proofs_checks.report.picture_counterexamples import counterexamples_picture
from proofs_checks.report.picture_ladder import grid_picture, ladder_picture
from proofs_checks.report.picture_least import least_picture
from proofs_checks.report.picture_limits import limits_picture, thumbnails_picture
from proofs_checks.report.report import write_report
from proofs_checks.terminal.console import progress
from singtheory import InputError
from singtheory.data import digit_pictures, digits_images

QUICK_SAMPLES = 64
"""Samples of each start in the report's own brightness run; the sweep over sizes, with more, is committed."""
FULL_SAMPLES = 256
"""Samples of each start and size in a full run's own sweep."""
_GRID_STEPS = 50
_BOUNDS, _ENDS = (
    frozenset({"B2", "B3", "B5", "B6", "B9", "B10", "B12"}),
    frozenset({"C1", "C2", "C3", "C9", "D1", "D2"}),
)
ABOUT = {
    "brightness": frozenset({"C7", "F1", "F2"}),
    "least": _BOUNDS,
    "ladder": _BOUNDS,
    "grid": frozenset({"B8", "E2"}),
    "limits": _ENDS,
    "thumbnails": _ENDS,
    "counterexamples": frozenset({"B3", "C3", "C8", "D3", "D4"}),
}
"""The statements that each picture shows: a report has the pictures of its claims, and a run of one claim does not wait for the others."""


def run_report(
    results: Sequence[ClaimResult],
    context: Context,
    meta: Mapping[str, Any],
    folder: Path,
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Draw the pictures of the claims, measure the brightness law at one size if it is among them, and write the report, with the files `beside` it; its path."""
    checked = {result.claim.id for result in results}
    names = [name for name, about in ABOUT.items() if about & checked]
    if context.data.image_shape is None and "thumbnails" in names:
        names.remove("thumbnails")
    rows: dict[str, Any] = {"left_out": sum(not about & checked for about in ABOUT.values())}
    with progress() as bar:
        task = bar.add_task("report", total=_GRID_STEPS + 20)

        def step(name: str) -> None:
            bar.update(task, advance=1, description=name[:40])

        if "brightness" in names:
            rows |= {"brightness": _quick(context, step), "few_steps": _few_steps(context, step)}
        pictures = [_picture(name, context, step) for name in names]
    return write_report(results, pictures, {**meta, **rows}, folder, beside)


def _picture(name: str, context: Context, step: Callable[[str], None]) -> Picture:
    """One of `ABOUT`, drawn."""
    match name:
        case "brightness":
            return _brightness_picture(_sweep(context, step))
        case "least":
            return least_picture(step)
        case "ladder":
            return ladder_picture(context, step)
        case "grid":
            return grid_picture(context, step, steps=_GRID_STEPS)
        case "limits":
            return limits_picture(context, step)
        case "thumbnails":
            return thumbnails_picture(context, step)
        case _:
            return counterexamples_picture(step)


def _quick(context: Context, step: Callable[[str], None]) -> dict[str, Any]:
    """The brightness law measured in this run, at one size."""
    step("brightness law C7")
    measured = measure(digit_pictures(digits_images(), 32, 3), QUICK_SAMPLES, context.seed)
    return {
        "caption": f"digits on three backgrounds, 32×32 RGB, {measured.samples} samples a start, {measured.steps} steps, "
        f"intervals at {measured.confidence:.0%}",
        "rows": [arrival.to_json() for arrival in measured.arrivals],
        "reading": measured.reading(),
    }


def _sweep(context: Context, step: Callable[[str], None]) -> dict[str, Any]:
    """The brightness law over sizes: the committed result, or a new one in a full run."""
    if context.full:
        step("brightness law C7, all sizes")
        return brightness.describe(
            sweep(digits_images(), samples=FULL_SAMPLES, seed=context.seed), context.seed, "singtheory verify --full"
        )
    try:
        return json.loads(brightness.RESULT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{brightness.RESULT}: missing or damaged; make it with python -m proofs_checks.report.brightness"
        ) from None


def _few_steps(context: Context, step: Callable[[str], None]) -> dict[str, Any]:
    """What few Euler steps keep of real data: the committed result, or a new one in a full run."""
    if not context.full:
        return few_steps.committed()
    step("few steps F1, all grids")
    return few_steps.measured(FULL_SAMPLES, context.seed, "singtheory verify --full")


def _brightness_picture(swept: Mapping[str, Any]) -> Picture:
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

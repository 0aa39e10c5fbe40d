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


def run_report(
    results: Sequence[ClaimResult],
    context: Context,
    meta: Mapping[str, Any],
    folder: Path,
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Draw the pictures, measure the brightness law at one size, and write the report, with the files `beside` it; its path."""
    with progress() as bar:
        task = bar.add_task("report", total=_GRID_STEPS + 20)

        def step(name: str) -> None:
            bar.update(task, advance=1, description=name[:40])

        step("brightness law C7")
        measured = measure(digit_pictures(digits_images(), 32, 3), QUICK_SAMPLES, context.seed)
        swept = _sweep(context, step)
        few = _few_steps(context, step)
        pictures = [
            _brightness_picture(swept),
            least_picture(step),
            *_data_pictures(context, step),
            counterexamples_picture(step),
        ]
    quick = {
        "caption": f"digits on three backgrounds, 32×32 RGB, {measured.samples} samples a start, {measured.steps} steps, "
        f"intervals at {measured.confidence:.0%}",
        "rows": [arrival.to_json() for arrival in measured.arrivals],
        "reading": measured.reading(),
    }
    return write_report(results, pictures, {**meta, "brightness": quick, "few_steps": few}, folder, beside)


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


def _data_pictures(context: Context, step: Callable[[str], None]) -> list[Picture]:
    """The pictures of the data; thumbnails only if it is made of images."""
    pictures = [
        ladder_picture(context, step),
        grid_picture(context, step, steps=_GRID_STEPS),
        limits_picture(context, step),
    ]
    if context.data.image_shape is not None:
        pictures.append(thumbnails_picture(context, step))
    return pictures

"""`python -m proofs_checks.report.few_steps --out FILE`: what few Euler steps keep of real data's brightness, as the JSON that the report and the page of F1 show.

The measurement is committed in `results/few_steps.json`; the same seed gives the same file on the same machine.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from proofs_checks.measurements.few_steps import FewSteps, Progress, measure
from proofs_checks.terminal.arguments import errors_in_one_line
from proofs_checks.terminal.console import progress
from singtheory import InputError
from singtheory.data import digit_pictures, digits_images
from singtheory.system import check_file, provenance, write_json

RESULT = Path(__file__).parent / "results" / "few_steps.json"
SAMPLES, CONFIDENCE = 1024, 0.99
SIDE, CHANNELS = 32, 3


def measured(samples: int, seed: int, command: str, report: Progress | None = None) -> dict[str, Any]:
    """The measurement on digits on three papers in plain values, with where it ran."""
    pictures = digit_pictures(digits_images(), SIDE, CHANNELS)
    rows = measure(pictures, samples=samples, seed=seed, confidence=CONFIDENCE, progress=report)
    return describe(rows, pictures.dim, samples, seed, command)


def describe(rows: Sequence[FewSteps], dim: int, samples: int, seed: int, command: str) -> dict[str, Any]:
    """Rows in plain values, with where they were measured."""
    about = {"dim": dim, "samples": samples, "confidence": CONFIDENCE}
    return provenance(command, seed, "cpu") | about | {"rows": [row.to_json() for row in rows]}


def committed() -> dict[str, Any]:
    """The committed measurement. Raises `InputError` if it is missing or damaged."""
    try:
        return json.loads(RESULT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{RESULT}: missing or damaged; make it with python -m proofs_checks.report.few_steps --out FILE"
        ) from None


def main(
    out: Annotated[Path, typer.Option(help="The JSON to write.")],
    samples: Annotated[int, typer.Option(help="Samples a grid.")] = SAMPLES,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
) -> None:
    """Sample on every grid, as it is and with the first step matched, and write what arrives."""
    with errors_in_one_line():
        check_file(out)
        with progress() as bar:
            task = bar.add_task("few steps F1", total=None)
            results = measured(
                samples,
                seed,
                f"python -m proofs_checks.report.few_steps --samples {samples} --seed {seed}",
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        write_json(out, results)
    for row in results["rows"]:
        typer.echo(
            f"{row['steps']} steps, shift {row['shift']:g}: Euler keeps {row['euler']:.2f} (Gaussian data {row['euler_gaussian']:.2f}), "
            f"first step matched {row['matched']:.2f} ({row['matched_gaussian']:.2f})"
        )


if __name__ == "__main__":
    typer.run(main)

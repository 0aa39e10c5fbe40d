"""`python -m proofs_checks.report.brightness --out FILE`: the brightness law C7 over the number of pixels, as the JSON that the report shows.

The sweep is committed in `results/brightness.json`; the same seed gives the same file on the same machine.
"""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from torch import Tensor

from proofs_checks.measurements.brightness import Brightness, sweep
from proofs_checks.terminal.arguments import errors_in_one_line
from proofs_checks.terminal.console import progress
from singtheory import formula, start
from singtheory.data import HALF_RANGE, digits_images
from singtheory.system import check_file, provenance, write_json

RESULT = Path(__file__).parent / "results" / "brightness.json"
SAMPLES = 2048
_CURVE_DIMS = tuple(2.0 ** (8 + k / 4) for k in range(29))


def describe(results: list[Brightness], seed: int, command: str) -> dict[str, Any]:
    """The sweep in plain values, with where it ran and the curves through its points."""
    return provenance(command, seed, "cpu") | {
        "sizes": [result.to_json() for result in results],
        "curves": curves(results[0]),
    }


def curves(result: Brightness) -> dict[str, list[float]]:
    """Predicted spread ratios for any number of pixels d, from the brightness of the data of one size.

    `gaussian` is C7 from noise with brightness taken for an eigenvector; the `quantile_` curves are those of a flow that keeps the
    quantiles of brightness, from noise and from the matched start.
    """
    rows = [
        curve_point((result.data / HALF_RANGE - 1) * math.sqrt(dim), result.alpha, result.sigma) for dim in _CURVE_DIMS
    ]
    return {"dim": list(_CURVE_DIMS)} | {name: [row[name] for row in rows] for name in rows[0]}


def curve_point(mode: Tensor, alpha: float, sigma: float) -> dict[str, float]:
    """The three ratios for data with components `mode` (n,) along the constant image of norm one."""
    var, mean = mode.var(correction=0), mode.mean()
    matched_std = formula.marginal_var(alpha, sigma, var).sqrt()
    return {
        "gaussian": float(start.spread_ratio(alpha, sigma, var)),
        "quantile_noise": float(start.quantile_spread(0.0, 1.0, mode, alpha, sigma)),
        "quantile_matched": float(start.quantile_spread(alpha * mean, matched_std, mode, alpha, sigma)),
    }


def main(
    out: Annotated[Path, typer.Option(help="The JSON to write.")],
    samples: Annotated[int, typer.Option(help="Samples a start and size.")] = SAMPLES,
    seed: Annotated[int, typer.Option(help="Of the noise; the sizes take this seed and those after it.")] = 0,
) -> None:
    """Sample at every size from every start, and write what arrives."""
    with errors_in_one_line():
        check_file(out)
        with progress() as bar:
            task = bar.add_task("brightness law C7", total=None)
            results = sweep(
                digits_images(),
                samples=samples,
                seed=seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        command = f"python -m proofs_checks.report.brightness --samples {samples} --seed {seed}"
        write_json(out, describe(results, seed, command))
    for result in results:
        typer.echo(result.reading())


if __name__ == "__main__":
    typer.run(main)

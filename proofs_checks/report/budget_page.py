"""The tables that docs/budget.md shows of its results in docs/budget/."""

from collections.abc import Mapping
from typing import Any

from proofs_checks.measurements.grid_costs import SPACINGS

RESULTS = ("digits", "fashion-mnist", "golden", "bumps")
"""Files docs/budget/NAME.json, in the order of the page."""
_FEW, _MANY = 50, 1000
"""Numbers of steps in the table of gains."""


def costs_table(results: Mapping[str, Any]) -> str:
    """The discretisation term of every grid over the number of steps, as a Markdown table with its command."""
    costs = {(row["spacing"], row["steps"]): row for row in results["grids"]}
    counts = sorted({steps for _, steps in costs})
    lines = [
        f"| N | {' | '.join(SPACINGS)} | R²/4N | leading / its best | least named / best |",
        f"|{' ---: |' * (len(SPACINGS) + 4)}",
    ]
    for steps in counts:
        rows = [costs.get((spacing, steps)) for spacing in SPACINGS]
        values = " | ".join("–" if row is None else f"{row['discretisation']:.3g}" for row in rows)
        gains = [row["gain"] for row in rows[:-1] if row is not None]
        leading = "–" if rows[0] is None else f"{rows[0]['gain']:.2f}"
        lines.append(f"| {steps} | {values} | {results['limit'] / steps:.3g} | {leading} | {min(gains):.2f} |")
    return "\n".join([*lines, "", _reading(results)])


def gains_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What the best grid gains on each law, and how near it is to its limit, as a Markdown table."""
    lines = [
        f"| data | leading / its best, N = {_FEW} | least named / best, N = {_FEW} | which | best · 4N/R², N = {_FEW} | N = {_MANY} |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for name, costs in results.items():
        rows = {(row["spacing"], row["steps"]): row for row in costs["grids"]}
        named = [rows[spacing, _FEW] for spacing in SPACINGS[:-1] if (spacing, _FEW) in rows]
        least = min(named, key=lambda row: row["gain"])
        above = [n * rows["optimal", n]["discretisation"] / costs["limit"] for n in (_FEW, _MANY)]
        leading, nearest = rows["leading", _FEW]["gain"], least["gain"]
        lines.append(
            f"| {name} | {leading:.2f} | {nearest:.2f} | {least['spacing']} | {above[0]:.3f} | {above[1]:.3f} |"
        )
    return "\n".join(lines)


def _reading(results: Mapping[str, Any]) -> str:
    """The three terms of the grid that was asked for, and where the numbers come from."""
    row = results["budget"]
    where = f"{row['steps']} {row['spacing']} steps of {results['schedule']}, {results['start']} start"
    cost = f"discretisation {row['discretisation']:.3g}"
    if results["confidence"] < 1:
        cost += (
            f" ± {row['discretisation_error']:.2g} (one standard error), at {results['confidence']:.0%} from "
            f"{row['discretisation_low']:.3g} to {row['discretisation_high']:.3g}"
        )
    start = _between(row["start_low"], row["start_high"])
    snr_range = f"γ from {results['snr_start']:.3g} to {results['snr_end']:.4g}"
    return f"*{where}, in nats: initial mismatch {start}, {cost}. {snr_range}. {results['device']}: `{results['command']}`*"


def _between(low: float, high: float) -> str:
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"

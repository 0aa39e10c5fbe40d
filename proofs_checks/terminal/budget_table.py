"""The error budget in a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from proofs_checks.terminal.console import number
from proofs_checks.terminal.sheet import Sheet

_TERMS = {
    "start": "initial mismatch",
    "discretisation": "discretisation",
    "network": "network error",
    "total": "total, at least KL(data at the end ‖ samples)",
}

_MOST_ROWS = 8
"""Eigenvalues of the table of what is kept; the JSON has more."""


def budget_table(row: Mapping[str, Any], title: str) -> Sheet:
    """The three terms of one grid, with their sum."""
    table = Sheet(f"Error budget in nats: {title}")
    table.add_column("term")
    for name in ("value", "low", "high"):
        table.add_column(name, justify="right")
    for name, words in _TERMS.items():
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        known = low if low == high else math.nan  # start and total have no value but their ends
        table.add_row(words, *(number(v) for v in (row.get(name, known), low, high)))
    return table


def matched_table(matched: Mapping[str, Any], steps: int) -> Sheet:
    """What the right covariance saves on the same grid, and the least that many steps can cost."""
    table = Sheet("Noise of the posterior's covariance beside isotropic noise, the same grid (E3)")
    for name in ("isotropic", "matched", "± (1σ)", "matched / isotropic", "S³/12N², the best grid of many steps"):
        table.add_column(name, justify="right")
    values = (matched["isotropic"], matched["discretisation"], matched["discretisation_error"], matched["share"])
    table.add_row(*(number(value) for value in (*values, matched["limit"] / steps**2)))
    return table


def grids_table(rows: Sequence[Mapping[str, Any]], steps: int) -> Sheet:
    """One row a spacing."""
    table = Sheet(f"Grids of {steps} steps; best: the least discretisation with the same ends (E2)")
    table.add_column("spacing")
    for name in ("γ at the start", "start ≥", "discretisation", "± (1σ)", "low", "high", "best", "times the best"):
        table.add_column(name, justify="right")
    names = (
        "snr_start",
        "start_low",
        "discretisation",
        "discretisation_error",
        "discretisation_low",
        "discretisation_high",
        "optimal",
        "gain",
    )
    for row in rows:
        table.add_row(row["spacing"], *(number(_finite(row[name])) for name in names))
    return table


def kept_table(kept: Mapping[str, Any]) -> Sheet:
    """What DDIM(0) keeps on the budget's grid and on the two that keep the most, along some eigenvalues, the largest first."""
    lam, grids = kept["eigenvalues"], kept["grids"]
    table = Sheet(
        f"DDIM(0), {kept['start']} start: standard deviation kept along eigenvalues (F1), beside the grids that keep the most (F8)"
    )
    table.add_column("eigenvalue λ")
    for row in grids:
        table.add_column(row["grid"], justify="right")
    last = len(lam) - 1
    for k in sorted({round(j * last / (_MOST_ROWS - 1)) for j in range(_MOST_ROWS)}):
        table.add_row(f"{lam[k]:.4g}", *(f"{row['kept'][k]:.4f}" for row in grids))
    table.add_row("−Σ log kept, nats", *(number(row["nats"]) for row in grids))
    table.add_row("W₂", *(number(row["w2"]) for row in grids))
    return table


def _finite(value: float | None) -> float:
    return math.nan if value is None else value

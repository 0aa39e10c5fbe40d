"""The tables of `singtheory response`."""

from collections.abc import Mapping
from typing import Any

from proofs_checks.terminal.sheet import Sheet

_MOST = 20
"""Rows of the table; the JSON has all."""


def response_table(results: Mapping[str, Any]) -> Sheet:
    """What is kept along some of the eigenvalues, the largest first."""
    rows = sorted(results["rows"], key=lambda row: -row["eigenvalue"])
    if len(rows) > _MOST:  # evenly among them, with both ends
        rows = [rows[round(k * (len(rows) - 1) / (_MOST - 1))] for k in range(_MOST)]
    table = Sheet("Standard deviation at the end over the data's (F1, F9)")
    for name in ("eigenvalue λ", "start or first step", "whole sampler"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(f"{row['eigenvalue']:.4g}", f"{row['first']:.4f}", f"{row['kept']:.4f}")
    return table


def bands_table(results: Mapping[str, Any]) -> Sheet:
    """What is kept in each band of spatial frequency of pictures, the lowest first."""
    title = "The same by spatial frequency, in cycles across the picture (F10)"
    if any(band["brightness"] for band in results["bands"]):
        title += "; constant: the means of the channels, whose average is the brightness"
    table = Sheet(title)
    for name in ("cycles", "of the variance", "start or first step", "whole sampler"):
        table.add_column(name, justify="right")
    for band in results["bands"]:
        table.add_row(band["name"], f"{band['share']:.1%}", f"{band['first']:.4f}", f"{band['kept']:.4f}")
    return table

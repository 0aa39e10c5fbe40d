"""Data whose fourth powers are numbers: bounds and budgets are made of them (B6, B11)."""

from singtheory import InputError
from singtheory.data import Data

MOST, LEAST = 1e70, 1e-70
"""The largest and the smallest difference of two points; beyond, its fourth power is infinite or 0 in float64."""


def check_powers(data: Data) -> None:
    """Raise `InputError` for data that are too large or too small for float64; points that are all equal are left to others."""
    points = data.law.points
    low, high = points.amin(dim=0), points.amax(dim=0)
    largest, spread = float(points.abs().max()), float((high / 2 - low / 2).max())
    if largest > MOST:
        raise InputError(f"{data.name}: values reach {largest:.3g}; scale the data to about 1")
    if 0 < spread < LEAST:
        raise InputError(f"{data.name}: values differ by {2 * spread:.3g} at most; scale the data to about 1")

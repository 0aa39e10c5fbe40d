"""Functions that vanish to second order, with all their digits there."""

from singtheory.formula.number import Namespace, Number

_SMALL = 0.5
_TERMS = 18
"""Of the power series up to a half: the next is below 2⁻⁵³ of the first."""


def expm1_rest(x: Number, xp: Namespace) -> Number:
    """`eˣ − 1 − x ≥ 0`, to relative rounding also near 0, where the difference would lose everything."""
    near = xp.clip(x, -_SMALL, _SMALL)
    series = 1 + near / _TERMS
    for k in range(_TERMS - 1, 2, -1):
        series = 1 + near / k * series
    return xp.where(xp.abs(x) < _SMALL, near * near / 2 * series, xp.expm1(x) - x)


def log1p_rest(x: Number, xp: Namespace) -> Number:
    """`x − log(1 + x) ≥ 0`, likewise."""
    near = xp.clip(x, -_SMALL, _SMALL)
    y = near / (2 + near)  # log(1 + x) = 2 artanh y, and x = 2y/(1 − y)
    square = y * y
    series = 1 / (2 * _TERMS + 3) + 0 * y
    for k in range(_TERMS, 0, -1):
        series = 1 / (2 * k + 1) + square * series
    return xp.where(xp.abs(x) < _SMALL, y * near - 2 * y * square * series, x - xp.log1p(x))

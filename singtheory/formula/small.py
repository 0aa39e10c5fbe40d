"""Functions that vanish to second order, with all their digits there."""

import math

from singtheory.formula.number import Namespace, Number

_SMALL = 0.5
_FACTORIALS = tuple(2 / math.factorial(k + 2) for k in range(15))
"""Coefficients of `2 (eˣ − 1 − x)/x²`, for x up to a half: the next term is below 2⁻⁵³ of the first."""
_ODD = tuple(1 / (2 * k + 1) for k in range(1, 18))
"""Coefficients of `(artanh y − y)/y³`, for `|y|` up to 1/3: likewise."""


def expm1_rest(x: Number, xp: Namespace) -> Number:
    """`eˣ − 1 − x ≥ 0`, to relative rounding also near 0, where the difference would lose everything."""
    near = xp.clip(x, -_SMALL, _SMALL)
    series = _horner(near, _FACTORIALS)
    series *= near
    series *= near
    series /= 2
    return xp.where(xp.abs(x) < _SMALL, series, xp.expm1(x) - x)


def log1p_rest(x: Number, xp: Namespace) -> Number:
    """`x − log(1 + x) ≥ 0`, likewise."""
    near = xp.clip(x, -_SMALL, _SMALL)
    y = near / (2 + near)  # log(1 + x) = 2 artanh y, and x = 2y/(1 − y)
    square = y * y
    series = _horner(square, _ODD)
    return xp.where(xp.abs(x) < _SMALL, y * near - 2 * y * square * series, x - xp.log1p(x))


def _horner(x: Number, coefficients: tuple[float, ...]) -> Number:
    """`Σ c_k x^k`, in one block of memory where x is a tensor."""
    series = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        series += coefficient
        series *= x
    series += coefficients[0]
    return series

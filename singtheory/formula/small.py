"""What vanishes where its terms cancel, with all of its digits there.

Floats and tensors lose what cancels; symbols lose nothing, and a ball says what it lost. For these (`_keeps`) the functions are the plain expressions, on which
the proofs stand.
"""

import math

from singtheory.formula.number import Namespace, Number

_SMALL = 0.5
_FACTORIALS = tuple(2 / math.factorial(k + 2) for k in range(15))
"""Coefficients of `2 (eˣ − 1 − x)/x²`, for x up to a half: the next term is below 2⁻⁵³ of the first."""
_ODD = tuple(1 / (2 * k + 1) for k in range(1, 18))
"""Coefficients of `(artanh y − y)/y³`, for `|y|` up to 1/3: likewise."""


def _keeps(xp: Namespace) -> bool:
    """Whether differences of equal numbers keep their digits: of symbols and balls, whose namespaces choose nothing by size."""
    return not hasattr(xp, "where")


def expm1_ratio(x: Number, xp: Namespace) -> Number:
    """`2(eˣ − 1 − x)/x²`, 1 at x = 0."""
    if _keeps(xp):
        return 2 * (xp.exp(x) - 1 - x) / x**2
    far = xp.where(xp.abs(x) < _SMALL, 1.0, x)
    return xp.where(
        xp.abs(x) < _SMALL, _horner(xp.clip(x, -_SMALL, _SMALL), _FACTORIALS), 2 * (xp.expm1(x) - x) / far**2
    )


def log_rest(x: Number, parts: Number, xp: Namespace) -> Number:
    """`x − n log(1 + x/n) ≥ 0`, n the number of parts."""
    if _keeps(xp):
        return x - parts * xp.log1p(x / parts)
    return parts * log1p_rest(x / parts, xp)


def log_ratio_rest(ratio: Number, xp: Namespace) -> Number:
    """`r − 1 − log r ≥ 0`, of a ratio that is a number of its own: `r − 1` is exact near r = 1."""
    if _keeps(xp):
        return ratio - 1 - xp.log(ratio)
    x = ratio - 1
    return xp.where(xp.abs(x) < _SMALL, log1p_rest(xp.clip(x, -_SMALL, _SMALL), xp), x - xp.log(ratio))


def quotient_rest(x: Number, above: Number, below: Number, xp: Namespace) -> Number:
    """`x − log(1 + x)`, `1 + x = above/below`: near x = −1 the quotient has the digits that x lost."""
    if _keeps(xp):
        return x - xp.log1p(x)
    return xp.where(x < -_SMALL, x + xp.log(below / above), log1p_rest(xp.clip(x, -_SMALL, None), xp))


def geometric_between(rate: Number, first: Number, last: Number, fraction: Number, xp: Namespace) -> Number:
    """`((1 + λa)^(1 − f) (1 + λb)^f − 1)/λ`, from a at f = 0 to b at f = 1, for a ≤ b: evenly spaced where λb is small."""
    low, high = 1 + rate * first, 1 + rate * last
    if _keeps(xp):
        return (low * (high / low) ** fraction - 1) / rate
    return first + low * xp.expm1(fraction * xp.log1p(rate * (last - first) / low)) / rate


def root_fall(x: Number, fall: Number, xp: Namespace) -> Number:
    """`√x − √(x − f)`, for 0 ≤ f ≤ x."""
    if _keeps(xp):
        return xp.sqrt(x) - xp.sqrt(x - fall)
    together = xp.sqrt(x) + xp.sqrt(x - fall)
    return fall / xp.where(together > 0, together, 1.0)


def root_rise(rise: Number, base: Number, xp: Namespace) -> Number:
    """`√(f + b²) − b`, for f and b not negative."""
    if _keeps(xp):
        return xp.sqrt(rise + base**2) - base
    together = xp.sqrt(rise + base**2) + base
    return rise / xp.where(together > 0, together, 1.0)


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

"""From measured numbers to outcomes: the three comparisons that the checks are made of."""

import math
from collections.abc import Iterable

import sympy

from proofs_checks.claim import Outcome, Verdict
from singtheory import Estimate

_ORDER: tuple[Verdict, ...] = ("refuted", "undecided", "supported", "proved", "vacuous")


def at_most(measured: Estimate | float, bound: float, where: str) -> Outcome:
    """`measured ≤ bound`: refuted if the whole interval lies above, undecided if it straddles; margin `1 − high/bound`."""
    value, low, high = _interval(measured)
    if any(map(math.isnan, (value, low, high, bound))):
        return Outcome("undecided", value, bound, None, where)
    margin = _relative_room(high, bound) if low <= bound else _relative_room(low, bound)
    verdict: Verdict = "refuted" if low > bound else "supported" if high <= bound else "undecided"
    return Outcome(verdict, value, bound, margin, where)


def at_least(measured: Estimate | float, bound: float, where: str) -> Outcome:
    """`measured ≥ bound`: the mirror of `at_most`; margin `1 − bound/low`."""
    value, low, high = _interval(measured)
    if any(map(math.isnan, (value, low, high, bound))):
        return Outcome("undecided", value, bound, None, where)
    margin = _relative_room(bound, low) if high >= bound else _relative_room(bound, high)
    verdict: Verdict = "refuted" if high < bound else "supported" if low >= bound else "undecided"
    return Outcome(verdict, value, bound, margin, where)


def equal(measured: Estimate | float, expected: float, tolerance: float, where: str) -> Outcome:
    """`measured = expected` up to the absolute `tolerance` of the arithmetic; margin `1 − |difference|/tolerance`."""
    value, low, high = _interval(measured)
    if any(map(math.isnan, (value, low, high, expected))):
        return Outcome("undecided", value, expected, None, where)
    off = max(0.0, low - expected, expected - high)
    return Outcome("supported" if off <= tolerance else "refuted", value, expected, 1 - off / tolerance, where)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome nearest to refutation: a check holds only if every instance does. Undecided if there is none."""
    found = list(outcomes)
    if not found:
        return Outcome("undecided", where="no instance")
    return min(found, key=lambda o: (_ORDER.index(o.verdict), math.inf if o.margin is None else o.margin))


def no_instance(reason: str) -> Outcome:
    """The data have no instance of the statement, for the stated reason; nothing is said for or against it."""
    return Outcome("vacuous", where=reason)


def _interval(measured: Estimate | float) -> tuple[float, float, float]:
    if isinstance(measured, Estimate):
        return float(measured.value), float(measured.low), float(measured.high)
    return float(measured), float(measured), float(measured)


def _relative_room(inner: float, outer: float) -> float:
    """`1 − inner/outer`, of the sign of `outer − inner`; 1 against an infinite bound."""
    if math.isinf(outer):
        return 1.0 if outer >= inner else -1.0
    scale = max(abs(inner), abs(outer), 1e-300)
    return (outer - inner) / scale


def identically_zero(expression: sympy.Expr, where: str) -> Outcome:
    """Proved if sympy reduces the expression to zero, refuted if it is not zero at one of two rational points.

    The points are positive, so no symbol may stand for negative numbers only; undefined functions must be replaced by symbols first.
    """
    if sympy.simplify(expression) == 0:
        return Outcome("proved", 0.0, 0.0, 1.0, where)
    symbols = sorted(expression.free_symbols, key=str)
    # one point may lie on the zeros of an expression that is not zero
    values = [
        float(expression.subs({symbol: sympy.Rational(*point(k)) for k, symbol in enumerate(symbols)}).evalf(30))
        for point in (lambda k: (3 + 2 * k, 5 + k), lambda k: (11 + 4 * k, 7 + 2 * k))
    ]
    value = max(values, key=abs)
    verdict: Verdict = "refuted" if abs(value) > 1e-20 else "undecided"
    return Outcome(verdict, value, 0.0, -abs(value), where)

"""From measured numbers to outcomes: the three comparisons that the checks are made of."""

import math
from collections.abc import Iterable
from functools import lru_cache

import sympy

from proofs_checks.harness.claim import Outcome, Relation, Verdict
from singtheory import Estimate

EPS = 2.0**-52
_NOTHING = 1e-20
"""What is smaller at both points, of 30 digits, is taken for zero, and must be proved to be."""
_ORDER: tuple[Verdict, ...] = ("refuted", "undecided", "supported", "proved", "vacuous")


def rounding(operations: float, *magnitudes: float) -> float:
    """What float64 may change in a sum whose terms have these sizes and went through so many operations each: `operations · 2⁻⁵² · Σ|term|`.

    The sizes are those of the terms, not of what is left once they cancel.
    """
    return operations * EPS * sum(map(abs, magnitudes))


def at_most(measured: Estimate | float, bound: float, where: str, slack: float = 0.0) -> Outcome:
    """`measured ≤ bound`: refuted if the whole interval lies above, undecided if it straddles; margin `1 − high/bound`.

    Args:
        measured: a number, or an estimate with its interval.
        bound: what it is compared with.
        where: the instance.
        slack: the rounding of both sides (`rounding`), by which they may miss each other; for a statement that holds with equality.
    """
    value, low, high = _interval(measured)
    if any(map(math.isnan, (value, low, high, bound))):
        return _no_number(value, bound, where, "≤")
    limit = bound + slack
    margin = _relative_margin(high, limit) if low <= limit else _relative_margin(low, limit)
    verdict: Verdict = "refuted" if low > limit else "supported" if high <= limit else "undecided"
    return _compared(verdict, value, bound, margin, where, "≤")


def at_least(measured: Estimate | float, bound: float, where: str, slack: float = 0.0) -> Outcome:
    """`measured ≥ bound`: the mirror of `at_most`; margin `1 − bound/low`."""
    value, low, high = _interval(measured)
    if any(map(math.isnan, (value, low, high, bound))):
        return _no_number(value, bound, where, "≥")
    limit = bound - slack
    margin = _relative_margin(limit, low) if high >= limit else _relative_margin(limit, high)
    verdict: Verdict = "refuted" if high < limit else "supported" if low >= limit else "undecided"
    return _compared(verdict, value, bound, margin, where, "≥")


def equal(measured: Estimate | float, expected: float, tolerance: float, where: str) -> Outcome:
    """`measured = expected` up to the absolute `tolerance` of the arithmetic; margin `1 − |difference|/tolerance`."""
    value, low, high = _interval(measured)
    if any(map(math.isnan, (value, low, high, expected, tolerance))):
        return _no_number(value, expected, where, "=")
    if value == expected:  # also where both are infinite, or the tolerance is zero
        return Outcome("supported", value, expected, 1.0, where, "=")
    off = max(0.0, low - expected, expected - high)
    margin = 1 - off / tolerance if tolerance > 0 else -math.inf if off > 0 else 1.0
    return Outcome("supported" if off <= tolerance else "refuted", value, expected, margin, where, "=")


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome nearest to refutation: a check holds only if every instance does. Undecided if there is none.

    One that is refuted decides, so that none after it is asked for: false twins, which are to be refuted, cost no more instances than that takes.
    """
    seen: list[Outcome] = []
    for outcome in outcomes:
        if outcome.verdict == "refuted":
            return outcome
        seen.append(outcome)
    if not seen:
        return Outcome("undecided", where="no instance")
    return min(seen, key=lambda o: (_ORDER.index(o.verdict), math.inf if o.margin is None else o.margin))


def worst_or_none(outcomes: Iterable[Outcome], reason: str) -> Outcome:
    """The worst outcome, for a check on data that may have no instance, for the stated reason."""
    all_outcomes = list(outcomes)
    return worst(all_outcomes) if all_outcomes else no_instance(reason)


def no_instance(reason: str) -> Outcome:
    """The data have no instance of the statement, for the stated reason; nothing is said for or against it."""
    return Outcome("vacuous", where=reason)


def _no_number(value: float, bound: float, where: str, relation: Relation) -> Outcome:
    return Outcome("undecided", value, bound, None, where, relation, "a number on both sides: one of them overflowed")


def _compared(verdict: Verdict, value: float, bound: float, margin: float, where: str, relation: Relation) -> Outcome:
    remedy = "an interval that leaves out the bound" if verdict == "undecided" else ""
    return Outcome(verdict, value, bound, margin, where, relation, remedy)


def _interval(measured: Estimate | float) -> tuple[float, float, float]:
    if isinstance(measured, Estimate):
        return float(measured.value), float(measured.low), float(measured.high)
    return float(measured), float(measured), float(measured)


def _relative_margin(inner: float, outer: float) -> float:
    """`1 − inner/outer`, of the sign of `outer − inner`; 1 against an infinite bound."""
    if math.isinf(outer):
        return 1.0 if outer >= inner else -1.0
    scale = max(abs(inner), abs(outer), 1e-300)
    return (outer - inner) / scale


def identically_zero(expression: sympy.Expr, where: str) -> Outcome:
    """Proved if sympy reduces the expression to zero, refuted if it is not zero at one of two rational points, undecided if it is no number at either, or divides by
    something that is zero, or takes its logarithm.

    The points are positive, so no symbol may stand for negative numbers only; undefined functions must be replaced by symbols first.
    """
    if _divides_by_zero(expression):
        return Outcome("undecided", where=where, relation="=", remedy="a form that divides by no zero")
    value = _largest_value(expression)
    if math.isnan(value):  # its numerator may be zero all the same
        return _no_number(value, 0.0, where, "=")
    if abs(value) > _NOTHING:
        return Outcome("refuted", value, 0.0, -abs(value), where, "=")
    if _reduces_to_zero(expression):
        return Outcome("proved", 0.0, 0.0, 1.0, where, "=")
    remedy = "a form that sympy reduces: it is zero at two points"
    return Outcome("undecided", value, 0.0, -abs(value), where, "=", remedy)


@lru_cache(maxsize=4096)
def _divides_by_zero(expression: sympy.Expr) -> bool:
    """Whether a denominator, or what a logarithm is taken of, is zero at both points: then the whole is no number, whatever its numerator."""
    within = {
        part.args[0]
        for part in sympy.preorder_traversal(expression)
        if (isinstance(part, sympy.Pow) and part.exp.could_extract_minus_sign()) or isinstance(part, sympy.log)
    }
    return any(not abs(_largest_value(part)) > _NOTHING for part in within if part.free_symbols)


@lru_cache(maxsize=4096)
def _reduces_to_zero(expression: sympy.Expr) -> bool:
    """Asked once for a claim and all of its twins, which share most of their expressions.

    Most are rational in what they are made of: their numerator over one denominator expands to zero, which is found sooner than a simple form.
    """
    numerator, _ = sympy.fraction(sympy.together(expression))
    return sympy.expand(numerator) == 0 or sympy.simplify(expression) == 0


@lru_cache(maxsize=4096)
def _largest_value(expression: sympy.Expr) -> float:
    """The larger of the values at the two points: one may lie on the zeros of an expression that is not zero."""
    symbols = sorted(expression.free_symbols, key=str)
    values = [
        float(sympy.N(expression.xreplace({symbol: sympy.Rational(*point(k)) for k, symbol in enumerate(symbols)}), 30))
        for point in (lambda k: (3 + 2 * k, 5 + k), lambda k: (11 + 4 * k, 7 + 2 * k))
    ]
    return max(values, key=lambda value: -1.0 if math.isnan(value) else abs(value))

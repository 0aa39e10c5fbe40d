"""Rates: the slope of a logarithm against a logarithm, compared with the declared order."""

import math
from collections.abc import Callable, Sequence

from proofs_checks.harness.claim import Outcome
from proofs_checks.harness.outcome import equal

TOLERANCE = 0.1
"""How far a fitted slope may lie from the declared rate."""


def fitted_slope(abscissae: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope of log value against log abscissa; NaN unless all are positive."""
    if min(*abscissae, *values) <= 0:
        return math.nan
    x, y = [math.log(a) for a in abscissae], [math.log(v) for v in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread


def vanishes_at_rate(function: Callable[[float], float], at: Sequence[float], rate: float, where: str) -> Outcome:
    """`|function(g)| ~ g^rate`: refuted unless the fitted slope lies within `TOLERANCE` of the rate."""
    slope = fitted_slope(at, [abs(function(a)) for a in at])
    return equal(slope, rate, TOLERANCE, f"{where}, slope over {min(at):g} to {max(at):g}")

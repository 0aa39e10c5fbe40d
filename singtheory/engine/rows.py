"""The tables of numbers that pass between the host and the kernels: what each row holds, by name.

A table has one row for each field and one column for each query. `launch` and `reference` give it to `gpu` as these tuples of rows; the
kernels find a row by its field's place, which `places` reads from here.
"""

from typing import Any, NamedTuple


class AskedRows(NamedTuple):
    """What the screen and bounds need of a query; as in `reference.Asked`."""

    size: Any
    norm: Any
    error: Any
    series: Any
    rest: Any
    shift: Any


class TileRows(NamedTuple):
    """The rows of `reference.Tiles`."""

    best: Any
    mass: Any
    count: Any


class NearRows(NamedTuple):
    """The rows of `reference.Near`."""

    distance: Any
    log_sum: Any
    apart: Any
    variance: Any
    shift: Any
    log_weight: Any


class Look(NamedTuple):
    """What is known of a query after few atoms were weighed.

    Attributes:
        trace: of the covariance.
        evidence: its logarithm.
        bound: on the error of the mean.
        top: about the largest log weight.
        series: whether the moments of the data suffice: 1, else 0.
        rest: whether more must be done: 1, else 0.
    """

    trace: Any
    evidence: Any
    bound: Any
    top: Any
    series: Any
    rest: Any


class Plan(NamedTuple):
    """What is left to do for a batch, five whole numbers.

    Attributes:
        series: for how many queries the moments suffice.
        rest: for how many more must be done.
        digits: of these queries, the most that one wants.
        weight_digits: of their weights, the most that one wants.
        unusual: for how many queries `‖z′‖` or γ may lie outside of the domain (`rounding.MOST_USUAL`).
    """

    series: Any
    rest: Any
    digits: Any
    weight_digits: Any
    unusual: Any


class DigitRows(NamedTuple):
    """The rows of `reference.Digits`."""

    unit: Any
    rest: Any
    size: Any
    off_centre: Any
    norm2: Any


class SumRows(NamedTuple):
    """Sums over all atoms.

    Attributes:
        total: of the weights.
        square: of the weights with `‖y′‖²`.
        lost: of what rounding took of the weights.
    """

    total: Any
    square: Any
    lost: Any


class MomentRows(NamedTuple):
    """The trace of the covariance, the log evidence and the bound on the error of the mean."""

    trace: Any
    evidence: Any
    bound: Any

"""The tables of numbers that pass between the host and the kernels: what each row holds, by name.

A table has one row for each field and one column for each query. `launch` and `reference` give it to `gpu` as these tuples of rows; the
kernels find a row by its field's place, which `places` reads from here.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


class AskedRows(NamedTuple):
    """What the screen and bounds need of a query; as in `Asked`."""

    size: Any
    norm: Any
    error: Any
    series: Any
    rest: Any
    shift: Any
    offset: Any


class TileRows(NamedTuple):
    """The rows of `Tiles`."""

    best: Any
    mass: Any
    count: Any


class NearRows(NamedTuple):
    """The rows of `Near`."""

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
    """The rows of `Digits`."""

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


@dataclass(frozen=True)
class Asked:
    """Queries as the screen takes them, and what bounds on errors need to know of them; shape (batch,) but for the first and the last.

    Attributes:
        rows: `√γ z′/size`, in float16 or as whole numbers up to 127, int8; shape (batch, width).
        unit: of their products with the atoms that are screened, float32.
        size: the largest number of `√γ z′`.
        norm: `‖z′‖`.
        error: at least that of every screened log weight, beside `rest · ‖y′‖`.
        series: whether the moments suffice: 1, else 0.
        rest: at least the norm of what rounding to whole numbers took of `√γ z′`; 0 in float16.
        shift: what is missing in all log weights of whole numbers alike: rounding took it of the query's product with μ − base.
        offset: what screened log weights of whole numbers are above the log weights: the query's product with μ − base.
        others: how many of them do not; where there are none no kernel need screen anything; shape (1,).
    """

    rows: Tensor
    unit: Tensor
    size: Tensor
    norm: Tensor
    error: Tensor
    series: Tensor
    rest: Tensor
    shift: Tensor
    offset: Tensor
    others: Tensor


@dataclass(frozen=True)
class Tiles:
    """Which tiles of atoms can matter to a query; shape (batch,) but for the last two.

    Attributes:
        best: the largest log weight by the screen.
        mass: `Σ exp(largest log weight − best)` over all tiles.
        count: how many reach the threshold.
        index: these tiles, the best one first, as many as fit, int32, shape (batch, most).
        crowded: for how many queries they do not fit, shape (1,).
    """

    best: Tensor
    mass: Tensor
    count: Tensor
    index: Tensor
    crowded: Tensor


@dataclass(frozen=True)
class Near:
    """What the atoms of the tiles that reach a threshold tell, some of it relative to a reference y_b among them; shape (batch,).

    All but the mean is infinite, and that not set, where a query has too many tiles.

    Attributes:
        mean: shape (batch, d).
        distance: `‖z − √γ y_b‖`.
        log_sum: of weights times densities, without the constant of the Gaussian.
        apart: the root mean square of `‖y − y_b‖`.
        variance: the trace.
        shift: from y_b to the mean.
        log_weight: the root mean square of log weights relative to that of y_b.
    """

    mean: Tensor
    distance: Tensor
    log_sum: Tensor
    apart: Tensor
    variance: Tensor
    shift: Tensor
    log_weight: Tensor


@dataclass(frozen=True)
class Bounded:
    """What is known after few atoms were weighed, and what is left to do.

    Attributes:
        numbers: the rows of `Look`, shape (6, batch).
        plan: the numbers of `Plan`, shape (5,).
    """

    numbers: Tensor
    plan: Tensor


@dataclass(frozen=True)
class Digits:
    """Queries in digits of base 256; shape (batch,) but for the first.

    Attributes:
        digits: of `√γ z′`, most significant first, int8, shape (digits, batch, width).
        unit: of the last digit of their products with levels.
        rest: at least the norm of what is missing in them.
        size: `√γ‖z′‖`.
        off_centre: `√γ⟨z′, base − μ⟩`: what is multiplied is y − base, not y′.
        norm2: `‖z′‖²`.
    """

    digits: Tensor
    unit: Tensor
    rest: Tensor
    size: Tensor
    off_centre: Tensor
    norm2: Tensor


@dataclass(frozen=True)
class Weighed:
    """Weights of all atoms as whole numbers.

    Attributes:
        digits: of base 256, most significant first, int8, shape (digits, batch, n).
        sums: the rows of `SumRows`, shape (3, batch).
    """

    digits: Tensor
    sums: Tensor

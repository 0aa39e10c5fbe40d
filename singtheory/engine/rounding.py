"""Bounds on what an engine leaves out and rounds, as formulas of numbers that are known of a query; most are those of GPUs.

Each is written once, with plain operators and with functions of `xp`: here they take tensors, and `kernels` compiles the same lines into
its kernels with Triton's language in the place of torch. `reference` says what the numbers are.
"""

import math
from typing import NamedTuple

import torch as xp

from singtheory import formula
from singtheory.formula import DOUBLE, Number, logit_error, series_error, tilt_error

SAFE = 1.02
"""The factor on first-order counts of roundings that covers the rest."""
_LARGEST_LOG_WEIGHT_ERROR = 1e-2
"""The largest error of a log weight for which a bound is given: `e^δ − 1` is below `1.02 δ` for all errors δ of log weights up to it."""
_DEPTH_ROUNDINGS, _TREE_ROUNDINGS, _CHUNK = 24, 12, 128
"""Roundings on every path of a sum over the width in `near`: in a chunk of at least so many coordinates a tree over the threads of a row, and chunk after chunk; few widths need more than the first."""
NEGLIGIBLE, NEVER = 64.0, -800.0
"""Atoms of which the log weight is further below the largest are left out of `near` by kernels; what stands for the log weight of one without weight."""
_LOG_WEIGHT_ROUNDINGS = 10
"""The roundings of a log weight on a GPU, put together from exact products: four of the digits, three of the unit, two of differences, one of the rest.

They are those of `digits` and `weigh` of `reference`, of `matrix` and of `hopper`, which change with it; `test_rounding` counts them."""
_LOG_256 = math.log(256)
_MOST_ERROR, _MOST_SNR = 1e20, 1e30
"""The largest error of a screened log weight, whose parts are at most some 10⁷ times its error, and of γ, which is held in float32."""
LEAST_USUAL, MOST_USUAL = 1e-30, 1e30
"""Sizes of queries and of γ that surely lie in the domain (`singtheory.numerics.domain`), in numbers that float32 holds: others are looked at one by one."""
MOST_QUERY_DIGITS, MOST_WEIGHT_DIGITS = 7, 8
"""Beyond them whole numbers would not go into 63 bits."""
LARGEST_DIGIT = 127
"""The largest number in a query that is screened as whole numbers of 8 bits."""


class Sizes(NamedTuple):
    """What bounds on errors need to know of the atoms, and of what is held of them in low precision.

    Attributes:
        atoms: how many.
        dim: coordinates.
        radius: at least the largest `‖y′‖`.
        reach: at least the largest `‖y‖`.
        variance: `tr Σ`.
        scale: `√Σ w‖y‖²`.
        mean_norm: `‖μ‖`.
        least_log_weight: of atoms that have weight.
        half_unit: of the atoms in float16.
        half_reach: at least their largest norm.
        half_rest: at least the largest norm of what is missing in them.
        step: between levels, 0 where there are none.
        base: the value of level 0.
        levels_rest: at least the largest distance of an atom from its levels.
    """

    atoms: float
    dim: float
    radius: float
    reach: float
    variance: float
    scale: float
    mean_norm: float
    least_log_weight: float
    half_unit: float
    half_reach: float
    half_rest: float
    step: float
    base: float
    levels_rest: float


class Asking(NamedTuple):
    """Constants of `screen_error`, then of `series_remainder`, the unit of atoms that are screened, and what errors are held against.

    Attributes:
        per_norm: of `√γ‖z′‖`: what the product loses in a screened log weight.
        per_rest: of the norm of what a query in whole numbers misses, 0 in float16.
        per_snr: of γ: what the square and the rounded query lose in it.
        weights: what its prior log weight loses in float32.
        radius: as in `Sizes`.
        variance: as in `Sizes`.
        rounding: of the series' own sums, relative.
        constant: of the series' own sums, absolute.
        unit: of the atoms that are screened, for queries whose largest number is 1.
        base: as in `Sizes`.
        goal: the error of the mean that is asked for, in units of the data.
    """

    per_norm: float
    per_rest: float
    per_snr: float
    weights: float
    radius: float
    variance: float
    rounding: float
    constant: float
    unit: float
    base: float
    goal: float

    @classmethod
    def whole(cls, sizes: Sizes, goal: float, rounding: float, constant: float) -> "Asking":
        """Constants as of `of`, for a product of whole numbers of 8 bits, which is exact: atoms on levels, and queries whose rounding is measured."""
        halves = cls.of(sizes, goal, rounding, constant)
        per_norm = sizes.levels_rest + 10 * formula.SINGLE * sizes.half_reach
        # the product with an atom itself is counted where the atom's norm is known
        per_rest = per_norm + 16 * formula.SINGLE * sizes.radius
        return halves._replace(per_norm=per_norm, per_rest=per_rest, unit=sizes.step / LARGEST_DIGIT)

    @classmethod
    def of(cls, sizes: Sizes, goal: float, rounding: float, constant: float) -> "Asking":
        """For errors of the mean up to `goal`, and a product in float16; the last two are those of `Series`."""
        # rounding of queries to float16, of atoms, of the product, and of what is added in float32
        half = formula.HALF * (1 + math.sqrt(sizes.dim) * formula.HALF)
        per_norm = half * (sizes.half_reach + sizes.half_rest) + sizes.half_rest
        per_norm += (formula.accumulation(sizes.dim, formula.MATRIX) + 10 * formula.SINGLE) * sizes.half_reach
        # z′ is rounded in float64
        per_snr = 5 * formula.SINGLE * sizes.radius**2 + 4 * DOUBLE * sizes.mean_norm * sizes.half_reach
        weights = -10 * formula.SINGLE * sizes.least_log_weight
        return cls(
            per_norm, 0.0, per_snr, weights, sizes.radius, sizes.variance, rounding, constant,
            sizes.half_unit, sizes.base, goal,
        )  # fmt: skip


class Nearness(NamedTuple):
    """Constants of `near_bound`, then of `query_digits` and `weight_digits`.

    Attributes:
        roundings: on every path of a sum over the coordinates in float64.
        per_snr: of γ: what a log weight loses for each unit of distance from the heaviest atom, in roundings.
        others: what its other terms lose, in roundings.
        sums: the rounding of sums over the atoms that are kept, relative.
        far: the most that a log weight may lose for each unit of distance, in roundings; beyond it nothing is known.
        constant: the rounding of a coordinate, and what is left out; in units of the data.
        dim: as in `Sizes`.
        variance: as in `Sizes`.
        per_step: what a unit of the last digit of a query moves the mean by, over the goal.
        per_tile: what a unit of the last digit of a weight moves it by, over the goal.
        above: how far above the largest screened log weight the largest one is looked for, in units of the screen's error.
        radius: as in `Sizes`.
        goal: the error of the mean that is asked for, in units of the data.
    """

    roundings: float
    per_snr: float
    others: float
    sums: float
    far: float
    constant: float
    dim: float
    variance: float
    per_step: float
    per_tile: float
    above: float
    radius: float
    goal: float

    @classmethod
    def of(cls, sizes: Sizes, goal: float, below: float, atoms: int) -> "Nearness":
        """For errors of the mean up to `goal`, with all log weights left out that are `below` the largest, and at most `atoms` kept."""
        roundings = max(_DEPTH_ROUNDINGS, sizes.dim / _CHUNK + _TREE_ROUNDINGS) + 6
        per_snr = 2 * sizes.mean_norm + roundings * sizes.radius + 6 * sizes.reach
        others = 8 - 4 * sizes.least_log_weight
        sums = formula.accumulation(atoms + 16, DOUBLE)
        # where no log weight is far off, e^δ − 1 is δ up to what is allowed for
        far = (_LARGEST_LOG_WEIGHT_ERROR / DOUBLE - 3300 - others) / (2 * sizes.radius)
        least = sizes.atoms * math.exp(-below) + atoms * math.exp(-NEGLIGIBLE)
        left_out = formula.truncation_error(least, 2 * sizes.radius)
        constant = 3 * DOUBLE * sizes.reach + left_out
        # a rounded digit is off by √(1/12) in the mean; rounding takes a quarter of a digit from each of a tile's eight atoms, and half of the goal is left to the rest
        per_step, per_tile = 1.5 * math.sqrt(sizes.dim / 12) / 127, 2 * 8 * sizes.radius / (4 * 127)
        # the error is that of the worst direction, and in many coordinates a query's rounding is in no direction of the data
        above = min(1.0, 4 / math.sqrt(sizes.dim))
        return cls(
            roundings, per_snr, others, sums, far, constant, sizes.dim, sizes.variance, per_step / goal, per_tile / goal,
            above, sizes.radius, goal,
        )  # fmt: skip


class Expansion(NamedTuple):
    """Constants of the series near γ = 0.

    Attributes:
        radius: as in `Sizes`, and so `variance`.
        rounding: of `Series`, and so `constant`.
        square: `Var ‖y′‖²`.
        log_norm: `d log 2π`.
    """

    radius: float
    variance: float
    rounding: float
    constant: float
    square: float
    log_norm: float


class Weighing(NamedTuple):
    """Constants of `digits_bound`, then what turns whole numbers into means.

    Attributes:
        radius: as in `Sizes`, and so `mean_norm`, `half_reach`, `levels_rest`, `step` and `base`.
        others: what the other terms of a log weight lose in float64, in roundings.
        rounding: of the sums over all atoms, in units of the data.
        full: the whole number that stands for a weight of 1.
        log_norm: `½ d log 2π`.
    """

    radius: float
    mean_norm: float
    half_reach: float
    others: float
    levels_rest: float
    rounding: float
    step: float
    base: float
    full: float
    log_norm: float

    @classmethod
    def of(cls, sizes: Sizes, weight_digits: int, blocks: int) -> "Weighing":
        """For so many digits of weights, summed over so many blocks."""
        others = math.log(sizes.atoms) - 9 * sizes.least_log_weight + 64
        sums = 64 + 2 * weight_digits * (blocks + 1)
        rounding = sums * DOUBLE * (sizes.half_reach + abs(sizes.base) * math.sqrt(sizes.dim) + sizes.reach)
        full, log_norm = 127 * 256.0 ** (weight_digits - 1), sizes.dim / 2 * math.log(2 * math.pi)
        return cls(
            sizes.radius, sizes.mean_norm, sizes.half_reach, others, sizes.levels_rest, rounding,
            sizes.step, sizes.base, full, log_norm,
        )  # fmt: skip


def screen_error(
    norm: Number, root: Number, snr: Number, rest: Number,
    per_norm: Number, per_rest: Number, per_snr: Number, weights: Number,
) -> Number:  # fmt: skip
    """At least the error of every screened log weight but for the product of `rest` with the atom, from `‖z′‖`, `√γ`, γ and the norm of `rest`; constants of `Asking`.

    `rest` is what rounding to whole numbers took of `√γ z′`. Infinite where float32 might overflow.
    """
    error = SAFE * (norm * root * per_norm + rest * per_rest + snr * per_snr + weights)
    return xp.where((error < _MOST_ERROR) & (snr < _MOST_SNR), error, float("inf"))


def series_remainder(
    norm2: Number, snr: Number, radius: Number, variance: Number, rounding: Number, constant: Number
) -> Number:
    """At least the error of the mean by the series (C1), from `‖z′‖²` and γ alone; constants of `Asking`.

    `T = √γ‖z′‖ r + ½γ r² ≥ |t|` and `2γ‖z′‖² tr Σ + ½γ² r² tr Σ ≥ Var t`.
    """
    largest = xp.sqrt(snr * norm2) * radius + snr * (radius * radius / 2)
    variance_t = (2 * snr * norm2 + snr * radius * (snr * radius) / 2) * variance
    # the sum of the moments themselves
    rounded = rounding * largest * radius + constant
    return SAFE * (series_error(radius, xp.exp(2 * largest), variance_t) + rounded)


def near_bound(
    norm: Number, root: Number, snr: Number, distance: Number, apart: Number, shift: Number, log_weight: Number,
    roundings: Number, per_snr: Number, others: Number, sums: Number, far: Number, constant: Number,
) -> Number:  # fmt: skip
    """At least the error of a mean from few atoms, as in `rescore`; infinite where a log weight is far off.

    A log weight is off by `u(A‖y_i − y_b‖ + 4|log weight| + C)`, with `‖y_i − y_b‖/2` at most the radius.

    Args:
        norm: `‖z′‖`.
        root: `√γ`.
        snr: γ.
        distance: of `rows.Near`, as the three that follow; infinite where nothing is known.
        apart: there.
        shift: there.
        log_weight: there.
        roundings: of `Nearness`, as the others that follow.
        per_snr: there.
        others: there.
        sums: there.
        far: there.
        constant: there.
    """
    along = root * (2 * norm + distance * roundings) + per_snr * snr
    mass = SAFE * logit_error(DOUBLE, along * apart, 4 * log_weight, others)
    tilted = tilt_error(mass * (apart + shift), mass)
    rounded_off = 2 * sums * apart + 3 * DOUBLE * shift
    return xp.where(along < far, SAFE * (tilted + rounded_off + constant), float("inf"))


def tile_limit(score: Number, norm2: Number, offset: Number, error: Number, below: Number) -> Number:
    """What the screened log weight of a tile, with its margin `rest · ‖y′‖`, must reach for one of its atoms to be less than `below` under an atom whose log density is known.

    Args:
        score: `log w − ½‖z − √γ y‖²` of that atom, in float64: its log weight less `½‖z′‖²`.
        norm2: `‖z′‖²`.
        offset: of `rows.Asked`.
        error: there.
        below: see there.
    """
    # sums of squares over the width are off by less than a trillionth, and so is the offset, whose size is at most error/6·10⁻⁷
    rounded_off = 1e-12 * (norm2 + xp.abs(score)) + 1e-3 * error
    return score + norm2 / 2 + offset - below - error - rounded_off


def query_digits(size: Number, snr: Number, dim: Number, variance: Number, per_step: Number) -> Number:
    """How many a query wants, so that rounding to them should stay below the goal: the bound decides afterwards.

    Args:
        size: the largest number of `√γ z′`.
        snr: γ.
        dim: of `Nearness`, as the others that follow.
        variance: there.
        per_step: there.
    """
    # the trace is at most tr Σ and d/γ
    trace = dim / snr
    over = size * xp.where(trace < variance, trace, variance) * per_step
    digits = 1 + xp.ceil(xp.log(xp.where(over > 1, over, 1.0)) / _LOG_256)
    return xp.where(digits < MOST_QUERY_DIGITS, digits, MOST_QUERY_DIGITS)


def weight_digits(tiles: Number, mass: Number, per_tile: Number) -> Number:
    """How many digits the weights want, as `query_digits` says it for queries.

    Args:
        tiles: that matter.
        mass: of all tiles, in units of the largest weight.
        per_tile: of `Nearness`.
    """
    over = tiles / mass * per_tile
    digits = 1 + xp.ceil(xp.log(xp.where(over > 1, over, 1.0)) / _LOG_256)
    return xp.where(digits < MOST_WEIGHT_DIGITS, digits, MOST_WEIGHT_DIGITS)


def digits_delta(
    size: Number, snr: Number, norm: Number, radius: Number, mean_norm: Number, half_reach: Number, others: Number
) -> Number:
    """`δ`: at least the root mean square error of log weights through float64, as `scan.logit_error`.

    Args:
        size: `√γ‖z′‖`.
        snr: γ.
        norm: of y′, its root mean square or the largest.
        radius: of `Weighing`, as the others that follow.
        mean_norm: there.
        half_reach: there.
        others: there.
    """
    product = _LOG_WEIGHT_ROUNDINGS * size * half_reach + 3 * snr * mean_norm * norm
    squares = 32 * snr * radius * norm / 2
    return SAFE * logit_error(DOUBLE, product, squares, others)


def digits_bound(
    total: Number, square: Number, lost: Number, shift2: Number, size: Number, rest: Number, snr: Number,
    radius: Number, mean_norm: Number, half_reach: Number, others: Number, levels_rest: Number, rounding: Number,
) -> Number:  # fmt: skip
    """At least the error of a mean from exact products of digits; infinite where no weight may be left or a log weight is far off.

    Args:
        total: of `rows.Weighed`, as the two that follow.
        square: there.
        lost: there.
        shift2: `‖mean − μ‖²`.
        size: `√γ‖z′‖`.
        rest: at least the norm of what rounding took of `√γ z′`.
        snr: γ.
        radius: of `Weighing`, as the others that follow.
        mean_norm: there.
        half_reach: there.
        others: there.
        levels_rest: there.
        rounding: there.
    """
    second = square / total
    variance = xp.where(second > shift2, second - shift2, 0.0)
    # what was rounded has a mean over all weights before it, of which at least total − lost are left
    share, reach = lost / (total - lost), radius + xp.sqrt(shift2)
    # the mean itself is off by its rounding
    slack = 1e-12 * second + 2 * xp.sqrt(shift2) * (rounding + levels_rest)
    spread = xp.sqrt(variance + share * reach * reach + slack)
    off = (rest + size * DOUBLE) * SAFE
    near = digits_delta(size, snr, xp.sqrt(second), radius, mean_norm, half_reach, others)
    far = digits_delta(size, snr, radius, radius, mean_norm, half_reach, others)
    mass = near + off * spread + size * levels_rest * SAFE
    tilted = tilt_error(mass * spread, mass)
    # with too few digits, or at too much of a guess at the top, no weight may be left
    known = (far + 2 * off * radius + size * levels_rest < _LARGEST_LOG_WEIGHT_ERROR) & (total > 2 * lost)
    return xp.where(known, SAFE * (tilted + share * reach + rounding + levels_rest), float("inf"))

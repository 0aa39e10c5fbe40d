"""The Triton functions of `launch`, which launches them: products with what follows them in one pass, so that no log weight is ever stored.

A program answers one query, or a block of rows and columns. What is computed stands with the functions of `reference` of the same names.
"""

# ruff: noqa: ANN001, ANN003, ANN201, ANN202
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

import math
from types import FunctionType

import triton
import triton.language as tl

from singtheory.engine import places as at
from singtheory.engine import rounding
from singtheory.formula import logit_error, series_error, tilt_error

_LOG2_E = tl.constexpr(math.log2(math.e))
_GROUP = tl.constexpr(8)
"""Blocks of rows that are next to each other in time, so that columns are read from the cache."""


def _in_triton(function, **known):
    """A formula that kernels call: the same lines, where `xp` is Triton's language."""
    names = {
        name: tl.constexpr(value) if isinstance(value, (int, float)) else value
        for name, value in function.__globals__.items()
    }
    names |= {"xp": tl, "Number": tl.tensor, **known}
    return triton.jit(FunctionType(function.__code__, names, function.__name__))


_series_error, _logit_error, _tilt_error = map(_in_triton, (series_error, logit_error, tilt_error))
_screen_error = _in_triton(rounding.screen_error)
_series_remainder = _in_triton(rounding.series_remainder, series_error=_series_error)
_near_bound = _in_triton(rounding.near_bound, logit_error=_logit_error, tilt_error=_tilt_error)
_query_digits, _weight_digits = _in_triton(rounding.query_digits), _in_triton(rounding.weight_digits)
_delta = _in_triton(rounding.digits_delta, logit_error=_logit_error)
_digits_bound = _in_triton(rounding.digits_bound, digits_delta=_delta, tilt_error=_tilt_error)


@triton.jit
def _place(blocks_across, blocks_down):
    """Which block of rows and of columns is this program's."""
    program = tl.program_id(0)
    first = program // (_GROUP * blocks_across) * _GROUP
    size = min(blocks_down - first, _GROUP)
    inside = program % (_GROUP * blocks_across)
    return first + inside % size, inside // size


@triton.jit
def asked_kernel(
    z, snr, mean, known, rows, unit, numbers, others, batch, dim, width, padded: tl.constexpr, whole: tl.constexpr,
):  # fmt: skip
    """One query: rounded, and what its bounds need."""
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside = place < dim
    gamma = tl.load(snr + query)
    root = tl.sqrt(gamma)
    shifted = tl.load(z + query * dim + place, mask=inside, other=0.0)
    centre = tl.load(mean + place, mask=inside, other=0.0)
    shifted -= root * centre
    scaled, norm2 = shifted * root, tl.sum(shifted * shifted)
    size = tl.maximum(tl.max(tl.abs(scaled)), tl.full((), 1e-300, tl.float64))
    tl.store(unit + query, (size * tl.load(known + at.ASKING_UNIT)).to(tl.float32))
    norm, rest, shift = tl.sqrt(norm2), tl.cast(0.0, tl.float64), tl.cast(0.0, tl.float64)
    if whole:
        step = size / 127.0
        number = tl.floor(scaled / step + 0.5)
        missing = tl.where(inside, scaled - number * step, 0.0)
        rest = tl.sqrt(tl.sum(missing * missing)) * 1.01
        shift = tl.sum(missing * (centre - tl.load(known + at.ASKING_BASE)))
        tl.store(rows + query * width + place, number.to(tl.int32).to(tl.int8), mask=place < width)
    else:
        tl.store(rows + query * width + place, (scaled / size).to(tl.float16), mask=place < width)
    error = _screen_error(
        norm,
        root,
        gamma,
        rest,
        tl.load(known + at.ASKING_PER_NORM),
        tl.load(known + at.ASKING_PER_REST),
        tl.load(known + at.ASKING_PER_SNR),
        tl.load(known + at.ASKING_WEIGHTS),
    )
    remainder = _series_remainder(
        norm2,
        gamma,
        tl.load(known + at.ASKING_RADIUS),
        tl.load(known + at.ASKING_VARIANCE),
        tl.load(known + at.ASKING_ROUNDING),
        tl.load(known + at.ASKING_CONSTANT),
    )
    series = remainder <= tl.load(known + at.ASKING_GOAL)
    tl.store(numbers + at.ASKED_SIZE * batch + query, size)
    tl.store(numbers + at.ASKED_NORM * batch + query, norm)
    tl.store(numbers + at.ASKED_ERROR * batch + query, error)
    tl.store(numbers + at.ASKED_SERIES * batch + query, series.to(tl.float64))
    tl.store(numbers + at.ASKED_SHIFT * batch + query, shift)
    if series == 0:
        tl.atomic_add(others, 1)


@triton.jit
def screen_kernel(
    queries, atoms, half, log_weights, unit, snr, others, out, batch, count, width,
    tile: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
    """A block of queries and atoms: the largest log weight of each tile."""
    if tl.load(others) == 0:
        return
    down, across = _place(tl.cdiv(count, columns), tl.cdiv(batch, rows))
    row, column = down * rows + tl.arange(0, rows), across * columns + tl.arange(0, columns)
    safe, inner = tl.minimum(row, batch - 1), tl.arange(0, depth)
    sums = tl.zeros((rows, columns), dtype=tl.float32)
    left = queries + safe[:, None].to(tl.int64) * width + inner[None, :]
    right = atoms + column[None, :].to(tl.int64) * width + inner[:, None]
    for first in range(0, width, depth):
        sums = tl.dot(tl.load(left + first), tl.load(right + first), sums)
    gamma = tl.load(snr + safe).to(tl.float32)
    logits = sums * tl.load(unit + safe)[:, None] - gamma[:, None] * tl.load(half + column)[None, :]
    logits += tl.load(log_weights + column)[None, :]
    largest = tl.max(tl.reshape(logits, (rows, columns // tile, tile)), axis=2)
    place = across * (columns // tile) + tl.arange(0, columns // tile)
    tl.store(out + row[:, None].to(tl.int64) * (count // tile) + place[None, :], largest, mask=row[:, None] < batch)


@triton.jit
def streamed_screen_kernel(
    queries, atoms, half, log_weights, unit, snr, shift, others, out, batch, count, width, programs, sum_kind: tl.constexpr,
    tile: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr, group: tl.constexpr,
):  # fmt: skip
    """Blocks of queries and atoms, one after another, the next ones read while one ends: the largest log weight of each tile."""
    across, down = tl.cdiv(count, columns), tl.cdiv(batch, rows)
    blocks = tl.where(tl.load(others) == 0, 0, across * down)
    for block in tl.range(tl.program_id(0), blocks, programs, flatten=True):
        first = block // (group * across) * group
        size = tl.minimum(down - first, group)
        first_row = (first + block % (group * across) % size) * rows
        first_column = block % (group * across) // size * columns
        sums = tl.zeros((rows, columns), dtype=sum_kind)
        for start in range(0, width, depth):
            query = queries.load([first_row, start])
            sums = tl.dot(query, atoms.load([first_column, start]).T, sums, out_dtype=sum_kind)
        row, column = first_row + tl.arange(0, rows), first_column + tl.arange(0, columns)
        safe = tl.minimum(row, batch - 1)
        gamma = tl.load(snr + safe).to(tl.float32)
        logits = sums.to(tl.float32) * tl.load(unit + safe)[:, None]
        logits += tl.load(log_weights + column)[None, :] - gamma[:, None] * tl.load(half + column)[None, :]
        largest = tl.max(tl.reshape(logits, (rows, columns // tile, tile)), axis=2)
        largest += tl.load(shift + safe).to(tl.float32)[:, None]
        place = first_column // tile + tl.arange(0, columns // tile)
        where = out + row[:, None].to(tl.int64) * (count // tile) + place[None, :]
        tl.store(where, largest, mask=row[:, None] < batch)


@triton.jit
def _exact(whole):
    """Whole numbers below 2^51 in size, int64, in float64: conversions take a quarter of the rate of sums."""
    return (whole + 0x4338000000000000).to(tl.float64, bitcast=True) - 6755399441055744.0


@triton.jit
def _power(exponent):
    """`2^exponent`, relative error at most `rounding.SINGLE_EXP`; with exponents cut off at −200 and 200."""
    # the sum has 23 bits after the point, and 9 before it are enough
    cut = tl.minimum(tl.maximum(exponent, -200.0), 200.0) + 805306368.0
    bits = cut.to(tl.int64, bitcast=True).to(tl.int32)
    power = tl.exp2(((bits & 0x7FFFFF) | 0x3F800000).to(tl.float32, bitcast=True) - 1.0)
    # the same number in float64, times a power of 2
    mantissa = power.to(tl.int32, bitcast=True).to(tl.int64) << 29
    return (mantissa + ((896 + (bits >> 23)).to(tl.int64) << 52)).to(tl.float64, bitcast=True)


@triton.jit
def weigh_kernel(
    queries, atoms, half, log_weights, unit, snr, top, out, sums, batch, count, blocks, width, places,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr, weight_digits: tl.constexpr, few: tl.constexpr,
    single: tl.constexpr,
):  # fmt: skip
    """A block of queries and atoms: digits of their weights, and sums of them."""
    down, across = _place(blocks, tl.cdiv(batch, rows))
    row, column = down * rows + tl.arange(0, rows), across * columns + tl.arange(0, columns)
    safe, inside = tl.minimum(row, batch - 1), row < batch
    # rows beyond the last query read those of the next digit, and are not kept
    if few:  # in whole numbers below 2^51
        numbers = tl.zeros((rows, columns), dtype=tl.int64)
        for digit in tl.range(places, flatten=True):
            product = tl.zeros((rows, columns), dtype=tl.int32)
            for first in range(0, width, depth):
                query = queries.load([digit * batch + down * rows, first])
                product = tl.dot(query, atoms.load([across * columns, first]).T, product, out_dtype=tl.int32)
            numbers = numbers * 256 + product.to(tl.int64)
        logits = _exact(numbers)
    else:
        logits = tl.zeros((rows, columns), dtype=tl.float64)
        for digit in tl.range(places, flatten=True):
            product = tl.zeros((rows, columns), dtype=tl.int32)
            for first in range(0, width, depth):
                query = queries.load([digit * batch + down * rows, first])
                product = tl.dot(query, atoms.load([across * columns, first]).T, product, out_dtype=tl.int32)
            logits = logits * 256.0 + _exact(product.to(tl.int64))
    full = 127.0
    for _ in tl.static_range(weight_digits - 1):
        full = full * 256.0
    if single:  # to the base 2
        unit2, gamma2 = tl.load(unit + safe) * _LOG2_E, tl.load(snr + safe) * _LOG2_E
        prior, above = tl.load(log_weights + column) * _LOG2_E, tl.load(top + safe) * _LOG2_E
        logits = logits * unit2[:, None] + (prior[None, :] - gamma2[:, None] * tl.load(half + column)[None, :])
        exact = _power(logits - above[:, None]) * full
    else:
        logits = logits * tl.load(unit + safe)[:, None] - tl.load(snr + safe)[:, None] * tl.load(half + column)[None, :]
        logits += tl.load(log_weights + column)[None, :] - tl.load(top + safe)[:, None]
        exact = tl.exp(logits) * full
    if weight_digits < 7:  # the sum holds the rounded number in its low bits
        shifted = tl.minimum(exact, full) + 6755399441055744.0
        whole, number = shifted - 6755399441055744.0, shifted.to(tl.int64, bitcast=True) - 0x4338000000000000
    else:
        whole = tl.minimum(tl.floor(exact + 0.5), full)
        number = whole.to(tl.int64)
    place, step = row * blocks + across, batch * blocks
    tl.store(sums + at.SUMS_TOTAL * step + place, tl.sum(whole, axis=1), mask=inside)
    tl.store(
        sums + at.SUMS_SQUARE * step + place,
        tl.sum(whole * (2.0 * tl.load(half + column))[None, :], axis=1),
        mask=inside,
    )
    tl.store(sums + at.SUMS_LOST * step + place, tl.sum(tl.abs(exact - whole), axis=1), mask=inside)
    # the low byte of a whole number, read with its sign, is its last balanced digit
    where = (
        out
        + (weight_digits - 1) * tl.cast(batch, tl.int64) * count
        + row[:, None].to(tl.int64) * count
        + column[None, :]
    )
    if weight_digits > 4:
        long = number
        for _ in tl.static_range(weight_digits - 4):
            tl.store(where, long.to(tl.int8), mask=inside[:, None])
            long = (long + 128) >> 8
            where -= tl.cast(batch, tl.int64) * count
        rest = long.to(tl.int32)
    else:
        rest = number.to(tl.int32)
    for _ in tl.static_range(min(weight_digits, 4)):
        tl.store(where, rest.to(tl.int8), mask=inside[:, None])
        rest = (rest + 128) >> 8
        where -= tl.cast(batch, tl.int64) * count


@triton.jit
def bounded_kernel(
    snr, size, norm, error, series, best, mass, tiles, distance, log_sum, apart, variance, shift, log_weight,
    known, numbers, plan, batch, block: tl.constexpr,
):  # fmt: skip
    """A block of queries: bounds of what few atoms give."""
    query = tl.program_id(0) * block + tl.arange(0, block)
    real = query < batch
    gamma, length = tl.load(snr + query, mask=real, other=1.0), tl.load(norm + query, mask=real, other=0.0)
    bound = _near_bound(
        length, tl.sqrt(gamma), gamma,
        tl.load(distance + query, mask=real, other=0.0), tl.load(apart + query, mask=real, other=0.0),
        tl.load(shift + query, mask=real, other=0.0), tl.load(log_weight + query, mask=real, other=0.0),
        tl.load(known + at.NEARNESS_ROUNDINGS), tl.load(known + at.NEARNESS_PER_SNR), tl.load(known + at.NEARNESS_OTHERS),
        tl.load(known + at.NEARNESS_SUMS), tl.load(known + at.NEARNESS_FAR), tl.load(known + at.NEARNESS_CONSTANT),
    )  # fmt: skip
    moments = real & (tl.load(series + query, mask=real, other=0.0) > 0)
    rest = real & ((bound <= tl.load(known + at.NEARNESS_GOAL)) == 0) & (moments == 0)
    digits = _query_digits(
        tl.load(size + query, mask=real, other=1.0),
        gamma,
        tl.load(known + at.NEARNESS_DIM),
        tl.load(known + at.NEARNESS_VARIANCE),
        tl.load(known + at.NEARNESS_PER_STEP),
    )
    weight_digits = _weight_digits(
        tl.load(tiles + query, mask=real, other=1.0),
        tl.load(mass + query, mask=real, other=1.0),
        tl.load(known + at.NEARNESS_PER_TILE),
    )
    tl.atomic_add(plan + at.PLAN_SERIES, tl.sum(moments.to(tl.int32)), sem="relaxed")
    tl.atomic_add(plan + at.PLAN_REST, tl.sum(rest.to(tl.int32)), sem="relaxed")
    tl.atomic_max(plan + at.PLAN_DIGITS, tl.max(tl.where(rest, digits, 0.0)).to(tl.int32), sem="relaxed")
    tl.atomic_max(plan + at.PLAN_WEIGHT_DIGITS, tl.max(tl.where(rest, weight_digits, 0.0)).to(tl.int32), sem="relaxed")
    usual = (length < float("inf")) & (gamma >= 0) & (gamma < float("inf"))
    tl.atomic_add(plan + at.PLAN_UNUSUAL, tl.sum(((usual == 0) & real).to(tl.int32)), sem="relaxed")
    evidence = tl.load(log_sum + query, mask=real) - tl.load(known + at.NEARNESS_DIM) / 2 * tl.log(
        tl.full((), 6.283185307179586, tl.float64)
    )
    tl.store(numbers + at.LOOK_TRACE * batch + query, tl.load(variance + query, mask=real), mask=real)
    tl.store(numbers + at.LOOK_EVIDENCE * batch + query, evidence, mask=real)
    tl.store(numbers + at.LOOK_BOUND * batch + query, bound, mask=real)
    top = tl.load(best + query, mask=real) + tl.load(error + query, mask=real) * tl.load(known + at.NEARNESS_ABOVE)
    tl.store(numbers + at.LOOK_TOP * batch + query, top, mask=real)
    tl.store(numbers + at.LOOK_SERIES * batch + query, moments.to(tl.float64), mask=real)
    tl.store(numbers + at.LOOK_REST * batch + query, rest.to(tl.float64), mask=real)


@triton.jit
def shifted_kernel(z, snr, mean, out, dim, padded: tl.constexpr):
    """One query: its difference from the mean."""
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside = place < dim
    centre = tl.load(mean + place, mask=inside, other=0.0)
    shifted = tl.load(z + query * dim + place, mask=inside, other=0.0) - tl.sqrt(tl.load(snr + query)) * centre
    tl.store(out + query * dim + place, shifted, mask=inside)


@triton.jit
def moments_kernel(
    shifted, along, snr, mean, rest, skew, known, means, numbers, batch, dim, padded: tl.constexpr,
):  # fmt: skip
    """One query near γ = 0: its mean, and what is known with it, from moments of the data."""
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside, gamma = place < dim, tl.load(snr + query)
    root, variance = tl.sqrt(gamma), tl.load(known + at.EXPANSION_VARIANCE)
    away = tl.load(shifted + query * dim + place, mask=inside, other=0.0)
    product = tl.load(along + query * dim + place, mask=inside, other=0.0)
    third = tl.load(skew + place, mask=inside, other=0.0)
    shift = root * product - gamma / 2 * third
    centre = tl.load(mean + place, mask=inside, other=0.0)
    value = centre + (tl.load(rest + place, mask=inside, other=0.0) + shift)
    tl.store(means + query * dim + place, value, mask=inside)
    norm2 = tl.sum(away * away)
    trace = variance + root * tl.sum(away * third) - gamma / 2 * tl.load(known + at.EXPANSION_SQUARE)
    trace = tl.maximum(trace - tl.sum(shift * shift), 0.0, propagate_nan=tl.PropagateNan.ALL)
    spread = variance - tl.sum(product * away)
    bound = _series_remainder(
        norm2,
        gamma,
        tl.load(known + at.EXPANSION_RADIUS),
        variance,
        tl.load(known + at.EXPANSION_ROUNDING),
        tl.load(known + at.EXPANSION_CONSTANT),
    )
    evidence = -(norm2 + gamma * spread + tl.load(known + at.EXPANSION_LOG_NORM)) / 2
    tl.store(numbers + at.MOMENTS_TRACE * batch + query, trace)
    tl.store(numbers + at.MOMENTS_EVIDENCE * batch + query, evidence)
    tl.store(numbers + at.MOMENTS_BOUND * batch + query, bound)


@triton.jit
def digits_kernel(
    z, snr, mean, known, out, numbers, batch, dim, width, places: tl.constexpr, padded: tl.constexpr,
):  # fmt: skip
    """One query: the digits of its difference from the mean."""
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside = place < dim
    root = tl.sqrt(tl.load(snr + query))
    centre = tl.load(mean + place, mask=inside, other=0.0)
    shifted = tl.load(z + query * dim + place, mask=inside, other=0.0) - root * centre
    scaled = shifted * root
    largest, full = tl.maximum(tl.max(tl.abs(scaled)), tl.full((), 1e-300, tl.float64)), 127.0
    for _ in tl.static_range(places - 1):
        full = full * 256.0
    scale = largest / full
    exact = scaled / scale
    whole = tl.where(exact < 0, -tl.floor(0.5 - exact), tl.floor(exact + 0.5))
    missing = scaled - whole * scale
    size = tl.sqrt(tl.sum(scaled * scaled))
    off_centre = tl.sum(tl.where(inside, scaled * (tl.load(known + at.WEIGHING_BASE) - centre), 0.0))
    tl.store(numbers + at.DIGITS_UNIT * batch + query, scale * tl.load(known + at.WEIGHING_STEP))
    tl.store(numbers + at.DIGITS_REST * batch + query, tl.sqrt(tl.sum(missing * missing)) * 1.01)
    tl.store(numbers + at.DIGITS_SIZE * batch + query, size)
    tl.store(numbers + at.DIGITS_OFF_CENTRE * batch + query, off_centre)
    tl.store(numbers + at.DIGITS_NORM2 * batch + query, tl.sum(shifted * shifted))
    rest, step = whole.to(tl.int64), tl.cast(batch, tl.int64) * width
    where = out + (places - 1) * step + query * width + place
    for _ in tl.static_range(places):
        tl.store(where, rest.to(tl.int8), mask=place < width)
        rest = (rest + 128) >> 8
        where -= step


@triton.jit
def product_kernel(
    digits, atoms, sums, batch, width, count, steps,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
    """A block of rows and columns, over a part of the steps: sums of products of digits."""
    across = tl.cdiv(width, columns)
    first_row, first_column = tl.program_id(0) // across * rows, tl.program_id(0) % across * columns
    start = tl.program_id(1) * steps * depth
    total = tl.zeros((rows, columns), dtype=tl.int32)
    for first in range(start, min(count, start + steps * depth), depth):
        digit = digits.load([first_row, first])
        total = tl.dot(digit, atoms.load([first_column, first]).T, total, out_dtype=tl.int32)
    row, column = first_row + tl.arange(0, rows), first_column + tl.arange(0, columns)
    inside = (row[:, None] < batch) & (column[None, :] < width)
    tl.atomic_add(sums + row[:, None].to(tl.int64) * width + column[None, :], total, mask=inside, sem="relaxed")


@triton.jit
def together_kernel(sums, totals, batch, width, places: tl.constexpr, padded: tl.constexpr):
    """One query: its sums of all places as one number."""
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    where, total = sums + query * width + place, tl.zeros((padded,), dtype=tl.float64)
    for _ in tl.static_range(places):
        total = total * 256.0 + tl.load(where, mask=place < width, other=0).to(tl.float64)
        where += tl.cast(batch, tl.int64) * width
    tl.store(totals + query * width + place, total, mask=place < width)


@triton.jit
def weighted_kernel(
    products, sums, rest, size, off_centre, norm2, snr, top, mean, known, means, numbers, batch, dim, width,
    padded: tl.constexpr,
):  # fmt: skip
    """One query: its mean from the products, and what its bound needs."""
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside = place < dim
    total, square = tl.load(sums + at.SUMS_TOTAL * batch + query), tl.load(sums + at.SUMS_SQUARE * batch + query)
    value = tl.load(products + query * width + place, mask=inside, other=0.0) * (
        tl.load(known + at.WEIGHING_STEP) / total
    )
    value += tl.load(known + at.WEIGHING_BASE)
    away = tl.where(inside, value - tl.load(mean + place, mask=inside, other=0.0), 0.0)
    shift2 = tl.sum(away * away)
    bound = _digits_bound(
        total, square, tl.load(sums + at.SUMS_LOST * batch + query), shift2, tl.load(size + query), tl.load(rest + query),
        tl.load(snr + query), tl.load(known + at.WEIGHING_RADIUS), tl.load(known + at.WEIGHING_MEAN_NORM),
        tl.load(known + at.WEIGHING_HALF_REACH), tl.load(known + at.WEIGHING_OTHERS), tl.load(known + at.WEIGHING_LEVELS_REST),
        tl.load(known + at.WEIGHING_ROUNDING), tl.load(known + at.WEIGHING_EXPONENTIAL),
    )  # fmt: skip
    log_total = tl.load(top + query) + tl.log(total / tl.load(known + at.WEIGHING_FULL)) + tl.load(off_centre + query)
    tl.store(means + query * dim + place, value, mask=inside)
    tl.store(
        numbers + at.MOMENTS_TRACE * batch + query,
        tl.maximum(square / total - shift2, 0.0, propagate_nan=tl.PropagateNan.ALL),
    )
    tl.store(
        numbers + at.MOMENTS_EVIDENCE * batch + query,
        log_total - tl.load(norm2 + query) / 2 - tl.load(known + at.WEIGHING_LOG_NORM),
    )
    tl.store(numbers + at.MOMENTS_BOUND * batch + query, bound)


@triton.jit
def tiles_kernel(
    largest, error, others, below, numbers, index, crowded, batch, tiles, most, chunk: tl.constexpr,
):  # fmt: skip
    """One query: which tiles matter."""
    query, inside = tl.program_id(0).to(tl.int64), tl.arange(0, chunk)
    if tl.load(others) == 0:
        tl.store(numbers + at.TILES_BEST * batch + query, tl.cast(0.0, tl.float64))
        tl.store(numbers + at.TILES_MASS * batch + query, tl.cast(1.0, tl.float64))
        tl.store(numbers + at.TILES_COUNT * batch + query, tl.cast(float("inf"), tl.float64))
        return
    best, best_tile = tl.cast(-float("inf"), tl.float32), 0
    for first in range(0, tiles, chunk):
        values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
        value, place = tl.max(values, axis=0, return_indices=True)
        if value > best:
            best, best_tile = value, first + place
    limit = best.to(tl.float64) - 2 * tl.load(error + query) - below
    # the best tile comes first
    tl.store(index + query * most, best_tile)
    counted, mass = 1, tl.cast(0.0, tl.float32)
    for first in range(0, tiles, chunk):
        values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
        hit = ((values < limit) == 0) & (first + inside != best_tile) & (first + inside < tiles)
        hits = tl.sum(hit.to(tl.int32))
        # their order costs more than their count, and where they do not fit none is read
        if (hits > 0) & (counted < most):
            place = counted + tl.cumsum(hit.to(tl.int32), axis=0) - 1
            tl.store(index + query * most + place, first + inside, mask=hit & (place < most))
        counted += hits
        mass += tl.sum(tl.exp(values - best))
    tl.store(numbers + at.TILES_BEST * batch + query, best.to(tl.float64))
    tl.store(numbers + at.TILES_MASS * batch + query, mass.to(tl.float64))
    tl.store(numbers + at.TILES_COUNT * batch + query, counted.to(tl.float64))
    if counted > most:
        tl.atomic_add(crowded, 1)


@triton.jit
def apart_kernel(
    queries, atoms, log_weights, counted, index, crowded, snr, logits, apart2, scores, reference, batch, count, most, few,
    parts, slots, width: tl.constexpr, chunk: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    """A part of one query's tiles: log weights and squared distances of their atoms, from differences to one of the best tile."""
    query, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    hits = tl.minimum(tl.load(counted + query), most + 1.0).to(tl.int32)
    if (part < hits) & (hits <= tl.where(2 * tl.load(crowded) < batch, most, few)):
        root, inner, inside = tl.sqrt(tl.load(snr + query)), tl.arange(0, chunk), tl.arange(0, tile)
        best = tl.load(index + query * most) * tile
        row = best + inside
        sums = tl.zeros((tile, chunk), dtype=tl.float64)
        for first in range(0, width, chunk):
            place = first + inner
            z = tl.load(queries + query * width + place, mask=place < width, other=0.0)
            away = z[None, :] - root * _rows(atoms, row, place, count, width)
            sums += away * away
        density = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - tl.sum(sums, axis=1) / 2
        # the atom of the best tile with the largest log density is what the others are told from
        score, chosen = tl.max(density, axis=0, return_indices=True)
        # the screen may take padding for the best where all log weights are off its scale
        base_row = tl.minimum(best + chosen, count - 1)
        if part == 0:
            tl.store(reference + query, base_row)
            tl.store(scores + query, score)
        base_weight = tl.load(log_weights + base_row)
        for hit in range(part, hits, parts):
            row = tl.load(index + query * most + hit) * tile + inside
            along, sums = tl.zeros((tile, chunk), dtype=tl.float64), tl.zeros((tile, chunk), dtype=tl.float64)
            for first in range(0, width, chunk):
                place = first + inner
                z = tl.load(queries + query * width + place, mask=place < width, other=0.0)
                base = tl.load(atoms + base_row.to(tl.int64) * width + place, mask=place < width, other=0.0)
                real = (row[:, None] < count) & (place[None, :] < width)
                apart = tl.where(real, _rows(atoms, row, place, count, width) - base[None, :], 0.0)
                along += (z[None, :] - root * (base[None, :] + apart / 2)) * apart
                sums += apart * apart
            prior = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - base_weight
            where = query * slots + hit * tile + inside
            tl.store(logits + where, tl.maximum(root * tl.sum(along, axis=1) + prior, -800.0))
            tl.store(apart2 + where, tl.sum(sums, axis=1))


@triton.jit
def near_kernel(
    atoms, log_weights, counted, index, crowded, logits, apart2, scores, reference, below, mean, numbers, batch, count, most, few,
    width: tl.constexpr, chunk: tl.constexpr, tile: tl.constexpr, slots: tl.constexpr,
):  # fmt: skip
    """One query: moments of the atoms in its tiles, from what `apart_kernel` found of them."""
    query, inner, slot = tl.program_id(0).to(tl.int64), tl.arange(0, chunk), tl.arange(0, slots)
    hits = tl.minimum(tl.load(counted + query), most + 1.0).to(tl.int32)
    if hits <= tl.where(2 * tl.load(crowded) < batch, most, few):
        real = slot < hits * tile
        logit = tl.load(logits + query * slots + slot, mask=real, other=-800.0)
        top = tl.max(logit, axis=0)
        kept = (logit > -800.0) & (logit >= top - below)
        weight = tl.where(kept, tl.exp(logit - top), 0.0)
        total = tl.sum(weight)
        second = tl.sum(weight * tl.load(apart2 + query * slots + slot, mask=real, other=0.0)) / total
        square = tl.sum(weight * logit * logit) / total
        base_row = tl.load(reference + query).to(tl.int64)
        shift2 = tl.cast(0.0, tl.float64)
        for first in range(0, width, chunk):
            place = first + inner
            base = tl.load(atoms + base_row * width + place, mask=place < width, other=0.0)
            sums = tl.zeros((chunk,), dtype=tl.float64)
            for hit in range(hits):
                one = tl.load(logits + query * slots + hit * tile + tl.arange(0, tile))
                matters = (one > -800.0) & (one >= top - below)
                if tl.max(matters.to(tl.int32), axis=0) > 0:
                    row = tl.load(index + query * most + hit) * tile + tl.arange(0, tile)
                    inside = matters[:, None] & (place[None, :] < width)
                    rows = tl.load(atoms + row[:, None].to(tl.int64) * width + place[None, :], mask=inside, other=0.0)
                    share = tl.where(matters, tl.exp(one - top), 0.0)
                    sums += tl.sum(tl.where(inside, (rows - base[None, :]) * share[:, None], 0.0), axis=0)
            sums = sums / total
            tl.store(mean + query * width + place, base + sums, mask=place < width)
            shift2 += tl.sum(sums * sums)
        base_weight = tl.load(log_weights + base_row)
        score = tl.load(scores + query)
        tl.store(numbers + at.NEAR_DISTANCE * batch + query, tl.sqrt(tl.maximum(2 * (base_weight - score), 0.0)))
        tl.store(numbers + at.NEAR_LOG_SUM * batch + query, score + top + tl.log(total))
        tl.store(numbers + at.NEAR_APART * batch + query, tl.sqrt(second))
        tl.store(numbers + at.NEAR_VARIANCE * batch + query, tl.maximum(second - shift2, 0.0))
        tl.store(numbers + at.NEAR_SHIFT * batch + query, tl.sqrt(shift2))
        tl.store(numbers + at.NEAR_LOG_WEIGHT * batch + query, tl.sqrt(square))
    else:
        for unknown in tl.static_range(at.NEAR_ROWS):
            tl.store(numbers + unknown * batch + query, tl.cast(float("inf"), tl.float64))


@triton.jit
def _rows(atoms, row, place, count, width: tl.constexpr):
    """Some atoms; those beyond the last are 0."""
    inside = (row[:, None] < count) & (place[None, :] < width)
    return tl.load(atoms + row[:, None].to(tl.int64) * width + place[None, :], mask=inside, other=0.0)

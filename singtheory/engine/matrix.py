"""The Triton functions of `launch` for products: a program answers a block of rows and columns, with what follows the product in the same pass, so that no log weight is ever stored.

What is computed stands with the functions of `reference` of the same names.
"""

# ruff: noqa: ANN001, ANN201, ANN202
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

import math

import triton
import triton.language as tl

from singtheory.engine import places as at

_LOG2_E = tl.constexpr(math.log2(math.e))
_GROUP = tl.constexpr(8)
"""Blocks of rows that are next to each other in time, so that columns are read from the cache."""


@triton.jit
def _place(blocks_across, blocks_down):
    """Which block of rows and of columns is this program's."""
    program = tl.program_id(0)
    first = program // (_GROUP * blocks_across) * _GROUP
    size = min(blocks_down - first, _GROUP)
    inside = program % (_GROUP * blocks_across)
    return first + inside % size, inside // size


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
    queries, atoms, half, log_weights, unit, snr, rest, shift, others, out, batch, count, width, programs, sum_kind: tl.constexpr,
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
        # each number joins the sums where they lie: a block of its own would be carried from one layout to another
        logits = sums.to(tl.float32) * tl.load(unit + safe)[:, None] - gamma[:, None] * tl.load(half + column)[None, :]
        logits += tl.load(log_weights + column)[None, :]
        norm = tl.sqrt(2 * tl.load(half + column))
        logits += tl.load(rest + safe).to(tl.float32)[:, None] * norm[None, :]
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
        logits = logits * unit2[:, None] - gamma2[:, None] * tl.load(half + column)[None, :]
        exact = _power((logits + prior[None, :]) - above[:, None]) * full
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

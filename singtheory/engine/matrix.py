"""The Triton functions of `launch` for products: a program answers a block of rows and columns, with what follows the product in the same pass.

So no log weight is ever stored. What is computed stands with the functions of `reference` of the same names.
"""

# ruff: noqa: ANN001, ANN201, ANN202
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

import triton
import triton.language as tl

from singtheory.engine import places as at
from singtheory.engine import rounding
from singtheory.engine.kernels import in_triton
from singtheory.formula import logit_error, tilt_error

_delta = in_triton(rounding.digits_delta, logit_error=in_triton(logit_error))
_digits_bound = in_triton(rounding.digits_bound, digits_delta=_delta, tilt_error=in_triton(tilt_error))
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
def whole_screen_kernel(
    queries, atoms, half, log_weights, unit, snr, shift, others, out, batch, count, width, programs,
    tile: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr, group: tl.constexpr,
):  # fmt: skip
    """Blocks of queries and atoms, one after another, the next ones read while one ends: the largest log weight of each tile by products of whole numbers."""
    across, down = tl.cdiv(count, columns), tl.cdiv(batch, rows)
    blocks = tl.where(tl.load(others) == 0, 0, across * down)
    for block in tl.range(tl.program_id(0), blocks, programs, flatten=True):
        first = block // (group * across) * group
        size = tl.minimum(down - first, group)
        first_row = (first + block % (group * across) % size) * rows
        first_column = block % (group * across) // size * columns
        sums = tl.zeros((rows, columns), dtype=tl.int32)
        for start in range(0, width, depth):
            query = queries.load([first_row, start])
            sums = tl.dot(query, atoms.load([first_column, start]).T, sums, out_dtype=tl.int32)
        row, column = first_row + tl.arange(0, rows), first_column + tl.arange(0, columns)
        safe = tl.minimum(row, batch - 1)
        gamma = tl.load(snr + safe).to(tl.float32)
        # each number joins the sums where they lie: a block of its own would be carried from one layout to another
        logits = sums.to(tl.float32) * tl.load(unit + safe)[:, None] - gamma[:, None] * tl.load(half + column)[None, :]
        logits += tl.load(log_weights + column)[None, :]
        largest = tl.max(tl.reshape(logits, (rows, columns // tile, tile)), axis=2)
        largest += tl.load(shift + safe).to(tl.float32)[:, None]
        place = first_column // tile + tl.arange(0, columns // tile)
        where = out + row[:, None].to(tl.int64) * (count // tile) + place[None, :]
        tl.store(where, largest, mask=row[:, None] < batch)


@triton.jit
def weigh_kernel(
    queries, atoms, half, log_weights, unit, snr, top, out, sums, batch, count, blocks, width, places,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr, weight_digits: tl.constexpr,
):  # fmt: skip
    """A block of queries and atoms: digits of their weights, and sums of them."""
    down, across = _place(blocks, tl.cdiv(batch, rows))
    row, column = down * rows + tl.arange(0, rows), across * columns + tl.arange(0, columns)
    safe, inside = tl.minimum(row, batch - 1), row < batch
    logits = tl.zeros((rows, columns), dtype=tl.float64)
    # rows beyond the last query read those of the next digit, and are not kept
    for digit in tl.range(places, flatten=True):
        product = tl.zeros((rows, columns), dtype=tl.int32)
        for first in range(0, width, depth):
            query = queries.load([digit * batch + down * rows, first])
            product = tl.dot(query, atoms.load([across * columns, first]).T, product, out_dtype=tl.int32)
        logits = logits * 256.0 + product.to(tl.float64)
    logits = logits * tl.load(unit + safe)[:, None] - tl.load(snr + safe)[:, None] * tl.load(half + column)[None, :]
    logits += tl.load(log_weights + column)[None, :] - tl.load(top + safe)[:, None]
    full = 127.0
    for _ in tl.static_range(weight_digits - 1):
        full = full * 256.0
    exact = tl.exp(logits) * full
    whole = tl.minimum(tl.floor(exact + 0.5), full)
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
        long = whole.to(tl.int64)
        for _ in tl.static_range(weight_digits - 4):
            tl.store(where, long.to(tl.int8), mask=inside[:, None])
            long = (long + 128) >> 8
            where -= tl.cast(batch, tl.int64) * count
        rest = long.to(tl.int32)
    else:
        rest = whole.to(tl.int32)
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
        tl.load(known + at.WEIGHING_ROUNDING),
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

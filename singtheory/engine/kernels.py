"""The Triton functions of `launch`, which launches them: a program answers one query; those of products are in `matrix`.

What is computed stands with the functions of `reference` of the same names.
"""

# ruff: noqa: ANN001, ANN003, ANN201, ANN202
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

from types import FunctionType

import triton
import triton.language as tl

from singtheory.engine import places as at
from singtheory.engine import rounding
from singtheory.engine.points import HALF_RANGE
from singtheory.formula import logit_error, series_error, tilt_error

_HALF_RANGE = tl.constexpr(HALF_RANGE)
_MORE = tl.constexpr(1 + 1e-6)
"""What float32 may take from a product."""


def in_triton(function, **known):
    """A formula that kernels call: the same lines, where `xp` is Triton's language."""
    names = {
        name: tl.constexpr(value) if isinstance(value, (int, float)) else value
        for name, value in function.__globals__.items()
    }
    names |= {"xp": tl, "Number": tl.tensor, **known}
    return triton.jit(FunctionType(function.__code__, names, function.__name__))


_series_error, _logit_error, _tilt_error = map(in_triton, (series_error, logit_error, tilt_error))
_screen_error = in_triton(rounding.screen_error)
_series_remainder = in_triton(rounding.series_remainder, series_error=_series_error)
_near_bound = in_triton(rounding.near_bound, logit_error=_logit_error, tilt_error=_tilt_error)
_tile_limit = in_triton(rounding.tile_limit)
_query_digits, _weight_digits = in_triton(rounding.query_digits), in_triton(rounding.weight_digits)


@triton.jit
def fetched_kernel(table, held, count, number: tl.constexpr, block: tl.constexpr):
    """A block of numbers from where they lie."""
    source, step = tl.load(table + 2 * number), tl.load(table + 2 * number + 1)
    place = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(
        held + place,
        tl.load(source.to(tl.pointer_type(tl.float64)) + place * step, mask=place < count),
        mask=place < count,
    )


@triton.jit
def _rows_of(atoms, row, place, count, width: tl.constexpr):
    """Some atoms; those beyond the last are 0."""
    inside = (row[:, None] < count) & (place[None, :] < width)
    held = tl.load(atoms + row[:, None].to(tl.int64) * width + place[None, :], mask=inside, other=0)
    return _decoded(held, inside)


@triton.jit
def _apart(atoms, row, place, base, count, width: tl.constexpr):
    """Some atoms less one."""
    real = (row[:, None] < count) & (place[None, :] < width)
    return tl.where(real, _rows_of(atoms, row, place, count, width) - base[None, :], 0.0)


@triton.jit
def _decoded(held, inside):
    """Coordinates in float64, from bytes as `points.decoded` does it; 0 outside."""
    if held.dtype == tl.uint8:
        values = tl.where(inside, held.to(tl.float64) / tl.full((), _HALF_RANGE, tl.float64) - 1.0, 0.0)
    else:
        values = held
    return values


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
    norm, rest = tl.sqrt(norm2), tl.cast(0.0, tl.float64)
    shift, offset = tl.cast(0.0, tl.float64), tl.cast(0.0, tl.float64)
    if whole:
        off_base = tl.where(inside, centre - tl.load(known + at.ASKING_BASE), 0.0)
        step = size / at.LARGEST_DIGIT
        number = tl.floor(scaled / step + 0.5)
        missing = tl.where(inside, scaled - number * step, 0.0)
        rest = tl.sqrt(tl.sum(missing * missing)) * 1.01
        shift, offset = tl.sum(missing * off_base), tl.sum(scaled * off_base)
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
    tl.store(numbers + at.ASKED_REST * batch + query, rest)
    tl.store(numbers + at.ASKED_SHIFT * batch + query, shift)
    tl.store(numbers + at.ASKED_OFFSET * batch + query, offset)
    if series == 0:
        tl.atomic_add(others, 1)


@triton.jit
def bounded_kernel(
    snr, size, norm, error, series, rest_norm, best, mass, tiles, distance, log_sum, apart, variance, shift, log_weight,
    known, numbers, plan, batch, padded: tl.constexpr,
):  # fmt: skip
    """All queries: bounds of what few atoms give."""
    query = tl.arange(0, padded)
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
    tl.store(plan + at.PLAN_SERIES, tl.sum(moments.to(tl.int64)))
    tl.store(plan + at.PLAN_REST, tl.sum(rest.to(tl.int64)))
    tl.store(plan + at.PLAN_DIGITS, tl.max(tl.where(rest, digits, 0.0)).to(tl.int64))
    tl.store(plan + at.PLAN_WEIGHT_DIGITS, tl.max(tl.where(rest, weight_digits, 0.0)).to(tl.int64))
    usual = (length < at.MOST_USUAL) & (gamma < at.MOST_USUAL) & ((gamma == 0) | (gamma > at.LEAST_USUAL))
    tl.store(plan + at.PLAN_UNUSUAL, tl.sum((usual == 0).to(tl.int64)))
    evidence = tl.load(log_sum + query, mask=real) - tl.load(known + at.NEARNESS_DIM) / 2 * tl.log(
        tl.full((), 6.283185307179586, tl.float64)
    )
    tl.store(numbers + at.LOOK_TRACE * batch + query, tl.load(variance + query, mask=real), mask=real)
    tl.store(numbers + at.LOOK_EVIDENCE * batch + query, evidence, mask=real)
    tl.store(numbers + at.LOOK_BOUND * batch + query, bound, mask=real)
    off = tl.load(error + query, mask=real)
    off += tl.load(rest_norm + query, mask=real) * tl.load(known + at.NEARNESS_RADIUS)
    top = tl.load(best + query, mask=real) + off * tl.load(known + at.NEARNESS_ABOVE)
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
    off = tl.load(rest + place, mask=inside, other=0.0)
    moved = off + (root * product - gamma / 2 * third)
    tl.store(means + query * dim + place, tl.load(mean + place, mask=inside, other=0.0) + moved, mask=inside)
    norm2, square = tl.sum(away * away), tl.load(known + at.EXPANSION_SQUARE)
    trace = variance + root * tl.sum(away * third) - gamma / 2 * square - tl.sum(moved * moved)
    trace = tl.maximum(trace, 0.0, propagate_nan=tl.PropagateNan.ALL)
    # log E e^t = E t + ½ Var t
    mean_t = root * tl.sum(away * off) - gamma / 2 * variance
    var_t = gamma * tl.sum((product - root * third) * away) + gamma * gamma / 4 * square
    bound = _series_remainder(
        norm2,
        gamma,
        tl.load(known + at.EXPANSION_RADIUS),
        variance,
        tl.load(known + at.EXPANSION_ROUNDING),
        tl.load(known + at.EXPANSION_CONSTANT),
    )
    evidence = mean_t + var_t / 2 - (norm2 + tl.load(known + at.EXPANSION_LOG_NORM)) / 2
    tl.store(numbers + at.MOMENTS_TRACE * batch + query, trace)
    tl.store(numbers + at.MOMENTS_EVIDENCE * batch + query, evidence)
    tl.store(numbers + at.MOMENTS_BOUND * batch + query, bound)


@triton.jit
def tiles_kernel(
    largest, error, rest, others, norms, below, numbers, index, crowded, batch, tiles, most, chunk: tl.constexpr,
):  # fmt: skip
    """One query: which tiles matter."""
    query, inside = tl.program_id(0).to(tl.int64), tl.arange(0, chunk)
    if tl.load(others) == 0:
        tl.store(numbers + at.TILES_BEST * batch + query, tl.cast(0.0, tl.float64))
        tl.store(numbers + at.TILES_MASS * batch + query, tl.cast(1.0, tl.float64))
        tl.store(numbers + at.TILES_COUNT * batch + query, tl.cast(float("inf"), tl.float64))
        return
    best, best_tile = tl.cast(-float("inf"), tl.float32), 0
    least, margin = tl.cast(-float("inf"), tl.float32), (tl.load(rest + query) * _MORE).to(tl.float32)
    for first in range(0, tiles, chunk):
        values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
        value, place = tl.max(values, axis=0, return_indices=True)
        if value > best:
            best, best_tile = value, first + place
        off = margin * tl.load(norms + first + inside, mask=first + inside < tiles, other=0.0)
        least = tl.maximum(least, tl.max(values - off, axis=0))
    limit = least.to(tl.float64) - 2 * tl.load(error + query) - below
    # the best tile comes first
    tl.store(index + query * most, best_tile)
    counted, mass = 1, tl.cast(0.0, tl.float32)
    for first in range(0, tiles, chunk):
        values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
        off = margin * tl.load(norms + first + inside, mask=first + inside < tiles, other=0.0)
        hit = ((values + off < limit) == 0) & (first + inside != best_tile) & (first + inside < tiles)
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
def nearest_kernel(
    queries, atoms, log_weights, counted, index, crowded, snr, norm, error, rest, offset, largest, norms, below,
    numbers, references, kept, held, work, items, logits, squares,
    batch, count, tiles, most, few, keep, width: tl.constexpr, tile: tl.constexpr, chunk: tl.constexpr,
    listed: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """One query: the atom of its best tile with the largest log density, which the others are told from, and the tiles that still matter beside it.

    Tiles to be weighed are put on a list for all queries, so that one with many of them is not waited for.
    """
    query, inner, inside = tl.program_id(0).to(tl.int64), tl.arange(0, chunk), tl.arange(0, tile)
    for unknown in tl.static_range(at.NEAR_ROWS):
        tl.store(numbers + unknown * batch + query, tl.cast(float("inf"), tl.float64))
    tl.store(held + query, 0)
    # where no tile was screened their count is no whole number
    hits = tl.minimum(tl.load(counted + query), most + 1.0).to(tl.int32)
    if hits <= tl.where(2 * tl.load(crowded) < batch, most, few):
        root = tl.sqrt(tl.load(snr + query))
        row = tl.load(index + query * most) * tile + inside
        distance2 = tl.zeros((tile, chunk), dtype=tl.float64)
        for first in tl.range(0, width, chunk, num_stages=stages):
            place = first + inner
            z = tl.load(queries + query * width + place, mask=place < width, other=0.0)
            away = z[None, :] - root * _rows_of(atoms, row, place, count, width)
            distance2 += away * away
        density = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - tl.sum(distance2, axis=1) / 2
        score, chosen = tl.max(density, axis=0, return_indices=True)
        # the screen may take padding for the best where all log weights are off its scale
        reference = tl.minimum(tl.load(index + query * most) * tile + chosen, count - 1)
        tl.store(references + query, reference)
        distance = tl.sqrt(tl.maximum(2 * (tl.load(log_weights + reference) - score), 0.0))
        norm2 = tl.load(norm + query) * tl.load(norm + query)
        limit = _tile_limit(score, norm2, tl.load(offset + query), tl.load(error + query), below)
        others = tl.max(tl.where(inside == chosen, -float("inf"), density), axis=0)
        alone = others * (1 - 1e-12) < score * (1 + 1e-12) - at.NEGLIGIBLE
        hit = tl.arange(0, listed)
        number = tl.load(index + query * most + hit, mask=hit < hits, other=0)
        screened = tl.load(largest + query * tiles + number).to(tl.float64)
        screened += tl.load(rest + query) * tl.load(norms + number)
        # the first tile is known here where it holds but one atom that matters
        matters = (hit < hits) & ((hit == 0) | ((screened < limit) == 0))
        place, some = tl.cumsum(matters.to(tl.int32), axis=0) - 1, tl.sum(matters.to(tl.int32))
        if some <= keep:
            tl.store(kept + query * keep + place, number, mask=matters)
            tl.store(held + query, some)
            tl.store(numbers + at.NEAR_DISTANCE * batch + query, distance)
            tl.store(numbers + at.NEAR_LOG_SUM * batch + query, score)
            settled = alone.to(tl.int32)
            if settled > 0:
                tl.store(logits + query * keep * tile + inside, tl.where(inside == chosen, 0.0, at.NEVER))
                tl.store(squares + query * keep * tile + inside, tl.zeros((tile,), dtype=tl.float64))
            start = tl.atomic_add(items, some - settled)
            tl.store(
                work + start + place - settled, query.to(tl.int32) * keep + place, mask=matters & (place >= settled)
            )


@triton.jit
def apart_kernel(
    queries, atoms, log_weights, snr, references, kept, work, items, logits, squares, programs, count, keep,
    width: tl.constexpr, tile: tl.constexpr, chunk: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Tiles of the list, one after another: log weights relative to that of the query's reference, and squared distances from it."""
    inner, inside = tl.arange(0, chunk), tl.arange(0, tile)
    for item in tl.range(tl.program_id(0), tl.load(items), programs):
        slot = tl.load(work + item).to(tl.int64)
        query, row = slot // keep, tl.load(kept + slot) * tile + inside
        root, reference = tl.sqrt(tl.load(snr + query)), tl.load(references + query)
        start = reference.to(tl.int64) * width
        along, apart2 = tl.zeros((tile, chunk), dtype=tl.float64), tl.zeros((tile, chunk), dtype=tl.float64)
        for first in tl.range(0, width, chunk, num_stages=stages):
            place = first + inner
            z = tl.load(queries + query * width + place, mask=place < width, other=0.0)
            base = _decoded(tl.load(atoms + start + place, mask=place < width, other=0), place < width)
            apart = _apart(atoms, row, place, base, count, width)
            along += (z[None, :] - root * (base[None, :] + apart / 2)) * apart
            apart2 += apart * apart
        prior = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - tl.load(log_weights + reference)
        logit = tl.maximum(root * tl.sum(along, axis=1) + prior, at.NEVER)
        tl.store(logits + slot * tile + inside, logit)
        tl.store(squares + slot * tile + inside, tl.sum(apart2, axis=1))


@triton.jit
def near_kernel(
    atoms, log_weights, references, kept, held, logits, squares, rows, weights, mean, numbers,
    batch, count, keep, width: tl.constexpr, tile: tl.constexpr, chunk: tl.constexpr, most: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """One query: moments of the atoms in its tiles, from differences."""
    query, inner, inside = tl.program_id(0).to(tl.int64), tl.arange(0, chunk), tl.arange(0, tile)
    some, own = tl.load(held + query), query * keep * tile
    if some > 0:
        atom = tl.arange(0, most)
        real = atom < some * tile
        logit = tl.load(logits + own + atom, mask=real, other=at.NEVER)
        square = tl.load(squares + own + atom, mask=real, other=0.0)
        top = tl.maximum(tl.max(logit, axis=0), 0.0)
        weight = tl.where(logit > top - at.NEGLIGIBLE, tl.exp(logit - top), 0.0)
        total, second = tl.sum(weight), tl.sum(weight * square)
        of_log_weight = tl.sum(weight * logit * logit)
        # the reference itself is not apart
        matters = (weight > 0) & (square > 0)
        slot, last = tl.cumsum(matters.to(tl.int32), axis=0) - 1, tl.sum(matters.to(tl.int32))
        number = tl.load(kept + query * keep + atom // tile, mask=real, other=0)
        tl.store(rows + own + slot, number * tile + atom % tile, mask=matters)
        tl.store(weights + own + slot, weight, mask=matters)
        # what was stored is read by other threads
        tl.debug_barrier()
        reference = tl.load(references + query)
        start, shift2 = reference.to(tl.int64) * width, tl.zeros((chunk,), dtype=tl.float64)
        for first in tl.range(0, width, chunk, num_stages=stages):
            place = first + inner
            base = _decoded(tl.load(atoms + start + place, mask=place < width, other=0), place < width)
            sums = tl.zeros((chunk,), dtype=tl.float64)
            for one in range(0, last, tile):
                row = tl.load(rows + own + one + inside, mask=one + inside < last, other=count)
                share = tl.load(weights + own + one + inside, mask=one + inside < last, other=0.0)
                sums += tl.sum(_apart(atoms, row, place, base, count, width) * share[:, None], axis=0)
            sums = sums / total
            shift2 += sums * sums
            tl.store(mean + query * width + place, base + sums, mask=place < width)
        shifted2, second = tl.sum(shift2), second / total
        score = tl.load(numbers + at.NEAR_LOG_SUM * batch + query)
        tl.store(numbers + at.NEAR_LOG_SUM * batch + query, score + top + tl.log(total))
        tl.store(numbers + at.NEAR_APART * batch + query, tl.sqrt(second))
        tl.store(numbers + at.NEAR_VARIANCE * batch + query, tl.maximum(second - shifted2, 0.0))
        tl.store(numbers + at.NEAR_SHIFT * batch + query, tl.sqrt(shifted2))
        tl.store(numbers + at.NEAR_LOG_WEIGHT * batch + query, tl.sqrt(of_log_weight / total))

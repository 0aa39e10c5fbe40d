"""Kernels of the engine on a GPU, in Triton: products with what follows them in one pass, so that no log weight is ever stored.

The same as `unfused`, whose docstrings say what each computes.
"""

# ruff: noqa: ANN001, ANN202
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false
import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import pad

from singtheory.unfused import Near, Weighed

SCREEN = {"rows": 128, "columns": 256, "depth": 64, "num_warps": 8, "num_stages": 4}
WEIGH = {"rows": 64, "columns": 64, "depth": 64, "num_warps": 4, "num_stages": 4}
NEAR = {"chunk": 1024, "num_warps": 8, "num_stages": 2}
_GROUP = tl.constexpr(8)
"""Blocks of rows that are next to each other in time, so that columns are read from the cache."""


def screen(
    queries: Tensor, atoms: Tensor, half: Tensor, log_weights: Tensor, unit: Tensor, snr: Tensor, tile: int
) -> Tensor:
    """As `unfused.screen`."""
    batch, count = len(queries), len(atoms)
    out = torch.empty(batch, count // tile, dtype=torch.float32, device=snr.device)
    blocks = triton.cdiv(batch, SCREEN["rows"]) * triton.cdiv(count, SCREEN["columns"])
    _screen[(blocks,)](
        queries, atoms, half, log_weights, unit, snr, out, batch, count, queries.shape[1], tile=tile, **SCREEN
    )
    return out


def weigh(
    queries: Tensor,
    atoms: Tensor,
    half: Tensor,
    log_weights: Tensor,
    unit: Tensor,
    snr: Tensor,
    top: Tensor,
    digits: int,
) -> Weighed:
    """As `unfused.weigh`."""
    (places, batch, width), count = queries.shape, len(atoms)
    across = triton.cdiv(count, WEIGH["columns"])
    out = torch.empty(digits, batch, count, dtype=torch.int8, device=snr.device)
    sums = torch.empty(3, batch, across, dtype=torch.float64, device=snr.device)
    _weigh[(triton.cdiv(batch, WEIGH["rows"]) * across,)](
        queries, atoms, half, log_weights, unit, snr, top, out, sums, batch, count, across, width,
        places=places, weight_digits=digits, **WEIGH,
    )  # fmt: skip
    return Weighed(out, *sums.sum(dim=2))


def product(digits: Tensor, columns: Tensor) -> Tensor:
    """As `unfused.product`: torch's own product of int8, which wants more than 16 rows and coordinates by eights."""
    places, batch, _ = digits.shape
    rows = digits.flatten(0, 1)
    if len(rows) <= 16:
        rows = pad(rows, (0, 0, 0, 32 - len(rows)))
    return torch._int_mm(rows, columns.mT)[: places * batch].unflatten(0, (places, batch))


def near(
    z: Tensor,
    points: Tensor,
    log_weights: Tensor,
    largest: Tensor,
    error: Tensor,
    below: float,
    snr: Tensor,
    tile: int,
    most: int,
) -> Near:
    """As `unfused.near`."""
    batch, dim = z.shape
    mean = torch.empty_like(z)
    numbers = torch.empty(9, batch, dtype=torch.float64, device=z.device)
    _near[(batch,)](
        z, points, log_weights, largest, error, below, snr, mean, numbers, batch, len(points), largest.shape[1], most,
        width=dim, padded=triton.next_power_of_2(dim), tile=tile, **NEAR,
    )  # fmt: skip
    return Near(mean, *numbers)


@triton.jit
def _place(blocks_across, blocks_down):
    """Which block of rows and of columns is this program's."""
    program = tl.program_id(0)
    first = program // (_GROUP * blocks_across) * _GROUP
    size = min(blocks_down - first, _GROUP)
    inside = program % (_GROUP * blocks_across)
    return first + inside % size, inside // size


@triton.jit
def _screen(
    queries, atoms, half, log_weights, unit, snr, out, batch, count, width,
    tile: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
    down, across = _place(tl.cdiv(count, columns), tl.cdiv(batch, rows))
    row, column = down * rows + tl.arange(0, rows), across * columns + tl.arange(0, columns)
    safe, inner = tl.minimum(row, batch - 1), tl.arange(0, depth)
    sums = tl.zeros((rows, columns), dtype=tl.float32)
    left = queries + safe[:, None].to(tl.int64) * width + inner[None, :]
    right = atoms + column[None, :].to(tl.int64) * width + inner[:, None]
    for first in range(0, width, depth):
        sums = tl.dot(tl.load(left + first), tl.load(right + first), sums)
    logits = sums * tl.load(unit + safe)[:, None] - tl.load(snr + safe)[:, None] * tl.load(half + column)[None, :]
    logits += tl.load(log_weights + column)[None, :]
    largest = tl.max(tl.reshape(logits, (rows, columns // tile, tile)), axis=2)
    place = across * (columns // tile) + tl.arange(0, columns // tile)
    tl.store(out + row[:, None].to(tl.int64) * (count // tile) + place[None, :], largest, mask=row[:, None] < batch)


@triton.jit
def _three(
    left, right, step, width, depth: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, places: tl.constexpr
):
    """`Σ 256^(places − 1 − k)⟨digit k, atom⟩` of up to three digits, in float64, from exact products."""
    first_sum = tl.zeros((rows, columns), dtype=tl.int32)
    second_sum = tl.zeros((rows, columns), dtype=tl.int32)
    third_sum = tl.zeros((rows, columns), dtype=tl.int32)
    for first in range(0, width, depth):
        atom = tl.load(right + first)
        first_sum = tl.dot(tl.load(left + first), atom, first_sum, out_dtype=tl.int32)
        if places > 1:
            second_sum = tl.dot(tl.load(left + step + first), atom, second_sum, out_dtype=tl.int32)
        if places > 2:
            third_sum = tl.dot(tl.load(left + 2 * step + first), atom, third_sum, out_dtype=tl.int32)
    found = first_sum.to(tl.float64)
    if places > 1:
        found = found * 256.0 + second_sum.to(tl.float64)
    if places > 2:
        found = found * 256.0 + third_sum.to(tl.float64)
    return found


@triton.jit
def _weigh(
    queries, atoms, half, log_weights, unit, snr, top, out, sums, batch, count, blocks, width,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr, places: tl.constexpr, weight_digits: tl.constexpr,
):  # fmt: skip
    down, across = _place(blocks, tl.cdiv(batch, rows))
    row, column = down * rows + tl.arange(0, rows), across * columns + tl.arange(0, columns)
    safe, inner, inside = tl.minimum(row, batch - 1), tl.arange(0, depth), row < batch
    left = queries + safe[:, None].to(tl.int64) * width + inner[None, :]
    right = atoms + column[None, :].to(tl.int64) * width + inner[:, None]
    logits = tl.zeros((rows, columns), dtype=tl.float64)
    for done in tl.static_range(0, places, 3):
        if places - done >= 3:
            logits = logits * 16777216.0 + _three(
                left + done * batch * width, right, batch * width, width, depth, rows, columns, 3
            )
        elif places - done == 2:
            logits = logits * 65536.0 + _three(
                left + done * batch * width, right, batch * width, width, depth, rows, columns, 2
            )
        else:
            logits = logits * 256.0 + _three(
                left + done * batch * width, right, batch * width, width, depth, rows, columns, 1
            )
    logits = logits * tl.load(unit + safe)[:, None] - tl.load(snr + safe)[:, None] * tl.load(half + column)[None, :]
    logits += tl.load(log_weights + column)[None, :] - tl.load(top + safe)[:, None]
    full = 127.0
    for _ in tl.static_range(weight_digits - 1):
        full = full * 256.0
    exact = tl.exp(logits) * full
    whole = tl.minimum(tl.floor(exact + 0.5), full)
    place, step = row * blocks + across, batch * blocks
    tl.store(sums + place, tl.sum(whole, axis=1), mask=inside)
    tl.store(sums + step + place, tl.sum(whole * (2.0 * tl.load(half + column))[None, :], axis=1), mask=inside)
    tl.store(sums + 2 * step + place, tl.sum(tl.abs(exact - whole), axis=1), mask=inside)
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
def _near(
    queries, atoms, log_weights, largest, error, below, snr, mean, numbers, batch, count, tiles, most,
    width: tl.constexpr, padded: tl.constexpr, tile: tl.constexpr, chunk: tl.constexpr,
):  # fmt: skip
    query = tl.program_id(0).to(tl.int64)
    inside, place = tl.arange(0, chunk), tl.arange(0, padded)
    best, best_tile = tl.cast(-float("inf"), tl.float32), 0
    for first in range(0, tiles, chunk):
        values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
        value, index = tl.max(values, axis=0, return_indices=True)
        if value > best:
            best, best_tile = value, first + index
    limit = best.to(tl.float64) - 2 * tl.load(error + query) - below
    counted, mass = 0, tl.cast(0.0, tl.float32)
    for first in range(0, tiles, chunk):
        values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
        counted += tl.sum(((values < limit) == 0).to(tl.int32))
        mass += tl.sum(tl.exp(values - best))
    tl.store(numbers + query, best.to(tl.float64))
    tl.store(numbers + batch + query, mass.to(tl.float64))
    tl.store(numbers + 2 * batch + query, counted.to(tl.float64))
    for unknown in tl.static_range(3, 9):
        tl.store(numbers + unknown * batch + query, tl.cast(float("inf"), tl.float64))
    if (counted <= most) & (counted > 0):
        z = tl.load(queries + query * width + place, mask=place < width, other=0.0)
        root = tl.sqrt(tl.load(snr + query))
        # the atom of the best tile with the largest log density is what the others are told from
        row = best_tile * tile + tl.arange(0, tile)
        away = z[None, :] - root * _rows(atoms, row, place, count, width)
        distance2 = tl.sum(away * away, axis=1)
        density = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - distance2 / 2
        score, index = tl.max(density, axis=0, return_indices=True)
        reference = best_tile * tile + index
        base = tl.load(atoms + tl.cast(reference, tl.int64) * width + place, mask=place < width, other=0.0)
        base_weight = tl.load(log_weights + reference)
        top, total = tl.cast(0.0, tl.float64), tl.cast(0.0, tl.float64)
        second, square = tl.cast(0.0, tl.float64), tl.cast(0.0, tl.float64)
        sums = tl.zeros((padded,), dtype=tl.float64)
        for first in range(0, tiles, chunk):
            values = tl.load(largest + query * tiles + first + inside, mask=first + inside < tiles, other=-float("inf"))
            hits, last = tl.sum(((values < limit) == 0).to(tl.int32)), -1
            for _ in range(hits):
                last = tl.min(tl.where(((values < limit) == 0) & (inside > last), inside, chunk))
                row = (first + last) * tile + tl.arange(0, tile)
                real = (row[:, None] < count) & (place[None, :] < width)
                apart = tl.where(real, _rows(atoms, row, place, count, width) - base[None, :], 0.0)
                half_way = z[None, :] - root * (base[None, :] + apart / 2)
                prior = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - base_weight
                logit = tl.maximum(root * tl.sum(half_way * apart, axis=1) + prior, -800.0)
                distance2 = tl.sum(apart * apart, axis=1)
                higher = tl.maximum(top, tl.max(logit))
                decay, weight = tl.exp(top - higher), tl.where(logit > -800.0, tl.exp(logit - higher), 0.0)
                sums = sums * decay + tl.sum(apart * weight[:, None], axis=0)
                total = total * decay + tl.sum(weight)
                second = second * decay + tl.sum(weight * distance2)
                square = square * decay + tl.sum(weight * logit * logit)
                top = higher
        sums = sums / total
        tl.store(mean + query * width + place, base + sums, mask=place < width)
        shift2, second = tl.sum(sums * sums), second / total
        tl.store(numbers + 3 * batch + query, tl.sqrt(tl.maximum(2 * (base_weight - score), 0.0)))
        tl.store(numbers + 4 * batch + query, score + top + tl.log(total))
        tl.store(numbers + 5 * batch + query, tl.sqrt(second))
        tl.store(numbers + 6 * batch + query, tl.maximum(second - shift2, 0.0))
        tl.store(numbers + 7 * batch + query, tl.sqrt(shift2))
        tl.store(numbers + 8 * batch + query, tl.sqrt(square / total))


@triton.jit
def _rows(atoms, row, place, count, width: tl.constexpr):
    """Some atoms; those beyond the last are 0."""
    inside = (row[:, None] < count) & (place[None, :] < width)
    return tl.load(atoms + row[:, None].to(tl.int64) * width + place[None, :], mask=inside, other=0.0)

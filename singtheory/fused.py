"""Kernels of the engine on a GPU, in Triton: products with what follows them in one pass, so that no log weight is ever stored.

The same as `unfused`, whose docstrings say what each computes.
"""

# ruff: noqa: ANN001, ANN003, ANN202
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

from functools import cache
from types import FunctionType

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from singtheory import certificate
from singtheory.certificate import Asking, Nearness, Weighing
from singtheory.formula import logit_error, series_error, tilt_error
from singtheory.unfused import Asked, Certified, Digits, Near, Tiles, Weighed

SCREEN = {"rows": 128, "columns": 256, "depth": 64, "num_warps": 8, "num_stages": 4}
WEIGH = {"rows": 64, "columns": 128, "depth": 128, "num_warps": 4, "num_stages": 4}
PRODUCT = {"rows": 256, "columns": 128, "depth": 128, "num_warps": 8, "num_stages": 4}
_ENDS, _MOST_PARTS = 25, 16
"""Steps of a product that the start and the end of a program last, as measured on an H100; parts that a product has at most."""
_RESERVED = 1024
"""Bytes beside a processor that stages leave to the rest of a kernel."""
NEAR = {"num_warps": 16}
TILES = {"chunk": 2048, "num_warps": 4}
_GROUP = tl.constexpr(8)
"""Blocks of rows that are next to each other in time, so that columns are read from the cache."""


@cache
def _held(known: Asking | Nearness | Weighing, device: torch.device) -> Tensor:
    """Constants on a device, in float64, which numbers given to a kernel are not; never freed, for recorded kernels read them."""
    return torch.tensor(known, dtype=torch.float64, device=device)


def asked(z: Tensor, snr: Tensor, mean: Tensor, width: int, known: Asking) -> Asked:
    """As `unfused.asked`."""
    halves = torch.empty(len(z), width, dtype=torch.float16, device=z.device)
    unit, numbers = (
        torch.empty_like(snr, dtype=torch.float32),
        torch.empty(4, len(z), dtype=torch.float64, device=z.device),
    )
    others = torch.zeros(1, dtype=torch.int32, device=z.device)
    _asked[(len(z),)](
        z, snr, mean, _held(known, z.device), halves, unit, numbers, others, len(z), z.shape[1], width,
        padded=triton.next_power_of_2(width),
    )  # fmt: skip
    size, norm, error, series = numbers
    return Asked(halves, unit, size, norm, error, series, others)


def screen(queries: Asked, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, tile: int) -> Tensor:
    """As `unfused.screen`; not set where no query needs it."""
    batch, count = len(snr), len(atoms)
    out = torch.empty(batch, count // tile, dtype=torch.float32, device=snr.device)
    blocks = triton.cdiv(batch, SCREEN["rows"]) * triton.cdiv(count, SCREEN["columns"])
    _screen[(blocks,)](
        queries.halves, atoms, half, log_weights, queries.unit, snr, queries.others, out, batch, count, atoms.shape[1],
        tile=tile, **_staged(SCREEN, torch.float16, snr.device),
    )  # fmt: skip
    return out


def certified(near: Near, tiles: Tiles, queries: Asked, snr: Tensor, known: Nearness) -> Certified:
    """As `unfused.certified`; a few thousand queries at most."""
    numbers = torch.empty(6, len(snr), dtype=torch.float64, device=snr.device)
    plan = torch.empty(4, dtype=torch.int64, device=snr.device)
    _certified[(1,)](
        snr, queries.size, queries.norm, queries.error, queries.series, tiles.best, tiles.mass, tiles.count, near.distance,
        near.log_sum, near.apart, near.variance, near.shift, near.log_weight, _held(known, snr.device), numbers, plan,
        len(snr), padded=triton.next_power_of_2(len(snr)), num_warps=8,
    )  # fmt: skip
    return Certified(numbers, plan)


def digits(z: Tensor, snr: Tensor, mean: Tensor, width: int, places: int, known: Weighing) -> Digits:
    """As `unfused.digits`."""
    held = torch.empty(places, len(z), width, dtype=torch.int8, device=z.device)
    numbers = torch.empty(5, len(z), dtype=torch.float64, device=z.device)
    _digits[(len(z),)](
        z, snr, mean, _held(known, z.device), held, numbers, len(z), z.shape[1], width,
        places=places, padded=triton.next_power_of_2(width),
    )  # fmt: skip
    return Digits(held, *numbers)


def weigh(
    queries: Digits, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, top: Tensor, places: int
) -> Weighed:
    """As `unfused.weigh`."""
    (query_places, batch, width), count = queries.digits.shape, len(atoms)
    across = triton.cdiv(count, WEIGH["columns"])
    left, right = _blocks(queries.digits.flatten(0, 1), "rows", WEIGH), _blocks(atoms, "columns", WEIGH)
    out = torch.empty(places, batch, count, dtype=torch.int8, device=snr.device)
    sums = torch.empty(3, batch, across, dtype=torch.float64, device=snr.device)
    _weigh[(triton.cdiv(batch, WEIGH["rows"]) * across,)](
        left, right, half, log_weights, queries.unit, snr, top, out, sums, batch, count, across, width, query_places,
        weight_digits=places, **_staged(WEIGH, torch.int8, snr.device),
    )  # fmt: skip
    return Weighed(out, sums.sum(dim=2))


def product(digits: Tensor, columns: Tensor) -> Tensor:
    """As `unfused.product`, n a multiple of 16; sums of whole numbers are the same in any order."""
    (places, batch, count), width = digits.shape, len(columns)
    rows, steps = digits.flatten(0, 1), triton.cdiv(count, PRODUCT["depth"])
    blocks = triton.cdiv(len(rows), PRODUCT["rows"]) * triton.cdiv(width, PRODUCT["columns"])
    parts = _parts(blocks, steps, digits.device)
    sums = torch.zeros(len(rows), width, dtype=torch.int32, device=digits.device)
    _product[(blocks, parts)](
        _blocks(rows, "rows", PRODUCT), _blocks(columns, "columns", PRODUCT), sums, len(rows), width, count,
        triton.cdiv(steps, parts), **_staged(PRODUCT, torch.int8, digits.device),
    )  # fmt: skip
    found = torch.empty(batch, width, dtype=torch.float64, device=digits.device)
    _together[(batch,)](sums, found, batch, width, places=places, padded=triton.next_power_of_2(width))
    return found


def weighted(
    products: Tensor, sums: Tensor, queries: Digits, snr: Tensor, top: Tensor, mean: Tensor, known: Weighing
) -> tuple[Tensor, Tensor]:
    """As `unfused.weighted`."""
    batch, dim = len(snr), len(mean)
    found = torch.empty(batch, dim, dtype=torch.float64, device=snr.device)
    numbers = torch.empty(3, batch, dtype=torch.float64, device=snr.device)
    _weighted[(batch,)](
        products, sums, queries.rest, queries.size, queries.off_centre, queries.norm2, snr, top, mean,
        _held(known, snr.device), found, numbers, batch, dim, products.shape[1], padded=triton.next_power_of_2(dim),
    )  # fmt: skip
    return found, numbers


def tiles(largest: Tensor, error: Tensor, below: float, most: int) -> Tiles:
    """As `unfused.tiles`."""
    batch, count = largest.shape
    numbers = torch.empty(3, batch, dtype=torch.float64, device=error.device)
    index = torch.empty(batch, most, dtype=torch.int32, device=error.device)
    crowded = torch.zeros(1, dtype=torch.int32, device=error.device)
    _tiles[(batch,)](
        largest, error, below, numbers, index, crowded, batch, count, most,
        chunk=min(TILES["chunk"], triton.next_power_of_2(count)), num_warps=TILES["num_warps"],
    )  # fmt: skip
    best, mass, counted = numbers
    return Tiles(best, mass, counted, index, crowded)


def near(z: Tensor, points: Tensor, log_weights: Tensor, tiles: Tiles, snr: Tensor, tile: int, few: int) -> Near:
    """As `unfused.near`."""
    (batch, dim), most = z.shape, tiles.index.shape[1]
    mean = torch.empty_like(z)
    numbers = torch.empty(6, batch, dtype=torch.float64, device=z.device)
    _near[(batch,)](
        z, points, log_weights, tiles.count, tiles.index, tiles.crowded, snr, mean, numbers, batch, len(points), most, few,
        width=dim, padded=triton.next_power_of_2(dim), tile=tile, **NEAR,
    )  # fmt: skip
    return Near(mean, *numbers)


def _blocks(rows: Tensor, side: str, sizes: dict[str, int]) -> TensorDescriptor:
    """Rows as a kernel reads them, in blocks; what lies beyond them is 0."""
    return TensorDescriptor.from_tensor(rows, [sizes[side], sizes["depth"]])


def _parts(blocks: int, steps: int, device: torch.device) -> int:
    """Into how many parts the steps of every block are cut, so that no processor is idle for long."""
    at_once = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    most = min(steps, _MOST_PARTS)
    return min(range(1, most + 1), key=lambda parts: -(-blocks * parts // at_once) * (-(-steps // parts) + _ENDS))


def _staged(sizes: dict[str, int], kind: torch.dtype, device: torch.device) -> dict[str, int]:
    """With as many stages as the memory beside a processor has room for."""
    if device.type != "cuda":
        return sizes
    stage = (sizes["rows"] + sizes["columns"]) * sizes["depth"] * kind.itemsize
    room = torch.cuda.get_device_properties(device).shared_memory_per_block_optin
    return sizes | {"num_stages": max(1, min(sizes["num_stages"], (room - _RESERVED) // stage))}


def _in_triton(function, **known):
    """A formula that kernels call: the same lines, where `xp` is Triton's language."""
    given = {
        name: tl.constexpr(value) if isinstance(value, (int, float)) else value
        for name, value in function.__globals__.items()
    }
    given |= {"xp": tl, "Number": tl.tensor, **known}
    return triton.jit(FunctionType(function.__code__, given, function.__name__))


_series_error, _logit_error, _tilt_error = map(_in_triton, (series_error, logit_error, tilt_error))
_screen_error = _in_triton(certificate.screen_error)
_series_remainder = _in_triton(certificate.series_remainder, series_error=_series_error)
_near_bound = _in_triton(certificate.near_bound, logit_error=_logit_error, tilt_error=_tilt_error)
_query_digits, _weight_digits = _in_triton(certificate.query_digits), _in_triton(certificate.weight_digits)
_delta = _in_triton(certificate.digits_delta, logit_error=_logit_error)
_digits_bound = _in_triton(certificate.digits_bound, digits_delta=_delta, tilt_error=_tilt_error)


@triton.jit
def _place(blocks_across, blocks_down):
    """Which block of rows and of columns is this program's."""
    program = tl.program_id(0)
    first = program // (_GROUP * blocks_across) * _GROUP
    size = min(blocks_down - first, _GROUP)
    inside = program % (_GROUP * blocks_across)
    return first + inside % size, inside // size


@triton.jit
def _asked(
    z, snr, mean, known, halves, unit, numbers, others, batch, dim, width, padded: tl.constexpr,
):  # fmt: skip
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside = place < dim
    gamma = tl.load(snr + query)
    root = tl.sqrt(gamma)
    shifted = tl.load(z + query * dim + place, mask=inside, other=0.0)
    shifted -= root * tl.load(mean + place, mask=inside, other=0.0)
    scaled, norm2 = shifted * root, tl.sum(shifted * shifted)
    size = tl.maximum(tl.max(tl.abs(scaled)), tl.full((), 1e-300, tl.float64))
    tl.store(halves + query * width + place, (scaled / size).to(tl.float16), mask=place < width)
    tl.store(unit + query, (size * tl.load(known + 7)).to(tl.float32))
    norm = tl.sqrt(norm2)
    error = _screen_error(norm, root, gamma, tl.load(known), tl.load(known + 1), tl.load(known + 2))
    remainder = _series_remainder(
        norm2, gamma, tl.load(known + 3), tl.load(known + 4), tl.load(known + 5), tl.load(known + 6)
    )
    series = remainder <= tl.load(known + 8)
    tl.store(numbers + query, size)
    tl.store(numbers + batch + query, norm)
    tl.store(numbers + 2 * batch + query, error)
    tl.store(numbers + 3 * batch + query, series.to(tl.float64))
    if series == 0:
        tl.atomic_add(others, 1)


@triton.jit
def _screen(
    queries, atoms, half, log_weights, unit, snr, others, out, batch, count, width,
    tile: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
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
def _weigh(
    queries, atoms, half, log_weights, unit, snr, top, out, sums, batch, count, blocks, width, places,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr, weight_digits: tl.constexpr,
):  # fmt: skip
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
def _certified(
    snr, size, norm, error, series, best, mass, tiles, distance, log_sum, apart, variance, shift, log_weight,
    known, numbers, plan, batch, padded: tl.constexpr,
):  # fmt: skip
    query = tl.arange(0, padded)
    real = query < batch
    gamma = tl.load(snr + query, mask=real, other=1.0)
    bound = _near_bound(
        tl.load(norm + query, mask=real, other=0.0), tl.sqrt(gamma), gamma,
        tl.load(distance + query, mask=real, other=0.0), tl.load(apart + query, mask=real, other=0.0),
        tl.load(shift + query, mask=real, other=0.0), tl.load(log_weight + query, mask=real, other=0.0),
        tl.load(known), tl.load(known + 1), tl.load(known + 2), tl.load(known + 3), tl.load(known + 4),
        tl.load(known + 5),
    )  # fmt: skip
    moments = real & (tl.load(series + query, mask=real, other=0.0) > 0)
    rest = real & ((bound <= tl.load(known + 10)) == 0) & (moments == 0)
    digits = _query_digits(
        tl.load(size + query, mask=real, other=1.0), gamma, tl.load(known + 6), tl.load(known + 7), tl.load(known + 8)
    )
    weight_digits = _weight_digits(
        tl.load(tiles + query, mask=real, other=1.0), tl.load(mass + query, mask=real, other=1.0), tl.load(known + 9)
    )
    tl.store(plan, tl.sum(moments.to(tl.int64)))
    tl.store(plan + 1, tl.sum(rest.to(tl.int64)))
    tl.store(plan + 2, tl.max(tl.where(rest, digits, 0.0)).to(tl.int64))
    tl.store(plan + 3, tl.max(tl.where(rest, weight_digits, 0.0)).to(tl.int64))
    evidence = tl.load(log_sum + query, mask=real) - tl.load(known + 6) / 2 * tl.log(
        tl.full((), 6.283185307179586, tl.float64)
    )
    tl.store(numbers + query, tl.load(variance + query, mask=real), mask=real)
    tl.store(numbers + batch + query, evidence, mask=real)
    tl.store(numbers + 2 * batch + query, bound, mask=real)
    top = tl.load(best + query, mask=real) + tl.load(error + query, mask=real) / 8
    tl.store(numbers + 3 * batch + query, top, mask=real)
    tl.store(numbers + 4 * batch + query, moments.to(tl.float64), mask=real)
    tl.store(numbers + 5 * batch + query, rest.to(tl.float64), mask=real)


@triton.jit
def _digits(
    z, snr, mean, known, out, numbers, batch, dim, width, places: tl.constexpr, padded: tl.constexpr,
):  # fmt: skip
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
    off_centre = tl.sum(tl.where(inside, scaled * (tl.load(known + 7) - centre), 0.0))
    tl.store(numbers + query, scale * tl.load(known + 6))
    tl.store(numbers + batch + query, tl.sqrt(tl.sum(missing * missing)) * 1.01)
    tl.store(numbers + 2 * batch + query, size)
    tl.store(numbers + 3 * batch + query, off_centre)
    tl.store(numbers + 4 * batch + query, tl.sum(shifted * shifted))
    rest, step = whole.to(tl.int64), tl.cast(batch, tl.int64) * width
    where = out + (places - 1) * step + query * width + place
    for _ in tl.static_range(places):
        tl.store(where, rest.to(tl.int8), mask=place < width)
        rest = (rest + 128) >> 8
        where -= step


@triton.jit
def _product(
    digits, atoms, sums, batch, width, count, steps,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
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
def _together(sums, found, batch, width, places: tl.constexpr, padded: tl.constexpr):
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    where, total = sums + query * width + place, tl.zeros((padded,), dtype=tl.float64)
    for _ in tl.static_range(places):
        total = total * 256.0 + tl.load(where, mask=place < width, other=0).to(tl.float64)
        where += tl.cast(batch, tl.int64) * width
    tl.store(found + query * width + place, total, mask=place < width)


@triton.jit
def _weighted(
    products, sums, rest, size, off_centre, norm2, snr, top, mean, known, found, numbers, batch, dim, width,
    padded: tl.constexpr,
):  # fmt: skip
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    inside = place < dim
    total, square = tl.load(sums + query), tl.load(sums + batch + query)
    value = tl.load(products + query * width + place, mask=inside, other=0.0) * (tl.load(known + 6) / total)
    value += tl.load(known + 7)
    away = tl.where(inside, value - tl.load(mean + place, mask=inside, other=0.0), 0.0)
    shift2 = tl.sum(away * away)
    bound = _digits_bound(
        total, square, tl.load(sums + 2 * batch + query), shift2, tl.load(size + query), tl.load(rest + query),
        tl.load(snr + query), tl.load(known), tl.load(known + 1), tl.load(known + 2), tl.load(known + 3),
        tl.load(known + 4), tl.load(known + 5),
    )  # fmt: skip
    log_total = tl.load(top + query) + tl.log(total / tl.load(known + 8)) + tl.load(off_centre + query)
    tl.store(found + query * dim + place, value, mask=inside)
    tl.store(numbers + query, tl.maximum(square / total - shift2, 0.0, propagate_nan=tl.PropagateNan.ALL))
    tl.store(numbers + batch + query, log_total - tl.load(norm2 + query) / 2 - tl.load(known + 9))
    tl.store(numbers + 2 * batch + query, bound)


@triton.jit
def _tiles(
    largest, error, below, numbers, index, crowded, batch, tiles, most, chunk: tl.constexpr,
):  # fmt: skip
    query, inside = tl.program_id(0).to(tl.int64), tl.arange(0, chunk)
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
        place = counted + tl.cumsum(hit.to(tl.int32), axis=0) - 1
        tl.store(index + query * most + place, first + inside, mask=hit & (place < most))
        counted += tl.sum(hit.to(tl.int32))
        mass += tl.sum(tl.exp(values - best))
    tl.store(numbers + query, best.to(tl.float64))
    tl.store(numbers + batch + query, mass.to(tl.float64))
    tl.store(numbers + 2 * batch + query, counted.to(tl.float64))
    if counted > most:
        tl.atomic_add(crowded, 1)


@triton.jit
def _near(
    queries, atoms, log_weights, counted, index, crowded, snr, mean, numbers, batch, count, most, few,
    width: tl.constexpr, padded: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    query, place = tl.program_id(0).to(tl.int64), tl.arange(0, padded)
    for unknown in tl.static_range(6):
        tl.store(numbers + unknown * batch + query, tl.cast(float("inf"), tl.float64))
    hits = tl.load(counted + query).to(tl.int32)
    if hits <= tl.where(2 * tl.load(crowded) < batch, most, few):
        z = tl.load(queries + query * width + place, mask=place < width, other=0.0)
        root = tl.sqrt(tl.load(snr + query))
        # the atom of the best tile with the largest log density is what the others are told from
        row = tl.load(index + query * most) * tile + tl.arange(0, tile)
        away = z[None, :] - root * _rows(atoms, row, place, count, width)
        distance2 = tl.sum(away * away, axis=1)
        density = tl.load(log_weights + row, mask=row < count, other=-float("inf")) - distance2 / 2
        score, inside = tl.max(density, axis=0, return_indices=True)
        # the screen may take padding for the best where all log weights are off its scale
        reference = tl.minimum(tl.load(index + query * most) * tile + inside, count - 1)
        base = tl.load(atoms + tl.cast(reference, tl.int64) * width + place, mask=place < width, other=0.0)
        base_weight = tl.load(log_weights + reference)
        top, total = tl.cast(0.0, tl.float64), tl.cast(0.0, tl.float64)
        second, square = tl.cast(0.0, tl.float64), tl.cast(0.0, tl.float64)
        sums = tl.zeros((padded,), dtype=tl.float64)
        for hit in range(hits):
            row = tl.load(index + query * most + hit) * tile + tl.arange(0, tile)
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
        tl.store(numbers + query, tl.sqrt(tl.maximum(2 * (base_weight - score), 0.0)))
        tl.store(numbers + batch + query, score + top + tl.log(total))
        tl.store(numbers + 2 * batch + query, tl.sqrt(second))
        tl.store(numbers + 3 * batch + query, tl.maximum(second - shift2, 0.0))
        tl.store(numbers + 4 * batch + query, tl.sqrt(shift2))
        tl.store(numbers + 5 * batch + query, tl.sqrt(square / total))


@triton.jit
def _rows(atoms, row, place, count, width: tl.constexpr):
    """Some atoms; those beyond the last are 0."""
    inside = (row[:, None] < count) & (place[None, :] < width)
    return tl.load(atoms + row[:, None].to(tl.int64) * width + place[None, :], mask=inside, other=0.0)

"""The engine on a GPU: launches the kernels of `kernels` and `matrix` with blocks and parts that fit the card, or those of `hopper`.

The same as `reference`, whose docstrings say what each computes.
"""

# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

import math
from functools import cache
from typing import NamedTuple

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from singtheory.engine import hopper, kernels, matrix
from singtheory.engine.rounding import Asking, Expansion, Nearness, Weighing
from singtheory.engine.rows import (
    Asked,
    AskedRows,
    Bounded,
    DigitRows,
    Digits,
    Look,
    MomentRows,
    Near,
    NearRows,
    Plan,
    SumRows,
    TileRows,
    Tiles,
    Weighed,
)  # fmt: skip
from singtheory.engine.series import Series

SCREEN = {"rows": 128, "columns": 256, "depth": 64, "num_warps": 8, "num_stages": 4}
WHOLE_SCREEN = {"rows": 128, "columns": 128, "depth": 128, "group": 8, "num_warps": 4, "num_stages": 3}
_PROGRAMS = 2
"""For every processor, in the screen by whole numbers and where tiles of few queries are weighed: each answers many blocks."""
WEIGH = {"rows": 64, "columns": 128, "depth": 128, "num_warps": 4, "num_stages": 4}
PRODUCT = {"rows": 256, "columns": 128, "depth": 128, "num_warps": 8, "num_stages": 4}
_OVERHEAD, _MOST_PARTS = 25, 16
"""Steps of a product that the start and the end of a program last, as measured on an H100; parts that a product has at most."""
_RESERVED = 1024
"""Bytes beside a processor that stages leave to the rest of a kernel."""
FETCH = {"block": 4096, "num_warps": 8}
NEAR = {"stages": 1, "num_warps": 16}
_CHUNK = 1024
"""Coordinates that the kernels of `near` read at once."""
TILES = {"chunk": 2048, "num_warps": 4}


@cache
def _held(known: Asking | Nearness | Expansion | Weighing, device: torch.device) -> Tensor:
    """Constants on a device, in float64, which numbers given to a kernel are not; never freed, for recorded kernels read them."""
    return torch.tensor(known, dtype=torch.float64, device=device)


def fetched(table: Tensor, held: list[Tensor]) -> None:
    """Runs `reference.fetched` on the GPU."""
    for number, tensor in enumerate(held):
        blocks = triton.cdiv(tensor.numel(), FETCH["block"])
        kernels.fetched_kernel[(blocks,)](table, tensor, tensor.numel(), number=number, **FETCH)


def asked(z: Tensor, snr: Tensor, mean: Tensor, width: int, known: Asking, whole: bool) -> Asked:
    """Runs `reference.asked` on the GPU."""
    rows = torch.empty(len(z), width, dtype=torch.int8 if whole else torch.float16, device=z.device)
    unit, numbers = torch.empty_like(snr, dtype=torch.float32), _table(AskedRows, snr)
    others = torch.zeros(1, dtype=torch.int32, device=z.device)
    kernels.asked_kernel[(len(z),)](
        z, snr, mean, _held(known, z.device), rows, unit, numbers, others, len(z), z.shape[1], width,
        padded=triton.next_power_of_2(width), whole=whole,
    )  # fmt: skip
    return Asked(rows, unit, **AskedRows(*numbers)._asdict(), others=others)


def screen(queries: Asked, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, tile: int) -> Tensor:
    """Runs `reference.screen` on the GPU; tiles that no query needs are not set."""
    batch, count = len(snr), len(atoms)
    out = torch.empty(batch, count // tile, dtype=torch.float32, device=snr.device)
    if queries.rows.dtype == torch.int8 and tile == hopper.TILE and hopper.holds(atoms):
        return hopper.screen(queries, atoms, half, log_weights, snr)
    if queries.rows.dtype == torch.int8:
        left, right = _blocks(queries.rows, "rows", WHOLE_SCREEN), _blocks(atoms, "columns", WHOLE_SCREEN)
        blocks = triton.cdiv(batch, WHOLE_SCREEN["rows"]) * triton.cdiv(count, WHOLE_SCREEN["columns"])
        programs = min(blocks, _PROGRAMS * _processors(snr.device))
        matrix.whole_screen_kernel[(programs,)](
            left, right, half, log_weights, queries.unit, snr, queries.shift, queries.others, out, batch, count,
            atoms.shape[1], programs, tile=tile, **_staged(WHOLE_SCREEN, torch.int8, snr.device, sums=torch.float32),
        )  # fmt: skip
        return out
    blocks = triton.cdiv(batch, SCREEN["rows"]) * triton.cdiv(count, SCREEN["columns"])
    matrix.screen_kernel[(blocks,)](
        queries.rows, atoms, half, log_weights, queries.unit, snr, queries.others, out, batch, count, atoms.shape[1],
        tile=tile, **_staged(SCREEN, torch.float16, snr.device),
    )  # fmt: skip
    return out


def bounded(near: Near, tiles: Tiles, queries: Asked, snr: Tensor, known: Nearness) -> Bounded:
    """Runs `reference.bounded` on the GPU; a few thousand queries at most."""
    numbers = _table(Look, snr)
    plan = torch.empty(len(Plan._fields), dtype=torch.int64, device=snr.device)
    kernels.bounded_kernel[(1,)](
        snr, queries.size, queries.norm, queries.error, queries.series, queries.rest, tiles.best, tiles.mass, tiles.count,
        near.distance, near.log_sum, near.apart, near.variance, near.shift, near.log_weight, _held(known, snr.device), numbers, plan,
        len(snr), padded=triton.next_power_of_2(len(snr)), num_warps=8,
    )  # fmt: skip
    return Bounded(numbers, plan)


def moments(series: Series, z: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Runs `reference.moments` on the GPU."""
    points, (rest, cov, skew, square) = series.points, series.moments
    known = Expansion(
        points.radius, points.variance, series.rounding, series.constant, square, points.dim * math.log(2 * math.pi)
    )
    (batch, dim), shifted, means, numbers = z.shape, torch.empty_like(z), torch.empty_like(z), _table(MomentRows, snr)
    padded = triton.next_power_of_2(dim)
    kernels.shifted_kernel[(batch,)](z, snr, points.mean, shifted, dim, padded=padded)
    kernels.moments_kernel[(batch,)](
        shifted, shifted @ cov, snr, points.mean, rest, skew, _held(known, z.device), means, numbers, batch, dim,
        padded=padded,
    )  # fmt: skip
    return means, numbers


def digits(z: Tensor, snr: Tensor, mean: Tensor, width: int, places: int, known: Weighing) -> Digits:
    """Runs `reference.digits` on the GPU."""
    held = torch.empty(places, len(z), width, dtype=torch.int8, device=z.device)
    numbers = _table(DigitRows, snr)
    matrix.digits_kernel[(len(z),)](
        z, snr, mean, _held(known, z.device), held, numbers, len(z), z.shape[1], width,
        places=places, padded=triton.next_power_of_2(width),
    )  # fmt: skip
    return Digits(held, **DigitRows(*numbers)._asdict())


def weigh(
    queries: Digits, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, top: Tensor, places: int
) -> Weighed:
    """Runs `reference.weigh` on the GPU."""
    if hopper.holds(atoms):
        return hopper.weigh(queries, atoms, half, log_weights, snr, top, places)
    (query_places, batch, width), count = queries.digits.shape, len(atoms)
    across = triton.cdiv(count, WEIGH["columns"])
    left, right = _blocks(queries.digits.flatten(0, 1), "rows", WEIGH), _blocks(atoms, "columns", WEIGH)
    out = torch.empty(places, batch, count, dtype=torch.int8, device=snr.device)
    sums = torch.empty(len(SumRows._fields), batch, across, dtype=torch.float64, device=snr.device)
    matrix.weigh_kernel[(triton.cdiv(batch, WEIGH["rows"]) * across,)](
        left, right, half, log_weights, queries.unit, snr, top, out, sums, batch, count, across, width, query_places,
        weight_digits=places, **_staged(WEIGH, torch.int8, snr.device),
    )  # fmt: skip
    return Weighed(out, sums.sum(dim=2))


def product(digits: Tensor, columns: Tensor) -> Tensor:
    """Runs `reference.product` on the GPU, n a multiple of 16; sums of whole numbers are the same in any order."""
    (places, batch, count), width = digits.shape, len(columns)
    rows = digits.flatten(0, 1)
    sums = torch.zeros(len(rows), width, dtype=torch.int32, device=digits.device)
    if hopper.adds(rows, columns):
        hopper.add_product(rows, columns, sums)
    else:
        steps = triton.cdiv(count, PRODUCT["depth"])
        blocks = triton.cdiv(len(rows), PRODUCT["rows"]) * triton.cdiv(width, PRODUCT["columns"])
        parts = _parts(blocks, steps, digits.device)
        matrix.product_kernel[(blocks, parts)](
            _blocks(rows, "rows", PRODUCT), _blocks(columns, "columns", PRODUCT), sums, len(rows), width, count,
            triton.cdiv(steps, parts), **_staged(PRODUCT, torch.int8, digits.device),
        )  # fmt: skip
    totals = torch.empty(batch, width, dtype=torch.float64, device=digits.device)
    matrix.together_kernel[(batch,)](sums, totals, batch, width, places=places, padded=triton.next_power_of_2(width))
    return totals


def weighted(
    products: Tensor, sums: Tensor, queries: Digits, snr: Tensor, top: Tensor, mean: Tensor, known: Weighing
) -> tuple[Tensor, Tensor]:
    """Runs `reference.weighted` on the GPU."""
    batch, dim = len(snr), len(mean)
    means = torch.empty(batch, dim, dtype=torch.float64, device=snr.device)
    numbers = _table(MomentRows, snr)
    matrix.weighted_kernel[(batch,)](
        products, sums, queries.rest, queries.size, queries.off_centre, queries.norm2, snr, top, mean,
        _held(known, snr.device), means, numbers, batch, dim, products.shape[1], padded=triton.next_power_of_2(dim),
    )  # fmt: skip
    return means, numbers


def tiles(largest: Tensor, queries: Asked, norms: Tensor, below: float, most: int) -> Tiles:
    """Runs `reference.tiles` on the GPU."""
    batch, count = largest.shape
    numbers = _table(TileRows, queries.error)
    index = torch.empty(batch, most, dtype=torch.int32, device=largest.device)
    crowded = torch.zeros(1, dtype=torch.int32, device=largest.device)
    kernels.tiles_kernel[(batch,)](
        largest, queries.error, queries.rest, queries.others, norms, below, numbers, index, crowded, batch, count, most,
        chunk=min(TILES["chunk"], triton.next_power_of_2(count)), num_warps=TILES["num_warps"],
    )  # fmt: skip
    return Tiles(**TileRows(*numbers)._asdict(), index=index, crowded=crowded)


def near(
    z: Tensor, points: Tensor, log_weights: Tensor, queries: Asked, largest: Tensor, tiles: Tiles, norms: Tensor, snr: Tensor,
    below: float, tile: int, few: int, keep: int,
) -> Near:  # fmt: skip
    """Runs `reference.near` on the GPU."""
    (batch, dim), most, numbers = z.shape, tiles.index.shape[1], _table(NearRows, snr)
    mean, (reference, held) = torch.empty_like(z), torch.empty(2, batch, dtype=torch.int32, device=z.device)
    kept, work = torch.empty(2, batch, keep, dtype=torch.int32, device=z.device)
    items, rows = torch.zeros(1, dtype=torch.int32, device=z.device), kept.new_empty(batch, keep * tile)
    logits, squares, weights = torch.empty(3, batch, keep * tile, dtype=torch.float64, device=z.device)
    sizes = {"width": dim, "tile": tile, "chunk": min(_CHUNK, triton.next_power_of_2(dim))}
    kernels.nearest_kernel[(batch,)](
        z, points, log_weights, tiles.count, tiles.index, tiles.crowded, snr, queries.norm, queries.error, queries.rest,
        queries.offset, largest, norms, below, numbers, reference, kept, held, work, items, logits, squares,
        batch, len(points), largest.shape[1], most, few, keep, listed=triton.next_power_of_2(most), **sizes, **NEAR,
    )  # fmt: skip
    programs = min(batch * keep, _PROGRAMS * _processors(z.device))
    kernels.apart_kernel[(programs,)](
        z,
        points,
        log_weights,
        snr,
        reference,
        kept,
        work,
        items,
        logits,
        squares,
        programs,
        len(points),
        keep,
        **sizes,
        **NEAR,
    )
    kernels.near_kernel[(batch,)](
        points, log_weights, reference, kept, held, logits, squares, rows, weights, mean, numbers,
        batch, len(points), keep, most=triton.next_power_of_2(keep * tile), **sizes, **NEAR,
    )  # fmt: skip
    return Near(mean, **NearRows(*numbers)._asdict())


def _table(rows: type[NamedTuple], queries: Tensor) -> Tensor:
    """For the kernels to fill: a row for each field and a column for each query, float64."""
    return torch.empty(len(rows._fields), len(queries), dtype=torch.float64, device=queries.device)


def _blocks(rows: Tensor, side: str, sizes: dict[str, int]) -> TensorDescriptor:
    """Rows as a kernel reads them, in blocks; what lies beyond them is 0."""
    return TensorDescriptor.from_tensor(rows, [sizes[side], sizes["depth"]])


def _parts(blocks: int, steps: int, device: torch.device) -> int:
    """Into how many parts the steps of every block are cut, so that no processor is idle for long."""
    at_once = _processors(device)
    most = min(steps, _MOST_PARTS)
    return min(range(1, most + 1), key=lambda parts: -(-blocks * parts // at_once) * (-(-steps // parts) + _OVERHEAD))


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _staged(
    sizes: dict[str, int], kind: torch.dtype, device: torch.device, sums: torch.dtype | None = None
) -> dict[str, int]:
    """The sizes with as many stages as fit into the shared memory of a processor, beside which a block of sums of a type may lie there."""
    if device.type != "cuda":
        return sizes
    stage = (sizes["rows"] + sizes["columns"]) * sizes["depth"] * kind.itemsize
    beside = sizes["rows"] * sizes["columns"] * sums.itemsize if sums else 0
    left = torch.cuda.get_device_properties(device).shared_memory_per_block_optin - _RESERVED - beside
    return sizes | {"num_stages": max(1, min(sizes["num_stages"], left // stage))}

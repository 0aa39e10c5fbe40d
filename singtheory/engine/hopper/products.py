"""Products of 8-bit whole numbers by the kernels of this folder; as `launch`, whose docstrings stand in `reference`."""

from functools import cache

import torch
from torch import Tensor

from singtheory.engine.hopper.compiled import Kernel, compiles, kernel, tensor_map
from singtheory.engine.rows import Asked, Digits, SumRows, Weighed

TILE = 8
"""Atoms of which the screen keeps only the largest log weight."""
_THREADS, _DEPTH = 384, 128
_SHARED, _BESIDE, _ALIGNED = 227 * 1024 - 512, 7680, 1024
"""Bytes that a block may have, less its barriers; what comes with each row and column of atoms that stay; and what is lost to alignment."""
_ATOMS, _QUERIES = 128, 64
_MOST_STAGES, _LEAST_STAGES = 6, 3
_ROWS, _COLUMNS, _STAGING = 256, (32, 64, 96, 128, 160), 65536
_OVERHEAD, _MOST_PARTS = 3, 16
"""Steps of a product that the start and the end of a part last; parts that a product has at most."""


def weigh(
    queries: Digits, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor, top: Tensor, places: int
) -> Weighed:
    """`reference.weigh`, for atoms that `holds` accepts."""
    (query_places, batch, width), count = queries.digits.shape, len(atoms)
    out = torch.empty(places, batch, count, dtype=torch.int8, device=snr.device)
    sums = torch.empty(len(SumRows._fields), batch, count // _ATOMS, dtype=torch.float64, device=snr.device)
    rows = {f"SUMS_{name.upper()}": place for place, name in enumerate(SumRows._fields)}
    run = _stationary("weigh", width, snr.device, DIGITS=places, **rows)
    run.launch(
        _blocks(batch, count, snr.device), _THREADS, _queries(queries.digits), _atoms(atoms), half, log_weights,
        queries.unit, snr, top, out, sums, batch, count, query_places,
    )  # fmt: skip
    return Weighed(out, sums.sum(dim=2))


def screen(queries: Asked, atoms: Tensor, half: Tensor, log_weights: Tensor, snr: Tensor) -> Tensor:
    """`reference.screen` of whole numbers in tiles of eight, for atoms that `holds` accepts."""
    batch, count = len(snr), len(atoms)
    out = torch.empty(batch, count // TILE, dtype=torch.float32, device=snr.device)
    run = _stationary("screen", atoms.shape[1], snr.device)
    run.launch(
        _blocks(batch, count, snr.device), _THREADS, _queries(queries.rows[None]), _atoms(atoms), half, log_weights,
        queries.unit, snr, queries.shift, queries.others, out, batch, count,
    )  # fmt: skip
    return out


def add_product(rows: Tensor, columns: Tensor, sums: Tensor) -> None:
    """Add products of rows (rows, n) with columns (width, n), int8, to sums, int32, shape (rows, width), of which `adds` accepts the columns."""
    (height, count), width = rows.shape, len(columns)
    wide = min(_COLUMNS, key=lambda each: -(-width // each) * (each + 16))
    stage = (_ROWS + wide) * _DEPTH
    stages = min(_MOST_STAGES, (_SHARED - _ALIGNED - _STAGING) // stage)
    shared = stages * stage + _STAGING + _ALIGNED
    run = kernel("product", wide, shared, rows.device, STAGES=stages, COLUMNS=wide)
    across, steps = -(-width // wide), -(-count // _DEPTH)
    tiles, pairs = -(-height // (2 * _ROWS)) * across, _pairs(rows.device)
    parts = _parts(tiles, steps, pairs)
    run.launch(
        2 * min(tiles * parts, pairs), _THREADS,
        tensor_map(rows, (count, height), (rows.stride(0),), (_DEPTH, _ROWS)),
        tensor_map(columns, (count, width), (columns.stride(0),), (_DEPTH, wide // 2)),
        tensor_map(sums, (width, height), (4 * width,), (32, 64)), tiles, across, steps, parts,
    )  # fmt: skip


def holds(atoms: Tensor) -> bool:
    """Whether this is a Hopper card, blocks of atoms, int8, shape (n, width), go into the memory beside a processor, and n goes into whole blocks."""
    count, width = atoms.shape
    return (
        _is_hopper(atoms.device) and count % (2 * _ATOMS) == 0 and width % 64 == 0 and _stages(width) >= _LEAST_STAGES
    )


def adds(rows: Tensor, columns: Tensor) -> bool:
    """Whether this is a Hopper card, a product is large enough for the blocks here, and its sums lie where they can be added to."""
    return _is_hopper(rows.device) and len(rows) > _ROWS and len(columns) % 4 == 0


@cache
def _is_hopper(device: torch.device) -> bool:
    """Whether a device runs what is compiled for Hopper, which no other generation does."""
    return compiles() and device.type == "cuda" and torch.cuda.get_device_capability(device) == (9, 0)


def _stages(width: int) -> int:
    """How many stages of queries, for each of two groups, go beside the atoms."""
    return min(_MOST_STAGES, (_SHARED - _BESIDE - _ALIGNED - _held(width)) // (2 * _QUERIES * _DEPTH))


def _held(width: int) -> int:
    return -(-width // _DEPTH) * _DEPTH * _ATOMS


def _stationary(name: str, width: int, device: torch.device, **sizes: int) -> Kernel:
    stages = _stages(width)
    shared = _ALIGNED + _held(width) + stages * 2 * _QUERIES * _DEPTH
    return kernel(name, _ATOMS, shared, device, STAGES=stages, WIDTH=width, **sizes)


def _queries(digits: Tensor) -> object:
    """Half a block at a time, of digits, shape (digits, batch, width)."""
    places, batch, width = digits.shape
    return tensor_map(digits, (width, batch, places), (width, batch * width), (_DEPTH, _QUERIES // 2, 1))


def _atoms(atoms: Tensor) -> object:
    count, width = atoms.shape
    return tensor_map(atoms, *order(width, count), (_DEPTH, 2, 4, 8, 2))


def order(width: int, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes, and the steps of all but the first, of atoms (count, width) in the order that `stationary.cuh` wants them in."""
    return (width, 2, 4, 8, count // 64), (width, 16 * width, 2 * width, 64 * width)


def _blocks(batch: int, count: int, device: torch.device) -> int:
    """No more than there is work for."""
    return 2 * min(count // (2 * _ATOMS) * -(-batch // _QUERIES), _pairs(device))


def _pairs(device: torch.device) -> int:
    """How many pairs of processors there are."""
    return torch.cuda.get_device_properties(device).multi_processor_count // 2


def _parts(tiles: int, steps: int, pairs: int) -> int:
    """Into how many parts the steps of every tile are cut, so that no processor is idle for long."""
    most = min(steps, _MOST_PARTS)
    return min(range(1, most + 1), key=lambda parts: -(-tiles * parts // pairs) * (-(-steps // parts) + _OVERHEAD))

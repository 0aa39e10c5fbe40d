"""How kernels read atoms: in float64 as they are, or in bytes."""

# ruff: noqa: ANN001, ANN201
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPrivateImportUsage=false, reportAttributeAccessIssue=false

import triton
import triton.language as tl

from singtheory.engine.points import HALF_RANGE

_HALF_RANGE = tl.constexpr(HALF_RANGE)


@triton.jit
def rows_of(atoms, row, place, count, width: tl.constexpr):
    """Some atoms; those beyond the last are 0."""
    inside = (row[:, None] < count) & (place[None, :] < width)
    held = tl.load(atoms + row[:, None].to(tl.int64) * width + place[None, :], mask=inside, other=0)
    return decoded(held, inside)


@triton.jit
def decoded(held, inside):
    """Coordinates in float64, from bytes as `points.decoded` does it; 0 outside."""
    if held.dtype == tl.uint8:
        values = tl.where(inside, held.to(tl.float64) / tl.full((), _HALF_RANGE, tl.float64) - 1.0, 0.0)
    else:
        values = held
    return values

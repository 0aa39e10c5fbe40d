r"""Finite data in the span of what they differ by: few points in many dimensions, such as photographs, need no more.

With an orthonormal basis B of `span{y_i − μ}`, of rank at most n − 1, and the point `o` of the affine hull that is nearest to 0, every point is
`y_i = o + Bᵀc_i`. Across the span all data agree, so there `z = √γ x_0 + n` is `√γ o` and noise that says nothing of `x_0`: the posterior at z in
d dimensions is that of the coordinates c at `Bz`, its mean is `o + Bᵀ` times theirs, and KL, TV, χ², W₂ and every bound on them are the same,
for P and Q share the noise across the span and factorise. Exact, up to the rounding of coordinates, which is of the size of the whole: data whose nearest
points that would not survive are left in all dimensions. What contains d itself does not carry over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from singtheory import numerics
from singtheory.engine import Points
from singtheory.law.laws import Atoms

_EPS = 2.0**-52
_KEPT, _NEIGHBOURS = 1e-6, 16
"""What a distance may lose, relative; pairs a point that are looked at: more of them are a cluster with something far away."""
_BLOCK = 2**24
"""Numbers that are worked on at once: 128 MB."""


@dataclass(frozen=True, eq=False)
class Span:
    """Atoms by their coordinates, and the map back.

    Attributes:
        law: of the coordinates `c = By`, in r dimensions; atoms without weight are left out.
        basis: B, orthonormal rows, shape (r, d).
        origin: `o`, orthogonal to the basis, shape (d,).
    """

    law: Atoms
    basis: Tensor
    origin: Tensor

    @property
    def dim(self) -> int:
        """d, of the space that the data came from."""
        return len(self.origin)

    def lift(self, points: Tensor) -> Tensor:
        """`o + Bᵀc`, from (…, r) to (…, d)."""
        return self.origin + points @ self.basis

    def project(self, points: Tensor) -> Tensor:
        """`B x`, from (…, d) to (…, r); of `z` too."""
        return points @ self.basis.mT


def in_span(law: Atoms) -> Span | None:
    """The law in its span, where that saves work: in at most half of the dimensions, or in one or two, where quadrature is exact; else None."""
    law = law if bool((law.weights > 0).all()) else law.subset(law.weights > 0)
    if law.device.type != "cpu" or law.dim < 2 or _full(law):
        return None
    basis = _basis(law)
    if basis is None or not _saves(len(basis), law.dim):
        return None
    coordinates = torch.cat([block @ basis.mT for block in _blocks(law)])
    if not _keeps_distances(law, basis, coordinates):
        return None
    mean = law.mean
    coordinates += basis @ mean
    origin = mean - (basis @ mean) @ basis
    # a rotation may take a coordinate as far as the norm, so that the domain was checked before
    return Span(Atoms.stored(Points(coordinates, law.weights)), basis, origin)


def _keeps_distances(law: Atoms, basis: Tensor, coordinates: Tensor) -> bool:
    """Whether the distance of any two different points is kept to `_KEPT` of itself: one point far away costs the coordinates of all others their digits.

    Points that are nearer than that allows are neighbours along any line; along a line at random few others are.
    """
    rests = zip(_blocks(law), coordinates.split(max(1, _BLOCK // law.dim)), strict=True)
    rest = max(float((block - part @ basis).norm(dim=1).max()) for block, part in rests)
    size = float(coordinates.norm(dim=1).max()) + float(law.points.norm(dim=1).max())
    nearest = 2 * (rest + 4 * _EPS * size) / _KEPT
    first = {row.tobytes(): k for k, row in enumerate(law.points.cpu().numpy())}  # of equal points one is enough
    kept = torch.tensor(sorted(first.values()), device=law.device)
    line = numerics.normal((len(basis),), law.device, torch.Generator().manual_seed(0))
    place, order = (coordinates[kept] @ (line / line.norm())).sort()
    numbers, seen, shift = kept[order], 0, 1
    while shift < len(order):
        near = (place[shift:] - place[:-shift] <= nearest).nonzero()[:, 0]
        seen += len(near)
        if seen > _NEIGHBOURS * len(order):
            return False
        if not len(near):
            break
        one, other = numbers[near], numbers[near + shift]
        close = (coordinates[one] - coordinates[other]).norm(dim=1) <= nearest
        if any(not torch.equal(law.points[i], law.points[j]) for i, j in zip(one[close], other[close], strict=True)):
            return False
        shift += 1
    return True


def _saves(rank: int, dim: int) -> bool:
    return rank > 0 and (2 * rank <= dim or rank <= 2 < dim)


def _full(law: Atoms) -> bool:
    """Whether a few points show that the rank is too large, so that many need not be looked at."""
    least = max(2, law.dim // 2) + 1
    if len(law.points) - 1 < least:
        return False
    some = torch.linspace(0, len(law.points) - 1, least + 1, dtype=torch.float64).round().long()
    chosen = law.points[some]
    values = torch.linalg.svdvals(chosen[1:] - chosen[0])
    return int((values > _EPS * len(values) * values[0]).sum()) >= least


def _blocks(law: Atoms) -> Iterator[Tensor]:
    """`y − μ`, block by block."""
    for block in law.points.split(max(1, _BLOCK // law.dim)):
        yield block - law.mean


def _basis(law: Atoms) -> Tensor | None:
    """An orthonormal basis (r, d) of what the data differ by, up to rounding, or None for equal points; one copy of the data is worked on in place."""
    import scipy.linalg  # late, as the package loads scipy where it is used

    centred, qr = (law.points - law.mean).numpy(), cast(Any, scipy.linalg.qr)  # whose annotations know one mode
    if len(centred) > law.dim:
        (upper,) = qr(centred, mode="r", overwrite_a=True, check_finite=False)
        _, values, rows = np.linalg.svd(upper[: law.dim])
        rank = _rank(values, len(centred))
        return torch.from_numpy(rows[:rank].copy()) if rank else None
    # columns of centred.T lie together, so that LAPACK overwrites them
    columns, upper = qr(centred.T, mode="economic", overwrite_a=True, check_finite=False)
    turn, values, _ = np.linalg.svd(upper)
    rank = _rank(values, len(values))
    for first in range(0, len(columns), max(1, _BLOCK // len(values))):
        part = slice(first, first + max(1, _BLOCK // len(values)))
        columns[part, :rank] = columns[part] @ turn[:, :rank]
    return torch.from_numpy(columns[:, :rank].T) if rank else None


def _rank(values: np.ndarray, count: int) -> int:
    """How many singular values are more than rounding."""
    return int((values > _EPS * count * values[0]).sum()) if len(values) and values[0] > 0 else 0

r"""Cubature in one and two dimensions: boxes about what matters, halved until each agrees with its halves.

Components lie in clusters that are far from each other; each cluster has its own coordinates, those of one of its components, so that a cell far from
the origin is as well resolved as one near it. A cell's error is what it differs from its halves, which is what the coarser of the two is off.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from singtheory.errors import InputError

_ORDERS = {1: 16, 2: 12}
"""Gauss and Legendre's nodes in each direction of a cell."""
_WIDTH = {1: 3.0, 2: 3.6}
"""Standard deviations that a first cell measures at most, by dimension: so wide that most agree with their halves at once."""
_MOST_NODES = 2**23
_MOST_CELLS = 2**15
_DEEPEST = 200
_AGREES, _NEGLIGIBLE = 1e-14, 1e-19
_RESOLVED = 2.0**-10
"""Coordinates must be told apart to this part of the narrowest standard deviation in a cell: further from their reference, cells have no width and no mass."""


class Value(NamedTuple):
    """An integral, or those over some cells: the value, bounds on the rounding and on the rule's error, and the nodes behind it.

    `cells` are those that agreed with their halves, or were of no account: the largest on which the rule is right.
    """

    value: float
    rounding: float
    error: float
    nodes: int
    cells: "list[tuple[int, Tensor, Tensor]]"

    def plus(self, cells: "_Open", own: Tensor, rounding: Tensor, error: Tensor) -> "Value":
        """The value with some cells more, whose integrals, their rounding and the rule's errors are these."""
        if not len(error):
            return self
        return Value(
            self.value + float(own.sum()),
            self.rounding + float(rounding.sum()),
            self.error + float(error.sum()),
            self.nodes,
            [*self.cells, (cells.reference, cells.low, cells.high)],
        )


Integrand = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""At nodes (nodes, d) about a reference, of that number: the integrand, not negative, and at least its error; both of shape (nodes,)."""


@dataclass(frozen=True, eq=False)
class Windows:
    """What must be covered: boxes about centres, relative to any of them.

    Attributes:
        places: of a reference (−1 the origin), the centres (k, d) relative to it.
        stds: standard deviations along the axes, shape (k, d).
        reach: how many of them a box covers.
        references: the reference that each centre is, −1 for the origin, shape (k,).
    """

    places: Callable[[int], Tensor]
    stds: Tensor
    reach: float
    references: list[int]


def integrate(integrand: Integrand, windows: Windows) -> Value:
    """The integral over all windows, each point once; of infinite error where coordinates do not resolve one. Raises `InputError` beyond two dimensions."""
    dim = windows.stds.shape[1]
    if dim > 2:
        raise InputError(f"quadrature in {dim} dimensions: it serves one and two, use Monte Carlo")
    queue: list[tuple[int, Tensor, Tensor]] = []
    for members in clusters(windows):
        reference = windows.references[members[0]]
        low, high, resolved = first_cells(windows, members, reference)
        if not resolved:
            return Value(0.0, 0.0, math.inf, 0, [])
        queue.append((reference, low, high))
    return refine(integrand, queue)


def clusters(windows: Windows) -> Iterator[list[int]]:
    """Windows that overlap, by lines parallel to the axes that part them; each cluster in order, so that the origin comes first in its own."""
    open_groups = [list(range(len(windows.stds)))]
    while open_groups:
        group = open_groups.pop()
        cuts = (_parted(group, axis, windows) for axis in range(windows.stds.shape[1]))
        parts = next((cut for cut in cuts if len(cut) > 1), None)
        if parts is None:
            yield sorted(group)
        else:
            open_groups += parts


def _parted(group: list[int], axis: int, windows: Windows) -> list[list[int]]:
    chosen = torch.tensor(group)
    middle, reach = windows.places(-1)[chosen, axis], windows.reach * windows.stds[chosen, axis]
    order = (middle - reach).argsort()
    highest = torch.cummax((middle + reach)[order], dim=0).values
    breaks = ((middle - reach)[order][1:] > highest[:-1]).nonzero()[:, 0] + 1
    return [part.tolist() for part in chosen[order].tensor_split(breaks.tolist())]


def first_cells(windows: Windows, members: list[int], reference: int) -> tuple[Tensor, Tensor, bool]:
    """Low and high corners (cells, d) that cover the windows of a cluster, each of a few standard deviations of the narrowest it meets, and whether all are resolved."""
    chosen = torch.tensor(members)
    middle, stds = windows.places(reference)[chosen], windows.stds[chosen]
    low, high = middle - windows.reach * stds, middle + windows.reach * stds
    a, b = low.amin(dim=0)[None], high.amax(dim=0)[None]
    done: list[tuple[Tensor, Tensor]] = []
    count, resolved = 0, True
    while len(a):
        looks = [_look(*part, low, high, stds) for part in zip(a.split(4096), b.split(4096), strict=True)]
        kept, narrowest, width, axis = (torch.cat(column) for column in zip(*looks, strict=True))
        a, b = a[kept], b[kept]
        fine = (width <= _WIDTH[low.shape[1]]) | torch.tensor(count + len(a) > _MOST_CELLS)
        apart = torch.maximum(a.abs(), b.abs()) * 2.0**-52
        resolved = resolved and bool((apart <= _RESOLVED * narrowest)[fine].all())
        done.append((a[fine], b[fine]))
        count += int(fine.sum())
        a, b = (torch.cat(half) for half in zip(*halves(a[~fine], b[~fine], axis[~fine]), strict=True))
    return torch.cat([a for a, _ in done]), torch.cat([b for _, b in done]), resolved


def _look(a: Tensor, b: Tensor, low: Tensor, high: Tensor, stds: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which cells meet a window; of those the narrowest standard deviations that they meet, the width in these, and the axis along which they are widest."""
    touched = torch.ones(len(a), len(stds), dtype=torch.bool)
    for axis in range(a.shape[1]):
        touched &= (a[:, axis, None] < high[:, axis]) & (b[:, axis, None] > low[:, axis])
    kept = touched.any(dim=1)
    narrowest = torch.where(touched[kept, :, None], stds, torch.inf).amin(dim=1)
    width, axis = ((b - a)[kept] / narrowest).max(dim=1)
    return kept, narrowest, width, axis


def halves(a: Tensor, b: Tensor, axis: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Both halves of cells, cut along an axis each."""
    rows, middle = torch.arange(len(a)), (a + b) / 2
    lower, upper = b.clone(), a.clone()
    lower[rows, axis] = middle[rows, axis]
    upper[rows, axis] = middle[rows, axis]
    return (a, lower), (upper, b)


@cache
def _rule(dim: int) -> tuple[Tensor, Tensor]:
    """Nodes (m, d) and weights (m,) on the unit cell."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_ORDERS[dim]))
    x, w = (x + 1) / 2, w / 2
    if dim == 1:
        return x[:, None], w
    return torch.cartesian_prod(x, x), torch.cartesian_prod(w, w).prod(dim=1)


def on_cells(integrand: Integrand, reference: int, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The integral over each cell, and at least its rounding; both of shape (cells,)."""
    x, w = _rule(a.shape[1])
    values, roundings = [], []
    for low, high in zip(a.split(1024), b.split(1024), strict=True):
        nodes = low[:, None] + (high - low)[:, None] * x
        value, error = integrand(nodes.flatten(0, 1), reference)
        volume = (high - low).prod(dim=1)
        values.append((value.unflatten(0, nodes.shape[:2]) @ w) * volume)
        roundings.append((error.unflatten(0, nodes.shape[:2]) @ w) * volume)
    return torch.cat(values), torch.cat(roundings)


@dataclass(eq=False)
class _Open:
    """Cells about one reference that are not settled yet.

    Attributes:
        reference: theirs.
        low: corners, shape (cells, d).
        high: corners, shape (cells, d).
        own: the integral over each, shape (cells,).
        rounding: at least its rounding, shape (cells,).
        smooth: whether the cell they come from agreed with its halves, which lay along the other axis; shape (cells,).
    """

    reference: int
    low: Tensor
    high: Tensor
    own: Tensor
    rounding: Tensor
    smooth: Tensor

    def where(self, chosen: Tensor) -> "_Open":
        """Some of the open cells."""
        columns = (self.low, self.high, self.own, self.rounding, self.smooth)
        return _Open(self.reference, *(column[chosen] for column in columns))


def refine(integrand: Integrand, queue: list[tuple[int, Tensor, Tensor]]) -> Value:
    """The sum over all cells: each is halved, along its axes in turn, until it agrees with its halves along all or is of no account."""
    dim = queue[0][1].shape[1]
    integral = Value(0.0, 0.0, 0.0, _ORDERS[dim] ** dim * sum(len(low) for _, low, _ in queue), [])
    waiting = []
    for reference, low, high in queue:
        whole = torch.full((len(low),), dim == 1)
        waiting.append(_Open(reference, low, high, *on_cells(integrand, reference, low, high), whole))
    for depth in range(_DEEPEST):
        total = integral.value + sum(float(cells.own.sum()) for cells in waiting)
        following = []
        for cells in waiting:
            tiny = cells.own + cells.rounding <= _NEGLIGIBLE * total
            integral = integral.plus(cells.where(tiny), cells.own[tiny], cells.rounding[tiny], cells.own[tiny])
            cells = cells.where(~tiny)
            if len(cells.own):
                integral, rest = _halved(integrand, cells, depth % dim, total, integral)
                following += rest
        waiting = following
        if not waiting or not math.isfinite(total):
            break
    return integral


def _halved(
    integrand: Integrand, cells: _Open, axis: int, total: float, accumulated: Value
) -> tuple[Value, list[_Open]]:
    """What is settled, added to `accumulated`, and the halves of the other cells."""
    axes = torch.full((len(cells.own),), axis)
    lower, upper = halves(cells.low, cells.high, axes)
    both = on_cells(integrand, cells.reference, *(torch.cat(corner) for corner in zip(lower, upper, strict=True)))
    integrals = zip(*(column.chunk(2) for column in both), strict=True)
    parts = [(*half, *integral) for half, integral in zip((lower, upper), integrals, strict=True)]
    finer, lost = parts[0][2] + parts[1][2], parts[0][3] + parts[1][3]
    difference = (finer - cells.own).abs()
    allowed = torch.maximum(_AGREES * finer, lost).clamp(min=_NEGLIGIBLE * total)
    agrees = difference <= allowed
    accumulated = accumulated._replace(
        nodes=accumulated.nodes + 2 * len(finer) * _ORDERS[cells.low.shape[1]] ** cells.low.shape[1]
    )
    settled = agrees & cells.smooth
    if accumulated.nodes > _MOST_NODES:
        settled = torch.ones_like(agrees)
    # along the other axis the cell before was off by no more than what is allowed
    error = difference + (allowed if cells.low.shape[1] > 1 else 0.0)
    accumulated = accumulated.plus(cells.where(settled), finer[settled], lost[settled], error[settled])
    rest = []
    for low, high, own, rounding in parts:
        half = _Open(cells.reference, low, high, own, rounding, agrees if low.shape[1] > 1 else cells.smooth)
        if not bool(settled.all()):
            rest.append(half.where(~settled))
    return accumulated, rest


def nodes_of(integral: Value) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Nodes (nodes, d), weights (nodes,) and reference of the rule on the cells of an integral, block by block."""
    for reference, low, high in integral.cells:
        x, w = _rule(low.shape[1])
        for a, b in zip(low.split(1024), high.split(1024), strict=True):
            nodes = a[:, None] + (b - a)[:, None] * x
            yield nodes.flatten(0, 1), ((b - a).prod(dim=1)[:, None] * w).flatten(), reference

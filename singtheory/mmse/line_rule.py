r"""Integrals over `z = √γ x_0 + n` of a law on a line, each with a bound on its error.

The line is cut into panels; on each, Gauss and Legendre's rule is off by at most `(64/15) M r ρ^{2−2n}/(1 − ρ^{−2})`, M the largest size of the
integrand on the ellipse of parameter ρ around a panel of half-width r (Trefethen 2019, theorem 19.3). M is bounded from real numbers alone: with
`P_k = w_k N(z; √γ m_k, τ_k²)` and η the height of the ellipse, `|P_k(x + iη)| = P_k(x) e^{η²/2τ_k²}`, and its phase is `−η(x − √γ m_k)/τ_k²`. Where
the phases of all components that matter lie within 2.4 of each other, `|Σ P_k|` is at least `Σ|P_k|/3`, so that the density has no zero and the
integrands no pole. Panels in which this fails are halved: they are as narrow as the law demands there, whatever lies elsewhere.

A panel whose bound is far below the digits of the sum is left out, and its bound is added to the error. Rounding is counted to first order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from singtheory import formula
from singtheory.mmse.line_panel import RHO, Components, Panels, largest, least, most, regular, weighed

_NODES = 22
_RULE = 64 / 15 * RHO ** (2 - 2 * _NODES) / (1 - RHO**-2)
_TAIL = 38.0
"""Beyond so many standard deviations a density is below the least number of float64."""
_BEYOND = 1e-300
"""At least what lies there, in units of the data."""
_DIGITS = 1e-18
"""The share of the sum below which terms are left out."""
_WIDEST, _PIECES = 1.5, 64
"""A panel at first, in standard deviations of the noise, and panels in a cell at most."""
_NUMBERS, _FEW, _TOGETHER = 2**19, 256, 16
"""Panels times components in a block. Of more components than a few, those far from so many neighbouring panels are left out there."""
_LEFT_OUT = 50.0
_SAFE = 1.1


@dataclass(frozen=True)
class Integrals:
    """At some γ.

    Attributes:
        level: `E C`, the mmse, shape (n,).
        square: `E C²`, shape (n,).
        entropy: of z, in nats, shape (n,).
        errors: of the three, shape (n, 3).
    """

    level: Tensor
    square: Tensor
    entropy: Tensor
    errors: Tensor


class LineRule:
    """A quadrature rule for a mixture `Σ w_k N(m_k, v_k)` on a line.

    Args:
        centres: `m_k`, shape (k,).
        variances: `v_k`, zero for atoms, shape (k,).
        weights: `w_k`, sum one, shape (k,); components without weight are left out.

    Attributes:
        size: the largest distance of two centres.
    """

    def __init__(self, centres: Tensor, variances: Tensor, weights: Tensor) -> None:
        order = centres.argsort()
        order = order[weights[order] > 0]
        self._centres, variances, self._log_weights = centres[order], variances[order], weights[order].log()
        self.size = float(self._centres[-1] - self._centres[0])
        self._size = size = max(self.size, float(variances.max()) ** 0.5)
        self._unit = 2.0 ** math.floor(math.log2(size)) if size > 0 else 1.0  # integrals are of lengths in this unit
        self._variances = variances / self._unit**2

    def __call__(self, snr: Tensor) -> Integrals:
        """At each γ, shape (n,)."""
        run = _Run(self, snr * self._unit**2)
        run.add(self.cells(run.snr))
        scales = torch.tensor([self._unit**2, self._unit**4, 1.0], dtype=torch.float64)
        level, square, entropy = (run.values * scales).unbind(1)
        beyond = _BEYOND if self._size > 0 else 0.0
        errors = ((run.errors + beyond) * scales).clamp(min=formula.LEAST_FLOAT if self._size > 0 else 0.0)
        return Integrals(level, square, entropy, errors)

    def seen(self, panels: Panels, snr: Tensor, which: Tensor) -> Components:
        """Some components, (k,), as panels see them; each distance is rounded once."""
        apart = (self._centres[which] - self._centres[panels.origin, None]) / self._unit
        return Components(
            snr[panels.row, None],
            apart,
            self._centres[which],
            self._unit,
            self._variances[which],
            self._log_weights[which],
        )

    @property
    def count(self) -> int:
        """Components of positive weight."""
        return len(self._centres)

    def place(self, panels: Panels, root: Tensor) -> Tensor:
        """The place of panels, from the first component, shape (p,)."""
        return root[panels.row] * (self._centres[panels.origin] - self._centres[0]) / self._unit + panels.middle

    def cells(self, snr: Tensor) -> Panels:
        """Panels around the components: groups of near ones share the line half-way to the next group, as far as their tails reach."""
        root = snr.sqrt()[:, None]
        place = root * ((self._centres - self._centres[0]) / self._unit)
        fresh = torch.cat([torch.ones_like(place[:, :1]), place.floor().diff(dim=1)], dim=1) > 0
        row, first = fresh.nonzero().unbind(1)
        same = row[1:] == row[:-1]
        end = first.new_full((1,), self.count - 1)
        last = torch.cat([torch.where(same, first[1:] - 1, end), end])
        tail = _TAIL * (1 + snr * float(self._variances.max())).sqrt()[row]
        width = root[row, 0] * (self._centres[last] - self._centres[first]) / self._unit
        between = root[row[1:], 0] * (self._centres[first[1:]] - self._centres[first[1:] - 1]) / (2 * self._unit)
        between, edge = torch.where(same, between, torch.inf), tail.new_full((1,), torch.inf)
        low, high = -torch.minimum(tail, torch.cat([edge, between])), torch.minimum(tail, torch.cat([between, edge]))
        return _cut(row, first, low, high + width)


def _cut(row: Tensor, origin: Tensor, low: Tensor, high: Tensor) -> Panels:
    """Cells from `low` to `high`, cut at multiples of a power of two.

    These and their halves are exact. Cuts that are rounded at the size of the cell would leave gaps between panels or let them overlap, by far more
    than a digit of a narrow component in a wide cell.
    """
    pieces = ((high - low) / _WIDEST).ceil().clamp(1, _PIECES)
    step = torch.exp2(((high - low) / pieces).log2().floor())
    start = (low / step).floor()
    count = ((high / step).ceil() - start).long()
    which = torch.arange(len(row)).repeat_interleave(count)
    number = start[which] + (torch.arange(len(which)) - (count.cumsum(0) - count)[which])
    left, right = (
        torch.maximum(number * step[which], low[which]),
        torch.minimum((number + 1) * step[which], high[which]),
    )
    return Panels(row[which], origin[which], (left + right) / 2, (right - left) / 2)


class _Run:
    """The sums at some γ, each (n, 3): level, square and entropy."""

    def __init__(self, rule: LineRule, snr: Tensor) -> None:
        self.rule, self.snr = rule, snr
        self.values, self.errors = (torch.zeros(len(snr), 3, dtype=torch.float64) for _ in range(2))
        self._glimpsed = torch.zeros(len(snr), 3, dtype=torch.float64)
        self._glimpsed[:, 2] = 1.0  # an entropy is known to the digits of a number of order one

    def add(self, panels: Panels) -> None:
        """Every panel is summed, left out, or halved."""
        while len(panels.row):
            looks = [_Look(self.rule, self.snr, *block) for block in self._blocks(panels)]
            for look in looks:
                self._glimpsed.scatter_reduce_(0, look.panels.row[:, None].expand(-1, 3), look.glimpse, "amax")
            panels = _joined([self._taken(look) for look in looks])

    def _taken(self, look: "_Look") -> Panels:
        """What is left of a block, halved."""
        panels, at_most = look.panels, 2 * look.panels.half[:, None] * look.largest
        out = (at_most <= _DIGITS * self._glimpsed[panels.row]).all(dim=1)
        self.errors.index_add_(0, panels.row[out], at_most[out])
        summed = (~out & look.regular).nonzero()[:, 0]
        for rows in summed.split(max(1, _NUMBERS // (_NODES * len(look.which)))):
            self._sum(look, rows)
        return panels.of(~out & ~look.regular).halved()

    def _sum(self, look: "_Look", rows: Tensor) -> None:
        x, w = (torch.as_tensor(v) for v in np.polynomial.legendre.leggauss(_NODES))
        panels, many = look.panels.of(rows), torch.arange(len(rows)).repeat_interleave(_NODES)
        place = (panels.middle[:, None] + panels.half[:, None] * x).flatten()
        mass = (panels.half[:, None] * w).flatten()[:, None]
        values, roundings = weighed(self.rule.seen(panels, self.snr, look.which).of(many), place)
        self.values.index_add_(0, panels.row[many], mass * values)
        self.errors.index_add_(0, panels.row[many], _SAFE * mass * roundings)
        self.errors.index_add_(0, panels.row, panels.half[:, None] * (_RULE * look.largest + 2 * look.lost)[rows])

    def _blocks(self, panels: Panels) -> Iterator[tuple[Panels, Tensor, Tensor]]:
        """Panels with the components that are looked at, and bounds on what the others would add to the integrands, (p, 3)."""
        everything = torch.arange(self.rule.count)
        if self.rule.count <= _FEW:
            for rows in torch.arange(len(panels.row)).split(max(1, _NUMBERS // self.rule.count)):
                yield panels.of(rows), everything, torch.zeros(len(rows), 3, dtype=torch.float64)
            return
        for row in panels.row.unique():
            mine = panels.of(panels.row == row)
            for rows in self.rule.place(mine, self.snr.sqrt()).argsort().split(_TOGETHER):
                yield mine.of(rows), *self._near(mine.of(rows))

    def _near(self, panels: Panels) -> tuple[Tensor, Tensor]:
        """Which components matter in some panels, and bounds on what the others would add to the integrands."""
        seen = self.rule.seen(panels, self.snr, torch.arange(self.rule.count))
        highest = most(seen, panels)
        floor = least(seen, panels).amax(dim=1, keepdim=True) - _LEFT_OUT - math.log(self.rule.count)
        kept = (highest >= floor).any(dim=0)
        mass = highest[:, ~kept].exp().sum(dim=1)
        # in units of the data no two means lie farther apart than 4
        return kept.nonzero()[:, 0], mass[:, None] * torch.tensor([32.0, 512.0, 1500.0], dtype=torch.float64)


class _Look:
    """What can be said of panels before they are summed.

    Attributes:
        panels: p of them.
        which: components that matter, shape (k,).
        lost: bounds on what the others would add to the integrands, shape (p, 3).
        regular: whether the integrands have no pole near, shape (p,).
        largest: at least the sizes of the three integrands, shape (p, 3).
        glimpse: their sizes in the middle times the width, shape (p, 3).
    """

    def __init__(self, rule: LineRule, snr: Tensor, panels: Panels, which: Tensor, lost: Tensor) -> None:
        self.panels, self.which, self.lost = panels, which, lost
        seen = rule.seen(panels, snr, which)
        self.regular, self.largest = regular(seen, panels), largest(seen, panels) + lost
        self.glimpse = weighed(seen, panels.middle)[0].abs() * 2 * panels.half[:, None]


def _joined(parts: list[Panels]) -> Panels:
    return Panels(*(torch.cat([getattr(part, name) for part in parts]) for name in ("row", "origin", "middle", "half")))

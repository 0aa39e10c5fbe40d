r"""What is known of a mixture `Σ w_k N(m_k, v_k)` near places z on a line: densities, posterior moments, their rounding, their bounds off the line."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory.formula import DOUBLE

RHO = 3.0
"""The ellipse around a panel on which integrands are bounded."""
_HEIGHT, _REACH = (RHO - 1 / RHO) / 2, (RHO + 1 / RHO) / 2
"""Half its axes, in half-widths of the panel."""
_PHASES, _LARGEST_RATIO = 2.4, 3.0
"""How far the phases of components that matter may lie apart, and what `Σ|P_k|/|Σ P_k|` is then at most: `1.02/(cos 1.2 − 0.02) < 3`."""
_RARE = 1e-20
_FAR = 4.0
"""All components together whose ratio to the heaviest is below `e^{−4}/k` are below 0.02 of it."""


@dataclass(frozen=True)
class Panels:
    """Parts of the line, each (p,).

    Attributes:
        row: number of its γ.
        origin: number of the component that places are relative to: far from the origin of the data no digits are lost.
        middle: place, in standard deviations of the noise.
        half: half-width.
    """

    row: Tensor
    origin: Tensor
    middle: Tensor
    half: Tensor

    def of(self, which: Tensor) -> "Panels":
        """Some of the panels."""
        return Panels(self.row[which], self.origin[which], self.middle[which], self.half[which])

    def halved(self) -> "Panels":
        """Twice as many."""
        quarter = (self.half / 2).repeat_interleave(2)
        sides = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(len(self.half))
        row, origin, middle = (v.repeat_interleave(2) for v in (self.row, self.origin, self.middle))
        return Panels(row, origin, middle + sides * quarter, quarter)


@dataclass(frozen=True)
class Components:
    """The components of a mixture, as panels see them.

    Attributes:
        snr: γ of each panel, shape (p, 1).
        apart: `m_k − m_origin`, shape (p, k).
        centres: `m_k` as they are given, shape (k,).
        unit: of all other lengths.
        variances: `v_k`, shape (k,).
        log_weights: `log w_k`, shape (k,).
    """

    snr: Tensor
    apart: Tensor
    centres: Tensor
    unit: float
    variances: Tensor
    log_weights: Tensor

    @property
    def spread(self) -> Tensor:
        """`τ_k² = 1 + γ v_k`, the variances of z, shape (p, k)."""
        return 1 + self.snr * self.variances

    @property
    def level(self) -> Tensor:
        """`log w_k/√(2πτ_k²)`, shape (p, k)."""
        return self.log_weights - (2 * math.pi * self.spread).log() / 2

    @property
    def slope(self) -> Tensor:
        """`√γ v_k/τ_k²`, by which the mean of `x_0` in a component follows z, shape (p, k)."""
        return self.snr.sqrt() * self.variances / self.spread

    def off(self, place: Tensor) -> Tensor:
        """`z − √γ m_k` of places (p,), shape (p, k)."""
        return place[:, None] - self.snr.sqrt() * self.apart

    def of(self, panels: Tensor) -> "Components":
        """The components as some of the panels see them."""
        return Components(
            self.snr[panels], self.apart[panels], self.centres, self.unit, self.variances, self.log_weights
        )

    def means(self, off: Tensor, heavy: Tensor) -> Tensor:
        """Means of `x_0` in each component less the centre of the heaviest one, (p, k): from the origin, near ones might look equal."""
        return (self.centres - self.centres[heavy]) / self.unit + self.slope * off


def weighed(seen: Components, place: Tensor) -> tuple[Tensor, Tensor]:
    """Density times variance, times its square, and entropy density `−q log q` at places (p,), and what rounding can make of each; both (p, 3)."""
    off, spread = seen.off(place), seen.spread
    exponent = off.square() / (2 * spread)
    logits = seen.level - exponent
    log_density = torch.logsumexp(logits, dim=1)
    share = (logits - log_density[:, None]).exp()
    means = seen.means(off, logits.argmax(dim=1, keepdim=True))
    mean = (share * means).sum(dim=1, keepdim=True)
    parts = share * ((means - mean).square() + seen.variances / spread)
    variance, density = parts.sum(dim=1), log_density.exp()
    # of each log weight: its own roundings, and those of z − √γ m_k
    size = place.abs()[:, None] + seen.snr.sqrt() * seen.apart.abs()
    rounding = DOUBLE * (8 + 2 * seen.log_weights.abs() + 8 * exponent + 3 * off.abs() / spread * size)
    tilt = (share * rounding).sum(dim=1)
    sums = DOUBLE * (24 + 4 * math.log2(1 + logits.shape[1]))
    moved = (parts * rounding).sum(dim=1) + (tilt + sums) * variance
    entropy = density * (log_density.abs() + 1) * (tilt + sums)
    values = torch.stack([density * variance, density * variance.square(), -density * log_density], dim=1)
    first = tilt + sums
    level = density * (moved + variance * first)
    errors = torch.stack([level, density * variance * (2 * moved + variance * first), entropy], dim=1)
    return values, errors


def regular(seen: Components, panels: Panels) -> Tensor:
    """Whether the density has no zero on the ellipse, for what matters there has nearly the same phase; shape (p,)."""
    off, spread, heavy = _around(seen, panels)
    reach, height = _REACH * panels.half[:, None], _HEIGHT * panels.half[:, None]
    matters = _ratio(seen, panels, heavy) >= -_FAR - math.log(off.shape[1])
    edges = torch.stack([(off - reach) / spread, (off + reach) / spread])
    apart = edges.masked_fill(~matters, -torch.inf).amax(dim=2) - edges.masked_fill(~matters, torch.inf).amin(dim=2)
    tight = height <= spread.sqrt().gather(1, heavy)  # else the bounds are far above the integrands
    return (height[:, 0] * apart.amax(dim=0) <= _PHASES) & tight[:, 0]


def largest(seen: Components, panels: Panels) -> Tensor:
    """At least the sizes of the three integrands on the panel, and on its ellipse where it is `regular`; shape (p, 3)."""
    off, spread, heavy = _around(seen, panels)
    reach, height = _REACH * panels.half[:, None], _HEIGHT * panels.half[:, None]
    mass = most(seen, panels).exp().sum(dim=1)
    share = _ratio(seen, panels, heavy).clamp(max=0).exp()
    means, slope = seen.means(off, heavy), seen.slope
    distance = (means - means.gather(1, heavy)).abs() + (slope - slope.gather(1, heavy)).abs() * (reach + height)
    # a mean of squared distances is at most their sum and, but for what hardly weighs, at most the largest
    rare = share < _RARE
    parts = share * distance.square()
    farthest = distance.masked_fill(rare, 0.0).amax(dim=1).square() + parts.masked_fill(~rare, 0.0).sum(dim=1)
    between = torch.minimum(parts.sum(dim=1), farthest)
    variance = _LARGEST_RATIO**2 * between + _LARGEST_RATIO * (share * seen.variances / spread).sum(dim=1)
    turn = (height * (off.abs() + reach) / spread).gather(1, heavy)[:, 0] + 2  # of the phase of the density
    log_mass = torch.special.xlogy(mass, mass)
    log_mass = torch.where(mass < math.exp(-1), -log_mass, log_mass.clamp(min=math.exp(-1)))
    return torch.stack([mass * variance, mass * variance.square(), mass * turn + log_mass], dim=1)


def most(seen: Components, panels: Panels) -> Tensor:
    """At least `log|P_k|` on the ellipse, shape (p, k)."""
    reach, height = _REACH * panels.half[:, None], _HEIGHT * panels.half[:, None]
    nearest = (seen.off(panels.middle).abs() - reach).clamp(min=0)
    return seen.level - (nearest.square() - height.square()) / (2 * seen.spread)


def least(seen: Components, panels: Panels) -> Tensor:
    """At most `log|P_k|` on the ellipse, shape (p, k)."""
    farthest = seen.off(panels.middle).abs() + _REACH * panels.half[:, None]
    return seen.level - farthest.square() / (2 * seen.spread)


def _around(seen: Components, panels: Panels) -> tuple[Tensor, Tensor, Tensor]:
    """`z − √γ m_k` in the middle, `τ_k²`, and the number of the heaviest component there, (p, 1)."""
    off, spread = seen.off(panels.middle), seen.spread
    return off, spread, (seen.level - off.square() / (2 * spread)).argmax(dim=1, keepdim=True)


def _ratio(seen: Components, panels: Panels, heavy: Tensor) -> Tensor:
    """At least `log|P_k/P_heavy|` with P_k on the ellipse over P_heavy on the line beneath, shape (p, k): a quadratic along the line."""
    off, spread, level = seen.off(panels.middle), seen.spread, seen.level
    reach, height = _REACH * panels.half[:, None], _HEIGHT * panels.half[:, None]
    off_heavy, spread_heavy = off.gather(1, heavy), spread.gather(1, heavy)
    bend = 1 / spread - 1 / spread_heavy
    top = ((off_heavy / spread_heavy - off / spread) / bend).nan_to_num(nan=0.0)
    top = torch.minimum(torch.maximum(torch.where(bend > 0, top, 0.0), -reach), reach)
    heights = [
        (off_heavy + at).square() / (2 * spread_heavy) - (off + at).square() / (2 * spread)
        for at in (-reach, top, reach)
    ]
    highest = torch.stack(heights).amax(dim=0)
    return level - level.gather(1, heavy) + highest + height.square() / (2 * spread)

r"""Grids that keep the most of the data's spread for their number of steps (F8).

For one eigenvalue equal steps of the angle `θ = arctan √(γλ)` are best. For several, the cost `Σ_i w_i (−log Π cos Δθ_i)` of many steps tends to
`R²/2N`, `R = ∫ √(Σ_i w_i (dθ_i/d log γ)²) d log γ`, on nodes that divide this integral evenly. Which w is a choice: in nats every direction counts alike,
in W₂ each by its λ and by what it has lost already.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.grid.grids import check_steps, times_of
from singtheory.numerics import check_precisions
from singtheory.response import check_eigenvalues
from singtheory.schedule import Schedule

_NODES, _FAMILIES = 1025, 24
"""Places evenly in the angle of one eigenvalue, and between the smallest and the largest so many eigenvalues: where integrands bend."""
_ROUNDS, _SETTLED = 200, 1e-10
_WIDEST = 1e40
"""Eigenvalues differ by this factor at most: beyond, float64 does not tell the angles apart in which the smallest one moves."""
"""Most rounds of weights, and when they have settled."""


def even_angles(schedule: Schedule, steps: int, snr_start: float, snr_end: float, eigenvalue: float) -> Tensor:
    """Equal steps of `arctan √(γλ)` for one λ, the best grid for it (F8); times, shape (steps + 1,).

    Args:
        schedule: the forward process.
        steps: N.
        snr_start: `γ_0 ≥ 0`, reached by the schedule; 0 is t = 1 with `α_1 = 0`.
        snr_end: `γ_N > γ_0`; infinity is t = 0.
        eigenvalue: λ, positive.

    Raises:
        InputError: for ends out of order, and unless λ is positive and finite.
    """
    _check(steps, snr_start, snr_end)
    (lam,) = check_eigenvalues([eigenvalue]).tolist()
    first, last = (_angle(snr, lam) for snr in (snr_start, snr_end))
    angles = torch.linspace(first, last, steps + 1, dtype=torch.float64)
    return _times(schedule, angles, lam, (snr_start, snr_end))


def nats_grid(
    schedule: Schedule, steps: int, snr_start: float, snr_end: float, eigenvalues: Tensor | Sequence[float]
) -> Tensor:
    """The grid of many steps with the least `−Σ log kept`, every direction alike (F8); arguments and errors as `w2_grid`."""
    lam = check_eigenvalues(eigenvalues)
    return _Path(lam, snr_start, snr_end).divided(schedule, steps, torch.ones_like(lam))


def w2_grid(
    schedule: Schedule, steps: int, snr_start: float, snr_end: float, eigenvalues: Tensor | Sequence[float]
) -> Tensor:
    """The grid of many steps with the least `W₂² = Σ λ (1 − kept)²` of Gaussian data (F8); times, shape (steps + 1,).

    Its weights are `w_i = λ_i L_i` with `L_i` what direction i loses on the very grid, found by repeating.

    Args:
        schedule: the forward process.
        steps: N.
        snr_start: `γ_0 ≥ 0`, reached by the schedule.
        snr_end: `γ_N > γ_0`; infinity is t = 0.
        eigenvalues: λ of the data's covariance, positive, shape (k,).

    Raises:
        InputError: for ends out of order, and eigenvalues that are not positive.
    """
    lam = check_eigenvalues(eigenvalues)
    path = _Path(lam, snr_start, snr_end)
    weights = lam / lam.sum()
    for _ in range(_ROUNDS):
        density = path.density(weights)
        lost = path.integral(path.rates.square() / density)  # times R/2N it is −log kept
        after = lam * lost / (lam * lost).sum()
        if bool(((after - weights).abs() <= _SETTLED).all()):
            break
        weights = (after + weights) / 2
    return path.divided(schedule, steps, weights)


def least_loss(
    snr_start: float, snr_end: float, eigenvalues: Tensor | Sequence[float], weights: Tensor | Sequence[float]
) -> float:
    """`½R²`, to which N times `Σ_i w_i (−log kept_i)` of the best grid tends (F8). Arguments as `w2_grid`, w ≥ 0 of shape (k,)."""
    path = _Path(check_eigenvalues(eigenvalues), snr_start, snr_end)
    return float(path.integral(path.density(torch.as_tensor(weights, dtype=torch.float64)))) ** 2 / 2


class _Path:
    """All γ between two ends, by the angle `u = arctan √(γ c)`, c the geometric mean of the eigenvalues.

    Attributes:
        place: u, increasing, dense in the angles of small and of large eigenvalues alike; shape (n,).
        rates: `dθ_i/du = ρ/(cos² u + ρ² sin² u)`, `ρ = √(λ_i/c)`; shape (k, n).
    """

    def __init__(self, lam: Tensor, snr_start: float, snr_end: float) -> None:
        _check(1, snr_start, snr_end)
        low, high = float(lam.min()), float(lam.max())
        if not high <= _WIDEST * low:
            raise InputError(
                f"eigenvalues from {low:.3g} to {high:.3g}: must differ by a factor of {_WIDEST:.0g} at most; leave out the smallest"
            )
        self.snr_range = snr_start, snr_end
        self.centre = float(lam.log().mean().exp())
        between = torch.logspace(math.log10(lam.min()), math.log10(lam.max()), _FAMILIES, dtype=torch.float64)
        places = [self._in_steps_of(value) for value in between.tolist()]
        first, last = (_angle(snr, self.centre) for snr in self.snr_range)
        self.place = torch.cat(places).clamp(first, last).unique()
        ratio = (lam / self.centre).sqrt()[:, None]
        self.rates = ratio / (self.place.cos() ** 2 + (ratio * self.place.sin()) ** 2)

    def _in_steps_of(self, eigenvalue: float) -> Tensor:
        """u in equal steps of the angle of one eigenvalue."""
        first, last = (_angle(snr, eigenvalue) for snr in self.snr_range)
        own = torch.linspace(first, last, _NODES, dtype=torch.float64)
        root = math.sqrt(self.centre / eigenvalue)
        return torch.atan2(root * own.sin(), own.cos())

    def density(self, weights: Tensor) -> Tensor:
        """`√(Σ_i w_i (dθ_i/du)²)` at each place; shape (n,)."""
        return (weights[:, None] * self.rates.square()).sum(dim=0).sqrt()

    def integral(self, values: Tensor) -> Tensor:
        """Over u, by trapezoids, for values of shape (..., n)."""
        return torch.trapezoid(values, self.place)

    def divided(self, schedule: Schedule, steps: int, weights: Tensor) -> Tensor:
        """The times of nodes at equal parts of the integral of the density; shape (steps + 1,)."""
        _check(steps, *self.snr_range)
        passed = torch.cumulative_trapezoid(self.density(weights), self.place)
        passed = torch.cat([passed.new_zeros(1), passed])
        even = torch.linspace(0, float(passed[-1]), steps + 1, dtype=torch.float64)
        nodes = torch.from_numpy(np.interp(even.numpy(), passed.numpy(), self.place.numpy()))
        return _times(schedule, nodes, self.centre, self.snr_range)


def _check(steps: int, snr_start: float, snr_end: float) -> None:
    check_steps(steps)
    if not 0 <= snr_start < snr_end:
        raise InputError(f"snr {snr_start} to {snr_end}: need 0 <= start < end")
    for snr in (snr_start, snr_end):
        if not math.isinf(snr):
            check_precisions("snr", snr)


def _angle(snr: float, eigenvalue: float) -> float:
    return math.atan(math.sqrt(snr * eigenvalue))


def _times(schedule: Schedule, angles: Tensor, eigenvalue: float, snr_range: tuple[float, float]) -> Tensor:
    """The times at which `arctan √(γλ)` is what it is; the ends are exact."""
    snr = angles.tan().square() / eigenvalue
    snr[0], snr[-1] = snr_range
    return times_of(schedule, snr)

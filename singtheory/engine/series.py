"""Posterior means near γ = 0 from moments of the data alone: `E y′ + Cov(y′, t)`, `t = √γ⟨z′, y′⟩ − ½γ‖y′‖²`, with its remainder (C1)."""

import math
from functools import cached_property

import torch
from torch import Tensor

from singtheory import formula
from singtheory.engine.points import BLOCK, Points
from singtheory.engine.results import PosteriorMoments
from singtheory.engine.rounding import series_remainder

_WIDEST = 4096
"""Coordinates up to which the eigenvalues of Σ are computed; in twice as many they take eight times as long."""


class Series:
    """The moments that it needs, computed when they are first asked for.

    Args:
        points: the atoms.
    """

    def __init__(self, points: Points) -> None:
        self.points = points

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor, Tensor, float]:
        """`E y′`, which is rounding alone, `Σ`, `Cov(y′, ‖y′‖²)` and `Var ‖y′‖²`."""
        points = self.points
        rest, skew = torch.zeros_like(points.mean), torch.zeros_like(points.mean)
        cov = torch.zeros(points.dim, points.dim, dtype=torch.float64, device=rest.device)
        for first, block in points.blocks():
            rows = slice(first, first + len(block))
            weights = points.weights[rows]
            rest += weights @ block
            cov += (block * weights[:, None]).mT @ block
            skew += (weights * (points.norms2[rows] - points.variance)) @ block
        # of atoms that are all but equal it is as large as they lie apart
        cov.addr_(rest, rest, alpha=-1)
        return rest, cov, skew, float(points.weights @ (points.norms2 - points.variance).square())

    @cached_property
    def _eigenvalues(self) -> Tensor:
        """`λ` of Σ, shape (d,); of wide data their mean, in whose place no others make `linear_mmse` larger, for `λ/(1 + γλ)` is concave."""
        if self.points.dim > _WIDEST:
            return self.points.weights.new_full((self.points.dim,), self.points.variance / self.points.dim)
        return torch.linalg.eigvalsh(self.moments[1]).clamp(min=0)

    def linear_mmse(self, snr: Tensor) -> Tensor:
        """At least `Σ λ/(1 + γλ)`, the error of the best linear denoiser, which `E tr C` does not exceed; shape (batch,)."""
        return (self._eigenvalues / (1 + snr[:, None] * self._eigenvalues)).sum(dim=1)

    @cached_property
    def rounding(self) -> float:
        """The relative rounding of sums over all atoms and over the width."""
        points = self.points
        return formula.accumulation(BLOCK + points.count / BLOCK + points.dim, formula.DOUBLE)

    @cached_property
    def constant(self) -> float:
        """Rounding of a mean that does not depend on the query."""
        return self.rounding * math.sqrt(self.points.variance) + formula.DOUBLE * self.points.scale

    def remainder(self, z: Tensor, snr: Tensor) -> Tensor:
        """At least the error of the mean, shape (batch,)."""
        points = self.points
        norm2 = points.shifted(z, snr).square().sum(dim=1)
        return series_remainder(norm2, snr, points.radius, points.variance, self.rounding, self.constant)

    def posterior(self, z: Tensor, snr: Tensor) -> PosteriorMoments:
        """The posteriors of queries whose remainder is small."""
        points, (rest, cov, skew, square) = self.points, self.moments
        root = snr.sqrt()[:, None]
        shifted = points.shifted(z, snr)
        along = shifted @ cov
        shift = root * along - snr[:, None] / 2 * skew
        moved = rest + shift
        trace = points.variance + root[:, 0] * (shifted @ skew) - snr / 2 * square - moved.square().sum(dim=1)
        # log E e^t = E t + ½ Var t, whose gradient along z′ is √γ times the mean
        mean_t = root[:, 0] * (shifted @ rest) - snr / 2 * points.variance
        var_t = snr * ((along - root * skew) * shifted).sum(dim=1) + snr.square() / 4 * square
        log_norm = shifted.square().sum(dim=1) - 2 * mean_t - var_t + points.dim * math.log(2 * math.pi)
        return PosteriorMoments(points.mean + moved, trace.clamp(min=0), -log_norm / 2, self.remainder(z, snr))

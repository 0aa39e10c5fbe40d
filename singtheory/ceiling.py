"""What is known of the mmse of finitely many atoms without a draw: bounds from moments, from distances, from the entropy."""

import math

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.law import Atoms

_PAIRS, _BINS = 5000, 4096
"""Up to so many atoms their distances are all taken, sorted into so many bins."""


class Ceiling:
    """Upper bounds on mmse and information.

    Args:
        law: atoms of positive weight, on the CPU.

    Attributes:
        trace: tr Σ, the mmse at γ = 0.
        rank: of Σ.
        largest: R², at least tr C at every x_t.
        entropy: of the weights, which no information exceeds.

    Raises:
        InputError: for points that are all equal.
    """

    def __init__(self, law: Atoms) -> None:
        eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)
        self._eigenvalues = eigenvalues[eigenvalues > 1e-12 * eigenvalues[-1]]
        self.trace = float(eigenvalues.sum())
        if not self.trace > 0:
            raise InputError("all points are equal, so there is nothing to measure; give different points")
        self.rank = min(len(self._eigenvalues), len(law.points) - 1)
        radius = float((law.points - law.mean).square().sum(dim=1).max())
        simplex = float(formula.trace_diameter_bound(law.diameter, len(law.points), law.dim))
        self.largest = min(radius, simplex)
        self.entropy = float(torch.special.entr(law.weights).sum())
        self._bins = _distances(law) if len(law.points) <= _PAIRS else None

    def mmse(self, snr: Tensor) -> Tensor:
        """The least of `Σ λ/(1 + γλ)`, `2H/γ` and the cost of taking the nearest atom, for few atoms; shape (n,)."""
        linear = formula.gaussian_mmse(snr[:, None], self._eigenvalues).sum(dim=1)
        least = torch.minimum(linear, 2 * self.entropy / snr)  # a decreasing function is at most its mean
        if self._bins is None:
            return least
        near, far, weight = self._bins
        # the chance of a mistake at the near edge of a bin, its cost at the far one
        mistaken = formula.mistaken_atom(snr[:, None], near, torch) * (far / near).square()
        return torch.minimum(least, mistaken @ weight)

    def information(self, snr: Tensor) -> Tensor:
        """The lesser of `½ Σ log(1 + γλ)` and the entropy; shape (n,)."""
        gaussian = formula.gaussian_information(snr[:, None], self._eigenvalues, torch).sum(dim=1)
        return gaussian.clamp(max=self.entropy)


def _distances(law: Atoms) -> tuple[Tensor, Tensor, Tensor]:
    """Bins of the positive distances: near and far edges and the weight `Σ w_i` of pairs in each, (bins,)."""
    distance = torch.cdist(law.points, law.points)
    apart = distance > 1e-9 * law.diameter
    nearest, farthest = float(distance[apart].min()) * (1 - 1e-6), law.diameter * (1 + 1e-6)
    edges = torch.logspace(math.log10(nearest), math.log10(farthest), _BINS + 1, dtype=torch.float64)
    which = torch.bucketize(distance[apart], edges).clamp(1, _BINS) - 1
    weight = torch.zeros(_BINS, dtype=torch.float64)
    weight.index_add_(0, which, law.weights[:, None].expand_as(distance)[apart])
    return edges[:-1], edges[1:], weight

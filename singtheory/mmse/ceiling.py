"""What is known of the mmse of finitely many atoms without a draw: bounds from moments, from distances, from the entropy."""

import math

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.law import Atoms

_PAIRS, _BINS = 2**16, 8192
"""Up to so many atoms their distances are all taken, sorted into so many bins."""
_NEAREST = 1e-12
"""The share of the largest squared distance: what lies nearer is one bin, and costs nothing that could be seen."""
_CHUNK = 2**24
"""Distances in one block."""
_LEAST_CHANCE = 1e-307
"""At least a chance that underflows, and one that has lost its digits before."""


class Ceiling:
    """Upper bounds on mmse and information.

    Args:
        law: atoms of positive weight; their distances are taken on their device.

    Attributes:
        trace: tr Σ, the mmse at γ = 0.
        rounding: of the trace, relative.
        rank: at least that of Σ, from the coordinates that vary and the number of points: small eigenvalues do not tell it.
        largest: R², at least tr C at every x_t.
        entropy: at least that of the weights, which no information exceeds.

    Raises:
        InputError: for points that are all equal.
    """

    def __init__(self, law: Atoms) -> None:
        varies = (law.points != law.points[0]).any(dim=0)
        if not bool(varies.any()):
            raise InputError("all points are equal, so there is nothing to measure; give different points")
        self.rank = min(int(varies.sum()), len(law.points) - 1)
        eigenvalues = torch.linalg.eigvalsh(law.cov.cpu()).clamp(min=0)
        self.trace = float(law.cov.diagonal().sum())
        # sums over points and over the width, and the eigenvalues of what they give; small ones may be nothing but that
        self.rounding = 4 * formula.accumulation(len(law.points) + 4 * law.dim + 16, formula.DOUBLE)
        self._eigenvalues = eigenvalues[-self.rank :] + self.rounding * self.trace
        radius = float(law.deviations().square().sum(dim=1).max())
        simplex = float(formula.trace_diameter_bound(law.diameter, len(law.points), law.dim))
        self.largest = min(radius, simplex) * (1 + self.rounding)
        self.entropy = _entropy(law.weights) * (1 + self.rounding)
        self._bins = _distances(law, radius) if len(law.points) <= _PAIRS else None

    def mmse(self, snr: Tensor) -> Tensor:
        """The least of `Σ λ/(1 + γλ)`, `2H/γ` and the cost of taking the nearest atom, for few atoms; shape (n,)."""
        linear = formula.gaussian_mmse(snr[:, None], self._eigenvalues).sum(dim=1)
        least = torch.minimum(linear, 2 * self.entropy / snr)  # a decreasing function is at most its mean
        if self._bins is None:
            return least
        near, far2, weight = self._bins
        # the chance of a mistake at the near edge of a bin, its cost at the far one
        chance = torch.stack([formula.mistake_chance(g, near, torch) for g in snr]).clamp(min=_LEAST_CHANCE)
        return torch.minimum(least, chance @ (far2 * weight))

    def information(self, snr: Tensor) -> Tensor:
        """The lesser of `½ Σ log(1 + γλ)` and the entropy; shape (n,)."""
        gaussian = formula.gaussian_information(snr[:, None], self._eigenvalues, torch).sum(dim=1)
        return gaussian.clamp(max=self.entropy)


def _entropy(weights: Tensor) -> float:
    """`log Σ r_i − Σ r_i log r_i/Σ r_i`, r_i the weights as shares of the largest: of positive terms, so that rare atoms keep their digits beside a sum that is rounded at 1."""
    shares = weights / weights.max()
    heaviest = int(weights.argmax())
    others = torch.cat([shares[:heaviest], shares[heaviest + 1 :]]).sum()
    return float(torch.log1p(others) + torch.special.entr(shares).sum() / (1 + others))


def _distances(law: Atoms, radius2: float) -> tuple[Tensor, Tensor, Tensor]:
    """Bins of the distances of two atoms: near edges, squared far edges, and `Σ w_i` over the pairs (i, j) in each; (bins,).

    They come from inner products of centred points, and the edges are moved by more than the rounding of these.
    """
    points, weights = law.deviations(), law.weights
    norm2, slack = points.square().sum(dim=1), 16 * law.dim * torch.finfo(torch.float64).eps * radius2
    edges = torch.cat([torch.zeros(1), torch.logspace(math.log10(_NEAREST), 0, _BINS, dtype=torch.float64)])
    edges = (4 * radius2 * edges).to(law.device)  # no two points are farther apart than twice the radius
    weight = torch.zeros(_BINS, dtype=torch.float64, device=law.device)
    for rows in torch.arange(len(points), device=law.device).split(max(1, _CHUNK // len(points))):
        later = slice(int(rows[0]), None)  # each pair once: what is earlier was seen before
        distance2 = norm2[rows, None] + norm2[later] - 2 * points[rows] @ points[later].mT
        both = (weights[rows, None] + weights[later]).triu(diagonal=1)
        which = torch.bucketize(distance2, edges[1:]).clamp(max=_BINS - 1)
        weight.index_add_(0, which.flatten(), both.flatten())
    near = (edges[:-1] - slack).clamp(min=0).sqrt()
    return near.cpu(), (edges[1:] + slack).cpu(), weight.cpu()

"""The leading directions of a posterior's covariance, along which quadrature measures its KL and TV.

A projection V loses information, so that `KL(VᵀP‖VᵀQ) ≤ KL(P‖Q)`; the chain rule and convexity bound what it loses: with `C⊥` the
covariance beside V, `KL(P‖Q) ≤ KL(VᵀP‖VᵀQ) + ½ g tr C⊥`. So KL of data near a line or a plane is known far better than by draws.
"""

import math
from functools import cached_property, lru_cache

import torch

from singtheory import Estimate, divergence, formula
from singtheory.law import AtomsPosterior

LINE, NEAR_LINE, NEAR_PLANE = 1e-20, 1e-3, 1e-6
"""Nats that the directions beside a line or a plane may add to KL: for the posterior to be on a line to rounding, and for a quadrature
to be worth its time."""
SHARP = 1e-9
"""Rounding of a TV that is still a measurement."""
REACH = (300.0, 60.0)
"""Noise standard deviations over which atoms may lie for a quadrature, along a line and in a plane."""
ATOMS = (500, 12)
"""How many they may be."""


class Leading:
    """One query's posterior in the basis of its covariance.

    Args:
        posterior: of one query.
        gap: g.

    Attributes:
        basis: eigenvectors of C as columns, the largest eigenvalue first, on the CPU; shape (d, d).
        share: the leading eigenvalue's part of tr C.
    """

    def __init__(self, posterior: AtomsPosterior, gap: float) -> None:
        self._gap, self._log_p, p = gap, posterior.log_weights[0].cpu(), posterior.weights[0].cpu()
        (xi,) = posterior.deviations()
        self._xi = xi.cpu()
        values, vectors = torch.linalg.eigh((self._xi * p[:, None]).mT @ self._xi)
        self.basis = vectors.flip(1)
        self.share = float(values[-1]) / max(float(values.clamp(min=0).sum()), 1e-300)
        self._lost = [
            formula.kl_trace_bound(gap, float(p @ (self._xi - self._xi @ v @ v.mT).square().sum(dim=1)))
            for v in (self.basis[:, :1], self.basis[:, :2])
        ]
        self._reach = math.sqrt(gap) * float(self._xi.norm(dim=1).max())

    def along(self, k: int) -> AtomsPosterior:
        """The posterior projected on the first k directions."""
        return AtomsPosterior.of(self._xi @ self.basis[:, :k], self._log_p)

    @property
    def is_line(self) -> bool:
        """Whether all atoms lie on a line to rounding, so that TV along it is TV."""
        return self._lost[0] <= LINE

    @property
    def tv_is_sharp(self) -> bool:
        """Whether TV along the leading direction has kept its digits: far atoms of little weight may cost them."""
        return float(self.tv.high - self.tv.low) <= SHARP

    @cached_property
    def tv(self) -> Estimate:
        """TV along the leading direction."""
        return divergence.tv_exact(self.along(1), self._gap)

    def kl(self) -> Estimate | None:
        """KL by quadrature along one or two directions; None where these say too little or it would take too long."""
        for k, most in ((1, NEAR_LINE), (2, NEAR_PLANE)):
            if self._lost[k - 1] <= most and len(self._xi) <= ATOMS[k - 1] and self._reach <= REACH[k - 1]:
                along = divergence.kl_quadrature(self.along(k), self._gap)
                high = float(along.high) + self._lost[k - 1]
                return estimate(float(along.value), float(along.low), high, 1.0, along.n, along.method)
        return None


@lru_cache(maxsize=32)
def leading(posterior: AtomsPosterior, gap: float) -> Leading:
    """The leading orders of a step, measured once for all claims that look at it."""
    return Leading(posterior, gap)


def estimate(value: float, low: float, high: float, confidence: float, n: int, method: str = "monte-carlo") -> Estimate:
    """An estimate of one query, from numbers."""
    value_, low_, high_ = (torch.tensor([v], dtype=torch.float64) for v in (value, low, high))
    return Estimate(value_, low_, high_, confidence, n, method)

r"""KL by cubature in one and two dimensions, with an interval that holds its error and its rounding.

The integrand is `φ(r)` times the reference density, `φ(r) = r log r − r + 1 ≥ 0`, `r = dP/dM`: nothing cancels, and for `r > 1` it is `f(r)` times P's density,
`f(r) = log r − 1 + 1/r`. An error δ of `log r` moves it by `δ |log r|` times P's density. An error of the weights moves KL by
`Σ ṗ_j E_j log r`, for the reference is nearest to P in its family.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence import gauss
from singtheory.divergence.cells import Value, Windows, integrate, nodes_of
from singtheory.divergence.chi2 import chi_square
from singtheory.divergence.components import Components
from singtheory.estimate import Estimate
from singtheory.law import Posterior

_LEAST, _MOST = 9.0, 38.0
"""Standard deviations that the windows reach: what lies beyond is bounded, and made small against KL."""
_DIGITS = 18.0
"""A weight that underflows is at most this."""
_SPENT = 32
"""Roundings in a density, in units of its exponent."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The centred Gaussian `N(0, I + S)`.

    Attributes:
        spread: eigenvalues of S, above −1, shape (d,).
        basis: eigenvectors as columns, shape (d, d).
        error: at least the error of each eigenvalue.
    """

    spread: Tensor
    basis: Tensor
    error: float

    @property
    def stds(self) -> Tensor:
        """Along the coordinate axes, shape (d,)."""
        return (1 + (self.basis.square() * self.spread).sum(dim=1)).sqrt()

    def log_over_q(self, of: Components, n: Tensor, reference: int) -> tuple[Tensor, Tensor]:
        """`log dM/dQ` at `u = m_k + n` and at least its error, both of shape (nodes,)."""
        if not bool((self.spread != 0).any()):
            return torch.zeros_like(n[:, 0]), torch.zeros_like(n[:, 0])
        u = n if reference < 0 else n + of.centres[reference]
        along2 = (u @ self.basis).square()
        wide = 1 + self.spread
        value = (self.spread / wide * along2 - torch.log1p(self.spread)).sum(dim=1) / 2
        sizes = (self.spread.abs() / wide * u.square().sum(dim=1, keepdim=True) + torch.log1p(self.spread).abs()).sum(1)
        moved = ((1 + along2 / wide) / wide).sum(dim=1) * self.error
        return value, of.rounding * (sizes + 1) * 2 + moved


def kl_quadrature(posterior: Posterior, gap: float) -> Estimate:
    """`KL(P‖Q)` by cubature, d ≤ 2."""

    def estimate(query: Posterior) -> Estimate:
        of = Components.of(query, gap).on_host().rotated()
        low, high = gauss.kl_between(of, chi_square(of))
        return _enclosed(of, plug_in(of), low, high)

    return Estimate.stack([estimate(query) for query in posterior])


def kl_moment_quadrature(posterior: Posterior, gap: float) -> Estimate:
    """`KL(P‖M)` by cubature, d ≤ 2: M has the mean and covariance of P."""

    def estimate(query: Posterior) -> Estimate:
        of = Components.of(query, gap).on_host().rotated()
        low, high = gauss.kl_moment_between(of)
        high = 0.0 if len(of.p) == 1 else min(high, gauss.kl_between(of, chi_square(of))[1])
        values, basis = torch.linalg.eigh(of.cov)
        return _enclosed(of, Reference(values.clamp(min=0), basis, of.eigenvalue_error), min(low, high), high)

    return Estimate.stack([estimate(query) for query in posterior])


def kl_isotropic_quadrature(posterior: Posterior, gap: float, var: float) -> Estimate:
    """`KL(P‖N(0, var·I))` in the coordinate u by cubature, d ≤ 2 (B7)."""

    def estimate(query: Posterior) -> Estimate:
        of = Components.of(query, gap).on_host().rotated()
        unit = plug_in(of)
        reference = Reference(torch.full_like(unit.spread, var - 1), unit.basis, formula.DOUBLE * (1 + var))
        return _enclosed(of, reference, 0.0, math.inf)

    return Estimate.stack([estimate(query) for query in posterior])


def plug_in(of: Components) -> Reference:
    """Q itself."""
    return Reference(torch.zeros(of.dim, dtype=torch.float64), torch.eye(of.dim, dtype=torch.float64), 0.0)


def _enclosed(of: Components, reference: Reference, low: float, high: float) -> Estimate:
    """The cubature's value and interval, within bounds that are known already."""
    integral, error = _kl(of, reference, low)
    if not (math.isfinite(error) and math.isfinite(integral.value)):
        # a difference of infinities is no number: only what was known before is left
        return Estimate.single(
            integral.value if integral.value >= low else low, low, high, "quadrature", integral.nodes
        )
    value = min(max(integral.value, low), high)
    least, most = max(integral.value - error, low), min(integral.value + error, high)
    return Estimate.single(value, min(least, value), max(most, value), "quadrature", integral.nodes)


def _kl(of: Components, reference: Reference, low: float) -> tuple[Value, float]:
    """The integral, and at least its error."""
    smallest = min(1.0, 1 + float(reference.spread.min()))
    sizes = (of.norms2 + _most_spread(of) * (_MOST**2 + 2 * of.dim)) / smallest
    whole = 1 + float(of.p @ sizes) + float(torch.log1p(reference.spread).abs().sum())
    goal = max(low, 1e-3 * min(1.0, of.trace) ** 3, 1e-290)
    reach = min(_MOST, max(_LEAST, math.sqrt(2 * (_DIGITS * math.log(10) + math.log(whole) - math.log(goal)))))
    kept = of.p * (1 + sizes) > 10**-_DIGITS * goal / len(of.p)
    light = (of.p[~kept]).clamp(min=formula.LEAST_FLOAT)
    left_out = float(light @ (1 + sizes[~kept])) + of.dim * math.exp(gauss.log_tail(reach)) * whole
    integral = integrate(lambda n, k: _integrand(of, reference, n, k), windows(of, reference, kept, reach))
    moved = float(of.tilt @ _slopes(of, reference, integral).abs())
    return integral, integral.error + integral.rounding + left_out + moved + 64 * formula.DOUBLE * integral.value + (
        formula.LEAST_FLOAT if of.trace > 0 or len(of.p) > 1 else 0.0
    )


def _most_spread(of: Components) -> Tensor:
    """The largest variance of each component, shape (k,)."""
    return torch.ones_like(of.p) if of.spread is None else 1 + of.spread.amax(dim=1)


def windows(of: Components, reference: Reference, kept: Tensor, reach: float) -> Windows:
    """The windows of the reference, at the origin, and of the components that are kept."""
    chosen = kept.nonzero()[:, 0]
    origin = torch.zeros(1, of.dim, dtype=torch.float64)

    def places(k: int) -> Tensor:
        moved = of.places(k)[chosen]
        return torch.cat([origin if k < 0 else -of.centres[k : k + 1], moved])

    stds = torch.cat([reference.stds[None], of.stds()[chosen]])
    return Windows(places, stds, reach, [-1, *chosen.tolist()])


def _integrand(of: Components, reference: Reference, n: Tensor, k: int) -> tuple[Tensor, Tensor]:
    at = of.ratio(n, k)
    over_q, lost = reference.log_over_q(of, n, k)
    log_m, y, error = at.log_q + over_q, at.log_r - over_q, at.error + lost
    below, above = y.clamp(max=0), y.clamp(min=0)
    phi = torch.where(
        y < -0.5,
        below.exp() * below - torch.expm1(below),
        below.exp() * formula.expm1_rest(-below.clamp(min=-0.5), torch),
    )
    value = torch.where(y < 0, phi * log_m.exp(), formula.expm1_rest(-above, torch) * at.log_p.exp())
    # a Gaussian's density loses what its exponent does
    of_m = _SPENT * formula.DOUBLE * (1 + at.log_q.abs() + over_q.abs()) + lost
    moved_below = below.exp() * (y.abs() + error) * error * log_m.exp()
    moved_above = (-torch.expm1(-above) + error) * error * at.log_p.exp()
    return value, torch.where(
        y < 0, moved_below + of_m * value, moved_above + (at.error_p + 8 * formula.DOUBLE) * value
    )


def _slopes(of: Components, reference: Reference, integral: Value) -> Tensor:
    """`p_j E_j log r`, what a relative change of each weight moves KL by, shape (k,)."""
    total = torch.zeros_like(of.p)
    for n, weights, k in nodes_of(integral):
        over_q = reference.log_over_q(of, n, k)[0]
        for block, at, shares in of.weighed(n, k):
            total += (weights[block] * at.log_p.exp() * (at.log_r - over_q[block])) @ shares
    return total

r"""The exact reverse kernel P as a mixture of Gaussians in the coordinate u, evaluated without cancellation, with bounds on the rounding.

P has components `N(m_j, I + S_j)` of weights `p_j`, `m_j = √g ξ_j`, `Σ p_j m_j = 0`; atoms have `S_j = 0`. At `u = m_k + n`, near the k-th component,

    log dP/dQ = ½‖m_k‖² + ⟨m_k, n⟩ + log Σ_j p_j e^{l_j(n)},   l_j the log ratio of N(m_j − m_k, I + S_j) to N(0, I) at n,

in which the differences `m_j − m_k = √g(y_j − y_k)` are exact but for one rounding however far away the component lies. About the origin, where P may be
all but Q, the terms of first order have the sum zero and are left out:

    dP/dQ − 1 = Σ_j p_j (e^{l_j} − 1 − ⟨m_j, u⟩).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from singtheory import formula
from singtheory.law import Posterior
from singtheory.numerics import block_rows, check_precisions, row_squares

_LOST = 20
"""Roundings in an exponent and in what it is made of, and as many to spare."""
_NEAR = 1.0
"""Components whose centre and spread are below this are summed without their terms of first order."""
LOG_2PI = math.log(2 * math.pi)
_FINE = 0.5
"""Where `|log r|` is below this, `r − 1` may have digits that `log r` has lost."""
_UNKNOWN = 300.0
"""An exponent of which so much may be lost is not known."""
_LARGEST = 30.0
"""Beyond this an exponential is no small excess any more."""


class Exponents(NamedTuple):
    """`l_j` at some nodes, each tensor of shape (nodes, k).

    Attributes:
        value: `l_j(n)`.
        rest: `l_j(n) − ⟨m_j, n⟩`.
        linear_size: the sizes of what makes `⟨m_j, n⟩`.
        rest_size: of what makes the rest.
    """

    value: Tensor
    rest: Tensor
    linear_size: Tensor
    rest_size: Tensor

    def rows(self, chosen: Tensor) -> "Exponents":
        """The exponents at some nodes."""
        if bool(chosen.all()):
            return self
        # in memory as they were: of what is the same at all nodes there is one row
        count = int(chosen.sum())
        return Exponents(
            *(part[:1].expand(count, -1) if part.stride(0) == 0 else part.mT[:, chosen].mT for part in self)
        )


class Ratio(NamedTuple):
    """`r = dP/dQ` at some nodes, each tensor of shape (nodes,).

    Attributes:
        log_r: `log r`.
        excess: `r − 1`, infinite where it overflows.
        error: at least the error of `log r`.
        log_p: the log density of P.
        error_p: at least its error.
        log_q: the log density of Q.
    """

    log_r: Tensor
    excess: Tensor
    error: Tensor
    log_p: Tensor
    error_p: Tensor
    log_q: Tensor


@final
@dataclass(frozen=True, eq=False)
class Components:
    """One query's.

    Attributes:
        log_p: log weights, shape (k,).
        log_p_error: bounds on their errors, shape (k,).
        points: means of the components in units of the data, relative to the heaviest one, shape (k, d).
        gap: g.
        spread: `gλ` along each eigenvector, shape (k, d); None for atoms.
        basis: eigenvectors as columns, shape (k, d, d); None for atoms.
        spread_error: of a single component at least the error of each `gλ`; of several `−E ≤ S_j' − S_j ≤ E` for E diagonal in the basis; shape (k, d). None
            where it is rounding alone, as the next.
        point_error: at least the Euclidean error of each of `points` but for a common shift, shape (k,).
    """

    log_p: Tensor
    log_p_error: Tensor
    points: Tensor
    gap: float
    spread: Tensor | None
    basis: Tensor | None
    spread_error: Tensor | None = None
    point_error: Tensor | None = None

    @classmethod
    def of(cls, query: Posterior, gap: float) -> "Components":
        """The components of one query's posterior at gap g; the last ones are kept as long as their posterior is, for all bounds ask for them."""
        known = _LAST.get(query)
        if known is None or known.gap != gap:
            _LAST.clear()
            known = _LAST[query] = cls._made(query, gap)
        return known

    @classmethod
    def _made(cls, query: Posterior, gap: float) -> "Components":
        check_precisions("gap", gap)
        parts = query.parts()
        spread, error = (None if part is None else gap * part for part in (parts.spectrum, parts.spectrum_error))
        points = _from_heaviest(parts.places, parts.log_p)
        return cls(parts.log_p, parts.log_p_error, points, gap, spread, parts.basis, error, parts.place_error)

    @property
    def dim(self) -> int:
        """d."""
        return self.points.shape[1]

    @cached_property
    def p(self) -> Tensor:
        """Weights, shape (k,)."""
        return self.log_p.exp()

    @cached_property
    def centres(self) -> Tensor:
        """`m_j`, shape (k, d)."""
        return (self.points - self.p @ self.points).mul_(math.sqrt(self.gap))

    @cached_property
    def norms2(self) -> Tensor:
        """`‖m_j‖²`, shape (k,)."""
        return row_squares(self.centres)

    @cached_property
    def centre_sizes(self) -> Tensor:
        """`|m_j|` of each coordinate, shape (k, d)."""
        return self.centres.abs()

    @cached_property
    def weights_shift(self) -> tuple[Tensor, Tensor]:
        """At least what the errors of the weights move each coordinate of the mean of all by, shape (d,), and what that moves `⟨δ, m_j⟩` by, shape (k,)."""
        shift = (self.p * self.tilt) @ self.centre_sizes
        return shift, self.centre_sizes @ shift

    @cached_property
    def spread_trace(self) -> Tensor:
        """`tr S_j`, shape (k,)."""
        return torch.zeros_like(self.p) if self.spread is None else self.spread.sum(dim=1)

    @cached_property
    def cov(self) -> Tensor:
        """`g C`, shape (d, d)."""
        cov = (self.centres * self.p[:, None]).mT @ self.centres
        if self.spread is not None and self.basis is not None:
            cov = cov + ((self.basis * self.spread[:, None]) @ self.basis.mT * self.p[:, None, None]).sum(dim=0)
        return cov

    @cached_property
    def eigenvalues(self) -> Tensor:
        """The eigenvalues of `g C`, ascending and not negative, shape (d,)."""
        if len(self.p) == 1 and self.spread is not None:
            return self.spread[0].sort().values
        return torch.linalg.eigvalsh(self.cov).clamp(min=0)

    @property
    def eigenvalue_error(self) -> float:
        """At least the error of each eigenvalue."""
        return float(self.eigenvalue_errors.max())

    @cached_property
    def eigenvalue_errors(self) -> Tensor:
        """At least their errors, through rounding and that of the weights, shape (d,)."""
        if len(self.p) == 1:
            own = self.rounding * self.eigenvalues[-1]
            if self.spread is None or self.spread_error is None:
                return own.expand(self.dim)
            return own + self.spread_error[0, self.spread[0].argsort()]
        moved = float((self.p * self.tilt) @ (self.norms2 + self.spread_trace)) + self._centres_lost + self._underflow
        if self.spread_error is not None:
            moved += float(self.p @ self.spread_error.amax(dim=1))
        return (self.rounding * self.dim * self.eigenvalues.sum() + moved).expand(self.dim)

    @cached_property
    def centre_errors(self) -> Tensor:
        """At least the Euclidean errors of `m_j` through those of `points`, shape (k,)."""
        if self.point_error is None:
            return torch.zeros_like(self.p)
        return math.sqrt(self.gap) * (self.point_error + self.p @ self.point_error)

    @cached_property
    def _centres_lost(self) -> float:
        """At least what they take from `Σ p_j m_j m_jᵀ`, in its trace norm."""
        return float(self.p @ (self.centre_errors * (2 * self.norms2.sqrt() + self.centre_errors)))

    @cached_property
    def _underflow(self) -> float:
        """At least what weights and products near the least float take from the trace: such a weight may be that of a far component."""
        if len(self.p) == 1 or not bool((self.points != 0).any()):
            return 0.0
        light = (self.p < formula.LEAST_NORMAL) & (self.log_p > -torch.inf)
        return formula.LEAST_FLOAT * (2 * len(self.p) + float((self.norms2 + self.spread_trace)[light].sum()))

    @cached_property
    def trace(self) -> float:
        """`g tr C`."""
        return float(self.p @ (self.norms2 + self.spread_trace))

    @property
    def trace_error(self) -> float:
        """At least the error of the trace."""
        own = 0.0 if self.spread_error is None else float(self.p @ self.spread_error.sum(dim=1))
        by_weights = float((self.p * self.tilt) @ (self.norms2 + self.spread_trace))
        return own + self._centres_lost + self._underflow + 2 * self.rounding * self.trace + by_weights

    @cached_property
    def tilt(self) -> Tensor:
        """At least the relative errors of the weights, their sum kept, shape (k,)."""
        change = torch.expm1(self.log_p_error.clamp(max=300.0))  # then nothing is known
        return change + self.p @ change

    def on_host(self) -> "Components":
        """The components on the CPU, where cubature works."""
        others = (self.spread, self.basis, self.spread_error, self.point_error)
        tensors = [None if x is None else x.cpu() for x in others]
        return Components(self.log_p.cpu(), self.log_p_error.cpu(), self.points.cpu(), self.gap, *tensors)

    def rotated(self) -> "Components":
        """The components in the principal axes of C, which change no divergence from N(0, I)."""
        if self.dim == 1:
            return self
        axes = torch.linalg.eigh(self.cov)[1]
        basis = None if self.basis is None else axes.mT @ self.basis
        errors = self.spread_error, self.point_error
        return Components(self.log_p, self.log_p_error, self.points @ axes, self.gap, self.spread, basis, *errors)

    def stds(self) -> Tensor:
        """Standard deviations along the coordinate axes, shape (k, d)."""
        if self.spread is None or self.basis is None:
            return torch.ones_like(self.points)
        return (1 + (self.basis.square() * self.spread[:, None]).sum(dim=2)).sqrt()

    def places(self, reference: int) -> Tensor:
        """`m_j − m_k` for k the reference, `m_j` for −1; shape (k, d)."""
        if reference < 0:
            return self.centres
        return math.sqrt(self.gap) * (self.points - self.points[reference])

    def ratio(self, n: Tensor, reference: int = -1) -> Ratio:
        """`dP/dQ` at `u = m_k + n` (nodes, d), k the reference, or at `u = n` for −1."""
        parts = [self._ratio(part, reference)[0] for part in self._blocks(n)]
        return parts[0] if len(parts) == 1 else Ratio(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def weighed(self, n: Tensor, reference: int) -> Iterator[tuple[slice, Ratio, Tensor]]:
        """Block by block of the nodes: which they are, their `ratio`, and the weights of the components once u is known, (nodes, k)."""
        start = 0
        for part in self._blocks(n):
            yield slice(start, start + len(part)), *self._ratio(part, reference)
            start += len(part)

    def _blocks(self, n: Tensor) -> tuple[Tensor, ...]:
        numbers = len(self.p) * (1 if self.spread is None else self.dim)
        return n.split(block_rows(numbers, n.device))

    def _ratio(self, n: Tensor, reference: int) -> tuple[Ratio, Tensor]:
        at = self.exponents(n, self.places(reference), self._place_errors(reference))
        joint = self.log_p + at.value
        local = torch.logsumexp(joint, dim=1)
        shares = torch.exp(joint - local[:, None])
        own, lift, lift_size = n.square().sum(dim=1) / 2, 0.0, 0.0
        if reference >= 0:
            centre = self.centres[reference]
            half = centre.square().sum() / 2
            lift, lift_size = n @ centre + half, n.abs() @ centre.abs() + half
            off = self.centre_errors[reference]
            lift_size = lift_size + off * (n.norm(dim=1) + centre.norm() + off) / self.rounding
        log_r = lift + local
        sizes = 1 + own + (shares * (at.linear_size + at.rest_size + self.log_p.abs())).sum(dim=1)
        error_p = self.rounding * sizes
        error = error_p + self.rounding * lift_size
        excess = torch.expm1(log_r)
        small = log_r.abs() < _FINE
        if reference < 0 and bool(small.any()):
            fine = self._about_origin(n[small], at.rows(small), log_r[small], error[small])
            log_r[small], excess[small], error[small] = fine
        norm = own + self.dim * LOG_2PI / 2
        return Ratio(log_r, excess, error, local - norm, error_p, -norm - lift), shares

    @property
    def rounding(self) -> float:
        """What rounding takes from an exponent, relative to the sizes that are summed."""
        return (_LOST + self.dim) * formula.DOUBLE

    def _place_errors(self, reference: int) -> Tensor:
        """At least the Euclidean errors of `places`, shape (k,)."""
        if reference < 0 or self.point_error is None:
            return self.centre_errors
        return math.sqrt(self.gap) * (self.point_error + self.point_error[reference])

    def exponents(self, n: Tensor, places: Tensor, place_errors: Tensor | None = None) -> Exponents:
        """`l_j(n)` for components at `places` (k, d), which are off by at most `place_errors` (k,)."""
        # a component's numbers lie together: sums over a few components are slow along short rows
        about_origin = places is self.centres
        sizes = self.centre_sizes if about_origin else places.abs()
        linear, linear_size = (places @ n.mT).mT, (sizes @ n.abs().mT).mT
        if self.spread is None or self.basis is None:
            half = (self.norms2 if about_origin else row_squares(places)) / 2
            return Exponents(linear - half, (-half).expand_as(linear), linear_size, half.expand_as(linear))
        along = torch.einsum("nd,kde->nke", n, self.basis)
        shift = torch.einsum("kd,kde->ke", places, self.basis)
        s = self.spread
        width, cross = s * along.square() / (1 + s), 2 * s * along * shift / (1 + s)
        other = shift.square() / (1 + s) + torch.log1p(s)
        # l_j itself from one quotient: s⟨m, n⟩ of two large terms would cancel
        value = ((s * along.square() + 2 * along * shift - shift.square()) / (1 + s) - torch.log1p(s)).sum(dim=2) / 2
        linear_size = linear_size + (along * shift).abs().sum(dim=2)
        rest_size = (width + cross.abs() + other).sum(dim=2) / 2
        if place_errors is not None and self.spread_error is not None:
            of_value, of_rest = self._off(along, shift, place_errors)
            linear_size, rest_size = linear_size + of_value / self.rounding, rest_size + of_rest / self.rounding
        return Exponents(value, (width - cross - other).sum(dim=2) / 2, linear_size, rest_size)

    def _off(self, along: Tensor, shift: Tensor, place_errors: Tensor) -> tuple[Tensor, Tensor]:
        """At least what the errors of places and spreads move `l_j` by, beyond what they move its rest by, and that; both of shape (nodes, k).

        `l = ½[‖n‖² − (n − m)ᵀA⁻¹(n − m) − log det A]`, `A = I + S`. A change δ of m moves it by at most `‖w‖‖δ‖ + ½‖δ‖²`, `w = A⁻¹(n − m)`, of which `⟨δ, n⟩` is
        no part of the rest; a change of S within ±E by at most `½ Σ e/(a − e) (a w² + 1)`, for `A − E ≤ A' ≤ A + E`. Errors of exponentials are no less.
        """
        assert self.spread is not None and self.spread_error is not None
        a, off = 1 + self.spread, place_errors[:, None]
        w = (along - shift) / a
        share = torch.where(2 * self.spread_error < a, self.spread_error / (a - self.spread_error), _UNKNOWN)
        by_spread = (share * (a * (w.abs() + off / a).square() + 1)).sum(dim=2) / 2 + place_errors.square() / 2
        of_value = by_spread + w.norm(dim=2) * place_errors
        of_rest = by_spread + ((shift + self.spread * along) / a).norm(dim=2) * place_errors
        value, rest = (torch.expm1(part.clamp(max=_UNKNOWN)) for part in (of_value, of_rest))
        return (value - rest).clamp(min=0), rest

    @cached_property
    def _parted(self) -> tuple[Tensor | None, Tensor | None]:
        """Weights of the near and of the far components, 0 for the others, each of shape (k,), or None where there are none."""
        near = (self.norms2.sqrt() <= _NEAR) & (self.spread_trace <= _NEAR)
        return (self.p * near if bool(near.any()) else None), (None if bool(near.all()) else self.p * ~near)

    @cached_property
    def _far_first(self) -> tuple[Tensor, Tensor]:
        """`Σ p_j m_j` over the far components, and of the sizes, each of shape (d,)."""
        far = self._parted[1]
        weights = torch.zeros_like(self.p) if far is None else far
        return weights @ self.centres, weights @ self.centre_sizes

    def _about_origin(self, n: Tensor, at: Exponents, log_r: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`log r`, `r − 1` and the error of `log r`, the better of two ways at each node."""
        capped = at.value.clamp(max=_LARGEST)
        grown, size = torch.expm1(capped), at.linear_size + at.rest_size
        excess, lost = torch.zeros_like(log_r), torch.zeros_like(log_r)
        near, far = self._parted
        if near is not None:
            curved = formula.expm1_rest(capped, torch)
            excess += (curved + at.rest) @ near
            # e^l − 1 − l has the slope e^l − 1; the other terms lose what their own sizes are
            lost += (grown.abs() * size + curved + at.rest_size) @ near
        if far is not None:
            first, first_size = self._far_first
            excess += grown @ far - n @ first
            lost += (grown.abs() + (grown + 1) * size) @ far + n.abs() @ first_size
        finer = self.rounding * lost / (1 + excess).clamp(min=0.01)
        better = (at.value.amax(dim=1) < _LARGEST) & (excess > -0.9) & (excess < 10) & (finer < error)
        return (
            torch.where(better, torch.log1p(excess.clamp(min=-0.99)), log_r),
            torch.where(better, excess, torch.expm1(log_r)),
            torch.where(better, finer, error),
        )


_LAST: WeakKeyDictionary[Posterior, Components] = WeakKeyDictionary()


def _from_heaviest(points: Tensor, log_p: Tensor) -> Tensor:
    """Relative to the heaviest component: of one rounding each, however far from the origin the data lie."""
    return points - points[int(log_p.argmax())]

r"""`χ²(P‖Q)` in closed form (B1), with its rounding.

`1 + χ² = Σ p_j p_k e^{L_jk}`, where `L_jk = g⟨ξ_j, ξ_k⟩` for atoms. As `Σ p_j ξ_j = 0` the terms of first order add up to nothing, so
`χ² = Σ p_j p_k (e^{L_jk} − 1 − g⟨ξ_j, ξ_k⟩)`, which keeps the digits of a χ² near zero.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence.components import Components
from singtheory.law import Posterior
from singtheory.numerics import block_rows

_LARGEST = 500.0
"""Exponents beyond this are summed by logarithms."""


_FIRST_ORDER = 0.1
"""The largest error of an exponent: beyond it what its parts lose is no small number."""
_BELOW = 1e-300
"""At least what underflows of the products of weights."""
_UNKNOWN = 1e250
"""Stands for what is not known, for a product of infinity and a weight that underflows would be no number."""


class _Pairs(NamedTuple):
    """What χ² sums over pairs of components, each of shape (block, k) for all k, or those from a first one on.

    Attributes:
        value: `L_jk`.
        rest: `L_jk − ⟨m_j, m_k⟩`.
        size: the sizes that make them.
        off: at least what the errors of spreads, centres and weights move the value by.
        off_rest: and the rest.
    """

    value: Tensor
    rest: Tensor
    size: Tensor
    off: Tensor
    off_rest: Tensor


_PairsOf = Callable[[Tensor, int], _Pairs]
"""Sums for a block of j, over all k from a first one on."""


@dataclass(frozen=True)
class ChiSquare:
    """χ² of one query, from sums over pairs of its components.

    Attributes:
        log1p: `log(1 + χ²)`.
        error: at least its error.
        by_component: `Σ_j p_j |E_j r − 1|`, at least χ²; infinite where it overflows.
    """

    log1p: float
    error: float
    by_component: float

    @property
    def high(self) -> float:
        """At least `log(1 + χ²)`."""
        return self.log1p + self.error


def log1p_chi2(posterior: Posterior, gap: float) -> Tensor:
    """`log(1 + χ²(P‖Q)) = log E exp(g⟨ξ, ξ'⟩)` (B1), shape (batch,); infinite where the expectation is."""
    values = [chi_square(Components.of(query, gap)).log1p for query in posterior]
    return torch.tensor(values, dtype=torch.float64, device=posterior.mean.device)


def chi_square(of: Components) -> ChiSquare:
    """Over all pairs of components, a block of rows at a time."""
    blocks = torch.arange(len(of.p), device=of.p.device).split(block_rows(len(of.p), of.p.device))
    single = _pairs(of, blocks[0], 0) if len(blocks) == 1 else None

    def pairs(block: Tensor, first: int) -> _Pairs:
        return _pairs(of, block, first) if single is None else single

    # of atoms the largest `⟨m_j, m_k⟩` is a `‖m_j‖²`
    largest = [of.norms2] if of.spread is None else [pairs(block, 0).value for block in blocks]
    highest = max(float(part.max()) for part in largest)
    if math.isinf(highest):
        return ChiSquare(math.inf, 0.0, math.inf)
    return (_by_logarithms if highest > _LARGEST else _by_excess)(of, blocks, pairs)


def log1p_chi2_by_moments(of: Components) -> float:
    """At least `log(1 + χ²)` of atoms, from second moments: the cost of a covariance where the pairs of many atoms would cost n².

    `e^x − 1 − x ≤ ½ x² h(M)` for `x ≤ M = max ‖m_j‖²`, `h(M) = 2(e^M − 1 − M)/M²`, and `E⟨m, m'⟩² = ‖gC‖_F²`: so `χ² ≤ ½ h(M) ‖gC‖_F²`. Infinite where it says
    nothing. Of small gaps it is B2's bound but for terms of higher order.
    """
    norms, tilt = of.norms2.sqrt(), float(of.tilt.max())
    # the mean moves with the weights' errors and by its own rounding, in units of the distance to the heaviest atom
    moved = float(((of.tilt + 64 * formula.DOUBLE) * of.p) @ norms) + 64 * formula.DOUBLE * float(
        norms[of.log_p.argmax()]
    )
    furthest = (float(norms.max()) + moved) * formula.UP
    most = max(furthest**2, 1e-300)
    if of.spread is not None or not (most < _LARGEST and tilt < 1):
        return math.inf
    summed = (len(of.p) + of.dim + 20) * formula.DOUBLE * of.trace
    size = max(
        float(of.cov.abs().max()), 1e-300
    )  # of small weights the squares underflow, which `largest` may make large again
    frobenius = size * float((of.cov / size).norm()) + summed + moved * (2 * moved + furthest)
    # the quotient is at most 1 + M where M is small
    rest = float(formula.expm1_rest(torch.tensor(most, dtype=torch.float64), torch))
    largest = 2 * rest / most**2 if most > 1e-8 else 1 + most
    # atoms whose squares underflow are apart all the same
    return math.log1p(((1 + tilt) * math.sqrt(largest) * frobenius) ** 2 / 2 * formula.UP + _BELOW)


def _by_excess(of: Components, blocks: tuple[Tensor, ...], pairs: _PairsOf) -> ChiSquare:
    """Every pair (j, k) is looked at once, as one of k from the block of j on, and counts for (k, j) too."""
    sums, lost = torch.zeros_like(of.p), 0.0
    for block in blocks:
        first, beyond = int(block[0]), int(block[0]) + len(block)
        value, rest, size, off, off_rest = pairs(block, first)
        p, others = of.p[block], torch.cat([of.p[block], 2 * of.p[beyond:]])
        curved = formula.expm1_rest(value, torch)
        terms = curved + rest
        sums[block] += terms @ of.p[first:]
        sums[beyond:] += p @ terms[:, len(block) :]
        # of e^L − 1 − L the derivative is e^L − 1
        grown = torch.expm1(value)
        slope = grown.abs()
        lost += float(of.rounding * (p @ ((slope * size).add_(curved).add_(rest.abs()) @ others)))
        # what the rest is off does not add up to nothing as ⟨m_j, m_k⟩ does: its derivative is e^L, and the curvature counts where e^L − 1 is small
        moved = slope * off + off_rest + (1 + grown) * off * off.clamp(max=1)
        lost += float(p @ (moved.clamp(max=_UNKNOWN) @ others))
    lost += float(2 * ((of.p * of.tilt) @ sums.abs()))
    excess = max(float(of.p @ sums), 0.0)
    lost += _BELOW if len(of.p) > 1 else 0.0
    return ChiSquare(math.log1p(excess), lost / (1 + excess), float(of.p @ sums.abs()) + lost)


def _by_logarithms(of: Components, blocks: tuple[Tensor, ...], pairs: _PairsOf) -> ChiSquare:
    sums, sizes = [], []
    for block in blocks:
        value, _, size, off, _ = pairs(block, 0)
        size = size + off / of.rounding
        joint = of.log_p + value
        sums.append(torch.logsumexp(joint, dim=1) + of.log_p[block])
        sizes.append((torch.softmax(joint, dim=1) * (size + of.log_p.abs() + of.tilt / of.rounding)).sum(dim=1))
    rows, size = torch.cat(sums), torch.cat(sizes) + of.log_p.abs() + of.tilt / of.rounding
    total = torch.logsumexp(rows, dim=0)
    lost = of.rounding * (1 + float(torch.softmax(rows, dim=0) @ size) + abs(float(total)))
    return ChiSquare(max(float(total), 0.0), lost, math.inf)


def _pairs(of: Components, block: Tensor, first: int) -> _Pairs:
    """The terms of the pairs (j, k), for j of the block and all k from the first on."""
    linear = of.centres[block] @ of.centres[first:].mT
    size = of.centre_sizes[block] @ of.centre_sizes[first:].mT
    by_weights = _by_weights(of, block, first)
    if of.spread is None or of.basis is None:
        nothing = linear.new_zeros(()).expand_as(linear)
        return _Pairs(linear, nothing, size, by_weights, nothing)
    terms = torch.stack([torch.stack([_gauss_off(of, int(j), k) for k in range(first, len(of.p))]) for j in block])
    rest, more, off, off_rest = terms.unbind(dim=2)
    return _Pairs(linear + rest, rest, size + more, off + by_weights, off_rest)


def _by_weights(of: Components, block: Tensor, first: int) -> Tensor:
    """At least what the errors of the weights move `⟨m_j, m_k⟩` by, for k from the first on: they move the mean of all by some δ, and this by `⟨δ, m_j + m_k⟩` and `‖δ‖²`."""
    shift, along = of.weights_shift
    moved = along[block, None] + along[first:] + shift.square().sum()
    return torch.where(moved < _FIRST_ORDER, 2 * moved, _UNKNOWN)


def _gauss_off(of: Components, j: int, k: int) -> Tensor:
    """`L_jk` and its rest as `_gauss_rest` computes them, and how far the errors of spreads and centres move both; shape (4,).

    `E exp⟨v, v'⟩` increases with both spreads, of which the exponent is a convex function: at most what it rises by where both are as large as they may be
    is what it falls by, up to the second order, for which there is a factor of two. Where that is no small number nothing is known.
    """
    rest = _gauss_rest(of, j, k, of.spread)
    if of.spread is None or of.spread_error is None or not bool(rest.isfinite().all()):
        return torch.cat([rest, torch.zeros_like(rest)])
    moved, moved_rest = _by_centres(of, j, k)
    if bool(of.spread_error.any()):
        wider = _gauss_rest(of, j, k, of.spread + of.spread_error)
        rise = float(wider[0] - rest[0]) + 2 * of.rounding * float(wider[1])
        moved, moved_rest = moved + rise, moved_rest + rise
    off = (2 * moved, 2 * moved_rest) if moved < _FIRST_ORDER else (_UNKNOWN, _UNKNOWN)
    return torch.cat([rest, rest.new_tensor(off)])


def _by_centres(of: Components, j: int, k: int) -> tuple[float, float]:
    """At least what the errors of both centres move `L_jk = log E exp⟨v, v'⟩` and its rest by.

    It is quadratic in the centres: a change δ of m and δ' of m' moves it by `⟨δ, E v'⟩ + ½ δᵀ Cov[v'] δ`, the same of δ', and `δᵀ(I − SS')⁻¹δ'`, under the law
    of `(v, v')` that it tilts, of which `⟨δ, m'⟩ + ⟨δ', m⟩ + ⟨δ, δ'⟩` is no part of the rest.
    """
    assert of.spread is not None and of.basis is not None and of.spread_error is not None
    unit, linear, rest = torch.eye(of.dim, dtype=torch.float64, device=of.p.device), 0.0, 0.0
    both = float(of.centre_errors[j] * of.centre_errors[k])
    for one, other in ((j, k), (k, j)):
        s, r = ((of.basis[i] * (of.spread[i] + of.spread_error[i])) @ of.basis[i].mT for i in (one, other))
        drift = r @ (of.centres[one] + s @ of.centres[other])
        solved, singular = torch.linalg.solve_ex(unit - r @ s, torch.cat([drift[:, None], r], dim=1))
        if int(singular):
            return math.inf, math.inf
        off, cov = float(of.centre_errors[one]), solved[:, 1:]
        linear += off * float(of.centres[other].norm())
        rest += off * (float(solved[:, 0].norm()) + off * float(cov.norm())) + both * float((cov @ s).norm())
    return linear + both + rest, rest


def _gauss_rest(of: Components, j: int, k: int, spread: Tensor | None) -> Tensor:
    """`log E exp⟨v, v'⟩ − ⟨m_j, m_k⟩` for independent `v ~ N(m_j, S_j)`, `v' ~ N(m_k, S_k)`, and the sizes that make it; shape (2,)."""
    assert spread is not None and of.basis is not None
    root = of.basis[j] * spread[j].sqrt()
    other = (of.basis[k] * spread[k]) @ of.basis[k].mT
    mean, other_mean = of.centres[j], of.centres[k]
    quadratic = root.mT @ other @ root
    values, axes = torch.linalg.eigh((quadratic + quadratic.mT) / 2)
    if float(values[-1]) >= 1:
        return torch.tensor([torch.inf, 0.0], dtype=torch.float64, device=mean.device)
    linear = axes.mT @ (root.mT @ (other_mean + other @ mean))
    drift = mean @ other @ mean / 2
    values = values.clamp(min=0)
    tilted = linear.square() / (1 - values)
    sizes = drift.abs() + (tilted * (1 + values / (1 - values)) + values / (1 - values)).sum()
    return torch.stack([drift + (tilted - torch.log1p(-values)).sum() / 2, sizes])

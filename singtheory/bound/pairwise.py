r"""Sums over pairs of atoms, behind the bounds B2, B9 and B10.

All that bounds adds what its rounding may have taken. They cost n² a query, so they run on the posterior's *core*: the atoms whose weight matters, at most `MAX_ATOMS` of the heaviest. The
rest is not dropped but bounded, by the convexity of divergences. With `P = m P' + P''`, P' the core of mass m whose mean lies `√g δ` off:

- `KL(P‖Q) ≤ m (KL(P'‖Q') + ½ g ‖δ‖²) + ½ g Σ'' p_i ‖ξ_i‖²`, Q' centred at the mean of P';
- `KL(P‖Q) ≥ m (KL(P'‖Q') + ½ g ‖δ‖²) − h(m)`, h the entropy of the split into core and rest;
- `TV(P, Q) ≤ m TV(P', Q) + Σ'' p_i`.

So every bound stays a bound; for few atoms the core is everything. Where it is not, B2 has a second form that takes in all atoms by their second moments
(`chi2.log1p_chi2_by_moments`), which is the better one where the weight lies on very many.
"""

import math
from collections.abc import Callable
from functools import cached_property, lru_cache, wraps
from typing import final
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor

from singtheory import formula
from singtheory.divergence import Components, chi_square, log1p_chi2_by_moments
from singtheory.law import AtomsPosterior
from singtheory.numerics import row_squares

MAX_ATOMS = 2048
"""Beyond this many atoms the pairs of the lighter ones are bounded instead of summed: a second of one processor for all bounds on one query."""
_FEWER, _LEAST, _LEFT_OUT = 1024, 256, 1e-9
"""How many atoms of a larger law are taken: so many where the heaviest hold less than half of the weight, for then pairs say little; and where few atoms matter those that leave
out this much of the weight, but no fewer than the least."""
NEGLIGIBLE = 1e-20
"""Posterior weights below this are left to the bound on the rest."""
BETAS = tuple(0.5 + 0.05 * k for k in range(11))
"""The β of B10 that are tried on few atoms: ½ is B9's, 1 is the pairwise form of B2."""
_FEW = 256
_FAR = -0.5
"""Below this a sum of weights less one has lost digits of the sum."""
_LARGE = 30.0
"""Largest exponents of a row beyond this are taken out of its sum."""
_ROUNDINGS = 4
"""Sums of size g tr C that cancel to a bound."""


@final
class Core:
    """The heaviest atoms of one query's posterior, renormalised and centred at their own mean.

    Args:
        query: a posterior of one query.
    """

    def __init__(self, query: AtomsPosterior) -> None:
        weights, errors = query.weights[0], query.log_weight_error[0]
        kept = weights > NEGLIGIBLE
        if int(kept.sum()) > MAX_ATOMS:
            kept = torch.zeros_like(kept).index_fill(0, _heaviest(weights), True)
        (deviations,) = query.deviations()
        supports = query.log_weights[0] > -torch.inf
        if not bool(supports.all()):
            deviations = torch.where(supports[:, None], deviations, 0.0)
        norms2 = row_squares(deviations)
        self.lengths = length(deviations)
        self._query, self.values = ref(query), dict[tuple[str, float], Tensor]()
        self.is_all = bool((kept | ~supports).all())
        self.log_p = torch.log_softmax(query.log_weights[0, kept], 0)
        self.log_p_error = errors[kept]
        self.p = self.log_p.exp()
        self.points = deviations[kept]
        shift = self.p @ self.points
        self.xi = self.points - shift
        self.mass = (weights[kept].sum() * formula.UP).clamp(max=1)
        self.shift2 = shift.square().sum()
        self.shift = length(shift)
        self.apart = bool((deviations != 0).any())  # where there is no weight they are 0
        # of atoms whose weight underflows the least float is more than enough
        supported = ~kept & supports
        light = (weights[supported] * torch.exp(errors[supported].clamp(max=700.0))).clamp(
            min=formula.LEAST_FLOAT, max=1.0
        )
        self.light = light.sum() * formula.UP
        self.rest = light @ norms2[supported] * formula.UP
        # and at least what the errors of log weights move it by
        moved = (weights * torch.expm1(errors.clamp(max=700.0))) @ norms2
        self.all_trace = (weights + formula.LEAST_FLOAT * supports) @ norms2 * formula.UP + moved

    @property
    def query(self) -> AtomsPosterior:
        """The posterior of the core; a weak reference, so that the cache keeps no posterior alive."""
        query = self._query()
        assert query is not None
        return query

    def at(self, gap: float) -> Components:
        """The core in the coordinate u of a gap."""
        return Components(self.log_p, self.log_p_error, self.points, gap, None, None)

    def rounding(self, gap: float) -> Tensor:
        """At least what rounding, of weights too, takes from a sum of terms of the size of `g‖ξ_i‖²`, weighted by p."""
        tilt = self.at(gap).tilt
        size = self.p @ self.norms2
        return gap * (
            _ROUNDINGS * (self.xi.shape[1] + 20) * formula.DOUBLE * size + 4 * ((self.p * tilt) @ (self.norms2 + size))
        )

    @cached_property
    def norms2(self) -> Tensor:
        """`‖ξ_i‖²`, shape (n,)."""
        return self.xi.square().sum(dim=1)

    @property
    def gram(self) -> Tensor:
        """`⟨ξ_i, ξ_j⟩`, shape (n, n)."""
        return _gram(self)

    @cached_property
    def principal(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (not negative) and eigenvectors of the core's covariance."""
        values, basis = torch.linalg.eigh((self.xi * self.p[:, None]).mT @ self.xi)
        return values.clamp(min=0), basis

    def kl_upper(self, core_bound: Tensor, gap: float) -> Tensor:
        """From a bound on `KL(P'‖Q')` one on `KL(P‖Q)`."""
        own = self.mass * (core_bound.clamp(min=0) + formula.kl_trace_bound(gap, self.shift2))
        least = formula.LEAST_FLOAT if self.apart else 0.0  # where squares underflow
        return (own + formula.kl_trace_bound(gap, self.rest)) * formula.UP + least

    def kl_lower(self, core_bound: Tensor, gap: float) -> Tensor:
        """From a lower bound on `KL(P'‖Q')` one on `KL(P‖Q)`; of the split's entropy the core's part is at most the mass of the rest."""
        lower = core_bound + formula.kl_trace_bound(gap, self.shift2) / formula.UP
        least = torch.where(lower > 0, (1 - self.light).clamp(min=0) * lower / formula.UP, lower * formula.UP)
        return least - (torch.special.entr(self.light) + self.light) * formula.UP

    def tv_upper(self, core_bound: Tensor) -> Tensor:
        """From a bound on `TV(P', Q)` one on `TV(P, Q)`."""
        return (self.mass * core_bound + self.light) * formula.UP


def _heaviest(weights: Tensor) -> Tensor:
    """Numbers of the heaviest of more than `MAX_ATOMS` atoms, as many as pairs of them are worth their time."""
    heaviest = weights.topk(MAX_ATOMS)
    held = heaviest.values.cumsum(0)
    if float(held[-1]) < 0.5:
        return heaviest.indices[:_FEWER]
    return heaviest.indices[: max(_LEAST, int((held < 1 - _LEFT_OUT).sum()) + 1)]


def length(x: Tensor) -> Tensor:
    """At least the norm over the last dimension, where squares underflow too; 0 for 0."""
    return torch.where((x != 0).any(dim=-1), (x.norm(dim=-1) * formula.UP).clamp(min=1e-150), 0.0)


_CORES: WeakKeyDictionary[AtomsPosterior, Core] = WeakKeyDictionary()


def core(query: AtomsPosterior) -> Core:
    """The core of a posterior of one query, kept as long as that is, for all bounds ask for it."""
    known = _CORES.get(query)
    if known is None:
        known = _CORES[query] = Core(query)
    return known


@lru_cache(maxsize=1)
def _gram(core: Core) -> Tensor:
    """Keeps the last Gram matrix alone, for it holds n² numbers."""
    return core.xi @ core.xi.mT


def _kept(value: Callable[[Core, float], Tensor]) -> Callable[[Core, float], Tensor]:
    """A number of a core and a gap, or a rate, made once: B2, B9, B10 and B12 are made of the same."""

    @wraps(value)
    def of(core: Core, gap: float) -> Tensor:
        key = value.__name__, gap
        if key not in core.values:
            core.values[key] = value(core, gap)
        return core.values[key]

    return of


@_kept
def log1p_chi2(core: Core, gap: float) -> Tensor:
    """At least `log Σ p_i p_j exp(g⟨ξ_i, ξ_j⟩)` (B1), of the core alone."""
    return torch.tensor(chi_square(core.at(gap)).high, dtype=torch.float64, device=core.p.device)


@_kept
def log1p_chi2_of_all(core: Core, gap: float) -> Tensor:
    """At least `log(1 + χ²)` of all atoms, where the core is not all of them, else infinite."""
    value = math.inf if core.is_all else log1p_chi2_by_moments(Components.of(core.query, gap))
    return torch.tensor(value, dtype=torch.float64, device=core.p.device)


@_kept
def separation(core: Core, rate: float) -> Tensor:
    """`Σ_i p_i log Σ_j p_j exp(−rate ‖ξ_i − ξ_j‖²)` (B9)."""
    exponents = (2 * rate * core.gram).sub_(rate * core.norms2).sub_(rate * core.norms2[:, None]).clamp_(max=0)
    # the term j = i alone is p_i, which rounding must not lose
    return core.p @ torch.maximum(_log_of_sums(core.p, exponents), core.log_p)


def separated(core: Core, gap: float) -> Tensor:
    """`τ = −Σ p_i log Σ p_j exp(−g d_ij²/8)/H(p)`: 0 where the atoms coincide, 1 where they are far apart (B10)."""
    entropy = torch.special.entr(core.p).sum()
    return torch.where(entropy > 0, -separation(core, gap / 8) / entropy, 0.0).clamp(0, 1)


def pair_upper(core: Core, gap: float) -> Tensor:
    """B9's upper bound on `KL(P'‖Q')`, its rounding added."""
    return formula.kl_trace_bound(gap, core.p @ core.norms2) + separation(core, gap / 8) + core.rounding(gap)


def pair_lower(core: Core, gap: float) -> Tensor:
    """B9's lower bound on `KL(P'‖Q')`, less its rounding."""
    return formula.kl_trace_bound(gap, core.p @ core.norms2) + separation(core, gap / 2) - core.rounding(gap)


@_kept
def family(core: Core, gap: float) -> Tensor:
    """B10, its rounding added, at the β of the rule `formula.family_beta`, and at `BETAS` for few atoms or 1 for many: the least.

    With B2 and B9, which it contains (B9 at β = ½) and which are rounded otherwise: B2 keeps its digits at small gaps.
    """
    rule = float(formula.family_beta(separated(core, gap), torch))
    betas = (*BETAS, rule) if len(core.p) <= _FEW else (rule, 1.0)
    least = torch.stack([family_at(core, gap, beta) for beta in betas]).amin() + core.rounding(gap)
    return torch.minimum(least, torch.minimum(log1p_chi2(core, gap), pair_upper(core, gap))).clamp(min=0)


def family_at(core: Core, gap: float, beta: float) -> Tensor:
    """B10 at one β with `S = I − (I + (2β−1)² gC)⁻¹`.

    `(1−β) g tr C + ½[tr S + g tr(SC) − log det(I+S)] + Σ p_i log Σ p_j exp{½β²(m_i+m_j)ᵀ(I+S)⁻¹(m_i+m_j) − ½β(‖m_i‖²+‖m_j‖²)}`,
    `m_i = √g ξ_i`.
    """
    variances, basis = core.principal
    spread = gap * variances
    s = formula.family_shrinkage(beta, spread)
    gauss_part = formula.family_gauss_part(s, spread, torch).sum()
    white = math.sqrt(gap) * (core.xi @ basis) / (1 + s).sqrt()
    own = beta**2 / 2 * white.square().sum(dim=1) - beta / 2 * gap * core.norms2
    exponents = (white @ (beta**2 * white).mT).add_(own).add_(own[:, None])
    return (1 - beta) * spread.sum() + gauss_part + core.p @ _log_mean_exp(core.p, exponents)


def _log_of_sums(p: Tensor, exponents: Tensor) -> Tensor:
    """`log Σ_j p_j exp(a_ij)` for weights that sum to one and exponents that are not large; overwrites `exponents` (n, n).

    Near one by expm1, which keeps the digits of what the sum is off; else from the positive terms themselves: of an atom of weight 1e-15 far from all others
    the sum is that weight, of which `1 + Σ p_j expm1(a_ij)` keeps one digit.
    """
    away = exponents.expm1() @ p
    far = away < _FAR
    if not bool(far.any()):
        return torch.log1p(away)
    return torch.where(far, (exponents.exp_() @ p).log(), torch.log1p(away.clamp(min=_FAR)))


def _log_mean_exp(p: Tensor, exponents: Tensor) -> Tensor:
    """`log Σ_j p_j exp(a_ij)` for weights that sum to one; overwrites `exponents` (n, n)."""
    top = exponents.amax(dim=1)
    if bool((top.abs() < _LARGE).all()):
        return _log_of_sums(p, exponents)
    # of sums near one nothing is taken out, for they would lose the digits of what they are off
    shift = torch.where(top.abs() < _LARGE, 0.0, top)
    return shift + _log_of_sums(p, exponents.sub_(shift[:, None]))

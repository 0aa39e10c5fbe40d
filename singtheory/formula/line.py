r"""The bounds B2, B9 and B10 for atoms on a line, in any arithmetic: floats, balls, power series, symbols.

`pairwise` has the same sums as matrix products, for many atoms in any dimension; here they are loops over a few atoms with plain
operators, so that `interval` can certify them and expand them. Points are `y_i`, weights `p_i` of the posterior (sum one), `gap` is g,
and the namespace `xp` gives `exp` and `log` (`formula`).
"""

from collections.abc import Sequence
from itertools import product

from singtheory import formula
from singtheory.formula import Namespace, Number

Numbers = Sequence[Number]


def _square(x: Number) -> Number:
    return x * x  # a power takes a logarithm in ball arithmetic, and a ball about zero has none


def variance(points: Numbers, weights: Numbers) -> Number:
    """`C = Σ p_i ξ_i²`."""
    return sum(p * x * x for p, x in zip(weights, centred(points, weights), strict=True))


def centred(points: Numbers, weights: Numbers) -> list[Number]:
    """`ξ_i = y_i − Σ p_j y_j`."""
    mean = sum(p * y for p, y in zip(weights, points, strict=True))
    return [y - mean for y in points]


def kl_chi2(points: Numbers, weights: Numbers, gap: Number, xp: Namespace) -> Number:
    """`log(1 + χ²) = log Σ p_i p_j exp(g ξ_i ξ_j)` (B1, B2)."""
    atoms = list(zip(weights, centred(points, weights), strict=True))
    return xp.log(sum(p * q * xp.exp(gap * (x * y)) for (p, x), (q, y) in product(atoms, atoms)))


def half_chi2(points: Numbers, weights: Numbers, gap: Number, xp: Namespace) -> Number:
    """`½ log(1 + χ²)`, conjectured to bound KL."""
    return kl_chi2(points, weights, gap, xp) / 2


def half_cumulant(points: Numbers, weights: Numbers, gap: Number, xp: Namespace) -> Number:
    """`½ E_ξ log E_ξ' e^{gξξ'}`, at most `half_chi2` (Jensen), conjectured to bound KL too."""
    atoms = list(zip(weights, centred(points, weights), strict=True))
    return sum(p * xp.log(sum(q * xp.exp(gap * (x * y)) for q, y in atoms)) for p, x in atoms) / 2


def separation(points: Numbers, weights: Numbers, rate: Number, xp: Namespace) -> Number:
    """`Σ_i p_i log Σ_j p_j exp(−rate (y_i − y_j)²)`, from 0 where the atoms coincide to `−H(p)` where they are far apart (B9)."""
    atoms = list(zip(weights, points, strict=True))
    return sum(p * xp.log(sum(q * xp.exp(-rate * _square(x - y)) for q, y in atoms)) for p, x in atoms)


def kl_pair_upper(points: Numbers, weights: Numbers, gap: Number, xp: Namespace) -> Number:
    """`½ g C + Σ p_i log Σ p_j exp(−g d_ij²/8)` (B9)."""
    return formula.kl_trace_bound(gap, variance(points, weights)) + separation(points, weights, gap / 8, xp)


def kl_pair_lower(points: Numbers, weights: Numbers, gap: Number, xp: Namespace) -> Number:
    """`½ g C + Σ p_i log Σ p_j exp(−g d_ij²/2)` (B9)."""
    return formula.kl_trace_bound(gap, variance(points, weights)) + separation(points, weights, gap / 2, xp)


def separated(points: Numbers, weights: Numbers, gap: Number, xp: Namespace) -> Number:
    """`τ`, the share of the weights' entropy by which B9 lies below B3: 0 where the atoms coincide, 1 where they are far apart."""
    entropy = -sum(p * xp.log(p) for p in weights)
    return -separation(points, weights, gap / 8, xp) / entropy


def kl_family_at(points: Numbers, weights: Numbers, gap: Number, beta: Number, xp: Namespace) -> Number:
    """B10 at one β with `S = 1 − 1/(1 + (2β−1)² gC)`."""
    spread = gap * variance(points, weights)
    s = formula.family_shrinkage(beta, spread)
    atoms = list(zip(weights, centred(points, weights), strict=True))

    def exponent(x: Number, y: Number) -> Number:
        return gap * (_square(beta * (x + y)) / (1 + s) - beta * (x * x + y * y)) / 2

    inner = (p * xp.log(sum(q * xp.exp(exponent(x, y)) for q, y in atoms)) for p, x in atoms)
    return (1 - beta) * spread + formula.family_gauss_part(s, spread, xp) + sum(inner)


def ratio(shifts: Numbers, weights: Numbers, u: Number, xp: Namespace) -> Number:
    """`r(u) = dP/dQ = Σ p_i exp(m_i u − m_i²/2)` for centred `m_i = √g ξ_i` (B12)."""
    return sum(p * xp.exp(m * (u - m / 2)) for p, m in zip(weights, shifts, strict=True))


def tv_between(shifts: Numbers, weights: Numbers, low: Number, high: Number, xp: Namespace) -> Number:
    """`Φ(b) − Φ(a) − Σ p_i [Φ(b − m_i) − Φ(a − m_i)]`: TV where [a, b] is the interval on which `r ≤ 1` (B12)."""
    mass = sum(p * (xp.ndtr(high - m) - xp.ndtr(low - m)) for p, m in zip(weights, shifts, strict=True))
    return xp.ndtr(high) - xp.ndtr(low) - mass

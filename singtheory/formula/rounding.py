"""Rounding: what a posterior mean computed in floating point can be off, whatever the order of its sums."""

from singtheory.formula.number import Namespace, Number

DOUBLE = 2.0**-53
"""Unit roundoff u of float64; that of float32 is `SINGLE`."""
SINGLE = 2.0**-24
UP = 1 + 64 * DOUBLE
"""Lifts a float64 of a few roundings, or a sum of such positive ones, above its exact value."""
LEAST_FLOAT, LEAST_NORMAL = 5e-324, 2.0**-1022
"""The least float64, by which what underflows is off at most, and the least that has all its digits."""
HALF = 2.0**-11
"""The unit of float16, whose numbers below 2^-14 have the absolute error 2^-25."""
MATRIX = 2.0**-22
"""At least what an addition of a GPU's matrix unit takes from the sum of sizes: float16 products are exact, sums are cut after 23 bits."""


def accumulation(roundings: Number, unit: Number) -> Number:
    """`γ_n = nu/(1 − nu)`: a sum of products with n roundings on every path is off by at most `γ_n Σ|a_j b_j|` (Higham 2002, 3.5)."""
    return roundings * unit / (1 - roundings * unit)


def eigenvalue_error(dim: int, largest: Number) -> Number:
    """`4d u‖Σ‖`: at least what the computed eigenvalues of Σ are off by, for they are those of `Σ + F` with such a norm (Golub and Van Loan 2013, 8.1); of a number, 0."""
    return 4 * dim * DOUBLE * largest if dim > 1 else 0 * largest


def logit_error(unit: Number, product: Number, square: Number, others: Number) -> Number:
    """`δ = u (p √γ‖z‖‖y‖ + q γ‖y‖²/2 + …)`, the parts given with their roundings: at least the error of a log weight."""
    return unit * (product + square + others)


def tilt(delta: Number, xp: Namespace) -> Number:
    """`η = e^δ − 1`, at least the relative change of a weight whose logarithm is off by δ."""
    return xp.expm1(delta)


def tilt_error(moved: Number, mass: Number) -> Number:
    """`Σ q_i η_i‖y_i − m_q‖ / (1 − Σ q_i η_i)`, from the two sums: at least `‖m_p − m_q‖` where `p_i ∝ q_i(1 + ε_i)`, `|ε_i| ≤ η_i`.

    For `m_p − m_q = Σ q_i ε_i (y_i − m_q) / (1 + Σ q_i ε_i)`; infinite where the weights may have lost all their mass.
    """
    return moved / (1 - mass)


def truncation_error(share: Number, reach: Number) -> Number:
    """`τ‖m_left out − m_kept‖ ≤ τ · reach`: what leaving out a share τ of the mass moves the mean."""
    return share * reach


def series_error(radius: Number, growth: Number, variance: Number) -> Number:
    """`ρ e^{2T} Var t`, given `e^{2T}`: at least the error of `E y + Cov(y, t)` as the mean under weights `∝ w e^t`, `|t| ≤ T`, `‖y − μ‖ ≤ ρ` (C1).

    Along `w e^{ht}` the mean has the second derivative `E_h ξ(t − E_h t)²`; `‖ξ‖ ≤ 2ρ` and `Var_h t ≤ e^{2T} Var t`.
    """
    return radius * growth * variance

r"""Derivations in sympy: the formulas of `singtheory.formula` on symbols, and the expansions that they are compared with.

Nothing here is a result typed in: each function derives its expression from a definition (a ratio of moments, a quadratic log
density, a Hermite expansion), and the claims ask whether the formula is the same.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import SimpleNamespace

import sympy
from sympy import Expr, Symbol

NAMESPACE = SimpleNamespace(
    log=sympy.log, log1p=lambda x: sympy.log(1 + x), exp=sympy.exp, sqrt=sympy.sqrt, erf=sympy.erf, pi=sympy.pi
)
"""What `singtheory.formula` needs to work on symbols."""

Pair = tuple[Expr, Expr]
Rule = Callable[[Expr, Expr], Expr]
"""Maps α and σ to a coordinate's scale or clock."""


def coefficients(expression: Expr, variable: Symbol, order: int) -> list[Expr]:
    """The Taylor coefficients at zero up to `order`, by differentiation."""
    terms = []
    for k in range(order + 1):
        terms.append(sympy.simplify(expression.subs(variable, 0) / sympy.factorial(k)))
        expression = sympy.diff(expression, variable)
    return terms


def moment(*powers: int) -> Expr:
    """The symbol of `E[y^i p^j q^k]`, for a component y of `x_0`, `p = ⟨x, x_0⟩` and `q = ‖x_0‖²`; of `E ξ^k` for one power."""
    return sympy.Integer(1) if not any(powers) else Symbol("m_" + "".join(map(str, powers)), real=True)


def _expectation(polynomial: Expr, variables: tuple[Symbol, ...]) -> Expr:
    """Every monomial replaced by its moment."""
    terms = sympy.Poly(sympy.expand(polynomial), *variables).terms()
    return sympy.Add(*(coefficient * moment(*powers) for powers, coefficient in terms))


@lru_cache
def denoiser_expansion(sigma: Symbol) -> list[Expr]:
    """The coefficients of `1, α, α²` in one component of `x̂ = E[x_0 w]/E[w]`, `w = exp(α⟨x,x_0⟩/σ² − α²‖x_0‖²/2σ²)` (C1).

    Bayes' rule leaves just this weight: `‖x‖²` cancels. In any dimension, for symbols `moment(i, j, k)`.
    """
    alpha, y, p, q = sympy.symbols("alpha y p q", real=True)
    weight = sympy.exp(alpha * p / sigma**2 - alpha**2 * q / (2 * sigma**2))
    taylor = sympy.Add(*(c * alpha**k for k, c in enumerate(coefficients(weight, alpha, 2))))
    return coefficients(_expectation(y * taylor, (y, p, q)) / _expectation(taylor, (y, p, q)), alpha, 2)


@lru_cache
def kl_expansion() -> tuple[Expr, Expr]:
    """The coefficients of `g²` and `g³` in `KL(P‖Q)` in one dimension, for symbols `moment(k)` of ξ (B6, C5).

    From `r − 1 = Σ_k g^{k/2} E[ξ^k] He_k(u)/k!` and `KL = E_Q[(r−1)²/2 − (r−1)³/6 + …]`; later terms are of order g⁴.
    """
    root, u = sympy.symbols("h u", real=True)
    hermite = [sympy.simplify(2 ** (-sympy.Rational(k, 2)) * sympy.hermite(k, u / sympy.sqrt(2))) for k in range(5)]
    excess = sympy.Add(*(root**k * moment(k) * hermite[k] / sympy.factorial(k) for k in (2, 3, 4)))
    density = sympy.Poly(sympy.expand(excess**2 / 2 - excess**3 / 6), root, u)
    by_order = {4: sympy.Integer(0), 6: sympy.Integer(0)}
    for (order, power), coefficient in density.terms():
        if order in by_order and power % 2 == 0:
            by_order[order] += coefficient * sympy.factorial2(power - 1)  # E u^{2k} = (2k − 1)!!
    return sympy.expand(by_order[4]), sympy.expand(by_order[6])


def coordinates(combination: Expr, vectors: Sequence[Symbol]) -> Sequence[Expr]:
    """The coefficients of a linear combination of vectors; symbols stand for vectors of any dimension.

    Raises:
        ValueError: if the expression is not linear in them, or something is left.
    """
    slopes = [sympy.diff(combination, vector) for vector in vectors]
    rest = combination.subs(dict.fromkeys(vectors, 0))
    if any(coefficient.has(*vectors) for coefficient in slopes) or sympy.simplify(rest) != 0:
        raise ValueError(f"{combination}: no linear combination of {', '.join(map(str, vectors))}")
    return slopes


def inner(left: Expr, right: Expr, vectors: Sequence[Symbol], gram: sympy.Matrix) -> Expr:
    """`⟨left, right⟩` of two linear combinations of vectors, in any dimension, from the inner products `gram` of the vectors.

    With covariances in the place of inner products it is the covariance of two combinations of random vectors.
    """
    rows = [sympy.Matrix([coordinates(side, vectors)]) for side in (left, right)]
    return sympy.expand((rows[0] * gram * rows[1].T)[0, 0])


def expected_log_isotropic(dim: Expr, var: Expr, distance2: Expr) -> Expr:
    """`E log N(x; m, var·I)` in `dim` dimensions, for any x with `E‖x − m‖² = distance2` (C6)."""
    return -dim * sympy.log(2 * sympy.pi * var) / 2 - distance2 / (2 * var)


def observed_rate(value: Expr, psi: Expr, place: Sequence[Symbol], gap: Symbol) -> Expr:
    """`d/dh E F(y_h, h)` before the mean is taken: `LF = ∂_h F + ⟨∇ψ, ∇F⟩ + ½ΔF` for `y_h = hξ + √h n` (B11).

    `ψ(y, h) = log E exp(⟨ξ, y⟩ − ½h‖ξ‖²)` may be any function with `∂_h e^ψ = −½Δe^ψ`, which replaces its derivatives in h.

    Args:
        value: F, made of derivatives of ψ in y.
        psi: an undefined function of y and h.
        place: the coordinates of y.
        gap: h.
    """
    slope = -sympy.Add(*(psi.diff(y, 2) + psi.diff(y) ** 2 for y in place)) / 2
    moved = value.diff(gap)
    for derivative in moved.atoms(sympy.Derivative):
        if gap in derivative.variables:  # it comes first or last, once
            moved = moved.subs(derivative, slope.diff(*(axis for axis in derivative.variables if axis != gap)))
    return moved + sympy.Add(*(psi.diff(y) * value.diff(y) + value.diff(y, 2) / 2 for y in place))


def gaussian_denoiser(x: Expr, mean: Expr, eigenvalue: Expr, alpha: Expr, sigma: Expr) -> Expr:
    """`x̂` for data `N(μ, λ)` on a line: where the log density of `x_0` given x, a parabola, is largest (C7)."""
    y = sympy.Dummy("y", real=True)
    log_density = -((y - mean) ** 2) / (2 * eigenvalue) - (x - alpha * y) ** 2 / (2 * sigma**2)
    slope = sympy.diff(log_density, y)  # linear in y
    return sympy.cancel(-slope.subs(y, 0) / slope.diff(y))


def expected_log_normal(mean: Expr, var: Expr, first: Expr, second: Expr) -> Expr:
    """`E log N(x; mean, var)` on a line for any x with `E x = first` and `E x² = second` (C6)."""
    return -sympy.log(2 * sympy.pi * var) / 2 - (second - 2 * mean * first + mean**2) / (2 * var)


def euler_in_chart(x: Expr, drift: Expr, here: Pair, rates: Pair, there: Pair, scale: Rule, clock: Rule) -> Expr:
    """Euler's rule for `ẋ = drift` in the coordinate `x/scale(α, σ)` with the time `clock(α, σ)`, by the chain rule (E1)."""
    t = sympy.Dummy("t")
    path, alpha, sigma = (sympy.Function(name)(t) for name in ("X", "A", "S"))
    slope = sympy.diff(path / scale(alpha, sigma), t) / sympy.diff(clock(alpha, sigma), t)
    slope = slope.subs([(path.diff(t), drift), (alpha.diff(t), rates[0]), (sigma.diff(t), rates[1])])
    slope = slope.subs([(path, x), (alpha, here[0]), (sigma, here[1])])
    return scale(*there) * (x / scale(*here) + slope * (clock(*there) - clock(*here)))


def stationary_neighbour(snr: tuple[Symbol, Symbol], levels: tuple[Symbol, Symbol], slope: Symbol) -> Expr:
    """The `γ_2` for which `Σ_k ½∫(m(γ_k) − m(γ))dγ` of two steps from `γ_0` does not change with `γ_1`, any mmse m (E2).

    Args:
        snr: `γ_0, γ_1`.
        levels: what stands for `m(γ_0), m(γ_1)`.
        slope: what stands for `m′(γ_1)`.
    """
    m, after, h = sympy.Function("m"), sympy.Dummy("after"), sympy.Dummy("h")
    cost = sympy.Add(
        *(
            (m(low) * (high - low) - sympy.Integral(m(h), (h, low, high))) / 2
            for low, high in ((snr[0], snr[1]), (snr[1], after))
        )
    )
    change = sympy.diff(cost, snr[1]).doit()
    named = change.subs(m(snr[1]).diff(snr[1]), slope).subs({m(snr[0]): levels[0], m(snr[1]): levels[1]})
    return sympy.solve(named, after)[0]


def root_step(epsilon: Symbol, height: Symbol, tilt: Symbol) -> tuple[Expr, Expr]:
    """The gap of a step with `∫√|mmse′| = ε`, `|mmse′| = height + tilt·h + …` along it, and its cost, up to `ε³` (E2)."""
    h, gap, second = sympy.symbols("h g c", real=True)
    root = sympy.Add(*(c * h**k for k, c in enumerate(coefficients(sympy.sqrt(height + tilt * h), h, 1))))
    reached = sympy.integrate(root, (h, 0, gap))
    guess = epsilon / sympy.sqrt(height) + second * epsilon**2
    solution = sympy.solve(coefficients(sympy.expand(reached.subs(gap, guess)), epsilon, 2)[2], second)[0]
    fall = sympy.integrate(height + tilt * h, (h, 0, gap))  # mmse(γ_k) − mmse(γ_k + g)
    cost = sympy.integrate(fall, gap) / 2
    taken = guess.subs(second, solution)
    return taken, sympy.Add(*(c * epsilon**k for k, c in enumerate(coefficients(cost.subs(gap, taken), epsilon, 3))))

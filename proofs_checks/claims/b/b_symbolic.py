"""Symbolic steps of B6, B10 and B11: derivatives along an observation, the orders of KL that follow, and a Gaussian integral.

Sympy needs coordinates, so these are for one and two dimensions, with functions and matrices of the most general kind; the pages of the
derivations have the same steps with indices, for every dimension. None of them covers a whole statement.
"""

import itertools
from collections.abc import Sequence

import sympy
from sympy import Expr, Symbol

from proofs_checks.claims.a.a_symbolic import all_zero, holds
from proofs_checks.harness.claim import Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import worst
from singtheory import formula
from singtheory.formula import symbolic

XP = symbolic.NAMESPACE
GAP = sympy.Symbol("h", positive=True)


def cumulants(dim: int) -> tuple[Expr, tuple[Symbol, ...]]:
    """An undefined `ψ(y_1, …, y_d, h)` and its coordinates y; its derivatives in y are the posterior's cumulants."""
    place = sympy.symbols(f"y_1:{dim + 1}", real=True)
    return sympy.Function("psi")(*place, GAP), place


def contracted(psi: Expr, place: Sequence[Symbol], order: int) -> Expr:
    """`‖∇^k ψ‖²`, the squared norm of the cumulant tensor: `‖C‖_F²` for k = 2, `‖κ‖²` for 3."""
    return sympy.Add(*(psi.diff(*axes) ** 2 for axes in itertools.product(place, repeat=order)))


def _mixed(psi: Expr, place: Sequence[Symbol]) -> Expr:
    """`Σ κ_ijk κ_ijl C_kl`."""
    return sympy.Add(
        *(psi.diff(i, j, k) * psi.diff(i, j, m) * psi.diff(k, m) for i, j, k, m in itertools.product(place, repeat=4))
    )


def derivatives(_: Sides, __: Context) -> Outcome:
    """B11: the rates of mean, covariance, `tr C` and `‖C‖_F²`; B6: that of `‖κ‖² − 2 tr C³`."""
    return worst(all_zero({f"{name}, d = {dim}": of for name, of in rates(*cumulants(dim)).items()}) for dim in (1, 2))


def rates(psi: Expr, place: Sequence[Symbol]) -> dict[str, Expr]:
    """What the rates of means along the observation are, less what they are stated to be, for any ψ: all zero."""
    dim = len(place)
    cov = sympy.Matrix(dim, dim, lambda i, j: psi.diff(place[i], place[j]))

    def rate(value: Expr) -> Expr:
        return symbolic.observed_rate(value, psi, place, GAP)

    second = contracted(psi, place, 3) - 2 * (cov**3).trace()  # of ‖C‖_F²
    of_second = contracted(psi, place, 4) - 12 * _mixed(psi, place) + 6 * (cov**4).trace()
    residuals = {
        "mean": rate(psi.diff(place[0])),
        "covariance": rate(psi.diff(place[0], place[-1])) + (cov**2)[0, -1],
        "tr C": rate(sympy.Add(*(psi.diff(y, 2) for y in place))) + contracted(psi, place, 2),
        "‖C‖_F²": rate(contracted(psi, place, 2)) - second,
        "‖κ‖² − 2 tr C³": rate(second) - of_second,
    }
    return {name: _named(residual) for name, residual in residuals.items()}


def _named(expression: Expr) -> Expr:
    """Every derivative of ψ as a symbol, so that only polynomials are compared."""
    expression = sympy.expand(expression.doit())
    known = sorted(expression.atoms(sympy.Derivative), key=lambda d: (-d.derivative_count, str(d)))
    return expression.subs({derivative: Symbol(f"p_{k}", real=True) for k, derivative in enumerate(known)})


def orders(sides: Sides, _: Context) -> Outcome:
    """B6 from B11: `½∫(g−h)f(h)dh` with `f = f_0 + f_1 h + ½ f_2 h²`, `f_0 = ‖C‖_F²`, `f_1 = ‖κ‖² − 2 tr C³`, any d; the remainders."""
    g, frobenius2, skewness2, cube, curvature, diameter, y = sympy.symbols("g F K T f_2 D y", positive=True)

    def weighed(value: Expr) -> Expr:
        return sympy.integrate(sympy.expand((g - GAP) * value), (GAP, 0, g)) / 2

    x = diameter**2 * g
    most = 7 * diameter**4 * frobenius2 * sympy.exp(x)  # |f''| up to h = g
    gauss = symbolic.coefficients(formula.kl_gauss_term(y, sympy.Integer(1), XP), y, 4)
    # ‖∇⁴ψ‖ ≤ (D² + 3·D²/2)‖C‖_F, tr C⁴ ≤ D⁴‖C‖_F²/16, and 12 Σκ_ijk κ_ijl C_kl ≤ 12·D⁴‖C‖_F²/4 on the other side
    largest = sympy.Max(sympy.Rational(5, 2) ** 2 + sympy.Rational(6, 16), sympy.Rational(12, 4))
    zero = all_zero(
        {
            "g²": weighed(frobenius2) - sides["leading_term"](g, frobenius2),
            "g³": weighed(GAP * (skewness2 - 2 * cube)) - g**3 * sides["cubic_term"](skewness2, cube),
            "g³ in KL(P‖M)": g**3 * (sides["cubic_term"](skewness2, cube) - gauss[3] * cube)
            - sides["moment_term"](g, skewness2),
            "remainder": weighed(GAP**2 * curvature / 2).subs(curvature, most)
            - formula.kl_small_gap_error(g, frobenius2, diameter, XP),
            # the fourth derivative of ½(y − log(1 + y)) lies between 0 and 3, so it is within y⁴/8 of its first two terms; and tr C⁴ ≤ D⁴‖C‖_F²/16
            "remainder, KL(P‖M)": formula.kl_moment_small_gap_error(g, frobenius2, diameter, XP)
            - formula.kl_small_gap_error(g, frobenius2, diameter, XP)
            - sympy.Abs(gauss[4]) * g**4 * diameter**4 * frobenius2 / 16,
        }
    )
    return worst([zero, holds((7 - largest).is_nonnegative, "7 D⁴‖C‖_F² is at least the second derivative")])


def tilted_integral(_: Sides, __: Context) -> Outcome:
    """B10: `E_Q exp(⟨w, u⟩ − ½uᵀSu) = det(I + S)^{-1/2} exp(½wᵀ(I + S)^{-1}w)` and `E_i ℓ_i`, for every symmetric S in the plane."""
    s_1, s_2, s_12, beta = sympy.symbols("s_1 s_2 s_12 beta", real=True)
    axes = sympy.symbols("u_1:3", real=True)
    u, w, m = sympy.Matrix(axes), *(sympy.Matrix(sympy.symbols(f"{name}_1:3", real=True)) for name in "wm")
    tilt = sympy.Matrix([[s_1, s_12], [s_12, s_2]])
    widened = sympy.eye(2) + tilt
    centre = widened.inv() * w
    exponent = (w.T * u - u.T * widened * u / 2)[0]  # with the −½‖u‖² of Q
    completed = (-(u - centre).T * widened * (u - centre) / 2 + w.T * widened.inv() * w / 2)[0]
    shifted = m + u  # u ~ N(0, I): means of products of coordinates are 1 or 0
    ell = sympy.expand((shifted.T * tilt * shifted / 2 + (1 - beta) * m.T * shifted)[0])
    of_u = sympy.Poly(ell, *axes)
    mean = sympy.Add(*(of_u.coeff_monomial(power) for power in (1, axes[0] ** 2, axes[1] ** 2)))
    stated = (tilt.trace() + (m.T * tilt * m)[0]) / 2 + (1 - beta) * (m.T * m)[0]
    # what is left is ∫exp(−½vᵀ(I + S)v)dv/2π; elimination of one coordinate leaves these two pivots
    pivots = widened[0, 0] * (widened[1, 1] - widened[0, 1] ** 2 / widened[0, 0])
    return all_zero(
        {"completed square": exponent - completed, "E_i ℓ_i": mean - stated, "determinant": pivots - widened.det()}
    )

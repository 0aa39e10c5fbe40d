"""Symbolic proofs of A1 to A3, for steps in any dimension and with both ends of time.

Every noise is isotropic, so all that is claimed is linear: `x_t = α_{t|s} x_s + σ_{t|s} n` has scalar coefficients, and covariances are
multiples of the identity. `symbolic.inner` is bilinear and knows no dimension. Symbols may be 0 wherever a time may be an end:
`σ_s = 0` at s = 0, `α_t = 0` at t = 1. What is divided by, `α_s` and `σ_t`, is positive. Used beyond the algebra: jointly Gaussian
vectors without covariance are independent, and a bijection keeps KL, TV and χ².
"""

import sympy
from sympy import Expr

from proofs_checks.harness.claim import Outcome, Sides, Verdict
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import identically_zero, worst
from singtheory import formula
from singtheory.formula import symbolic

ALPHA_S, SIGMA_T = sympy.symbols("alpha_s sigma_t", positive=True)
SIGMA_S, ALPHA_T = sympy.symbols("sigma_s alpha_t", nonnegative=True)


def all_zero(residuals: dict[str, Expr]) -> Outcome:
    """Every residual reduces to zero, each under its name."""
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def holds(fact: bool | None, where: str) -> Outcome:
    """Proved if sympy knows the fact for all values of the symbols, refuted if it knows the contrary, undecided if it knows neither."""
    verdict: Verdict = "undecided" if fact is None else "proved" if fact else "refuted"
    return Outcome(verdict, 0.0, 0.0, 1.0 if fact else -1.0, where)


def composition(sides: Sides, _: Context) -> Outcome:
    """A1: `x_u` given `x_s`, one step inserted into the next; `α_s, α_t > 0`, while `σ_s` and `α_u` may be 0."""
    alpha_t, sigma_u = sympy.symbols("alpha_t sigma_u", positive=True)
    alpha_u = sympy.Symbol("alpha_u", nonnegative=True)
    x_s, first, second = vectors = sympy.symbols("x_s n_1 n_2", real=True)
    step_t = formula.transition_var(alpha_t, SIGMA_T, ALPHA_S, SIGMA_S)
    step_u = formula.transition_var(alpha_u, sigma_u, alpha_t, SIGMA_T)
    noises = sympy.diag(0, step_t, step_u)  # x_s is given; the noises are independent and isotropic
    x_t = formula.alpha_ratio(alpha_t, ALPHA_S) * x_s + first
    x_u = formula.alpha_ratio(alpha_u, alpha_t) * x_t + second
    direct = formula.transition_var(alpha_u, sigma_u, ALPHA_S, SIGMA_S)
    stated = sides["composed"](ALPHA_S, SIGMA_S, alpha_t, SIGMA_T, alpha_u, sigma_u)
    return all_zero(
        {
            "mean": symbolic.coordinates(x_u, vectors)[0] - formula.alpha_ratio(alpha_u, ALPHA_S),
            "variance of two steps": symbolic.inner(x_u, x_u, vectors, noises) - stated,
            "variance of one step": stated - direct,
        }
    )


def bridge(sides: Sides, _: Context) -> Outcome:
    """A2: given `x_0`, `x_s − a x_t − b x_0` has mean 0, variance c² and no covariance with `x_t`; then the ends themselves."""
    coefficients = ALPHA_T, SIGMA_T, ALPHA_S, SIGMA_S
    a, b, var = (sides[name](*coefficients) for name in ("a", "b", "var"))
    x_0, first, second = vectors = sympy.symbols("x_0 n_s n", real=True)
    noises = sympy.diag(0, 1, formula.transition_var(*coefficients))
    x_s = ALPHA_S * x_0 + SIGMA_S * first
    x_t = formula.alpha_ratio(ALPHA_T, ALPHA_S) * x_s + second
    residual = x_s - a * x_t - b * x_0
    at_0, at_1 = {SIGMA_S: 0}, {ALPHA_T: 0}
    return all_zero(
        {
            "mean": symbolic.coordinates(residual, vectors)[0],
            "covariance with x_t": symbolic.inner(residual, x_t, vectors, noises),
            "c²": symbolic.inner(residual, residual, vectors, noises) - var,
            "x_t given x_0": symbolic.inner(x_t, x_t, vectors, noises) - SIGMA_T**2,
            "a at s = 0": a.subs(at_0),
            "b at s = 0": b.subs(at_0) - ALPHA_S,
            "c² at s = 0": var.subs(at_0),
            "a at α_t = 0": a.subs(at_1),
            "b at α_t = 0": b.subs(at_1) - ALPHA_S,
            "c² at α_t = 0": var.subs(at_1) - SIGMA_S**2,
        }
    )


def gap_identity(sides: Sides, _: Context) -> Outcome:
    """A3: in the coordinate u the kernel is `√g ξ + n` and the plug-in Gaussian is n: of the step nothing is left but g.

    `σ²_{t|s} > 0` is the symbol from which `σ_t` is made, so that roots of squares simplify; `α_t = 0` is included.
    """
    sigma_s, step_var = sympy.symbols("sigma_s V", positive=True)
    sigma_t = sympy.sqrt(step_var + (formula.alpha_ratio(ALPHA_T, ALPHA_S) * sigma_s) ** 2)
    coefficients = ALPHA_T, sigma_t, ALPHA_S, sigma_s
    a, b, c = (
        sympy.simplify(value)
        for value in (
            formula.bridge_a(*coefficients),
            formula.bridge_b(*coefficients),
            sympy.sqrt(formula.bridge_var(*coefficients)),
        )
    )
    x_t, x_hat, xi, noise = vectors = sympy.symbols("x_t xhat xi n", real=True)
    kernel, plug_in = a * x_t + b * (x_hat + xi) + c * noise, a * x_t + b * x_hat + c * noise
    of_kernel, of_plug_in = (
        symbolic.coordinates((x_s - a * x_t - b * x_hat) / c, vectors) for x_s in (kernel, plug_in)
    )
    gap = sides["gap"](formula.snr(ALPHA_T, sigma_t), formula.snr(ALPHA_S, sigma_s))
    parts = {
        f"{name} in {which}": row[k] - expected
        for which, row, factor in (("u", of_kernel, sympy.sqrt(sympy.simplify(gap))), ("the plug-in", of_plug_in, 0))
        for k, (name, expected) in enumerate({"x_t": 0, "x̂": 0, "ξ": factor, "n": 1}.items())
    }
    return all_zero({"b²/c²": gap - b**2 / c**2, **parts})

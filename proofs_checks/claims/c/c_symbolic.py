"""Symbolic proofs of C4, C6, C7 and C8, in any dimension.

Vectors enter by their inner products (`symbolic.inner`), covariance matrices by matrices of symbolic size or by what they do to an
eigenvector, so no identity is tied to a dimension. Used beyond the algebra: the fundamental theorem of calculus, Cauchy and Schwarz,
the triangle inequality, and that of jointly Gaussian vectors the best linear prediction is the conditional mean.
"""

import sympy
from sympy import Expr

from proofs_checks.claims.a.a_symbolic import all_zero, holds
from proofs_checks.harness.claim import Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import worst
from singtheory import formula
from singtheory.formula import symbolic

XP = symbolic.NAMESPACE


def reverse_sde(sides: Sides, _: Context) -> Outcome:
    """C4: both coefficients for any α; the integral and its limit; mean and covariance of `x_1` in any dimension; the kernel."""
    t, start, alpha_s, alpha_r, sigma_s, sigma_1 = sympy.symbols("t s a_s a_r sigma_s sigma_1", positive=True)
    alpha, dim = sympy.Function("alpha", positive=True), sympy.Symbol("d", positive=True, integer=True)
    rate = sides["rate"](alpha(t), alpha(t).diff(t))
    diffusion2 = sides["diffusion2"](alpha(t), alpha(t).diff(t))
    integral, coefficients = sides["integral_formula"], (sympy.Integer(0), sigma_1, alpha_s, sigma_s)
    mean, noise = vectors = sympy.symbols("mu n", real=True)
    sigma, eye = sympy.MatrixSymbol("Sigma", dim, dim), sympy.Identity(dim)
    # Cov(αx_0 + σn) = α²Σ + σ²I, against that of N(0, I)
    mismatch = alpha_r**2 * sigma + (1 - alpha_r**2) * eye - eye - alpha_r**2 * (sigma - eye)
    plain = {alpha(t).diff(t): sympy.Symbol("a_dot", real=True), alpha(t): sympy.Symbol("a", positive=True)}
    residuals: dict[str, Expr] = {
        "mean of the SDE": rate * alpha(t) - alpha(t).diff(t),
        "variance of the SDE": 2 * rate * (1 - alpha(t) ** 2) + diffusion2 - sympy.diff(1 - alpha(t) ** 2, t),
        "antiderivative": sympy.diff(integral(alpha(start), alpha(t), XP), t) + alpha(t).diff(t) / alpha(t),
        "empty integral": integral(alpha_s, alpha_s, XP),
        "divergence": sympy.limit(sympy.exp(-integral(alpha_s, alpha_r, XP)), alpha_r, 0),
        "mean of x_1": symbolic.coordinates(alpha_r * mean + sigma_1 * noise, vectors)[0] - alpha_r,
        "a at the end": formula.bridge_a(*coefficients),
        "b at the end": formula.bridge_b(*coefficients) - alpha_s,
        "c² at the end": formula.bridge_var(*coefficients) - sigma_s**2,
    }
    same = sympy.expand(mismatch.doit()) == sympy.ZeroMatrix(dim, dim)
    return worst(
        [
            all_zero({where: residual.subs(plain) for where, residual in residuals.items()}),
            holds(same, "covariance of x_1 less I is α_1²(Σ − I)"),
        ]
    )


def mean_start(sides: Sides, _: Context) -> Outcome:
    """C6: both differences of KL in d dimensions, `q_s` the law of `α(μ + ξ) + σn`; then the golden law's negative example."""
    alpha, norm2, trace = sympy.symbols("alpha M T", nonnegative=True)  # α, ‖μ‖² and tr Σ may be 0
    sigma, dim, sigma_1 = sympy.symbols("sigma d sigma_1", positive=True)
    mean, xi, noise = vectors = sympy.symbols("mu xi n", real=True)
    seconds = sympy.diag(norm2, trace, dim)  # E‖·‖² of each; ξ and n have mean 0 and are independent
    x = alpha * (mean + xi) + sigma * noise

    def log_normal(centre: Expr, var: Expr) -> Expr:
        return symbolic.expected_log_isotropic(dim, var, symbolic.inner(x - centre, x - centre, vectors, seconds))

    with_mean = log_normal(alpha * mean, sigma**2)
    noise_gain = sides["noise_gain"](alpha, sigma, norm2, trace, dim, XP)
    zero_image = formula.singular_step(sympy.Integer(0), sigma_1 * noise, alpha, sigma, sigma_1)
    residuals = {
        "against N(0, σ²I)": with_mean
        - log_normal(sympy.Integer(0), sigma**2)
        - sides["gain"](formula.snr(alpha, sigma), norm2),
        "against N(0, I)": sympy.expand_log(with_mean - log_normal(sympy.Integer(0), sympy.Integer(1)) - noise_gain),
        "the step from the average image 0 is N(0, σ²I)": zero_image - sigma * noise,
    }
    points = [sympy.Rational(part, 10) for part in (-13, 2, 11)]  # the golden law
    weights = [sympy.Rational(part, 10) for part in (2, 5, 3)]
    first, second = (sum(w * y**k for w, y in zip(weights, points, strict=True)) for k in (1, 2))
    example = sides["noise_gain"](sympy.Rational(3, 5), sympy.Rational(4, 5), first**2, second - first**2, 1, XP)
    return worst([all_zero(residuals), holds(example.is_negative, "golden law, α = 0.6: negative")])


def brightness_law(sides: Sides, _: Context) -> Outcome:
    """C7 along an eigenvector e of Σ in any dimension, `λ = 0` and `α = 0` included.

    `Σe = λe` is all that is used of Σ. The prediction of `⟨e, x_0⟩` from all of `x_t` is found from its own coordinate alone; then the
    flow in it is one linear equation.
    """
    alpha, eigenvalue = sympy.symbols("a lam", nonnegative=True)
    sigma, dim, t = sympy.symbols("s d t", positive=True)
    x, mean, start, var, a_dot, s_dot, total = sympy.symbols("x mu m v a_dot s_dot S", real=True)
    slope = formula.posterior_slope(alpha, sigma, eigenvalue)
    # Cov(⟨e, x_0⟩ − k⟨e, x_t⟩, x_t) = αΣe − k(α²Σ + σ²I)e, a multiple of e
    uncorrelated = alpha * eigenvalue - slope * (alpha**2 * eigenvalue + sigma**2)
    x_hat = mean + slope * (x - alpha * mean)
    drift = formula.ode_drift(a_dot, s_dot, x_hat, formula.epsilon_of(x, x_hat, alpha, sigma))
    alpha_of, sigma_of, x_of = (sympy.Function(name)(t) for name in ("alpha", "sigma", "x"))
    kept = (x_of - alpha_of * mean) / sympy.sqrt(formula.marginal_var(alpha_of, sigma_of, eigenvalue))
    rates = {x_of.diff(t): drift, alpha_of.diff(t): a_dot, sigma_of.diff(t): s_dot}
    change = kept.diff(t).subs(rates).subs({x_of: x, alpha_of: alpha, sigma_of: sigma})
    at_0 = sympy.sqrt(formula.marginal_var(1, 0, eigenvalue))  # the root at t = 0
    matched = formula.marginal_var(alpha, sigma, eigenvalue)
    carried = mean + at_0 * (x - alpha * mean) / sympy.sqrt(matched)
    end_mean, end_var = sides["end_mean"], sides["end_var"]
    pulled = end_mean(mean, eigenvalue, 0, alpha, sigma, XP)
    factor = sympy.simplify(1 - pulled / mean)  # μ is multiplied by 1 − this
    brightness = total / dim  # S is the sum of all values of an image
    residuals = {
        "prediction along e": uncorrelated,
        "the root is kept": change,
        "mean": carried.subs(x, start) - end_mean(mean, eigenvalue, start, alpha, sigma, XP),
        "variance": carried.diff(x) ** 2 * var - end_var(eigenvalue, var, alpha, sigma),
        "noise start, mean: 1 less a root below 1": factor**2 - (1 - sigma**2 / matched),
        "noise start, variance": end_var(eigenvalue, 1, alpha, sigma) * matched - eigenvalue,
        "mean start and matched start, mean": end_mean(mean, eigenvalue, alpha * mean, alpha, sigma, XP) - mean,
        "mean start, variance": sides["mean_start_end"](eigenvalue, alpha, sigma) * matched - eigenvalue * sigma**2,
        "matched start, variance": end_var(eigenvalue, matched, alpha, sigma) - eigenvalue,
        "λ = 0, mean": end_mean(mean, eigenvalue, start, alpha, sigma, XP).subs(eigenvalue, 0) - mean,
        "λ = 0, variance": end_var(eigenvalue, var, alpha, sigma).subs(eigenvalue, 0),
        "Var⟨x, (1, …, 1)/√d⟩ in units of Var(brightness)": (total / sympy.sqrt(dim)).diff(total) ** 2
        - sides["brightness"](1, dim) * brightness.diff(total) ** 2,
    }
    positive_root = sympy.sqrt(1 - sigma**2 / matched) - factor  # the root is the positive one
    return worst([all_zero(residuals), all_zero({"the pull is a root": positive_root})])


def guidance(sides: Sides, _: Context) -> Outcome:
    """C8 for all vectors c and u of any dimension and all `w ≥ 1`, by their norms and inner product."""
    excess, cond, uncond, apart = sympy.symbols("k C U A", nonnegative=True)  # w − 1, ‖c‖, ‖u‖, ‖c − u‖
    product, w = sympy.Symbol("p", real=True), 1 + excess  # p = ⟨c, u⟩
    c, u = vectors = sympy.symbols("c u", real=True)
    gram = sympy.Matrix([[cond**2, product], [product, uncond**2]])
    polar = {product: (cond**2 + uncond**2 - apart**2) / 2}  # ‖c − u‖² = ‖c‖² + ‖u‖² − 2⟨c, u⟩
    guided = sides["normalised"](c, u, w)
    norm2 = symbolic.inner(guided, guided, vectors, gram)
    bound, nearer = sides["bound"](cond, uncond, w), sides["segment"](cond, apart, w)
    factor = sympy.simplify(1 - 1 / w)
    # by Cauchy and Schwarz both remainders are products of numbers that are not negative
    remainder, nearer_remainder = (
        2 * factor * (cond * uncond + product),
        2 * factor / w * (cond * apart - (cond**2 - product)),
    )
    residuals = {
        "plain over w": guided - sides["plain"](c, u, w) / w,
        "c − (1 − 1/w)u": guided - (c - factor * u),
        "between c and c − u": guided - c / w - factor * (c - u),
        "bound² − ‖ȳ_w‖²": bound**2 - norm2 - remainder,
        "‖c − u‖²": (symbolic.inner(c - u, c - u, vectors, gram) - apart**2).subs(polar),
        "sharper bound² − ‖ȳ_w‖²": (nearer**2 - norm2 - nearer_remainder).subs(polar),
        "the sharper bound at its most, ‖c − u‖ = ‖c‖ + ‖u‖": nearer.subs(apart, cond + uncond) - bound,
        "attained where c and u are opposite": (bound**2 - norm2).subs(product, -cond * uncond),
        "c = u": guided.subs(u, c) - c / w,
        "ȳ_w − c": (guided - c) * w + excess * u,  # a multiple of (w − 1)u: 0 if and only if w = 1 or u = 0
        "growth": sympy.limit(sides["plain"](c, u, w) / w, excess, sympy.oo) - (c - u),
    }
    below_one = sides["bound"](sympy.Integer(0), uncond, 1 - excess / (1 + excess))  # w = 1/(1 + k), c = 0
    return worst(
        [
            all_zero(residuals),
            holds(factor.is_nonnegative, "1 − 1/w ≥ 0"),
            holds(sympy.diff(nearer, apart).simplify().is_nonnegative, "the sharper bound grows with ‖c − u‖"),
            holds((-below_one).simplify().is_nonnegative, "w < 1: at c = 0 the bound is not positive"),
        ]
    )

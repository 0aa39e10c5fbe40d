"""Claims C1 and C2: the denoiser and the three predictions where α vanishes."""

from collections.abc import Callable
from functools import partial

import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, equal, identically_zero, worst
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.instances.laws import GOLDEN, SIGNS, TRI
from proofs_checks.instances.near_ends import NAMED, ROUNDING, Pair, halvings, near_one, number, queries, with_data
from proofs_checks.instances.scales import (
    EPS,
    denoiser_rounding,
    moment_rounding,
    radius,
    series_bound,
    series_rounding,
)
from singtheory import Cosine, Law, RectifiedFlow, formula, limit
from singtheory.formula import symbolic

# --- C1 --------------------------------------------------------------------------------------------------------------


def _c1_symbolic(sides: Sides, _: Context) -> Outcome:
    alpha, sigma, m = sympy.Symbol("alpha", positive=True), sympy.Symbol("sigma", positive=True), symbolic.moment
    constant, linear, quadratic = symbolic.denoiser_expansion(sigma)
    series = sides["formula"](m(1, 0, 0), m(1, 1, 0) - m(1, 0, 0) * m(0, 1, 0), alpha, sigma)
    skewness = m(1, 2, 0) - 2 * m(1, 1, 0) * m(0, 1, 0) - m(1, 0, 0) * m(0, 2, 0) + 2 * m(1, 0, 0) * m(0, 1, 0) ** 2
    cross = m(1, 0, 1) - m(1, 0, 0) * m(0, 0, 1)
    return worst(
        [
            identically_zero(series - constant - alpha * linear, "first two coefficients in α"),
            identically_zero(quadratic - (skewness / sigma**4 - cross / sigma**2) / 2, "second derivative at α = 0"),
            identically_zero(_popoviciu() - formula.denoiser_series_error(*_ERROR_SYMBOLS), "remainder"),
        ]
    )


_ERROR_SYMBOLS = sympy.symbols("alpha sigma D R X", positive=True)


def _popoviciu() -> sympy.Expr:
    """`(α²/2) sup‖x̂''‖`, from the ranges `2RD` of ‖y‖² and `XD` of ⟨x, y⟩: a deviation is at most half of a range."""
    alpha, sigma, diameter, radius, norm = _ERROR_SYMBOLS
    square_range, product_range = 2 * radius * diameter, norm * diameter
    covariance = (diameter / 2) * (square_range / 2) / sigma**2
    third = diameter * ((product_range + alpha * square_range) / (2 * sigma**2)) ** 2
    return alpha**2 / 2 * (covariance + third)


def _series_error(series: Callable[..., Tensor], law: Law, pair: Pair, x: Tensor, alpha: float) -> float:
    gap = limit.denoiser_direct(law, x, *pair(alpha)) - series(law, x, *pair(alpha))
    return float(gap.norm(dim=1).max())


def _c1_rate(sides: Sides, context: Context) -> Outcome:
    outcomes = []
    for label, law in NAMED.items():
        for kind, pair, x, top in near_one(context, law):
            error = partial(_series_error, sides["series"], law, pair, x)
            outcomes.append(vanishes_at_rate(error, halvings(top), 2.0, f"{label}, {kind}"))
    return worst(outcomes)


def _c1_remainder(sides: Sides, context: Context) -> Outcome:
    """The rate on any data: an error below a constant times α², beside what rounding may add."""
    name, data = excerpt(context)
    outcomes = []
    for label, law in {"golden": GOLDEN, "±1": SIGNS, "tri": TRI, name: data}.items():
        for kind, pair, x, top in near_one(context, law):
            for alpha in (0.5, 0.05, top):
                gap = limit.denoiser_direct(law, x, *pair(alpha)) - sides["series"](law, x, *pair(alpha))
                tolerance = sides["error"](law, x, *pair(alpha)) + series_rounding(law, x, *pair(alpha))
                ratio = gap.norm(dim=1) / tolerance
                outcomes.append(at_most(float(ratio.max()), 1.0, f"error/bound, {label}, {kind}, α = {alpha:.2g}"))
    return worst(outcomes)


def _c1_constants(sides: Sides, _: Context) -> Outcome:
    """The golden law has D = 2.4 and R = 1.3."""
    error = sides["error"](GOLDEN, number(2.0).reshape(1, 1), number(0.1), number(3.0))
    known = formula.denoiser_series_error(0.1, 3.0, 2.4, 1.3, 2.0)
    return equal(float(error), known, ROUNDING, "bound, golden, x = 2, α = 0.1, σ = 3")


def _uncentred(law: Law, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    second = x @ (law.cov + torch.outer(law.mean, law.mean))
    return formula.denoiser_series(law.mean, second, alpha, sigma)


register(
    Claim(
        id="C1",
        title="The denoiser near t = 1",
        constant=r"1 before $\frac{\alpha}{\sigma^2}\Sigma x$, exact as a limit; the $\tfrac{1}{8}$ of the remainder is not said to be the best.",
        statement=r"On every schedule with $\sigma_1 > 0$, locally uniformly in $x$, as $\alpha \to 0$: $\hat{x}(x,t) = \mu + \frac{\alpha}{\sigma^2}\Sigma x + "
        r"O(\alpha^2)$ if third moments are finite, with $o(\alpha)$ for $O(\alpha^2)$ if second moments are, and $\hat{x} \to \mu$ if the mean is. On a support of "
        r"diameter $D$ with $\|y\| \le R$ the error of the first two terms is at most $\frac{\alpha^2 D^2}{8\sigma^2}[2R + \frac{D}{\sigma^2}(\|x\| + 2\alpha R)^2]$, at "
        r"every $\alpha$.",
        source="derived on its page; the explicit remainder is added here, and what fewer moments give",
        assumptions="Finite third, second or first moments, as stated for each; for the explicit remainder, bounded support.",
        derivation=r"Bayes' rule weighs $y$ by $w = \exp(\ell)$, $\ell = \alpha\langle x,y\rangle/\sigma^2 - \alpha^2\|y\|^2/2\sigma^2$, and $\hat{x} = N/Z$ with $N = E[yw]$, $Z = E\,w$. "
        r"As $w = e^{\|x\|^2/2\sigma^2}e^{-\|x-\alpha y\|^2/2\sigma^2}$, $w$, $\alpha\|y\|w$ and $\alpha^2\|y\|^2w$ are bounded, locally uniformly in $x$. With a mean, $N \to \mu$ and "
        r"$Z \to 1$ (dominated convergence). At fixed $\sigma$ the derivatives in $\alpha$ are $E[y\ell'w]$ and $E[y(\ell'^2 + \ell'')w]$, and $\|y\ell'\|w \le c\|y\|^2$, "
        r"$\|y(\ell'^2+\ell'')\|w \le c(\|y\|^2 + \|y\|^3)$: with second moments $N$ and $Z$ are continuously differentiable, with third moments the second derivative is bounded. "
        r"At $\alpha = 0$, $\ell' = \langle x,y\rangle/\sigma^2$, so $\hat{x}' = \Sigma x/\sigma^2$. On bounded support $\hat{x}'' = Cov(y, \ell'') + E(y-\hat{x})(\ell'-E\ell')^2$ "
        r"under the weights, and a standard deviation is at most half of the range: $\|y\|^2$ ranges over $2RD$ at most, $\langle x,y\rangle$ over $\|x\|D$; insert into "
        r"$\frac{\alpha^2}{2}\sup\|\hat{x}''\|$.",
        sides={
            "series": limit.denoiser_series,
            "formula": formula.denoiser_series,
            "error": limit.denoiser_series_error,
        },
        checks=(
            Check("exact", "rate 2 of the error: five laws, three kinds of ends", _c1_rate),
            Check("exact", "the explicit remainder, for α up to 0.5: three laws and the data", _c1_remainder),
            Check("exact", "diameter and radius in the remainder's bound: golden", _c1_constants),
            Check("symbolic", "coefficients of 1, α, α² in any dimension; constants of the remainder", _c1_symbolic),
        ),
        false_twins={
            r"$\alpha/\sigma$ for $\alpha/\sigma^2$": {
                "series": lambda law, x, a, s: law.mean + a / s * (x @ law.cov),
                "formula": lambda mean, spread, a, s: mean + a / s * spread,
            },
            r"$E\,x_0x_0^T$ for $\Sigma$": {"series": _uncentred},
            r"error $O(\alpha^3)$": {"error": lambda law, x, a, s: a * limit.denoiser_series_error(law, x, a, s)},
        },
    )
)


# --- C2 --------------------------------------------------------------------------------------------------------------


def _c2_symbolic(sides: Sides, _: Context) -> Outcome:
    alpha, sigma = sympy.symbols("alpha sigma", positive=True)
    x, x_hat, mean, slope, error = sympy.symbols("x xhat mu rho delta", real=True)
    epsilon = formula.epsilon_of(x, x_hat, alpha, sigma)
    v = formula.v_of(epsilon, x_hat, alpha, sigma)
    of_epsilon, of_v = sides["of_epsilon"], sides["of_v"]
    near = formula.epsilon_of(x, mean + alpha * slope, alpha, sigma)  # x̂ = μ + O(α), any slope
    found_gains = of_epsilon(epsilon + error, x, alpha, sigma) - x_hat, of_v(v + error, x, alpha, sigma) - x_hat
    at_end = {alpha: 0, x_hat: mean}
    residuals = {
        "x̂ from ε": of_epsilon(epsilon, x, alpha, sigma) - x_hat,
        "x̂ from v": of_v(v, x, alpha, sigma) - x_hat,
        "ε*(x, 1)": epsilon.subs(at_end) - sides["terminal_epsilon"](x, sigma),
        "v*(x, 1)": v.subs(at_end) - sides["terminal_v"](mean, sigma),
        "removable": sympy.limit(of_epsilon(near, x, alpha, sigma), alpha, 0) - mean,
        "gain of ε": found_gains[0] - error * sides["epsilon_gain"](alpha, sigma),
        "gain of v": found_gains[1] - error * sides["v_gain"](alpha, sigma),
        "gain of v at α = 0 finite": sympy.limit(sides["v_gain"](alpha, sigma), alpha, 0) + 1 / sigma,
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _c2_end(sides: Sides, context: Context) -> Outcome:
    """At α = 0 itself, from the exact posterior at γ = 0."""
    outcomes = []
    for name, law in with_data(context).items():
        x = queries(law, context)
        for kind, alpha, sigma in (("VP and rectified flow", 0.0, 1.0), ("σ_1 = 3", 0.0, 3.0)):
            x_hat = limit.denoiser_direct(law, x, number(alpha), number(sigma))
            epsilon = formula.epsilon_of(x, x_hat, alpha, sigma)
            v = formula.v_of(epsilon, x_hat, alpha, sigma)
            off_epsilon = float((epsilon - sides["terminal_epsilon"](x, sigma)).abs().max())
            off_v = float((v - sides["terminal_v"](law.mean, sigma)).abs().max())
            tolerance = float(denoiser_rounding(law, x, number(alpha), number(sigma)).max())
            tolerance = sigma * (tolerance + moment_rounding(law) * radius(law))
            outcomes += [equal(off_epsilon, 0.0, 8 * EPS * float(x.abs().max()), f"ε*, {name}, {kind}")]
            outcomes += [equal(off_v, 0.0, tolerance, f"v*, {name}, {kind}")]
    return worst(outcomes)


def _c2_round_trip(sides: Sides, context: Context) -> Outcome:
    """`x̂ → v → x̂` and `x̂ → ε → x̂` with an error δ in each prediction, on schedules."""
    outcomes = []
    for name, law in with_data(context).items():
        x = queries(law, context)
        for kind, schedule in {"cosine": Cosine(), "rectified flow": RectifiedFlow()}.items():
            for t in (0.5, 0.99):
                at, pair = limit.predictions(law, schedule, x, t), schedule(t)
                for side, gain, value in (
                    ("of_epsilon", "epsilon_gain", at.epsilon),
                    ("of_v", "v_gain", at.v),
                ):
                    for delta in (0.0, 0.01):
                        off = sides[side](value + delta, x, *pair) - at.x - delta * sides[gain](*pair)
                        tolerance = _round_trip_rounding(pair, x, at.x, delta)
                        outcomes.append(
                            equal(float(off.abs().max()), 0.0, tolerance, f"{side}, {name}, {kind}, t = {t}")
                        )
    return worst(outcomes)


def _round_trip_rounding(pair: tuple[Tensor, Tensor], x: Tensor, x_hat: Tensor, delta: float) -> float:
    """The rounding of `(x − σε)/α` and of `(αx − σv)/(α² + σ²)` with `ε = (x − αx̂)/σ`: sums of x, αx̂ and σδ, divided by α at most."""
    alpha, sigma = (float(value) for value in pair)
    terms = 4 * float(x.abs().max()) + 4 * alpha * float(x_hat.abs().max()) + (sigma + sigma**2) * delta
    return 32 * EPS * (terms / alpha + float(x_hat.abs().max()) / sigma**2)


def _off_mean(of_epsilon: Callable[..., Tensor], law: Law, pair: Pair, x: Tensor, alpha: float) -> float:
    epsilon = formula.epsilon_of(x, limit.denoiser_direct(law, x, *pair(alpha)), *pair(alpha))
    return float((of_epsilon(epsilon, x, *pair(alpha)) - law.mean).norm(dim=1).max())


def _c2_removable(sides: Sides, context: Context) -> Outcome:
    """`(x − σε*)/α − μ` vanishes like α; on data it stays below the linear term of C1 and its remainder, which are O(α)."""
    outcomes = []
    for name, law in NAMED.items():
        for kind, pair, x, top in near_one(context, law):
            off = partial(_off_mean, sides["of_epsilon"], law, pair, x)
            outcomes.append(vanishes_at_rate(off, halvings(top), 1.0, f"{name}, {kind}"))
    name, law = excerpt(context)
    for kind, pair, x, top in near_one(context, law):
        for alpha in (0.5, 0.05, top):
            tolerance = float(series_rounding(law, x, *pair(alpha)).max())
            tolerance += _round_trip_rounding(pair(alpha), x, law.points[law.weights > 0], 0.0)
            bound = float(series_bound(law, x, *pair(alpha)).max()) + tolerance
            off = _off_mean(sides["of_epsilon"], law, pair, x, alpha)
            outcomes.append(at_most(off, bound, f"{name}, {kind}, α = {alpha:.2g}"))
    return worst(outcomes)


register(
    Claim(
        id="C2",
        title="Three predictions at t = 1",
        constant=r"$\sigma/\alpha$ for $\epsilon$, without bound, and $1/\sigma_1$ for $v$ at the end; both exact.",
        statement=r"Where $\alpha_1 = 0$: $\epsilon^*(x,1) = x/\sigma_1$, so $(x - \sigma\epsilon^*)/\alpha$ is $0/0$ with the removable limit "
        r"$\mu$, and an error $\delta$ in $\epsilon$ becomes $-\frac{\sigma}{\alpha}\delta$ in $\hat{x}$, without bound. x- and v-prediction "
        r"are well conditioned: $v^*(x,1) = -\sigma_1\mu$, $\hat{x} = (\alpha x - \sigma v)/(\alpha^2 + \sigma^2)$, and an error $\delta$ in $v$ "
        r"becomes $-\frac{\sigma}{\alpha^2+\sigma^2}\delta$, which is $-\delta/\sigma_1$ at the end.",
        source="Zhang et al. 2024 (arXiv 2403.08381), section 3.2",
        assumptions=r"$\sigma_1 > 0$; a finite mean, so that $\hat{x} \to \mu$ (C1).",
        derivation=r"$\epsilon^* = (x - \alpha\hat{x})/\sigma$ and $v^* = \alpha\epsilon^* - \sigma\hat{x}$ are linear in $\hat{x}$: set "
        r"$\alpha = 0$, $\hat{x} = \mu$. Then $(x - \sigma\epsilon^*)/\alpha = \hat{x} \to \mu$. For $v$, eliminate $\epsilon$: "
        r"$\alpha x - \sigma v = (\alpha^2 + \sigma^2)\hat{x}$. The gains are the derivatives in $\epsilon$ and $v$.",
        sides={
            "of_epsilon": limit.denoiser_of_epsilon,
            "of_v": limit.denoiser_of_v,
            "terminal_epsilon": formula.terminal_epsilon,
            "terminal_v": formula.terminal_v,
            "epsilon_gain": formula.epsilon_error_gain,
            "v_gain": formula.v_error_gain,
        },
        checks=(
            Check("exact", "ε* and v* at α = 0: five laws and the data, σ_1 = 1 and 3", _c2_end),
            Check("exact", "x̂ back from ε and v, with and without an error, cosine and rectified flow", _c2_round_trip),
            Check(
                "exact", "the limit μ is approached like α: five laws; below C1's remainder on the data", _c2_removable
            ),
            Check("symbolic", "given C1's limit: inverses, values and gains at the end", _c2_symbolic),
        ),
        false_twins={
            r"$\hat{x} = \alpha x - \sigma v$ off VP": {"of_v": lambda v, x, a, s: a * x - s * v},
            r"$v^*(x,1) = -\mu$": {"terminal_v": lambda mean, sigma: -mean},
            r"$\epsilon^*(x,1) = x$": {"terminal_epsilon": lambda x, sigma: x},
            r"an error $\delta$ becomes $-\frac{\alpha}{\sigma}\delta$": {"epsilon_gain": lambda a, s: -a / s},
        },
    )
)

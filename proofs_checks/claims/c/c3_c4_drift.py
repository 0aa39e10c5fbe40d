"""Claims C3 and C4: the drift of the probability flow and the coefficients of the reverse SDE at t = 1."""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import sympy
import torch
from torch import Tensor

from proofs_checks.claims.c import c_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, equal, identically_zero, worst
from proofs_checks.harness.slope import fitted_slope, vanishes_at_rate
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, TRI
from proofs_checks.instances.near_ends import NAMED, halvings, near_one, queries
from proofs_checks.instances.scales import EPS, moment_rounding, radius, series_bound, series_rounding
from proofs_checks.measurements.shared_values import shared, shared_schedule
from singtheory import Atoms, Cosine, Law, Power, RectifiedFlow, Schedule, formula, limit, schedule_named

# --- C3 --------------------------------------------------------------------------------------------------------------

_REMOVABLE: dict[str, Schedule] = {
    "cosine": Cosine(),
    "α = 1 − t": Power(1.0),
    "α = (1 − t)²": Power(2.0),
    "rectified flow": RectifiedFlow(),
}


def _c3_symbolic(sides: Sides, _: Context) -> Outcome:
    alpha, u, p, q = sympy.symbols("alpha u p q", positive=True)
    x, x_hat, mean, slope, rate, sigma_rate = sympy.symbols("x xhat mu rho a_dot s_dot", real=True)
    sigma, sigma_1 = sympy.sqrt(1 - alpha**2), sympy.Symbol("sigma_1", positive=True)
    vp = sides["vp"](x, x_hat, alpha, sigma, rate)
    flow = formula.ode_drift(rate, -alpha * rate / sigma, x_hat, formula.epsilon_of(x, x_hat, alpha, sigma))
    off_vp = formula.ode_drift(rate, sigma_rate, x_hat, formula.epsilon_of(x, x_hat, alpha, sigma_1))
    power_rate = -sympy.diff(u**p, u)  # α̇ of α = (1−t)^p at u = 1 − t
    centred = vp.subs(x_hat, alpha * slope)  # μ = 0: x̂ = αρ + O(α²), ρ = Σx

    def order(of: sympy.Expr) -> sympy.Expr:
        return u * sympy.diff(of, u) / of

    residuals = {
        "VP form": flow - vp,
        "limit": off_vp.subs({alpha: 0, x_hat: mean}) - sides["terminal_formula"](rate, sigma_rate, mean, x, sigma_1),
        "limit in VP": vp.subs({alpha: 0, x_hat: mean}) - rate * mean,
        "order for (1−t)^p": order(power_rate) - sides["exponent"](p),
        "centred drift/(αα̇)": sympy.limit(centred / (alpha * rate), alpha, 0) - (slope - x),
        "centred order": order(power_rate * u**p) - sides["centred_exponent"](p),
        "integrable if the exponent is q − 1, q > 0": sympy.integrate(u ** (q - 1), (u, 0, 1)) - 1 / q,
        "q = p": sides["exponent"](p) + 1 - p,
        "q = 2p, centred": sides["centred_exponent"](p) + 1 - 2 * p,
    }
    return worst(identically_zero(sympy.powsimp(residual), where) for where, residual in residuals.items())


def _off_limit(sides: Sides, law: Law, schedule: Schedule, x: Tensor, remaining: float) -> float:
    drift = shared(sides["drift"], law, schedule, x, 1 - remaining)
    return float((drift - sides["terminal"](law, schedule, x)).norm(dim=1).max())


def _c3_limit(sides: Sides, context: Context) -> Outcome:
    """`drift − limit` vanishes like 1 − t; on data it stays below what C1's remainder leaves."""
    outcomes = []
    for name, law in NAMED.items():
        _, _, x, top = next(near_one(context, law))
        for kind, schedule in _REMOVABLE.items():
            off = partial(_off_limit, sides, law, schedule, x)
            outcomes.append(vanishes_at_rate(off, halvings(top), 1.0, f"{name}, {kind}"))
    name, law = excerpt(context)
    _, _, x, top = next(near_one(context, law))
    for (kind, schedule), remaining in itertools.product(_REMOVABLE.items(), (0.1, 0.01, top)):
        off, bound = _off_limit(sides, law, schedule, x, remaining), _drift_bound(law, schedule, x, 1 - remaining)
        outcomes.append(at_most(off, bound, f"{name}, {kind}, t = 1 − {remaining:.2g}"))
    return worst(outcomes)


def _drift_bound(law: Atoms, schedule: Schedule, x: Tensor, t: float) -> float:
    """At least `‖drift − limit‖`, with its rounding: `(α̇ − σ̇α/σ)x̂ + σ̇x/σ` against `α̇(1)μ + σ̇(1)x/σ_1`, and C1 for `x̂ − μ`."""
    (alpha, sigma), rates = schedule(t), (schedule.alpha_dot(t), schedule.sigma_dot(t))
    ends_at = schedule.alpha_dot(1.0), schedule.sigma_dot(1.0) / schedule.sigma(1.0)
    of_x_hat, of_x = rates[0] - rates[1] * alpha / sigma, rates[1] / sigma
    norm, mean = float(x.norm(dim=1).max()), float(law.mean.norm())
    left = of_x_hat.abs() * (series_bound(law, x, alpha, sigma) + series_rounding(law, x, alpha, sigma)).max()
    moved = (of_x_hat - ends_at[0]).abs() * mean + (of_x - ends_at[1]).abs() * norm
    terms = sum(float(rate.abs()) for rate in (*rates, *ends_at)) * (radius(law) + norm / float(sigma))
    return float(left + moved) + (64 * EPS + moment_rounding(law)) * terms


@cache  # shared values know a law by identity
def _centred(law: Atoms) -> Atoms:
    return Atoms(law.deviations(), law.weights)


def _c3_rates(sides: Sides, context: Context) -> Outcome:
    """Rates of the drift itself for α = (1−t)^p; Stable Diffusion's betas with zero terminal SNR end like p = ½."""
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE, "tri": TRI}.items():
        x = queries(law, context)
        for p in (0.3, 0.5, 0.7, 1.5, 3.0):
            exponents = (10 / p, min(19 / p, 45.0))  # α from 2^-10 to 2^-19; the float nearest 1 is 2^-53 away
            times = [1 - 2.0**-e for e in np.linspace(*exponents, 4)]
            for kind in (f"power:{p:g}", "sd-zero-snr") if p == 0.5 else (f"power:{p:g}",):
                schedule = shared_schedule(kind)
                for side, of in (("exponent", law), ("centred_exponent", _centred(law))):
                    sizes = [float(shared(sides["drift"], of, schedule, x, t).norm(dim=1).max()) for t in times]
                    slope = fitted_slope([1 - t for t in times], sizes)
                    outcomes.append(equal(slope, sides[side](p), 0.1, f"{side}, {name}, {kind}"))
    return worst(outcomes)


def _vp_everywhere(law: Law, schedule: Schedule, x: Tensor, t: float) -> Tensor:
    x_hat = limit.denoiser(law, schedule, x, t)
    return formula.vp_ode_drift(x, x_hat, *schedule(t), schedule.alpha_dot(t))


register(
    Claim(
        id="C3",
        title="The flow's drift at t = 1",
        statement=r"The probability-flow drift $\dot\alpha\hat{x} + \dot\sigma\epsilon^*$, in VP $\dot\alpha(\hat{x} - \alpha x)/\sigma^2$, has where "
        r"$\alpha_1 = 0$ the limit $\dot\alpha(1)\mu + \dot\sigma(1)x/\sigma_1$ (VP: $\dot\alpha(1)\mu$) if $\dot\alpha(1)$ and $\dot\sigma(1)$ "
        r"are finite: removable for $\alpha = 1-t$, $\cos(\pi t/2)$. For VP with $\alpha = (1-t)^p$ it behaves like $(1-t)^{p-1}$ if $\mu \ne 0$ "
        r"(limit 0 for $p > 1$, $-\mu$ for $p = 1$, divergent for $p < 1$), and like $(1-t)^{2p-1}$ if $\mu = 0$ and $\Sigma x \ne x$ (0, finite, "
        r"divergent as $p$ is above, at, below $\frac{1}{2}$); at a fixed $x$ it is integrable for every $p > 0$.",
        source="derived on its page; the exception Σx = x is added here",
        assumptions=r"$\alpha_1 = 0$, $\sigma_1 > 0$; for the limit a finite mean, for $\mu = 0$ finite second moments, that is "
        r"$\hat{x} = \mu + \alpha\Sigma x/\sigma^2 + o(\alpha)$ (C1).",
        derivation=r"$\hat{x} \to \mu$ and $\epsilon^* \to x/\sigma_1$ (C2) give the limit. In VP $\dot\sigma = -\alpha\dot\alpha/\sigma$; insert, and "
        r"$1 - \sigma^2 = \alpha^2$. Then $\hat{x} - \alpha x = \mu + \alpha(\Sigma x - x) + o(\alpha)$, while $\dot\alpha = -p(1-t)^{p-1}$ and "
        r"$\alpha\dot\alpha = -p(1-t)^{2p-1}$. Both exponents exceed $-1$. The betas of Stable Diffusion with zero terminal SNR are linear "
        r"in $\bar\alpha = \alpha^2$ at the end: $p = \frac{1}{2}$, where the drift diverges unless $\mu = 0$.",
        sides={
            "drift": limit.ode_drift,
            "terminal": limit.terminal_drift,
            "vp": formula.vp_ode_drift,
            "terminal_formula": formula.terminal_drift,
            "exponent": formula.drift_exponent,
            "centred_exponent": formula.centred_drift_exponent,
        },
        checks=(
            Check(
                "exact",
                "the limit is approached like 1 − t: five laws; below what C1 leaves on the data; four schedules",
                _c3_limit,
            ),
            Check("exact", "rates for five p and for sd-zero-snr: three laws, as they are and centred", _c3_rates),
            Check("symbolic", "given C1's limits: VP form, limit, exponents for all p, integrals", _c3_symbolic),
        ),
        false_twins={
            "the VP form on rectified flow": {"drift": _vp_everywhere},
            r"$\mu = 0$ diverges for all $p < 1$": {"centred_exponent": formula.drift_exponent},
            r"without $\dot\sigma(1)x/\sigma_1$": {
                "terminal": lambda law, schedule, x: (schedule.alpha_dot(1.0) * law.mean).expand(x.shape),
                "terminal_formula": lambda a_dot, s_dot, mean, x, sigma: a_dot * mean,
            },
            r"drift $\sim (1-t)^p$ where $\mu \ne 0$": {"exponent": lambda p: p},
        },
    )
)


# --- C4 --------------------------------------------------------------------------------------------------------------

_STARTS: dict[str, float] = {"sd": 0.9995, "sd-zero-snr": 0.9995}
"""Inside the last of the segments on which `α²` is linear, so that the integrand is smooth."""
_SINGULAR = ("cosine", "power:0.3", "power:1", "power:3", "sd-zero-snr")
_REGULAR = ("linear-vp", "sd")


def _rate_quadrature(schedule: Schedule, s: float, r: float, sides: Sides) -> float:
    """`∫_s^r |α̇/α| dt` by Gauss and Legendre's rule in `log(1 − t)`."""
    y = np.linspace(-math.log(1 - s), -math.log(1 - r), 9)
    x, w = np.polynomial.legendre.leggauss(24)
    half = np.diff(y)[:, None] / 2
    nodes = torch.from_numpy((y[:-1, None] + half * (1 + x)).ravel())
    t = -torch.expm1(-nodes)
    rate = sides["rate"](schedule.alpha(t), schedule.alpha_dot(t)).abs()
    return float((torch.from_numpy((half * w).ravel()) * rate * (-nodes).exp()).sum())


def _c4_instances() -> Iterator[tuple[str, Schedule, float]]:
    for name in (*_SINGULAR, *_REGULAR):
        yield name, schedule_named(name), _STARTS.get(name, 0.5)


def _c4_quadrature(sides: Sides, _: Context) -> Outcome:
    """Tolerance: the nodes' 1 − t carries the rounding 2^-53/2^-20 of t."""
    outcomes = []
    for name, schedule, s in _c4_instances():
        for k in (12, 16, 20):
            r = 1 - 2.0**-k
            value = _rate_quadrature(schedule, s, r, sides)
            expected = float(sides["integral"](schedule, s, r))
            outcomes.append(equal(value, expected, 1e-9 * max(1.0, expected), f"{name}, r = 1 − 2^−{k}"))
    return worst(outcomes)


def _c4_growth(sides: Sides, _: Context) -> Outcome:
    """The parts with `1 − t` from `2^-16` to `2^-20` and on to `2^-24`; their ratio is its limit up to `O(2^-16)`."""
    outcomes = []
    for name, schedule, _s in _c4_instances():
        parts = [_rate_quadrature(schedule, 1 - 2.0**-k, 1 - 2.0 ** -(k + 4), sides) for k in (16, 20)]
        ratio = float(sides["growth"](schedule, 16.0))
        outcomes.append(equal(parts[1] / parts[0], ratio, 1e-4, f"{name}, ratio of increments"))
    return worst(outcomes)


def _spared(spares: Callable[[float], bool]) -> Callable[[Schedule, float], float]:
    """The twin that holds some powers of `1 − t` to be integrable, by the slope of α at t = 1: infinite for p < 1, zero for p > 1."""

    def growth(schedule: Schedule, factor: float) -> float:
        spared = spares(float(schedule.alpha_dot(1.0)))
        return 1 / factor if spared else limit.sde_growth(schedule, factor)

    return growth


register(
    Claim(
        id="C4",
        title="The reverse SDE at t = 1",
        statement=r"In VP $f = \dot\alpha/\alpha$ and $g^2 = -2\dot\alpha/\alpha$ satisfy $\int_s^r |\dot\alpha/\alpha|\,dt = \log(\alpha_s/\alpha_r)$, which "
        r"tends to $\infty$ as $r \to 1$: not integrable for any schedule with $\alpha_1 = 0$. With $\alpha_1 > 0$ the integral is finite, and the "
        r"start $N(0, I)$ has the wrong mean unless $\mu = 0$ and the wrong covariance, by $\alpha_1^2(\Sigma - I)$, unless $\Sigma = I$. The "
        r"transition kernel stays regular: $a = 0$, $b = \alpha_s$, $c = \sigma_s$ at $\alpha_1 = 0$ (A5).",
        source="derived on its page; the mismatch is made explicit here",
        assumptions=r"VP, $\alpha$ decreasing, positive before $t = 1$, and piecewise continuously differentiable on $[s, r]$, $r < 1$; for mean and covariance finite second moments.",
        derivation=r"The mean of $dx = fx\,dt + g\,dw$ obeys $\dot\alpha = f\alpha$ and its variance $\frac{d}{dt}(1-\alpha^2) = 2f(1-\alpha^2) + g^2$: "
        r"both fix $f$ and $g$. $-\dot\alpha/\alpha$ has the antiderivative $-\log\alpha$. At $t = 1$ the covariance of $q_1$ is "
        r"$\alpha_1^2\Sigma + (1-\alpha_1^2)I$, its mean $\alpha_1\mu$. For the kernel set $\alpha_t = 0$ in A2.",
        sides={
            "rate": formula.sde_rate,
            "diffusion2": formula.vp_sde_diffusion2,
            "integral": limit.sde_rate_integral,
            "integral_formula": formula.sde_rate_integral,
            "growth": limit.sde_growth,
        },
        checks=(
            Check("quadrature", "the integral up to 1 − 2⁻²⁰ on seven schedules", _c4_quadrature),
            Check("quadrature", "whether it goes on growing, on the same", _c4_growth),
            Check(
                "symbolic",
                "whole: coefficients, antiderivative and limit for any α; kernel; mean and covariance of x_1 in any dimension",
                c_symbolic.reverse_sde,
                whole=True,
            ),
        ),
        false_twins={
            r"integrable for $(1-t)^p$, $p < 1$": {"growth": _spared(math.isinf)},
            r"integrable for $(1-t)^p$, $p > 1$": {"growth": _spared(lambda slope: slope == 0)},
            r"$g^2 = -\dot\alpha/\alpha$": {"diffusion2": lambda alpha, alpha_dot: -alpha_dot / alpha},
            r"singular also at $\alpha_1 > 0$": {"growth": lambda schedule, factor: 1.0},
        },
    )
)

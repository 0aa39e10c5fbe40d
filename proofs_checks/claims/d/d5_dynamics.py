"""Claim D5: the SDE and the flow at t = 0."""

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import sympy
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from proofs_checks.claims.d.d1_d2_atoms import finite_laws, neighbours
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, identically_zero, no_instance, worst
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE
from proofs_checks.instances.scales import EPS, RESOLVED, denoiser_rounding, pull_of_rivals, radius, settled_time
from singtheory import Atoms, Cosine, Law, LinearVP, Power, Schedule, formula, limit, schedule_named
from singtheory.formula import symbolic

_VP: dict[str, Schedule] = {"α = 1 − t": Power(1.0), "linear-vp": LinearVP(), "cosine": Cosine()}
_ALL = {
    **_VP,
    "rectified flow": schedule_named("rectified-flow"),
    "variance exploding": schedule_named("variance-exploding"),
}

_SOLVER = 1e-10
"""Relative tolerance of the solver of differential equations."""


def _sde_deviation(deviation: Tensor, alpha_t: Tensor, sigma_t: Tensor, alpha_s: Tensor, sigma_s: Tensor) -> Tensor:
    """Where the reverse SDE towards an atom takes the mean deviation: the bridge's a."""
    return formula.bridge_a(alpha_t, sigma_t, alpha_s, sigma_s) * deviation


def _d5_symbolic(sides: Sides, _: Context) -> Outcome:
    t, sigma_0, alpha_0, start, rate_0 = sympy.symbols("t sigma_0 alpha_0 t_0 c", positive=True)
    x, x_hat = sympy.symbols("x xhat", real=True)
    a, s = (sympy.Function(name, positive=True)(t) for name in ("A", "S"))
    rates, log_snr, xp = (a.diff(t), s.diff(t)), sympy.log(a**2 / s**2), symbolic.NAMESPACE
    f, g2 = sides["rate"](a, a.diff(t)), sides["diffusion2"](a, s, *rates)
    score = -formula.epsilon_of(x, x_hat, a, s) / s
    flow_path = sides["flow"](sympy.Integer(1), sigma_0, s)
    sde_path = sides["sde"](sympy.Integer(1), alpha_0, sigma_0, a, s)
    vp = sympy.sqrt(1 - a**2)
    kinked, smooth = (sympy.sqrt(1 - (1 - rate_0 * t**k) ** 2) for k in (1, 2))  # σ for α = 1 − ct and 1 − ct²
    residuals = {
        "mean": f * a - a.diff(t),
        "variance": 2 * f * s**2 + g2 - sympy.diff(s**2, t),
        "g² by γ": g2 + s**2 * log_snr.diff(t),
        "VP": sides["diffusion2"](a, vp, a.diff(t), vp.diff(t)) - formula.vp_sde_diffusion2(a, a.diff(t)),
        "reverse drift": sides["reverse"](x, score, f, g2) - f * x + log_snr.diff(t) * (x - a * x_hat),
        "flow": formula.ode_drift(*rates, x_hat, -s * score) - sides["reverse"](x, score, f, g2 / 2),
        "antiderivative": sympy.diff(sides["integral"](a**2 / s**2, sympy.Symbol("G", positive=True), xp), t)
        + log_snr.diff(t),
        "divergence": 1 / sympy.limit(sides["integral"](start, 1 / t, xp), t, 0, "+"),
        "flow towards an atom": flow_path.diff(t) - s.diff(t) / s * flow_path,
        "SDE towards an atom": sde_path.diff(t) - (f + g2 / s**2) * sde_path,
        "both start at the deviation": (flow_path - 1).subs(s, sigma_0) + (sde_path - 1).subs({a: alpha_0, s: sigma_0}),
        "σ ~ t^½ for finite α̇(0)": sympy.limit(sympy.simplify(t * kinked.diff(t) / kinked), t, 0, "+")
        - sympy.Rational(1, 2),
        "σ ~ t for finite α̈(0)": sympy.limit(sympy.simplify(t * smooth.diff(t) / smooth), t, 0, "+") - 1,
    }
    names = ("a_dot", "s_dot")
    plain = {of.diff(t): sympy.Symbol(name, real=True) for of, name in zip((a, s), names, strict=True)}
    plain |= {a: sympy.Symbol("a", positive=True), s: sympy.Symbol("s", positive=True)}
    return worst(identically_zero(residual.subs(plain), where) for where, residual in residuals.items())


def _off_start(sides: Sides, schedule: Schedule, t: float) -> float:
    """How far `f` and `g²` are from `α̇(0)` and `−2α̇(0)`."""
    here, rates = schedule(t), (schedule.alpha_dot(t), schedule.sigma_dot(t))
    start = float(schedule.alpha_dot(0.0))
    off_rate = abs(float(sides["rate"](here[0], rates[0])) - start)
    return off_rate + abs(float(sides["diffusion2"](*here, *rates)) + 2 * start)


def _d5_forward(sides: Sides, _: Context) -> Outcome:
    """VP: finite limits, approached like t. The digits lost in σ cost 1e-16/t, far below at these t."""
    at = (2.0**-9, 2.0**-10, 2.0**-11, 2.0**-12)
    return worst(vanishes_at_rate(partial(_off_start, sides, of), at, 1.0, kind) for kind, of in _VP.items())


def _d5_integral(sides: Sides, _: Context) -> Outcome:
    """`∫ g²/σ² dt` by Gauss and Legendre's rule in log t, down to t = 2^-30."""
    nodes, weights = (torch.from_numpy(of) for of in np.polynomial.legendre.leggauss(40))
    outcomes = []
    for (kind, schedule), k in itertools.product(_ALL.items(), (10, 20, 30)):
        low, high = 2.0**-k, 0.5
        width = math.log(high / low) / k
        log_t = math.log(low) + width * (torch.arange(k)[:, None] + (1 + nodes) / 2)
        t = log_t.exp().flatten()
        here, rates = schedule(t), (schedule.alpha_dot(t), schedule.sigma_dot(t))
        factor = sides["diffusion2"](*here, *rates) / here[1] ** 2 * t
        integral = float((factor * (weights * width / 2).expand(k, -1).flatten()).sum())
        expected = float(sides["integral"](schedule.snr(high), schedule.snr(low), torch))
        outcomes.append(equal(integral, expected, 1e-12 * expected, f"{kind}, t from 2^−{k}"))
    return worst(outcomes)


def _towards(law: Atoms, schedule: Schedule, count: int = 2) -> Iterator[tuple[Tensor, int, float]]:
    """Starts near an atom: `x_t`, the atom's number and a t at which its rivals no longer move the denoiser."""
    for i, j in neighbours(law, count):
        towards, apart2 = torch.lerp(law.points[i], law.points[j], 0.1), (law.points[i] - law.points[j]).square().sum()
        t = settled_time(law, schedule, i, towards, 200 / float(apart2), along=True)
        yield schedule.alpha(t) * towards, i, t


def _solved(sides: Sides, law: Law, schedule: Schedule, x_t: Tensor, t: float, s: float) -> Tensor:
    """Flow and mean of the SDE at s from one `x_t` (d,), shape (2, d), in the time log t, in which a regular singular point is at −∞.

    Both ask for the denoiser at once. Together each keeps its own tolerance where the two share one that is √2 smaller.
    """

    def rate(log_t: float, x: np.ndarray) -> np.ndarray:
        u, rows = min(math.exp(log_t), t), torch.from_numpy(x).view(2, -1)
        at, rates = limit.predictions(law, schedule, rows, u), (schedule.alpha_dot(u), schedule.sigma_dot(u))
        flow = formula.ode_drift(*rates, at.x[0], at.epsilon[0])
        mean = _reverse(sides, rows[1], at.epsilon[1], schedule(u), rates)
        return (u * torch.stack([flow, mean])).flatten().numpy()

    start, tolerance = torch.cat([x_t, x_t]).numpy(), _SOLVER / math.sqrt(2)
    solution = solve_ivp(rate, (math.log(t), math.log(s)), start, "DOP853", rtol=tolerance, atol=tolerance / 100)
    return torch.from_numpy(solution.y[:, -1]).view(2, -1)


def _reverse(
    sides: Sides, x: Tensor, epsilon: Tensor, here: tuple[Tensor, Tensor], rates: tuple[Tensor, Tensor]
) -> Tensor:
    """The drift of the reverse SDE; linear near an atom, so that the mean follows it."""
    f, g2 = sides["rate"](here[0], rates[0]), sides["diffusion2"](*here, *rates)
    return sides["reverse"](x, -epsilon / here[1], f, g2)


def _mean_drift(sides: Sides, law: Law, schedule: Schedule, x: Tensor, t: float) -> Tensor:
    """That drift at `x`, (batch, d)."""
    rates = schedule.alpha_dot(t), schedule.sigma_dot(t)
    return _reverse(sides, x, limit.predictions(law, schedule, x, t).epsilon, schedule(t), rates)


def _d5_paths(sides: Sides, _: Context) -> Outcome:
    """Flow and mean of the reverse SDE solved down to t/10, to a thousand times the solver's tolerance."""
    outcomes = []
    for (name, law), (kind, schedule) in itertools.product(
        {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items(), _ALL.items()
    ):
        for x_t, i, t in _towards(law, schedule, 1):
            y, s = law.points[i], t / 10
            coefficients = *schedule(t), *schedule(s)
            deviation = x_t - coefficients[0] * y
            flow, mean = _solved(sides, law, schedule, x_t, t, s)
            predicted = {
                "flow": (flow, sides["flow"](deviation, coefficients[1], coefficients[3])),
                "SDE": (mean, sides["sde"](deviation, *coefficients)),
            }
            for what, (computed, expected) in predicted.items():
                off = float((computed - coefficients[2] * y - expected).abs().max())
                outcomes.append(equal(off, 0.0, 1e3 * _SOLVER * float(x_t.norm()), f"{what}, {name}, {kind}"))
    return worst(outcomes)


def _d5_data(sides: Sides, context: Context) -> Outcome:
    """Finite data of any dimension: the drifts are those of the two linear equations about the nearest atom."""
    outcomes = []
    for (name, law), (kind, schedule) in itertools.product(finite_laws(context).items(), _ALL.items()):
        for x_t, i, t in _towards(law, schedule):
            y, (alpha, sigma) = law.points[i], schedule(t)
            deviation, rates = x_t - alpha * y, (schedule.alpha_dot(t), schedule.sigma_dot(t))
            drift = _mean_drift(sides, law, schedule, x_t[None], t)[0]
            factor = sides["rate"](alpha, rates[0]) + sides["diffusion2"](alpha, sigma, *rates) / sigma**2
            expected, tolerance = rates[0] * y + factor * deviation, _drift_rounding(law, schedule, x_t, i, t)
            if tolerance > RESOLVED * float((factor * deviation).norm()):
                outcomes.append(no_instance(f"{name}, {kind}: rounding hides how far x is from its atom"))
                continue
            outcomes.append(equal(float((drift - expected).norm()), 0.0, tolerance, f"{name}, {kind}"))
    return worst(outcomes)


def _drift_rounding(law: Atoms, schedule: Schedule, x_t: Tensor, i: int, t: float) -> float:
    """The rounding of the drift, where `(αx̂ − x)/σ²` cancels, and what rivals of the atom and the rounding of the denoiser add to it."""
    alpha, sigma, rates = *schedule(t), (schedule.alpha_dot(t), schedule.sigma_dot(t))
    of_score = formula.sde_diffusion2(alpha, sigma, *rates).abs() / sigma**2
    terms = float((of_score + (rates[0] / alpha).abs()) * (x_t.norm() + radius(law)))
    moved = pull_of_rivals(law, x_t, alpha, sigma, i) + float(denoiser_rounding(law, x_t[None], alpha, sigma))
    return 64 * EPS * terms + float(of_score * alpha) * moved


register(
    Claim(
        id="D5",
        title="SDE and flow at t = 0",
        statement=r"The forward SDE has $f = \dot\alpha/\alpha$ and $g^2 = 2\sigma\dot\sigma - 2\sigma^2\dot\alpha/\alpha = -\sigma^2\frac{d}{dt}\log\gamma$, in VP "
        r"$-2\dot\alpha/\alpha$: finite at 0, $\dot\alpha(0)$ and $-2\dot\alpha(0)$, if $\dot\alpha(0)$ is. The reverse drift $fx - g^2\nabla\log q_t$ has the "
        r"factor $-\frac{d}{dt}\log\gamma$ of $x - \alpha\hat{x}$, whose integral $\log(\gamma_s/\gamma_t)$ is infinite at $s = 0$ on every schedule; the flow's drift "
        r"has half of it. Where $\hat{x}$ has become an atom $y$ both are linear, with a regular singular point if $t\dot\sigma/\sigma$ has a finite limit, and differ: along the flow "
        r"$x_t - \alpha_t y \propto \sigma_t$, in the mean along the reverse SDE $\propto \sigma_t^2/\alpha_t$. $\sigma_t \sim \sqrt{t}$ in VP with $\dot\alpha(0)$ finite "
        r"and not 0, $\sim t$ for the cosine and rectified flow.",
        source="derived on its page; the general g², the integral, and the power σ²/α of the SDE are added here",
        assumptions=r"$\alpha, \sigma > 0$ differentiable on $(0, 1)$, $\gamma \to \infty$ at 0; for the powers of $\sigma$ finite data off ties.",
        derivation=r"$\frac{d}{dt}\sigma^2 = 2f\sigma^2 + g^2$ fixes $g^2$; $\nabla\log q = (\alpha\hat{x} - x)/\sigma^2$. With $\hat{x} = y$ and $w = x - \alpha y$ the flow is "
        r"$\dot{w} = \frac{\dot\sigma}{\sigma}w$, the mean of the SDE $\dot{w} = (f + \frac{g^2}{\sigma^2})w = (2\frac{\dot\sigma}{\sigma} - \frac{\dot\alpha}{\alpha})w$, solved by "
        r"$\sigma$ and $\sigma^2/\alpha$; the latter is the bridge's $a$ (A2), and its noise $c^2$ makes up for the difference. The rivals of $y$ in $\hat{x}$ weigh "
        r"$e^{-m/2\sigma^2}$ (D1). Factors like $p/t$, as $t\dot\sigma/\sigma \to p$, are simple poles.",
        sides={
            "rate": formula.sde_rate,
            "diffusion2": formula.sde_diffusion2,
            "reverse": formula.reverse_drift,
            "integral": formula.reverse_rate_integral,
            "flow": formula.flow_deviation,
            "sde": _sde_deviation,
        },
        checks=(
            Check("symbolic", "given D1: coefficients, factors, both powers, their singular points", _d5_symbolic),
            Check("exact", "VP: limits of f and g² at 0, three schedules", _d5_forward),
            Check("quadrature", "the integral of the reverse factor down to 2⁻³⁰, five schedules", _d5_integral),
            Check("quadrature", "flow and mean of the SDE solved numerically: two laws, five schedules", _d5_paths),
            Check("exact", "the reverse drift near an atom: three laws and the data", _d5_data),
        ),
        false_twins={
            r"$x_t - \alpha_t y \propto t$ in VP with $\alpha = 1 - t$": {
                "flow": lambda deviation, sigma_t, sigma_s: deviation * (sigma_s / sigma_t) ** 2
            },
            "the reverse drift is finite too": {"reverse": lambda x, score, f, g2: f * x - g2 * score / (1 + score**2)},
            "the mean of the SDE follows the flow": {
                "sde": lambda deviation, alpha_t, sigma_t, alpha_s, sigma_s: deviation * sigma_s / sigma_t
            },
            r"$g^2 = -2\dot\alpha/\alpha$ on every schedule": {
                "diffusion2": lambda alpha, sigma, alpha_dot, sigma_dot: formula.vp_sde_diffusion2(alpha, alpha_dot)
            },
        },
    )
)

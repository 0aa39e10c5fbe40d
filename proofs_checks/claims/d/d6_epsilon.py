"""Claim D6: the time derivative of ε* at t = 0."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import sympy
import torch
from torch import Tensor

from proofs_checks.claims.d.d1_d2_atoms import finite_laws, neighbours
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, identically_zero, no_instance, worst
from proofs_checks.harness.slope import fitted_slope, vanishes_at_rate
from proofs_checks.instances.counterexample import uniform_score
from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, SIGNS
from proofs_checks.instances.near_ends import TILTED
from proofs_checks.instances.scales import EPS, RESOLVED, denoiser_rounding, pull_of_rivals, settled_time
from proofs_checks.measurements.shared_values import shared
from singtheory import Atoms, Cosine, Gaussian, GaussianMixture, Law, Power, RectifiedFlow, Schedule, formula, limit
from singtheory.formula import symbolic

_SMOOTH: dict[str, GaussianMixture | Gaussian] = {"two bumps": BUMPS, "Gaussian": TILTED}
_HALF = Power(1.0)
_ROUGH: dict[str, Schedule] = {"α = 1 − t": _HALF, "cosine": Cosine(), "rectified flow": RectifiedFlow()}
"""Near t = 0 σ behaves like √t, t and t; only the first has an unbounded σ̇."""
_LATEST = {"α = 1 − t": 2e-4, "cosine": 0.016, "rectified flow": 0.004}
_ORDER = {"α = 1 − t": 1.0, "cosine": 2.0, "rectified flow": 1.0}
"""The power of t with which the limit at a smooth density is approached."""
_POINTS = torch.tensor([[-0.9], [0.1], [0.8]], dtype=torch.float64)
_STEP = 1e-3
"""Relative step of the five-point rule below: it leaves the derivative to a few times 1e-12, half remainder, half rounding."""

Epsilon = Callable[[Law, Schedule, Tensor, float], Tensor]


def _epsilon(law: Law, schedule: Schedule, x: Tensor, t: float) -> Tensor:
    return limit.predictions(law, schedule, x, t).epsilon


def _uniform_epsilon(_law: Law, schedule: Schedule, x: Tensor, t: float) -> Tensor:
    return -schedule.sigma(t) * uniform_score(schedule, x, t)


def _rate(epsilon: Epsilon, law: Law, schedule: Schedule, x: Tensor, t: float) -> Tensor:
    """`∂_t ε*` by the five-point rule; ε* is smooth in log t."""
    by_step = [shared(epsilon, law, schedule, x, t * (1 + k * _STEP)) for k in (-2, -1, 1, 2)]
    return (by_step[0] - 8 * by_step[1] + 8 * by_step[2] - by_step[3]) / (12 * _STEP * t)


def _off_smooth(sides: Sides, law: GaussianMixture | Gaussian, schedule: Schedule, x: Tensor, t: float) -> float:
    """How far `∂_t ε*/σ̇` is from its limit."""
    sigma_dot = schedule.sigma_dot(t)
    rate, expected = _rate(sides["epsilon"], law, schedule, x, t), sides["smooth"](limit.data_score(law, x), sigma_dot)
    return float(((rate - expected) / sigma_dot).norm())


def _d6_smooth(sides: Sides, _: Context) -> Outcome:
    """The limit is approached like t for `σ ~ √t` and in rectified flow, like t² for the cosine."""
    outcomes = []
    for (name, law), (kind, schedule) in itertools.product(_SMOOTH.items(), _ROUGH.items()):
        x, order = law.mean + _POINTS, _ORDER[kind]
        at = [_LATEST[kind] / 2**k for k in range(3)]
        off = partial(_off_smooth, sides, law, schedule, x)
        outcomes.append(vanishes_at_rate(off, at, order, f"∂ε*/σ̇ + ∇log π, {name}, {kind}"))
    return worst(outcomes)


def _d6_flat(sides: Sides, _: Context) -> Outcome:
    """Inside a uniform density the score is 0 and so is the rate, up to the edge's share at t: below e^-100 of `σ̇/σ`."""
    outcomes, score = [], torch.zeros(1, 1, dtype=torch.float64)
    for kind, schedule in _ROUGH.items():
        t = float(schedule.time_of_snr(1e3))
        rate = _rate(_uniform_epsilon, BUMPS, schedule, score + 0.3, t)
        expected, tolerance = sides["smooth"](score, schedule.sigma_dot(t)), math.exp(-100) / (_STEP * t)
        outcomes.append(equal(float(rate), float(expected), tolerance, f"uniform on [−1, 1] at 0.3, {kind}"))
    return worst(outcomes)


def _d6_gaussian(sides: Sides, _: Context) -> Outcome:
    law, x = Gaussian([0.7], [[1.5]]), _POINTS
    outcomes = []
    for (kind, schedule), t in itertools.product(_ROUGH.items(), (1e-4, 0.1, 0.9)):
        epsilon = sides["epsilon"](law, schedule, x, t)
        expected = sides["gaussian"](x, 0.7, 1.5, *schedule(t))
        tolerance = 1e-14 / float(schedule.sigma(t))  # (x − αx̂)/σ cancels
        outcomes.append(
            equal(float((epsilon - expected).abs().max()), 0.0, tolerance, f"N(0.7, 1.5), {kind}, t = {t:g}")
        )
    return worst(outcomes)


def _d6_atoms(sides: Sides, context: Context) -> Outcome:
    """Off the atoms, and how fast it grows: like `σ̇/σ²`."""
    outcomes = []
    for (name, law), (kind, schedule) in itertools.product(finite_laws(context).items(), _ROUGH.items()):
        for i, j in neighbours(law, 1):
            x, order = (
                torch.lerp(law.points[i], law.points[j], 0.2),
                sides["exponent"](0.5 if schedule is _HALF else 1.0),
            )
            times = _settled(law, schedule, x, i)
            computed = [_rate(sides["epsilon"], law, schedule, x[None], t)[0] for t in times]
            tolerances = [_rate_rounding(law, schedule, x, i, t, of) for t, of in zip(times, computed, strict=True)]
            if any(tolerance > RESOLVED * float(of.norm()) for tolerance, of in zip(tolerances, computed, strict=True)):
                outcomes.append(no_instance(f"{name}, {kind}: rounding hides how far x is from its atom"))
                continue
            for t, of, tolerance in zip(times, computed, tolerances, strict=True):
                here, rates = schedule(t), (schedule.alpha_dot(t), schedule.sigma_dot(t))
                off = float((of - sides["atom"](x, law.points[i], *here, *rates)).norm())
                outcomes.append(equal(off, 0.0, tolerance, f"{name}, {kind}, t = {t:.2g}"))
            growth = fitted_slope(times, [float(of.norm()) for of in computed])
            outcomes.append(equal(growth, order, 0.1, f"growth, {name}, {kind}"))
    return worst(outcomes)


def _settled(law: Atoms, schedule: Schedule, x: Tensor, i: int) -> list[float]:
    """Times at which the denoiser at x is atom i, so early that the leading order of the growth is that of `σ̇(x − y)/σ²`."""
    off = float((x - law.points[i]).norm())
    # the other terms are of the order of t‖y‖ beside ‖x − y‖
    leads = 0.01 * off / (off + float(law.points[i].norm()))
    last = min(settled_time(law, schedule, i, x, 16 / off**2, along=False), leads)
    return [last / 4**k for k in range(3)]


def _rate_rounding(law: Atoms, schedule: Schedule, x: Tensor, i: int, t: float, rate: Tensor) -> float:
    """The error of the five-point rule on `ε* = (x − αx̂)/σ`, which cancels, with what rivals of the atom and rounding add to x̂; and its remainder."""
    after = t * (1 + 2 * _STEP)
    alpha, sigma = schedule(after)
    moved = pull_of_rivals(law, x, alpha, sigma, i) + float(denoiser_rounding(law, x[None], alpha, sigma))
    each = (moved + 8 * EPS * float(x.norm() + law.points[i].norm())) / float(schedule.sigma(t * (1 - 2 * _STEP)))
    return 1.5 * each / (_STEP * t) + 1e-9 * float(rate.norm())


def _d6_exceptions(sides: Sides, _: Context) -> Outcome:
    """At an atom, and at the tie of ±1, x is the limit of `x̂`."""
    outcomes = []
    for (name, law), (kind, schedule) in itertools.product(
        {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items(), _ROUGH.items()
    ):
        for y in law.points:
            t = float(schedule.time_of_snr(1e4))
            computed = float(_rate(sides["epsilon"], law, schedule, y[None], t))
            rate = float(sides["at_atom"](y, schedule.sigma_dot(t)))
            expected = rate if schedule.variance_preserving else 0.0
            sigma = float(schedule.sigma(t))
            # (1 − α)/σ = σ/(1 + α) grows by a relative ¾σ² + O(σ⁴); rounding as off the atoms
            tolerance = sigma**2 * abs(expected) + 2e-15 / (sigma * _STEP * t)
            outcomes.append(equal(computed, expected, tolerance, f"at the atom {float(y):g}, {name}, {kind}"))
    for kind, schedule in _ROUGH.items():
        computed = _rate(sides["epsilon"], SIGNS, schedule, torch.zeros(1, 1, dtype=torch.float64), 1e-3)
        outcomes.append(equal(float(computed), 0.0, 1e-300, f"±1 at 0, {kind}"))
    return worst(outcomes)


def _d6_symbolic(sides: Sides, _: Context) -> Outcome:
    t, alpha, sigma, eigenvalue, p = sympy.symbols("t alpha sigma lam p", positive=True)
    x, y, mean, score, by_alpha, by_sigma, a_dot, s_dot = sympy.symbols("x y mu s s_a s_s a_dot s_dot", real=True)
    a, s = (sympy.Function(name, positive=True)(t) for name in ("A", "S"))
    smooth = -s_dot * score - sigma * (by_alpha * -sigma * s_dot / alpha + by_sigma * s_dot)  # ∂_t(−σ ∇log q) in VP
    frozen = (
        formula.epsilon_of(x, y, a, s).diff(t).subs({a.diff(t): a_dot, s.diff(t): s_dot}).subs({a: alpha, s: sigma})
    )
    at_atom = formula.epsilon_of(y, y, sympy.sqrt(1 - sigma**2), sigma)
    grows = t**p
    residuals = {
        "smooth": smooth.subs(sigma, 0) - sides["smooth"](score, s_dot),
        "Gaussian": formula.epsilon_of(x, symbolic.gaussian_denoiser(x, mean, eigenvalue, alpha, sigma), alpha, sigma)
        - sides["gaussian"](x, mean, eigenvalue, alpha, sigma),
        "atom": frozen - sides["atom"](x, y, alpha, sigma, a_dot, s_dot),
        "off the atoms": t * sympy.log(grows.diff(t) / grows**2).diff(t) - sides["exponent"](p),
        "at an atom, VP": sympy.limit(at_atom.diff(sigma) * s_dot, sigma, 0, "+") - sides["at_atom"](y, s_dot),
        "at an atom, rectified flow": sides["atom"](y, y, 1 - t, t, -1, 1),
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


register(
    Claim(
        id="D6",
        title="The time derivative of ε* at t = 0",
        statement=r"A smooth positive density: $\partial_t\epsilon^* = -\dot\sigma\nabla\log\pi(x) + o(\dot\sigma)$, so it is unbounded at 0 if $\dot\sigma$ is and "
        r"$\nabla\log\pi(x) \ne 0$; Gaussian: $\epsilon^* = \sigma(x - \alpha\mu)/(\alpha^2\lambda + \sigma^2)$. Finite data: where $\hat{x}$ has become $y$, "
        r"$\partial_t\epsilon^* = -\dot\sigma(x - \alpha y)/\sigma^2 - \dot\alpha y/\sigma$, unbounded even for bounded $\dot\sigma$ at every $x$ that is not the limit "
        r"of $\hat{x}$: $\sim t^{-p-1}$ for $\sigma \sim t^p$. That leaves out the atoms themselves, with $\frac{1}{2}\dot\sigma y + o(\dot\sigma)$ in VP and 0 on rectified "
        r"flow, and ties at the mean of their nearest atoms: 0 for $\pm 1$ at $x = 0$.",
        source="Yang et al. 2023 (arXiv 2306.11251); that atoms and such ties are exceptions is added here",
        assumptions=r"$\sigma\dot\alpha/\dot\sigma \to 0$ at 0 (VP with any $\alpha$, rectified flow); smooth as in D4.",
        derivation=r"$\epsilon^* = -\sigma\nabla\log q_t$, and $\nabla\log q_t \to \nabla\log\pi$ with bounded derivatives in $\alpha$ and $\sigma$ (D4): only $-\dot\sigma\nabla\log q_t$ is of "
        r"the order of $\dot\sigma$. Finite data: $\epsilon^* = (x - \alpha\hat{x})/\sigma \to \infty$ unless $\hat{x} \to x$, and a function with a bounded derivative is bounded. Off ties "
        r"$\hat{x} = y$ up to $e^{-m/2\sigma^2}$ with its derivatives (D1): differentiate. At $x = y$ it is $\epsilon^* = \frac{1-\alpha}{\sigma}y$, in VP $\frac{\sigma}{1+\alpha}y$, on rectified "
        r"flow $y$. For $\pm 1$ symmetry makes $\epsilon^*(0, t) = 0$.",
        sides={
            "epsilon": _epsilon,
            "smooth": formula.smooth_epsilon_rate,
            "gaussian": formula.gaussian_epsilon,
            "atom": formula.atom_epsilon_rate,
            "exponent": formula.atom_epsilon_exponent,
            "at_atom": formula.vp_atom_epsilon_rate,
        },
        checks=(
            Check("exact", "smooth: rate of the limit on two laws, three schedules", _d6_smooth),
            Check("exact", "smooth, where the score is 0: inside a uniform density", _d6_flat),
            Check("exact", "Gaussian: the closed form on three schedules", _d6_gaussian),
            Check("exact", "off the atoms: value and growth for three laws and the data, three schedules", _d6_atoms),
            Check("exact", "at the atoms of two laws and at the tie of ±1, three schedules", _d6_exceptions),
            Check("symbolic", "the leading order, the Gaussian, the atoms and their exceptions, in VP", _d6_symbolic),
        ),
        false_twins={
            r"unbounded also where $\nabla\log\pi = 0$": {
                "smooth": lambda score, sigma_dot: sigma_dot * (1 + score**2) ** 0.5
            },
            r"bounded if $\dot\sigma$ is, for atoms too": {"exponent": lambda p: p - 1},
            r"$-\dot\sigma(x - \alpha y)/\sigma^2$ alone": {
                "atom": lambda x, y, alpha, sigma, a_dot, s_dot: -s_dot * (x - alpha * y) / sigma**2
            },
            r"$\dot\sigma y$ at an atom": {"at_atom": lambda atom, sigma_dot: sigma_dot * atom},
        },
    )
)

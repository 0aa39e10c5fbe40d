"""Symbolic proof of E1, for vectors of any dimension and with both ends of time.

A step is linear in `x_t`, `x̂` and `ε*` with scalar coefficients, so one coordinate stands for all. Symbols may be 0 wherever a time may
be an end: `σ_s = 0`, `α_t = 0`, `α_s = 0` never with s < t ≤ 1. What is divided by: `α_s`, `σ_t`, the scale k at both times, and
`σ̇α − α̇σ`, which is not 0 where the signal-to-noise ratio falls.
"""

import sympy

from proofs_checks.claims.a.a_symbolic import ALPHA_S, ALPHA_T, SIGMA_S, SIGMA_T, all_zero, holds
from proofs_checks.harness.claim import Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import worst
from singtheory import formula
from singtheory.formula import symbolic

_HERE, _THERE = (ALPHA_T, SIGMA_T), (ALPHA_S, SIGMA_S)
_COEFFICIENTS = (*_HERE, *_THERE)
_X, _X_HAT = sympy.symbols("x xhat", real=True)


def ddim(sides: Sides, _: Context) -> Outcome:
    """E1: the two parts of the noise, both ends of η, every chart and where it is regular, the step from `α_t = 0`."""
    return worst([_noise(sides), _charts(sides), _regular(), _singular(sides)])


def _noise(sides: Sides) -> Outcome:
    """Kept and fresh noise make up `σ_s²`, the kept part is not negative for `η ≤ 1`, and η = 1 is the plug-in Gaussian."""
    eta = sympy.Symbol("eta", nonnegative=True)
    spare, a, bridge_var = sympy.symbols("h a V", nonnegative=True)  # 1 − η², a, c²
    kept_1 = sympy.simplify(sides["kept_var"](1, *_COEFFICIENTS))
    epsilon = formula.epsilon_of(_X, _X_HAT, *_HERE)
    ancestral = formula.bridge_a(*_COEFFICIENTS) * _X + formula.bridge_b(*_COEFFICIENTS) * _X_HAT
    residuals = {
        "variance": sides["kept_var"](eta, *_COEFFICIENTS) + sides["noise_var"](eta, *_COEFFICIENTS) - SIGMA_S**2,
        "η = 1, mean": sides["mean"](_X_HAT, epsilon, ALPHA_S, sympy.sqrt(kept_1)) - ancestral,
        "η = 1, variance": sides["noise_var"](1, *_COEFFICIENTS) - formula.bridge_var(*_COEFFICIENTS),
        "η = 0, variance": sides["noise_var"](0, *_COEFFICIENTS),
    }
    kept = formula.ddim_kept_var(sympy.sqrt(1 - spare), a, bridge_var, SIGMA_T)
    return worst([all_zero(residuals), holds(sympy.expand(kept).is_nonnegative, "kept variance, η ≤ 1")])


def _charts(sides: Sides) -> Outcome:
    """Euler's rule by the chain rule, for p and q of any size, and on the flow: it ends where DDIM(0) does."""
    p, q, length = sympy.symbols("p q dt", positive=True)
    drift, a_dot, s_dot = sympy.symbols("b a_dot s_dot", real=True)
    rates, epsilon = (a_dot, s_dot), formula.epsilon_of(_X, _X_HAT, *_HERE)
    flow = formula.ode_drift(*rates, _X_HAT, epsilon)
    deterministic = sides["mean"](_X_HAT, epsilon, ALPHA_S, SIGMA_S)
    by_chain_rule = symbolic.euler_in_chart(
        _X, drift, _HERE, rates, _THERE, lambda a, s: p * a + q * s, lambda a, s: (p * s - q * a) / (p * a + q * s)
    )
    euler = sides["euler"](_X, drift, _HERE, rates, _THERE, (p, q), length)
    charts = {"x/(pα+qσ)": (p, q), "x/α": (1, 0), "x/σ": (0, 1)}
    on_the_flow = {
        f"η = 0, {name}": sides["euler"](_X, flow, _HERE, rates, _THERE, chart, length) - deterministic
        for name, chart in charts.items()
    }
    return all_zero({"chain rule": euler - by_chain_rule, **on_the_flow})


def _regular() -> Outcome:
    """What regular means: k is not 0, the clock is finite, and `x/k` is a straight line in it with the slope `(pε* − qx̂)/(p² + q²)`."""
    alpha, sigma, p, q = sympy.symbols("alpha sigma p q", nonnegative=True)
    some, epsilon = sympy.Symbol("P", positive=True), sympy.Symbol("epsilon", real=True)
    scale = p * alpha + q * sigma
    clock, place = (p * sigma - q * alpha) / scale, (alpha * _X_HAT + sigma * epsilon) / scale
    norm2 = p**2 + q**2
    line = (p * _X_HAT + q * epsilon) / norm2 + (p * epsilon - q * _X_HAT) / norm2 * clock
    times = {"t = 0": {alpha: 1, sigma: 0}, "t = 1": {alpha: 0, sigma: some}}
    facts = [
        holds(scale.subs(at).subs(weights).is_positive, f"k at {name}")
        for name, at in times.items()
        for weights in ({p: some, q: some}, {p: some} if name == "t = 0" else {q: some})
    ]
    lost = {
        "k of x/α at t = 1": (scale, {p: 1, q: 0} | times["t = 1"]),
        "k of x/σ at t = 0": (scale, {p: 0, q: 1} | times["t = 0"]),
    }
    return worst([all_zero({"a line": place - line} | {w: of.subs(at) for w, (of, at) in lost.items()}), *facts])


def _singular(sides: Sides) -> Outcome:
    """From `α_t = 0`, where the exact denoiser is the mean: SingDiffusion's step, and η = 1 keeps nothing of the noise."""
    mean, last = sympy.Symbol("mu", real=True), {ALPHA_T: 0}
    epsilon = formula.epsilon_of(_X, _X_HAT, *_HERE)
    step = sides["mean"](_X_HAT, epsilon, ALPHA_S, SIGMA_S).subs(last).subs(_X_HAT, mean)
    return all_zero(
        {
            "from α = 0": step - sides["singular"](mean, _X, ALPHA_S, SIGMA_S, SIGMA_T),
            "η = 1 from α = 0": sides["kept_var"](1, *_COEFFICIENTS).subs(last),
        }
    )

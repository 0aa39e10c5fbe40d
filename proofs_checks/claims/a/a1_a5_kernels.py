"""Claims A1 to A5: the kernels of the forward and of the reverse process."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import sympy
import torch
from torch import Tensor

from proofs_checks.claims.a import a_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, identically_zero, rounding, worst
from proofs_checks.instances.deviations import deviations
from proofs_checks.instances.laws import BUMPS, GOLDEN, TRI
from singtheory import Atoms, Law, ReverseKernel, Schedule, formula, schedule_named
from singtheory.kernel import Bridge, ReverseStep, forward

SCHEDULES = (
    "cosine",
    "linear-vp",
    "rectified-flow",
    "variance-exploding",
    "power:0.5",
    "power:2",
    "sd",
    "sd-zero-snr",
)
TIMES = ((0.3, 0.6, 0.9), (0.001, 0.002, 0.003), (0.25, 0.75, 1.0), (0.0, 0.5, 1.0))
_ROUNDING = 1e-9
"""A few hundred float64 operations on numbers of order one, with the cancellation of small steps."""


def _ends(schedule: Schedule, t: float) -> tuple[float, float]:
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def _triples() -> Iterator[tuple[str, tuple[float, ...]]]:
    """α and σ at three times s < t < u of every schedule; the middle one never at a singular end."""
    for name, times in itertools.product(SCHEDULES, TIMES):
        schedule = schedule_named(name)
        yield f"{name}, times {times}", tuple(v for t in times for v in _ends(schedule, t))


# --- A1 --------------------------------------------------------------------------------------------------------------


def composed(alpha_s: Any, sigma_s: Any, alpha_t: Any, sigma_t: Any, alpha_u: Any, sigma_u: Any) -> Any:
    """`σ²_{u|s}` from the two steps s → t → u, by A1's formula."""
    step_t = formula.transition_var(alpha_t, sigma_t, alpha_s, sigma_s)
    step_u = formula.transition_var(alpha_u, sigma_u, alpha_t, sigma_t)
    return formula.composed_var(formula.alpha_ratio(alpha_u, alpha_t), step_u, step_t)


def _a1_schedules(sides: Sides, _: Context) -> Outcome:
    return worst(
        equal(
            sides["composed"](*six),
            formula.transition_var(six[4], six[5], six[0], six[1]),
            _ROUNDING * six[5] ** 2,
            name,
        )
        for name, six in _triples()
    )


def _drop_factor(*six: Any) -> Any:
    a_s, s_s, a_t, s_t, a_u, s_u = six
    return formula.transition_var(a_u, s_u, a_t, s_t) + formula.transition_var(a_t, s_t, a_s, s_s)


def _earlier_factor(*six: Any) -> Any:
    a_s, s_s, a_t, s_t, a_u, s_u = six
    step_t, step_u = formula.transition_var(a_t, s_t, a_s, s_s), formula.transition_var(a_u, s_u, a_t, s_t)
    return formula.composed_var(formula.alpha_ratio(a_t, a_s), step_u, step_t)


register(
    Claim(
        id="A1",
        title="Composition of forward kernels",
        statement=r"$\alpha_{u|s} = \alpha_{u|t}\,\alpha_{t|s}$ and "
        r"$\sigma^2_{u|s} = \sigma^2_{u|t} + \alpha^2_{u|t}\,\sigma^2_{t|s}$ for $s < t < u$.",
        source="Kingma et al. 2021 (arXiv 2107.00630)",
        assumptions=r"$0 \le s < t < u \le 1$ and $\alpha_s, \alpha_t > 0$; the forward chain is Markov and Gaussian, with a signal-to-noise ratio that falls. "
        r"$s = 0$ and $\alpha_u = 0$ are included.",
        derivation=r"Insert $x_t = \alpha_{t|s} x_s + \sigma_{t|s} n$ into $x_u = \alpha_{u|t} x_t + \sigma_{u|t} n'$: the means multiply, "
        r"the independent noises add their variances.",
        sides={"composed": composed},
        checks=(
            Check(
                "symbolic",
                "whole: one step inserted into the next, s = 0 and α_u = 0 included",
                a_symbolic.composition,
                whole=True,
            ),
            Check("exact", "eight schedules, ends of time included", _a1_schedules),
        ),
        false_twins={
            r"without the factor $\alpha^2_{u|t}$": {"composed": _drop_factor},
            r"with $\alpha^2_{t|s}$ in its place": {"composed": _earlier_factor},
        },
    )
)


# --- A2 and A3 -------------------------------------------------------------------------------------------------------


def _bridge_by_precision(alpha_t: Any, sigma_t: Any, alpha_s: Any, sigma_s: Any) -> tuple[Any, Any, Any]:
    """a, b, c² from Bayes' rule: precisions of `x_s|x_0` and of `x_t|x_s` add, means add by precision."""
    factor = formula.alpha_ratio(alpha_t, alpha_s)
    noise = formula.transition_var(alpha_t, sigma_t, alpha_s, sigma_s)
    var = 1 / (1 / sigma_s**2 + factor**2 / noise)
    return var * factor / noise, var * alpha_s / sigma_s**2, var


def _steps() -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """`alpha_t, sigma_t, alpha_s, sigma_s` of the steps t → s with 0 < s, ends t = 1 included."""
    for name, six in _triples():
        if six[1] > 0:
            yield f"{name}, t → s", (six[2], six[3], six[0], six[1])
            yield f"{name}, u → t", (six[4], six[5], six[2], six[3])


def _a2_schedules(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for name, step in _steps():
        expected = _bridge_by_precision(*step)
        for side, value in zip(("a", "b", "var"), expected, strict=True):
            outcomes.append(equal(sides[side](*step), value, _ROUNDING * max(1.0, value), f"{side}, {name}"))
    return worst(outcomes)


register(
    Claim(
        id="A2",
        title="The bridge",
        statement=r"$q(x_s|x_t,x_0) = N(a x_t + b x_0,\, c^2 I)$ with $a = \alpha_{t|s}\sigma_s^2/\sigma_t^2$, "
        r"$b = \alpha_s \sigma^2_{t|s}/\sigma_t^2$, $c^2 = \sigma_s^2 \sigma^2_{t|s}/\sigma_t^2$.",
        source="Ho et al. 2020 (arXiv 2006.11239)",
        assumptions=r"$0 \le s < t \le 1$, $\alpha_s, \sigma_t > 0$; the forward chain is Markov and Gaussian. At $s = 0$ the bridge is the point $\alpha_0 x_0$.",
        derivation=r"Given $x_0$, $x_s = \alpha_s x_0 + \sigma_s n_s$ and $x_t = \alpha_{t|s} x_s + \sigma_{t|s} n$ are jointly Gaussian. The rest "
        r"$x_s - a x_t - b x_0$ has mean 0, for $\alpha_s - a\alpha_t - b = 0$, and no covariance with $x_t$, for "
        r"$\sigma_s^2\alpha_{t|s}(1 - a\alpha_{t|s}) - a\sigma^2_{t|s} = 0$: it is independent of $x_t$. Its variance is "
        r"$\sigma_s^2(1 - a\alpha_{t|s})^2 + a^2\sigma^2_{t|s} = c^2$. Nothing is divided by but $\alpha_s$ and $\sigma_t$. For $s > 0$ it is Bayes' rule: "
        r"precisions add, $c^{-2} = \sigma_s^{-2} + \alpha^2_{t|s}/\sigma^2_{t|s}$.",
        sides={"a": formula.bridge_a, "b": formula.bridge_b, "var": formula.bridge_var},
        checks=(
            Check(
                "symbolic",
                "whole: the rest is uncorrelated with x_t and has variance c², s = 0 and α_t = 0 included",
                a_symbolic.bridge,
                whole=True,
            ),
            Check("exact", "against the sum of precisions: eight schedules, t = 1 included", _a2_schedules),
        ),
        false_twins={
            r"$a = \alpha_{t|s}\sigma_s/\sigma_t$": {
                "a": lambda a_t, s_t, a_s, s_s: formula.alpha_ratio(a_t, a_s) * s_s / s_t
            },
            r"$c^2 = \sigma^2_{t|s}$ ($\beta_t$ for $\tilde\beta_t$)": {"var": formula.transition_var},
        },
    )
)


def _a3_schedules(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for name, step in _steps():
        ratio = formula.bridge_b(*step) ** 2 / formula.bridge_var(*step)
        snr_t, snr_s = formula.snr(step[0], step[1]), formula.snr(step[2], step[3])
        outcomes.append(equal(float(sides["gap"](snr_t, snr_s)), ratio, _ROUNDING * max(1.0, snr_s), name))
    return worst(outcomes)


def _log_gap(snr_t: Any, snr_s: Any) -> Any:
    log = sympy.log if isinstance(snr_t, sympy.Expr) else lambda v: math.log(max(v, 1e-300))
    return log(snr_s) - log(snr_t)


register(
    Claim(
        id="A3",
        title="The gap identity",
        statement=r"$g := \gamma_s - \gamma_t = b^2/c^2$. In $u = (x_s - a x_t - b\hat{x})/c$ the reverse kernel is the law of $\sqrt{g}\,\xi + n$, $\xi = x_0 - \hat{x}$, "
        r"and the plug-in Gaussian is $N(0, I)$: given the posterior at $t$, the two depend on the step only through $g$, and with them KL, TV and $\chi^2$. "
        r"$W_2$ is $c$ times a function of $g$.",
        source="derived on its page",
        assumptions=r"$0 < s < t \le 1$; $\alpha_t = 0$ is included. At $s = 0$ $c$ is 0 and $g$ infinite.",
        derivation=r"$b^2/c^2 = \alpha_s^2\sigma^2_{t|s}/(\sigma_s^2\sigma_t^2)$, and $\sigma^2_{t|s} = \sigma_t^2 - \alpha_t^2\sigma_s^2/\alpha_s^2$ "
        r"makes this $\alpha_s^2/\sigma_s^2 - \alpha_t^2/\sigma_t^2$. By A2 $x_s = a x_t + b(\hat{x} + \xi) + c n$, so $u = \frac{b}{c}\xi + n$ with "
        r"$b/c = \sqrt{g} \ge 0$. A bijection keeps KL, TV and $\chi^2$, and divides distances by $c$.",
        sides={"gap": formula.gap},
        checks=(
            Check(
                "symbolic",
                "whole: the identity, and both laws in u, α_t = 0 included",
                a_symbolic.gap_identity,
                whole=True,
            ),
            Check("exact", "eight schedules, t = 1 included", _a3_schedules),
        ),
        false_twins={
            r"$g = \log\gamma_s - \log\gamma_t$": {"gap": _log_gap},
            r"$g = \sqrt{\gamma_s - \gamma_t}$, that is $b/c$": {
                "gap": lambda snr_t, snr_s: (snr_s - snr_t) ** sympy.Rational(1, 2)
            },
        },
    )
)


# --- A4 and A5 -------------------------------------------------------------------------------------------------------


def reverse_step(law: Law, schedule: Schedule, t: float, s: float, x_t: Tensor) -> ReverseStep:
    """The true side of A4: the exact reverse kernel of singtheory."""
    return ReverseKernel(law, schedule, t, s).at(x_t)


def _log_marginal(law: Law, schedule: Schedule, t: float, x: Tensor) -> Tensor:
    """`log q_t(x)`, x (n, d), through the evidence of `z = x/σ_t`."""
    sigma = schedule.sigma(t)
    return law.posterior(x / sigma, schedule.snr(t)).log_evidence - law.dim * sigma.log()


def _log_bayes(law: Law, schedule: Schedule, t: float, s: float, x_t: Tensor, x_s: Tensor) -> Tensor:
    """`log q(x_t|x_s) + log q_s(x_s) − log q_t(x_t)`, which knows nothing of the posterior of `x_0`."""
    factor, std = forward(schedule, t, s)
    residual = (x_t - factor * x_s) / std
    log_forward = -residual.square().sum(dim=1) / 2 - law.dim * math.log(std * math.sqrt(2 * math.pi))
    return log_forward + _log_marginal(law, schedule, s, x_s) - _log_marginal(law, schedule, t, x_t)


def _roundings(law: Law) -> float:
    """Of a log density: in a sum of d squares, in their logarithms and exponentials, and those of the posterior's own sums."""
    return 4 * law.dim + 1024


def _density_rounding(law: Law, schedule: Schedule, t: float, x: Tensor) -> float:
    """Of `log q_t(x)`: `‖z − √γ y‖²`, `z = x/σ`, is put together from squares that cancel."""
    z, snr = x / schedule.sigma(t), float(schedule.snr(t))
    reach2 = float(law.mean.square().sum()) + (_spread(law) ** 2)
    return rounding(_roundings(law), float(z.square().sum(dim=-1).max()), snr * reach2, law.dim)


def _step_rounding(law: Law, step: ReverseStep, x_s: Tensor) -> float:
    """Of `log q(x_s|x_t)` by the kernel and by the forward process: differences of coordinates in units of the noise, and `g‖ξ‖²`."""
    noise = step.bridge.var**0.5
    ends = float(x_s.norm(dim=-1).max() + step.x_t.norm(dim=-1).max() + step.mean.norm(dim=-1).max())
    off = 1 + float(((x_s - step.mean[:, None]) / noise).norm(dim=-1).max())
    exponents = step.bridge.gap**0.5 * _spread(law)
    return rounding(_roundings(law), off * ends / noise, (off + exponents) ** 2)


def _spread(law: Law) -> float:
    """How far atoms lie from the mean at most; of a smooth law six standard deviations."""
    if isinstance(law, Atoms):
        return float((law.points - law.mean).norm(dim=1).max())
    return 6 * float(law.cov.trace()) ** 0.5


def _bayes_outcomes(law: Law, name: str, sides: Sides, context: Context) -> Iterator[Outcome]:
    generator = context.generator()
    for schedule_name, t, s in (("cosine", 0.9, 0.8), ("rectified-flow", 0.6, 0.3), ("sd", 0.982, 0.962)):
        schedule = schedule_named(schedule_name)
        x_0 = law.sample(1, generator)
        x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * torch.randn(
            x_0.shape, dtype=torch.float64, generator=generator
        )
        exact = reverse_step(law, schedule, t, s, x_t)
        x_s = exact.sample(8, generator)
        found = sides["step"](law, schedule, t, s, x_t).log_prob(x_s)[0]
        expected = _log_bayes(law, schedule, t, s, x_t, x_s[0])
        where = f"{name}, {schedule_name}, {t} → {s}"
        slack = _step_rounding(law, exact, x_s) + sum(
            _density_rounding(law, schedule, at, x) for at, x in ((t, x_t), (s, x_s[0]))
        )
        for f, e in zip(found.tolist(), expected.tolist(), strict=True):
            yield equal(f, e, slack, where)


def _a4_toys(sides: Sides, context: Context) -> Outcome:
    laws = {"golden": GOLDEN, "three atoms in the plane": TRI, "two bumps": BUMPS}
    return worst(o for name, law in laws.items() for o in _bayes_outcomes(law, name, sides, context))


def _a4_data(sides: Sides, context: Context) -> Outcome:
    name, law, _ = deviations(context)  # a far origin would cost the digits of log q_t
    return worst(_bayes_outcomes(law, name, sides, context))


def _a4_symbolic(_: Sides, __: Context) -> Outcome:
    """`(a x + b x_0 + c n − a x − b x̂)/c = (b/c) ξ + n` with `x_0 = x̂ + ξ`, and `(b/c)² = g`."""
    alpha_t, sigma_t, alpha_s, sigma_s = ends = sympy.symbols("alpha_t sigma_t alpha_s sigma_s", positive=True)
    x, x_hat, xi, n, c = sympy.symbols("x xhat xi n c", positive=True)
    a, b, var = formula.bridge_a(*ends), formula.bridge_b(*ends), formula.bridge_var(*ends)
    u = (a * x + b * (x_hat + xi) + c * n - a * x - b * x_hat) / c
    gap = formula.gap(formula.snr(alpha_t, sigma_t), formula.snr(alpha_s, sigma_s))
    return worst(
        [
            identically_zero(sympy.diff(u, xi) ** 2 - b**2 / c**2, "the factor of ξ"),
            identically_zero(b**2 / var - gap, "its square is g"),
            identically_zero(u - n - b / c * xi, "u"),
        ]
    )


def _a5_symbolic(_: Sides, __: Context) -> Outcome:
    """The bridge A2 at `α_t = 0`."""
    alpha_s, sigma_s, sigma_1 = sympy.symbols("alpha_s sigma_s sigma_1", positive=True)
    ends = sympy.Integer(0), sigma_1, alpha_s, sigma_s
    return worst(
        [
            identically_zero(formula.bridge_a(*ends), "a"),
            identically_zero(formula.bridge_b(*ends) - alpha_s, "b"),
            identically_zero(formula.bridge_var(*ends) - sigma_s**2, "c²"),
            identically_zero(
                formula.gap(formula.snr(ends[0], sigma_1), formula.snr(alpha_s, sigma_s)) - (alpha_s / sigma_s) ** 2,
                "g",
            ),
        ]
    )


def _prior_step(law: Law, schedule: Schedule, t: float, s: float, x_t: Tensor) -> ReverseStep:
    """The twin that keeps the prior's weights."""
    step = reverse_step(law, schedule, t, s, x_t)
    if not isinstance(law, Atoms):
        return step
    prior = law.posterior(torch.zeros_like(x_t), 0.0)
    return ReverseStep(x_t, prior, step.bridge)


def _wide_step(law: Law, schedule: Schedule, t: float, s: float, x_t: Tensor) -> ReverseStep:
    """The twin with the forward variance `σ²_{t|s}` in the place of c²."""
    step = reverse_step(law, schedule, t, s, x_t)
    old, var = step.bridge, forward(schedule, t, s)[1] ** 2
    return ReverseStep(x_t, step.posterior, Bridge(old.a, old.b, var, old.b**2 / var))


register(
    Claim(
        id="A4",
        title="The exact reverse kernel",
        statement=r"Given $x_t$, $u = (x_s - a x_t - b\hat{x})/c$ has the law of $\sqrt{g}\,\xi + n$; for finite data a Gaussian mixture with one "
        r"component a point and the posterior's weights.",
        source="derived on its page",
        assumptions=r"$0 < s < t \le 1$.",
        derivation=r"Average the bridge A2 over $x_0 \sim q(x_0|x_t)$: $x_s = a x_t + b x_0 + c n$ with $x_0 = \hat{x} + \xi$, and $b/c = \sqrt{g}$ by A3.",
        sides={"step": reverse_step},
        checks=(
            Check(
                "exact",
                "density against Bayes' rule q(x_t|x_s) q_s/q_t: toy mixtures, three schedules",
                _a4_toys,
            ),
            Check("exact", "the same on the data", _a4_data),
            Check("symbolic", "u and its factor of ξ, from A2 and A3", _a4_symbolic),
        ),
        false_twins={
            "the prior's weights": {"step": _prior_step},
            r"$\sigma^2_{t|s}$ for $c^2$": {"step": _wide_step},
        },
    )
)


def _a5_outcomes(law: Law, name: str, sides: Sides, context: Context) -> Iterator[Outcome]:
    """`q(x_s|x_1)` at two different `x_1` against the marginal of `α_s x_0 + σ_s n`."""
    schedule, s = sides["schedule"](), 0.6
    x_1 = torch.randn(2, law.dim, dtype=torch.float64, generator=context.generator()) * torch.tensor([[0.5], [2.0]])
    steps = sides["step"](law, schedule, s, x_1)
    x_s = steps.sample(4, context.generator())
    expected = _log_marginal(law, schedule, s, x_s.reshape(-1, law.dim)).reshape(2, 4)
    exact = terminal_step(law, schedule_named("cosine"), s, x_1)
    slack = _step_rounding(law, exact, x_s) + _density_rounding(law, schedule, s, x_s)
    for f, e in zip(steps.log_prob(x_s).flatten().tolist(), expected.flatten().tolist(), strict=True):
        yield equal(f, e, slack, name)


def _a5_toys(sides: Sides, context: Context) -> Outcome:
    laws = {"golden": GOLDEN, "three atoms in the plane": TRI, "two bumps": BUMPS}
    return worst(o for name, law in laws.items() for o in _a5_outcomes(law, name, sides, context))


def _a5_data(sides: Sides, context: Context) -> Outcome:
    name, law, _ = deviations(context)
    return worst(_a5_outcomes(law, name, sides, context))


def terminal_step(law: Law, schedule: Schedule, s: float, x_1: Tensor) -> ReverseStep:
    """The true side of A5: the exact reverse kernel from t = 1."""
    return ReverseKernel(law, schedule, 1.0, s).at(x_1)


def _unit_noise(law: Law, schedule: Schedule, s: float, x_1: Tensor) -> ReverseStep:
    """The twin of variance `σ_1²`."""
    step = terminal_step(law, schedule, s, x_1)
    var = float(schedule.sigma(1.0)) ** 2
    return ReverseStep(x_1, step.posterior, Bridge(step.bridge.a, step.bridge.b, var, step.bridge.b**2 / var))


def _named(name: str) -> Callable[[], Schedule]:
    return lambda: schedule_named(name)


register(
    Claim(
        id="A5",
        title="The kernel at t = 1",
        statement=r"At $t = 1$ with $\alpha_1 = 0$: $a = 0$, $b = \alpha_s$, $c = \sigma_s$, and $q(x_s|x_1)$ is the law of $\alpha_s x_0 + \sigma_s n$, "
        r"independent of $x_1$.",
        source="Zhang et al. 2024 (arXiv 2403.08381), section 3.2",
        assumptions=r"$\alpha_1 = 0$, $\sigma_1 > 0$, $0 \le s < 1$.",
        derivation=r"$\alpha_{1|s} = 0$ makes $\sigma^2_{1|s} = \sigma_1^2$; insert into A2. At $\gamma_1 = 0$ the posterior is the prior.",
        sides={"schedule": _named("cosine"), "step": terminal_step},
        checks=(
            Check("exact", "density against the marginal at two x_1: toy mixtures, cosine schedule", _a5_toys),
            Check("exact", "the same on the data", _a5_data),
            Check("symbolic", "the coefficients, from A2", _a5_symbolic),
        ),
        false_twins={
            r"also at $\alpha_1 = .0683$ (Stable Diffusion)": {"schedule": _named("sd")},
            r"variance $\sigma_1^2$": {"step": _unit_noise},
        },
    )
)

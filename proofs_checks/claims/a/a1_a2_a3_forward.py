"""Claims A1 to A3: how forward kernels compose, the bridge between two times, and the gap."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import sympy

from proofs_checks.claims.a import a_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, worst
from singtheory import formula, schedule_named
from singtheory.schedule import SCHEDULES

NAMED = (*SCHEDULES, "power:0.5", "power:2")
TIMES = ((0.3, 0.6, 0.9), (0.001, 0.002, 0.003), (0.25, 0.75, 1.0), (0.0, 0.5, 1.0))
_ROUNDING = 1e-9
"""A few hundred float64 operations on numbers of order one, with the cancellation of small steps."""


def _triples() -> Iterator[tuple[str, tuple[float, ...]]]:
    """α and σ at three times s < t < u of every schedule; the middle one never at a singular end."""
    for name, times in itertools.product(NAMED, TIMES):
        schedule = schedule_named(name)
        yield f"{name}, times {times}", tuple(float(v) for t in times for v in schedule(t))


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

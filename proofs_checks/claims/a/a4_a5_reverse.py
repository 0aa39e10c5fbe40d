"""Claims A4 and A5: the exact reverse kernel, and what it is at t = 1."""

import math
from collections.abc import Callable, Iterator

import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, identically_zero, rounding, worst
from proofs_checks.instances.deviations import deviations
from proofs_checks.instances.laws import BUMPS, GOLDEN, TRI
from singtheory import Law, ReverseKernel, Schedule, formula, schedule_named
from singtheory.kernel import Bridge, ReverseStep, forward


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
    """The rounding of a log density: in a sum of d squares, in their logarithms and exponentials, and those of the posterior's own sums."""
    return 4 * law.dim + 1024


def _density_rounding(law: Law, schedule: Schedule, t: float, x: Tensor) -> float:
    """The rounding of `log q_t(x)`: `‖z − √γ y‖²`, `z = x/σ`, is put together from squares that cancel."""
    z, snr = x / schedule.sigma(t), float(schedule.snr(t))
    reach2 = float(law.mean.square().sum()) + (_spread(law) ** 2)
    return rounding(_roundings(law), float(z.square().sum(dim=-1).max()), snr * reach2, law.dim)


def _step_rounding(law: Law, step: ReverseStep, x_s: Tensor) -> float:
    """The rounding of `log q(x_s|x_t)` by the kernel and by the forward process: differences of coordinates in units of the noise, and `g‖ξ‖²`."""
    noise = step.bridge.var**0.5
    radius = float(x_s.norm(dim=-1).max() + step.x_t.norm(dim=-1).max() + step.mean.norm(dim=-1).max())
    off = 1 + float(((x_s - step.mean[:, None]) / noise).norm(dim=-1).max())
    exponents = step.bridge.gap**0.5 * _spread(law)
    return rounding(_roundings(law), off * radius / noise, (off + exponents) ** 2)


def _spread(law: Law) -> float:
    """How far atoms lie from the mean at most; of a smooth law six standard deviations."""
    if law.finite:
        return float(law.atoms().deviations().norm(dim=1).max())
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
        log_density = sides["step"](law, schedule, t, s, x_t).log_prob(x_s)[0]
        expected = _log_bayes(law, schedule, t, s, x_t, x_s[0])
        where = f"{name}, {schedule_name}, {t} → {s}"
        slack = _step_rounding(law, exact, x_s) + sum(
            _density_rounding(law, schedule, at, x) for at, x in ((t, x_t), (s, x_s[0]))
        )
        for f, e in zip(log_density.tolist(), expected.tolist(), strict=True):
            yield equal(f, e, slack, where)


def _a4_toys(sides: Sides, context: Context) -> Outcome:
    laws = {"golden": GOLDEN, "three atoms in the plane": TRI, "two bumps": BUMPS}
    return worst(o for name, law in laws.items() for o in _bayes_outcomes(law, name, sides, context))


def _a4_data(sides: Sides, context: Context) -> Outcome:
    name, law, _ = deviations(context)  # a far origin would cost the digits of log q_t
    return worst(_bayes_outcomes(law, name, sides, context))


def _a4_symbolic(_: Sides, __: Context) -> Outcome:
    """`(a x + b x_0 + c n − a x − b x̂)/c = (b/c) ξ + n` with `x_0 = x̂ + ξ`, and `(b/c)² = g`."""
    alpha_t, sigma_t, alpha_s, sigma_s = coefficients = sympy.symbols("alpha_t sigma_t alpha_s sigma_s", positive=True)
    x, x_hat, xi, n, c = sympy.symbols("x xhat xi n c", positive=True)
    a, b, var = formula.bridge_a(*coefficients), formula.bridge_b(*coefficients), formula.bridge_var(*coefficients)
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
    coefficients = sympy.Integer(0), sigma_1, alpha_s, sigma_s
    return worst(
        [
            identically_zero(formula.bridge_a(*coefficients), "a"),
            identically_zero(formula.bridge_b(*coefficients) - alpha_s, "b"),
            identically_zero(formula.bridge_var(*coefficients) - sigma_s**2, "c²"),
            identically_zero(
                formula.gap(formula.snr(coefficients[0], sigma_1), formula.snr(alpha_s, sigma_s))
                - (alpha_s / sigma_s) ** 2,
                "g",
            ),
        ]
    )


def _prior_step(law: Law, schedule: Schedule, t: float, s: float, x_t: Tensor) -> ReverseStep:
    """The twin that keeps the prior's weights."""
    step = reverse_step(law, schedule, t, s, x_t)
    if not law.finite:
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
            r"also at $\alpha_1 = 0.0683$ (Stable Diffusion)": {"schedule": _named("sd")},
            r"variance $\sigma_1^2$": {"step": _unit_noise},
        },
    )
)

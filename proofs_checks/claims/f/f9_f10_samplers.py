"""Claims F9 and F10: ancestral steps, and the response of any sampler."""

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, identically_zero, worst
from singtheory import RectifiedFlow, Schedule, formula, response, schedule_named
from singtheory.formula import symbolic
from singtheory.sampler import DDIM, ODE, Denoiser, Sampler

NAMES = symbolic.NAMESPACE
_GOLDEN = {4: 0.104394, 10: 0.309826, 50: 0.785790}
"""Kept by N ancestral steps along λ = 900 on rectified flow, uniform times."""


def _f9_symbolic(sides: Sides, _: Context) -> Outcome:
    """The variance of a step from its parts: what it keeps of `x_t`, and fresh noise; at η = 1 the bridge's."""
    a_t, s_t, a_s, s_s, lam, kept, eta = sympy.symbols("alpha_t sigma_t alpha_s sigma_s lam r eta", positive=True)
    coefficients = a_t, s_t, a_s, s_s
    v_t, v_s = formula.marginal_var(a_t, s_t, lam), formula.marginal_var(a_s, s_s, lam)
    a, b, fresh = (f(*coefficients) for f in (formula.bridge_a, formula.bridge_b, formula.bridge_var))
    x, mean, old = sympy.symbols("x mu k", positive=True)
    x_hat = mean + formula.posterior_slope(a_t, s_t, lam) * (x - a_t * mean)
    step = formula.ddim_mean(x_hat, formula.epsilon_of(x, x_hat, a_t, s_t), a_s, old)
    moved = sympy.diff(step, x) ** 2 * kept * v_t + formula.ddim_noise_var(eta, fresh)
    after = sides["after"](kept, a_t, a_s, s_t, s_s, formula.ddim_noise_var(eta, fresh), old, lam)
    ancestral = (a + b * formula.posterior_slope(a_t, s_t, lam)) ** 2 * v_t + fresh
    residuals = {
        "every η": moved / v_s - after,
        "one step of η = 1": v_s - ancestral - sides["loss"](b, a_t, s_t, lam, fresh),
    }
    return worst(
        identically_zero(sympy.cancel(sympy.together(residual)), where) for where, residual in residuals.items()
    )


def _f9_golden(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for steps, expected in _GOLDEN.items():
        kept, schedule = torch.zeros(1, dtype=torch.float64), RectifiedFlow()
        lam = torch.tensor([900.0], dtype=torch.float64)
        times = torch.linspace(1, 0, steps + 1, dtype=torch.float64).tolist()
        for t, s in itertools.pairwise(times):
            coefficients = [float(value) for u in (t, s) for value in schedule(u)]
            fresh = formula.bridge_var(*coefficients)
            old = formula.ddim_kept_var(1.0, formula.bridge_a(*coefficients), fresh, coefficients[1]) ** 0.5
            before = torch.ones_like(kept) if t == 1 else kept
            kept = sides["after"](
                before, coefficients[0], coefficients[2], coefficients[1], coefficients[3], fresh, old, lam
            )
        outcomes.append(equal(float(kept.sqrt()), expected, 5e-7, f"N = {steps}"))
    return worst(outcomes)


register(
    Claim(
        id="F9",
        title="Ancestral steps",
        statement=r"Let r be the share of the variance that is kept. A step of DDIM(η): "
        r"$r_s = [(\alpha_s\alpha_t\lambda + \sqrt{\sigma_s^2 - \sigma_\eta^2}\,\sigma_t)^2 r_t/v_t + \sigma_\eta^2]/v_s$. At $\eta = 1$ one step from the right law misses exactly "
        r"$b^2\lambda\sigma_t^2/v_t$ of the variance.",
        source="derived on its page, with B7",
        assumptions=r"Gaussian data, the exact denoiser, $\lambda > 0$, $0 \le s < t \le 1$, $\sigma_t > 0$, fresh noise independent of $x_t$.",
        derivation=r"The deterministic part multiplies the deviation by F1's factor with what is kept of the old noise in the place of $\sigma_s$, and independent variances add. At $\eta = 1$ the step is the bridge with "
        r"$\hat{x}$ for $x_0$, so it misses the variance of $b(x_0 - \hat{x})$, and $Var(x_0|x_t) = \lambda\sigma_t^2/v_t$.",
        sides={
            "after": formula.kept_var_after,
            "loss": lambda b, a_t, s_t, lam, fresh: formula.ancestral_loss(b, a_t, s_t, lam),
        },
        checks=(
            Check("symbolic", "whole: the recursion for every η, and what η = 1 misses", _f9_symbolic, whole=True),
            Check("exact", "golden values at N = 4, 10 and 50", _f9_golden),
        ),
        false_twins={
            r"$\eta = 1$ misses $c^2$": {"loss": lambda b, a_t, s_t, lam, fresh: fresh},
            r"it misses $b\lambda\sigma_t^2/v_t$": {
                "loss": lambda b, a_t, s_t, lam, fresh: formula.ancestral_loss(b, a_t, s_t, lam) / b
            },
            "what is kept of the old noise enters in full": {
                "after": lambda r, a_t, a_s, s_t, s_s, noise, old, lam: formula.kept_var_after(
                    r, a_t, a_s, s_t, s_s, noise, s_s, lam
                )
            },
        },
    )
)


class _Pulses(TorchFunctionMode):
    """Every draw of normal noise becomes one unit in the row of its number."""

    def __init__(self) -> None:
        super().__init__()
        self.draws = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch calls in the place of its functions."""
        if func is not torch.randn:
            return func(*args, **(kwargs or {}))
        self.draws += 1
        noise = torch.zeros(*args[0], dtype=torch.float64)
        noise[self.draws] = 1
        return noise


def _pulse_responses(sampler: Sampler, times: Tensor, lam: Tensor, steps: int) -> Tensor:
    """What arrives of the start (row 0) and of each noise, along each λ, shape (1 + steps, k)."""
    schedule = sampler.schedule
    start = torch.zeros(steps + 1, len(lam), dtype=torch.float64)
    alpha, sigma = schedule(times[0])
    start[0] = formula.marginal_var(alpha, sigma, lam).sqrt()
    with _Pulses():
        return sampler.sample(_linear(schedule, lam), start, times)


def _linear(schedule: Schedule, lam: Tensor) -> Denoiser:
    """The denoiser of Gaussian data with mean zero, a column an eigenvalue."""

    def denoise(x: Tensor, t: float) -> Tensor:
        return formula.posterior_slope(*schedule(t), lam) * x

    return denoise


def _runs() -> Iterator[tuple[str, Schedule, Tensor]]:
    for name in ("cosine", "rectified-flow", "sd", "linear-vp"):
        yield name, schedule_named(name), torch.linspace(0.97, 0.02, 7, dtype=torch.float64)


@cache
def _ddim_responses() -> dict[str, tuple[Tensor, Tensor]]:
    """The response of DDIM(η) on four schedules: what arrives of the start and of each noise over the data's spread, (1 + steps, k), and the recursion of F9, (k,)."""
    lam, responses = torch.logspace(-2, 3, 9, dtype=torch.float64), {}
    for (name, schedule, times), eta in itertools.product(_runs(), (0.0, 0.5, 1.0)):
        end = formula.marginal_var(*schedule(times[-1]), lam).sqrt()
        pulses = _pulse_responses(DDIM(schedule, eta), times, lam, len(times) - 1) / end
        responses[f"η = {eta:g}, {name}"] = pulses, response.spread_kept(schedule, times, lam, eta=eta, start="matched")
    return responses


def _f10_ddim(sides: Sides, _: Context) -> Outcome:
    """Every noise alone, added up, beside the recursion of F9."""
    return worst(
        equal(float((sides["total"](pulses) - expected).abs().max()), 0.0, 1e-12, where)
        for where, (pulses, expected) in _ddim_responses().items()
    )


def _f10_linear(sides: Sides, context: Context) -> Outcome:
    """Heun's rule: twice the start arrives as twice the end, and two starts as their sum."""
    lam, outcomes = torch.logspace(-2, 3, 9, dtype=torch.float64), []
    for name, schedule, times in _runs():
        one, two = torch.randn(2, 1, 9, dtype=torch.float64, generator=context.generator())
        samples = [ODE(schedule).sample(sides["denoiser"](schedule, lam), x, times) for x in (one, two, one - 3 * two)]
        off = (samples[2] - samples[0] + 3 * samples[1]).abs() / (samples[0].abs() + 3 * samples[1].abs())
        outcomes.append(equal(float(off.max()), 0.0, 1e-12, f"Heun, {name}"))
    return worst(outcomes)


def _clipped(schedule: Schedule, lam: Tensor) -> Denoiser:
    exact = _linear(schedule, lam)
    return lambda x, t: exact(x, t).clamp(-1, 1)


register(
    Claim(
        id="F10",
        title="The response of a sampler",
        statement=r"On Gaussian data every sampler without thresholds is linear in its start and its noises, so the variance that arrives along $\lambda$ is the sum of the squared "
        r"responses to each of them, run one at a time on $\hat{x} = \mu + \frac{\alpha\lambda}{v}(x - \alpha\mu)$.",
        source="derived on its page",
        assumptions=r"Gaussian data, the exact denoiser; a sampler whose steps are linear in $x_t$, in $\hat{x}$ and in its noises, the noises independent of unit variance.",
        derivation=r"$\hat{x} - \mu$ is linear in $x - \alpha\mu$ along each eigenvector, and a composition of linear maps is linear. Variances of independent terms add.",
        sides={"total": lambda responses: responses.square().sum(dim=0).sqrt(), "denoiser": _linear},
        checks=(
            Check("exact", "DDIM at three η on four schedules, each noise alone, beside F9", _f10_ddim),
            Check("exact", "Heun's rule on four schedules: starts add up", _f10_linear),
        ),
        false_twins={
            "the responses add, not their squares": {"total": lambda responses: responses.sum(dim=0).abs()},
            "the noises do not count": {"total": lambda responses: responses[0].abs()},
            "with thresholds too": {"denoiser": _clipped},
        },
    )
)

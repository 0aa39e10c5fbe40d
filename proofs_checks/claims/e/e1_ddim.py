"""Claim E1: one step of DDIM at every η."""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from proofs_checks.claims.e import e_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, worst
from proofs_checks.instances.near_ends import queries, size, with_data
from proofs_checks.instances.scales import EPS
from proofs_checks.measurements.shared_values import shared, shared_schedule
from singtheory import (
    Law,
    ReverseKernel,
    Schedule,
    formula,
    limit,
)
from singtheory.sampler import DDIM, exact_denoiser
from singtheory.schedule import SCHEDULES

_SINGULAR = ("cosine", "rectified-flow", "power:0.5", "sd-zero-snr")
_STEPS = ((0.9, 0.6), (0.5, 0.05), (0.02, 0.01))
_CHARTS = {"(x/α, σ/α)": (1, 0), "(x/σ, α/σ)": (0, 1), "(x/(α+σ), …)": (1, 1), "(x/(2α+σ), …)": (2, 1)}


def _ddim_step(
    law: Law, schedule: Schedule, eta: float, x_t: Tensor, t: float, s: float, generator: torch.Generator
) -> Tensor:
    """One step of the sampler that users run, on the exact denoiser."""
    return DDIM(schedule, eta).step(partial(shared, _denoised, law, schedule), x_t, t, s, generator)


def _denoised(law: Law, schedule: Schedule, x_t: Tensor, t: float) -> Tensor:
    return exact_denoiser(law, schedule)(x_t, t)


def _chart_step(x_t: Any, drift: Any, here: Any, rates: Any, there: Any, chart: Any, _length: Any) -> Any:
    """The true side: the length of the step in t does not matter."""
    return formula.chart_step(x_t, drift, here, rates, there, chart)


def _textbook_var(eta: Any, alpha_t: Any, sigma_t: Any, alpha_s: Any, sigma_s: Any) -> Any:
    """`η² (1−ᾱ_s)/(1−ᾱ_t) (1−ᾱ_t/ᾱ_s)`, equation 16 of the DDIM paper, which assumes VP."""
    return eta**2 * (1 - alpha_s**2) / (1 - alpha_t**2) * (1 - alpha_t**2 / alpha_s**2)


def _noise_var(eta: Any, *coefficients: Any) -> Any:
    return formula.ddim_noise_var(eta, formula.bridge_var(*coefficients))


def _kept_var(eta: Any, alpha_t: Any, sigma_t: Any, alpha_s: Any, sigma_s: Any) -> Any:
    coefficients = alpha_t, sigma_t, alpha_s, sigma_s
    return formula.ddim_kept_var(eta, formula.bridge_a(*coefficients), formula.bridge_var(*coefficients), sigma_t)


def _instances(context: Context) -> Iterator[tuple[str, Law, Schedule, Tensor, float, float]]:
    for (name, law), kind in itertools.product(with_data(context).items(), SCHEDULES):
        schedule = shared_schedule(kind)
        for t, s in _STEPS:
            x_0, noise = law.mean.expand(3, -1), queries(law, context, 3)
            x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * noise
            yield f"{name}, {kind}, {t} to {s}", law, schedule, x_t, t, s


def _gap(x_s: Tensor, expected: Tensor, terms: float, where: str) -> Outcome:
    """Equal up to 256 roundings of the largest terms that cancel, and to a denoiser computed in blocks of other sizes."""
    return equal(float((x_s - expected).abs().max()), 0.0, 256 * EPS * terms, where)


def _e1_ancestral(sides: Sides, context: Context) -> Outcome:
    """Every η on the same noise: η = 1 is a draw of the plug-in Gaussian of the reverse kernel."""
    outcomes = []
    for where, law, schedule, x_t, t, s in _instances(context):
        step = ReverseKernel(law, schedule, t, s).at(x_t)
        (a_t, s_t), (a_s, s_s) = (map(float, schedule(u)) for u in (t, s))
        noise = torch.randn(x_t.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
        epsilon = formula.epsilon_of(x_t, step.posterior.mean, a_t, s_t)
        # ε* carries the rounding of x_t and of the denoiser, whose weights carry that of z², over σ_t
        terms = (float(x_t.norm()) + size(law)) * (1 + float(x_t.norm()) ** 2 / s_t**2) / s_t * (a_s + s_s)
        expected = {1.0: step.mean + step.bridge.var**0.5 * noise}
        for eta in (0.0, 0.4, 1.0):
            kept, fresh = (float(sides[f"{part}_var"](eta, a_t, s_t, a_s, s_s)) ** 0.5 for part in ("kept", "noise"))
            mean = sides["mean"](step.posterior.mean, epsilon, a_s, kept)
            x_s = sides["step"](law, schedule, eta, x_t, t, s, torch.Generator().manual_seed(7))
            outcomes.append(_gap(x_s, expected.get(eta, mean + fresh * noise), terms, f"η = {eta:g}, {where}"))
    return worst(outcomes)


def _e1_charts(sides: Sides, context: Context) -> Outcome:
    """Euler's rule on the drift of the flow, with the schedule's own time derivatives."""
    outcomes = []
    for where, law, schedule, x_t, t, s in _instances(context):
        here, there = (schedule(u) for u in (t, s))
        rates = schedule.alpha_dot(t), schedule.sigma_dot(t)
        x_s = sides["step"](law, schedule, 0.0, x_t, t, s, context.generator())
        drift = shared(limit.ode_drift, law, schedule, x_t, t)
        for chart, (p, q) in _CHARTS.items():
            euler = sides["euler"](x_t, drift, here, rates, there, (p, q), s - t)
            # rounding of x/k and of slope times clock, brought to s by k_s
            scale = float((p * there[0] + q * there[1]) / (p * here[0] + q * here[1]))
            terms = (1 + scale) * (float(x_t.norm()) + size(law)) / float(here[1])
            outcomes.append(_gap(x_s, euler, 16 * terms, f"{chart}, {where}"))
    return worst(outcomes)


def _e1_singular(sides: Sides, context: Context) -> Outcome:
    outcomes = []
    for (name, law), kind in itertools.product(with_data(context).items(), _SINGULAR):
        schedule, x_1 = shared_schedule(kind), queries(law, context, 3)
        for s in (0.9, 0.3, 0.0):
            x_s = sides["step"](law, schedule, 0.0, x_1, 1.0, s, context.generator())
            coefficients = *schedule(s), schedule.sigma(1.0)
            expected, terms = sides["singular"](law.mean, x_1, *coefficients), float(x_1.norm()) + size(law)
            outcomes.append(_gap(x_s, expected, terms, f"{name}, {kind}, 1 to {s}"))
    return worst(outcomes)


register(
    Claim(
        id="E1",
        title="DDIM at every η",
        statement=r"The DDIM step $\alpha_s\hat{x} + \sqrt{\sigma_s^2 - \sigma_\eta^2}\,\epsilon^* + \sigma_\eta n$ with $\sigma_\eta = \eta c$, $0 \le \eta \le 1$, on any "
        r"schedule: $\eta = 1$ is the ancestral step $N(a x_t + b\hat{x}, c^2 I)$. $\eta = 0$ is Euler's rule for the probability flow in the "
        r"coordinate $x/k$, $k = p\alpha + q\sigma$, with the time $(p\sigma - q\alpha)/k$, for all $p, q \ge 0$ not both zero: $(x/\alpha, \sigma/\alpha)$, which is "
        r"regular at $t = 0$, $(x/\sigma, -\alpha/\sigma)$, which is regular at $t = 1$, and with $p, q > 0$ one that is regular at both ends. Regular means that $k > 0$, so that "
        r"coordinate and time are finite; the slope in it is $(p\epsilon^* - q\hat{x})/(p^2 + q^2)$, as bounded as $\epsilon^*$ and $\hat{x}$ are. From $\alpha_1 = 0$ it is the "
        r"SingDiffusion step $\alpha_s\mu + \sigma_s x_1/\sigma_1$.",
        source="Song et al. 2020 (arXiv 2010.02502); the family of coordinates is added here, Euler in t on rectified flow is its member p = q = 1",
        assumptions=r"$0 \le s < t \le 1$, $\alpha_s, \sigma_t > 0$, $k > 0$ at $s$ and at $t$ (so $s > 0$ for $p = 0$, $\alpha_t > 0$ for $q = 0$); $\dot\alpha$ and $\dot\sigma$ finite at $t$ with "
        r"$\dot\sigma\alpha \ne \dot\alpha\sigma$, that is $\dot\gamma \ne 0$ where $\alpha_t > 0$. For the last statement the exact denoiser, $\hat{x}(x_1, 1) = \mu$ (A5).",
        derivation=r"$\sigma_s^2 = a^2\sigma_t^2 + c^2$ (A2), so $\sigma_s^2 - \eta^2c^2 = a^2\sigma_t^2 + (1-\eta^2)c^2$, a form without cancellation: at $\eta = 1$ the old "
        r"noise enters as $a\sigma_t\epsilon^* = a(x_t - \alpha_t\hat{x})$, and $\alpha_s - a\alpha_t = b$. For $\eta = 0$ write $x = \alpha\hat{x} + \sigma\epsilon^*$ and "
        r"$\dot{x} = \dot\alpha\hat{x} + \dot\sigma\epsilon^*$: $\frac{d}{dt}\frac{x}{k} = \hat{x}\frac{d}{dt}\frac{\alpha}{k} + \epsilon^*\frac{d}{dt}\frac{\sigma}{k}$, and since "
        r"$p\frac{\alpha}{k} + q\frac{\sigma}{k} = 1$ both rates are multiples of that of $(p\sigma - q\alpha)/k$. With $\hat{x}$ and $\epsilon^*$ frozen "
        r"the step is a straight line, which ends at $\alpha_s\hat{x} + \sigma_s\epsilon^*$.",
        sides={
            "step": _ddim_step,
            "mean": formula.ddim_mean,
            "kept_var": _kept_var,
            "noise_var": _noise_var,
            "euler": _chart_step,
            "singular": formula.singular_step,
        },
        checks=(
            Check(
                "symbolic",
                "whole: variances, both ends of η and of time, every chart and where it is regular, the singular step",
                e_symbolic.ddim,
                whole=True,
            ),
            Check(
                "exact",
                "the sampler against the reverse kernel: three η, six schedules, five laws and the data",
                _e1_ancestral,
            ),
            Check("exact", "the sampler against Euler's rule in four coordinates, on the same", _e1_charts),
            Check("exact", "the sampler from t = 1 on four schedules, on the same laws", _e1_singular),
        ),
        false_twins={
            r"$\sigma_\eta$ of the VP textbook on every schedule": {"noise_var": _textbook_var},
            r"Euler in $t$ on every schedule": {
                "euler": lambda x, drift, *ends_and_chart: x + drift * ends_and_chart[-1]
            },
            r"$\sqrt{\sigma_s^2 - \sigma_\eta^2}$ with $\sigma_\eta = \eta\sigma_{t|s}$": {
                "noise_var": lambda eta, *coefficients: eta**2 * formula.transition_var(*coefficients)
            },
            r"$\alpha_s\mu + \sigma_s x_1$": {"singular": lambda mean, x_1, a_s, s_s, s_1: a_s * mean + s_s * x_1},
        },
    )
)

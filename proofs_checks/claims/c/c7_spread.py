"""Claim C7: the brightness law, what the flow makes of the mean and the spread of a start."""

from functools import cache

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from proofs_checks.claims.c import c_symbolic
from proofs_checks.claims.c.c5_c6_singular_step import LINE
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, worst
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.instances.near_ends import TILTED, number
from proofs_checks.instances.scales import EPS, radius
from singtheory import Atoms, Cosine, Gaussian, LinearVP, RectifiedFlow, Schedule, formula, limit, start

_FLOWS: tuple[tuple[str, Schedule, float], ...] = (
    ("cosine", Cosine(), 0.95),
    ("linear-vp", LinearVP(), 1.0),
    ("rectified flow", RectifiedFlow(), 0.9),
)
_LAST = 1e-7
"""The flow is integrated down to this time, where 0/0 begins to cost digits; its drift is at most 3 there, the solver adds 1e-8."""


def _carry(law: Gaussian, schedule: Schedule, t: float, x: Tensor) -> Tensor:
    """The probability flow from t down to `_LAST`, by an adaptive Runge-Kutta method."""

    def drift(time: float, flat: np.ndarray) -> np.ndarray:
        return limit.ode_drift(law, schedule, torch.from_numpy(flat).reshape(x.shape), time).numpy().ravel()

    solution = solve_ivp(drift, (t, _LAST), x.numpy().ravel(), method="DOP853", rtol=1e-9, atol=1e-10)
    return torch.from_numpy(solution.y[:, -1].copy()).reshape(x.shape)


_VALUES, _BASIS = torch.linalg.eigh(TILTED.cov)
_CENTRE, _SPREAD = torch.tensor([0.3, -0.5], dtype=torch.float64), 0.7
"""The start `N(m, s² I)` in the coordinates of the eigenvectors."""


@cache
def _carried() -> tuple[tuple[Tensor, Tensor], ...]:
    """Where each flow takes m, and half the distance of where it takes `m ± s`: mean and standard deviation of the end."""
    starts = torch.stack([_CENTRE, _CENTRE + _SPREAD, _CENTRE - _SPREAD]) @ _BASIS.mT
    carried = (_carry(TILTED, schedule, t, starts) @ _BASIS for _, schedule, t in _FLOWS)
    return tuple((end[0], (end[1] - end[2]) / 2) for end in carried)


def _c7_flow(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for (name, schedule, t), (mean, std) in zip(_FLOWS, _carried(), strict=True):
        alpha, sigma = schedule(t)
        end_mean = sides["end_mean"](TILTED.mean @ _BASIS, _VALUES, _CENTRE, alpha, sigma, torch)
        end_var = sides["end_var"](_VALUES, _SPREAD**2, alpha, sigma)
        for k, eigenvalue in enumerate(_VALUES.tolist()):
            where = f"{name}, λ = {eigenvalue:.3g}"
            outcomes.append(equal(float(mean[k]), float(end_mean[k]), 10 * _LAST, f"mean, {where}"))
            outcomes.append(equal(float(std[k] ** 2), float(end_var[k]), 10 * _LAST, f"variance, {where}"))
    return worst(outcomes)


def _c7_starts(sides: Sides, _: Context) -> Outcome:
    """The starts of the library, in one dimension: moments of what they return, carried by the formulas."""
    alpha, sigma = number(0.6), number(0.8)
    mean, var = LINE.mean, LINE.cov[0]
    unit = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)  # noise of mean 0 and variance 1
    components = start.Components(torch.ones(1, 1, dtype=torch.float64), var.sqrt())
    noise_end = sides["end_mean"](mean, var, 0 * mean, alpha, sigma, torch), sides["end_var"](var, 1.0, alpha, sigma)
    made = {
        "noise": (start.noise_start(unit), noise_end),
        "mean": (start.mean_start(unit, mean, alpha, sigma), (mean, sides["mean_start_end"](var, alpha, sigma))),
        "matched": (start.matched_start(unit, mean, components, alpha, sigma), (mean, var)),
    }
    outcomes = []
    for name, (x, (end_mean, end_var)) in made.items():
        carried = start.flow_end(x.mean(), x.var(correction=0), alpha, sigma, mean, var)
        ratio = float(start.spread_ratio(alpha, sigma, var, x.std(correction=0)))
        expected = float(end_mean), float(end_var), float(end_var)
        measured = float(carried[0]), float(carried[1]), ratio**2 * float(var)
        for part, value, truth in zip(("mean", "variance", "spread ratio"), measured, expected, strict=True):
            outcomes.append(equal(value, truth, 1e-12, f"{part}, {name} start"))
    return worst(outcomes)


def _c7_brightness(sides: Sides, context: Context) -> Outcome:
    name, law = excerpt(context)
    span = context.data.span
    dim = law.dim if span is None else span.dim
    direction = torch.full((dim,), dim**-0.5, dtype=torch.float64)
    parts = (block if span is None else span.lift(block) for block in law.points.split(256))
    means, sizes = zip(*((block.mean(dim=1), float(block.abs().mean(dim=1).max())) for block in parts), strict=True)
    brightness = torch.cat(means)
    var = float(law.weights @ (brightness - law.weights @ brightness).square())
    inside = direction if span is None else span.project(direction)
    along = float(inside @ law.cov @ inside)
    return equal(along, float(sides["brightness"](var, dim)), _brightness_rounding(law, dim, var, max(sizes)), name)


def _brightness_rounding(law: Atoms, dim: int, var: float, largest: float) -> float:
    """The rounding of d times a variance of means of d numbers, and of a quadratic form of Σ: both from numbers less their mean."""
    roundings = EPS * (32 + len(law.points) + 2 * dim)
    off = roundings * largest
    trace, reach = float(law.cov.trace()), roundings * radius(law)
    return dim * (2 * var**0.5 * off + off**2 + roundings * var) + roundings * trace + 2 * trace**0.5 * reach + reach**2


register(
    Claim(
        id="C7",
        title="The brightness law",
        statement=r"For Gaussian data and an eigenvector of $\Sigma$ (mean $\mu$, variance $\lambda$ along it) the flow keeps "
        r"$(x_t - \alpha_t\mu)/\sqrt{\alpha_t^2\lambda + \sigma_t^2}$ at every $t > 0$, so a start $N(m, s^2)$ at $\alpha, \sigma$ ends, at $t = 0$ or as $t \to 0$, as "
        r"$N(\mu + \sqrt{\lambda/(\alpha^2\lambda+\sigma^2)}(m - \alpha\mu),\ \lambda s^2/(\alpha^2\lambda+\sigma^2))$. Noise start ($m = 0$, "
        r"$s = 1$): mean pulled towards zero, spread contracted where $\alpha^2\lambda + \sigma^2 > 1$. Mean start ($m = \alpha\mu$, "
        r"$s = \sigma$): mean exact, variance $\lambda\sigma^2/(\alpha^2\lambda+\sigma^2)$. Matched start ($s^2 = \alpha^2\lambda+\sigma^2$): both "
        r"exact. Along the constant image $\lambda = d\,Var(brightness)$.",
        source="derived on its page",
        assumptions=r"Gaussian data in any dimension, $\lambda \ge 0$, $\sigma > 0$ at the start; any schedule that is differentiable on the way. At $t = 0$ with $\lambda = 0$ the kept "
        r"quantity is $0/0$: there $x_t \to \mu$ whatever the start. For brightness: the constant image is an eigenvector.",
        derivation=r"Along a unit eigenvector $e$, $\langle e, x_0\rangle - k\langle e, x_t\rangle$ with $k = \alpha\lambda/(\alpha^2\lambda + \sigma^2)$ has no covariance with $x_t$, for "
        r"$\Sigma e = \lambda e$ makes it $(\alpha\lambda - k(\alpha^2\lambda + \sigma^2))e$. So along $e$ $\hat{x} = \mu + k(x - \alpha\mu)$ in any dimension, and with $v = \alpha^2\lambda + \sigma^2$ the drift is "
        r"$\dot\alpha\mu + \frac{\dot{v}}{2v}(x - \alpha\mu)$: then $\frac{d}{dt}(x - \alpha\mu) = \frac{\dot{v}}{2v}(x - \alpha\mu)$, which "
        r"grows like $\sqrt{v}$. At $t = 0$, $v = \lambda$; with $\lambda = 0$, $x - \alpha\mu \propto \sigma \to 0$. The coordinate along $(1,\dots,1)/\sqrt{d}$ is $\sqrt{d}$ times the brightness.",
        sides={
            "end_mean": formula.flow_end_mean,
            "end_var": formula.flow_end_var,
            "mean_start_end": formula.mean_start_end_var,
            "brightness": formula.brightness_eigenvalue,
        },
        checks=(
            Check("quadrature", "the flow integrated numerically: a plane Gaussian, three schedules", _c7_flow),
            Check("exact", "noise, mean and matched starts of the library", _c7_starts),
            Check("exact", "variance along the constant image of the data", _c7_brightness),
            Check(
                "symbolic",
                "along an eigenvector in any dimension: prediction, flow, the three starts, brightness, λ = 0; not the limit at t = 0",
                c_symbolic.brightness_law,
            ),
        ),
        false_twins={
            r"variance $\lambda s^2/\sqrt{\alpha^2\lambda+\sigma^2}$": {
                "end_var": lambda eigenvalue, var, a, s: (
                    eigenvalue * var / formula.marginal_var(a, s, eigenvalue) ** 0.5
                )
            },
            "the posterior mean's slope": {
                "end_mean": lambda mean, eigenvalue, m, a, s, xp: (
                    mean + a * eigenvalue / formula.marginal_var(a, s, eigenvalue) * (m - a * mean)
                )
            },
            "the mean start makes the variance exact too": {"mean_start_end": lambda eigenvalue, a, s: eigenvalue},
            r"$\lambda = Var(brightness)$": {"brightness": lambda var, dim: var},
        },
    )
)

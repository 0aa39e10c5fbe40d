"""Claims F1 to F3: the cosine law, the start as the first step, and the mirror between the two ends."""

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import equal, identically_zero, worst
from singtheory import Gaussian, RectifiedFlow, Schedule, formula, response, schedule_named
from singtheory.formula import symbolic
from singtheory.sampler import DDIM, exact_denoiser
from singtheory.schedule import SCHEDULES

NAMES = symbolic.NAMESPACE
NAMED = (*SCHEDULES, "power:0.5", "power:3")
_GOLDEN = {
    (900.0, 4, 1.0): (0.099254176926, 0.099503719021),
    (900.0, 10, 1.0): (0.283115744545, 0.287347885566),
    (900.0, 10, 3.0): (0.617245671400, 0.668964731622),
    (900.0, 28, 3.0): (0.851219060229, 0.937748760724),
    (1.0, 10, 1.0): (0.878984378453, 0.993883734674),
    (0.01, 10, 1.0): (0.617245671400, 0.999938277320),
}
"""Kept by a sampler of N steps on rectified flow with a timestep shift, in all and by the first step, along λ: computed with 50 digits."""
_THREE = (1e-3, 1.0, 900.0)
"""Eigenvalues along which products of cosines are compared."""


def shifted_times(steps: int, shift: float) -> Tensor:
    """Evenly spaced times from 1 to 0 under a timestep shift, shape (steps + 1,)."""
    return formula.shifted_time(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)


def _symbols() -> tuple[sympy.Symbol, sympy.Symbol, sympy.Symbol, sympy.Symbol, sympy.Symbol]:
    """`α_t, σ_t, α_s, σ_s ≥ 0` and λ > 0: the ends of time are inside."""
    a_t, s_t, a_s, s_s = sympy.symbols("alpha_t sigma_t alpha_s sigma_s", nonnegative=True)
    return a_t, s_t, a_s, s_s, sympy.Symbol("lam", positive=True)


def _law_of_cosines(a_t: Any, s_t: Any, a_s: Any, s_s: Any, lam: Any) -> Any:
    """`cos(θ_s − θ_t)` from the angles' own sines and cosines."""
    v_t, v_s = formula.marginal_var(a_t, s_t, lam), formula.marginal_var(a_s, s_s, lam)
    return s_s * s_t / sympy.sqrt(v_s * v_t) + a_s * a_t * lam / sympy.sqrt(v_s * v_t)


@cache
def _f1_step() -> tuple[sympy.Expr, sympy.Expr]:
    """The factor of a step's deviation from `α_s μ`, and x̂ by Bayes' rule less the formula for it; one for a claim and all its twins."""
    a_t, s_t, a_s, s_s, lam = _symbols()
    x, mean, positive = *sympy.symbols("x mu", real=True), sympy.Symbol("s", positive=True)
    x_hat = mean + formula.posterior_slope(a_t, s_t, lam) * (x - a_t * mean)
    bayes = symbolic.gaussian_denoiser(x, mean, lam, a_t, positive)
    step = formula.ddim_mean(x_hat, formula.epsilon_of(x, x_hat, a_t, s_t), a_s, s_s)
    return sympy.cancel((step - a_s * mean) / (x - a_t * mean)), (bayes - x_hat).subs(positive, s_t)


def _f1_symbolic(sides: Sides, _: Context) -> Outcome:
    """A step of DDIM(0) on the denoiser that Bayes' rule gives, over the flow's factor."""
    a_t, s_t, a_s, s_s, lam = _symbols()
    coefficients, (deviation, bayes) = (a_t, s_t, a_s, s_s), _f1_step()
    factor = formula.ddim_spread_factor(a_t, a_s, s_t, s_s, lam)
    kept = sides["kept"](*coefficients, lam, NAMES)
    v_t, v_s = formula.marginal_var(a_t, s_t, lam), formula.marginal_var(a_s, s_s, lam)
    residuals = {
        "x̂ is Bayes' rule's": bayes,
        "factor of a step": deviation - factor,
        "its share of the flow's": factor - kept * formula.flow_spread_factor(*coefficients, lam, NAMES),
        "law of cosines": kept - _law_of_cosines(*coefficients, lam),
        "nothing is gained": 1 - kept**2 - lam * (a_s * s_t - a_t * s_s) ** 2 / (v_t * v_s),
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _f1_angles(sides: Sides, _: Context) -> Outcome:
    """The product of the cosines of the angles themselves, on random grids of every schedule."""
    return worst(
        equal(kept, _angles_kept(sides["angle"], name, grid, lam), 1e-12, f"{name}, λ = {lam:g}")
        for name, grid in _grids()
        for lam, kept in zip(_THREE, _kept_on(name, tuple(grid.tolist())), strict=True)
    )


def _angles_kept(angle: Callable[[Schedule, Tensor, float], Tensor], name: str, grid: Tensor, lam: float) -> float:
    schedule = schedule_named(name)
    first = 1 if float(schedule.alpha(grid[0])) == 0 else 0  # a matched start replaces the first step there
    return float(torch.cos(angle(schedule, grid, lam).diff()[first:]).prod())


@cache
def _kept_on(name: str, grid: tuple[float, ...]) -> list[float]:
    """Along each of `_THREE`, once for the claim and all its twins."""
    return response.spread_kept(schedule_named(name), grid, _THREE, start="matched").tolist()


def _grids() -> Iterator[tuple[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for name in NAMED:
        times = torch.rand(7, dtype=torch.float64, generator=generator).sort(descending=True).values
        yield name, torch.cat([torch.ones(1, dtype=torch.float64), times])


def _spectrum(dim: int, generator: torch.Generator) -> tuple[Gaussian, Tensor, Tensor]:
    """A Gaussian law with eigenvalues from 0.01 to 1000, with its eigenvectors in columns."""
    lam = torch.logspace(-2, 3, dim, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=generator))[0]
    mean = torch.randn(dim, dtype=torch.float64, generator=generator)
    return Gaussian(mean, basis * lam @ basis.mT), lam, basis


def _f1_sampler(sides: Sides, context: Context) -> Outcome:
    """DDIM itself on the exact denoiser of Gaussian laws in 3 and 20 dimensions, one deviation along each eigenvector."""
    outcomes = []
    for dim, (name, grid) in itertools.product((3, 20), _grids()):
        law, lam, basis = _spectrum(dim, context.generator())
        schedule = schedule_named(name)
        alpha, sigma = schedule(grid[0])
        width = formula.marginal_var(alpha, sigma, lam).sqrt()
        start = torch.cat([alpha * law.mean[None], alpha * law.mean + (basis * width).mT])
        end = DDIM(schedule).sample(exact_denoiser(law, schedule), start, grid)
        alpha, sigma = schedule(grid[-1])
        kept = ((end[1:] - end[:1]) * basis.mT).sum(dim=1) / formula.marginal_var(alpha, sigma, lam).sqrt()
        nodes = [tuple(map(float, schedule(t))) for t in grid]
        expected = torch.ones(dim, dtype=torch.float64)
        for here, there in itertools.pairwise(nodes):
            expected = expected * sides["kept"](*here, *there, lam, torch)
        # the deviation is a difference of states of size 1000, along directions whose own size is 0.1 at least
        off = float((kept - expected).abs().max())
        outcomes.append(equal(off, 0.0, 1e-12 * float(lam.max() / lam.min()) ** 0.5, f"{name}, d = {dim}"))
    return worst(outcomes)


def _angle(schedule: Schedule, times: Tensor, lam: float) -> Tensor:
    return formula.spread_angle(*schedule(times), torch.tensor(lam, dtype=torch.float64), torch)


register(
    Claim(
        id="F1",
        title="The cosine law",
        constant=r"The cosine itself, exact.",
        statement=r"Gaussian data, an eigenvector of $\Sigma$ of eigenvalue $\lambda$, $\theta_t = \arctan\sqrt{\gamma_t\lambda}$. A DDIM(0) step from $t$ to $s$ multiplies the "
        r"deviation from $\alpha\mu$ by $(\alpha_s\alpha_t\lambda + \sigma_s\sigma_t)/v_t$, $v_t = \alpha_t^2\lambda + \sigma_t^2$; the flow by $\sqrt{v_s/v_t}$; their ratio is "
        r"$\cos(\theta_s - \theta_t)$. A grid keeps $\prod_k\cos\Delta\theta_k \le 1$ of the standard deviation along $\lambda$.",
        source="derived on its page; the product without its angles is in Benita, Elad and Keshet 2025 (arXiv 2502.00180)",
        assumptions=r"Gaussian data, the exact denoiser, $\lambda > 0$, $0 \le s < t \le 1$; any schedule.",
        derivation=r"$\hat{x} - \mu = \frac{\alpha\lambda}{v}(x - \alpha\mu)$ and $\epsilon^* = \frac{\sigma}{v}(x - \alpha\mu)$, so the step "
        r"$\alpha_s\hat{x} + \sigma_s\epsilon^*$ has the factor $(\alpha_s\alpha_t\lambda + \sigma_s\sigma_t)/v_t$. With $\cos\theta = \sigma/\sqrt{v}$ and "
        r"$\sin\theta = \alpha\sqrt\lambda/\sqrt{v}$ it is $\sqrt{v_s/v_t}\,(\sin\theta_s\sin\theta_t + \cos\theta_s\cos\theta_t)$.",
        sides={"kept": formula.step_kept, "angle": _angle},
        checks=(
            Check(
                "symbolic",
                "one step: its factor, the flow's, their ratio, never above 1; ends included",
                _f1_symbolic,
            ),
            Check("exact", "products of cosines of angles: random grids of eight schedules, three λ", _f1_angles),
            Check("exact", "DDIM itself on Gaussian laws in 3 and 20 dimensions, eight schedules", _f1_sampler),
        ),
        false_twins={
            r"$\cos$ of the difference of $\gamma\lambda$": {
                "angle": lambda schedule, times, lam: schedule.snr(times) * lam
            },
            r"$\theta = \arctan(\gamma\lambda)$": {
                "angle": lambda schedule, times, lam: torch.atan(schedule.snr(times) * lam)
            },
            r"$\prod\cos\theta_k$ instead of differences": {
                "kept": lambda a_t, s_t, a_s, s_s, lam, xp: s_s / xp.sqrt(formula.marginal_var(a_s, s_s, lam))
            },
            r"the flow's factor squared: $v_s/v_t$": {
                "kept": lambda a_t, s_t, a_s, s_s, lam, xp: (
                    formula.ddim_spread_factor(a_t, a_s, s_t, s_s, lam)
                    * formula.marginal_var(a_t, s_t, lam)
                    / formula.marginal_var(a_s, s_s, lam)
                )
            },
        },
    )
)


def _f2_symbolic(sides: Sides, _: Context) -> Outcome:
    """From α = 0 with the exact denoiser, and the starts at s by the brightness law."""
    *_before, a_s, _s_s, lam = _symbols()
    s_s, s_1 = sympy.symbols("sigma_s sigma_1", positive=True)
    v_s = formula.marginal_var(a_s, s_s, lam)
    first = sides["first"](formula.snr(a_s, s_s), lam, NAMES)
    residuals = {
        "first step": formula.step_kept(0, s_1, a_s, s_s, lam, NAMES) - first,
        "mean start": sympy.sqrt(formula.mean_start_end_var(lam, a_s, s_s) / lam) - first,
        "noise start": sympy.sqrt(formula.flow_end_var(lam, 1, a_s, s_s) / lam) - sides["noise"](first, s_s),
        "the step is the mean start": formula.ddim_spread_factor(0, a_s, s_1, s_s, lam) * s_1 - s_s,
        "widening to the matched start": first * sympy.sqrt(v_s) - s_s,
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _f2_golden(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for (lam, steps, shift), (kept, first) in _GOLDEN.items():
        schedule, times = RectifiedFlow(), shifted_times(steps, shift)
        spread = response.respond(schedule, times, [lam])
        where = f"λ = {lam:g}, N = {steps}, shift {shift:g}"
        expected = float(sides["first"](schedule.snr(times[1]), torch.tensor(lam, dtype=torch.float64), torch))
        outcomes.append(equal(float(spread.kept), kept, 1e-10, f"kept, {where}"))
        outcomes.append(equal(float(spread.first), first, 1e-10, f"first step, {where}"))
        outcomes.append(equal(float(spread.first), expected, 1e-12, f"cos θ_s, {where}"))
    return worst(outcomes)


register(
    Claim(
        id="F2",
        title="The start is the first step",
        statement=r"Where $\alpha_1 = 0$ the first DDIM(0) step to $s$ on the exact denoiser is the mean start $\alpha_s\mu + \sigma_s x_1/\sigma_1$ and keeps "
        r"$\cos\theta_s = 1/\sqrt{1 + \gamma_s\lambda}$ of the standard deviation. A sampler that starts at $s$ from $N(0, I)$ keeps $\cos\theta_s/\sigma_s$ (C7): "
        r"the same step with the average image set to zero and too wide a $\sigma$.",
        source="derived on its page",
        assumptions=r"Gaussian data, the exact denoiser, $\sigma_1 > 0$, $0 < s < 1$ with $\sigma_s > 0$.",
        derivation=r"At $\alpha_1 = 0$ the denoiser is $\mu$ (C1), so $\theta_1 = 0$ and F1's cosine is $\cos\theta_s = \sigma_s/\sqrt{v_s}$, what C7 has for the mean start. "
        r"The noise start is wider by $1/\sigma_s$.",
        sides={"first": formula.first_step_kept, "noise": lambda first, sigma_s: first / sigma_s},
        checks=(
            Check("symbolic", "whole: first step, mean start and noise start", _f2_symbolic, whole=True),
            Check("exact", "six golden values, computed with 50 digits", _f2_golden),
        ),
        false_twins={
            r"$1/(1 + \gamma_s\lambda)$, the share of the variance": {
                "first": lambda snr, lam, xp: 1 / (1 + snr * lam)
            },
            r"$1/\sqrt{1 + (\gamma_s\lambda)^2}$": {"first": lambda snr, lam, xp: 1 / xp.sqrt(1 + (snr * lam) ** 2)},
            "the noise start keeps as much as the mean start": {"noise": lambda first, sigma_s: first},
        },
    )
)


def _f3_symbolic(sides: Sides, _: Context) -> Outcome:
    """A step reversed, and a shift on rectified flow."""
    a_t, s_t, a_s, s_s, lam = _symbols()
    coefficients = a_t, s_t, a_s, s_s
    t, shift, scale, q_t, q_s = sympy.symbols("t shift k q_t q_s", positive=True)
    mirrored = formula.step_kept(s_s, a_s, s_t, a_t, sides["mirror"](lam), NAMES)
    rescaled = formula.step_kept(scale * a_t, scale * s_t, a_s, s_s, lam, NAMES)
    moved = formula.step_kept(q_t / shift, 1, q_s / shift, 1, lam, NAMES)
    later = formula.shifted_time(t, shift)
    # squares, for they are rational: nothing here is negative
    residuals = {
        "mirror": mirrored**2 - formula.step_kept(*coefficients, lam, NAMES) ** 2,
        "only √γ = α/σ enters": rescaled**2 - formula.step_kept(*coefficients, lam, NAMES) ** 2,
        "√γ after a shift": (1 - later) / later - (1 - t) / t / shift,
        "kept after a shift": moved**2 - formula.step_kept(q_t, 1, q_s, 1, sides["shifted"](lam, shift), NAMES) ** 2,
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _kept_on_flow(times: Tensor, lam: float) -> float:
    return float(response.spread_kept(RectifiedFlow(), times, [lam]))


def _f3_grids(sides: Sides, context: Context) -> Outcome:
    """Whole grids on rectified flow: reversed in time, and shifted."""
    return worst(_reversed_and_shifted(sides, context.generator()))


def _reversed_and_shifted(sides: Sides, generator: torch.Generator) -> Iterator[Outcome]:
    for lam, shift in itertools.product((0.01, 1.0, 900.0), (0.5, 3.0)):
        inside = torch.rand(6, dtype=torch.float64, generator=generator).sort(descending=True).values
        grid = torch.cat([inside.new_ones(1), inside, inside.new_zeros(1)])
        back = _kept_on_flow(1 - grid.flip(0), float(sides["mirror"](lam)))
        yield equal(back, _kept_on_flow(grid, lam), 1e-12, f"mirror, λ = {lam:g}")
        moved = _kept_on_flow(formula.shifted_time(grid, shift), lam)
        plain = _kept_on_flow(grid, float(sides["shifted"](lam, shift)))
        yield equal(moved, plain, 1e-12, f"shift {shift:g}, λ = {lam:g}")


register(
    Claim(
        id="F3",
        title="The mirror of the two ends",
        statement=r"$\theta(1/\gamma\lambda) = \pi/2 - \theta(\gamma\lambda)$: a grid reversed by $\gamma \to 1/\gamma$ keeps along $1/\lambda$ what it kept along $\lambda$; on rectified flow "
        r"$t \to 1 - t$ does it. A timestep shift $t' = st/(1 + (s-1)t)$ divides $\sqrt\gamma$ by $s$, so what is kept along $\lambda$ with shift $s$ is what is kept along "
        r"$\lambda/s^2$ without.",
        source="derived on its page",
        assumptions=r"Gaussian data, the exact denoiser, DDIM(0), $\lambda > 0$; the shift on rectified flow.",
        derivation=r"$\arctan(1/x) = \pi/2 - \arctan x$ for $x > 0$, and differences of angles only change their sign. With $\sqrt\gamma = (1-t)/t$: "
        r"$1 - t' = (1-t)/(1 + (s-1)t)$, so $\sqrt{\gamma'} = \sqrt\gamma/s$ and $\gamma'\lambda = \gamma\lambda/s^2$.",
        sides={"mirror": lambda lam: 1 / lam, "shifted": lambda lam, shift: lam / shift**2},
        checks=(
            Check("symbolic", "one step, whatever its ends", _f3_symbolic),
            Check("exact", "random grids reversed and shifted", _f3_grids),
        ),
        false_twins={
            r"the mirror without $\lambda \to 1/\lambda$": {"mirror": lambda lam: lam},
            r"a shift multiplies $\lambda$ by $s$": {"shifted": lambda lam, shift: lam * shift},
            r"a shift divides $\lambda$ by $s$": {"shifted": lambda lam, shift: lam / shift},
        },
    )
)

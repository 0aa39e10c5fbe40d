"""Claims F6 and F8: resolution, and the grids that keep the most."""

import itertools
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_least, equal, identically_zero, worst
from proofs_checks.harness.slope import vanishes_at_rate
from singtheory import Atoms, Cosine, RectifiedFlow, Schedule, formula, grid, response
from singtheory.data import digits_images
from singtheory.formula import symbolic

NAMES = symbolic.NAMESPACE


def _f6_symbolic(sides: Sides, _: Context) -> Outcome:
    """λ = c d: the shift of the new size makes γ'λ what it was."""
    t, c, dim, reference = sympy.symbols("t c d d_0", positive=True)
    shifted = formula.shifted_time(t, sides["shift"](dim, reference, NAMES))
    snr = ((1 - t) / t) ** 2
    after = ((1 - shifted) / shifted) ** 2 * sides["eigenvalue"](c * reference, dim / reference)
    return identically_zero(after - snr * c * reference, "γλ at any time, so every grid")


@cache
def _enlarged() -> tuple[Tensor, Tensor, float]:
    """The largest eigenvalues of digits, (8,), those of digits twice as large, (8,), and how many times the pixels these have."""
    images = torch.as_tensor(digits_images()[:400], dtype=torch.float64)
    images = images / images.abs().max()
    large = images.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2).flatten(1)
    small, enlarged = (torch.linalg.eigvalsh(Atoms(rows).cov).flip(0)[:8] for rows in (images.flatten(1), large))
    return small, enlarged, large.shape[1] / images[0].numel()


def _f6_enlarged(sides: Sides, _: Context) -> Outcome:
    """Digits enlarged by repeating pixels: their eigenvalues, and what a sampler keeps along them."""
    small, eigenvalues, ratio = _enlarged()
    expected = sides["eigenvalue"](small, ratio)
    shift = float(sides["shift"](torch.tensor(ratio), 1.0, torch))
    times = torch.linspace(1, 0, 9, dtype=torch.float64)
    kept = response.spread_kept(RectifiedFlow(), times, small)
    again = response.spread_kept(RectifiedFlow(), formula.shifted_time(times, shift), eigenvalues)
    return worst(
        [
            equal(float((eigenvalues / expected - 1).abs().max()), 0.0, 1e-9, "eigenvalues of digits twice as large"),
            equal(float((again - kept).abs().max()), 0.0, 1e-9, "kept along them, with the shift"),
        ]
    )


register(
    Claim(
        id="F6",
        title="Resolution",
        constant=r"The exponent $\tfrac{1}{2}$ of $d/d_0$, exact.",
        statement=r"If pictures of d pixels keep their low frequencies, their $\lambda$ grow like d. On rectified flow a timestep shift $\sqrt{d/d_0}$ then keeps along each of them what "
        r"was kept at $d_0$ pixels: $\sqrt{\gamma_1} \propto 1/\sqrt d$. With a matched first step the large $\lambda$ need no shift.",
        source="derived on its page; the rule is that of Esser et al. 2024 (arXiv 2403.03206), which shifts by √(m/n)",
        assumptions=r"Gaussian data, the exact denoiser, DDIM(0) on rectified flow; $\lambda = c\,d$, exact for pictures enlarged by repeating pixels.",
        derivation=r"Repeating each pixel m times multiplies the covariance along a picture by m, for its unit vector is $1/\sqrt m$ of each. By F3 a shift s makes "
        r"$\gamma\lambda$ into $\gamma\lambda/s^2$, so $s^2 = d/d_0$ undoes the growth.",
        sides={"shift": formula.resolution_shift, "eigenvalue": lambda eigenvalue, ratio: eigenvalue * ratio},
        checks=(
            Check("symbolic", "γλ at every time of a grid", _f6_symbolic),
            Check("exact", "digits twice as large: eight eigenvalues and what is kept along them", _f6_enlarged),
        ),
        false_twins={
            r"$\sqrt{\gamma_1} \propto 1/d$": {"shift": lambda dim, reference, xp: dim / reference},
            r"a shift by the fourth root": {"shift": lambda dim, reference, xp: xp.sqrt(xp.sqrt(dim / reference))},
            r"$\lambda$ grows with the side, not the pixels": {
                "eigenvalue": lambda eigenvalue, ratio: eigenvalue * ratio**0.5
            },
        },
    )
)


def _f8_symbolic(sides: Sides, _: Context) -> Outcome:
    """One λ: log cos is concave, so equal angles are best (Jensen); the loss for many steps by its series in 1/N."""
    total, h = sympy.symbols("Theta h", positive=True)
    bend, loss = _f8_expansions(total, h)
    residuals = {
        "log cos bends down": bend,
        "loss and its next order": sympy.expand(loss - sides["loss"](1 / h, total)),
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


@cache
def _f8_expansions(total: sympy.Symbol, h: sympy.Symbol) -> tuple[sympy.Expr, sympy.Expr]:
    """`(log cos)'' + 1/cos²`, and `−log cos(Θh)/h` up to `h⁴`, N = 1/h: once for the claim and all its twins."""
    angle = sympy.Symbol("theta", positive=True)
    bend = sympy.diff(sympy.log(sympy.cos(angle)), angle, 2) + 1 / sympy.cos(angle) ** 2
    loss = sympy.series(-sympy.log(sympy.cos(total * h)) / h, h, 0, 5).removeO()
    return bend.subs(sympy.sin(angle) ** 2, 1 - sympy.cos(angle) ** 2), loss


_SNR_RANGE = 1e-5, 1e3
_SPECTRUM = (900.0, 100.0, 10.0, 1.0, 0.1, 0.01)


def _loss(schedule: Schedule, times: Tensor, eigenvalues: Any, weights: Any) -> float:
    """`Σ w_i (−log kept_i)` from a start that is right."""
    lam = torch.as_tensor(eigenvalues, dtype=torch.float64)
    kept = torch.ones_like(lam)
    nodes = [schedule(t) for t in times]
    for here, there in itertools.pairwise(nodes):
        kept = kept * formula.step_kept(*here, *there, lam, torch)
    return -float(torch.as_tensor(weights, dtype=torch.float64) @ kept.log())


def _f8_one(sides: Sides, context: Context) -> Outcome:
    """One λ: no grid between the same ends keeps more, among the named ones and random changes of the best."""
    return worst(_f8_rivals(sides, context.generator()))


def _f8_rivals(sides: Sides, generator: torch.Generator) -> Iterator[Outcome]:
    for lam in (0.05, 1.0, 300.0):
        schedule, snr_range = Cosine(), (_SNR_RANGE[0] / lam, _SNR_RANGE[1] / lam)
        best = sides["even"](schedule, 10, *snr_range, lam)
        rivals = [
            grid.karras(schedule, 10, *snr_range),
            grid.uniform_log_snr(schedule, 10, *snr_range),
            grid.cosine(schedule, 10, *snr_range),
        ]
        rivals.append(torch.linspace(float(best[0]), float(best[-1]), 11, dtype=torch.float64))
        for _ in range(20):
            moved = best.clone()
            moved[1:-1] += 0.1 * torch.rand(9, dtype=torch.float64, generator=generator) * best.diff()[1:]
            rivals.append(moved)
        least = _loss(schedule, best, [lam], [1.0])
        others = min(_loss(schedule, times, [lam], [1.0]) for times in rivals)
        yield at_least(others, least * (1 - 1e-12), f"λ = {lam:g}: the best rival's loss")
        angle = sum(math.atan(math.sqrt(snr * lam)) * sign for snr, sign in zip(snr_range, (-1, 1), strict=True))
        closed = -math.log(formula.even_angles_kept(10, angle, math))
        yield equal(least, closed, 1e-11, f"λ = {lam:g}: in closed form")


def _f8_many(sides: Sides, _: Context) -> Outcome:
    """Six eigenvalues in nats: N times the cost tends to the limit, its distance like 1/N² for a smooth density."""
    schedule, weights = RectifiedFlow(), [1.0] * len(_SPECTRUM)
    limit = sides["limit"](*_SNR_RANGE, _SPECTRUM, weights)

    def off(h: float) -> float:
        steps = round(1 / h)
        times = sides["nats"](schedule, steps, *_SNR_RANGE, _SPECTRUM)
        return steps * _loss(schedule, times, _SPECTRUM, weights) - limit

    return vanishes_at_rate(off, [1 / n for n in (16, 32, 64, 128)], 2.0, "six eigenvalues, distance from the limit")


def _log_snr_grid(schedule: Schedule, steps: int, start: float, end: float, _: Any) -> Tensor:
    return grid.uniform_log_snr(schedule, steps, start, end)


register(
    Claim(
        id="F8",
        title="The grid that keeps the most",
        constant=r"$\tfrac{1}{2}$ before $\Theta^2/N$ and $\tfrac{1}{12}$ before $\Theta^4/N^3$, exact; $\tfrac{1}{2}R^2$, exact as a limit.",
        statement=r"For one $\lambda$ equal steps of $\theta$ are best: N steps over an angle $\Theta$ keep $\cos(\Theta/N)^N$, and $-\log$ of it is "
        r"$\Theta^2/2N + \Theta^4/12N^3 + \dots$; from noise to data $\Theta = \pi/2$. For $\sum_i w_i(-\log\prod\cos\Delta\theta_i)$, N times the least cost tends to "
        r"$\frac12R^2$, $R = \int\sqrt{\sum_i w_i(d\theta_i/d\log\gamma)^2}\,d\log\gamma$, on nodes at equal parts of R.",
        source="derived on its page",
        assumptions=r"Gaussian data, the exact denoiser, DDIM(0), $w_i \ge 0$; ends given.",
        derivation=r"$(\log\cos)'' = -1/\cos^2 < 0$, so by Jensen's inequality the sum over steps of a given total is largest for equal ones. For many steps "
        r"$-\log\cos\Delta\theta = \Delta\theta^2/2 + \dots$; with n(u) nodes a unit of any parameter the cost is $\frac12\int\sum_i w_i\dot\theta_i^2/n\,du$, least by Cauchy and Schwarz for "
        r"$n \propto \sqrt{\sum_i w_i\dot\theta_i^2}$.",
        sides={
            "even": grid.even_angles,
            "nats": grid.nats_grid,
            "limit": grid.least_loss,
            "loss": formula.even_angles_loss,
        },
        checks=(
            Check("symbolic", "one λ: concavity, the loss and its next order", _f8_symbolic),
            Check("exact", "one λ: 24 rival grids at three λ, and the closed form", _f8_one),
            Check("exact", "six λ: the limit and the order in which it is reached", _f8_many),
        ),
        false_twins={
            r"the best grid is uniform in $\log\gamma$": {"even": _log_snr_grid},
            r"the limit without its half": {"limit": lambda *args: 2 * grid.least_loss(*args)},
            r"the next order is $\Theta^4/24N^3$": {
                "loss": lambda steps, angle: angle**2 / (2 * steps) + angle**4 / (24 * steps**3)
            },
            r"nodes at equal parts of $\int\sum w\,\dot\theta^2$": {
                "nats": lambda schedule, steps, start, end, lam: grid.uniform_log_snr(schedule, steps, start, end)
            },
        },
    )
)

r"""Solvers of a flow `x_t = (1 − t) x_0 + t n`, from noise at t = 1 to data at t = 0, each from a denoiser `x̂(x, t)` on a grid of times.

Written from the papers' descriptions: Euler; Heun (Karras et al. 2022), whose last step is Euler's; DPM-Solver++ 2M (Lu et al. 2022) and UniPC
of order 2 with B₂(h) (Zhao et al. 2023), both in `log α/σ` with a last step of order 1. As in diffusers these two start a little below t = 1, where
`log α/σ` is finite.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from singtheory import formula

Denoise = Callable[[Tensor, float], Tensor]
"""`x̂` from x and t."""
After = Callable[[Tensor, float, float], Tensor]
"""What is done to the result of a step from t to s."""
Solve = Callable[[Tensor, Sequence[float], Denoise, After], Tensor]
"""The end of the path of x on a grid of decreasing times."""

STARTS = {"DPM++ 2M": 0.999, "UniPC": 1 - 1e-6}
"""Where solvers in `log α/σ` start, before the shift, as those of diffusers do."""
LASTS = {"UniPC": 0.001}
"""Towards which the even times of a solver go before the shift, if not 0; its last time is 0 all the same."""


def moved(x: Tensor, x_hat: Tensor, t: float, s: float) -> Tensor:
    """Euler's step of the velocity `(x − x̂)/t`, which is DDIM's: `(s/t) x + (1 − s/t) x̂`."""
    return s / t * x + (1 - s / t) * x_hat


def euler(x: Tensor, grid: Sequence[float], denoise: Denoise, after: After) -> Tensor:
    """One evaluation a step."""
    for t, s in pairwise(grid):
        x = after(moved(x, denoise(x, t), t, s), t, s)
    return x


def heun(x: Tensor, grid: Sequence[float], denoise: Denoise, after: After) -> Tensor:
    """Two evaluations a step, one in the last."""
    for t, s in pairwise(grid):
        x = after(_heun_step(x, denoise, t, s) if s > 0 else denoise(x, t), t, s)
    return x


def heun_after_first(x: Tensor, grid: Sequence[float], denoise: Denoise, after: After) -> Tensor:
    """Heun's, but the first step is Euler's: a matched first step is right as it is, and its slope is no tangent to be averaged."""
    x = euler(x, grid[:2], denoise, after)
    return heun(x, grid[1:], denoise, after)


def _heun_step(x: Tensor, denoise: Denoise, t: float, s: float) -> Tensor:
    slope = (x - denoise(x, t)) / t
    there = x + (s - t) * slope
    return x + (s - t) / 2 * (slope + (there - denoise(there, s)) / s)


def half_log_snr(t: float) -> float:
    """`log α/σ`, infinite at both ends."""
    return math.inf if t == 0 else -math.inf if t == 1 else math.log((1 - t) / t)


def dpm(x: Tensor, grid: Sequence[float], denoise: Denoise, after: After) -> Tensor:
    """DPM-Solver++ 2M in data prediction."""
    before, last = None, 0.0
    for t, s in pairwise(grid):
        x_hat, length = denoise(x, t), half_log_snr(s) - half_log_snr(t)
        used = x_hat
        if before is not None and s > 0:
            used = x_hat + (x_hat - before) * (length / (2 * last))
        x = after(moved(x, used, t, s), t, s)  # s/t and 1 − s/t are σ_s/σ_t and −α_s expm1(−h)
        before, last = x_hat, length
    return x


def unipc(x: Tensor, grid: Sequence[float], denoise: Denoise, after: After) -> Tensor:
    """UniPC-2 with B₂(h): after each evaluation the point is corrected by it, and the next predicted from the corrected one."""
    outputs: list[Tensor] = []
    from_x, steps = x, list(pairwise(grid))
    for k, (t, s) in enumerate(steps):
        x_hat = denoise(x, t)
        if k > 0:
            x = _unipc_corrected(from_x, outputs, x_hat, grid[max(0, k - 2) : k + 1])
        outputs = [*outputs[-1:], x_hat]
        from_x = x
        x = moved(x, x_hat, t, s)
        if k > 0 and s > 0:
            ratio = _ratio(grid[k - 1], t, s)
            x = x + (1 - s / t) * (outputs[0] - x_hat) / (2 * ratio)
        x = after(x, t, s)
    return x


def _ratio(before: float, t: float, s: float) -> float:
    """`(λ_before − λ_t)/(λ_s − λ_t)`, negative."""
    return (half_log_snr(before) - half_log_snr(t)) / (half_log_snr(s) - half_log_snr(t))


def _unipc_corrected(x: Tensor, outputs: list[Tensor], x_hat: Tensor, times: Sequence[float]) -> Tensor:
    """The point at the last of the times, from x at the one before it, the outputs up to it and the one at the last time."""
    t, s = times[-2:]
    held, weight = outputs[-1], 1 - s / t  # −α_s B(h), B = expm1(−h)
    point = moved(x, held, t, s)
    if len(times) == 2:
        return point + weight * (x_hat - held) / 2
    h = half_log_snr(s) - half_log_snr(t)
    ratio, b = _ratio(times[0], t, s), math.expm1(-h)
    first = b / -h - 1
    second = first / -h - 0.5
    rows = torch.tensor([[1.0, 1.0], [ratio, 1.0]], dtype=torch.float64)
    old, new = torch.linalg.solve(rows, torch.tensor([first / b, 2 * second / b], dtype=torch.float64)).tolist()
    return point + weight * (old * (outputs[0] - held) / ratio + new * (x_hat - held))


SOLVERS: dict[str, Solve] = {
    "Euler": euler,
    "Heun": heun,
    "Heun after the first": heun_after_first,
    "DPM++ 2M": dpm,
    "UniPC": unipc,
}


def steps_for(solver: str, evaluations: int) -> int:
    """Steps of so many evaluations. Heun's `2n − 1` are odd: it is given one more where they are even."""
    if solver == "Heun":
        return (evaluations + 2) // 2
    return evaluations // 2 + 1 if solver == "Heun after the first" else evaluations


def evaluations_of(solver: str, steps: int) -> int:
    """The other way round."""
    if solver == "Heun":
        return 2 * steps - 1
    return 2 * steps - 2 if solver == "Heun after the first" else steps


def shifted_grid(steps: int, shift: float, solver: str = "Euler", start: float = 1.0) -> list[float]:
    """Times from `start`, before the shift, or where a solver starts, to 0 in equal steps, then shifted; shape (steps + 1,)."""
    first, last = min(start, STARTS.get(solver, 1.0)), LASTS.get(solver, 0.0)
    even = torch.linspace(round(first, 5), last, steps + 1, dtype=torch.float64)[:-1].clamp(max=first)
    return [float(formula.shifted_time(t, shift)) for t in even.tolist()] + [0.0]

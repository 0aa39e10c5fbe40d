"""What DDIM(0) keeps of the spread on a budget's grid, beside the grids that keep the most (F1, F8)."""

from typing import Any

import torch
from torch import Tensor

from singtheory import InputError, Schedule, grid, response

MOST = 128
"""Eigenvalues are taken evenly by their rank where there are more."""
GRIDS = {"best in nats": grid.nats_grid, "best in W₂": grid.w2_grid}
"""The grids of F8: every direction alike, and each by its λ."""


def kept_on_grids(schedule: Schedule, name: str, times: Tensor, eigenvalues: Tensor, start: str) -> dict[str, Any]:
    """The kept curve of DDIM(0) on a grid and on F8's two best grids of as many steps between its ends, in plain values.

    Args:
        schedule: the forward process.
        name: of the grid.
        times: decreasing, shape (steps + 1,).
        eigenvalues: of the data's covariance, positive and decreasing.
        start: noise, mean or matched.

    Returns:
        `eigenvalues`, and in `grids` a row a grid: what is kept along each of them at the end of the chain, of the standard deviation that is
        right there; `nats = −Σ log kept` and `w2 = √(Σ λ(1 − kept)²)` over these directions; its γ.
    """
    lam = _chosen(eigenvalues)
    first, last = (float(schedule.snr(times[k])) for k in (0, -1))
    grids = {name: times}
    for name, best in GRIDS.items():
        try:
            grids[name] = best(schedule, len(times) - 1, first, last, lam)
        except InputError:  # a schedule of discrete steps has no time for every γ
            continue
    rows = [_row(schedule, grid, at, lam, start) for grid, at in grids.items()]
    return {"directions": len(eigenvalues), "start": start, "eigenvalues": lam.tolist(), "grids": rows}


def _chosen(eigenvalues: Tensor) -> Tensor:
    if len(eigenvalues) <= MOST:
        return eigenvalues
    return eigenvalues[torch.linspace(0, len(eigenvalues) - 1, MOST).round().long()]


def _row(schedule: Schedule, name: str, times: Tensor, lam: Tensor, start: Any) -> dict[str, Any]:
    kept = response.spread_kept(schedule, times, lam, start=start)
    return {
        "grid": name,
        "kept": kept.tolist(),
        "nats": -float(kept.log().sum()),
        "w2": float((lam * (1 - kept).square()).sum().sqrt()),
        "snr": schedule.snr(times).tolist(),
    }

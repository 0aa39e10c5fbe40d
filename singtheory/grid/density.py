"""Grids whose steps are short where a density is high: those of very many steps, for any kernel whose cost is known (E2, E3)."""

import numpy as np
import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.grid.grids import check_steps, times_of
from singtheory.schedule import Schedule


def by_density(schedule: Schedule, steps: int, snr: Tensor, density: Tensor) -> Tensor:
    """Times of equal steps in `∫ρ dγ` from the first γ to the last, shape (steps + 1,).

    With `ρ = √|mmse′|` it is the best grid of many steps for a kernel of isotropic noise (E2), with `ρ = (E‖κ‖²)^⅓` for the matched kernel (E3).

    Args:
        schedule: the forward process.
        steps: N.
        snr: where the density is known, increasing, finite, at least 0; between two of them it is taken to be linear; shape (n,).
        density: ρ, not negative and positive somewhere, shape (n,).

    Raises:
        InputError: for other numbers.
    """
    check_steps(steps)
    snr, density = snr.to(torch.float64), density.to(torch.float64)
    if snr.ndim != 1 or snr.shape != density.shape or len(snr) < 2:
        raise InputError(f"snr {tuple(snr.shape)}, density {tuple(density.shape)}: need two of one length, at least 2")
    if not bool(((snr >= 0) & torch.isfinite(snr)).all() and (snr.diff() > 0).all()):
        raise InputError("snr: must increase, and be finite and at least 0")
    if not bool((torch.isfinite(density) & (density >= 0)).all() and (density > 0).any()):
        raise InputError("density: must be finite, not negative, and positive somewhere")
    area = torch.cat([density.new_zeros(1), ((density[1:] + density[:-1]) / 2 * snr.diff()).cumsum(0)])
    even = torch.linspace(0, float(area[-1]), steps + 1, dtype=torch.float64)
    nodes = torch.from_numpy(np.interp(even.numpy(), area.numpy(), snr.numpy()))
    nodes[0], nodes[-1] = snr[0], snr[-1]
    return times_of(schedule, nodes)

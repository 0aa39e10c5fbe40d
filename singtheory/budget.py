r"""The error budget of an ancestral sampler, in nats (B8).

For steps of variance exactly c², any denoiser `m_θ` and expectations under q,

    KL(q_end‖p_end) ≤ KL(q_start‖p_start) + Σ_k ½(g_k mmse(γ_k) − ∫ mmse dγ) + Σ_k ½ g_k E‖x̂ − m_θ‖²

initial mismatch, discretisation, network error. It bounds the law of the whole path, so the chain must end where σ > 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.information import line_mmse
from singtheory.law import Atoms
from singtheory.schedule import Schedule

_NODES = 48
_PER_STD, _REACH = 20, 12
"""Nodes of the trapezoidal rule in a standard deviation of the noise, and how many of these it goes beyond the atoms."""


@dataclass(frozen=True)
class Budget:
    """The three terms, in nats.

    Attributes:
        start: `KL(q_start‖p_start)`.
        discretisation: one a step, shape (steps,).
        network: one a step, shape (steps,).
    """

    start: float
    discretisation: Tensor
    network: Tensor

    @property
    def total(self) -> float:
        """At least `KL(q_end‖p_end)`."""
        return self.start + float(self.discretisation.sum() + self.network.sum())


def budget(
    law: Atoms, schedule: Schedule, times: Tensor, start: float, denoiser: Callable[[Tensor, float], Tensor]
) -> Budget:
    """The budget of an ancestral sampler on atoms on a line, by quadrature.

    Args:
        law: finite data on a line.
        schedule: the forward process.
        times: decreasing, shape (steps + 1,), the last one with σ > 0.
        start: `KL(q_start‖p_start)`, as from `start_mismatch`.
        denoiser: `m_θ(x_t, t)`, maps (n, 1) to (n, 1).

    Raises:
        InputError: for data of more than one dimension, times that do not decrease, and an end with σ = 0.
    """
    snr = snr_along(law, schedule, times)
    gaps = snr.diff()
    errors = torch.stack([denoiser_error(law, schedule, t, denoiser) for t in times[:-1].tolist()])
    return Budget(start, discretisation(law, snr), formula.network_error(gaps, errors))


def snr_along(law: Atoms, schedule: Schedule, times: Tensor) -> Tensor:
    """`γ` at the times of a chain, which it checks."""
    if law.dim != 1:
        raise InputError(f"data in {law.dim} dimensions: this budget is computed by quadrature on a line")
    if len(times) < 2 or not bool((times.diff() < 0).all()):
        raise InputError("times: need at least two that decrease")
    if float(schedule.sigma(times[-1])) == 0:
        raise InputError("times: the chain must end where σ > 0, for KL to a density is infinite for atoms at σ = 0")
    return schedule.snr(times)


def discretisation(law: Atoms, snr: Tensor) -> Tensor:
    """`½(g mmse(γ_k) − ∫ mmse dγ)` of each step between increasing `snr` (steps + 1,): the mean of `KL(P‖Q)`; shape (steps,)."""
    x, w = (torch.as_tensor(v) for v in np.polynomial.legendre.leggauss(_NODES))
    # in √γ, where the mmse of few atoms is smooth on the scale of the noise
    low, high = snr[:-1].sqrt(), snr[1:].sqrt()
    root = low[:, None] + (high - low)[:, None] * (x + 1) / 2
    mmse = line_mmse(law, root.square().flatten())[0].reshape(root.shape)
    area = (2 * root * mmse * w).sum(dim=1) * (high - low) / 2
    return formula.discretisation(snr.diff(), line_mmse(law, snr[:-1])[0], area)


def denoiser_error(law: Atoms, schedule: Schedule, t: float, denoiser: Callable[[Tensor, float], Tensor]) -> Tensor:
    """`E‖x̂ − m_θ‖²` under `q_t` for atoms on a line."""
    x_t, mass = marginal(law, schedule, t)
    mean = law.posterior(x_t / schedule.sigma(t), schedule.snr(t)).mean
    return mass @ (mean - denoiser(x_t, t)).square()[:, 0]


def start_mismatch(law: Atoms, schedule: Schedule, t: float, mean: float, var: float) -> float:
    """`KL(q_t‖N(mean, var))` in nats for atoms on a line."""
    x_t, mass = marginal(law, schedule, t)
    step = float(schedule.sigma(t)) / _PER_STD
    reference = -((x_t[:, 0] - mean).square() / var + math.log(2 * math.pi * var)) / 2
    return float(mass @ (torch.log(mass.clamp(min=1e-300) / step) - reference))


def marginal(law: Atoms, schedule: Schedule, t: float) -> tuple[Tensor, Tensor]:
    """Nodes (n, 1) on a line, in increasing order, and the mass (n,) that `q_t` gives to each.

    They are as fine as the noise and near the atoms only, so that they resolve the law at every σ > 0 and at any distance of atoms.
    """
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    centres = alpha * law.points[:, 0]
    near = torch.arange(-_REACH * _PER_STD, _REACH * _PER_STD + 1)
    cells = torch.unique((centres * _PER_STD / sigma).round()[:, None] + near)
    x_t = cells * sigma / _PER_STD
    density = torch.exp(-((x_t[:, None] - centres) / sigma).square() / 2) @ law.weights
    return x_t[:, None], density / (2 * math.pi) ** 0.5 / _PER_STD

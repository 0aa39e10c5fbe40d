"""The reverse kernels that are compared, and the grids on which they are run."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.experiments.matched.profile import interpolated
from singtheory import grid
from singtheory.sampler import Diagonal, Lanczos, LowRank, Widening
from singtheory.schedule import Schedule

NAMES = ("DDPM", "Analytic-DPM", "diagonal", "low rank", "Lanczos 1", "Lanczos 3", "Lanczos 8")
"""From no knowledge of the covariance to most."""
PASSES = {"Lanczos 1": 2, "Lanczos 3": 6, "Lanczos 8": 16}
"""Passes of the network a step, one else: a product in forward mode carries the network's own value along, and counts as two."""
WORKS = (24, 48, 96, 192)
"""Passes at which ways are compared."""


@dataclass(frozen=True)
class Known:
    """What the profile of a network says.

    Attributes:
        snr: γ of the nodes, increasing.
        isotropic: Analytic-DPM's variance, `(1 − E‖ε‖²/d)/γ`, within the bounds of its paper: 0, and one a pixel for data in [−1, 1].
        along: `E⟨φ_k, r⟩²`, (nodes, k), and in the last column that of all other directions.
        pixels: `E r_i²`, (nodes, d).
        densities: ρ by which steps are spread, by kernel, each (nodes,).
    """

    snr: list[float]
    isotropic: np.ndarray
    along: np.ndarray
    pixels: np.ndarray
    densities: dict[str, np.ndarray]

    @classmethod
    def of(cls, profile: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> "Known":
        """From `profile.measured` of nodes in the order of γ; arrays (nodes, ...)."""
        snr = np.array([one["snr"] for one in profile])
        dim = arrays["pixels"].shape[1]
        epsilon2 = np.array([one["epsilon2"] for one in profile])
        rest = (np.array([one["mse"] for one in profile]) - arrays["along"].sum(axis=1)) / (
            dim - arrays["along"].shape[1]
        )
        isotropic = np.clip((1 - epsilon2 / dim) / snr, 1e-12, 1.0)
        along = np.concatenate([arrays["along"], np.maximum(rest, 0)[:, None]], axis=1)
        densities = {
            "isotropic": np.array([one["norm2"] for one in profile]) ** 0.5,
            "matched": np.array([one["skewness2"] for one in profile]) ** (1 / 3),
        }
        return cls(snr.tolist(), isotropic, along, arrays["pixels"], densities)

    def at(self, name: str) -> Any:
        """A function of γ, as `Widening`s take it."""
        values = getattr(self, name)
        return lambda snr: torch.from_numpy(np.atleast_1d(interpolated(snr, self.snr, values)))


def widening_of(name: str, schedule: Schedule, known: Known, basis: Tensor) -> Widening:
    """The widening of a way."""
    if name == "DDPM":
        return Diagonal(schedule, lambda snr: torch.zeros(1, dtype=torch.float64))
    if name == "Analytic-DPM":
        return Diagonal(schedule, known.at("isotropic"))
    if name == "diagonal":
        return Diagonal(schedule, known.at("pixels"))
    if name == "low rank":
        return LowRank(schedule, basis, known.at("along"))
    return Lanczos(schedule, int(name.rpartition(" ")[2]))


def times_of(kind: str, name: str, schedule: Schedule, steps: int, known: Known) -> Tensor:
    """The times of a chain between the ends of the profile.

    Args:
        kind: `angle`, equal steps of arctan(σ/α); or `own`, the best of many steps for the way's kernel.
        name: of the way.
        schedule: the forward process.
        steps: N.
        known: the profile.
    """
    # the betas of a checkpoint may have a few digits of their own
    start, end = max(known.snr[0], float(schedule.snr(1.0))), known.snr[-1]
    if kind == "angle":
        return grid.cosine(schedule, steps, start, end)
    density = known.densities["matched" if name.startswith("Lanczos") else "isotropic"]
    fine = np.geomspace(start, end, 2049)
    rho = np.array([float(interpolated(snr, known.snr, density)) for snr in fine])
    return grid.by_density(schedule, steps, torch.from_numpy(fine), torch.from_numpy(rho))


def plan(works: tuple[int, ...] = WORKS, most: int = 200) -> list[tuple[str, str, int]]:
    """Way, kind of grid and N of every cell, in the order of importance."""
    cells = [("angle", name, max(2, work // PASSES.get(name, 1))) for work in works for name in NAMES]
    few = [("angle", name, steps) for steps in (5, 10) for name in NAMES if steps * PASSES.get(name, 1) <= works[-1]]
    own = [("own", name, max(2, work // PASSES.get(name, 1))) for work in works[::2] for name in NAMES]
    last = [("angle", name, most) for name in NAMES if PASSES.get(name, 1) == 1]
    distinct = dict.fromkeys((name, kind, steps) for kind, name, steps in (*cells, *few, *own, *last))
    return list(distinct)

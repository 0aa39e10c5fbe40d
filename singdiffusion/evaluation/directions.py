"""Directions of the data for which one asks what arrives: the reading's own, groups of principal components, and bands of spatial frequency (F10).

Each is a sum over eigenvectors of the covariance. A scheduler runs on their eigenvalues, or on some between which what is kept is read off.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singdiffusion.evaluation.data_statistics import Reading
from singdiffusion.response import SchedulerResponse
from singtheory.data import Band
from singtheory.response import check_eigenvalues, kept_of

GROUPS = (1, 8, 64)
"""Principal components are shown up to each of these, and the rest."""
_EXACT, _NODES = 96, 64
"""Up to so many eigenvalues the scheduler runs on each; beyond, on so many and what is kept is read off between them."""
_NONE = 1e-9
"""Share of the largest eigenvalue below which a direction is rounding."""


@dataclass(frozen=True)
class Arrival:
    """What arrives of the spread along one direction, as shares of the standard deviation; `kept = start · solver · end`.

    Attributes:
        name: of the direction.
        share: of all variance of the data that lies along it.
        kept: at the end.
        start: by the start alone.
        solver: by the steps.
        end: by where the sampler stops.
    """

    name: str
    share: float
    kept: float
    start: float
    solver: float
    end: float


@dataclass(frozen=True)
class BandArrival(Arrival):
    """What arrives of a band of spatial frequency.

    Attributes:
        low: its waves have more cycles across the longer side of a picture; 0 for the constant.
        high: and at most so many; None for the finest.
        eigenvalue: variance of one of its waves, on average.
        brightness: whether brightness belongs to it.
    """

    low: float
    high: float | None
    eigenvalue: float
    brightness: bool

    def to_json(self) -> dict[str, Any]:
        """The arrival in plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Directions:
    """Named weights over the data's eigenvectors, and the eigenvalues on which a scheduler is run for them."""

    eigenvalues: Tensor
    nodes: Tensor
    spreads: Mapping[str, Tensor]
    """By name the variance that each eigenvector gives to the direction, shape (k,)."""
    bands: tuple[Band, ...] = ()
    """The bands of spatial frequency in which the data vary."""

    @classmethod
    def of(cls, reading: Reading) -> "Directions":
        """The reading's own direction first, then groups of components; bands where the data are pictures.

        Raises:
            InputError: for data that do not vary.
        """
        lam = reading.moments.eigenvalues
        lam = check_eigenvalues(lam[lam > _NONE * lam.max()])
        along = (reading.moments.components.basis[: len(lam)].double() @ reading.direction.double()).square() * lam
        along = along / reading.direction.double().square().sum()
        spreads = {reading.name: along} if float(along.sum()) > _NONE * float(lam.max()) else {}
        edges = [0, *(g for g in GROUPS if g < len(lam)), len(lam)]
        for low, high in pairwise(edges):
            part = torch.zeros_like(lam)
            part[low:high] = lam[low:high]
            spreads[_group(low, high)] = part
        many = len(lam) > _EXACT
        nodes = torch.logspace(float(lam.min().log10()), float(lam.max().log10()), _NODES, dtype=torch.float64)
        bands = [band for band in reading.bands(len(lam)) if float(band.spread.sum()) > _NONE * float(lam.max())]
        return cls(lam, nodes if many else lam, spreads, tuple(bands))

    def along(self, kept: Tensor) -> list[float]:
        """The share of the standard deviation along each direction, from what is kept at the nodes."""
        return self._shares(kept, list(self.spreads.values()))

    def in_bands(self, kept: Tensor) -> list[float]:
        """What arrives of each band."""
        return self._shares(kept, [band.spread for band in self.bands])

    def arrivals(self, response: SchedulerResponse) -> tuple[Arrival, ...]:
        """What arrives along each direction, from a response at the nodes."""
        parts = [self.along(part) for part in _parts(response)]
        total = float(self.eigenvalues.sum())
        return tuple(
            Arrival(name, float(spread.sum()) / total, *_split(*shares))
            for (name, spread), *shares in zip(self.spreads.items(), *parts, strict=True)
        )

    def band_arrivals(self, response: SchedulerResponse) -> tuple[BandArrival, ...]:
        """What arrives in each band, the lowest first."""
        parts = [self.in_bands(part) for part in _parts(response)]
        total = float(self.eigenvalues.sum())
        return tuple(
            BandArrival(
                band.name,
                float(band.spread.sum()) / total,
                *_split(*shares),
                low=band.low,
                high=None if math.isinf(band.high) else band.high,
                eigenvalue=band.eigenvalue,
                brightness=band.high == 0,
            )
            for band, *shares in zip(self.bands, *parts, strict=True)
        )

    def largest(self, count: int) -> Tensor:
        """Which nodes stand for the `count` largest eigenvalues."""
        return self.nodes >= self.eigenvalues[min(count, len(self.eigenvalues)) - 1] * (1 - 1e-12)

    def _shares(self, kept: Tensor, spreads: list[Tensor]) -> list[float]:
        everywhere = self._everywhere(kept.square()).sqrt()
        return [kept_of(spread, everywhere) for spread in spreads]

    def _everywhere(self, values: Tensor) -> Tensor:
        if len(self.nodes) == len(self.eigenvalues):
            return values
        at, known = self.eigenvalues.log().numpy(), self.nodes.log().numpy()
        return torch.from_numpy(np.interp(at, known, values.numpy()))


def _parts(response: SchedulerResponse) -> tuple[Tensor, Tensor, Tensor]:
    """What is kept at the end, by the start, and by start and steps."""
    return response.kept, response.start, response.start * response.solver


def _split(kept: float, start: float, upto: float) -> tuple[float, float, float, float]:
    """Kept, start, solver and end of an arrival."""
    return kept, start, upto / start, kept / upto


def _group(low: int, high: int) -> str:
    return "component 1" if (low, high) == (0, 1) else f"components {low + 1} to {high}"

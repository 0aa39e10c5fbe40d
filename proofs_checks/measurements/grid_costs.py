"""Grids compared by their error budgets (B8): the named ones, and the best with the same ends (E2)."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from singtheory import InputError, Law, Schedule, formula, grid
from singtheory.budget import Budget, budget, chain_snr, moments_of, start_term
from singtheory.errors import unknown_name
from singtheory.estimate import Estimate
from singtheory.mmse import LEAST_PAIRS, NODES, Curve, LossCurve, Smooth, exact_curve, sample_curve
from singtheory.start import Mismatch, Moments, Start, from_matched, from_mean, from_noise
from singtheory.system import check_queries as check_queries_fit

SWEEP = (5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of steps."""
TIMED = ("leading", "trailing", "linspace")
"""Spacings in time; where they start is theirs."""
SPACINGS = (*TIMED, *grid.BETWEEN, "optimal")
STARTS = ("noise", "mean", "matched")
_SMOOTH_NODES = 513

Progress = Callable[[int, int], None]


def curve_of(
    law: Law, snr_end: float, seed: int, queries: int, confidence: float, device: str, progress: Progress
) -> Curve:
    """The law's mmse: exact for Gaussian data and on a line, else from draws on the device."""
    if law.gaussian or law.dim == 1:
        return exact_curve(law)
    if not law.finite:
        raise InputError(
            f"a Gaussian mixture in {law.dim} dimensions: its mmse has no interval; give points drawn from it"
        )
    check_queries(queries, law.dim)
    generator = torch.Generator().manual_seed(seed)
    return sample_curve(law.atoms().to(device), snr_end, generator, queries, confidence=confidence, progress=progress)


def check_queries(queries: int, dim: int) -> None:
    """Raise `InputError` for fewer queries a node than the curve takes, or more than fit into memory in `dim` dimensions."""
    # at most all draws are at one node: half of the queries of all, each with its x_0, its noise and what is chosen by
    check_queries_fit(queries, 2 * LEAST_PAIRS, NODES // 2 * (2 * dim + 4), dim)


def named_times(spacing: str, schedule: Schedule, steps: int, snr_start: float, snr_end: float) -> Tensor:
    """A grid that needs no mmse, up to `snr_end`; those that are spaced in time have their own start."""
    if spacing in TIMED:
        return grid.ended(schedule, grid.grid_named(spacing, schedule, steps), snr_end)
    if spacing not in grid.BETWEEN:
        raise unknown_name("spacing", spacing, SPACINGS)
    return grid.BETWEEN[spacing](schedule, steps, snr_start, snr_end)


@dataclass
class Comparison:
    """What all grids of one command share.

    Args:
        law: of the data.
        schedule: the forward process.
        curve: the data's mmse.
        start: noise, mean or matched.
        snr_start: where the grids that are not spaced in time start.
        snr_end: where all end.
        loss: of a trained denoiser, if there is one.
        moments: of the data in their own dimensions, if the law is that of their span: starts are noisy across it too.
    """

    law: Law
    schedule: Schedule
    curve: Curve
    start: str
    snr_start: float
    snr_end: float
    loss: LossCurve | None = None
    moments: Moments | None = None
    _best: dict[tuple[int, float, float], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_start(self.start)
        self._moments: Moments = moments_of(self.law) if self.moments is None else self.moments
        self.smooth = self._smooth()

    @property
    def eigenvalues(self) -> Tensor:
        """`λ_i > 0` of the data's covariance, decreasing."""
        return self._moments.eigenvalues

    def _smooth(self) -> grid.Mmse:
        """What the best grid is searched on: many thousand γ."""
        if self.curve.smoothed is not None:
            return self.curve.smoothed
        levels = self.curve(torch.tensor([self.snr_start, self.snr_end], dtype=torch.float64))[0]
        if self.curve.method == "exact" or bool(
            levels[0] - levels[1] <= 1e-9 * levels[0]
        ):  # through a level curve none is smoother
            return self.curve
        return Smooth.through(self.curve, self.snr_end, float(self.law.cov.trace()), _SMOOTH_NODES)

    def times(self, spacing: str, steps: int) -> Tensor:
        """The grid of that name, from its start to `snr_end`."""
        if spacing == "optimal":
            return self.best(steps, self.snr_start, self.snr_end)
        return named_times(spacing, self.schedule, steps, self.snr_start, self.snr_end)

    def best(self, steps: int, snr_start: float, snr_end: float) -> Tensor:
        """The best grid between two ends."""
        key = (steps, float(f"{snr_start:.12g}"), float(f"{snr_end:.12g}"))  # the same ends may differ by a rounding
        if key not in self._best:
            self._best[key] = grid.optimal(self.schedule, steps, snr_start, snr_end, self.smooth)
        return self._best[key]

    def budget(self, times: Tensor) -> Budget:
        """The three terms of a grid."""
        snr = chain_snr(self.schedule, times)
        return budget(self.curve, snr, self.mismatch(float(times[0])), self.error2(snr))

    def error2(self, snr: Tensor) -> Estimate | None:
        """The error of the trained denoiser at the start of each step."""
        return None if self.loss is None else self.loss.error2(self.curve, snr[:-1])

    def mismatch(self, t: float) -> Mismatch:
        """The mismatch of the start at t."""
        alpha, sigma = map(float, self.schedule(t))
        return start_term(self.curve, self._moments, self._started(alpha, sigma), alpha, sigma)

    def _started(self, alpha: float, sigma: float) -> Start:
        if self.start == "noise":
            # pipelines start from N(0, 1), and from the largest σ where that is larger
            return from_noise(self._moments, max(1.0, float(self.schedule.sigma(1.0))))
        if self.start == "mean":
            return from_mean(self._moments, alpha, sigma)
        return from_matched(self._moments, len(self._moments.components.std), alpha, sigma)

    def rows(self, counts: tuple[int, ...], step: Callable[[str], None]) -> Iterator[dict[str, Any]]:
        """One row a spacing and number of steps; spacings that have no such grid are left out."""
        for spacing in SPACINGS:
            for steps in counts:
                step(f"{spacing}, {steps} steps")
                with contextlib.suppress(InputError):
                    yield self.row(spacing, steps)

    def row(self, spacing: str, steps: int) -> dict[str, Any]:
        """The budget of a grid and what the best grid of as many steps between the same ends costs."""
        times = self.times(spacing, steps)
        snr = chain_snr(self.schedule, times)
        budget = self.budget(times)
        row = {"spacing": spacing, "steps": steps, "chain_steps": len(snr) - 1, "snr_start": float(snr[0])}
        row |= describe_budget(budget) | {"discretisation_error": self.curve.discretisation_error(snr)}
        least = self.best(len(snr) - 1, float(snr[0]), float(snr[-1])) if spacing != "optimal" else times
        best = float(self.curve.discretisation(self.schedule.snr(least)).sum())
        # both are zero where mmse is level but for rounding
        return row | {"optimal": best, "gain": budget.discretisation.value / best if best > 0 else 1.0}

    def limit(self) -> float:
        """`R²/4`, to which N times the cost of the best grid tends (E2)."""
        return float(
            formula.optimal_cost(
                grid.root_integral(self.smooth, self.snr_start, self.snr_end), torch.ones(()), 1, torch
            )
        )

    def steps(self, times: Tensor) -> list[dict[str, float]]:
        """One row a step."""
        snr, budget = chain_snr(self.schedule, times), self.budget(times)
        level, (low, high) = self.curve(snr[:-1])[0], self.curve.interval(snr[:-1])
        columns = {
            "t": times[:-1],
            "s": times[1:],
            "snr_t": snr[:-1],
            "snr_s": snr[1:],
            "gap": snr.diff(),
            "mmse": level,
            "mmse_low": low,
            "mmse_high": high,
            "discretisation": budget.discretisation.steps,
            "network": budget.network.steps,
        }
        return [
            dict(zip(columns, row, strict=True)) for row in zip(*(v.tolist() for v in columns.values()), strict=True)
        ]

    def nodes(self, steps: int) -> dict[str, list[float]]:
        """γ of every spacing's grid of that many steps, for those that have one."""
        by_spacing = {}
        for spacing in SPACINGS:
            with contextlib.suppress(InputError):
                by_spacing[spacing] = self.schedule.snr(self.times(spacing, steps)).tolist()
        return by_spacing

    def mmse(self) -> dict[str, list[float]]:
        """The curve with its band, at the nodes of the draws or evenly in log γ."""
        snr = self._evenly() if self.curve.nodes is None else self.curve.nodes
        low, high = self.curve.interval(snr)
        return {"snr": snr.tolist(), "value": self.curve(snr)[0].tolist(), "low": low.tolist(), "high": high.tolist()}

    def _evenly(self) -> Tensor:
        """γ = 0, and 64 from a thousandth of the one at which the mmse begins to fall."""
        first = min(1e-3 / float(self.law.cov.trace()), self.snr_end / 2)
        snr = torch.logspace(math.log10(first), math.log10(self.snr_end), 64, dtype=torch.float64)
        return torch.cat([snr.new_zeros(1), snr.clamp(max=self.snr_end)])


def check_start(start: str) -> None:
    """Raise `InputError` for an unknown start."""
    if start not in STARTS:
        raise unknown_name("start", start, STARTS)


def describe_budget(budget: Budget) -> dict[str, float]:
    """The three terms and their sum in plain values."""
    row = {"start_low": budget.start.low, "start_high": budget.start.high}
    for name, term in (("discretisation", budget.discretisation), ("network", budget.network)):
        row |= {name: term.value, f"{name}_low": term.low, f"{name}_high": term.high}
    return row | {"total_low": budget.low, "total_high": budget.high}

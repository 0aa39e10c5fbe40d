"""Drawing from a flow in large batches, by any of the ways that are compared, from the same noise.

All but the network is float32. The matched first step is `α_s m + σ_s x_1 + Σ_k (√(α_s² λ_k + σ_s²) − σ_s) ⟨x_1, φ_k⟩ φ_k` (F2, C7), brought to a
solver as a denoiser: at t = 1 the widening over `α_s` is added to x̂. Corrected steps divide deviations from `α_s m` along φ_k by their cosine (F1).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.grids import Profile, grid_of
from docs.experiments.flow.model import TRAIN_STEPS
from docs.experiments.flow.solvers import SOLVERS, evaluations_of, steps_for
from docs.experiments.flow.ways import ALL, Way
from docs.experiments.model.draw import Drawer, states_of
from singdiffusion.start import guidance_rule, guided_average
from singtheory import formula

RULE = "normalised"
"""The rule by which guidance acts on a trained average image: the product's default (C8)."""
_LEAST = 1e-6
"""Eigenvalue below which a direction is left as it is."""


@dataclass(frozen=True)
class Moments:
    """Mean and principal directions of all pictures.

    Attributes:
        mean: shape (1, channels, side, side).
        basis: orthonormal rows, shape (d, d), in decreasing order of variance.
        var: λ, shape (d,).
        pixel_var: of each pixel, shape (d,).
    """

    mean: Tensor
    basis: Tensor
    var: Tensor
    pixel_var: Tensor

    @classmethod
    def of(cls, data: Captioned, device: str) -> "Moments":
        """The moments of data, float32, computed in float64."""
        return cls.of_points(data.x_0(), device)

    @classmethod
    def of_points(cls, x_0: Tensor, device: str) -> "Moments":
        """The moments of points (n, channels, side, side)."""
        points = x_0.flatten(1).to(device).double()
        mean = points.mean(dim=0)
        covariance = (points - mean).mT @ (points - mean) / len(points)
        var, axes = torch.linalg.eigh(covariance)
        keep = (var.flip(0).clamp(min=0).float(), axes.flip(1).mT.contiguous().float())
        return cls(mean.float().reshape(1, *x_0.shape[1:]), keep[1], keep[0], covariance.diagonal().float())

    @property
    def eigenvalues(self) -> Tensor:
        """The positive ones, float64 on the CPU."""
        return self.var[self.var > _LEAST].double().cpu()


@dataclass(frozen=True)
class Spread:
    """Directions and what the data vary along them.

    Attributes:
        basis: orthonormal rows, shape (k, d); None for the pixels themselves.
        var: λ, shape (k,) or (n, k).
    """

    basis: Tensor | None
    var: Tensor

    def along(self, x: Tensor, factor: Tensor) -> Tensor:
        """`Σ_k factor_k ⟨x, φ_k⟩ φ_k`."""
        rows = x.flatten(1)
        scaled = rows * factor if self.basis is None else (rows @ self.basis.mT * factor) @ self.basis
        return scaled.reshape(x.shape)

    def widening(self, x_1: Tensor, s: float) -> Tensor:
        """What the first step lacks (F2)."""
        return self.along(x_1, formula.marginal_var(1 - s, s, self.var).sqrt() - s)

    def excess(self, deviation: Tensor, t: float, s: float) -> Tensor:
        """What a step from t to s has taken of a deviation: it over its cosine, less itself (F1)."""
        return self.along(deviation, 1 / formula.step_kept(1 - t, t, 1 - s, s, self.var, torch) - 1)


@dataclass
class _First:
    """What the first evaluation leaves for the corrected steps, and how often the network was asked.

    Attributes:
        mean: m, or None before.
        asked: number of evaluations.
    """

    mean: Tensor | None = None
    asked: int = 0
    effective: list[Tensor] = field(default_factory=list)


def in_batches(x_1: Tensor, prompts: Sequence[str], size: int) -> Iterator[tuple[Tensor, Sequence[str]]]:
    """Noise and its prompts, as many at once as a network sees."""
    for first in range(0, len(x_1), size):
        yield x_1[first : first + size], prompts[first : first + size]


class Flows:
    """A flow on a device, with what the ways know.

    Args:
        drawer: of the network.
        trained: an average image with a spread on its token states, on the device; None to do without.
        moments: of all pictures.
        profile: for the grids but the shifts, which need none; may be given later.
    """

    def __init__(self, drawer: Drawer, trained: Any, moments: Moments, profile: Profile | None = None) -> None:
        self.drawer, self.trained, self.moments, self.profile = drawer, trained, moments, profile
        self.grids: dict[tuple[str, int, str, float | None], list[float]] = {}

    def __call__(
        self, way: Way, x_1: Tensor, prompts: Sequence[str], guidance: float, evaluations: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Pictures, and what was seen on the way: evaluations and the effective weight of guidance.

        Args:
            way: of drawing.
            x_1: noise, shape (n, channels, side, side).
            prompts: one an image.
            guidance: w.
            evaluations: of the network; where a solver's cannot be as many, one more.
        """
        images, counts = [], {}
        for part, words in in_batches(x_1, prompts, self.drawer.batch):
            drawn, counts = self._drawn(way, part, words, guidance, evaluations)
            images.append(drawn)
        return torch.cat(images), counts

    def grid(self, way: Way, evaluations: int) -> list[float]:
        """The times of a way."""
        steps = steps_for(way.solver, evaluations) + way.spare
        key = (way.grid, steps, way.solver, way.teleport)
        if key not in self.grids:
            self.grids[key] = grid_of(way.grid, steps, self.profile, way.solver, way.teleport)
        return self.grids[key]

    @torch.no_grad()
    def _drawn(
        self, way: Way, x_1: Tensor, prompts: Sequence[str], guidance: float, evaluations: int
    ) -> tuple[Tensor, dict[str, float]]:
        states, empty = states_of(self.drawer, prompts, guidance)
        grid, seen = self.grid(way, evaluations), _First()
        velocity = self._velocity(way, states, empty, guidance, seen)
        spread = self._spread(way, states, x_1)
        if way.teleport is not None:
            x_1 = self.teleported(x_1, way.teleport)

        def denoise(x: Tensor, t: float) -> Tensor:
            if t != grid[0] or way.teleport is not None:
                return x - t * velocity(x, t)
            x_hat = self._first_mean(way, x, t, states, empty, guidance, velocity, seen)
            seen.mean = x_hat
            if spread is None or way.spread == "none":
                return x_hat
            return x_hat + spread.widening(x, grid[1]) / (1 - grid[1])

        def after(x: Tensor, t: float, s: float) -> Tensor:
            if way.corrected == "no" or t == grid[0] or (s == 0 and way.corrected != "all"):
                return x
            assert spread is not None and seen.mean is not None
            return x + spread.excess(x - (1 - s) * seen.mean, t, s)

        images = SOLVERS[way.solver](x_1, grid, denoise, after)
        counts = {"evaluations": float(seen.asked), "planned": float(evaluations_of(way.solver, len(grid) - 1))}
        if seen.effective:
            counts["effective guidance"] = float(torch.stack(seen.effective).mean())
        return images, counts

    def _velocity(
        self, way: Way, states: Tensor, empty: Tensor | None, guidance: float, seen: _First
    ) -> Callable[[Tensor, float], Tensor]:
        def velocity(x: Tensor, t: float) -> Tensor:
            seen.asked += 1
            cond = self.drawer.predict(x, TRAIN_STEPS * t, states)
            if empty is None:
                return cond
            uncond = self.drawer.predict(x, TRAIN_STEPS * t, empty)
            base = uncond * projection(cond, uncond) if way.guide == "scaled" else uncond
            guided = base + guidance * (cond - base)
            seen.effective.append(1 + projection(guided - cond, cond - uncond).mean())
            return guided

        return velocity

    def _first_mean(
        self,
        way: Way,
        x: Tensor,
        t: float,
        states: Tensor,
        empty: Tensor | None,
        guidance: float,
        velocity: Callable[[Tensor, float], Tensor],
        seen: _First,
    ) -> Tensor:
        """x̂ at t = 1, without its spread."""
        if way.zero:
            return x  # a velocity of zero
        if way.mean == "network":
            return x - t * velocity(x, t)
        if way.mean == "unguided":
            seen.asked += 1
            return x - t * self.drawer.predict(x, TRAIN_STEPS * t, states)
        if way.mean == "trained unguided" or empty is None:
            return self.trained(states, x).mean
        return guided_average(self.trained, states, empty, x, guidance, guidance_rule(RULE)).mean

    def _spread(self, way: Way, states: Tensor, x_1: Tensor) -> Spread | None:
        if way.pixels:
            return Spread(None, self.moments.pixel_var)
        if way.spread == "statistics":
            kept = slice(None, way.rank or None)
            return Spread(self.moments.basis[kept], self.moments.var[kept])
        if way.spread == "trained":
            learned = self.trained(states, x_1)
            rank = way.rank if way.rank != ALL else len(learned.basis)
            return Spread(learned.basis[:rank].flatten(1).float(), learned.std[:, :rank].float().square())
        return None

    def teleported(self, x_1: Tensor, t: float) -> Tensor:
        """The Gaussian solution at t: `α_t μ + Σ_k √(α_t² λ_k + σ_t²) ⟨x_1, φ_k⟩ φ_k` over all directions (arXiv 2311.10892; C7)."""
        spread = Spread(self.moments.basis, self.moments.var)
        return (1 - t) * self.moments.mean + t * x_1 + spread.widening(x_1, t)


def projection(onto: Tensor, direction: Tensor) -> Tensor:
    """`⟨onto, direction⟩/‖direction‖²` of each sample, to be multiplied with it; shape (n, 1, 1, 1)."""
    rows, axis = onto.flatten(1), direction.flatten(1)
    return ((rows * axis).sum(dim=1) / axis.square().sum(dim=1).clamp(min=1e-12))[:, None, None, None]

"""Path nats of reverse kernels on a network, from its profile and whole Jacobians: discretisation and network apart (B8, E3).

With `S = I + gĈ` the covariance of a step's noise over c², C and x̂ the exact ones, δ = m_θ − x̂, a step costs beyond what it cannot but cost

    discretisation   ½ E[log det S + tr S⁻¹(I + gC) − d] − ½∫mmse dγ
    network          ½ g E⟨δ, S⁻¹δ⟩

Both are the plug-in kernel's and what another kernel has more, which is of second order in g. For kernels that do not depend on `x_t` that follows from means; for
Lanczos's from the Jacobians of a few draws at some noise levels, times the ratio of its leading order, `½⟨C + δδᵀ, Ĉ⟩ − ¼‖Ĉ‖_F²` times −g², of many draws to that of the few. The noise of k products is `p(C) n` with a polynomial that hardly depends on n where dimensions are many; its covariance is taken to be `p(C)²`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.experiments.matched.profile import interpolated
from docs.experiments.matched.ways import Known
from singtheory.numerics import Krylov, krylov

_FINE = 2049
_MOST = 3.0
"""The factor by which many draws may correct few: where more were needed, the few saw nothing of what matters."""


@dataclass(frozen=True)
class Spectra:
    """Whole Jacobians.

    Attributes:
        snr: γ of each, shape (n,).
        levels: the distinct ones, increasing.
        eigenvalues: of the symmetric part of `C_θ`, (n, d).
        exact: `⟨v_i, C v_i⟩` along its eigenvectors, (n, d).
        error2: `⟨v_i, δ⟩²`, (n, d).
        spaces: of Lanczos's method from random noise, by the number of products.
    """

    snr: np.ndarray
    levels: list[float]
    eigenvalues: Tensor
    exact: Tensor
    error2: Tensor
    noise: Tensor
    spaces: dict[int, Krylov]

    @classmethod
    def of(
        cls, records: Sequence[dict[str, float]], arrays: dict[str, np.ndarray], products: Sequence[int], seed: int = 0
    ) -> "Spectra":
        """From `profile.spectrum` of several draws."""
        snr = np.array([one["snr"] for one in records])
        rows = len(arrays["eigenvalues"])
        values, exact, error2 = (torch.from_numpy(arrays[name]).double() for name in ("eigenvalues", "exact", "error2"))
        noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        spaces = {k: krylov(lambda v: values * v, noise, min(k, values.shape[1])) for k in products}
        return cls(snr[:rows], sorted(set(snr[:rows].tolist())), values, exact, error2, noise, spaces)

    def gains(self, name: str, level: float, gap: float) -> tuple[float, float]:
        """What a kernel's discretisation and network terms have more than the plug-in's at a level, means over its draws.

        Args:
            name: `Lanczos K`, or `whole Jacobian` for `S = I + g C_θ` itself.
            level: one of `levels`.
            gap: g.
        """
        rows = torch.from_numpy(np.flatnonzero(self.snr == level))
        q, error2 = self.exact[rows], self.error2[rows]
        if name == "whole Jacobian":
            spread = 1 + gap * self.eigenvalues[rows].clamp(min=0)
        else:
            space = self.spaces[int(name.rpartition(" ")[2])]
            drawn = space.apply(lambda ritz: (1 + gap * ritz.clamp(min=0)).sqrt())[rows]
            spread = (drawn / self.noise[rows]).square()
        disc = (spread.log() + (1 + gap * q) / spread - 1 - gap * q).sum(dim=1) / 2
        network = gap * (error2 / spread - error2).sum(dim=1) / 2
        return float(disc.mean()), float(network.mean())

    def draw(self, number: int) -> "Spectra":
        """One draw of every level."""
        rows = np.concatenate([np.flatnonzero(self.snr == level)[number : number + 1] for level in self.levels])
        kept = torch.from_numpy(rows)
        spaces = {k: Krylov(*(part[kept] for part in vars(space).values())) for k, space in self.spaces.items()}
        values = (self.eigenvalues[kept], self.exact[kept], self.error2[kept], self.noise[kept])
        return Spectra(self.snr[rows], self.levels, *values, spaces)

    def leading(self, level: float) -> float:
        """`½⟨C + δδᵀ, C_θ⟩ − ¼‖C_θ‖_F²`, the mean over a level's draws."""
        rows = torch.from_numpy(np.flatnonzero(self.snr == level))
        values = self.eigenvalues[rows]
        terms = values * (self.exact[rows] + self.error2[rows]) / 2 - values.square() / 4
        return float(terms.sum(dim=1).mean())


@dataclass(frozen=True)
class Nats:
    """What path nats are computed from.

    Attributes:
        known: of the profile.
        profile: its numbers.
        arrays: its arrays.
        spectra: whole Jacobians, or None.
    """

    known: Known
    profile: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]
    spectra: Spectra | None
    _areas: dict[tuple[str, float, float], float] = field(default_factory=dict)
    _draws: list["Nats"] = field(default_factory=list)

    def curve(self, name: str, snr: float) -> float:
        """A number of the profile at γ."""
        return float(interpolated(snr, self.known.snr, np.array([one[name] for one in self.profile])))

    def area(self, name: str, low: float, high: float) -> float:
        """`∫ dγ` of a number of the profile."""
        key = (name, low, high)
        if key not in self._areas:
            fine = np.geomspace(low, high, _FINE)
            self._areas[key] = float(np.trapezoid([self.curve(name, snr) for snr in fine], fine))
        return self._areas[key]

    def path(self, name: str, snr: Sequence[float]) -> dict[str, float]:
        """Discretisation, network and total of a kernel on a chain between increasing γ, and `above`, what the total has above its limit of many steps."""
        disc, network = -self.area("mmse", snr[0], snr[-1]) / 2, 0.0
        for low, high in pairwise(snr):
            one, other = self._step(name, low, high - low)
            disc, network = disc + one, network + other
        above = disc + network - self.area("error2", snr[0], snr[-1]) / 2
        return {"discretisation": disc, "network": network, "total": disc + network, "above": above}

    def _step(self, name: str, snr: float, gap: float) -> tuple[float, float]:
        plug_in = gap * self.curve("mmse", snr) / 2, gap * self.curve("error2", snr) / 2
        if name == "DDPM":
            return plug_in
        if name in ("Analytic-DPM", "diagonal", "low rank"):
            one, other = self._fixed(name, snr, gap)
            return plug_in[0] + one, plug_in[1] + other
        assert self.spectra is not None
        levels = self.spectra.levels
        place = float(np.clip(np.interp(np.log(snr), np.log(levels), np.arange(len(levels))), 0, len(levels) - 1))
        low = min(int(place), len(levels) - 2)
        correction = np.zeros(2)
        for index, weight in ((low, low + 1 - place), (low + 1, place - low)):
            # at the node with the same ratio of γ, which is what a step does to noise there
            gains = np.array(self.spectra.gains(name, levels[index], gap * levels[index] / snr))
            correction += weight * self.ratios[index] * gains
        return plug_in[0] + float(correction[0]), plug_in[1] + float(correction[1])

    def each_draw(self) -> list["Nats"]:
        """Nats from one Jacobian a level, for each draw."""
        if not self._draws:
            assert self.spectra is not None
            count = min(int((self.spectra.snr == level).sum()) for level in self.spectra.levels)
            parts = [self.spectra.draw(number) for number in range(count)]
            self._draws.extend(Nats(self.known, self.profile, self.arrays, one, self._areas) for one in parts)
        return self._draws

    @cached_property
    def ratios(self) -> list[float]:
        """The ratios of the leading order of what a Jacobian gains, many draws to the few of the spectra, by level, within a factor of three; 1 where one of them is not positive."""
        assert self.spectra is not None
        ratios = []
        for level in self.spectra.levels:
            row = min(self.profile, key=lambda one: abs(one["snr"] / level - 1))
            many, few = row["residual"] / 2 - row["norm2"] / 4, self.spectra.leading(level)
            ratios.append(float(np.clip(many / few, 1 / _MOST, _MOST)) if min(many, few) > 0 else 1.0)
        return ratios

    def _fixed(self, name: str, snr: float, gap: float) -> tuple[float, float]:
        """What a kernel that does not depend on `x_t` has more than the plug-in."""
        if name == "low rank":
            variance = self.known.at("along")(snr).numpy()
            count = np.append(np.ones(len(variance) - 1), self.arrays["pixels"].shape[1] - len(variance) + 1)
            error = self._with_rest(self.arrays["error along"], "error2", snr) / count
            residual = self._with_rest(self.arrays["along"], "mse", snr) / count
        else:
            residual = interpolated(snr, self.known.snr, self.arrays["pixels"])
            same = np.full_like(residual, float(self.known.at("isotropic")(snr)))
            variance = residual if name == "diagonal" else same
            error, count = interpolated(snr, self.known.snr, self.arrays["error pixels"]), np.ones_like(residual)
        exact = np.maximum(residual - error, 0)
        spread = 1 + gap * variance
        disc = count @ (np.log(spread) + (1 + gap * exact) / spread - 1 - gap * exact) / 2
        return float(disc), float(gap * count @ (error / spread - error) / 2)

    def _with_rest(self, along: np.ndarray, whole: str, snr: float) -> np.ndarray:
        leading = interpolated(snr, self.known.snr, along)
        return np.append(leading, max(self.curve(whole, snr) - leading.sum(), 0.0))

    def predicted(self, snr: Sequence[float]) -> dict[str, float]:
        """The leading orders of E3 on a chain: of the exact law, and of the network's own Jacobian as if that were exact."""
        names = ("exact plug-in", "exact matched", "network plug-in", "network matched")
        costs: dict[str, float] = dict.fromkeys(names, 0.0)
        for low, high in pairwise(snr):
            gap = high - low
            for law, prefix in (("exact", "exact "), ("network", "")):
                costs[f"{law} plug-in"] += gap**2 / 4 * self.curve(f"{prefix}norm2", low)
                costs[f"{law} matched"] += gap**3 / 12 * self.curve(f"{prefix}skewness2", low)
        return costs

"""A smooth decreasing function of γ through given levels."""

from collections.abc import Callable
from typing import final

import numpy as np
import torch
from torch import Tensor

_GAUSS_NODES = 12
_LEAST = 1e-300
"""The share of the mmse at γ = 0 that is taken for nothing."""


@final
class Smooth:
    """`mmse(γ)` and its derivative between nodes: log mmse as a cubic in `log(1 + cγ)`.

    Without slopes the cubics are those of Fritsch and Carlson (scipy's `PchipInterpolator`), which decrease wherever the levels do.

    Args:
        snr: nodes, increasing, from 0, shape (n,).
        levels: positive and decreasing, shape (n,).
        scale: c, the inverse of the γ at which mmse begins to fall.
        slopes: derivatives by γ at the nodes, shape (n,), where they are known.
    """

    def __init__(self, snr: Tensor, levels: Tensor, scale: float, slopes: Tensor | None = None) -> None:
        # late, as the package loads scipy where it is used
        from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

        self.end = float(snr[-1])
        self._scale = scale
        place, height = torch.log1p(scale * snr), levels.log()
        if slopes is None:
            tilts = PchipInterpolator(place.numpy(), height.numpy()).derivative()(place.numpy())
            chords = (height.diff() / place.diff()).numpy()
            tilts[[0, -1]] = chords[[0, -1]]  # scipy's own may be zero
        else:
            tilts = (slopes / levels * (1 + scale * snr) / scale).numpy()
        curve = CubicHermiteSpline(place.numpy(), height.numpy(), tilts)
        self._height, self._tilt = curve, curve.derivative()
        self._places = place
        whole = self._area(place[:-1], place[1:])
        self._areas = torch.cat([whole.new_zeros(1), whole.cumsum(0)])

    @classmethod
    def through(cls, mmse: Callable[[Tensor], tuple[Tensor, Tensor]], end: float, scale: float, nodes: int) -> "Smooth":
        """The one that meets a curve's levels and slopes at `nodes` places from 0 to `end`."""
        snr = torch.expm1(torch.linspace(0, float(np.log1p(scale * end)), nodes, dtype=torch.float64)) / scale
        snr[-1] = end
        levels, slopes = mmse(snr)
        # where all is known of the data the mmse underflows, and its logarithm would be none
        return cls(snr, levels.clamp(min=_LEAST * float(levels[0])), scale, slopes)

    def __call__(self, snr: Tensor) -> tuple[Tensor, Tensor]:
        """`mmse(γ)` and `mmse′(γ)`, each (n,)."""
        place = torch.log1p(self._scale * snr)
        level = _on_tensor(self._height, place).exp()
        return level, level * _on_tensor(self._tilt, place) * self._scale / (1 + self._scale * snr)

    def area(self, snr: Tensor) -> Tensor:
        """`∫_0^γ mmse`, shape (n,)."""
        place = torch.log1p(self._scale * snr)
        left = (torch.searchsorted(self._places, place, right=True) - 1).clamp(0, len(self._places) - 2)
        return self._areas[left] + self._area(self._places[left], place)

    def _area(self, low: Tensor, high: Tensor) -> Tensor:
        """Between places within one piece, by Gauss and Legendre's rule."""
        x, w = (torch.as_tensor(v) for v in np.polynomial.legendre.leggauss(_GAUSS_NODES))
        half = (high - low)[:, None] / 2
        place = low[:, None] + half * (x + 1)
        density = (_on_tensor(self._height, place) + place).exp() / self._scale  # dγ = (1 + cγ)/c d place
        return (half * w * density).sum(dim=1)


def _on_tensor(function: Callable[[np.ndarray], np.ndarray], values: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(function(values.numpy())))

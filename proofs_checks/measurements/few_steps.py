"""What few Euler steps keep of real data's brightness, without any network: the exact denoiser on rectified flow, from noise (F1, F2, F11).

The data are those of `brightness`: digits on three papers, of d values each. Their law is no Gaussian, and a whole sampler may keep less of them than the
cosine law says for Gaussian data of the same covariance: only one step from the right law cannot (F11).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from proofs_checks.measurements.brightness import Experiment
from singtheory import formula, response, start
from singtheory.data import Pictures
from singtheory.errors import InputError
from singtheory.estimate import Estimate, check_confidence
from singtheory.sampler import DDIM, exact_denoiser
from singtheory.schedule import RectifiedFlow

GRIDS = ((4, 1.0), (8, 1.0), (10, 1.0), (20, 1.0), (28, 1.0), (50, 1.0), (4, 3.0), (10, 3.0))
"""Steps, and the shift of their evenly spaced times."""
_NONE = 1e-12
"""Share of the largest eigenvalue below which a direction has no spread."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FewSteps:
    """What arrives after so many steps.

    Attributes:
        steps: of Euler's rule.
        shift: of the times.
        euler: the spread of brightness over the data's, with its interval.
        matched: the same, with the first step matched along the first principal component.
        euler_gaussian: what F1 says for Gaussian data of the same covariance.
        matched_gaussian: the same for the matched first step.
    """

    steps: int
    shift: float
    euler: Estimate
    matched: Estimate
    euler_gaussian: float
    matched_gaussian: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in ("steps", "shift", "euler_gaussian", "matched_gaussian")}
        for name in ("euler", "matched"):
            value = getattr(self, name)
            plain |= {name: float(value), f"{name}_interval": [float(value.low), float(value.high)]}
        return plain


@final
class _Runs:
    """Euler's steps on rectified flow for one set of pictures."""

    def __init__(self, pictures: Pictures) -> None:
        self.experiment, self.pictures = Experiment(pictures, rank=1), pictures
        self.schedule = RectifiedFlow()
        eigenvalues, columns = torch.linalg.eigh(pictures.law.cov)
        spread = eigenvalues > _NONE * eigenvalues[-1]
        self.eigenvalues = eigenvalues[spread]
        self._mode2 = (pictures.constant_mode @ columns[:, spread]).square()

    def sample(self, x: Tensor, times: Tensor) -> Tensor:
        """Brightness (batch,) after Euler's steps from x (batch, k)."""
        end = DDIM(self.schedule).sample(exact_denoiser(self.pictures.law, self.schedule), x, times)
        return self.pictures.brightness(end)

    def after_matched_step(self, noise: Tensor, s: float) -> Tensor:
        """The first step from noise to s with its deviation along the first principal component divided by its cosine (F2)."""
        return start.matched_start(
            noise, self.pictures.law.mean, self.experiment.components, *map(float, self.schedule(s))
        )

    def gaussian(self, times: Tensor, start_name: response.StartName) -> float:
        """What the same steps keep of the brightness of Gaussian data of the same covariance (F1)."""
        kept = response.spread_kept(self.schedule, times, self.eigenvalues, start=start_name, matched=1)
        spread = self._mode2 * self.eigenvalues
        return float((spread @ kept.square() / spread.sum()).sqrt())


def measure(
    pictures: Pictures,
    grids: Sequence[tuple[int, float]] = GRIDS,
    samples: int = 1024,
    seed: int = 0,
    confidence: float = 0.99,
    progress: Progress | None = None,
) -> list[FewSteps]:
    """Euler's steps from the same noise, as they are and with the first one matched at rank 1, on each grid.

    Args:
        pictures: the data.
        grids: steps and shift of each.
        samples: how many.
        seed: of the noise.
        confidence: of each interval.
        progress: called with the grids done and their number.

    Raises:
        InputError: for fewer than two samples, fewer than two steps, a shift that is not positive, and a confidence outside (0, 1).
    """
    check_confidence(confidence)
    if samples < 2:
        raise InputError(f"samples {samples}: a spread needs at least two")
    for steps, shift in grids:
        if steps < 2 or not shift > 0:
            raise InputError(f"{steps} steps with shift {shift:g}: take at least two steps, and a positive shift")
    runs, generator = _Runs(pictures), torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, pictures.law.dim, dtype=torch.float64, generator=generator)
    rows = []
    for steps, shift in grids:
        times = formula.shifted_time(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)
        plain = runs.sample(noise, times)
        matched = runs.sample(runs.after_matched_step(noise, float(times[1])), times[1:])
        estimated = runs.experiment.ratio_estimate
        rows.append(
            FewSteps(
                steps,
                shift,
                euler=estimated(plain, confidence),
                matched=estimated(matched, confidence),
                euler_gaussian=runs.gaussian(times, "mean"),
                matched_gaussian=runs.gaussian(times, "matched"),
            )
        )
        if progress is not None:
            progress(len(rows), len(grids))
    return rows

r"""The mmse curve of a law, `mmse(γ) = E tr C(x_t, t)`, and the information `I(x_0; z) = ½∫_0^γ mmse` under it (B4).

All that the error budget B8 needs of the data. A curve says what it knows with certainty: for Gaussian data (closed form) and on a line
(quadrature) the numbers themselves, for many atoms in many dimensions an interval (`singtheory.mmse_sampled`).
"""

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.law import Atoms, Gaussian, GaussianMixture, Law

_TAIL = 9.0
"""A Gaussian has 1e-19 of its mass beyond nine standard deviations."""
_LINE_NODES, _COARSEST = 600, 0.5
"""Of the trapezoidal rule: so many nodes, and more where they would lie farther apart than this, in units of the noise."""
_CHUNK = 2**20
"""Numbers in one block of queries times components."""

Interval = tuple[Tensor, Tensor]
"""The lowest and the highest that a number can be."""


class Curve(ABC):
    """`mmse(γ)` of a law, a function of γ of shape (n,).

    Attributes:
        method: `exact`, `quadrature` or `monte-carlo`.
        confidence: with which all intervals of the curve hold at once; 1 for closed forms and quadrature.
    """

    method: str
    confidence: float = 1.0

    @abstractmethod
    def __call__(self, snr: Tensor) -> Interval:
        """`mmse(γ)` and `mmse′(γ) = −E‖C‖_F²` (B11), each (n,)."""

    @abstractmethod
    def information(self, snr: Tensor) -> Tensor:
        """`½∫_0^γ mmse` in nats, shape (n,)."""

    def interval(self, snr: Tensor) -> Interval:
        """Of `mmse(γ)`, each (n,)."""
        level = self(snr)[0]
        return level, level

    def information_interval(self, snr: Tensor) -> Interval:
        """Of `½∫_0^γ mmse`, each (n,)."""
        value = self.information(snr)
        return value, value

    def discretisation(self, snr: Tensor) -> Tensor:
        """`½(g mmse(γ_k) − ∫ mmse dγ)` of each step between increasing `snr` (steps + 1,), shape (steps,) (B8)."""
        check_snr(snr)
        return formula.discretisation(snr.diff(), self(snr[:-1])[0], 2 * self.information(snr).diff())

    def discretisation_interval(self, snr: Tensor) -> tuple[float, float]:
        """Of the sum of `discretisation`."""
        total = float(self.discretisation(snr).sum())
        return total, total

    def discretisation_error(self, snr: Tensor) -> float:
        """The standard error of the sum of `discretisation`."""
        return 0.0


def check_snr(snr: Tensor) -> None:
    """Raise `InputError` unless `snr` (n,) is not negative, finite and does not decrease."""
    if snr.ndim != 1 or len(snr) < 2:
        raise InputError(f"snr of shape {tuple(snr.shape)}: need a start and an end")
    if not bool(((snr >= 0) & torch.isfinite(snr)).all()):
        raise InputError("snr: must be finite and at least 0; end where σ > 0")
    if bool((snr.diff() < 0).any()):
        raise InputError("snr: must increase from step to step, from the start of sampling to its end")


@final
class GaussianCurve(Curve):
    """Of `N(μ, Σ)`: `Σ_i λ_i/(1 + γλ_i)` in closed form."""

    method = "exact"

    def __init__(self, law: Gaussian) -> None:
        self._eigenvalues = torch.linalg.eigvalsh(law.cov).clamp(min=0)

    def __call__(self, snr: Tensor) -> Interval:
        """`Σ_i λ_i/(1 + γλ_i)` and `−Σ_i (λ_i/(1 + γλ_i))²`."""
        parts = formula.gaussian_mmse(snr[:, None], self._eigenvalues)
        return parts.sum(dim=1), -parts.square().sum(dim=1)

    def information(self, snr: Tensor) -> Tensor:
        """`½ Σ_i log(1 + γλ_i)`."""
        return formula.gaussian_information(snr[:, None], self._eigenvalues, torch).sum(dim=1)


@final
class LineCurve(Curve):
    """Of atoms or a Gaussian mixture on a line, by the trapezoidal rule over `z = √γ x_0 + n`.

    The information is the entropy of z less that of the noise, so that no rule over γ adds an error.
    """

    method = "quadrature"

    def __init__(self, law: Atoms | GaussianMixture) -> None:
        if law.dim != 1:
            raise InputError(f"data in {law.dim} dimensions: quadrature is for data on a line")
        self._law = law
        self._centre, self._var = _bumps(law)

    def __call__(self, snr: Tensor) -> Interval:
        """`E C` and `−E C²`."""
        level, square, _ = self._expectations(snr)
        return level, -square

    def information(self, snr: Tensor) -> Tensor:
        """`−E log q(z) − ½ log 2πe`."""
        return self._expectations(snr)[2] - math.log(2 * math.pi * math.e) / 2

    def _expectations(self, snr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`E C`, `E C²` and the entropy of z, each (n,)."""
        rows = max(1, _CHUNK // (_LINE_NODES * len(self._centre)))
        parts = [self._block(part) for part in snr.split(rows)]
        level, square, entropy = (torch.cat(values) for values in zip(*parts, strict=True))
        return level, square, entropy

    def _block(self, snr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        middle = snr.sqrt()[:, None] * self._centre
        reach = _TAIL * formula.marginal_var(snr.sqrt()[:, None], 1.0, self._var) ** 0.5
        low, high = (middle - reach).amin(dim=1), (middle + reach).amax(dim=1)
        count = max(_LINE_NODES, math.ceil(float((high - low).max()) / _COARSEST))
        z = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, count, dtype=torch.float64)
        posterior = self._law.posterior(z.reshape(-1, 1), snr.repeat_interleave(count))
        log_density, variance = posterior.log_evidence.view_as(z), posterior.trace_cov.view_as(z)
        mass = log_density.exp() * ((high - low) / (count - 1))[:, None]
        return (mass * variance).sum(1), (mass * variance.square()).sum(1), -(mass * log_density).sum(1)


def _bumps(law: Atoms | GaussianMixture) -> tuple[Tensor, Tensor]:
    """Where the mass of a law on a line is: centres and variances, each (k,)."""
    if isinstance(law, Atoms):
        ends = torch.stack([law.points.min(), law.points.max()])
        return ends, torch.zeros_like(ends)
    components = law.components
    return torch.cat([c.mean for c in components]), torch.cat([c.cov.flatten() for c in components])


def exact_curve(law: Law) -> Curve:
    """The curve of a law for which no draws are needed. Raises `InputError` for atoms and mixtures off a line."""
    if isinstance(law, Gaussian):
        return GaussianCurve(law)
    assert isinstance(law, Atoms | GaussianMixture)
    return LineCurve(law)

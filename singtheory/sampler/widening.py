r"""Noise as wide as the posterior: draws of `N(0, base·I + gain·C)`, `C` the posterior covariance at `x_t` or what stands for it (B5, B7, E3).

A reverse step of variance `c²` in all directions is the plug-in Gaussian; with `base = c²` and `gain = b²` it has the covariance `c²(I + gC)` of the
exact kernel. What is known of C differs:

| widening        | C                                                             | products a step |
|-----------------|---------------------------------------------------------------|-----------------|
| `Exact`         | of the posterior of a known law                               | none            |
| `Diagonal`      | one variance for all (B7, Analytic-DPM) or one a coordinate   | none            |
| `LowRank`       | variances along a few directions, one for all others          | none            |
| `Lanczos`       | the denoiser's Jacobian, `C = (σ_t²/α_t) ∂x̂/∂x_t`             | k               |
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from singtheory.errors import InputError
from singtheory.law import Law
from singtheory.numerics import krylov
from singtheory.schedule import Schedule, snr_of_posterior

Denoiser = Callable[[Tensor, float], Tensor]
"""Maps `x_t` (batch, ...) and t to `x̂(x_t, t)` of the same shape."""
Variances = Callable[[float], Tensor]
"""Maps γ to variances: the mean of C along given directions."""

_ORTHONORMAL = 1e-3
"""By how much directions may miss: those of half-precision files keep three digits."""
_LACKING = re.compile("forward|independent|inference|vmap", re.IGNORECASE)
"""In torch's errors where an operation has no forward mode, or leaves the graph."""
_NEGATIVE = 1e-3
"""By what share of the largest variance a negative Ritz value must lessen the noise's to be counted: less is the network's rounding."""


@dataclass
class Work:
    """What a widening has cost, and how often it had to fall back.

    Attributes:
        evaluations: samples for which the denoiser was evaluated alone.
        products: samples for which it was evaluated with a product of its Jacobian.
        draws: samples that were widened.
        negative: of them, those for which C was not positive: there the noise is `c²` along what is negative.
    """

    evaluations: int = 0
    products: int = 0
    draws: int = 0
    negative: int = 0


@dataclass
class Widening(ABC):
    """What is known of the posterior covariance.

    Attributes:
        work: so far.
    """

    work: Work = field(default_factory=Work, init=False)

    def __call__(
        self, denoiser: Denoiser, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float
    ) -> tuple[Tensor, Tensor]:
        """`x̂`, and a draw of `N(0, base·I + gain·C)`, both float64 of the shape of `x_t`.

        Args:
            denoiser: gives `x̂`.
            x_t: shape (batch, ...).
            t: its time.
            noise: standard normal numbers of the shape of `x_t`, float64.
            base: variance in every direction, not negative.
            gain: factor of C, not negative.
        """
        mean = denoiser(x_t, t).to(torch.float64)
        self.work.evaluations += len(x_t)
        self.work.draws += len(x_t)
        return mean, self.widened(x_t, t, noise.flatten(1), base, gain).reshape(noise.shape)

    @abstractmethod
    def widened(self, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float) -> Tensor:
        """The draw from rows of noise, (batch, d)."""


@final
@dataclass
class Exact(Widening):
    """The posterior covariance of a known law.

    Args:
        law: of `x_0`, in few dimensions: d² numbers a query are held.
        schedule: the forward process.
    """

    law: Law
    schedule: Schedule

    def widened(self, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float) -> Tensor:
        """`(base·I + gain·C)^½ n`."""
        snr = snr_of_posterior(self.schedule, t)
        if bool(torch.isinf(snr)):  # x_t is x_0, and C = 0
            return base**0.5 * noise
        covariance = self.law.posterior(x_t.flatten(1).to(torch.float64) / self.schedule.sigma(t), snr).cov
        values, vectors = torch.linalg.eigh(covariance)
        along = (vectors.mT @ noise[:, :, None])[:, :, 0] * (base + gain * values.clamp(min=0)).sqrt()
        return (vectors @ along[:, :, None])[:, :, 0]


@final
@dataclass
class Diagonal(Widening):
    """A variance for every coordinate, or one for all, that does not depend on `x_t`: with `E tr C/d` the best of these (B7).

    Args:
        schedule: the forward process.
        variances: maps γ to one number, or to one a coordinate, (d,).
    """

    schedule: Schedule
    variances: Variances

    def widened(self, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float) -> Tensor:
        """`√(base + gain v_i) n_i`."""
        variances = _not_negative(self.variances(float(self.schedule.snr(t)))).to(noise)
        return (base + gain * variances).sqrt() * noise


@final
@dataclass
class LowRank(Widening):
    """Variances along a few directions and one for all others, none of which depends on `x_t`.

    Args:
        schedule: the forward process.
        basis: orthonormal directions `φ_k`, such as principal components of the data; shape (k, ...) of one sample's shape.
        variances: maps γ to k + 1 numbers: along each `φ_k`, and along all that is orthogonal to them.

    Raises:
        InputError: for directions that are not orthonormal.
    """

    schedule: Schedule
    basis: Tensor
    variances: Variances

    def __post_init__(self) -> None:
        rows = self.basis.flatten(1).to(torch.float64)
        off = (rows @ rows.mT - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).abs()
        if not bool((off < _ORTHONORMAL).all()):
            raise InputError(
                f"basis: the directions must be orthonormal, they miss by {float(off.max()):.3g}; take torch.linalg.qr of them"
            )
        self.basis = rows

    def widened(self, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float) -> Tensor:
        """`√(base + gain v_⊥) n + Σ_k (√(base + gain v_k) − √(base + gain v_⊥)) ⟨n, φ_k⟩ φ_k`."""
        variances = _not_negative(self.variances(float(self.schedule.snr(t)))).to(noise)
        if variances.shape != (len(self.basis) + 1,) or noise.shape[1] != self.basis.shape[1]:
            raise InputError(
                f"basis {tuple(self.basis.shape)}, variances {tuple(variances.shape)}, noise {noise.shape[1]}: need k + 1 variances for k directions of the noise"
            )
        std, basis = (base + gain * variances).sqrt(), self.basis.to(noise)
        return std[-1] * noise + ((std[:-1] - std[-1]) * (noise @ basis.mT)) @ basis


@final
@dataclass
class Lanczos(Widening):
    """The denoiser's Jacobian, by a few products in forward mode; all samples of a batch at once.

    The Jacobian of an exact denoiser is symmetric and positive. That of a network is neither: it is made symmetric within the space that the products
    span, and where it is negative there nothing is added to `base`, which `work.negative` counts.

    Args:
        schedule: the forward process.
        steps: k, the number of products; with one the variance is isotropic, `nᵀCn/‖n‖²` in the place of C.
        difference: None for forward mode; else the length of the step, in units of `σ_t`, of a finite difference, for denoisers that have no forward mode.

    Raises:
        InputError: for no step, a difference that is not positive, a denoiser without forward mode, and t where α = 0.
    """

    schedule: Schedule
    steps: int = 3
    difference: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"Lanczos steps {self.steps}: need at least one; without any take Diagonal or LowRank")
        if self.difference is not None and not 0 < self.difference < float("inf"):
            raise InputError(
                f"difference {self.difference}: must be positive and finite, such as 0.01, in units of sigma"
            )

    def __call__(
        self, denoiser: Denoiser, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float
    ) -> tuple[Tensor, Tensor]:
        """`x̂` comes with the first product."""
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        if alpha == 0 or sigma == 0:
            raise InputError(
                f"t = {t}: the Jacobian says nothing of C where alpha or sigma is 0; start and leave within (0, 1)"
            )
        seen: list[Tensor] = []

        def product(rows: Tensor) -> Tensor:
            tangent = rows.reshape(x_t.shape)
            mean, image = self._product(denoiser, x_t, t, tangent, sigma)
            seen.append(mean)
            return sigma**2 / alpha * image.flatten(1).to(torch.float64)

        space = krylov(product, noise.flatten(1), min(self.steps, noise[0].numel()))
        counted = gain * space.ritz < -_NEGATIVE * (base + gain * space.ritz.abs().amax(dim=1, keepdim=True))
        self.work.draws += len(x_t)
        self.work.negative += int(counted.any(dim=1).sum())
        drawn = space.apply(lambda ritz: (base + gain * ritz.clamp(min=0)).sqrt())
        return seen[0].to(torch.float64), drawn.reshape(noise.shape)

    def widened(self, x_t: Tensor, t: float, noise: Tensor, base: float, gain: float) -> Tensor:
        """Not without a denoiser."""
        raise InputError("Lanczos: needs the denoiser; call the widening itself")

    def _product(
        self, denoiser: Denoiser, x_t: Tensor, t: float, tangent: Tensor, sigma: float
    ) -> tuple[Tensor, Tensor]:
        """`x̂` and `∂x̂/∂x_t` times the tangent."""
        self.work.products += len(x_t)
        if self.difference is not None:
            self.work.evaluations += len(x_t)
            mean, length = denoiser(x_t, t), self.difference * sigma
            return mean, (denoiser(x_t + length * tangent, t) - mean) / length
        return jacobian_product(denoiser, x_t, t, tangent)


def jacobian_product(denoiser: Denoiser, x_t: Tensor, t: float, tangent: Tensor) -> tuple[Tensor, Tensor]:
    """`x̂` and `∂x̂/∂x_t` times a tangent of the shape of `x_t`, by forward-mode differentiation.

    Raises:
        InputError: for a denoiser that has an operation without forward mode, or whose answer does not depend on its input in torch.
    """
    try:
        mean, image = torch.func.jvp(lambda x: denoiser(x, t), (x_t,), (tangent.to(x_t),), strict=True)[:2]
        return mean, image
    except (NotImplementedError, RuntimeError) as error:
        if not _LACKING.search(str(error)):
            raise
        what = str(error).splitlines()[0][:120]
        raise InputError(
            f"denoiser: not differentiable in forward mode ({what}); ask for finite differences with difference=0.01"
        ) from error


def _not_negative(variances: Tensor) -> Tensor:
    variances = torch.as_tensor(variances)
    if not bool((variances >= 0).all()):
        raise InputError("variances: hold negative numbers or NaN; clamp them at 0")
    return variances

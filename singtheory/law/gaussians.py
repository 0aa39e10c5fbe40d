"""Laws of the data with a density: a Gaussian, and mixtures of Gaussians."""

import math
from typing import final

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.errors import InputError
from singtheory.law.checks import Array, as_cov, as_finite, as_numbers, as_weights
from singtheory.law.gaussian_posterior import GaussianPosterior, MixturePosterior
from singtheory.law.laws import Law, LineParts


@final
class Gaussian(Law):
    """A Gaussian `N(μ, Σ)`; Σ may be singular.

    Args:
        mean: shape (d,), no number beyond 1e30.
        cov: shape (d, d), symmetric, positive semidefinite; its largest eigenvalue 0, or from 1e-60 to 1e60.

    Raises:
        InputError: for what is no mean or covariance, and beyond the domain (`singtheory.numerics.domain`).
    """

    gaussian = True

    def __init__(self, mean: Array, cov: Array) -> None:
        self._mean = as_finite("mean", mean, 1)
        numerics.check_coordinates("mean", self._mean)
        self.dim = len(self._mean)
        self._cov = as_cov("cov", as_numbers("cov", cov)[None], 1, self.dim)[0]
        self._eigenvalues, self._basis = torch.linalg.eigh(self._cov)
        self._eigenvalues = self._eigenvalues.clamp(min=0)

    @property
    def mean(self) -> Tensor:
        """`μ`, shape (d,)."""
        return self._mean

    @property
    def cov(self) -> Tensor:
        """`Σ`, shape (d, d)."""
        return self._cov

    @property
    def cov_error(self) -> float:
        """0, for Σ is an argument and not computed."""
        return 0.0

    @property
    def device(self) -> torch.device:
        """Where the mean lives."""
        return self._mean.device

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent draws."""
        noise = numerics.normal((n, self.dim), self.device, generator)
        return self._mean + (noise * self._eigenvalues.sqrt()) @ self._basis.mT

    def log_prob(self, x: Tensor) -> Tensor:
        """The log density at `x` (batch, d), shape (batch,). Raises `InputError` if Σ is singular, if but for its rounding, and for x of another width or beyond the domain."""
        x = self.rows("x", x).to(torch.float64)
        numerics.check_coordinates("x", x)
        if float(self._eigenvalues[0]) <= self._eigenvalue_error():
            raise InputError(
                "a Gaussian with a singular covariance has no density, and rounding alone tells this one from it; leave out directions without spread"
            )
        white = ((x - self._mean) @ self._basis) / self._eigenvalues.sqrt()
        log_norm = self._eigenvalues.log().sum() + self.dim * math.log(2 * math.pi)
        return -(white.square().sum(dim=-1) + log_norm) / 2

    def _eigenvalue_error(self) -> float:
        """At least what the eigenvalues are off by; those of a diagonal Σ are its entries."""
        if torch.equal(self._cov, self._cov.diagonal().diag()):
            return 0.0
        return formula.eigenvalue_error(self.dim, float(self._eigenvalues[-1]))

    def line_parts(self) -> LineParts:
        """The Gaussian alone."""
        self._on_line()
        return LineParts(self.mean.cpu(), self.cov[0].clamp(min=0).cpu(), torch.ones(1, dtype=torch.float64))

    def _posterior(self, z: Tensor, snr: Tensor) -> GaussianPosterior:
        return GaussianPosterior.of(self._mean, self._eigenvalues, self._basis, z, snr)


@final
class GaussianMixture(Law):
    """A mixture `Σ_k w_k N(μ_k, Σ_k)`.

    Args:
        weights: shape (k,), not negative, positive sum (they are normalised).
        means: shape (k, d), as of `Gaussian`.
        covs: shape (k, d, d), each as of `Gaussian`.

    Raises:
        InputError: as `Gaussian`, and for weights as `Atoms`.
    """

    def __init__(self, weights: Array, means: Array, covs: Array) -> None:
        means = as_finite("means", means, 2)
        self.weights = as_weights(weights, len(means), means.device)
        self.dim = means.shape[1]
        covs = as_cov("covs", covs, len(means), self.dim)
        if not bool(covs.any()):  # then it is finite data
            numerics.check_points("means", means, self.weights)
        self.components = [Gaussian(m, c) for m, c in zip(means, covs, strict=True)]

    @property
    def mean(self) -> Tensor:
        """`μ = Σ w_k μ_k`, shape (d,)."""
        return self.weights @ torch.stack([c.mean for c in self.components])

    @property
    def cov(self) -> Tensor:
        """`Σ = Σ_k w_k (Σ_k + (μ_k − μ)(μ_k − μ)ᵀ)`, shape (d, d)."""
        total = torch.zeros(self.dim, self.dim, dtype=torch.float64, device=self.device)
        for w, c in zip(self.weights, self.components, strict=True):
            total += w * (c.cov + torch.outer(c.mean - self.mean, c.mean - self.mean))
        return total

    @property
    def cov_error(self) -> float:
        """The rounding `δ` of μ moves the sum by `δδᵀ`, and the sum itself is off by some units of `tr Σ` a term."""
        count = len(self.components) + 8
        moved = count * formula.DOUBLE * math.sqrt(self.dim) * max(float(c.mean.abs().max()) for c in self.components)
        trace = float(self.cov.trace())
        return count * formula.DOUBLE * (trace + 2 * moved * math.sqrt(trace)) + 2 * moved**2

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.weights.device

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent draws."""
        chosen = numerics.choose(self.weights, n, generator)
        draws = torch.stack([c.sample(n, generator) for c in self.components])
        return draws[chosen, torch.arange(n, device=self.device)]

    def log_prob(self, x: Tensor) -> Tensor:
        """The log density at `x` (batch, d), shape (batch,). Raises `InputError` if a covariance is singular."""
        parts = torch.stack([component.log_prob(x) for component in self.components], dim=-1)
        return torch.logsumexp(parts + self.weights.log(), dim=-1)

    def line_parts(self) -> LineParts:
        """The components."""
        self._on_line()
        means, covs = (
            torch.cat([getattr(c, name).flatten() for c in self.components]).cpu() for name in ("mean", "cov")
        )
        return LineParts(means, covs.clamp(min=0), self.weights.cpu())

    def _posterior(self, z: Tensor, snr: Tensor) -> MixturePosterior:
        means = torch.stack([c.mean for c in self.components])
        return MixturePosterior.of(self.weights, means, [c._posterior(z, snr) for c in self.components], z, snr)

r"""Laws of the data `x_0`: weighted atoms, Gaussian mixtures, Gaussians, each with its exact posterior.

Every law answers one question exactly: given `z = x_t/σ_t = √γ x_0 + n` and `γ`, what is the law of `x_0`? `law.posterior(z, snr)`
is that law, and its mean is the denoiser `x̂(x_t, t) = E[x_0 | x_t]`. The posterior depends on `(z, γ)` alone (docs/derivations/a.md,
notation), which is why no schedule appears here.

All tensors are float64 on one device; `d` is the dimension of the data.
"""

import math
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from singtheory import numerics
from singtheory.engine import DOUBLE_TOL, SINGLE_TOL, Points, Shard, ShardEngine, agree, check_reached, engine_of
from singtheory.errors import InputError
from singtheory.law.gaussian_posterior import GaussianPosterior, MixturePosterior
from singtheory.law.posterior import AtomsPosterior, Posterior

Array = Any
"""What `torch.as_tensor` accepts: a tensor, a numpy array or nested sequences of numbers."""


class Law(ABC):
    """The law `π` of the data in `d` dimensions."""

    dim: int

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """`μ`, shape (d,)."""

    @property
    @abstractmethod
    def cov(self) -> Tensor:
        """`Σ`, shape (d, d)."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the law's tensors live; queries must live there too."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent draws of `x_0`, shape (n, d)."""

    @abstractmethod
    def _posterior(self, z: Tensor, snr: Tensor) -> Posterior:
        """The posterior for checked queries: `z` (batch, d), `snr` (batch,)."""

    def posterior(self, z: Array, snr: Array) -> Posterior:
        """The law of `x_0` given `√γ x_0 + n = z`.

        Args:
            z: `x_t/σ_t`, shape (d,) or (batch, d), finite.
            snr: `γ_t ≥ 0`, finite, a number or shape (batch,).

        Raises:
            InputError: for queries of another width, NaN, or a negative or infinite snr (at t = 0 the posterior is `δ_x`).
        """
        return self._posterior(*self._checked(z, snr))

    def _checked(self, z: Array, snr: Array) -> tuple[Tensor, Tensor]:
        """Queries as tensors, one snr a query. Raises `InputError` as `posterior`."""
        queries = self._shaped(z, snr)
        _check_numbers(*queries)
        return queries

    def _shaped(self, z: Array, snr: Array) -> tuple[Tensor, Tensor]:
        """As `_checked`, without a look at the numbers, for which one would wait for a GPU."""
        z = torch.atleast_2d(_as_numbers("query z", z, self.device))
        snr = _as_numbers("snr", snr, self.device)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise InputError(
                f"query of shape {tuple(z.shape)}: the data has dimension {self.dim}, need (batch, {self.dim})"
            )
        if snr.ndim > 1 or (snr.ndim == 1 and len(snr) not in (1, len(z))):
            raise InputError(f"snr of shape {tuple(snr.shape)} for {len(z)} queries: give one number or one a query")
        return z, snr.expand(len(z))


def _check_numbers(z: Tensor, snr: Tensor) -> None:
    """Raise `InputError` for NaN, infinities and negative snr; numbers are read from a GPU at once."""
    if not z.numel():
        return
    largest, low, high = torch.stack([torch.linalg.vector_norm(z, ord=math.inf), *torch.aminmax(snr)]).tolist()
    if not largest < math.inf:
        raise InputError("query z holds NaN or infinity: divide x_t by sigma_t at t > 0 only")
    if not 0 <= low <= high < math.inf:
        raise InputError("snr must be finite and at least 0: at t = 0 the posterior is the point x_t itself")


def _as_numbers(name: str, values: Array, device: torch.device | None = None) -> Tensor:
    """`values` as a float64 tensor. Raises `InputError` naming `name` for what is no array of real numbers in memory."""
    if isinstance(values, Tensor) and (values.layout is not torch.strided or values.is_meta or values.is_quantized):
        raise InputError(f"{name}: a sparse, quantised or meta tensor; give one of numbers in memory")
    if values.is_complex() if isinstance(values, Tensor) else np.iscomplexobj(values):
        raise InputError(f"{name}: holds complex numbers; give real ones")
    try:
        return torch.as_tensor(values, dtype=torch.float64, device=device)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: not an array of numbers ({error})") from None


def _as_finite(name: str, values: Array, ndim: int) -> Tensor:
    """`values` as a float64 tensor of `ndim` dimensions, finite and not empty, without its gradient. Raises `InputError` naming `name`."""
    tensor = _as_numbers(name, values).detach()
    if tensor.ndim != ndim:
        raise InputError(f"{name} of shape {tuple(tensor.shape)}: need {ndim} dimensions")
    if tensor.numel() == 0:
        raise InputError(f"{name} of shape {tuple(tensor.shape)}: empty")
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{name}: holds NaN or infinity; remove those entries")
    return tensor


def _as_nonnegative(weights: Array, count: int, device: torch.device) -> Tensor:
    """One weight a point. Raises `InputError` where one is negative or not finite."""
    w = _as_finite("weights", weights, 1).to(device)
    if len(w) != count:
        raise InputError(f"weights: {len(w)} for {count} points; give one weight a point")
    if bool((w < 0).any()):
        raise InputError(f"weights: the smallest is {float(w.min())}; weights must not be negative")
    return w


def _as_weights(weights: Array | None, count: int, device: torch.device) -> Tensor:
    """Prior weights that sum to one, uniform when not given. Raises `InputError` when they cannot be weights."""
    if weights is None:
        return torch.full((count,), 1 / count, dtype=torch.float64, device=device)
    w = _as_nonnegative(weights, count, device)
    if float(w.max()) == 0:
        raise InputError("weights: they sum to zero; at least one must be positive")
    w = w / w.max()  # the sum of the largest floats would overflow
    return w / w.sum()


def _as_cov(name: str, values: Array, count: int, dim: int) -> Tensor:
    """Covariances (count, d, d), symmetric and positive semidefinite. Raises `InputError` otherwise."""
    cov = _as_finite(name, values, 3)
    if cov.shape != (count, dim, dim):
        raise InputError(f"{name} of shape {tuple(cov.shape)}: need {(count, dim, dim)}")
    scale = cov.diagonal(dim1=1, dim2=2).abs().amax(dim=1).clamp(min=1e-300)
    if bool(((cov - cov.mT).abs().amax(dim=(1, 2)) > 1e-9 * scale).any()):
        raise InputError(f"{name}: not symmetric")
    if bool((torch.linalg.eigvalsh(cov)[:, 0] < -1e-9 * scale).any()):
        raise InputError(f"{name}: has a negative eigenvalue, so it is no covariance")
    return (cov + cov.mT) / 2


@final
class Atoms(Law):
    """Finite data: points `y_i` with weights `w_i`.

    >>> law = Atoms([[-1.0], [1.0]], weights=[1, 3])
    >>> law.mean.item(), law.cov.item()
    (0.5, 0.75)
    >>> law.posterior([0.0], snr=0.0).mean.item()
    0.5

    Args:
        points: shape (n, d), finite.
        weights: shape (n,), not negative, positive sum (they are normalised); uniform when not given.

    Raises:
        InputError: for empty, non-finite or wrongly shaped data, and for weights that are none.
    """

    def __init__(self, points: Array, weights: Array | None = None) -> None:
        points = _as_finite("points", points, 2)
        self._hold(Points(points, _as_weights(weights, len(points), points.device)))

    @classmethod
    def stored(cls, points: Points) -> "Atoms":
        """Around points as they lie, such as in a mapped file; they are read block by block, and must be finite."""
        law = cls.__new__(cls)
        law._hold(points)
        return law

    @classmethod
    def sharded(cls, points: Array, weights: Array | None = None) -> "Atoms":
        """Of all processes' points together, of which each gives its own: `torch.distributed` joins them.

        The mean, and of posteriors, asked alike on every process, mean, trace, evidence and bound, are of the whole; all else is of one's own part.

        Args:
            points: shape (n, d), finite; n may differ.
            weights: shape (n,), not negative, of which only the size relative to others' counts; 1 each when not given.

        Raises:
            InputError: as `Atoms`, and on every process alike where none are joined, a part is empty or widths differ.
        """
        try:
            points = _as_finite("points", points, 2)
            weights = _as_nonnegative(
                torch.ones(len(points)) if weights is None else weights, len(points), points.device
            )
        except InputError as error:
            with suppress(InputError):  # the others would wait for this part
                agree(0, 0, points.device if isinstance(points, Tensor) else "cpu")
            raise error from None
        agree(len(points), points.shape[1], points.device)
        law = cls.__new__(cls)
        law._points = Shard(points, weights)
        law.dim, law._engine = law._points.dim, ShardEngine(law._points)
        return law

    def _hold(self, points: Points) -> None:
        self._points, self.dim = points, points.dim
        self._engine = engine_of(points)

    @property
    def points(self) -> Tensor:
        """`y_i` in float64, shape (n, d); a mapped file is read whole."""
        return self._points.whole

    @property
    def weights(self) -> Tensor:
        """`w_i`, shape (n,)."""
        return self._points.weights

    @property
    def device(self) -> torch.device:
        """Where posteriors are computed."""
        return self._points.device

    def to(self, device: torch.device | str) -> "Atoms":
        """The same law on another device."""
        return Atoms(self.points.to(device), self.weights.to(device))

    def subset(self, rows: Tensor) -> "Atoms":
        """The points of one class or prompt: numbers (m,) or a mask (n,), with their weights normalised.

        Raises:
            InputError: for an empty choice, and one whose weights are all zero.
        """
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        return Atoms(self._points.take(rows), self.weights[rows.to(self.device)])

    def posterior(self, z: Array, snr: Array, tol: float | None = None) -> AtomsPosterior:
        """The law of `x_0` given `√γ x_0 + n = z`, its mean with a proven bound on its error.

        Args:
            z: `x_t/σ_t`, shape (d,) or (batch, d), finite.
            snr: `γ_t ≥ 0`, finite, a number or shape (batch,).
            tol: what the error of the mean must not exceed, relative to `√Σ w_i‖y_i‖²`. Without it 1e-12 is aimed at, on a GPU 1e-6,
                and `error_bound` tells what was reached.

        Raises:
            InputError: as `Law.posterior`, and for a `tol` that is not positive or below the least bound of the arithmetic.
        """
        if tol is not None and not tol > 0:
            raise InputError(f"tol {tol}: must be positive; it is relative to the size of the data")
        queries = self._shaped(z, snr)
        posterior = self._posterior(*queries) if tol is None else AtomsPosterior(self._engine, *queries, tol)
        posterior.start()  # before its numbers are read
        _check_numbers(*queries)
        if tol is not None:
            check_reached(posterior.error_bound, self._points, tol)
        return posterior

    @cached_property
    def mean(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`μ = Σ w_i y_i`, shape (d,)."""
        return self._points.mean

    @cached_property
    def cov(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`Σ = Σ_i w_i (y_i − μ)(y_i − μ)ᵀ`, shape (d, d)."""
        centred = self.deviations()
        return (centred * self.weights[:, None]).mT @ centred

    def deviations(self) -> Tensor:
        """`y_i − μ`, shape (n, d): from differences to the heaviest point, for the mean itself is rounded to the digits of where the data lie."""
        moved = self.points - self.points[int(self.weights.argmax())]
        return moved - self.weights @ moved

    @cached_property
    def diameter(self) -> float:
        """D, the largest distance between two points of positive weight: exact up to 5,000 of them but for rounding, an upper bound beyond."""
        support = self.points[self.weights > 0]
        if len(support) <= 5000:
            return numerics.diameter(support)
        apart = support - support[0]  # any centre gives a bound, and a near one a good one
        return 2 * float(numerics.distances(apart.mean(dim=0, keepdim=True), apart).max()) * (1 + 1e-12)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` points drawn with replacement by weight; of a mapped file these alone are read."""
        return self._points.take(numerics.choose(self.weights, n, generator))

    def _posterior(self, z: Tensor, snr: Tensor) -> AtomsPosterior:
        return AtomsPosterior(self._engine, z, snr, SINGLE_TOL if self.device.type == "cuda" else DOUBLE_TOL)


@final
class Gaussian(Law):
    """A Gaussian `N(μ, Σ)`; Σ may be singular.

    Args:
        mean: shape (d,).
        cov: shape (d, d), symmetric, positive semidefinite.
    """

    def __init__(self, mean: Array, cov: Array) -> None:
        self._mean = _as_finite("mean", mean, 1)
        self.dim = len(self._mean)
        self._cov = _as_cov("cov", torch.as_tensor(cov, dtype=torch.float64)[None], 1, self.dim)[0]
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
    def device(self) -> torch.device:
        """Where the mean lives."""
        return self._mean.device

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent draws."""
        noise = numerics.normal((n, self.dim), self.device, generator)
        return self._mean + (noise * self._eigenvalues.sqrt()) @ self._basis.mT

    def log_prob(self, x: Tensor) -> Tensor:
        """The log density at `x` (batch, d), shape (batch,). Raises `InputError` if Σ is singular."""
        if float(self._eigenvalues[0]) <= 0:
            raise InputError("a Gaussian with a singular covariance has no density")
        white = ((x - self._mean) @ self._basis) / self._eigenvalues.sqrt()
        log_norm = self._eigenvalues.log().sum() + self.dim * math.log(2 * math.pi)
        return -(white.square().sum(dim=-1) + log_norm) / 2

    def _posterior(self, z: Tensor, snr: Tensor) -> GaussianPosterior:
        return GaussianPosterior.of(self._mean, self._eigenvalues, self._basis, z, snr)


@final
class GaussianMixture(Law):
    """A mixture `Σ_k w_k N(μ_k, Σ_k)`.

    Args:
        weights: shape (k,), not negative, positive sum (they are normalised).
        means: shape (k, d).
        covs: shape (k, d, d), each symmetric and positive semidefinite.
    """

    def __init__(self, weights: Array, means: Array, covs: Array) -> None:
        means = _as_finite("means", means, 2)
        self.weights = _as_weights(weights, len(means), means.device)
        self.dim = means.shape[1]
        covs = _as_cov("covs", covs, len(means), self.dim)
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
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.weights.device

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent draws."""
        chosen = numerics.choose(self.weights, n, generator)
        draws = torch.stack([c.sample(n, generator) for c in self.components])
        return draws[chosen, torch.arange(n, device=self.device)]

    def _posterior(self, z: Tensor, snr: Tensor) -> MixturePosterior:
        means = torch.stack([c.mean for c in self.components])
        return MixturePosterior.of(self.weights, means, [c._posterior(z, snr) for c in self.components], z, snr)

r"""Exact posteriors `π(x_0 | z, γ)`, `z = x_t/σ_t = √γ x_0 + n`: the exact denoiser and everything around it.

All weights are computed in log space. A posterior is itself a law over `x_0`, one for each query of the batch; `posterior[i]` is
query i alone. Its mean is the denoiser `x̂`, `cov` is `C`, and `log_ratio` gives `log dP/dQ` of the exact reverse kernel against
its plug-in Gaussian in the coordinate `u = (x_s − a x_t − b x̂)/c`, where `P` is the law of `√g ξ + n` and `Q` is `N(0, I)` (A4).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Self, final

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.engine import (
    DOUBLE_TOL,
    CovarianceAlong,
    Draws,
    Engine,
    Entropy,
    Nearest,
    Points,
    PosteriorMoments,
    Statistic,
)
from singtheory.law import logits
from singtheory.numerics import block_rows


class Posterior(ABC):
    """One posterior law a query; `batch` queries in `d` dimensions."""

    mean: Tensor
    """The denoiser `x̂ = E[x_0 | z]`, shape (batch, d)."""
    log_evidence: Tensor
    """The log density of `z`, shape (batch,)."""

    @property
    @abstractmethod
    def trace_cov(self) -> Tensor:
        """`tr C`, shape (batch,)."""

    @property
    @abstractmethod
    def cov(self) -> Tensor:
        """`C = Cov[x_0 | z]`, shape (batch, d, d)."""

    @abstractmethod
    def __getitem__(self, query: int) -> Self:
        """The posterior of one query, as a batch of one."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of `x_0` a query, shape (batch, n, d)."""

    @abstractmethod
    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log dP/dQ` at `u` (batch, n, d): P the law of `√g ξ + n`, Q = N(0, I) (A4); shape (batch, n)."""

    def __len__(self) -> int:
        return len(self.mean)

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def eigenvalues(self) -> Tensor:
        """The eigenvalues `λ` of `C`, ascending and not negative, shape (batch, d)."""
        return torch.linalg.eigvalsh(self.cov).clamp(min=0)


@final
class AtomsPosterior(Posterior):
    """Posterior weights over shared points.

    Mean, trace and evidence come from the engine, with a bound on the error of the mean and without the weights of all points ever
    being held; these are there for those who ask for them.

    Args:
        engine: of the points.
        z: queries, shape (batch, d).
        snr: shape (batch,).
        tol: the error of the mean that is aimed at, relative to `√Σ w_i‖y_i‖²`.
    """

    def __init__(self, engine: Engine, z: Tensor, snr: Tensor, tol: float) -> None:
        self.engine, self.z, self.snr, self.tol = engine, z, snr, tol
        self._started: Callable[[], PosteriorMoments] | None = None
        self._whole: tuple[AtomsPosterior, slice] | None = None

    @classmethod
    def of(cls, points: Tensor, log_weights: Tensor) -> "AtomsPosterior":
        """One query's, around weights (n,) that are known already."""
        nowhere = torch.zeros(1, points.shape[1], dtype=torch.float64, device=points.device)
        return cls(Engine(Points(points, log_weights.exp())), nowhere, nowhere[:, 0], DOUBLE_TOL)

    def start(self) -> None:
        """Let a GPU begin before the answer is asked for."""
        self._started = self.engine.start(self.z, self.snr, self.tol)

    @cached_property
    def _found(self) -> PosteriorMoments:
        if self._whole is not None:
            posterior, rows = self._whole
            return posterior._found.of(rows)
        find, self._started = self._started or self.engine.start(self.z, self.snr, self.tol), None
        return find()

    @property
    def mean(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The denoiser `x̂`, shape (batch, d)."""
        return self._found.mean

    @property
    def error_bound(self) -> Tensor:
        """At least the Euclidean error of the mean, through rounding and what was left out; shape (batch,)."""
        return self._found.error_bound

    @property
    def log_evidence(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The log density of `z`, shape (batch,)."""
        return self._found.log_evidence

    @property
    def trace_cov(self) -> Tensor:
        """`Σ p_i ‖y_i − x̂‖²`, shape (batch,)."""
        return self._found.trace_cov

    def tell(self, *statistics: Statistic) -> None:
        """Let statistics see all points that matter, in one pass in which mean, trace and evidence are found too."""
        self._found = self.engine.tell(self.z, self.snr, self.tol, statistics)

    @cached_property
    def points(self) -> Tensor:
        """In float64, shape (n, d)."""
        return self.engine.points.whole

    @cached_property
    def log_weights(self) -> Tensor:
        """Normalised, shape (batch, n)."""
        return self._logits[0]

    @property
    def log_weight_error(self) -> Tensor:
        """At least what rounding took from or added to each of `log_weights`, shape (batch, n)."""
        return self._logits[1]

    @cached_property
    def _logits(self) -> tuple[Tensor, Tensor]:
        if self._whole is not None:
            posterior, rows = self._whole
            return posterior._logits[0][rows], posterior._logits[1][rows]
        return logits.log_weights(self.engine.points, self.z, self.snr)

    @cached_property
    def weights(self) -> Tensor:
        """Posterior weights, shape (batch, n)."""
        return self.log_weights.exp()

    @property
    def cov(self) -> Tensor:
        """`Σ p_i ξ_i ξ_iᵀ`, shape (batch, d, d)."""
        return torch.stack([(xi * p[:, None]).mT @ xi for xi, p in zip(self.deviations(), self.weights, strict=True)])

    def cov_along(self, directions: Tensor) -> Tensor:
        """`Vᵀ C V` along directions V, shape (d, k), such as a few principal components; shape (batch, k, k)."""
        covariance = CovarianceAlong(self.engine.points, directions)
        self.tell(covariance)
        return covariance.value()

    @cached_property
    def entropy(self) -> Tensor:
        """`−Σ p_i log p_i` in nats, shape (batch,)."""
        entropy = Entropy()
        self.tell(entropy)
        return entropy.value()

    def nearest(self, k: int = 1) -> Tensor:
        """Numbers of the `k` points of the largest weight, the nearest ones where prior weights are equal (D1); shape (batch, k)."""
        nearest = Nearest(k)
        self.tell(nearest)
        return nearest.value()

    def deviations(self) -> Iterator[Tensor]:
        """`ξ_i = y_i − x̂` of each query in turn, shape (n, d): from differences to the heaviest point, which keep their digits wherever the data lie."""
        for weights in self.weights:
            moved = self.points - self.points[int(weights.argmax())]
            yield moved - weights @ moved

    def __getitem__(self, query: int) -> Self:
        rows = _row(query, len(self))
        one = type(self)(self.engine, self.z[rows], self.snr[rows], self.tol)
        one._whole = (self, rows)
        return one

    def __len__(self) -> int:
        return len(self.z)

    def sample_indices(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` indices of points a query, drawn by posterior weight, shape (batch, n)."""
        draws = Draws(n, generator)
        self.tell(draws)
        return draws.value()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` points a query."""
        indices = self.sample_indices(n, generator)
        return self.engine.points.take(indices.flatten()).unflatten(0, indices.shape)

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log Σ_j p_j exp(√g⟨ξ_j, u⟩ − ½ g‖ξ_j‖²)`, shape (batch, n)."""
        return self._reduce(u, gap, lambda terms: torch.logsumexp(terms, dim=1))

    def conditional_entropy(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """The entropy of `x_0` once `u` is known too, in [0, log n] nats; shape (batch, n)."""
        return self._reduce(u, gap, lambda terms: torch.special.entr(torch.softmax(terms, dim=1)).sum(dim=1))

    def _reduce(self, u: Tensor, gap: Tensor | float, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """`reduce` over the points of `log p_j + √g⟨ξ_j, u⟩ − ½ g‖ξ_j‖²`, a bounded number of rows at a time."""
        gap = torch.as_tensor(gap, dtype=torch.float64, device=u.device).expand(len(self))
        rows = block_rows(len(self.points), u.device)
        values = []
        for xi, log_p, u_query, g in zip(self.deviations(), self.log_weights, u, gap, strict=True):
            offset = log_p - g / 2 * xi.square().sum(dim=1)
            scaled = (g.sqrt() * xi).mT
            values.append(torch.cat([reduce((part @ scaled).add_(offset)) for part in u_query.split(rows)]))
        return torch.stack(values)


def _row(query: int, count: int) -> slice:
    """One query as a batch of one. Raises `IndexError` where there is none, which also ends a loop over a posterior."""
    if not -count <= query < count:
        raise IndexError(f"query {query} of {count}")
    return slice(query % count, query % count + 1)


@final
class GaussianPosterior(Posterior):
    """Gaussian posteriors that share their eigenvectors.

    Args:
        mean: shape (batch, d).
        spectrum: eigenvalues `λ/(1 + γλ)` of C in the order of `basis`, shape (batch, d).
        basis: eigenvectors as columns, shape (d, d).
        log_evidence: shape (batch,).
        log_gain: what the spread adds to it, `½ Σ [γλ/(1 + γλ) ρ² − log(1 + γλ)]`, `ρ = z − √γ μ`, and the sizes summed; shape (batch, 2).
        moved: from the prior mean to `mean`, whose own digits may be those of a distant origin; shape (batch, d).
        spectrum_error: at least the errors of `spectrum`, small ones of which may have lost their digits to the largest of Σ; shape (batch, d).
    """

    def __init__(
        self,
        mean: Tensor,
        spectrum: Tensor,
        basis: Tensor,
        log_evidence: Tensor,
        log_gain: Tensor,
        moved: Tensor,
        spectrum_error: Tensor,
    ) -> None:
        self.mean, self.spectrum, self.basis, self.spectrum_error = mean, spectrum, basis, spectrum_error
        self.log_evidence, self.log_gain, self.moved = log_evidence, log_gain, moved

    @classmethod
    def of(cls, mean: Tensor, eigenvalues: Tensor, basis: Tensor, z: Tensor, snr: Tensor) -> "GaussianPosterior":
        """`x̂ = μ + √γ Σ(γΣ + I)⁻¹(z − √γ μ)`, `C = Σ(γΣ + I)⁻¹`: no division by α, so regular at γ = 0."""
        root = snr.sqrt()[:, None]
        precision = 1 + snr[:, None] * eigenvalues
        residual = logits.residual(z, snr, mean) @ basis
        moved = (root * eigenvalues / precision * residual) @ basis.mT
        log_norm = precision.log().sum(dim=1) + len(mean) * math.log(2 * math.pi)
        log_evidence = -((residual.square() / precision).sum(dim=1) + log_norm) / 2
        widened = snr[:, None] * eigenvalues / precision * residual.square()
        narrowed = torch.log1p(snr[:, None] * eigenvalues)
        gain = torch.stack([(widened - narrowed).sum(dim=1), (widened + narrowed).sum(dim=1)], dim=1) / 2
        # an eigenvalue is off by some u‖Σ‖ (Golub and Van Loan 2013, 8.1), but for the one of a number
        lost = 4 * len(mean) * formula.DOUBLE * eigenvalues.max() if len(mean) > 1 else torch.zeros_like(eigenvalues)
        error = lost / (1 + snr[:, None] * (eigenvalues - lost).clamp(min=0)) / precision
        return cls(mean + moved, eigenvalues / precision, basis, log_evidence, gain, moved, error)

    @property
    def trace_cov(self) -> Tensor:
        """`Σ λ/(1 + γλ)`, shape (batch,)."""
        return self.spectrum.sum(dim=1)

    @property
    def cov(self) -> Tensor:
        """`Σ(γΣ + I)⁻¹`, shape (batch, d, d)."""
        return (self.basis * self.spectrum[:, None]) @ self.basis.mT

    def __getitem__(self, query: int) -> Self:
        rows = _row(query, len(self))
        fields = self.mean, self.spectrum, self.log_evidence, self.log_gain, self.moved, self.spectrum_error
        mean, spectrum, *others = (values[rows] for values in fields)
        return type(self)(mean, spectrum, self.basis, *others)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws a query."""
        noise = numerics.normal((len(self), n, self.mean.shape[1]), self.mean.device, generator)
        return self.mean[:, None] + (noise * self.spectrum.sqrt()[:, None]) @ self.basis.mT

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`½ Σ_i [gλ_i/(1+gλ_i) u_i² − log(1 + gλ_i)]` along the eigenvectors, shape (batch, n)."""
        return self.shifted_log_ratio(u, gap, torch.zeros_like(self.mean))

    def shifted_log_ratio(self, u: Tensor, gap: Tensor | float, shift: Tensor) -> Tensor:
        """`log N(u; √g shift, I + gC) − log N(u; 0, I)`, `shift` (batch, d); shape (batch, n)."""
        gap = torch.as_tensor(gap, dtype=torch.float64, device=u.device).expand(len(self))[:, None]
        spread = (gap * self.spectrum)[:, None]
        rotated, centre = u @ self.basis, (gap.sqrt() * shift @ self.basis)[:, None]
        # u² − (u − m)²/(1 + gλ) with the u² terms joined, so that small gaps keep their digits
        terms = (spread * rotated.square() + 2 * rotated * centre - centre.square()) / (1 + spread)
        return (terms - torch.log1p(spread)).sum(dim=-1) / 2


@final
class MixturePosterior(Posterior):
    """A mixture of Gaussian posteriors.

    Args:
        log_weights: posterior weights of the components, normalised, shape (batch, k).
        components: k posteriors of `batch` queries each.
        log_evidence: shape (batch,).
        log_weight_error: bounds on the errors of the log weights, shape (batch, k).
        priors: means of the components of the law, shape (k, d).
    """

    def __init__(
        self,
        log_weights: Tensor,
        components: Sequence[GaussianPosterior],
        log_evidence: Tensor,
        log_weight_error: Tensor,
        priors: Tensor,
    ) -> None:
        self.log_weights, self.components, self.log_evidence = log_weights, components, log_evidence
        self.log_weight_error, self.priors = log_weight_error, priors
        heaviest = priors[log_weights.argmax(dim=1)]
        self.apart = (priors - heaviest[:, None]) + torch.stack([c.moved for c in components], dim=1)
        """Means of the components less the prior mean of the heaviest one, of whose digits a distant origin takes none; shape (batch, k, d)."""
        self._centre = (self.weights[:, :, None] * self.apart).sum(dim=1)
        self.mean = heaviest + self._centre

    @classmethod
    def of(
        cls, weights: Tensor, means: Tensor, components: Sequence[GaussianPosterior], z: Tensor, snr: Tensor
    ) -> "MixturePosterior":
        """Bayes' rule over components of prior means (k, d), from what their evidences differ by."""
        log_joint = torch.stack([c.log_evidence for c in components], dim=1) + weights.log()
        log_weights, errors = logits.mixture_weights(weights, means, components, z, snr)
        return cls(log_weights, components, torch.logsumexp(log_joint, dim=1), errors, means)

    @cached_property
    def weights(self) -> Tensor:
        """Posterior weights of the components, shape (batch, k)."""
        return self.log_weights.exp()

    @property
    def _shifts(self) -> Tensor:
        """Component means less the posterior mean, shape (batch, k, d)."""
        return self.apart - self._centre[:, None]

    @property
    def trace_cov(self) -> Tensor:
        """`Σ_k p_k (tr C_k + ‖μ_k − x̂‖²)`, shape (batch,)."""
        within = torch.stack([c.trace_cov for c in self.components], dim=1)
        return (self.weights * (within + self._shifts.square().sum(dim=2))).sum(dim=1)

    @property
    def cov(self) -> Tensor:
        """`Σ_k p_k (C_k + (μ_k − x̂)(μ_k − x̂)ᵀ)`, shape (batch, d, d)."""
        within = torch.stack([c.cov for c in self.components], dim=1)
        shifts = self._shifts
        return (self.weights[:, :, None, None] * (within + shifts[..., None] * shifts[..., None, :])).sum(dim=1)

    def __getitem__(self, query: int) -> Self:
        rows = _row(query, len(self))
        return type(self)(
            self.log_weights[rows],
            [c[query] for c in self.components],
            self.log_evidence[rows],
            self.log_weight_error[rows],
            self.priors,
        )

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws a query."""
        chosen = numerics.choose(self.weights, n, generator)
        draws = torch.stack([c.sample(n, generator) for c in self.components], dim=1)
        return draws.gather(1, chosen[:, None, :, None].expand(-1, 1, -1, draws.shape[-1]))[:, 0]

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log Σ_k p_k N(u; √g(μ_k − x̂), I + gC_k)/N(u; 0, I)`, shape (batch, n)."""
        shifts = self._shifts
        ratios = [c.shifted_log_ratio(u, gap, shifts[:, k]) for k, c in enumerate(self.components)]
        return torch.logsumexp(torch.stack(ratios, dim=-1) + self.log_weights[:, None], dim=-1)

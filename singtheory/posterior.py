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

from singtheory import draw

_DIRECT_SNR = 1e4
_CHUNK = 2**24
"""Numbers in one block of rows times points: 128 MB."""


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

    Args:
        points: shape (n, d).
        log_weights: normalised, shape (batch, n).
        log_evidence: shape (batch,).
    """

    def __init__(self, points: Tensor, log_weights: Tensor, log_evidence: Tensor) -> None:
        self.points, self.log_weights, self.log_evidence = points, log_weights, log_evidence
        self.mean = self.weights @ points

    @classmethod
    def of(
        cls, points: Tensor, weights: Tensor, z: Tensor, snr: Tensor, direct_snr: float = _DIRECT_SNR
    ) -> "AtomsPosterior":
        """Bayes' rule in log space: `log w_i − ½‖z − √γ y_i‖²`, normalised.

        Distances come from inner products for `γ‖y‖² ≤ direct_snr`; above it the cancellation between `z²`, `z·y` and `y²` would
        cost digits, and differences are taken point by point.
        """
        direct = snr * points.square().sum(dim=1).max() > direct_snr
        distance2 = torch.empty(len(z), len(points), dtype=torch.float64, device=z.device)
        for rows, pairwise in ((~direct, _product_distance2), (direct, _difference_distance2)):
            if bool(rows.any()):
                distance2[rows] = pairwise(z[rows], snr[rows], points)
        log_joint = distance2.mul_(-0.5).add_(weights.log())
        log_sum = torch.logsumexp(log_joint, dim=1)
        log_norm = points.shape[1] / 2 * math.log(2 * math.pi)
        return cls(points, log_joint.sub_(log_sum[:, None]), log_sum - log_norm)

    @cached_property
    def weights(self) -> Tensor:
        """Posterior weights, shape (batch, n)."""
        return self.log_weights.exp()

    @cached_property
    def trace_cov(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`Σ p_i ‖y_i − x̂‖²`, from differences, so that a tiny trace keeps its digits; shape (batch,)."""
        distance = torch.cdist(self.mean, self.points, compute_mode="donot_use_mm_for_euclid_dist")
        return (self.weights * distance.square_()).sum(dim=1)

    @property
    def cov(self) -> Tensor:
        """`Σ p_i ξ_i ξ_iᵀ`, shape (batch, d, d)."""
        return torch.stack([(xi * p[:, None]).mT @ xi for xi, p in zip(self._deviations(), self.weights, strict=True)])

    @cached_property
    def entropy(self) -> Tensor:
        """`−Σ p_i log p_i` in nats, shape (batch,)."""
        return torch.special.entr(self.weights).sum(dim=1)

    def _deviations(self) -> Iterator[Tensor]:
        """`ξ_i = y_i − x̂` of each query in turn, shape (n, d)."""
        return (self.points - mean for mean in self.mean)

    def __getitem__(self, query: int) -> Self:
        rows = slice(query, query + 1) if query != -1 else slice(query, None)
        return type(self)(self.points, self.log_weights[rows], self.log_evidence[rows])

    def sample_indices(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` indices of points a query, drawn by posterior weight, shape (batch, n)."""
        return draw.choose(self.weights, n, generator)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` points a query."""
        return self.points[self.sample_indices(n, generator)]

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log Σ_j p_j exp(√g⟨ξ_j, u⟩ − ½ g‖ξ_j‖²)`, shape (batch, n)."""
        return self._reduce(u, gap, lambda terms: torch.logsumexp(terms, dim=1))

    def conditional_entropy(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """The entropy of `x_0` once `u` is known too, in [0, log n] nats; shape (batch, n)."""
        return self._reduce(u, gap, lambda terms: torch.special.entr(torch.softmax(terms, dim=1)).sum(dim=1))

    def _reduce(self, u: Tensor, gap: Tensor | float, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """`reduce` over the points of `log p_j + √g⟨ξ_j, u⟩ − ½ g‖ξ_j‖²`, a bounded number of rows at a time."""
        gap = torch.as_tensor(gap, dtype=torch.float64, device=u.device).expand(len(self))
        rows = max(1, _CHUNK // len(self.points))
        values = []
        for xi, log_p, u_query, g in zip(self._deviations(), self.log_weights, u, gap, strict=True):
            offset = log_p - g / 2 * xi.square().sum(dim=1)
            scaled = (g.sqrt() * xi).mT
            values.append(torch.cat([reduce((part @ scaled).add_(offset)) for part in u_query.split(rows)]))
        return torch.stack(values)


def _product_distance2(z: Tensor, snr: Tensor, points: Tensor) -> Tensor:
    """`‖z − √γ y_i‖²` from inner products."""
    cross = z @ points.mT
    norms = snr[:, None] * points.square().sum(dim=1) + z.square().sum(dim=1, keepdim=True)
    return cross.mul_(-2 * snr.sqrt()[:, None]).add_(norms)


def _difference_distance2(z: Tensor, snr: Tensor, points: Tensor) -> Tensor:
    """`‖z − √γ y_i‖² = γ ‖z/√γ − y_i‖²` from differences."""
    scaled = z / snr.sqrt()[:, None]
    distance = torch.cdist(scaled, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.square_().mul_(snr[:, None])


@final
class GaussianPosterior(Posterior):
    """Gaussian posteriors that share their eigenvectors.

    Args:
        mean: shape (batch, d).
        spectrum: eigenvalues `λ/(1 + γλ)` of C in the order of `basis`, shape (batch, d).
        basis: eigenvectors as columns, shape (d, d).
        log_evidence: shape (batch,).
    """

    def __init__(self, mean: Tensor, spectrum: Tensor, basis: Tensor, log_evidence: Tensor) -> None:
        self.mean, self.spectrum, self.basis, self.log_evidence = mean, spectrum, basis, log_evidence

    @classmethod
    def of(cls, mean: Tensor, eigenvalues: Tensor, basis: Tensor, z: Tensor, snr: Tensor) -> "GaussianPosterior":
        """`x̂ = μ + √γ Σ(γΣ + I)⁻¹(z − √γ μ)`, `C = Σ(γΣ + I)⁻¹`: no division by α, so regular at γ = 0."""
        root = snr.sqrt()[:, None]
        precision = 1 + snr[:, None] * eigenvalues
        residual = (z - root * mean) @ basis
        posterior_mean = mean + (root * eigenvalues / precision * residual) @ basis.mT
        log_norm = precision.log().sum(dim=1) + len(mean) * math.log(2 * math.pi)
        log_evidence = -((residual.square() / precision).sum(dim=1) + log_norm) / 2
        return cls(posterior_mean, eigenvalues / precision, basis, log_evidence)

    @property
    def trace_cov(self) -> Tensor:
        """`Σ λ/(1 + γλ)`, shape (batch,)."""
        return self.spectrum.sum(dim=1)

    @property
    def cov(self) -> Tensor:
        """`Σ(γΣ + I)⁻¹`, shape (batch, d, d)."""
        return (self.basis * self.spectrum[:, None]) @ self.basis.mT

    def __getitem__(self, query: int) -> Self:
        rows = slice(query, query + 1) if query != -1 else slice(query, None)
        return type(self)(self.mean[rows], self.spectrum[rows], self.basis, self.log_evidence[rows])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws a query."""
        noise = draw.normal((len(self), n, self.mean.shape[1]), self.mean.device, generator)
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
    """

    def __init__(self, log_weights: Tensor, components: Sequence[GaussianPosterior], log_evidence: Tensor) -> None:
        self.log_weights, self.components, self.log_evidence = log_weights, components, log_evidence
        self._means = torch.stack([c.mean for c in components], dim=1)
        self.mean = (self.weights[:, :, None] * self._means).sum(dim=1)

    @classmethod
    def of(cls, weights: Tensor, components: Sequence[GaussianPosterior]) -> "MixturePosterior":
        """Bayes' rule over the components, from their evidences."""
        log_joint = torch.stack([c.log_evidence for c in components], dim=1) + weights.log()
        log_evidence = torch.logsumexp(log_joint, dim=1)
        return cls(log_joint - log_evidence[:, None], components, log_evidence)

    @cached_property
    def weights(self) -> Tensor:
        """Posterior weights of the components, shape (batch, k)."""
        return self.log_weights.exp()

    @property
    def _shifts(self) -> Tensor:
        """Component means less the posterior mean, shape (batch, k, d)."""
        return self._means - self.mean[:, None]

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
        rows = slice(query, query + 1) if query != -1 else slice(query, None)
        return type(self)(self.log_weights[rows], [c[query] for c in self.components], self.log_evidence[rows])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws a query."""
        chosen = draw.choose(self.weights, n, generator)
        draws = torch.stack([c.sample(n, generator) for c in self.components], dim=1)
        return draws.gather(1, chosen[:, None, :, None].expand(-1, 1, -1, draws.shape[-1]))[:, 0]

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`log Σ_k p_k N(u; √g(μ_k − x̂), I + gC_k)/N(u; 0, I)`, shape (batch, n)."""
        shifts = self._shifts
        ratios = [c.shifted_log_ratio(u, gap, shifts[:, k]) for k, c in enumerate(self.components)]
        return torch.logsumexp(torch.stack(ratios, dim=-1) + self.log_weights[:, None], dim=-1)

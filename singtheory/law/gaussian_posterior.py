r"""Posteriors of Gaussians and of their mixtures, with what the eigenvalues of a covariance lose.

Computed eigenvalues and eigenvectors are those of `Σ + F`, `‖F‖ ≤ ε = 4d u‖Σ‖` (Golub and Van Loan 2013, 8.1); of a number they are exact. Whatever follows is
monotone in Σ, so that F moves it no further than `±ε I` does: `C = Σ(γΣ + I)⁻¹` lies between `f(λ ± ε)` along the computed eigenvectors, `f(λ) = λ/(1 + γλ)`,
which is operator monotone above `−1/γ`.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Self, final

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.law import logits
from singtheory.law.posterior import Parts, Posterior, row_of


class Lost(NamedTuple):
    """Bounds on what the rounding of the eigenvalues of Σ takes, and that of the products with the eigenvectors.

    Attributes:
        eigenvalues: at least the errors of those of C, in their order, shape (batch, d).
        cov: `−E ≤ C' − C ≤ E` for E diagonal in `basis`, its diagonal of shape (batch, d).
        moved: at least the Euclidean error of `moved`, shape (batch,).
        log_gain: at least that of the log gain beside the rounding of its own sum, shape (batch,).
    """

    eigenvalues: Tensor
    cov: Tensor
    moved: Tensor
    log_gain: Tensor

    @classmethod
    def of(cls, eigenvalues: Tensor, spectrum: Tensor, residual: Tensor, moved: Tensor, snr: Tensor) -> "Lost":
        """What is lost to rounding, from eigenvalues λ of Σ (d,), those of C (batch, d), `(z − √γ μ)` in their basis (batch, d), the mean less that of the prior, and γ (batch,)."""
        dim, gamma = len(eigenvalues), snr[:, None]
        lost = formula.eigenvalue_error(dim, eigenvalues.max())
        narrow, least = 1 + gamma * eigenvalues, (eigenvalues - lost).clamp(min=0)
        own = lost / (1 + gamma * least) / narrow
        # f(λ) − f(λ − ε) and f(λ + ε) − f(λ); C itself is not negative
        below = torch.where(gamma * lost < 0.5, lost / narrow / (narrow - gamma * lost).clamp(min=0.5), spectrum)
        cov = torch.maximum(below, lost / narrow / (narrow + gamma * lost))
        tilted = (cov * residual.square()).sum(dim=1)
        by_cov = snr.sqrt() * (cov.amax(dim=1) * tilted).sqrt()
        sizes = snr.sqrt() * residual.norm(dim=1) * spectrum.norm(dim=1) + dim**0.5 * moved.norm(dim=1)
        log_det = torch.log1p(gamma * lost / (1 + gamma * least)).sum(dim=1)
        return cls(own, cov, by_cov + (dim + 8) * formula.DOUBLE * sizes, (snr * tilted + log_det) / 2)

    def rows(self, chosen: slice) -> "Lost":
        """The rows of some queries."""
        return Lost(*(values[chosen] for values in self))


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
        lost: what its numbers may be off.
    """

    gaussian = True

    def __init__(
        self,
        mean: Tensor,
        spectrum: Tensor,
        basis: Tensor,
        log_evidence: Tensor,
        log_gain: Tensor,
        moved: Tensor,
        lost: Lost,
    ) -> None:
        self.mean, self.spectrum, self.basis, self.lost = mean, spectrum, basis, lost
        self.log_evidence, self.log_gain, self.moved = log_evidence, log_gain, moved

    @classmethod
    def of(cls, mean: Tensor, eigenvalues: Tensor, basis: Tensor, z: Tensor, snr: Tensor) -> "GaussianPosterior":
        """`x̂ = μ + √γ Σ(γΣ + I)⁻¹(z − √γ μ)`, `C = Σ(γΣ + I)⁻¹`: no division by α, so regular at γ = 0."""
        gamma, root = snr[:, None], snr.sqrt()[:, None]
        spread = gamma * eigenvalues  # at most 1e140 in the domain
        residual = logits.residual(z, snr, mean) @ basis
        moved = (root * eigenvalues / (1 + spread) * residual) @ basis.mT
        narrowed = torch.log1p(spread)
        log_norm = narrowed.sum(dim=1) + len(mean) * math.log(2 * math.pi)
        log_evidence = -((residual.square() / (1 + spread)).sum(dim=1) + log_norm) / 2
        widened = spread / (1 + spread) * residual.square()
        gain = torch.stack([(widened - narrowed).sum(dim=1), (widened + narrowed).sum(dim=1)], dim=1) / 2
        spectrum = eigenvalues / (1 + spread)
        lost = Lost.of(eigenvalues, spectrum, residual, moved, snr)
        return cls(mean + moved, spectrum, basis, log_evidence, gain, moved, lost)

    @property
    def log_gain_error(self) -> Tensor:
        """At least what the eigenvalues of Σ take from `log_gain`, shape (batch,)."""
        return self.lost.log_gain

    @property
    def trace_cov(self) -> Tensor:
        """`Σ λ/(1 + γλ)`, shape (batch,)."""
        return self.spectrum.sum(dim=1)

    @property
    def cov(self) -> Tensor:
        """`Σ(γΣ + I)⁻¹`, shape (batch, d, d)."""
        return (self.basis * self.spectrum[:, None]) @ self.basis.mT

    def parts(self) -> Parts:
        """The Gaussian of the first query alone."""
        zero = torch.zeros(1, dtype=torch.float64, device=self.mean.device)
        centre, error = torch.zeros_like(self.mean[:1]), self.lost.eigenvalues[:1]
        return Parts(zero, zero, centre, self.spectrum[:1], self.basis[None], error, zero)

    def __getitem__(self, query: int) -> Self:
        rows = row_of(query, len(self))
        mean, spectrum, evidence, gain, moved = (
            values[rows] for values in (self.mean, self.spectrum, self.log_evidence, self.log_gain, self.moved)
        )
        return type(self)(mean, spectrum, self.basis, evidence, gain, moved, self.lost.rows(rows))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws a query."""
        noise = numerics.normal((len(self), n, self.mean.shape[1]), self.mean.device, generator)
        return self.mean[:, None] + (noise * self.spectrum.sqrt()[:, None]) @ self.basis.mT

    def log_ratio(self, u: Tensor, gap: Tensor | float) -> Tensor:
        """`½ Σ_i [gλ_i/(1+gλ_i) u_i² − log(1 + gλ_i)]` along the eigenvectors, shape (batch, n)."""
        numerics.check_precisions("gap", gap)
        return self.shifted_log_ratio(u, gap, torch.zeros_like(self.mean))

    def shifted_log_ratio(self, u: Tensor, gap: Tensor | float, shift: Tensor) -> Tensor:
        """`log N(u; √g shift, I + gC) − log N(u; 0, I)`, `shift` (batch, d); shape (batch, n)."""
        u = u.to(torch.float64)
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

    def parts(self) -> Parts:
        """The Gaussians of positive weight, of the first query."""
        kept = self.log_weights[0] > -torch.inf
        parts = [part for part, keep in zip(self.components, kept.tolist(), strict=True) if keep]
        places = self.apart[0, kept]
        return Parts(
            self.log_weights[0, kept],
            self.log_weight_error[0, kept],
            places,
            torch.cat([part.spectrum[:1] for part in parts]),
            torch.stack([part.basis for part in parts]),
            torch.cat([part.lost.cov[:1] for part in parts]),
            torch.cat([part.lost.moved[:1] for part in parts]) + 2 * formula.DOUBLE * places.norm(dim=1),
        )

    def __getitem__(self, query: int) -> Self:
        rows = row_of(query, len(self))
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
        numerics.check_precisions("gap", gap)
        shifts = self._shifts
        ratios = [c.shifted_log_ratio(u, gap, shifts[:, k]) for k, c in enumerate(self.components)]
        return torch.logsumexp(torch.stack(ratios, dim=-1) + self.log_weights[:, None], dim=-1)

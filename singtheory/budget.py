r"""The error budget of an ancestral sampler, in nats (B8).

For steps of variance exactly c², any denoiser `m_θ` and expectations under q,

    KL(q_end‖p_end) ≤ KL(q_start‖p_start) + Σ_k ½(g_k mmse(γ_k) − ∫ mmse dγ) + Σ_k ½ g_k E‖x̂ − m_θ‖²

initial mismatch, discretisation, network error. It bounds the law of the whole path, so the chain must end where σ > 0.

    curve = exact_curve(law)                                    # or sample_curve(law, snr_end, generator)
    snr = chain_snr(schedule, times)
    start = start_term(curve, Moments.of(law), from_noise(...), alpha, sigma)
    budget(curve, snr, start, denoiser_errors(law, schedule, times, denoiser, 10_000, 4.0, generator)).high
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.errors import InputError
from singtheory.estimate import Estimate, mean_interval
from singtheory.law import Atoms, Law
from singtheory.mmse import Curve, exact_curve
from singtheory.schedule import Schedule, snr_of_posterior
from singtheory.start import (
    Components,
    Mismatch,
    Moments,
    Start,
    gaussian_mismatch,
    initial_mismatch,
    spread_error,
)

_PER_STD, _REACH = 20, 12
"""Nodes of the trapezoidal rule in a standard deviation of the noise, and how many of these it goes beyond the atoms."""
_BATCH = 64
_FARTHEST = 2.0**34
"""The largest place of an atom, in units of the noise: beyond it float64 has fewer than 19 binary digits for the noise."""


@dataclass(frozen=True)
class Term:
    """A sum over the steps of a chain, in nats.

    Attributes:
        steps: one value a step, shape (steps,).
        low: the sum is at least this.
        high: the sum is at most this.
    """

    steps: Tensor
    low: float
    high: float

    @property
    def value(self) -> float:
        """The sum."""
        return float(self.steps.sum())


@dataclass(frozen=True)
class Budget:
    """The three terms, in nats.

    Attributes:
        start: `KL(q_start‖p_start)`.
        discretisation: the mean KL of the exact kernels from the plug-in Gaussians.
        network: what the denoiser's error adds.
    """

    start: Mismatch
    discretisation: Term
    network: Term

    @property
    def low(self) -> float:
        """The least that the three terms can be together."""
        return self.start.low + self.discretisation.low + self.network.low

    @property
    def high(self) -> float:
        """At least `KL(q_end‖p_end)`."""
        return self.start.high + self.discretisation.high + self.network.high


def budget(curve: Curve, snr: Tensor, start: Mismatch, error2: Estimate | None = None) -> Budget:
    """The budget of an ancestral sampler.

    Args:
        curve: the mmse of the data: `exact_curve` for Gaussian data and on a line, else `sample_curve`.
        snr: of the chain, increasing, shape (steps + 1,), as from `chain_snr`.
        start: as from `start_term`.
        error2: `E‖x̂ − m_θ‖²` at the start of each step, (steps,), as from `denoiser_errors` or a `LossCurve`; the exact denoiser if not given.

    Raises:
        InputError: for a chain that does not increase or ends at σ = 0, and for errors that are not one a step.
    """
    discretisation = Term(curve.discretisation(snr), *curve.discretisation_interval(snr))
    error2 = Estimate.exact(torch.zeros(len(snr) - 1, dtype=torch.float64)) if error2 is None else error2
    if error2.value.shape != (len(snr) - 1,):
        raise InputError(f"errors of shape {tuple(error2.value.shape)}: need one for each of {len(snr) - 1} steps")
    gap = snr.to(torch.float64).diff()
    value, low, high = (formula.network_error(gap, v) for v in (error2.value, error2.low, error2.high))
    return Budget(start, discretisation, Term(value, float(low.sum()), float(high.sum())))


def chain_snr(schedule: Schedule, times: Tensor) -> Tensor:
    """`γ` at the times of a chain, increasing, shape (steps + 1,).

    Raises:
        InputError: for times that do not decrease, and an end with σ = 0.
    """
    if len(times) < 2 or not bool((times.diff() < 0).all()):
        raise InputError("times: need at least two that decrease")
    if float(schedule.sigma(times[-1])) == 0:
        raise InputError("times: the chain must end where σ > 0, for KL to a density is infinite for atoms at σ = 0")
    return snr_of_posterior(schedule, times)


def moments_of(law: Law) -> Moments:
    """Mean and the directions of a covariance in which a law varies."""
    if law.finite:
        return Moments.of(law.atoms())
    variances, basis = torch.linalg.eigh(law.cov)
    off = law.cov_error + formula.eigenvalue_error(law.dim, float(variances[-1].clamp(min=0)))
    varies = variances > law.dim * 2.0**-52 * variances[-1]  # the rest is rounding of the largest
    std = variances[varies].sqrt().flip(0)
    lost = std.new_full((len(std) + 1,), off)
    lost[-1] += float(variances[~varies].clamp(min=0).amax()) if len(std) < law.dim else 0.0
    return Moments(law.mean, Components(basis.mT[varies].flip(0), std), lost)


def start_term(curve: Curve, moments: Moments, start: Start, alpha: float, sigma: float) -> Mismatch:
    """`KL(q_t‖S) = KL(G_q‖S) + ½ Σ log(1 + γλ_i) − I(x_0; z)`, exact for every law whose information is (B5 with B4).

    `log(G_q/S)` is quadratic and `G_q` has the moments of `q_t`; the rest, `KL(q_t‖G_q)`, is a difference of two entropies. C5 bounds
    it too, through moments alone.

    Raises:
        InputError: for `σ = 0`.
    """
    bounded, of_gaussian = (find(moments, start, alpha, sigma) for find in (initial_mismatch, gaussian_mismatch))
    snr = torch.tensor([formula.snr(alpha, sigma)], dtype=torch.float64)
    gaussian = float(formula.gaussian_information(snr, moments.eigenvalues, torch).sum())
    lost = (len(moments.eigenvalues) + 16) * formula.DOUBLE * gaussian
    least, most = (float(v) for v in curve.information_interval(snr))
    # no determinant of Σ is in the sum, so its rounding counts by `tr(S⁻¹Σ)` alone
    off = spread_error(moments, start, alpha)
    low = max(bounded.low, of_gaussian.low + gaussian - lost - most - off)
    high = of_gaussian.high + max(0.0, gaussian + lost - least) + off
    return Mismatch(low, max(low, min(high, bounded.high)))


def denoiser_errors(
    law: Law,
    schedule: Schedule,
    times: Tensor,
    denoiser: Callable[[Tensor, float], Tensor],
    samples: int,
    largest: float,
    generator: torch.Generator | None = None,
    confidence: float = 0.99,
) -> Estimate:
    """`E‖x̂ − m_θ‖²` under `q_t` at the start of each step, from draws; (steps,).

    Args:
        law: of the data.
        schedule: the forward process.
        times: decreasing, shape (steps + 1,).
        denoiser: `m_θ(x_t, t)`, maps (n, d) to (n, d).
        samples: draws of `x_t` a step.
        largest: a proven bound of `‖x̂ − m_θ‖²`, such as 4d where both lie in [−1, 1]^d.
        generator: for the draws.
        confidence: with which all intervals hold at once.

    Raises:
        InputError: for samples below 1, and if a draw exceeds `largest`.
    """
    if samples < 1:
        raise InputError(f"samples {samples}: need at least one")
    if not 0 < largest < math.inf:
        raise InputError(f"largest {largest}: must be positive and finite, a proven bound of ‖x̂ − m_θ‖²")
    each = 1 - (1 - confidence) / (len(times) - 1)
    values, intervals = [], []
    for t in times[:-1].tolist():
        error2 = torch.cat([_error2(law, schedule, t, denoiser, n, generator) for n in _batches(samples)])
        values.append(float(error2.mean()))
        # as shares of the largest, so that the data's unit does not matter
        intervals.append(mean_interval(error2 / largest, 0.0, 1.0, each))
    low, high = (largest * torch.tensor(intervals, dtype=torch.float64)).unbind(1)
    return Estimate(torch.tensor(values, dtype=torch.float64), low, high, confidence, samples, "monte-carlo")


def _batches(samples: int) -> list[int]:
    return [min(_BATCH, samples - first) for first in range(0, samples, _BATCH)]


def _error2(
    law: Law,
    schedule: Schedule,
    t: float,
    denoiser: Callable[[Tensor, float], Tensor],
    n: int,
    generator: torch.Generator | None,
) -> Tensor:
    """`‖x̂ − m_θ‖²` at n draws of `x_t`, shape (n,)."""
    x_0 = law.sample(n, generator)
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * numerics.normal(x_0.shape, law.device, generator)
    exact = law.posterior(x_t / schedule.sigma(t), snr_of_posterior(schedule, t)).mean
    return (exact - denoiser(x_t, t)).square().sum(dim=1)


def snr_along(law: Atoms, schedule: Schedule, times: Tensor) -> Tensor:
    """`chain_snr` for what is computed by quadrature on a line."""
    if law.dim != 1:
        raise InputError(f"data in {law.dim} dimensions: this budget is computed by quadrature on a line")
    return chain_snr(schedule, times)


def discretisation(law: Law, snr: Tensor) -> Tensor:
    """`½(g mmse(γ_k) − ∫ mmse dγ)` of each step between increasing `snr` (steps + 1,): the mean of `KL(P‖Q)`; shape (steps,)."""
    return exact_curve(law).discretisation(snr)


def denoiser_error(law: Atoms, schedule: Schedule, t: float, denoiser: Callable[[Tensor, float], Tensor]) -> Tensor:
    """`E‖x̂ − m_θ‖²` under `q_t` for atoms on a line, by quadrature about each atom."""
    alpha, sigma = schedule(t)
    noise, mass = _noise()
    total = torch.zeros((), dtype=torch.float64)
    for weights, points in zip(law.weights.split(_BATCH), law.points[:, 0].split(_BATCH), strict=True):
        x_t = (alpha * points[:, None] + sigma * noise).reshape(-1, 1)
        mean = law.posterior(x_t / sigma, snr_of_posterior(schedule, t)).mean
        error2 = (mean - denoiser(x_t, t)).square().reshape(len(points), -1)
        total += weights @ error2 @ mass
    return total


def start_mismatch(law: Atoms, schedule: Schedule, t: float, mean: float, var: float) -> float:
    """`KL(q_t‖N(mean, var))` in nats for atoms on a line: the mean of `log q_t/N` by quadrature about each atom, from whose place the others' are told."""
    alpha, sigma = (float(value) for value in schedule(t))
    held = law.weights > 0
    points, weights = law.points[held, 0], law.weights[held]
    noise, mass = _noise()
    product, lost = numerics.two_product(torch.as_tensor(alpha, dtype=torch.float64), points)
    apart = (product - mean) + lost  # of a distant origin no digits are lost
    total = math.log(var / sigma**2) / 2
    for rows in torch.arange(len(points)).split(_BATCH):
        off = alpha * (points[rows, None, None] - points) / sigma + noise[:, None]
        log_density = torch.logsumexp(weights.log() - off.square() / 2, dim=2)
        reference = (apart[rows, None] + sigma * noise).square() / (2 * var)
        total += float(weights[rows] @ (log_density + reference) @ mass)
    return total


def _noise() -> tuple[Tensor, Tensor]:
    """Places of standard noise and their masses, of a trapezoidal rule, each (n,)."""
    noise = torch.arange(-_REACH * _PER_STD, _REACH * _PER_STD + 1, dtype=torch.float64) / _PER_STD
    return noise, torch.exp(-noise.square() / 2) / (2 * math.pi) ** 0.5 / _PER_STD


def marginal(law: Atoms, schedule: Schedule, t: float) -> tuple[Tensor, Tensor]:
    """Nodes (n, 1) on a line, in increasing order, and the mass (n,) that `q_t` gives to each.

    They are as fine as the noise and near the atoms only, so that they resolve the law at every distance of atoms.

    Raises:
        InputError: for atoms so far out that float64 has no places as near to each other there as the noise needs.
    """
    alpha, sigma = schedule(t)
    centres = alpha * law.points[:, 0]
    farthest = float(centres.abs().max())
    if farthest > _FARTHEST * float(sigma):
        raise InputError(
            f"t = {t}: atoms lie at up to {farthest:.3g}, and the noise there is {float(sigma):.3g}, which float64 does not resolve; "
            "move the origin into the data, or take a larger t"
        )
    near = torch.arange(-_REACH * _PER_STD, _REACH * _PER_STD + 1)
    cells = torch.unique((centres * _PER_STD / sigma).round()[:, None] + near)
    x_t = cells * sigma / _PER_STD
    density = torch.exp(-((x_t[:, None] - centres) / sigma).square() / 2) @ law.weights
    return x_t[:, None], density / (2 * math.pi) ** 0.5 / _PER_STD

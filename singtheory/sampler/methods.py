r"""Samplers: from `x_t` at the first time of a grid down to its last, with any denoiser `(x_t, t) -> x̂`, exact or learned.

    sampler = DDIM(schedule, eta=0.0)
    x_0 = sampler.sample(exact_denoiser(law, schedule), x, leading(schedule, 50))

The state is float64 whatever the denoiser's precision. Nothing is cut off at the ends: from t = 1 with `α_1 = 0` a DDIM step is
`α_s x̂ + σ_s x_1/σ_1` (η = 0, E1) or forgets `x_1` altogether (η = 1, A5), and a step to s = 0 returns `x̂` (D3).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from singtheory import formula, limit, numerics
from singtheory.errors import InputError
from singtheory.kernel import bridge, check_step
from singtheory.law import Law
from singtheory.sampler.widening import Denoiser, Widening
from singtheory.schedule import Schedule, Time, snr_up_to_zero


def exact_denoiser(law: Law, schedule: Schedule, chunk: int = 256) -> Denoiser:
    """The denoiser of a known law, `x̂(x_t, t) = E[x_0 | x_t]`, for `x_t` of shape (batch, d) and all t in [0, 1].

    Args:
        law: the law of `x_0`.
        schedule: the forward process.
        chunk: queries at a time; finite data of n points take memory for `chunk × n` weights.
    """

    def denoise(x_t: Tensor, t: float) -> Tensor:
        return torch.cat([limit.denoiser(law, schedule, rows, t) for rows in x_t.split(chunk)])

    return denoise


class Sampler(ABC):
    """A rule for one step from t down to s, 0 ≤ s < t ≤ 1.

    Args:
        schedule: the forward process.

    Attributes:
        order: the power of the step length at which the error of the probability flow vanishes; None for a random step.
    """

    order: int | None

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    @abstractmethod
    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Time, s: Time, generator: torch.Generator | None = None
    ) -> Tensor:
        """`x_s` from `x_t`, both (batch, ...). Raises `InputError` unless 0 ≤ s < t ≤ 1."""

    def sample(
        self,
        denoiser: Denoiser,
        x: Tensor,
        times: Tensor,
        generator: torch.Generator | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Every step of a grid, shape of `x`.

        Args:
            denoiser: gives `x̂`.
            x: `x_t` at the first time, shape (batch, ...).
            times: decreasing times in [0, 1], shape (steps + 1,).
            generator: for the noise of random steps.
            progress: called after each step with the steps done and their total.

        Raises:
            InputError: for fewer than two times, and for times that do not decrease.
        """
        if len(times) < 2:
            raise InputError(f"times of length {len(times)}: need a start and an end")
        x = x.to(torch.float64)
        for done, (t, s) in enumerate(pairwise(times.tolist()), start=1):
            x = self.step(denoiser, x, t, s, generator)
            if progress is not None:
                progress(done, len(times) - 1)
        return x


@final
class DDIM(Sampler):
    """`x_s = α_s x̂ + √(σ_s² − σ_η²) ε* + σ_η n`, `σ_η = η c` with the bridge's c (A2): on every schedule, not VP alone (E1).

    η = 0 is Euler's rule for the flow in `(x/σ, α/σ)`, regular at t = 1, and in `(x/α, σ/α)`, regular at t = 0.
    η = 1 is the ancestral step, the bridge with `x̂` in the place of `x_0`.

    Args:
        schedule: the forward process.
        eta: η, in [0, 1].
    """

    def __init__(self, schedule: Schedule, eta: float = 0.0) -> None:
        if not 0 <= eta <= 1:
            raise InputError(f"eta {eta}: must lie in [0, 1], 0 is deterministic and 1 ancestral")
        super().__init__(schedule)
        self.eta = eta
        self.order = 1 if eta == 0 else None

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Time, s: Time, generator: torch.Generator | None = None
    ) -> Tensor:
        """One step (E1)."""
        t, s = check_step(t, s)
        alpha_t, sigma_t = self.schedule(t)
        alpha_s = self.schedule.alpha(s)
        kernel = bridge(self.schedule, t, s)
        noise_var = formula.ddim_noise_var(self.eta, kernel.var)
        kept_var = formula.ddim_kept_var(self.eta, kernel.a, kernel.var, sigma_t)
        mean = denoiser(x_t, t).to(torch.float64)  # x̂
        noise = formula.epsilon_of(x_t, mean, alpha_t, sigma_t)
        x_s = formula.ddim_mean(mean, noise, alpha_s, kept_var.sqrt())
        if noise_var == 0:
            return x_s
        return x_s + noise_var**0.5 * numerics.normal(x_t.shape, x_t.device, generator)


def DDPM(schedule: Schedule) -> DDIM:
    """The ancestral sampler, `N(a x_t + b x̂, c² I)` a step: `DDIM` with η = 1 (E1)."""
    return DDIM(schedule, eta=1.0)


@final
class Matched(Sampler):
    """DDIM's mean with noise of the exact kernel's covariance, `σ_η² I + B² C`: at η = 1 `c²(I + gC)` (B5), which costs a path `O(1/N²)` nats, not `1/N` (E3).

    Given `x_0` a DDIM(η) step is `(κ/σ_t) x_t + B x_0 + σ_η n`, `κ² = σ_s² − σ_η²`, so that its mean has the weight B of `x̂` and its variance `B² C` besides the
    noise. At s = 0 the noise is `B² C` alone: the step draws a Gaussian of the posterior's mean and covariance in the place of `x_0`.

    Args:
        schedule: the forward process.
        widening: what is known of C.
        eta: η, in (0, 1].

    Raises:
        InputError: for η = 0, where there is no noise to be matched.
    """

    order = None

    def __init__(self, schedule: Schedule, widening: Widening, eta: float = 1.0) -> None:
        if not 0 < eta <= 1:
            raise InputError(
                f"eta {eta}: must lie in (0, 1]; a step without noise has no covariance to match, take DDIM"
            )
        super().__init__(schedule)
        self.widening, self.eta = widening, eta

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Time, s: Time, generator: torch.Generator | None = None
    ) -> Tensor:
        """One step (E3)."""
        t, s = check_step(t, s)
        alpha_t, sigma_t, alpha_s = self.schedule.alpha(t), self.schedule.sigma(t), self.schedule.alpha(s)
        kernel = bridge(self.schedule, t, s)
        noise_var = formula.ddim_noise_var(self.eta, kernel.var)
        kept_std = formula.ddim_kept_var(self.eta, kernel.a, kernel.var, sigma_t).sqrt()
        weight = float(formula.denoiser_weight(alpha_t, sigma_t, alpha_s, kept_std))
        noise = numerics.normal(x_t.shape, x_t.device, generator)
        mean, drawn = self.widening(denoiser, x_t, t, noise, noise_var, weight**2)
        epsilon = formula.epsilon_of(x_t, mean, alpha_t, sigma_t)
        return formula.ddim_mean(mean, epsilon, alpha_s, kept_std) + drawn


@final
class ODE(Sampler):
    """Heun's rule for the probability flow (C3) in the coordinates of the posterior, where it reads `dz/d√γ = x̂`, `z = x_t/σ_t`.

    `√γ` runs from 0 at t = 1, so that end is regular (C2). A step to s = 0, where `√γ` is infinite, returns `x̂` (D3).
    """

    order = 2

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Time, s: Time, generator: torch.Generator | None = None
    ) -> Tensor:
        """One step; two calls of the denoiser, one if s = 0."""
        t, s = check_step(t, s)
        mean_t = denoiser(x_t, t).to(torch.float64)  # x̂ at t
        if s == 0:
            return mean_t
        z, sigma_s = x_t / self.schedule.sigma(t), self.schedule.sigma(s)
        length = snr_up_to_zero(self.schedule, s).sqrt() - self.schedule.snr(t).sqrt()  # Δ√γ
        mean_s = denoiser(sigma_s * (z + length * mean_t), s).to(torch.float64)  # x̂ at Euler's point
        return sigma_s * (z + length * (mean_t + mean_s) / 2)

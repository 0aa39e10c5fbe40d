r"""Transition kernels: forward, bridge, and the exact reverse kernel with its Gaussian approximations (A1 to A5).

    kernel = ReverseKernel(Atoms(points), Cosine(), t=0.9, s=0.8).at(x_t)
    kernel.kl(), kernel.tv(), kernel.bounds()

The exact reverse kernel `q(x_s|x_t)` is the law of `a x_t + b x_0 + c n` under the posterior of `x_0`; the plug-in Gaussian that
every sampler uses replaces `x_0` by its mean.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from singtheory import bound, divergence, formula, numerics
from singtheory.errors import DomainError, InputError
from singtheory.estimate import Estimate
from singtheory.law import Array, Gaussian, Law, Posterior
from singtheory.schedule import Schedule, Time, as_time, positive_alpha, snr_of_posterior, snr_up_to_zero


@dataclass(frozen=True)
class Bridge:
    """`q(x_s | x_t, x_0) = N(a x_t + b x_0, c² I)` (A2).

    Attributes:
        a: factor of `x_t`.
        b: factor of `x_0`.
        var: `c²`.
        gap: `g = γ_s − γ_t = b²/c²`, infinite at s = 0 (A3).
    """

    a: float
    b: float
    var: float
    gap: float


def check_step(t: Time, s: Time) -> tuple[float, float]:
    """`t` and `s` as floats. Raises `InputError` unless 0 ≤ s < t ≤ 1."""
    t, s = float(as_time(t)), float(as_time(s))
    if not s < t:
        raise InputError(f"s = {s}, t = {t}: a reverse step goes from t down to s, need s < t")
    return t, s


def forward(schedule: Schedule, t: Time, s: Time) -> tuple[float, float]:
    """`α_{t|s}` and `σ_{t|s}` of `x_t | x_s ~ N(α_{t|s} x_s, σ²_{t|s} I)` for 0 ≤ s < t ≤ 1 (notation)."""
    t, s = check_step(t, s)
    alpha_t, alpha_s = schedule.alpha(t), positive_alpha(schedule, s)
    var = formula.transition_var(alpha_t, schedule.sigma(t), alpha_s, schedule.sigma(s))
    return float(formula.alpha_ratio(alpha_t, alpha_s)), math.sqrt(max(0.0, float(var)))


def bridge(schedule: Schedule, t: Time, s: Time) -> Bridge:
    """The bridge from t to s, 0 ≤ s < t ≤ 1; at t = 1 with `α_1 = 0` it is `a = 0, b = α_s, c = σ_s` (A5).

    Between neighbouring floats the differences in b, c² and g are rounding alone, and are 0 where that is negative.
    Raises `InputError` unless 0 ≤ s < t ≤ 1, where `α_s` underflows, and where `γ_s` overflows at s > 0.
    """
    t, s = check_step(t, s)
    arguments = *schedule(t), positive_alpha(schedule, s), schedule.sigma(s)
    gap = formula.gap(schedule.snr(t), snr_up_to_zero(schedule, s))
    values = [formula.bridge_a(*arguments), formula.bridge_b(*arguments), formula.bridge_var(*arguments), gap]
    return Bridge(*(max(0.0, float(value)) for value in values))


@final
class ReverseKernel:
    """The exact reverse kernel `q(x_s|x_t)` of a data law and a schedule.

    >>> from singtheory import Atoms, Cosine
    >>> step = ReverseKernel(Atoms([[-1.0], [1.0]]), Cosine(), t=1.0, s=0.8).at([0.3])
    >>> round(float(step.kl().value), 6), round(float(step.bounds()["kl_family_bound"]), 6)
    (0.002612, 0.002619)

    Args:
        law: the law of `x_0`.
        schedule: the forward process.
        t: the time to leave, 0 < t ≤ 1.
        s: the time to reach, 0 ≤ s < t.

    Raises:
        InputError: unless 0 ≤ s < t ≤ 1, and for a γ or a gap beyond the domain (`singtheory.numerics.domain`).
    """

    def __init__(self, law: Law, schedule: Schedule, t: Time, s: Time) -> None:
        self.law, self.schedule = law, schedule
        self.t, self.s = check_step(t, s)
        self.snr = snr_of_posterior(schedule, self.t)
        snr_of_posterior(schedule, self.s)
        self.bridge = bridge(schedule, t, s)
        gap = torch.tensor(self.bridge.gap, dtype=torch.float64)
        if bool(numerics.beyond_precisions(gap) & gap.isfinite()):
            raise DomainError(
                f"step from t = {self.t} to s = {self.s}: its gap is {self.bridge.gap:.3g}, below 1e-80; take a longer step"
            )

    def at(self, x_t: Array) -> "ReverseStep":
        """The kernel at given `x_t`, shape (d,) or (batch, d). Raises `InputError` for another width or NaN."""
        x_t = torch.atleast_2d(torch.as_tensor(x_t, dtype=torch.float64, device=self.law.device))
        posterior = self.law.posterior(x_t / self.schedule.sigma(self.t), self.snr)
        return ReverseStep(x_t, posterior, self.bridge)


@final
class ReverseStep:
    """`q(x_s|x_t)` at a batch of `x_t`: samples, densities, Gaussian approximations and how far they are.

    Args:
        x_t: shape (batch, d).
        posterior: the posterior of `x_0` at these `x_t`.
        bridge: the coefficients of the step.
    """

    def __init__(self, x_t: Tensor, posterior: Posterior, bridge: Bridge) -> None:
        self.x_t, self.posterior, self.bridge = x_t, posterior, bridge

    @property
    def mean(self) -> Tensor:
        """`a x_t + b x̂`, the mean of P and of Q, shape (batch, d)."""
        return self.bridge.a * self.x_t + self.bridge.b * self.posterior.mean

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of `x_s` a query: `a x_t + b x_0 + c n`, `x_0` from the posterior (A4); shape (batch, n, d)."""
        x_0 = self.posterior.sample(n, generator)
        noise = numerics.normal(x_0.shape, x_0.device, generator)
        return self.bridge.a * self.x_t[:, None] + self.bridge.b * x_0 + math.sqrt(self.bridge.var) * noise

    def log_prob(self, x_s: Tensor) -> Tensor:
        """`log q(x_s|x_t)` at `x_s` (batch, n, d), shape (batch, n). Raises `InputError` for another shape, and where `c² = 0`, as at s = 0: there is no density."""
        c, (batch, dim) = self._scale(), self.x_t.shape
        if x_s.ndim != 3 or (len(x_s), x_s.shape[2]) != (batch, dim):
            raise InputError(f"x_s of shape {tuple(x_s.shape)}: need ({batch}, n, {dim}), n places for each query")
        u = (x_s - self.mean[:, None]) / c
        log_standard = -(u.square().sum(dim=-1) + u.shape[-1] * math.log(2 * math.pi)) / 2
        return self.posterior.log_ratio(u, self.bridge.gap) + log_standard - u.shape[-1] * math.log(c)

    def _scale(self) -> float:
        if self.bridge.var == 0:
            raise InputError(
                "c² = 0: at s = 0 the reverse kernel is the posterior itself and has no density; between neighbouring floats take a longer step"
            )
        return math.sqrt(self.bridge.var)

    def plug_in(self) -> list[Gaussian]:
        """`Q = N(a x_t + b x̂, c² I)`, one Gaussian a query."""
        return self._isotropic(torch.full((len(self.x_t),), self.bridge.var, dtype=torch.float64))

    def best_isotropic(self) -> list[Gaussian]:
        """The isotropic Gaussian nearest to P in `KL(P‖·)`: variance `c²(1 + g tr C/d)` (B7), one a query."""
        self._scale()
        dim = self.x_t.shape[1]
        return self._isotropic(formula.isotropic_var(self.bridge.var, self.bridge.gap, self.posterior.trace_cov, dim))

    def moment_matched(self) -> list[Gaussian]:
        """M, the Gaussian with P's mean and covariance `c² I + b² C`, one a query (B5)."""
        identity = torch.eye(self.x_t.shape[1], dtype=torch.float64, device=self.x_t.device)
        covs = self.bridge.var * identity + self.bridge.b**2 * self.posterior.cov
        return [Gaussian(m, c) for m, c in zip(self.mean, covs, strict=True)]

    def _isotropic(self, var: Tensor) -> list[Gaussian]:
        identity = torch.eye(self.x_t.shape[1], dtype=torch.float64, device=self.x_t.device)
        return [Gaussian(m, v * identity) for m, v in zip(self.mean, var, strict=True)]

    def chi2(self) -> Tensor:
        """`χ²(P‖Q) = E exp(g⟨ξ, ξ'⟩) − 1` (B1), shape (batch,); infinite where it diverges, and at s = 0 but for a single point."""
        if math.isinf(self.bridge.gap):
            return divergence.to_point(self.posterior).value
        return torch.expm1(divergence.log1p_chi2(self.posterior, self.bridge.gap))

    def kl(self, samples: int = 10_000, generator: torch.Generator | None = None, confidence: float = 0.99) -> Estimate:
        """`KL(P‖Q)` in nats: closed form for Gaussian posteriors, quadrature for d ≤ 2, Monte Carlo beyond; infinite at s = 0.

        The interval holds for the posterior at `z = x_t/σ_t` and `γ_t` and for the gap, as these floats are, for any number of samples and any law. What
        it does not cover is their own rounding: `schedule.ROUNDING` of γ, that part of `γ_s + γ_t` for the gap, and four units of 2⁻⁵³ of z. KL rises with
        the gap, by at most `½ tr C` times what the gap is off (B4). At s = 0 KL is 0 where the posterior is a single point.
        """
        gap = self.bridge.gap
        if math.isinf(gap):
            return divergence.to_point(self.posterior)
        if self.posterior.gaussian:
            return divergence.kl_gauss_exact(self.posterior, gap)
        if self.x_t.shape[1] <= 2:
            return divergence.kl_quadrature(self.posterior, gap)
        return divergence.kl_monte_carlo(self.posterior, gap, samples, generator, confidence)

    def tv(self, samples: int = 10_000, generator: torch.Generator | None = None, confidence: float = 0.99) -> Estimate:
        """`TV(P, Q)`, in [0, 1]: from the roots of `dP/dQ = 1` for d = 1, Monte Carlo beyond; at s = 0 the mass that is not at x̂ itself."""
        if math.isinf(self.bridge.gap):
            return divergence.tv_to_point(self.posterior)
        if self.x_t.shape[1] == 1:
            return divergence.tv_exact(self.posterior, self.bridge.gap)
        return divergence.tv_monte_carlo(self.posterior, self.bridge.gap, samples, generator, confidence)

    def w2(self) -> Estimate:
        """`W₂(P, Q)` in units of the data: exact for d = 1, between two bounds beyond, `b √tr C` at s = 0 (D3)."""
        if math.isinf(self.bridge.gap):
            unit, scale = divergence.w2_to_point(self.posterior), self.bridge.b
        else:
            compute = divergence.w2_exact if self.x_t.shape[1] == 1 else divergence.w2_bracket
            unit, scale = compute(self.posterior, self.bridge.gap), self._scale()
        return Estimate(scale * unit.value, scale * unit.low, scale * unit.high, unit.confidence, unit.n, unit.method)

    def bounds(self) -> dict[str, Tensor]:
        """Every bound of the ladder that applies to this posterior, by name, each of shape (batch,)."""
        return bound.evaluate_ladder(self.posterior, self.bridge.gap)

r"""Noise schedules, exact at both ends of time.

A schedule gives `α_t` and `σ_t` of the forward process `x_t = α_t x_0 + σ_t n` for t in [0, 1], with `α_0 = 1` and `σ_0 = 0`
exactly, their time derivatives, the signal-to-noise ratio `γ_t = α_t²/σ_t²` and its inverse. No end is cut off: where
`α_1 = 0` the value is exactly zero, and what diverges there is returned as an infinity rather than hidden by an `alpha_min`.
The variance preserving schedules (VP) satisfy `α² + σ² = 1`; rectified flow and variance exploding do not.

Times, and what is returned, are float64 tensors; floats are accepted and give tensors of shape ().
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.numerics import two_product
from singtheory.schedule.diffusers_config import check_config
from singtheory.system import naming

Time = Tensor | float
ROUNDING = 32 * formula.DOUBLE
"""The relative rounding of a signal-to-noise ratio (`Schedule.snr`)."""
_LAST_BEFORE_ONE = 1 - formula.DOUBLE


def as_time(t: Time) -> Tensor:
    """`t` as a float64 tensor. Raises `InputError` outside [0, 1] and for NaN."""
    t = torch.as_tensor(t, dtype=torch.float64)
    if (
        t.ndim == 0 and 0 <= t.item() <= 1
    ):  # most times are one number, and a few operations on tensors are most of its cost
        return t
    outside = ~((t >= 0) & (t <= 1))
    if bool(outside.any()):
        raise InputError(f"time {float(t[outside][0])} is outside [0, 1]: the ends of time are t = 0 and t = 1")
    return t


class TrainedSteps(NamedTuple):
    """The steps of a trained model, of which samplers take some; step k is at time `(k + 1)/T`.

    Attributes:
        steps: T.
        offset: added to the step numbers of leading grids (diffusers' `steps_offset`).
        ends_at_zero: whether samplers end at t = 0 or at the first step (diffusers' `set_alpha_to_one`).
    """

    steps: int
    offset: int
    ends_at_zero: bool


class Schedule(ABC):
    """`α_t`, `σ_t` and what follows from them. All methods map times of any shape to float64 values of that shape.

    >>> alpha, sigma = RectifiedFlow()(0.25)
    >>> float(alpha), float(sigma)
    (0.75, 0.25)
    """

    variance_preserving: ClassVar[bool] = False
    """Whether `α² + σ² = 1` at all times."""
    shiftable: ClassVar[bool] = False
    """Whether a timestep shift means anything on it, as on the straight path of flow models."""
    trained: "TrainedSteps | None" = None
    """The steps at which the model of this schedule was trained; None where time is continuous."""

    def __call__(self, t: Time) -> tuple[Tensor, Tensor]:
        """The pair `(α_t, σ_t)`."""
        return self.alpha(t), self.sigma(t)

    @abstractmethod
    def alpha(self, t: Time) -> Tensor:
        """`α_t`, decreasing from 1."""

    @abstractmethod
    def sigma(self, t: Time) -> Tensor:
        """`σ_t`, increasing from 0."""

    @abstractmethod
    def alpha_dot(self, t: Time) -> Tensor:
        """`dα/dt`; infinite where it diverges."""

    @abstractmethod
    def sigma_dot(self, t: Time) -> Tensor:
        """`dσ/dt`; infinite where it diverges."""

    @abstractmethod
    def _time_of_snr(self, snr: Tensor) -> Tensor:
        """The inverse of `snr` for values that the schedule reaches."""

    def log_alpha(self, t: Time) -> Tensor:
        """`log α_t`, −∞ where `α_t` is 0; finite too where `α_t > 0` is below the least number of float64."""
        return self.alpha(t).log()

    def snr(self, t: Time) -> Tensor:
        """`γ_t = α_t²/σ_t²`, from ∞ at t = 0 down to `γ_1`.

        Off by at most `ROUNDING` of itself at the float t that is given, for `Power` by `2p` units of 2⁻⁵³ more, for `LinearVP` by `8 |log α_t|`. A gap `γ_s − γ_t` is then off by that part
        of `γ_s + γ_t`, which is a larger part of the gap where the step is short.
        """
        return formula.snr(*self(t))

    def time_of_snr(self, snr: Time) -> Tensor:
        """The time at which the signal-to-noise ratio is `snr`. Raises `InputError` below `γ_1` and for NaN."""
        snr = torch.as_tensor(snr, dtype=torch.float64)
        lowest = self.snr(1.0)
        # the last rounding of γ_1 itself must not be refused
        if not bool((snr >= lowest * (1 - 1e-12)).all()):
            low = snr[~(snr >= lowest * (1 - 1e-12))].flatten()[0]
            raise InputError(f"snr {float(low)} is below the schedule's smallest, {float(lowest)} at t = 1")
        times = self._time_of_snr(snr)
        # a positive ratio is not that of t = 1 with α_1 = 0, though no float64 may lie between
        return torch.where((snr > 0) & (lowest == 0), times.clamp(max=_LAST_BEFORE_ONE), times)


class VariancePreserving(Schedule):
    """A schedule with `α² + σ² = 1`, which makes `σ̇ = −α α̇/σ`."""

    variance_preserving = True

    def sigma_dot(self, t: Time) -> Tensor:
        """`σ̇ = −α α̇/σ`."""
        return -self.alpha(t) * self.alpha_dot(t) / self.sigma(t)


@final
class Cosine(VariancePreserving):
    """`α = cos(πt/2)`, `σ = sin(πt/2)` (Nichol and Dhariwal 2021, without their offset)."""

    def alpha(self, t: Time) -> Tensor:
        """`cos(πt/2)`, written as `sin(π(1−t)/2)` so that it is exactly zero at t = 1."""
        return torch.sin((1 - as_time(t)) * (math.pi / 2))

    def sigma(self, t: Time) -> Tensor:
        """`sin(πt/2)`."""
        return torch.sin(as_time(t) * (math.pi / 2))

    def alpha_dot(self, t: Time) -> Tensor:
        """`−(π/2) sin(πt/2)`."""
        return -math.pi / 2 * self.sigma(t)

    def sigma_dot(self, t: Time) -> Tensor:
        """`(π/2) cos(πt/2)`, finite at t = 0 too."""
        return math.pi / 2 * self.alpha(t)

    def _time_of_snr(self, snr: Tensor) -> Tensor:
        return torch.atan2(torch.ones_like(snr), snr.sqrt()) * (2 / math.pi)


@final
class LinearVP(VariancePreserving):
    """`α = exp(−½ ∫_0^t β)`, `β = β_0 + t(β_1 − β_0)` (Song et al. 2021); `α_1 > 0`, so it never reaches the end.

    Args:
        beta_min: `β_0 > 0`, per unit of time.
        beta_max: `β_1 > β_0`, per unit of time.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        if not 0 < beta_min < beta_max < math.inf:
            raise InputError(f"betas {beta_min}, {beta_max}: need 0 < beta_min < beta_max")
        self.beta_min, self.beta_max = beta_min, beta_max

    def log_alpha(self, t: Time) -> Tensor:
        """`−½ β_0 t − ¼ (β_1 − β_0) t²`."""
        t = as_time(t)
        return -t * (self.beta_min / 2 + t * (self.beta_max - self.beta_min) / 4)

    def alpha(self, t: Time) -> Tensor:
        """`exp(−½ β_0 t − ¼ (β_1 − β_0) t²)`."""
        return self.log_alpha(t).exp()

    def sigma(self, t: Time) -> Tensor:
        """`√(1 − α²)`, without cancellation near t = 0."""
        return (-torch.expm1(2 * self.log_alpha(t))).sqrt()

    def alpha_dot(self, t: Time) -> Tensor:
        """`−½ β_t α_t`."""
        t = as_time(t)
        return -(self.beta_min + t * (self.beta_max - self.beta_min)) / 2 * self.alpha(t)

    def _time_of_snr(self, snr: Tensor) -> Tensor:
        log_alpha = _log_alpha_of_snr(snr)
        log_alpha = log_alpha.clamp(min=-1e300)  # at γ = 0, which α reaches only where it underflows
        root = (self.beta_min**2 - 4 * (self.beta_max - self.beta_min) * log_alpha).sqrt()
        return (-4 * log_alpha / (self.beta_min + root)).clamp(max=1.0)


@final
class Power(VariancePreserving):
    """`α = (1 − t)^p`, `σ = √(1 − α²)`: `α̇(1)` is 0, finite or infinite as p is above, at or below 1 (C3).

    Args:
        p: the exponent, from 1e-6 to 1e6: beyond, float64 has nothing between `α` = 1 or 0 and its ends.
    """

    def __init__(self, p: float) -> None:
        if not 1e-6 <= p <= 1e6:
            raise InputError(f"power:{p}: the exponent must be positive, from 1e-6 to 1e6")
        self.p = p

    def log_alpha(self, t: Time) -> Tensor:
        """`p log(1 − t)`."""
        return self.p * torch.log1p(-as_time(t))

    def alpha(self, t: Time) -> Tensor:
        """`(1 − t)^p`; below t = ½ from `log(1 − t)`, for p multiplies what `1 − t` rounds, and above it nothing is rounded."""
        t = as_time(t)
        return torch.where(t < 0.5, self.log_alpha(t).exp(), (1 - t) ** self.p)

    def sigma(self, t: Time) -> Tensor:
        """`√(1 − (1 − t)^{2p})`, without cancellation near t = 0."""
        return (-torch.expm1(2 * self.log_alpha(t))).sqrt()

    def alpha_dot(self, t: Time) -> Tensor:
        """`−p (1 − t)^{p−1}`."""
        return -self.p * (1 - as_time(t)) ** (self.p - 1)

    def sigma_dot(self, t: Time) -> Tensor:
        """`p (1 − t)^{2p−1}/σ`; at t = 1 infinite, ½ or 0 as p is below, at or above ½, where `α α̇` is 0·∞."""
        return self.p * (1 - as_time(t)) ** (2 * self.p - 1) / self.sigma(t)

    def _time_of_snr(self, snr: Tensor) -> Tensor:
        return -torch.expm1(_log_alpha_of_snr(snr) / self.p)


@final
class RectifiedFlow(Schedule):
    """`α = 1 − t`, `σ = t`: the straight path of flow matching; not variance preserving."""

    shiftable = True

    def alpha(self, t: Time) -> Tensor:
        """`1 − t`."""
        return 1 - as_time(t)

    def sigma(self, t: Time) -> Tensor:
        """`t`."""
        return as_time(t).clone()

    def alpha_dot(self, t: Time) -> Tensor:
        """`−1`."""
        return -torch.ones_like(as_time(t))

    def sigma_dot(self, t: Time) -> Tensor:
        """`1`."""
        return torch.ones_like(as_time(t))

    def _time_of_snr(self, snr: Tensor) -> Tensor:
        return 1 / (1 + snr.sqrt())


@final
class VarianceExploding(Schedule):
    """`α = 1`, `σ = σ_max t`: no signal is lost, so `γ_1 = 1/σ_max² > 0`.

    Args:
        sigma_max: the standard deviation of the noise at t = 1, in units of the data.
    """

    def __init__(self, sigma_max: float = 80.0) -> None:
        if not 0 < sigma_max < math.inf:
            raise InputError(f"sigma_max {sigma_max}: must be positive and finite")
        self.sigma_max = sigma_max

    def alpha(self, t: Time) -> Tensor:
        """`1`."""
        return torch.ones_like(as_time(t))

    def sigma(self, t: Time) -> Tensor:
        """`σ_max t`."""
        return self.sigma_max * as_time(t)

    def alpha_dot(self, t: Time) -> Tensor:
        """`0`."""
        return torch.zeros_like(as_time(t))

    def sigma_dot(self, t: Time) -> Tensor:
        """`σ_max`."""
        return torch.full_like(as_time(t), self.sigma_max)

    def _time_of_snr(self, snr: Tensor) -> Tensor:
        return (1 / (self.sigma_max * snr.sqrt())).clamp(max=1.0)


@final
class Discrete(VariancePreserving):
    """A trained model's schedule: `ᾱ = α²` at the nodes `t_k = (k+1)/T`, `ᾱ = 1` at t = 0, linear in t between.

    Args:
        alpha_bars: `ᾱ_0 > ᾱ_1 > …`, in (0, 1), the last one may be 0 (zero terminal SNR); shape (T,).
        steps_offset: added to the step numbers of leading grids (diffusers' field of that name).
        set_alpha_to_one: whether samplers end at t = 0 (`ᾱ = 1`) or at the first node (diffusers' field of that name).

    Attributes:
        train_steps: T, the number of nodes above t = 0.
    """

    def __init__(
        self, alpha_bars: Tensor | Sequence[float], steps_offset: int = 0, set_alpha_to_one: bool = True
    ) -> None:
        bars = torch.as_tensor(alpha_bars, dtype=torch.float64)
        if bars.ndim != 1 or len(bars) < 2:
            raise InputError(f"alpha_bars of shape {tuple(bars.shape)}: need one dimension and at least two steps")
        nodes = torch.cat([torch.ones(1, dtype=torch.float64), bars])
        if not bool(torch.isfinite(nodes).all() and (nodes[1:] < nodes[:-1]).all() and nodes[-1] >= 0):
            raise InputError("alpha_bars must decrease strictly from below 1 and stay at or above 0")
        self._bars = nodes
        self.train_steps, self.steps_offset, self.set_alpha_to_one = len(bars), steps_offset, set_alpha_to_one
        self.trained = TrainedSteps(len(bars), steps_offset, set_alpha_to_one)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str = "scheduler config") -> "Discrete":
        """Read the fields of a diffusers `scheduler_config.json` (betas, zero-terminal-SNR rescale, grid fields).

        Args:
            config: its fields; those that do not say what noise is are for others.
            source: named in front of what is wrong with it.

        Raises:
            InputError: when the config has no betas, and for a field that is no such thing (`diffusers_config.check_config`).
        """
        with naming(source):
            checked = check_config(config)
            bars = torch.cumprod(1 - checked.betas, dim=0)
            if checked.rescale_betas_zero_snr:
                bars = zero_terminal_snr(bars)
            return cls(bars, checked.steps_offset, checked.set_alpha_to_one)

    def _segment(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The node at the left of `t`, how far t lies towards the next, and how far that one is off: two parts of 1, each to its own last digits."""
        # the product of a node's time and T may miss the integer by a rounding, that of another time never hits the last one
        node = (t * self.train_steps).round()
        high, low = two_product(t, torch.full_like(t, self.train_steps))
        on_node = node / self.train_steps == t
        position, low = torch.where(on_node, node, high), torch.where(on_node, 0.0, low)
        left = (position.ceil() - 1).clamp(min=0).long()
        return left, (position - left) + low, (left + 1 - position) - low

    def alpha(self, t: Time) -> Tensor:
        """`√ᾱ_t`."""
        left, fraction, rest = self._segment(as_time(t))
        return (self._bars[left] * rest + self._bars[left + 1] * fraction).sqrt()

    def sigma(self, t: Time) -> Tensor:
        """`√(1 − ᾱ_t)`."""
        left, fraction, rest = self._segment(as_time(t))
        return ((1 - self._bars[left]) * rest + (1 - self._bars[left + 1]) * fraction).sqrt()

    def alpha_dot(self, t: Time) -> Tensor:
        """`ᾱ′/2α` of the segment that ends at or after t; infinite at t = 1 with zero terminal SNR."""
        left, _, _ = self._segment(as_time(t))
        slope = (self._bars[left + 1] - self._bars[left]) * self.train_steps
        return slope / (2 * self.alpha(t))

    def sigma_dot(self, t: Time) -> Tensor:
        """`−ᾱ′/2σ`; infinite at t = 0. Unlike `−α α̇/σ` it is regular where α = 0."""
        left, _, _ = self._segment(as_time(t))
        slope = (self._bars[left + 1] - self._bars[left]) * self.train_steps
        return -slope / (2 * self.sigma(t))

    def _time_of_snr(self, snr: Tensor) -> Tensor:
        bar, rest = torch.sigmoid(snr.log()), 1 / (1 + snr)
        right = torch.searchsorted(1 - self._bars, rest.contiguous()).clamp(1, self.train_steps)
        near, far = self._bars[right - 1], self._bars[right]
        # subtract the smaller of ᾱ and 1 − ᾱ: the other one has lost its digits
        fraction = torch.where(bar > 0.5, rest - (1 - near), near - bar) / (near - far)
        return (right - 1 + fraction.clamp(0, 1)) / self.train_steps


def _log_alpha_of_snr(snr: Tensor) -> Tensor:
    """`log α = −½ log(1 + 1/γ)` in VP."""
    return -torch.log1p(1 / snr) / 2


def zero_terminal_snr(alpha_bars: Tensor) -> Tensor:
    """Shift and scale `√ᾱ` so that the last is exactly 0 and the first stays (Lin et al. 2024, arXiv 2305.08891, algorithm 1)."""
    roots = alpha_bars.sqrt()
    return ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2


STABLE_DIFFUSION: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "set_alpha_to_one": False,
}
"""The schedule fields of Stable Diffusion 1.x, 2.x and XL."""

r"""How far a sampler's start is from the noised data `q_t`, in nats, and where it arrives (C5 to C7).

**Two-sided for every law.** Let the start be a Gaussian S and `G_q = N(αμ, α²Σ + σ²I)` have the moments of `q_t`. Since `log(G_q/S)` is
quadratic, `KL(q_t‖S) = KL(G_q‖S) + J` with `J = KL(q_t‖G_q) ≥ 0` the same for every start (B5). C5 bounds J: the mean start's KL is at
most `½ γ tr Σ`. So what one start is better than another is exact (C6), and each KL lies between two numbers that need moments alone.

The arrival is C7's, of the flow or of the reverse SDE, exact for Gaussian data, for any linear reading `⟨b, x_0⟩` such as the brightness.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError
from singtheory.formula import DOUBLE, log1p_rest
from singtheory.law import Atoms
from singtheory.numerics import check_noise
from singtheory.start.starts import Components, components_with_errors, flow_end

_NEAR = 0.5
"""Where `|x|` is below this, `x − log(1 + x)` is summed without cancellation."""
End = Callable[[Tensor, Tensor, float, float, Tensor, Tensor], tuple[Tensor, Tensor]]
"""`start.flow_end` or `start.sde_end`."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of the data.

    Attributes:
        mean: `μ`, shape (d,).
        components: all directions `φ_i` in which the data vary, with their standard deviations `√λ_i`; basis of shape (k, d).
        lost: at least what rounding took of `φᵀΣφ` along each `φ_i`, and along any direction left out, shape (k + 1,); 0 for moments that are exact.
    """

    mean: Tensor
    components: Components
    lost: Tensor | float = 0.0

    @classmethod
    def of(cls, law: Atoms) -> "Moments":
        """The moments of finitely many points."""
        return cls(law.mean, *components_with_errors(law))

    @property
    def eigenvalues(self) -> Tensor:
        """`λ_i > 0`, decreasing, shape (k,)."""
        return self.components.std**2


@dataclass(frozen=True)
class Start:
    """A Gaussian start whose covariance has the eigenvectors of Σ.

    Attributes:
        mean: m, shape (d,).
        std: standard deviation along each `φ_i`, shape (k,).
        rest: standard deviation in all other directions.
    """

    mean: Tensor
    std: Tensor
    rest: float


def from_noise(moments: Moments, std: float = 1.0) -> Start:
    """`s x_1`, what samplers start from."""
    return Start(torch.zeros_like(moments.mean), torch.full_like(moments.components.std, std), std)


def from_mean(moments: Moments, alpha: float, sigma: float) -> Start:
    """`α μ + σ x_1` (C6)."""
    return from_matched(moments, 0, alpha, sigma)


def from_matched(moments: Moments, rank: int, alpha: float, sigma: float) -> Start:
    """The moment-matched start along the first `rank` directions (C7)."""
    std = torch.full_like(moments.components.std, sigma)
    std[:rank] = formula.marginal_var(alpha, sigma, moments.eigenvalues[:rank]) ** 0.5
    return Start(alpha * moments.mean, std, sigma)


@dataclass(frozen=True)
class Mismatch:
    """`low ≤ KL(q_t‖S) ≤ high`, in nats; low is exact for Gaussian data but for rounding, which both have."""

    low: float
    high: float


def initial_mismatch(moments: Moments, start: Start, alpha: float, sigma: float) -> Mismatch:
    """The mismatch of a start at `(α_t, σ_t)`; see the module.

    Raises:
        InputError: for `σ = 0`, where `q_t` is the data themselves and infinitely far from any Gaussian, and for σ beyond the domain.
    """
    _check_sigma(sigma)
    matched, mean_start = (
        gaussian_mismatch(moments, of, alpha, sigma) for of in (start, from_mean(moments, alpha, sigma))
    )
    trace = float(moments.eigenvalues.sum())
    most = float(formula.kl_terminal_bound(formula.snr(alpha, sigma), trace)) * (
        1 + (len(moments.mean) + 8) * 2 * DOUBLE
    )
    rest = most - mean_start.low
    linear, by_det = spread_error(moments, start, alpha), _log_det_error(moments, alpha, sigma)
    # `KL(G_q‖S) + ½ log det(I + γΣ)`, the upper one, has no determinant of Σ
    high = matched.high + (math.inf if math.isnan(rest) else max(0.0, rest)) + linear
    return Mismatch(max(0.0, matched.low - linear - by_det), high)


def spread_error(moments: Moments, start: Start, alpha: float) -> float:
    """`½α² Σ lost_i/s_i²`: at least what the rounding of Σ moves `½ α² tr(S⁻¹Σ)` by, S the start's covariance."""
    std, lost, count = _in_all_directions(moments, start.std, start.rest)
    return float((count * alpha**2 * lost / std.square()).sum()) / 2


def _log_det_error(moments: Moments, alpha: float, sigma: float) -> float:
    """At least what the rounding of Σ moves `½ log det(α²Σ + σ²I)` by: its eigenvalues v move by as much as those of Σ at most."""
    variances = torch.cat([moments.eigenvalues, moments.eigenvalues.new_zeros(1)])
    _, lost, count = _in_all_directions(moments, variances[:-1], 0.0)
    moved = alpha**2 * lost.max()
    least = (formula.marginal_var(alpha, sigma, variances[: len(count)]) - moved).clamp(min=sigma**2)
    return float((count * torch.log1p(moved / least)).sum()) / 2


def _in_all_directions(moments: Moments, values: Tensor, rest: float) -> tuple[Tensor, Tensor, Tensor]:
    """A value along each `φ_i` and in all directions left out, what rounding took of Σ there, and how many directions each stands for."""
    count = torch.ones_like(values)
    lost = torch.as_tensor(moments.lost, dtype=values.dtype, device=values.device).expand(len(values) + 1)
    missing = len(moments.mean) - len(values)
    if not missing:
        return values, lost[:-1], count
    return torch.cat([values, values.new_full((1,), rest)]), lost, torch.cat([count, count.new_full((1,), missing)])


def _check_sigma(sigma: float) -> None:
    if not sigma > 0:
        raise InputError(f"sigma {sigma}: the data without noise are infinitely far from a Gaussian start")
    check_noise("sigma", sigma)


def gaussian_mismatch(moments: Moments, start: Start, alpha: float, sigma: float) -> Mismatch:
    """`KL(G_q‖S) = ½ Σ (x − log(1 + x)) + ½ ‖αμ − m‖²` with `x = v/s² − 1`, the norm in units of S, between bounds that hold its rounding; σ > 0.

    For the moments as they are given, whatever `moments.lost`. Raises `InputError` as `initial_mismatch`.
    """
    _check_sigma(sigma)
    basis, dim = moments.components.basis, len(moments.mean)
    missing = dim - len(basis)
    std = torch.cat([start.std, start.std.new_full((1,), start.rest)]) if missing else start.std
    lifted = alpha**2 * moments.eigenvalues
    lifted = torch.cat([lifted, lifted.new_zeros(1)]) if missing else lifted
    count = torch.ones_like(std)
    count[len(basis) :] = missing
    least, most = _spread_terms(lifted, std, sigma)
    apart = alpha * moments.mean - start.mean
    along = basis @ apart
    off = (apart - along @ basis).norm() if missing else torch.zeros_like(apart[0])
    # what rounding takes of the difference, and of its parts along and across the basis
    slack = 4 * DOUBLE * (abs(alpha) * moments.mean.norm() + start.mean.norm() + dim * apart.norm())
    distances = torch.cat([along.abs(), off[None]]) if missing else along.abs()
    rests = [
        ((part / std).square() * (count.clamp(max=1))).sum()
        for part in ((distances - slack).clamp(min=0), distances + slack)
    ]
    sums = [float((count * part).sum() + end) / 2 for part, end in zip((least, most), rests, strict=True)]
    share = (dim + 16) * DOUBLE
    return Mismatch(sums[0] * (1 - share), sums[1] * (1 + share))


def _spread_terms(lifted: Tensor, std: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Bounds on `x − log(1 + x)`, `1 + x = (α²λ + σ²)/s²`, with `α²λ = lifted`; each of shape (k,)."""
    # σ² − s² from a product, so that nothing cancels where s is σ
    other = (sigma - std) * (sigma + std)
    x, error = (lifted + other) / std**2, 8 * DOUBLE * (lifted + other.abs()) / std**2
    ratio = (lifted + sigma**2) / std**2
    near = x.abs() + error < _NEAR
    small, inner = torch.where(near, x, 0.0), torch.where(near, error, 0.0)
    closest = small.sign() * (small.abs() - inner).clamp(min=0)
    largest = torch.maximum(log1p_rest(small - inner, torch), log1p_rest(small + inner, torch))
    far = ratio - 1 - ratio.log()
    lost = 16 * DOUBLE * (1 + ratio + ratio.log().abs())
    return torch.where(near, log1p_rest(closest, torch), (far - lost).clamp(min=0)), torch.where(
        near, largest, far + lost
    )


def arrival(
    moments: Moments,
    start: Start,
    alpha: float,
    sigma: float,
    reading: Tensor,
    offset: float = 0.0,
    end: End = flow_end,
) -> tuple[float, float]:
    """Mean and standard deviation of `⟨b, x_0⟩ + offset` where a sampler takes the start, for Gaussian data and many steps (C7).

    Args:
        moments: of the data.
        start: at `(α_t, σ_t)`.
        alpha: `α_t`.
        sigma: `σ_t > 0`.
        reading: b, shape (d,); that of brightness is `(1, …, 1)/d`.
        offset: added to the mean.
        end: where the sampler carries means and variances: the flow's, or that of the reverse SDE.
    """
    basis = moments.components.basis
    along = basis @ reading
    end_mean, end_var = end(basis @ start.mean, start.std**2, alpha, sigma, basis @ moments.mean, moments.eigenvalues)
    still = reading - along @ basis  # where the data do not vary, a sampler ends at their mean
    return float(along @ end_mean + still @ moments.mean + offset), float((along**2 @ end_var).sqrt())


def reading_moments(moments: Moments, reading: Tensor, offset: float = 0.0) -> tuple[float, float]:
    """Mean and standard deviation of `⟨b, x_0⟩ + offset` in the data."""
    along = moments.components.basis @ reading
    return float(reading @ moments.mean + offset), float((along**2 @ moments.eigenvalues).sqrt())

"""The numbers that the library takes: one domain, checked where numbers enter, so that nothing behind it overflows or loses a square.

| number | 0, or from | to |
|---|---|---|
| length: a coordinate of the data or of `x_t`, their largest difference, the root of a covariance's largest eigenvalue | 1e-30 | 1e30 |
| precision: a signal-to-noise ratio γ, a gap g | 1e-80 | 1e80 |
| noise: σ, the root of an inverse precision | 1e-40 | 1e40 |
| query: a coordinate of `z = x_t/σ_t` | | 1e70 |
| weight, as a share of the largest one | 1e-300 | 1 |

Why these: bounds and budgets are made of `(gD²)²`, `D⁴` and `γ‖y‖²`. With lengths of at most `L` and precisions of at most `P` the largest is `(P (2L)²)²`, below 1e282, and the
smallest, `(gD²)²` at the other limits, is 1e-280: both are float64 with 1e26 to spare for sums. The precisions that matter for data of size D are near `D⁻²`, at most 1e±60, so that
twenty powers of ten are left on each side.
"""

import torch
from torch import Tensor

from singtheory.errors import DomainError

LENGTHS = 1e-30, 1e30
"""Beside 0."""
_VARIANCES = 1e-60, 1e60
"""The squares of `LENGTHS`, written out because float64 would round past the ends."""
PRECISIONS = 1e-80, 1e80
NOISES = 1e-40, 1e40
LARGEST_QUERY = 1e70
LEAST_WEIGHT = 1e-300
"""The least of a positive weight, as a share of the largest."""
_ROUNDED = 1 + 2.0**-20
"""A number at an end may have been rounded to float32."""
_SHARE_ROUNDING = 1 - 1e-9
"""Weights may have been normalised before."""
_LENGTH_REMEDY = "divide the data by a number s near their size and multiply every snr and gap by s²"
_PRECISION_REMEDY = "take 0, or data in a unit of which the noise is a moderate multiple"


def check_length(name: str, length: float) -> None:
    """Raise `DomainError` unless a length is 0 or in the domain."""
    _check(name, length, LENGTHS, _LENGTH_REMEDY)


def check_coordinates(name: str, coordinates: Tensor) -> None:
    """Raise `DomainError` where a coordinate is larger than the domain; small ones lose nothing beside the largest difference."""
    largest = float(torch.linalg.vector_norm(coordinates.detach(), ord=torch.inf)) if coordinates.numel() else 0.0
    if not largest <= LENGTHS[1] * _ROUNDED:
        raise DomainError(f"{name}: the largest number is {largest:.3g}, at most {LENGTHS[1]:g}; {_LENGTH_REMEDY}")


def check_points(name: str, points: Tensor, weights: Tensor) -> None:
    """Raise `DomainError` unless points (n, d) lie in the domain, and the largest difference of those that have weight (n,)."""
    check_coordinates(name, points)
    held = (points if bool((weights > 0).all()) else points[weights > 0]).detach()
    low, high = held.aminmax(dim=0)
    check_length(f"{name}: the largest difference of two", float((high - low).max()))


def check_variances(name: str, variances: Tensor) -> None:
    """Raise `DomainError` unless each variance is 0 or the square of a length in the domain."""
    for variance in _beyond(variances, _VARIANCES):
        _check(name, variance, _VARIANCES, _LENGTH_REMEDY)


def check_precisions(name: str, values: Tensor | float) -> None:
    """Raise `DomainError` unless signal-to-noise ratios or gaps of any shape are 0 or in the domain."""
    for value in _beyond(torch.as_tensor(values, dtype=torch.float64), PRECISIONS):
        _check(name, value, PRECISIONS, _PRECISION_REMEDY)


def beyond_precisions(values: Tensor) -> Tensor:
    """Where signal-to-noise ratios or gaps are neither 0 nor in the domain, a mask of their shape."""
    return _outside(values, PRECISIONS)


def check_noise(name: str, sigma: Tensor | float) -> None:
    """Raise `DomainError` unless each σ is 0 or in the domain."""
    for value in _beyond(torch.as_tensor(sigma, dtype=torch.float64), NOISES):
        _check(name, value, NOISES, _PRECISION_REMEDY)


def check_queries(name: str, largest: float) -> None:
    """Raise `DomainError` where the largest coordinate of queries `z = x_t/σ_t` leaves the domain."""
    if not largest <= LARGEST_QUERY:
        raise DomainError(f"{name}: the largest number is {largest:.3g}, at most {LARGEST_QUERY:g}; {_LENGTH_REMEDY}")


def check_shares(weights: Tensor) -> None:
    """Raise `DomainError` where a positive weight (n,) is so small a share of the largest that it would be lost."""
    positive = weights[weights > 0].detach()
    least = positive.min() / positive.max()
    if not float(least) >= LEAST_WEIGHT * _SHARE_ROUNDING:
        raise DomainError(
            f"weights: the smallest is {float(positive.min()):.3g} beside {float(positive.max()):.3g}, less than {LEAST_WEIGHT:g} of it; set it to 0"
        )


def _beyond(values: Tensor, limits: tuple[float, float]) -> list[float]:
    """The first value that is neither 0 nor in the range, as a list of one, or none."""
    values = values.detach()
    if values.ndim == 0:  # most are one number
        value = float(values)
        return [] if _is_in(value, limits) else [value]
    outside = _outside(values, limits)
    return [float(values[outside].flatten()[0])] if bool(outside.any()) else []


def _outside(values: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = _ends(limits)
    return ~((values == 0) | ((values >= low) & (values <= high)))


def _check(name: str, value: float, limits: tuple[float, float], remedy: str) -> None:
    if not _is_in(value, limits):
        raise DomainError(f"{name} is {value:.3g}: must be 0 or lie from {limits[0]:g} to {limits[1]:g}; {remedy}")


def _is_in(value: float, limits: tuple[float, float]) -> bool:
    low, high = _ends(limits)
    return value == 0 or low <= value <= high


def _ends(limits: tuple[float, float]) -> tuple[float, float]:
    return limits[0] / _ROUNDED, limits[1] * _ROUNDED

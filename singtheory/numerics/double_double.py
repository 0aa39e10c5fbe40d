r"""Numbers held as the unevaluated sum of two floats, some 106 bits, for the few differences that must not lose their digits.

The error-free sum is Knuth's, the error-free product Dekker's: they need no fused multiplication, and are exact as long as nothing overflows.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

DOUBLED = 2.0**-100
"""At least what an operation of `Double2` loses, relative to the sizes that go in."""
_SPLIT = 2.0**27 + 1
_LARGEST = 2.0**900
"""Beyond this Dekker's splitting would overflow; the low part is left out there."""


class Double2(NamedTuple):
    """`high + low`, `low` of at most half a unit in the last place of `high`."""

    high: Tensor
    low: Tensor

    @classmethod
    def difference(cls, a: Tensor, b: Tensor) -> Self:
        """`a − b` without error."""
        return cls(*two_sum(a, -b))

    @classmethod
    def root(cls, a: Tensor) -> Self:
        """`√a`."""
        high = a.sqrt()
        square = two_product(high, high)
        rest = (a - square[0]) - square[1]
        return cls(high, torch.where(high > 0, rest / (2 * high).clamp(min=1e-300), 0.0))

    def plus(self, other: "Double2") -> "Double2":
        """The sum, correct to some 2⁻¹⁰⁴ of the sizes of both."""
        high, low = two_sum(self.high, other.high)
        return Double2(*two_sum(high, low + self.low + other.low))

    def minus(self, other: "Double2") -> "Double2":
        """The difference."""
        return self.plus(Double2(-other.high, -other.low))

    def times(self, other: "Double2") -> "Double2":
        """The product, correct to some 2⁻¹⁰⁴ of itself."""
        high, low = two_product(self.high, other.high)
        return Double2(*two_sum(high, low + (self.high * other.low + self.low * other.high)))

    def total(self) -> "Double2":
        """The sum over the last dimension, by halves."""
        rest: Double2 = self
        while (count := rest.high.shape[-1]) > 1:
            half = count // 2
            parts = [Double2(*(x[..., at] for x in rest)) for at in (slice(half), slice(half, 2 * half))]
            summed = parts[0].plus(parts[1])
            # of an odd number the last one waits
            rest = Double2(*(torch.cat([x, y[..., 2 * half :]], dim=-1) for x, y in zip(summed, rest, strict=True)))
        return Double2(rest.high[..., 0], rest.low[..., 0])

    def value(self) -> Tensor:
        """The nearest float."""
        return self.high + self.low


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`a + b` rounded, and what rounding took away."""
    high = a + b
    part = high - a
    return high, (a - (high - part)) + (b - part)


def two_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`a b` rounded, and what rounding took away; 0 for the latter where it would overflow."""
    high = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    low = ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2
    return high, torch.where((a.abs() < _LARGEST) & (b.abs() < _LARGEST) & low.isfinite(), low, 0.0)


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    scaled = _SPLIT * a
    high = scaled - (scaled - a)
    return high, a - high

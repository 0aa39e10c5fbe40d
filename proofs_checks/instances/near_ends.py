"""Where the claims about the two ends are tested: named laws and the data, pairs (α, σ) near t = 1, where rates are fitted."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from proofs_checks.harness.context import Context
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, TRI
from singtheory import Gaussian, Law

TILTED = Gaussian([0.7, -0.4], [[1.5, 0.4], [0.4, 0.3]])
"""A Gaussian off the origin, with two different variances."""

NAMED: dict[str, Law] = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "tri": TRI, "two bumps": BUMPS, "Gaussian": TILTED}
"""Skewed laws off the origin: on symmetric ones the leading error terms vanish."""

SIGMA_OF: dict[str, Callable[[float], float]] = {
    "VP": lambda alpha: math.sqrt(1 - alpha**2),
    "rectified flow": lambda alpha: 1 - alpha,
    "σ_1 = 3": lambda alpha: 3 * (1 - alpha),
}
"""Ends of schedules as pairs: σ for each small α. Only `σ_1 = 3` tells powers of σ_1 apart."""

ROUNDING = 1e-12
"""A few hundred float64 roundings of numbers of order one."""


def with_data(context: Context) -> dict[str, Law]:
    """The named laws and the data."""
    name, data = excerpt(context)
    return {**NAMED, name: data}


def queries(law: Law, context: Context, count: int = 4) -> Tensor:
    """Some `x` of norm about √d, shape (count, d)."""
    return torch.randn(count, law.dim, dtype=torch.float64, generator=context.generator())


Pair = Callable[[float], tuple[Tensor, Tensor]]
"""`(α, σ)` for a given α."""


def near_one(context: Context, law: Law) -> Iterator[tuple[str, Pair, Tensor, float]]:
    """Each kind of end, its pair `(α, σ)` for a given α, some queries, and an α small enough for leading orders there."""
    x = queries(law, context)
    size = law.atoms().diameter if law.finite else 6 * float(law.cov.trace()) ** 0.5
    for kind, sigma_of in SIGMA_OF.items():
        reach = size * float(x.norm(dim=1).max() + 2 * (law.mean.norm() + size)) / sigma_of(0.0) ** 2
        yield kind, lambda alpha, f=sigma_of: (number(alpha), number(f(alpha))), x, 0.03 / max(1.0, reach)


def number(value: float) -> Tensor:
    """A float64 tensor of shape ()."""
    return torch.tensor(value, dtype=torch.float64)


def size(law: Law) -> float:
    """`√E‖x_0‖²`, the unit of the rounding of a mean."""
    return float(law.mean.square().sum() + law.cov.trace()) ** 0.5


def halvings(top: float) -> list[float]:
    """Where rates are fitted on the named laws; data, which may be symmetric or of any scale, are held to explicit remainders."""
    return [top / 2**k for k in range(4)]

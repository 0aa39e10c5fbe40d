"""As much of a run's data as every check can afford: all of the digits, part of larger data."""

from functools import lru_cache

import torch

from proofs_checks.context import Context
from singtheory import Atoms

ATOMS, COORDINATES = 2000, 1024
"""Above these the cost of a covariance (n d²) or of a diameter (n² d) would be seconds a check."""


def excerpt(context: Context) -> tuple[str, Atoms]:
    """The law of the data without atoms that have no weight, or of evenly spaced atoms and coordinates of it, and what to call it.

    On the CPU: these are many small sums, and their queries are drawn there.
    """
    law, name = context.data.law, context.data.name
    part = _part(law)
    if len(part.points) == int((law.weights > 0).sum()) and part.dim == law.dim:
        return name, part
    return f"{name}, {len(part.points)} of {len(law.points)} points, {part.dim} of {law.dim} coordinates", part


@lru_cache(maxsize=4)
def _part(law: Atoms) -> Atoms:
    support = (law.weights > 0).nonzero()[:, 0]
    if len(support) == len(law.weights) <= ATOMS and law.dim <= COORDINATES:
        return law if law.device.type == "cpu" else law.to("cpu")
    rows, columns = support[_spaced(len(support), ATOMS)], _spaced(law.dim, COORDINATES)
    return Atoms(law.points[rows][:, columns].cpu(), law.weights[rows].cpu())


def _spaced(count: int, most: int) -> torch.Tensor:
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()

"""An excerpt of a run's data that every check can afford: all of the digits, part of larger data."""

from functools import lru_cache

import torch

from proofs_checks.harness.context import Context
from singtheory import Atoms

ATOMS, COORDINATES = 2000, 1024
"""Above these the cost of a covariance (n d²) or of a diameter (n² d) would be seconds a check."""


def excerpt(context: Context) -> tuple[str, Atoms]:
    """The law of the data without atoms that have no weight, or of evenly spaced atoms and coordinates of it, and what to call it.

    On the CPU: these are many small sums, and their queries are drawn there.
    """
    law, name = context.data.law, context.data.name
    part = _part(law, law.dim if context.data.span is not None else COORDINATES)
    if context.data.span is not None:
        name = f"{name}, in the {law.dim} dimensions of their span"
    if len(part.points) == int((law.weights > 0).sum()) and part.dim == law.dim:
        return name, part
    return f"{name}, {len(part.points)} of {len(law.points)} points, {part.dim} of {law.dim} coordinates", part


def with_normal(context: Context) -> tuple[str, Atoms]:
    """The excerpt for statements that contain the origin: data in their span with the coordinate in which the span lies off it."""
    (name, law), span = excerpt(context), context.data.span
    if span is None:
        return name, law
    height = span.origin.norm().expand(len(law.points), 1)
    return f"{name} and across it", Atoms(torch.cat([law.points, height], dim=1), law.weights)


@lru_cache(maxsize=4)
def _part(law: Atoms, coordinates: int) -> Atoms:
    support = (law.weights > 0).nonzero()[:, 0]
    if len(support) == len(law.weights) <= ATOMS and law.dim <= coordinates:
        return law if law.device.type == "cpu" else law.to("cpu")
    rows, columns = support[spaced(len(support), ATOMS)], spaced(law.dim, coordinates)
    return Atoms(law.points[rows][:, columns].cpu(), law.weights[rows].cpu())


def spaced(count: int, most: int) -> torch.Tensor:
    """Numbers of at most so many of `count` things, evenly spaced, the first and the last among them."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()

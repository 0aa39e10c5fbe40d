"""The data as the reverse process's error sees them: deviations from an atom, in the span of the data, in a power of two of their size.

KL, TV and χ² of a step do not change when the data are moved, rotated or scaled with the gap, so nothing is lost; and neither a far
origin nor a strange unit costs digits.
"""

from functools import lru_cache

import torch

from proofs_checks.harness.context import Context
from proofs_checks.instances.excerpt import ATOMS, COORDINATES, excerpt
from singtheory import Atoms

_SPAN_COST = 1e10
"""Multiplications that may be spent on the span of more coordinates than an excerpt keeps."""


def deviations(context: Context) -> tuple[str, Atoms, float]:
    """What the law is called, the law, and its unit: its points are the data's deviations divided by this power of two."""
    law = context.data.law
    kept = int((law.weights > 0).sum())
    if law.dim > COORDINATES and kept <= ATOMS and kept**2 * law.dim <= _SPAN_COST:
        name, whole = context.data.name, law
    else:
        name, whole = excerpt(context)
    return name, *_deviations(whole)


@lru_cache(maxsize=4)
def _deviations(law: Atoms) -> tuple[Atoms, float]:
    support = law.weights > 0
    points, weights = law.points[support].cpu(), law.weights[support].cpu()
    centre = (points - weights @ points).square().sum(dim=1).argmin()
    # exact where coordinates are near each other, and to a rounding of the difference elsewhere
    moved = points - points[centre]
    largest = float(moved.abs().max())
    unit = 1.0 if largest == 0 else 2.0 ** int(torch.tensor(largest, dtype=torch.float64).frexp().exponent)
    moved, numbers = torch.unique(moved / unit, dim=0, return_inverse=True)  # equal atoms are one
    weights = torch.zeros(len(moved), dtype=weights.dtype).index_add_(0, numbers, weights)
    if moved.shape[1] >= len(moved) > 1:
        # the atom that the others are counted from is zero and adds nothing to their span
        others = moved[moved.abs().amax(dim=1) > 0]
        moved = moved @ torch.linalg.qr(others.mT)[0]
    return Atoms(moved, weights), unit

"""Data of any scale, in a unit of their own: a power of two, so that no digit changes."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from singtheory import Atoms, InputError
from singtheory.data import Data

LARGE = 2.0**10
"""Values between this and its inverse are left as they are: the noise has size 1."""


def in_own_units(data: Data) -> tuple[Data, float]:
    """The data divided by a power of two, 1 where their largest value lies within 1024 of the noise's size, and that power.

    Every statement keeps its form if `x_0` and σ are divided by one number: γ and g are multiplied by its square, KL, TV and χ² stay.

    Raises:
        InputError: where all points that have weight are equal, so that there is nothing to measure.
    """
    law, held = data.law, check_varied(data)
    largest = float(torch.linalg.vector_norm(held, ord=math.inf))
    if 1 / LARGE <= largest <= LARGE:
        return data, 1.0
    unit = 2.0 ** (math.frexp(largest)[1] - 1)
    return replace(data, law=Atoms(law.points / unit, law.weights)), unit


def check_varied(data: Data) -> Tensor:
    """The points that have weight, shape (n, d). Raises `InputError` where they are all equal, so that there is nothing to measure."""
    law = data.law
    held = law.points[law.weights > 0] if bool((law.weights == 0).any()) else law.points
    if bool((held == held[0]).all()):
        raise InputError(f"{data.name}: all points are equal, so there is nothing to measure; give different points")
    return held


def described(unit: float) -> str:
    """The unit, and what that means for the numbers of a report."""
    return (
        f"units of 2^{round(math.log2(unit))} = {unit:.6g}, for the noise has size 1: every statement keeps its form, "
        "and γ and g are per square of that unit"
    )

"""The laws on a line that the figures offer, each with the place at which a reverse step is looked at."""

from dataclasses import dataclass

import torch

from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, SIGNS
from singtheory import Atoms, Law, data
from singtheory.start import principal_components


@dataclass(frozen=True)
class Offered:
    """A law with its name.

    Attributes:
        name: a few words.
        law: on a line.
        place: `x_t` is `α_t` times this, between data points, so that the posterior is undecided.
    """

    name: str
    law: Law
    place: float


def widest_digits(count: int = 40) -> Atoms:
    """Evenly chosen quantiles of the digits along their widest direction, in units of its standard deviation."""
    law = data.load("digits").law
    components = principal_components(law, 1)
    along = ((law.points - law.mean) @ components.basis[0] / components.std[0]).sort().values
    return Atoms(along[torch.linspace(0, len(along) - 1, count).round().long()][:, None])


def offered() -> list[Offered]:
    """In the order of their slider."""
    return [
        Offered("two points, equal weights", SIGNS, 0.1),
        Offered("two points, weights 0.9 and 0.1", NINE_TO_ONE, 0.1),
        Offered("three points", GOLDEN, 0.6),
        Offered("two bumps", BUMPS, 0.0),
        Offered("digits, along their widest direction", widest_digits(), 0.0),
    ]

"""What else one pass over the atoms can tell of posteriors: entropy, nearest atoms, draws, covariance along directions.

A statistic sees blocks of atoms with their log weights, in any order, each atom of a query once; log weights of a query may
share a constant that is not known.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from singtheory import numerics
from singtheory.engine.points import Points
from singtheory.errors import InputError

_LOWEST = -1e300


class Statistic(ABC):
    """One of the queries whose blocks it sees.

    Attributes:
        top: the largest log weight so far, shape (batch,).
        total: the sum of `exp(log weight − top)` so far, shape (batch,).
    """

    def __init__(self) -> None:
        self.top: Tensor | None = None
        self.total: Tensor

    def update(self, atoms: Tensor, logits: Tensor) -> None:
        """Take in a block: numbers of atoms, (m,) or one row a query, and their log weights (batch, m)."""
        if self.top is None:
            self.top = torch.full((len(logits),), _LOWEST, dtype=logits.dtype, device=logits.device)
            self.total = torch.zeros_like(self.top)
            self._start(logits)
        higher = torch.maximum(self.top, logits.amax(dim=1))
        decay, weights = torch.exp(self.top - higher), torch.exp(logits - higher[:, None])
        self.top, before = higher, self.total * decay
        self.total = before + weights.sum(dim=1)
        self._take(atoms, logits, weights, decay)

    @abstractmethod
    def _start(self, logits: Tensor) -> None:
        """Make what is summed, for as many queries as `logits` has rows."""

    @abstractmethod
    def _take(self, atoms: Tensor, logits: Tensor, weights: Tensor, decay: Tensor) -> None:
        """Take in a block whose weights are relative to `exp(top)`; what was summed before must shrink by `decay`."""

    @abstractmethod
    def value(self) -> Tensor:
        """The value of every query."""


class Entropy(Statistic):
    """`−Σ p_i log p_i` in nats, shape (batch,)."""

    def _start(self, logits: Tensor) -> None:
        self.sum = torch.zeros_like(logits[:, 0])
        self.before = torch.zeros_like(self.sum)

    def _take(self, atoms: Tensor, logits: Tensor, weights: Tensor, decay: Tensor) -> None:
        # w log w of weights that shrink by decay: decay (w log w + w log decay)
        self.sum = self.sum * decay + self.before * torch.special.xlogy(decay, decay)
        self.sum += torch.special.xlogy(weights, weights).sum(dim=1)
        self.before = self.total

    def value(self) -> Tensor:
        """`log Σw − Σ w log w / Σw`."""
        return (self.total.log() - self.sum / self.total).clamp(min=0)


class Nearest(Statistic):
    """The `k` atoms of the largest posterior weight, which are the nearest ones where prior weights are equal; shape (batch, k).

    Args:
        k: how many, at least one; fewer where there are fewer.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise InputError(f"{k} nearest atoms: ask for at least one")
        self.k = k

    def _start(self, logits: Tensor) -> None:
        self.logits, self.atoms = logits[:, :0], torch.empty(len(logits), 0, dtype=torch.long, device=logits.device)

    def _take(self, atoms: Tensor, logits: Tensor, weights: Tensor, decay: Tensor) -> None:
        both = torch.cat([self.logits, logits], dim=1)
        self.logits, chosen = both.topk(min(self.k, both.shape[1]), dim=1)
        self.atoms = torch.cat([self.atoms, atoms.expand(logits.shape)], dim=1).gather(1, chosen)

    def value(self) -> Tensor:
        """The numbers of the heaviest atoms, the heaviest first."""
        return self.atoms

    def weights(self) -> Tensor:
        """The posterior weights of these atoms, shape (batch, k)."""
        assert self.top is not None
        return torch.exp(self.logits - self.top[:, None]) / self.total[:, None]


class Draws(Statistic):
    """`n` draws from each posterior, as numbers of atoms, shape (batch, n).

    Every draw so far is replaced by one from the new block with the probability that the block has of all mass so far.

    Args:
        n: how many, not negative.
        generator: of the random numbers.
    """

    def __init__(self, n: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if n < 0:
            raise InputError(f"{n} draws: must not be negative")
        self.n, self.generator = n, generator

    def _start(self, logits: Tensor) -> None:
        self.atoms = torch.zeros(len(logits), self.n, dtype=torch.long, device=logits.device)

    def _take(self, atoms: Tensor, logits: Tensor, weights: Tensor, decay: Tensor) -> None:
        mass = weights.sum(dim=1)
        possible = torch.where((mass > 0)[:, None], weights, 1.0)
        fresh = atoms.expand(logits.shape).gather(1, numerics.choose(possible, self.n, self.generator))
        chance = numerics.uniform(fresh.numel(), weights.device, self.generator).view(len(mass), self.n)
        self.atoms = torch.where(chance * self.total[:, None] < mass[:, None], fresh, self.atoms)

    def value(self) -> Tensor:
        """The numbers of the drawn atoms."""
        return self.atoms


class CovarianceAlong(Statistic):
    """`Vᵀ C V`, the posterior covariance along some directions, shape (batch, k, k).

    Args:
        points: the atoms.
        directions: V, shape (d, k).
    """

    def __init__(self, points: Points, directions: Tensor) -> None:
        super().__init__()
        # about the centre of the data, so that a distant origin costs no digits
        along = torch.cat([block @ directions for _, block in points.blocks()])
        self.along = along - points.weights @ along

    def _start(self, logits: Tensor) -> None:
        k = self.along.shape[1]
        self.first = torch.zeros(len(logits), k, dtype=logits.dtype, device=logits.device)
        self.second = torch.zeros(len(logits), k, k, dtype=logits.dtype, device=logits.device)

    def _take(self, atoms: Tensor, logits: Tensor, weights: Tensor, decay: Tensor) -> None:
        along = self.along[atoms].expand(*logits.shape, -1)
        self.first = self.first * decay[:, None] + torch.einsum("bm,bmk->bk", weights, along)
        self.second = self.second * decay[:, None, None] + torch.einsum("bm,bmk,bml->bkl", weights, along, along)

    def value(self) -> Tensor:
        """Not normalised until here."""
        mean = self.first / self.total[:, None]
        return self.second / self.total[:, None, None] - mean[:, :, None] * mean[:, None, :]

"""What exact posteriors over bytes are compared with: a softmax over all points in low precision, FAISS as a screen, GoldDiff's method.

Each gives posterior means of queries (batch, d) at one γ, in float32, over the same bytes. None of them knows its error.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from singtheory.engine.points import HALF_RANGE
from tests.benchmarks.engine.golden import Golden, nearest_to
from tests.benchmarks.engine.posterior import Plain

BLOCK = 8192
"""Images that are brought into another form at once."""
_KEPT = 1024
"""Nearest points of a query that FAISS gives."""


class Rival(Protocol):
    """Gives posterior means."""

    def __call__(self, z: Tensor, gamma: float) -> Tensor:
        """Of queries (batch, d), float64."""
        ...


def _single(rows: Tensor) -> Tensor:
    return rows.float().div_(HALF_RANGE).sub_(1)


class Softmax(Plain):
    """`Plain` with all points held in a precision, filled block by block: as anyone would write it whose data do not fit twice.

    Args:
        stored: bytes, shape (n, d).
        dtype: of points, queries and weights.
    """

    def __init__(self, stored: Tensor, dtype: torch.dtype) -> None:
        self.points = torch.empty(stored.shape, dtype=dtype, device=stored.device)
        self.half = torch.empty(len(stored), dtype=dtype, device=stored.device)
        for first in range(0, len(stored), BLOCK):
            rows = slice(first, first + BLOCK)
            self.points[rows] = _single(stored[rows])
            self.half[rows] = self.points[rows].square().sum(dim=1) / 2

    def __call__(self, z: Tensor, gamma: float) -> Tensor:
        """See `Rival`."""
        snr = torch.full((len(z),), gamma, dtype=self.points.dtype, device=z.device)
        return self.mean(z.to(self.points.dtype), snr)


class GoldenBytes(Golden):
    """`Golden` over bytes, with its shrunk images in float32; a query's candidates are looked at block by block.

    Args:
        stored: bytes, shape (n, d).
        side: of an image, even.
        channels: of an image.
    """

    def __init__(self, stored: Tensor, side: int, channels: int) -> None:
        self.points, self.side, self.channels = stored, side, channels
        self.small = torch.empty(len(stored), stored.shape[1] // 4, device=stored.device)
        for first in range(0, len(stored), BLOCK):
            self.small[first : first + BLOCK] = self._shrunk(_single(stored[first : first + BLOCK]))

    def __call__(self, z: Tensor, gamma: float) -> Tensor:
        """See `Rival`."""
        return self.mean(z, gamma)

    def _mean(self, z: Tensor, snr: float, m: int, k: int) -> Tensor:
        candidates = nearest_to(self._shrunk(z), self.small, snr, m)
        return torch.stack([self._one(query, snr, rows, k) for query, rows in zip(z, candidates, strict=True)])

    def _one(self, z: Tensor, snr: float, candidates: Tensor, k: int) -> Tensor:
        parts = candidates.split(BLOCK)
        distance2 = torch.cat([(z - snr**0.5 * _single(self.points[rows])).square().sum(dim=1) for rows in parts])
        nearest, index = distance2.topk(k, largest=False)
        weights, chosen = torch.softmax(-nearest / 2, dim=0), candidates[index]
        pairs = zip(weights.split(BLOCK), chosen.split(BLOCK), strict=True)
        return torch.stack([part @ _single(self.points[rows]) for part, rows in pairs]).sum(dim=0)


class Faiss:
    """The nearest points by an exact search of FAISS over bytes on the CPU, then a softmax over these.

    Args:
        stored: bytes, shape (n, d).
    """

    def __init__(self, stored: Tensor) -> None:
        import faiss  # pyright: ignore[reportMissingImports]

        self.stored = stored
        # the direct form of bytes would round queries to bytes too
        self.index = faiss.IndexScalarQuantizer(stored.shape[1], faiss.ScalarQuantizer.QT_8bit_uniform, faiss.METRIC_L2)
        faiss.copy_array_to_vector(np.array([-0.5, 255.0], dtype=np.float32), self.index.sq.trained)
        self.index.is_trained = True
        for part in stored.split(8 * BLOCK):
            self.index.add_sa_codes(part.cpu().numpy())

    def __call__(self, z: Tensor, gamma: float) -> Tensor:
        """See `Rival`; γ must be positive."""
        asked = (z.float() / gamma**0.5 + 1) * HALF_RANGE
        square, index = self.index.search(asked.cpu().numpy(), min(_KEPT, len(self.stored)))
        distance2 = torch.from_numpy(square).to(z.device) * (gamma / HALF_RANGE**2)
        weights, rows = torch.softmax(-distance2 / 2, dim=1), torch.from_numpy(index).to(z.device)
        return torch.stack([w @ _single(self.stored[row]) for w, row in zip(weights, rows, strict=True)])

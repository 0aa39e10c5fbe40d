"""The screening method of GoldDiff (arXiv 2602.16498), from its description: what exact posteriors are compared with.

Images shrunk to half their side choose m candidates, distances at full size the k nearest of these, and a softmax over them gives the
mean. At its default sizes k falls from n/10 to n/20 and m rises from n/10 to n/4 as the noise falls, both linear in σ.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

_NUMBERS = 2**30
"""In one gathered block of queries times candidates times width, 4 GB in float32."""


class Golden:
    """Posterior means over the atoms nearest to a query.

    Args:
        points: images in rows, shape (n, channels · side²).
        side: of an image, even.
        channels: of an image.
    """

    def __init__(self, points: Tensor, side: int, channels: int = 1) -> None:
        self.points, self.side, self.channels = points.float(), side, channels
        self.small = self._shrunk(self.points)

    def _shrunk(self, rows: Tensor) -> Tensor:
        return avg_pool2d(rows.unflatten(1, (self.channels, self.side, self.side)), 2).flatten(1)

    def mean(self, z: Tensor, snr: float) -> Tensor:
        """Of queries (batch, d) at one snr."""
        count, sigma = len(self.points), (1 / (1 + snr)) ** 0.5
        k = round(count / 20 + (count / 10 - count / 20) * sigma)
        m = round(count / 4 + (count / 10 - count / 4) * sigma)
        size = max(1, _NUMBERS // (m * self.points.shape[1]))
        return torch.cat([self._mean(part, snr, m, k) for part in z.float().split(size)])

    def _mean(self, z: Tensor, snr: float, m: int, k: int) -> Tensor:
        candidates = nearest_to(self._shrunk(z), self.small, snr, m)
        atoms = self.points[candidates]
        distance2 = (z[:, None] - snr**0.5 * atoms).square().sum(dim=2)
        nearest, index = distance2.topk(k, dim=1, largest=False)
        weights = torch.softmax(-nearest / 2, dim=1)
        chosen = self.points[candidates.gather(1, index)]
        return (weights[:, None] @ chosen)[:, 0]


def nearest_to(z: Tensor, points: Tensor, snr: float, count: int) -> Tensor:
    """Numbers of the points nearest to `z/√γ`, shape (batch, count)."""
    score = torch.addmm(-(snr**0.5) / 2 * points.square().sum(dim=1), z, points.mT)
    return score.topk(count, dim=1).indices

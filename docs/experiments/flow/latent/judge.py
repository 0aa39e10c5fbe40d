"""What decoded pictures are compared to: principal components of large pictures, features, and beside the data their reconstructions.

The distance to the reconstructions leaves out what the autoencoder itself loses.
"""

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.metrics import Distance, Judge, Law

RECONSTRUCTED = "64 components, to the reconstructions"
"""The name of the distance that leaves the autoencoder's own out."""
_COMPONENTS, _EXTRA, _ROUNDS = 256, 32, 12


def principal(data: Captioned, device: str, seed: int = 0) -> Moments:
    """Mean and leading principal components of pictures too large for their covariance, by subspace iteration; float32."""
    points = data.x_0().flatten(1).to(device)
    mean = points.mean(dim=0)
    points -= mean
    count = min(_COMPONENTS, *points.shape)
    start = torch.randn(
        points.shape[1], min(count + _EXTRA, *points.shape), generator=torch.Generator().manual_seed(seed)
    )
    axes = torch.linalg.qr(start.to(device)).Q
    for _ in range(_ROUNDS):
        axes = torch.linalg.qr(points.mT @ (points @ axes)).Q
    along = points @ axes
    var, turned = torch.linalg.eigh(along.double().mT @ along.double() / len(points))
    basis = (axes @ turned.flip(1).float()).mT[:count].contiguous()
    return Moments(mean.reshape(1, *data.size), basis, var.flip(0)[:count].float(), points.square().mean(dim=0))


class DecodedJudge(Judge):
    """A judge, of `principal` moments, that also tells the distance to reconstructions."""

    def compare_to(self, parts: list[Tensor]) -> None:
        """Take the reconstructions of all pictures, in parts, for the second law."""
        self.laws[RECONSTRUCTED] = Law.of(torch.cat([self._coordinates(part, self.components[0]) for part in parts]))

    def distances(self, images: Tensor) -> dict[str, Distance]:
        """Also to the reconstructions, once they are there."""
        distances = super().distances(images)
        if RECONSTRUCTED in self.laws:
            points = self._coordinates(images, self.components[0])
            distances[RECONSTRUCTED] = self.laws[RECONSTRUCTED].distance(points)
        return distances

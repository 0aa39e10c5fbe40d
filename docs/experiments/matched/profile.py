"""What the error of a reverse kernel depends on, noise level by noise level: of a network, and of the exact denoiser of its data.

At `x_t = α x_0 + σ n` with the same draws at every level, `r = x_0 − m_θ`, `δ = m_θ − x̂`, `C = (σ²/α) ∂m/∂x` of either denoiser, κ its next cumulant:

    mse, mmse, error2        E‖r‖², E tr C, E‖δ‖²
    norm2, skewness2         E‖C‖_F², E‖κ‖²: the constants of E2 and E3, by products with random vectors
    residual                 E⟨r, C_θ r⟩, by which E3 says what a Jacobian that is not the covariance leaves of the first order
    along, pixels            E⟨φ_k, r⟩² along principal components, E r_i² of each pixel
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from singtheory.sampler import jacobian_product
from singtheory.schedule import Schedule

_PART = 1024
_NOTHING = 1e-30
_APART = 0.05
"""The share of the noise: how far the two products lie apart whose difference is κ's."""
KEYS = (
    "mse",
    "mmse",
    "error2",
    "epsilon2",
    "trace",
    "norm2",
    "skewness2",
    "exact norm2",
    "exact skewness2",
    "residual",
)


class Scheduled(Protocol):
    """A denoiser that knows its noise, such as `singdiffusion.base.NetworkDenoiser`."""

    schedule: Schedule
    train_steps: int

    def __call__(self, x_t: Tensor, t: float) -> Tensor:
        """`x̂`."""
        ...


class Empirical:
    """The exact denoiser of equally likely points, float64 on any device.

    Args:
        points: shape (n, d), on the device.
    """

    def __init__(self, points: Tensor) -> None:
        self.points = points.double()
        self.norms2 = self.points.square().sum(dim=1)

    def weights(self, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
        """The weights of the points for each `x_t` (batch, d); shape (batch, n)."""
        return ((alpha * x_t.double() @ self.points.mT - alpha**2 / 2 * self.norms2) / sigma**2).softmax(dim=1)

    def moments(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """`x̂` (batch, d) and `tr C` (batch,)."""
        mean = weights @ self.points
        return mean, (weights @ self.norms2 - mean.square().sum(dim=1)).clamp(min=0)

    def product(self, weights: Tensor, mean: Tensor, first: Tensor, second: Tensor | None = None) -> Tensor:
        """`C v`, or `κ(v, w, ·)` with a second vector; shape (batch, d)."""
        along = first @ self.points.mT - (mean * first).sum(dim=1, keepdim=True)
        if second is not None:
            along = along * (second @ self.points.mT - (mean * second).sum(dim=1, keepdim=True))
        tilted = weights * along
        return tilted @ self.points - tilted.sum(dim=1, keepdim=True) * mean


@dataclass(frozen=True)
class Scene:
    """A network, its data, and the draws that all levels share.

    Attributes:
        denoiser: the network.
        empirical: the exact denoiser of the data.
        x_0: draws of the data, (n, channels, side, side), float32 on the device.
        noise: of the same shape.
        probes: random vectors v and w, two of that shape.
        basis: principal components, rows (k, d), float64.
    """

    denoiser: Scheduled
    empirical: Empirical
    x_0: Tensor
    noise: Tensor
    probes: tuple[Tensor, Tensor]
    basis: Tensor

    def levels(self, t: float) -> tuple[float, float]:
        """α and σ."""
        return float(self.denoiser.schedule.alpha(t)), float(self.denoiser.schedule.sigma(t))


def _batched(run: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    return torch.cat([run(*parts) for parts in zip(*(one.split(_PART) for one in tensors), strict=True)])


@torch.no_grad()
def measured(scene: Scene, t: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Numbers of one level with their standard errors, and arrays."""
    alpha, sigma = scene.levels(t)
    x_t, factor = alpha * scene.x_0 + sigma * scene.noise, sigma**2 / alpha

    def product(x: Tensor, v: Tensor) -> Tensor:
        return factor * jacobian_product(scene.denoiser, x, t, v)[1]

    m = _batched(lambda x: scene.denoiser(x, t), x_t)
    first, second = scene.probes
    image = _batched(product, x_t, first)
    few = slice(0, max(1, len(x_t) // 4))
    step = _APART * sigma
    ahead, behind = (_batched(product, x_t[few] + sign * step * second[few], first[few]) for sign in (1, -1))
    bent = factor * (ahead - behind) / (2 * step)  # κ(v, w, ·) = (σ²/α) ∂(C v)/∂x · w
    left = (scene.x_0 - m).flatten(1).double()
    onto = _batched(product, x_t, scene.x_0 - m).flatten(1).double()
    exact, values = _exact(scene, x_t, alpha, sigma)
    epsilon = (x_t - alpha * m).flatten(1).double() / sigma
    each: dict[str, Tensor] = {
        "mse": left.square().sum(dim=1),
        "mmse": values["trace"],
        "error2": (m.flatten(1).double() - exact).square().sum(dim=1),
        "epsilon2": epsilon.square().sum(dim=1),
        "trace": (first * image).flatten(1).double().sum(dim=1),
        "norm2": image.flatten(1).double().square().sum(dim=1),
        "skewness2": bent.flatten(1).double().square().sum(dim=1),
        "exact norm2": values["norm2"],
        "exact skewness2": values["skewness2"],
        "residual": (left * onto).sum(dim=1),
    }
    numbers: dict[str, Any] = {"t": t, "snr": (alpha / sigma) ** 2}
    for name in KEYS:
        numbers[name] = float(each[name].mean())
        numbers[f"{name} error"] = float(each[name].std() / len(each[name]) ** 0.5)
    delta = m.flatten(1).double() - exact
    arrays = {
        "along": (left @ scene.basis.mT).square().mean(dim=0),
        "pixels": left.square().mean(dim=0),
        "error along": (delta @ scene.basis.mT).square().mean(dim=0),
        "error pixels": delta.square().mean(dim=0),
    }
    return numbers, {name: one.cpu().numpy().astype(np.float32) for name, one in arrays.items()}


def _exact(scene: Scene, x_t: Tensor, alpha: float, sigma: float) -> tuple[Tensor, dict[str, Tensor]]:
    """`x̂` of the data, and per sample `tr C`, `‖Cv‖²` and `‖κ(v, w, ·)‖²`."""
    means, traces, norms, skews = [], [], [], []
    for x, v, w in zip(*(one.flatten(1).double().split(_PART) for one in (x_t, *scene.probes)), strict=True):
        weights = scene.empirical.weights(x, alpha, sigma)
        mean, trace = scene.empirical.moments(weights)
        means.append(mean)
        traces.append(trace)
        norms.append(scene.empirical.product(weights, mean, v).square().sum(dim=1))
        skews.append(scene.empirical.product(weights, mean, v, w).square().sum(dim=1))
    return torch.cat(means), {"trace": torch.cat(traces), "norm2": torch.cat(norms), "skewness2": torch.cat(skews)}


@torch.no_grad()
def spectrum(scene: Scene, t: float, row: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The whole Jacobian at one draw: the eigenvalues λ of the symmetric part of `C_θ`, and along each eigenvector the exact variance and `δ²`.

    Of the rest it says how large the antisymmetric part and the negative eigenvalues are, as shares of the Frobenius norm.
    """
    alpha, sigma = scene.levels(t)
    x_t = (alpha * scene.x_0 + sigma * scene.noise)[row : row + 1]
    dim = x_t[0].numel()
    tangents = torch.eye(dim, dtype=x_t.dtype, device=x_t.device).view(dim, *x_t.shape[1:])
    rows = [
        jacobian_product(scene.denoiser, x_t.expand(len(some), -1, -1, -1).contiguous(), t, some)[1].flatten(1)
        for some in tangents.split(_PART)
    ]
    covariance = sigma**2 / alpha * torch.cat(rows)
    apart, whole = (covariance - covariance.mT) / 2, (covariance + covariance.mT) / 2
    values, vectors = torch.linalg.eigh(whole)
    weights = scene.empirical.weights(x_t.flatten(1), alpha, sigma)
    mean, trace = scene.empirical.moments(weights)
    turned = scene.empirical.points.to(vectors) @ vectors
    centred = turned - (mean.to(vectors) @ vectors)
    along = weights[0].to(vectors) @ centred.square()
    delta = (scene.denoiser(x_t, t).flatten(1) - mean.to(x_t)) @ vectors
    numbers = {
        "t": t,
        "snr": (alpha / sigma) ** 2,
        "antisymmetric": float(apart.norm() / covariance.norm().clamp(min=_NOTHING)),
        "negative": float(values.clamp(max=0).norm() / values.norm().clamp(min=_NOTHING)),
        "negative eigenvalues": float((values < 0).double().mean()),
        "exact trace": float(trace),
    }
    arrays = {"eigenvalues": values, "exact": along, "error2": delta[0].square()}
    return numbers, {name: one.cpu().numpy().astype(np.float32) for name, one in arrays.items()}


def interpolated(snr: float, nodes: Sequence[float], values: np.ndarray) -> np.ndarray:
    """Positive rows of values, (m, ...), at γ: linear in log γ and in the log of the values."""
    place = np.clip(np.interp(np.log(snr), np.log(nodes), np.arange(len(nodes))), 0, len(nodes) - 1)
    low = min(int(place), len(nodes) - 2)
    share = place - low
    pair = np.log(np.maximum(values[low : low + 2], 1e-30))
    return np.exp((1 - share) * pair[0] + share * pair[1])

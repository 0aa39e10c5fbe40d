"""What is known of a network in training: how far it is from the closed form, how much it reads of x_1, and what its mean buys."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import AverageModel, AverageNetwork
from singdiffusion.training.batches import Data
from singdiffusion.training.cache import Cache
from singdiffusion.training.objective import Losses, Objective
from singtheory import formula
from singtheory.schedule import STABLE_DIFFUSION, Discrete

_MANY, _MOST, _NOISES, _AT_ONCE = 8, 64, 8, 32
_FIXED, _SAMPLE = 256, 4096


@dataclass(frozen=True)
class Measured:
    """At one step.

    Attributes:
        distance: `‖E ȳ − μ(c)‖/‖μ(c)‖` over the conditions that have many examples, both as one vector; None without such.
        dependence: root mean square deviation of `ȳ(x_1, c)` over x_1 in units of its norm: pure error (C9).
        gain: `½ γ ‖ȳ‖²`, mean over the conditions, at the first of 50 steps of Stable Diffusion, in nats (C6).
        spread: mean `s_k` of the first direction over the conditions; None without a spread.
    """

    distance: float | None
    dependence: float
    gain: float
    spread: float | None

    def to_json(self) -> dict[str, Any]:
        """The measurement in plain values."""
        return asdict(self)


@torch.no_grad()
def measure(network: AverageNetwork, data: Data, rows: Tensor) -> Measured:
    """Measures the captions in `rows`, shape (m,), over several noises of a fixed seed.

    Args:
        network: on the device of the data.
        data: of the run.
        rows: of captions, as `frequent`.
    """
    size, device = data.cache.encoding.size, data.device
    condition = data.condition_of(rows)
    generator = torch.Generator(device).manual_seed(0)
    noises = (torch.randn(len(rows), *size, generator=generator, device=device) for _ in range(_NOISES))
    averages = [network(condition, noise) for noise in noises]
    means = torch.stack([average.mean.float().cpu() for average in averages])
    mean = means.mean(dim=0)
    norm2 = mean.square().sum()
    dependence = (means.var(dim=0).sum() / norm2).sqrt()
    gain = formula.mean_gain(_first_snr(), mean.flatten(1).square().sum(dim=1)).mean()
    std = averages[0].std
    spread = None if std is None else float(std[:, 0].mean())
    return Measured(_distance(data, rows, mean), float(dependence), float(gain), spread)


@torch.no_grad()
def losses(network: AverageNetwork, data: Data) -> Losses:
    """Over the `fixed` examples with their conditions and a fixed noise.

    Args:
        network: on the device of the data.
        data: of the run.
    """
    rows, generator = fixed(data.cache), torch.Generator().manual_seed(1)
    objective, parts = Objective(network, data.settings.noise), []
    for some in rows.split(_AT_ONCE):
        x_0 = data.cache.x_0(some).to(data.device)
        x_1 = torch.randn(x_0.shape, generator=generator).to(data.device)
        condition = data.condition(data.cache.caption[some], x_0, torch.zeros(len(some), dtype=torch.bool))
        parts.append(torch.stack(objective(condition, x_1, x_0)).cpu() * len(some) / len(rows))
    return Losses(*torch.stack(parts).sum(dim=0))


@torch.no_grad()
def closed_loss(module: AverageModel, cache: Cache) -> float:
    """The squared error a value of a closed form over the `fixed` examples; of the noise it reads nothing."""
    rows = fixed(cache)
    x_0, prompts = cache.x_0(rows), [cache.captions[row] for row in cache.caption[rows]]
    return float((module(prompts, torch.zeros_like(x_0)).mean - x_0).square().mean())


def fixed(cache: Cache) -> Tensor:
    """Rows of the examples over which losses are taken: 256, or all where there are fewer, always the same ones."""
    return torch.randperm(len(cache), generator=torch.Generator().manual_seed(0))[:_FIXED]


def frequent(cache: Cache) -> Tensor:
    """Rows of the captions with the most examples, at most 64, shape (m,)."""
    counts = cache.caption.bincount(minlength=len(cache.captions))
    most = counts.argsort(descending=True, stable=True)[:_MOST]
    return most[counts[most] > 0]


def _distance(data: Data, rows: Tensor, mean: Tensor) -> float | None:
    if data.settings.condition == "image":
        return None  # every image is its own condition
    if data.settings.condition == "none":
        whole = data.cache.mean(data.cache.sample(_SAMPLE))
        return float((mean[0] - whole).norm() / whole.norm())
    many = [(k, int(row)) for k, row in enumerate(rows) if int((data.cache.caption == row).sum()) >= _MANY]
    if not many:
        return None
    exact = torch.stack([data.cache.mean((data.cache.caption == row).nonzero()[:, 0]) for _, row in many])
    return float((mean[[k for k, _ in many]] - exact).norm() / exact.norm())


def _first_snr() -> float:
    return float(Discrete.from_config(STABLE_DIFFUSION).snr(0.982))

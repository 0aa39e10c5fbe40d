"""Measurement 5 and 8: what a flow keeps along principal components beside the cosine law, and where zero-init beats the mean start (F7)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, brightness_of
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.metrics import Law
from docs.experiments.flow.model import TRAIN_STEPS
from docs.experiments.flow.solvers import euler, moved, shifted_grid
from docs.experiments.flow.ways import Way
from docs.experiments.metric.distances import wasserstein
from docs.experiments.model.draw import Drawer
from singtheory import formula
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

COMPONENTS = 1024
STEPS = (4, 6, 10, 8, 20, 3, 28, 50)
SHIFTS = (3.0, 1.0, 4.0)
MANY = 250
"""Steps after which what is missing is the network's and not the grid's."""
_AT_ONCE, _SLOPES = 1024, 16


def kept(images: Tensor, moments: Moments, eigenvalues: Tensor) -> Tensor:
    """Standard deviation along each principal component over the data's; shape (k,), float64 on the CPU."""
    along = (images.flatten(1) @ moments.basis[: len(eigenvalues)].mT).double().std(dim=0).cpu()
    return along / eigenvalues.sqrt()


def compared(flows: Flows, x_1: Tensor, steps: int, shift: float, eigenvalues: Tensor) -> dict[str, Any]:
    """The network without a prompt beside the law, by direction, for Euler's steps."""
    way = Way("", grid=f"shift {shift:g}")
    images, _ = flows(way, x_1, [""] * len(x_1), 1.0, steps)
    law = spread_kept(RectifiedFlow(), shifted_grid(steps, shift), eigenvalues)
    return {
        "steps": steps,
        "shift": shift,
        "network": rounded(kept(images, flows.moments, eigenvalues)),
        "law": rounded(law),
    }


def exact(data: Tensor, x_1: Tensor, moments: Moments, steps: int, shift: float, eigenvalues: Tensor) -> dict[str, Any]:
    """The exact denoiser of the pictures (m, d) in the network's place: what their law, which is no Gaussian, does to the prediction."""
    lengths = data.square().sum(dim=1)

    def denoise(x: Tensor, t: float) -> Tensor:
        if t == 1:
            return data.mean(dim=0).reshape(x[:1].shape).expand_as(x)
        parts = []
        for some in x.flatten(1).split(_AT_ONCE):
            scores = ((1 - t) * some @ data.mT - (1 - t) ** 2 / 2 * lengths) / t**2
            parts.append(torch.softmax(scores.float(), dim=1) @ data)
        return torch.cat(parts).reshape(x.shape)

    images = euler(x_1, shifted_grid(steps, shift), denoise, lambda x, _t, _s: x)
    return {"steps": steps, "shift": shift, "exact": rounded(kept(images, moments, eigenvalues))}


def slopes(flows: Flows, points: Tensor, seed: int, steps: int, shift: float, eigenvalues: Tensor) -> dict[str, Any]:
    """What Euler's steps would keep were the network linear with the slopes that it has where it was trained, at `x_t = (1 − t) x_0 + t n`.

    The slope along a component is that of the regression of x̂ on x_t. Of a Gaussian law it is `(1 − t)λ/((1 − t)²λ + t²)`, with which this is the cosine
    law. How far a network's slopes are from those is its error by band, whatever the grid.

    Args:
        flows: whose network is asked, without a prompt.
        points: `x_0`, shape (n, channels, side, side), on the device.
        seed: of the noise.
        steps: of the grid.
        shift: of the grid.
        eigenvalues: λ of the first components, shape (k,), float64.
    """
    drawer, basis, grid = flows.drawer, flows.moments.basis[: len(eigenvalues)], shifted_grid(steps, shift)
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(seed)).to(points)
    product, rows = torch.ones(len(eigenvalues), dtype=torch.float64), []
    for t, s in pairwise(grid):
        parts = []
        for x_0, n in zip(points.split(drawer.batch), noise.split(drawer.batch), strict=True):
            x = (1 - t) * x_0 + t * n
            x_hat = x - t * drawer.predict(x, TRAIN_STEPS * t, drawer.encode([""] * len(x)))
            parts.append(torch.stack([one.flatten(1) @ basis.mT for one in (x, x_hat)]))
        seen, answer = (one - one.mean(dim=0) for one in torch.cat(parts, dim=1).double().cpu())
        slope = (seen * answer).mean(dim=0) / seen.square().mean(dim=0)
        product *= s / t + (1 - s / t) * slope
        rows.append(rounded(slope[:_SLOPES]))
    kept_so = product.abs() / eigenvalues.sqrt()
    return {"steps": steps, "shift": shift, "times": rounded(torch.tensor(grid[:-1])), "slopes": rows, "kept": rounded(kept_so)}  # fmt: skip


def brightness_kept(kept: Tensor, share: Tensor) -> float:
    """Standard deviation of brightness over the data's, from what is kept along directions and their shares of its variance, which need not sum to one."""
    share = share[: len(kept)].double()
    return float((share * kept.double().square()).sum().div(share.sum()).sqrt())


def rounded(values: Tensor) -> list[float]:
    """For a JSON."""
    return [round(float(value), 5) for value in values]


# --- F7 ---------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def zero_cells(
    drawer: Drawer,
    data: Captioned,
    moments: Moments,
    prompts: Sequence[str],
    steps: Sequence[int],
    n: int,
    seed: int,
    shift: float,
) -> list[dict[str, Any]]:
    """Zero-init beside the network's own mean start, by prompt and number of steps, for one stage of training.

    `predicted` are the nats by which zero-init is farther at the first node (F7), with `‖μ̂ − μ‖²` of the network's mean output at t = 1. `measured` is
    the difference of Fréchet distances at the end, in up to 64 principal components, to the prompt's own pictures; `w1` of brightness.

    Args:
        drawer: of the stage.
        data: the pictures.
        moments: of them.
        prompts: of the cells.
        steps: of Euler, of the cells.
        n: samples a cell.
        seed: of the noise.
        shift: of the grid.
    """
    x_1 = torch.cat([noise_of(data.size, prompt, n, seed) for prompt in prompts]).to(drawer.device)
    states = drawer.encode([prompt for prompt in prompts for _ in range(n)])
    first = x_1 - drawer.predict(x_1, TRAIN_STEPS, states)
    starts = [_start(data, prompt, part) for prompt, part in zip(prompts, first.split(n), strict=True)]
    cells = []
    for count in steps:
        grid = shifted_grid(count, shift)
        s = grid[1]
        means = _rest(drawer, moved(x_1, first, 1.0, s), states, grid[1:]).split(n)
        zeros = _rest(drawer, x_1, states, grid[1:]).split(n)
        for one, mean, zero in zip(starts, means, zeros, strict=True):
            images = {"mean": mean, "zero": zero}
            nats = formula.zero_init_cost(
                1 - s, s, one["mean norm2"], one["error2"], one["trace"], mean[0].numel(), math
            )
            cell = {"steps": count, "shift": shift, "predicted": float(nats)}
            cells.append(one | cell | _apart(images, data, one["prompt"], moments))
    return cells


def noise_of(size: tuple[int, int, int], prompt: str, n: int, seed: int) -> Tensor:
    """Noise, the same for every way and model; on the CPU."""
    generator = torch.Generator().manual_seed(seed * 1009 + sum(prompt.encode()))
    return torch.randn(n, *size, generator=generator)


def _start(data: Captioned, prompt: str, first: Tensor) -> dict[str, Any]:
    """What is known of a prompt at the start: its pictures' mean and trace, and the error and scatter of the network's outputs at t = 1."""
    own = data.x_0(data.rows(prompt)).to(first)
    mean, guess = own.mean(dim=0), first.mean(dim=0)
    return {
        "prompt": prompt,
        "mean norm2": float(mean.square().sum()),
        "error2": float((guess - mean).square().sum()),
        "trace": float((own - mean).flatten(1).square().sum(dim=1).mean()),
        "scatter": float((first - guess).flatten(1).square().sum(dim=1).mean()),
    }


def _rest(drawer: Drawer, x: Tensor, states: Tensor, grid: Sequence[float]) -> Tensor:
    def denoise(x: Tensor, t: float) -> Tensor:
        return x - t * drawer.predict(x, TRAIN_STEPS * t, states)

    return euler(x, grid, denoise, lambda x, _t, _s: x).clamp(-1, 1)


def _apart(samples: dict[str, Tensor], data: Captioned, prompt: str, moments: Moments) -> dict[str, Any]:
    """How far each end is from the prompt's own pictures; of a single picture the covariance is zero."""
    basis = moments.basis[: min(64, len(moments.eigenvalues))]
    points = data.x_0(data.rows(prompt)).to(basis).flatten(1) @ basis.mT
    law = Law.of(points if len(points) > 1 else points.expand(2, -1))
    truth, numbers = data.brightness[data.rows(prompt)], {}
    distances = {name: law.distance(images.flatten(1) @ basis.mT) for name, images in samples.items()}
    for name, images in samples.items():
        levels = brightness_of(images).cpu()
        numbers |= {
            f"{name} distance": distances[name].value,
            f"{name} w1": wasserstein(levels, truth),
            f"{name} bias": float(levels.mean() - truth.mean()),
        }
    apart = distances["zero"].influence - distances["mean"].influence
    numbers["measured"] = distances["zero"].value - distances["mean"].value
    numbers["measured error"] = float(apart.std()) / len(apart) ** 0.5
    return numbers

"""What the cosine law says of brightness in latents before anything is drawn, and what a network keeps of it (F1, F2, F6).

Brightness of a decoded picture is nearly linear in its latent. With `c_k` the share of its variance that goes along the k-th principal
component of the latents, Euler's steps keep `√(Σ c_k kept_k² / Σ c_k)` of its standard deviation.
"""

import math
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import brightness_of
from docs.experiments.flow import predict
from docs.experiments.flow.draw import Flows, Moments
from docs.experiments.flow.grids import REFERENCE
from docs.experiments.flow.latent.space import Space
from docs.experiments.flow.solvers import shifted_grid
from docs.experiments.flow.ways import Way
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

STEPS = (4, 6, 8, 10, 20, 50)
COMPONENTS = 256
"""That are compared; brightness is spread over them."""
_SHOWN = 16


def root_shift(d: int) -> float:
    """F6's shift `√(d/192)`, which is 4 for 32×32 pixels in colour, to a tenth."""
    return round(math.sqrt(d / REFERENCE), 1)


def shifts_of(d: int) -> tuple[float, ...]:
    """The shifts at which the prediction is made."""
    return (3.0, 1.0, root_shift(d))


def shares(latents: Tensor, levels: Tensor, moments: Moments) -> Tensor:
    """Squared correlation of brightness with each principal component; shape (k,), float64.

    Args:
        latents: of the data, shape (n, channels, side, side).
        levels: brightness of each decoded picture, shape (n,).
        moments: of the latents.
    """
    device = moments.basis.device
    rows = (latents.to(device) - moments.mean).flatten(1) @ moments.basis[:COMPONENTS].mT
    apart = (levels.double() - levels.double().mean()).to(device)
    covariance = rows.double().mT @ apart / len(apart)
    lam = moments.var[:COMPONENTS].double().clamp(min=1e-12)
    return (covariance.square() / (lam * apart.square().mean())).cpu()


def expected(eigenvalues: Tensor, share: Tensor, d: int) -> list[dict[str, Any]]:
    """For Euler's steps, from the latents' eigenvalues alone."""
    lam = eigenvalues[:COMPONENTS].double()
    rows = []
    for shift in shifts_of(d):
        for steps in STEPS:
            kept = spread_kept(RectifiedFlow(), shifted_grid(steps, shift), lam)
            row = {"steps": steps, "shift": shift, "kept": predict.rounded(kept[:_SHOWN])}
            rows.append(row | {"brightness": round(predict.brightness_kept(kept, share), 5)})
    return rows


def compared(
    flows: Flows, space: Space, x_1: Tensor, steps: int, shift: float, share: Tensor, std: float
) -> dict[str, Any]:
    """The network without a prompt beside the law: along the components of latents, and in the brightness of decoded pictures.

    Args:
        flows: in latents.
        space: that decodes.
        x_1: noise of the latents' size.
        steps: of Euler.
        shift: of the grid.
        share: as `shares`.
        std: of the brightness of all decoded pictures of the data.
    """
    lam = flows.moments.eigenvalues[:COMPONENTS]
    latents, _ = flows(Way("", grid=f"shift {shift:g}"), x_1, [""] * len(x_1), 1.0, steps)
    law = spread_kept(RectifiedFlow(), shifted_grid(steps, shift), lam)
    levels = brightness_of(space.decode(latents).clamp(-1, 1)).cpu()
    return {
        "steps": steps,
        "shift": shift,
        "network": predict.rounded(predict.kept(latents, flows.moments, lam)),
        "law": predict.rounded(law),
        "brightness": round(float(levels.std()) / std, 5),
        "brightness by the law": round(predict.brightness_kept(law, share), 5),
    }


def levels_of(space: Space, latents: Tensor) -> Tensor:
    """Brightness of the decoded pictures of latents, shape (n,), float64."""
    return torch.cat([brightness_of(space.decode(some).clamp(-1, 1)).cpu() for some in latents.split(1024)])

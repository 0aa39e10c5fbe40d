"""How far trained denoisers are from the exact one, prompt by prompt and noise level by noise level.

For every timestep of the sampler's grid, with `x_t = α x_0 + σ n` of a prompt's pictures and the prompt as condition, without guidance:

    mse      E‖x_0 − m_θ(x_t)‖²        the loss, in units of x
    error2   E‖x̂ − m_θ(x_t)‖²          what the network adds: B8's third term is ½ Σ g_k error2_k
    bias     E⟨m_θ − x̂, 1⟩/d           of the brightness, in units of x
    mmse     E‖x_0 − x̂‖²               which no denoiser goes below

`x̂` is the exact denoiser of the prompt's pictures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned
from docs.experiments.model.draw import Drawer, sampler

KEYS = ("mse", "error2", "bias", "mmse")
_GRID, _MORE = 50, (999, 991, 961, 921, 0)


def exact_mean(points: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    """`E[x_0 | x_t]` for equally likely points (n, d), float64 on any device; shape of `x_t` (batch, d).

    Few points and queries; `singtheory.Atoms` is for many, and says how far it may be off (compared in the tests).
    """
    points, x_t = points.double(), x_t.double()
    scores = (alpha * x_t @ points.mT - alpha**2 / 2 * points.square().sum(dim=1)) / sigma**2
    return scores.softmax(dim=1) @ points


@torch.no_grad()
def loss_curves(
    drawers: Mapping[str, Drawer], data: Captioned, prompts: Sequence[str], n: int, device: str, seed: int
) -> dict[str, Any]:
    """The losses of every model over the timesteps of 50 leading steps and some beside.

    Args:
        drawers: of the models by name.
        data: the pictures.
        prompts: captions of it.
        n: draws a prompt and timestep, the same for all models.
        device: of the drawers.
        seed: of the draws.
    """
    first = next(iter(drawers.values()))
    grid = sampler(first.model, steps=_GRID).timesteps.tolist()
    steps = sorted({*grid, *_MORE})
    curves: dict[str, Any] = {"timesteps": steps, "n": n, "snr": {}}
    factors = {name: drawer.model.alphas_sigmas() for name, drawer in drawers.items()}
    for name, (alphas, sigmas) in factors.items():
        curves["snr"][name] = [float(alphas[t].double() ** 2 / sigmas[t].double() ** 2) for t in steps]
    points = {prompt: data.x_0(data.rows(prompt)).flatten(1).to(device) for prompt in prompts}
    words = [prompt for prompt in prompts for _ in range(n)]
    tables = {prompt: {name: {key: [] for key in KEYS} for name in drawers} for prompt in prompts}
    generator = torch.Generator().manual_seed(seed + 2)
    for t in steps:
        rows = {prompt: torch.randint(len(points[prompt]), (n,), generator=generator).to(device) for prompt in prompts}
        x_0 = torch.cat([points[prompt][rows[prompt]] for prompt in prompts])
        noise = torch.randn(x_0.shape, generator=generator).to(device)
        exact: dict[tuple[float, float], Tensor] = {}
        for name, drawer in drawers.items():
            alpha, sigma = (float(values[t]) for values in factors[name])
            x_t = alpha * x_0 + sigma * noise
            if (alpha, sigma) not in exact:
                parts = zip(prompts, x_t.split(n), strict=True)
                exact[alpha, sigma] = torch.cat([exact_mean(points[p], some, alpha, sigma) for p, some in parts])
            output = drawer.predict(x_t.reshape(-1, *data.size), t, drawer.encode(words)).flatten(1)
            m = drawer.model.denoised(x_t, output, alpha, sigma).double()
            for prompt, *three in zip(prompts, m.split(n), exact[alpha, sigma].split(n), x_0.split(n), strict=True):
                for key, value in zip(KEYS, _measured(*three), strict=True):
                    tables[prompt][name][key].append(value)
    return curves | {"prompts": tables}


def _measured(m: Tensor, best: Tensor, x_0: Tensor) -> tuple[float, ...]:
    squares = [(m - x_0).square(), (m - best).square(), (best - x_0).square()]
    mse, error2, mmse = (float(one.sum(dim=1).mean()) for one in squares)
    return mse, error2, float((m - best).mean()), mmse

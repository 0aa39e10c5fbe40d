"""The average image of one data set in another's model: what the wrong mean costs, predicted by C7 and measured (question 10)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, brightness_of
from docs.experiments.ladder.predict import moments_of
from docs.experiments.model.draw import Drawer, sampler
from docs.experiments.model.fit import say
from singdiffusion.start import prepared_latents
from singtheory import formula
from singtheory.start import Start, arrival

_HALF = 127.5


def means_of(data: Captioned, prompt: str, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The prompt's own mean, and foreign ones by name, each of a picture's shape."""
    return {"own": data.x_0(data.rows(prompt)).mean(dim=0)} | dict(others)


def foreign(
    drawer: Drawer,
    data: Captioned,
    prompts: Sequence[str],
    others: Mapping[str, Tensor],
    samples: int,
    steps: int,
    seed: int,
) -> list[dict[str, Any]]:
    """A row a prompt and mean: the mean start's brightness as C7 predicts it and as it is, without guidance.

    Args:
        drawer: of the model.
        data: what it was trained on.
        prompts: captions of it, "" for none.
        others: means of other data by name, each (channels, side, side).
        samples: a row.
        steps: of DDIM.
        seed: of the noise.
    """
    scheduler = sampler(drawer.model, steps=steps)
    first = int(scheduler.timesteps[0])
    alpha, sigma = (float(values[first]) for values in drawer.model.alphas_sigmas())
    x_1 = torch.randn(samples, *data.size, generator=torch.Generator().manual_seed(seed))
    reading = torch.full((x_1[0].numel(),), _HALF / x_1[0].numel(), dtype=torch.float64)
    rows = []
    for prompt in prompts:
        moments = moments_of(data.x_0(data.rows(prompt)).flatten(1).double())
        for name, mean in means_of(data, prompt, others).items():
            flat = mean.flatten().double()
            start = Start(alpha * flat, torch.full_like(moments.components.std, sigma), sigma)
            low, spread = arrival(moments, start, alpha, sigma, reading, _HALF)
            latents = prepared_latents(mean.expand_as(x_1), x_1, scheduler)
            levels = brightness_of(drawer(latents, [prompt] * samples, 1.0, steps=steps))
            rows.append(
                {"prompt": prompt, "mean of": name, "its brightness": float(_HALF * (flat.mean() + 1))}
                | {"predicted mean": low, "predicted std": spread}
                | {"mean": float(levels.mean()), "std": float(levels.std(correction=0)), "n": samples}
                | {"truth": float(data.brightness[data.rows(prompt)].mean())}
                | {"nats": float(formula.mean_gain(formula.snr(alpha, sigma), (flat - moments.mean).square().sum()))}
            )
            say(repr(prompt), "mean of", name)
    return rows

"""`python -m docs.experiments.ladder.collapse --data openmoji.npz.xz --out DIR`: the pull to the nearest training picture as t → 0, exact denoiser against trained model.

Both draw the same prompts from the same noised pictures (DDIM-50, no guidance), and of every step's denoised picture `x̂` the distance to the nearest
of all training pictures is taken. By D1 the exact one ends on one of them; what a network learns is to stop short. Writes
docs/experiments/results/ladder/collapse.json and collapse.npz with some of the pictures.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, read
from docs.experiments.data.prompts import OPENMOJI
from docs.experiments.ladder.evaluate import NEAR
from docs.experiments.metric.curves import exact_mean
from docs.experiments.metric.distances import nearest
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.draw import Drawer, sampler
from docs.experiments.model.fit import say
from docs.experiments.script.arguments import add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.demonstrator import PIPELINE
from singdiffusion.start import prepared_latents
from singtheory.data import to_bytes
from singtheory.system import write_bytes

SHOWN_STEPS = (0, 15, 30, 40, 45, 49)
"""Steps whose `x̂` is kept, of 50."""
_KEPT = 2

Denoised = Callable[[Tensor, int], Tensor]
"""`x̂` of latents (n, channels, side, side) at a timestep."""


def denoisers(drawer: Drawer, data: Captioned, prompt: str, n: int) -> dict[str, Denoised]:
    """The exact denoiser of a prompt's pictures, and the trained one."""
    points = data.x_0(data.rows(prompt)).flatten(1).to(drawer.device)
    alphas, sigmas = drawer.model.alphas_sigmas(drawer.device)
    states = drawer.encode([prompt] * n)

    def exact(x_t: Tensor, t: int) -> Tensor:
        return exact_mean(points, x_t.flatten(1), float(alphas[t]), float(sigmas[t])).float().reshape(x_t.shape)

    def trained(x_t: Tensor, t: int) -> Tensor:
        return drawer.model.denoised(x_t, drawer.predict(x_t, t, states), float(alphas[t]), float(sigmas[t]))

    return {"exact denoiser": exact, "trained model": trained}


def path(denoised: Denoised, drawer: Drawer, x_t: Tensor, steps: int) -> tuple[list[int], list[Tensor]]:
    """Timesteps of DDIM and `x̂` at each of them; the sampler ends at the last."""
    scheduler = sampler(drawer.model, steps=steps, device=drawer.device)
    alphas, sigmas = drawer.model.alphas_sigmas(drawer.device)
    predictions = []
    for t in scheduler.timesteps.tolist():
        x_0 = denoised(x_t, t)
        predictions.append(x_0)
        noise = (x_t - float(alphas[t]) * x_0) / float(sigmas[t])
        x_t = scheduler.step(drawer.model.target(x_0, noise, alphas[t], sigmas[t]), t, x_t, return_dict=False)[0]
    return scheduler.timesteps.tolist(), predictions


def collapse(drawer: Drawer, data: Captioned, samples: int, steps: int, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Distances by prompt, denoiser and timestep, and pictures (prompts, denoisers, kept, steps + 1, height, width, channels), the last the nearest.

    Args:
        drawer: of the model.
        data: what it was trained on.
        samples: a prompt.
        steps: of DDIM.
        seed: of the noise.
    """
    points = data.x_0().flatten(1).to(drawer.device)
    measured: dict[str, Any] = {"near": NEAR, "n": samples, "prompts": {}}
    sheets = []
    for prompt in OPENMOJI.open:
        generator, rows = torch.Generator().manual_seed(seed), data.rows(prompt)
        x_1 = torch.randn(samples, *data.size, generator=generator).to(drawer.device)
        x_0 = data.x_0(rows[torch.randint(len(rows), (samples,), generator=generator)]).to(drawer.device)
        scheduler = sampler(drawer.model, steps=steps, device=drawer.device)
        start = prepared_latents(x_0, x_1, scheduler)
        measured["prompts"][prompt], sheet = {}, []
        for name, denoised in denoisers(drawer, data, prompt, samples).items():
            timesteps, predictions = path(denoised, drawer, start, steps)
            distances, rows_near = (one.split(samples) for one in nearest(torch.cat(predictions).clamp(-1, 1), points))
            measured |= {"timesteps": timesteps}
            measured["prompts"][prompt][name] = {
                "nearest": [float(distance.median()) for distance in distances],
                "near duplicates": [float((distance < NEAR).double().mean()) for distance in distances],
            }
            kept = [predictions[min(step, steps - 1)][:_KEPT].cpu() for step in SHOWN_STEPS]
            sheet.append(torch.stack([*map(to_bytes, kept), data.images[rows_near[-1][:_KEPT]]], dim=1))
            say(prompt, name)
        sheets.append(torch.stack(sheet))
    return measured, torch.stack(sheets).movedim(4, 6).numpy()


def main() -> None:
    """On the CPU, minutes."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser)
    parser.add_argument("--samples", type=int, default=16, help="a prompt")
    parser.add_argument("--steps", type=int, default=50)
    add_seed(parser)
    arguments = parser.parse_args()
    quiet()
    with one_line_errors(parser):
        since, data = time.perf_counter(), read(arguments.data)
        result = Result(
            arguments.out / "collapse.json", origin("docs.experiments.ladder.collapse", "cpu", arguments.seed)
        )
        drawer = Drawer(Denoiser.load(PIPELINE), "cpu", 256)
        measured, pictures = collapse(drawer, data, arguments.samples, arguments.steps, arguments.seed)
        for name, value in measured.items():
            result.add(name, value)
        result.add("seconds", time.perf_counter() - since)
        packed = io.BytesIO()
        np.savez_compressed(packed, pictures=pictures)
        write_bytes(arguments.out / "collapse.npz", packed.getvalue())


if __name__ == "__main__":
    main()

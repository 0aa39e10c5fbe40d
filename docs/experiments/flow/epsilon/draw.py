"""Drawing from an ε model in large batches by samplers of diffusers, DDIM's steps corrected where that is asked for, all from the same noise.

A DDIM(0) step from t to s keeps `cos(θ_s − θ_t)` of the deviation from `α μ` along an eigenvector of Σ (F1). A corrected step divides the deviation of its
result from `α_s m` by that cosine, along known directions with known eigenvalues; m is the average image from which the start was made.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from docs.experiments.flow.draw import RULE, Moments, Spread, in_batches
from docs.experiments.flow.epsilon.ways import Way
from docs.experiments.model.draw import Drawer, sampler, states_of
from singdiffusion.average import Average
from singdiffusion.start import guidance_rule, guided_average, initial_latents
from singtheory import formula

Point = tuple[float, float]
"""`α` and `σ` at a time."""


def nodes(scheduler: Any) -> list[Point]:
    """The levels of DDIM's steps: where each begins, and at last where the last one stops; shape (steps + 1,)."""
    bars, length = scheduler.alphas_cumprod.double(), scheduler.config.num_train_timesteps
    last = int(scheduler.timesteps[-1]) - length // scheduler.num_inference_steps
    levels = bars[scheduler.timesteps.cpu()].tolist()
    levels.append(float(bars[last]) if last >= 0 else float(scheduler.final_alpha_cumprod))
    return [(bar**0.5, (1 - bar) ** 0.5) for bar in levels]


def corrected(x: Tensor, mean: Tensor, spread: Spread, begin: Point, end: Point) -> Tensor:
    """The result x of a step, its deviations from `α_s m` divided by what the step has kept of them (F1).

    Args:
        x: at the end of the step, shape (n, channels, side, side).
        mean: m.
        spread: directions and eigenvalues.
        begin: `(α_t, σ_t)`.
        end: `(α_s, σ_s)`.
    """
    kept = formula.step_kept(*begin, *end, spread.var, torch)
    return x + spread.along(x - end[0] * mean, 1 / kept - 1)


class Epsilons:
    """An ε model on a device, with what the ways know; it is called as `flow.draw.Flows` is.

    Args:
        drawer: of the network.
        trained: an average image with a spread on its token states, on the device.
        moments: of all pictures.
    """

    def __init__(self, drawer: Drawer, trained: Any, moments: Moments) -> None:
        self.drawer, self.trained, self.moments = drawer, trained, moments

    def __call__(
        self, way: Way, x_1: Tensor, prompts: Sequence[str], guidance: float, evaluations: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Pictures, and how many evaluations were taken, as many as there are steps.

        Args:
            way: of drawing.
            x_1: noise, shape (n, channels, side, side).
            prompts: one an image.
            guidance: w.
            evaluations: of the network.
        """
        images = [
            self._drawn(way, part, words, guidance, evaluations)
            for part, words in in_batches(x_1, prompts, self.drawer.batch)
        ]
        return torch.cat(images), {"evaluations": float(evaluations)}

    @torch.no_grad()
    def _drawn(self, way: Way, x_1: Tensor, prompts: Sequence[str], guidance: float, steps: int) -> Tensor:
        states, empty = states_of(self.drawer, prompts, guidance)
        scheduler = sampler(self.drawer.model, way.sampler, steps, self.drawer.device)
        average = guided_average(self.trained, states, empty, x_1, guidance, guidance_rule(RULE))
        x = start(way, average, x_1, scheduler)
        spread = self._spread(way, average)
        places = nodes(scheduler) if spread is not None else []
        for number, t in enumerate(scheduler.timesteps):
            output = self._output(scheduler.scale_model_input(x, t), t, states, empty, guidance)
            x = scheduler.step(output, t, x, return_dict=False)[0]
            if spread is not None and number < steps - way.spared:
                x = corrected(x, average.mean, spread, places[number], places[number + 1])
        return x

    def _output(self, x: Tensor, t: Tensor, states: Tensor, empty: Tensor | None, guidance: float) -> Tensor:
        cond = self.drawer.predict(x, t, states)
        if empty is None:
            return cond
        return formula.plain_guidance(cond, self.drawer.predict(x, t, empty), guidance)

    def _spread(self, way: Way, average: Average) -> Spread | None:
        """Whether and how steps are corrected."""
        if way.along == "statistics":
            return Spread(self.moments.basis, self.moments.var)
        if way.along == "trained":
            assert average.basis is not None and average.std is not None
            return Spread(average.basis.flatten(1).float(), average.std.float().square())
        return None


def start(way: Way, average: Average, x_1: Tensor, scheduler: Any) -> Tensor:
    """The first latents in the scheduler's units."""
    if way.start == "noise":
        return x_1 * scheduler.init_noise_sigma
    spread = average.spread if way.start == "matched" else None
    return initial_latents(average.mean, x_1, scheduler, spread=spread) * scheduler.init_noise_sigma

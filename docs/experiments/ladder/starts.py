"""The starts that the ladder compares, each a batch of latents in a scheduler's own units, from the same noise `x_1`.

| name           | start                                        | knows                                                  |
|----------------|----------------------------------------------|--------------------------------------------------------|
| noise          | `x_1`, what everyone does                    | nothing                                                |
| mean           | `α ȳ_w + σ x_1`, SingDiffusion               | a trained average image                                |
| mean closed    | the same                                     | the mean of the prompt's pictures                      |
| matched        | the moment-matched start (C7)                | a trained average image and its spread                 |
| matched closed | the same                                     | mean and deviations of the prompt's pictures           |
| statistics     | the same                                     | mean and widest directions of all pictures, no prompt  |
| exact          | `α x_0 + σ x_1`, the upper bound             | a picture of the prompt a sample                       |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from singdiffusion.average import Average, AverageImage
from singdiffusion.start import guidance_rule, guided_average, prepared_latents
from singtheory.errors import unknown_name

STARTS = ("noise", "mean", "mean closed", "matched", "matched closed", "statistics", "exact")
_AT_ONCE = 2048


@dataclass(frozen=True)
class Starts:
    """What the starts know.

    Attributes:
        trained: an average image on token states.
        closed: one on prompts, of the prompts in use.
        statistics: prompt-free.
        encode: token states of prompts, one an image, on the device.
    """

    trained: AverageImage
    closed: AverageImage
    statistics: AverageImage
    encode: Any

    def __call__(
        self,
        name: str,
        scheduler: Any,
        x_1: Tensor,
        prompts: Sequence[str],
        guidance: float,
        rule: str = "normalised",
        x_0: Tensor | None = None,
    ) -> Tensor:
        """The first latents, as a pipeline has them after `prepare_latents`.

        Args:
            name: one of `STARTS`.
            scheduler: after `set_timesteps`.
            x_1: noise, shape (n, channels, height, width).
            prompts: one an image.
            guidance: w of the average image.
            rule: by which guidance acts on it.
            x_0: pictures of the prompts, for the exact start.
        """
        if name not in STARTS:
            raise unknown_name("start", name, STARTS)
        if name == "noise":
            return x_1 * scheduler.init_noise_sigma
        if name == "exact":
            assert x_0 is not None
            return prepared_latents(x_0, x_1, scheduler)
        latents = []
        for first in range(0, len(x_1), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            average = self._average(name, list(prompts[part]), x_1[part], guidance, rule)
            spread = average.spread if name.startswith("matched") or name == "statistics" else None
            latents.append(prepared_latents(average.mean, x_1[part], scheduler, spread=spread))
        return torch.cat(latents)

    @torch.no_grad()
    def _average(self, name: str, prompts: list[str], x_1: Tensor, guidance: float, rule: str) -> Average:
        if name == "statistics":  # knows no prompt, so there is nothing to be guided away from
            return self.statistics(prompts, x_1)
        empty = [""] * len(prompts)
        if name.endswith("closed"):
            return guided_average(self.closed, prompts, empty, x_1, guidance, guidance_rule(rule))
        cond, uncond = self.encode(prompts), self.encode(empty)
        return guided_average(self.trained, cond, uncond, x_1, guidance, guidance_rule(rule))

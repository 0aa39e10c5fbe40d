r"""Later steps of a flow, corrected: deviations along known directions are divided by the share of them that a step keeps (F1).

An Euler step keeps `cos(θ_s − θ_t)` of the deviation from `α_s m` along an eigenvalue λ. What another solver keeps is measured: a copy of it goes the
same grid on the exact denoiser of Gaussian data, corrected as the latents are, one eigenvalue an entry of the batch. The last step is left as it
is: near t = 0 data are not Gaussian, and what is lost there is not to be had back by a factor (F4).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from singdiffusion.base import Pulses, Scheduler
from singdiffusion.start.flow import FirstStep, on_cpu, projected
from singdiffusion.system import told_in_one_line
from singtheory import formula
from singtheory.errors import InputError
from singtheory.start import Components

LOST = 0.05
"""A step that keeps less than this share of a deviation is left alone: there is nothing left to divide."""


def factors(scheduler: Scheduler, first: FirstStep, std: Tensor) -> dict[int, Tensor]:
    """What each later step but the last multiplies deviations by, with the index of the step as key; float64, of the shape of `std`.

    Args:
        scheduler: after its first step, mended; it is not changed.
        first: that step.
        std: `√λ` along the directions.

    Raises:
        InputError: for a scheduler that draws noise in later steps, which no factor of the result corrects.
    """
    name = type(scheduler).__name__
    probe = on_cpu(scheduler)
    sigmas = [first.sigma_at(sigma) for sigma in probe.sigmas.tolist()]
    lam = std.detach().double().cpu().flatten().square().view(-1, 1, 1, 1)
    index, scales = int(probe.step_index), {}
    x = formula.marginal_var(1 - sigmas[index], sigmas[index], lam).sqrt()
    with torch.no_grad(), Pulses(torch.zeros(len(lam), 1, dtype=torch.float64)) as pulses:
        for i in range(index, len(probe.timesteps)):
            sigma, after = sigmas[i : i + 2]
            x_hat = formula.posterior_slope(1 - sigma, sigma, lam) * x
            with told_in_one_line(f"{name}: cannot be stepped", "leave corrected out"):
                x = probe.step(first.sign * (x - x_hat) / sigma, probe.timesteps[i], x).prev_sample.double()
            target = formula.marginal_var(1 - after, after, lam).sqrt()
            if after > 0:
                factor = torch.where(x > LOST * target, target / x, 1.0)
                scales[i], x = factor.view(std.shape), x * factor
    if pulses.draws:
        raise InputError(
            f"{name}: draws noise in its steps, which no factor corrects; leave corrected out, or take another scheduler"
        )
    return scales


@dataclass(frozen=True)
class Corrections:
    """What is done to the results of later steps.

    Attributes:
        rows: `φ_k` as rows, shape (k, d).
        mean: `⟨m, φ_k⟩`, shape (batch, k).
        factors: by the index of the step, shape (k,) or (batch, k).
        alphas: α where each step arrives, by its index.
    """

    rows: Tensor
    mean: Tensor
    factors: dict[int, Tensor]
    alphas: dict[int, float]

    @classmethod
    def of(cls, scheduler: Scheduler, first: FirstStep, components: Components, mean: Tensor) -> "Corrections":
        """The corrections for a scheduler after its first step, and for a mean of the shape of the latents. Raises `InputError` as `factors`."""
        rows = components.basis.flatten(1).to(torch.promote_types(mean.dtype, torch.float32))
        scales = {i: value.to(rows) for i, value in factors(scheduler, first, components.std).items()}
        sigmas = scheduler.sigmas.tolist()
        alphas = {i: 1 - first.sigma_at(sigmas[i + 1]) for i in scales}
        return cls(rows, projected(mean.flatten(1).to(rows), rows), scales, alphas)

    def applied(self, index: int, latents: Tensor) -> Tensor:
        """The result of the step of that index, corrected, like `latents`."""
        if index not in self.factors:
            return latents
        result = latents.flatten(1).to(self.rows)
        deviations = projected(result, self.rows) - self.alphas[index] * self.mean
        result = torch.addmm(result, (self.factors[index] - 1) * deviations, self.rows)
        return result.view(latents.shape).to(latents.dtype)

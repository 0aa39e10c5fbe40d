"""What a flow's sampler keeps of the spread of Gaussian data: as it is, with its first step mended, and with later steps corrected (F1, F2, F10)."""

from typing import NamedTuple

import torch
from torch import Tensor

from singdiffusion.base import Pulses, Scheduler
from singdiffusion.start import START_GAP, Began, Corrections, FirstStep, measured, mended, on_cpu
from singdiffusion.system import told_in_one_line
from singtheory import formula
from singtheory.errors import InputError
from singtheory.start import Components


class Kept(NamedTuple):
    """Standard deviations over the data's, along each eigenvalue; shape (k,), float64.

    Attributes:
        first: after the first step.
        end: at the end.
    """

    first: Tensor
    end: Tensor


def kept(scheduler: Scheduler, eigenvalues: Tensor, *, matched: bool | Tensor = False, corrected: bool = False) -> Kept:
    """What the scheduler itself, run on the exact denoiser of Gaussian data, keeps.

    Args:
        scheduler: of flows, after `set_timesteps`; it is not changed.
        eigenvalues: λ along each direction, positive, shape (k,).
        matched: whether the first step is mended along them, or along which of them, shape (k,), bool. What begins anew after it does so for all.
        corrected: whether later steps are, too.

    Raises:
        InputError: as `flow.measured`; for a first step to mend that starts below σ = 1, and for corrections of a sampler that draws noise.
    """
    first = measured(scheduler)
    lam = eigenvalues.double()
    where = torch.as_tensor(matched).expand(len(lam))
    if bool(where.any()) and first.alpha > START_GAP:
        raise InputError(f"{type(scheduler).__name__}: starts at sigma {first.sigma:.4g}; give sigmas that start at 1")
    draws = _run(scheduler, first, lam[:1], torch.ones(1, 1, dtype=torch.float64), where.any()[None], corrected)[1]
    sources = 1 + draws
    amounts = torch.eye(sources, dtype=torch.float64).repeat_interleave(len(lam), dim=0)
    states, _ = _run(scheduler, first, lam.repeat(sources), amounts, where.repeat(sources), corrected)
    stds = states.view(-1, sources, len(lam)).square().sum(dim=1).sqrt()
    after = formula.marginal_var(1 - first.sigma_s, first.sigma_s, lam).sqrt()
    return Kept(stds[first.stages - 1] / after, stds[-1] / lam.sqrt())


def _run(
    scheduler: Scheduler, first: FirstStep, lam: Tensor, amounts: Tensor, matched: Tensor, corrected: bool
) -> tuple[Tensor, int]:
    """The latents after each step, shape (steps, batch), for amounts of the start and of each noise, (batch, 1 + noises); and how often noise is drawn.

    Mended where `matched`, shape (batch,).
    """
    probe = on_cpu(scheduler)
    began = Began.of(probe)
    sigmas = [first.sigma_at(float(sigma)) for sigma in probe.sigmas.double()]
    along = Components(torch.ones(1, 1, 1, 1, dtype=torch.float64), lam.sqrt()[:, None])
    x, images = amounts[:, 0].view(-1, 1, 1, 1), lam.view(-1, 1, 1, 1)
    where, states, corrections, still = matched.view(-1, 1, 1, 1), [], None, 0
    with torch.no_grad(), Pulses(amounts) as pulses:
        for i, timestep in enumerate(probe.timesteps):
            if still:  # a second stage of a mended first step moves nothing
                still -= 1
                states.append(x)
                continue
            x_hat = formula.posterior_slope(1 - sigmas[i], sigmas[i], images) * x
            output = first.sign * (x - x_hat) / sigmas[i]
            with told_in_one_line(f"{type(scheduler).__name__}: cannot be stepped"):
                after = probe.step(output, timestep, x).prev_sample.double()
            if i == 0 and bool(matched.any()):
                after = torch.where(where, mended(after, x, output, first, None, along), after)
                still = first.stages - 1
                began.at_second(probe, first.stages)
                corrections = Corrections.of(probe, first, along, 0 * x_hat) if corrected else None
            elif corrections is not None:
                after = torch.where(where, corrections.applied(i, after), after)
            x = after
            states.append(x)
    return torch.stack(states).flatten(1), pulses.draws

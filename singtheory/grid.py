r"""Time grids of samplers: `steps + 1` times in decreasing order, from the start of sampling down to its end.

On a `Discrete` schedule the named grids are diffusers' own step numbers k, as times `(k+1)/T`; the last step ends where
the scheduler ends (`set_alpha_to_one`): at t = 0, or at the first node.
"""

import math

import torch
from torch import Tensor

from singtheory.errors import InputError, unknown_name
from singtheory.schedule import Discrete, Schedule


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise InputError(f"steps {steps}: need at least one step")


def _node_times(schedule: Discrete, nodes: Tensor) -> Tensor:
    """The times of step numbers in decreasing order, closed by the time at which the sampler ends."""
    if len(nodes) > schedule.train_steps or int(nodes[0]) >= schedule.train_steps:
        raise InputError(
            f"steps {len(nodes)}: this spacing asks for step {int(nodes[0])} of {schedule.train_steps} (0 is the first): "
            "take fewer steps or trailing spacing"
        )
    times = (nodes.to(torch.float64) + 1) / schedule.train_steps
    first_node = 1 / schedule.train_steps
    end = 0.0 if schedule.set_alpha_to_one or float(times[-1]) <= first_node else first_node
    return torch.cat([times, torch.tensor([end], dtype=torch.float64)])


def leading(schedule: Schedule, steps: int) -> Tensor:
    """Starts short of t = 1 (at `1 − 1/steps` on continuous schedules): the default of most checkpoints."""
    _check_steps(steps)
    if isinstance(schedule, Discrete):
        ratio = schedule.train_steps // steps
        return _node_times(schedule, torch.arange(steps).flip(0) * ratio + schedule.steps_offset)
    return torch.linspace(1 - 1 / steps, 0, steps + 1, dtype=torch.float64)


def trailing(schedule: Schedule, steps: int) -> Tensor:
    """Starts at t = 1."""
    _check_steps(steps)
    if isinstance(schedule, Discrete):
        ratio = schedule.train_steps / steps
        nodes = torch.round(torch.arange(steps, 0, -1, dtype=torch.float64) * ratio) - 1
        return _node_times(schedule, nodes)
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def linspace(schedule: Schedule, steps: int) -> Tensor:
    """Both the last and the first node; on continuous schedules the same grid as `trailing`."""
    if not isinstance(schedule, Discrete):
        return trailing(schedule, steps)
    _check_steps(steps)
    nodes = torch.linspace(0, schedule.train_steps - 1, steps, dtype=torch.float64).round().flip(0)
    return _node_times(schedule, nodes)


def uniform_log_snr(schedule: Schedule, steps: int, snr_start: float, snr_end: float) -> Tensor:
    """Equal steps in `log γ` from `snr_start` up to `snr_end`, both positive and finite."""
    _check_steps(steps)
    if not 0 < snr_start < snr_end < math.inf:
        raise InputError(f"snr {snr_start} to {snr_end}: need 0 < start < end < infinity")
    log_snr = torch.linspace(math.log(snr_start), math.log(snr_end), steps + 1, dtype=torch.float64)
    return schedule.time_of_snr(log_snr.exp())


def karras(schedule: Schedule, steps: int, snr_start: float, snr_end: float, rho: float = 7.0) -> Tensor:
    """Equal steps in `(σ/α)^{1/ρ}` (Karras et al. 2022, equation 5), from `snr_start` up to `snr_end`."""
    _check_steps(steps)
    if not (0 < snr_start < snr_end < math.inf and rho > 0):
        raise InputError(f"snr {snr_start} to {snr_end}, rho {rho}: need 0 < start < end < infinity and rho > 0")
    root = torch.linspace(snr_start ** (-0.5 / rho), snr_end ** (-0.5 / rho), steps + 1, dtype=torch.float64)
    return schedule.time_of_snr(root ** (-2 * rho))


_NAMED = {"leading": leading, "trailing": trailing, "linspace": linspace}


def grid_named(spacing: str, schedule: Schedule, steps: int) -> Tensor:
    """The grid of a diffusers `timestep_spacing`, shape (steps + 1,). Raises `InputError` for an unknown name."""
    if spacing not in _NAMED:
        raise unknown_name("spacing", spacing, _NAMED)
    return _NAMED[spacing](schedule, steps)

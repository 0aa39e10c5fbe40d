r"""Time grids of samplers: `steps + 1` times in decreasing order, from the start of sampling down to its end.

On a `Discrete` schedule the named grids are diffusers' own step numbers k, as times `(k+1)/T`; the last step ends where
the scheduler ends (`set_alpha_to_one`): at t = 0, or at the first node.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from singtheory import formula
from singtheory.errors import InputError, unknown_name
from singtheory.numerics import check_precisions
from singtheory.schedule import Cosine, Schedule, TrainedSteps

Mmse = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps γ of shape (n,) to `mmse(γ)` and `mmse′(γ)`."""

_CANDIDATES, _ROUNDS = 129, 13
"""First steps tried from 2^-64 of the range up, two an octave; 13 rounds of 4 bits leave the last bit of float64."""

_PIECES, _PIECE_NODES = 128, 8
_SPREAD_NODES, _CHOICES, _MOST_CHOSEN = 2049, 768, 256
"""Between which a grid is spread by the bends of mmse; γ to choose from, for so many steps at most."""
_LEVEL = 1e-9
"""A relative fall of mmse below which its differences have lost most of their digits."""
_SWEEPS, _PLACES, _ZOOMS = 100, 9, 8
"""A grid settles in so many sweeps at most; each step looks at so many places between its neighbours, nearer every time."""


MOST_STEPS = 10**5
"""The most steps of a grid: a hundred times what any model was trained with."""


def check_steps(steps: int) -> None:
    """Raise `InputError` for a number of steps that no grid has."""
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"steps {steps}: need from 1 to {MOST_STEPS} steps")


def _check_nodes(trained: TrainedSteps, steps: int) -> None:
    """At most one step a node."""
    if steps > trained.steps:
        raise InputError(f"steps {steps}: the schedule has {trained.steps} steps; take at most {trained.steps}")


def _leading_nodes(trained: TrainedSteps, steps: int) -> Tensor:
    """Step numbers in decreasing order, every `T // steps`-th from the offset on."""
    return torch.arange(steps).flip(0) * (trained.steps // steps) + trained.offset


def _leading_first(trained: TrainedSteps, steps: int) -> int:
    """The first of `_leading_nodes`."""
    return (steps - 1) * (trained.steps // steps) + trained.offset


def _check_leading(trained: TrainedSteps, steps: int) -> None:
    """The offset may push the first step beyond the last node; then fewer steps fit."""
    first = _leading_first(trained, steps)
    if first < trained.steps:
        return
    fewer = (n for n in range(steps - 1, 0, -1) if _leading_first(trained, n) < trained.steps)
    raise InputError(
        f"steps {steps}: leading spacing with steps_offset {trained.offset} would start at step {first} of a schedule "
        f"whose last is {trained.steps - 1}; take at most {next(fewer)} steps, or trailing spacing"
    )


def _node_times(trained: TrainedSteps, nodes: Tensor) -> Tensor:
    """The times of step numbers in decreasing order, closed by the time at which the sampler ends."""
    times = (nodes.to(torch.float64) + 1) / trained.steps
    first_node = 1 / trained.steps
    end = 0.0 if trained.ends_at_zero or float(times[-1]) <= first_node else first_node
    return torch.cat([times, torch.tensor([end], dtype=torch.float64)])


def leading(schedule: Schedule, steps: int) -> Tensor:
    """Starts short of t = 1 (at `1 − 1/steps` on continuous schedules): the default of most checkpoints."""
    check_steps(steps)
    trained = schedule.trained
    if trained is not None:
        _check_nodes(trained, steps)
        _check_leading(trained, steps)
        return _node_times(trained, _leading_nodes(trained, steps))
    if steps == 1:
        raise InputError(
            "steps 1: leading spacing of one step would start at t = 0; take two steps, or trailing spacing"
        )
    return torch.linspace(1 - 1 / steps, 0, steps + 1, dtype=torch.float64)


def trailing(schedule: Schedule, steps: int) -> Tensor:
    """Starts at t = 1."""
    check_steps(steps)
    trained = schedule.trained
    if trained is None:
        return torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    _check_nodes(trained, steps)
    nodes = torch.round(torch.arange(steps, 0, -1, dtype=torch.float64) * (trained.steps / steps)) - 1
    return _node_times(trained, nodes)


def linspace(schedule: Schedule, steps: int) -> Tensor:
    """Both the last and the first node; on continuous schedules the same grid as `trailing`."""
    trained = schedule.trained
    if trained is None:
        return trailing(schedule, steps)
    check_steps(steps)
    _check_nodes(trained, steps)
    nodes = torch.linspace(0, trained.steps - 1, steps, dtype=torch.float64).round().flip(0)
    return _node_times(trained, nodes)


def times_of(schedule: Schedule, snr: Tensor) -> Tensor:
    """The times of increasing signal-to-noise ratios, shape (steps + 1,), which decrease.

    Raises:
        InputError: where two of them are one time, as beside t = 1 on schedules along which γ rises steeply there: float64 has no other.
    """
    times = schedule.time_of_snr(snr)
    repeated = (times.diff() >= 0).nonzero()[:, 0]
    if len(repeated):
        k = int(repeated[0])
        raise InputError(
            f"steps {len(snr) - 1}: the signal-to-noise ratios {float(snr[k]):.6g} and {float(snr[k + 1]):.6g} are both at t = {float(times[k])!r}, "
            "for float64 has no time between; take fewer steps or ends that are farther from t = 1"
        )
    return times


def _checked_range(snr_start: float, snr_end: float) -> Tensor:
    """Both ends of a chain, shape (2,). Raises `InputError` unless 0 ≤ start < end < ∞, and beyond the domain."""
    if not 0 <= snr_start < snr_end < math.inf:
        raise InputError(f"snr {snr_start} to {snr_end}: need 0 <= start < end < infinity")
    both = torch.tensor([snr_start, snr_end], dtype=torch.float64)
    check_precisions("snr", both)
    return both


def uniform_log_snr(schedule: Schedule, steps: int, snr_start: float, snr_end: float) -> Tensor:
    """Equal steps in `log γ` from `snr_start` up to `snr_end`, both positive and finite."""
    check_steps(steps)
    if not 0 < snr_start < snr_end < math.inf:
        raise InputError(f"snr {snr_start} to {snr_end}: need 0 < start < end < infinity")
    _checked_range(snr_start, snr_end)
    log_snr = torch.linspace(math.log(snr_start), math.log(snr_end), steps + 1, dtype=torch.float64)
    return times_of(schedule, log_snr.exp())


def karras(schedule: Schedule, steps: int, snr_start: float, snr_end: float, rho: float = 7.0) -> Tensor:
    """Equal steps in `(σ/α)^{1/ρ}` (Karras et al. 2022, equation 5), from `snr_start` up to `snr_end`."""
    check_steps(steps)
    if not (0 < snr_start < snr_end < math.inf and rho > 0):
        raise InputError(f"snr {snr_start} to {snr_end}, rho {rho}: need 0 < start < end < infinity and rho > 0")
    _checked_range(snr_start, snr_end)
    root = torch.linspace(snr_start ** (-0.5 / rho), snr_end ** (-0.5 / rho), steps + 1, dtype=torch.float64)
    return times_of(schedule, root ** (-2 * rho))


def cosine(schedule: Schedule, steps: int, snr_start: float, snr_end: float) -> Tensor:
    """Equal steps in the angle `arctan(σ/α)`, the time of the cosine schedule, from `snr_start ≥ 0` up to `snr_end`."""
    check_steps(steps)
    times = Cosine().time_of_snr(_checked_range(snr_start, snr_end))
    angles = torch.linspace(float(times[0]), float(times[1]), steps + 1, dtype=torch.float64)
    return times_of(schedule, Cosine().snr(angles))


def ended(schedule: Schedule, times: Tensor, snr_end: float) -> Tensor:
    """A grid that stops at `snr_end`: its times before that, closed by that one; shape (at most steps + 1,).

    Raises:
        InputError: where nothing lies before, and for an end that is not finite: there σ = 0, and KL to a density is infinite for atoms.
    """
    if not 0 < snr_end < math.inf:
        raise InputError(f"snr {snr_end}: a chain must end where σ > 0, at a positive and finite signal-to-noise ratio")
    check_precisions("snr", snr_end)
    end = schedule.time_of_snr(snr_end)
    before = times[(schedule.snr(times) < snr_end * (1 - 1e-9)) & (times > end)]
    if len(before) == 0:
        raise InputError(
            f"snr {snr_end}: the grid starts beyond, at {float(schedule.snr(times[0])):.6g}; take a larger end"
        )
    return torch.cat([before, end[None]])


def optimal(schedule: Schedule, steps: int, snr_start: float, snr_end: float, mmse: Mmse) -> Tensor:
    """The grid with the least discretisation term `Σ ½∫(mmse(γ_k) − mmse(γ))dγ` of B8, ends given (E2).

    Its times satisfy `mmse(γ_{k−1}) − mmse(γ_k) = −mmse′(γ_k)(γ_{k+1} − γ_k)`, which makes every `γ_k` a function of `γ_1`; that
    one is found by dividing intervals. Where mmse is not convex several grids may satisfy it, and the cheapest is taken. Where mmse
    is nearly level somewhere, as a curve from draws can be, `γ_k` jumps with `γ_1`, and what is found may be dear or nothing: then
    the best choice from a fixed set of γ is cheaper, and settles from there, one γ_k at a time. Where it is level between the ends but for
    rounding, γ_k are spread as those of very many steps, by the slope alone.

    Args:
        schedule: the forward process.
        steps: N.
        snr_start: `γ_0 ≥ 0`, reached by the schedule; 0 is t = 1 with `α_1 = 0`.
        snr_end: `γ_N > γ_0`, finite.
        mmse: maps γ of shape (n,) to `mmse(γ)`, strictly decreasing, and `mmse′(γ)`, both (n,).

    Raises:
        InputError: for ends out of order, and where mmse does not decrease between them or falls by too many powers of ten.
    """
    check_steps(steps)
    snr_range = _checked_range(snr_start, snr_end)
    levels, slopes = mmse(snr_range)
    level = bool(levels[0] - levels[1] <= _LEVEL * levels[0])
    if not (bool((slopes < 0).all()) and (level or bool(levels[0] > levels[1]))):
        raise InputError(
            f"mmse must decrease from snr {snr_start} to {snr_end}, with a negative derivative at both; take ends between which it does"
        )
    if steps == 1:
        return times_of(schedule, snr_range)
    if level:  # differences of mmse are rounding, its slope is not
        return times_of(
            schedule, _along(steps, torch.linspace(snr_start, snr_end, _SPREAD_NODES, dtype=torch.float64), mmse)
        )
    smooth, chosen = (f(steps, snr_start, snr_end, mmse) for f in (stationary, _chosen))
    best = _cheapest(torch.cat([smooth, chosen[None]]), mmse)
    return times_of(schedule, _settled(best, mmse) if torch.equal(best, chosen) else best)


def root_integral(mmse: Mmse, snr_start: float, snr_end: float) -> float:
    """`R = ∫√|mmse′| dγ`; many steps of the best grid cost `R²/4N` (E2). Gauss and Legendre's rule in pieces of `log(1 + mmse(0) γ)`."""
    scale = _level(mmse)
    edges = torch.linspace(math.log1p(scale * snr_start), math.log1p(scale * snr_end), _PIECES + 1, dtype=torch.float64)
    x, w = (torch.as_tensor(v) for v in np.polynomial.legendre.leggauss(_PIECE_NODES))
    half = edges.diff()[:, None] / 2
    place = (edges[:-1, None] + half * (x + 1)).flatten()
    root = (-mmse(torch.expm1(place) / scale)[1]).clamp(min=0).sqrt()
    return float((half * w).flatten() @ (root * place.exp()) / scale)


def stationary(steps: int, start: float, end: float, mmse: Mmse) -> Tensor:
    """Grids in γ that satisfy E2 and end at `end`, one for each crossing found, perhaps none; shape (crossings, steps + 1)."""
    first = start + (end - start) * torch.logspace(-64, 0, _CANDIDATES, base=2, dtype=torch.float64)
    beyond = _shoot(first, steps, start, end, mmse)[:, -1] >= end
    crossings = (beyond[1:] != beyond[:-1]).nonzero()[:, 0].tolist()
    if not crossings:
        return first.new_empty(0, steps + 1)
    roots = [_narrowed(first[k], first[k + 1], steps, start, end, mmse) for k in crossings]
    grids = _shoot(torch.stack(roots), steps, start, end, mmse)
    grids[:, -1] = end
    return grids


def _narrowed(low: Tensor, high: Tensor, steps: int, start: float, end: float, mmse: Mmse) -> Tensor:
    """The `γ_1` between two on different sides of a crossing, to the last bit: by 16ths, as mmse takes many γ at once."""
    for _ in range(_ROUNDS):
        first = torch.lerp(low, high, torch.linspace(0, 1, 17, dtype=torch.float64))
        beyond = _shoot(first, steps, start, end, mmse)[:, -1] >= end
        if bool((beyond == beyond[0]).all()):
            break
        k = int((beyond != beyond[0]).nonzero()[0, 0])
        low, high = first[k - 1], first[k]
    return low


def _shoot(first: Tensor, steps: int, start: float, end: float, mmse: Mmse) -> Tensor:
    """The grids in γ that follow from each `γ_1`; a grid that has reached `end` stays there. Shape (len(first), steps + 1)."""
    snr = [torch.full_like(first, start), first]
    before, (level, slope) = mmse(snr[0])[0], mmse(first)
    for _ in range(steps - 1):
        after = formula.next_optimal_snr(snr[-1], before, level, slope)
        after = after.nan_to_num(nan=end).clamp(max=end)  # 0/0 where mmse has fallen to nothing
        snr.append(torch.where(snr[-1] < end, torch.maximum(after, snr[-1]), end))  # rounding can turn tiny steps back
        before, (level, slope) = level, mmse(snr[-1])
    return torch.stack(snr, dim=1)


def _chosen(steps: int, start: float, end: float, mmse: Mmse) -> Tensor:
    """The best grid with γ from a fixed set, by dynamic programming; for more steps `_spread` is as good. Shape (steps + 1,)."""
    if steps > _MOST_CHOSEN:
        return _spread(steps, start, end, mmse)
    fraction = torch.linspace(0, 1, _CHOICES // 2 + 1, dtype=torch.float64)
    even = _geometric(start, end, fraction, mmse)[1:-1]
    snr = torch.cat([even, _spread(_CHOICES // 2, start, end, mmse)]).sort().values
    cost = (mmse(snr)[0][:, None] * (snr - snr[:, None])).masked_fill(snr <= snr[:, None], math.inf)
    cost.fill_diagonal_(0.0)  # a step may be left out
    least, before = cost[0], []
    for _ in range(steps - 1):
        least, origin = (least[:, None] + cost).min(dim=0)
        before.append(origin)
    path = [len(snr) - 1]
    for origin in reversed(before):
        path.append(int(origin[path[-1]]))
    return snr[[0, *reversed(path)]]


def _spread(steps: int, start: float, end: float, mmse: Mmse) -> Tensor:
    """Equal steps of `∫√|mmse′|dγ`, the best grid of very many steps; shape (steps + 1,)."""
    fraction = torch.linspace(0, 1, _SPREAD_NODES, dtype=torch.float64)
    return _along(steps, _geometric(start, end, fraction, mmse), mmse)


def _along(steps: int, fine: Tensor, mmse: Mmse) -> Tensor:
    """The grid through places between the ends, (n,), between which `√|mmse′|` is taken to be linear."""
    root = (-mmse(fine)[1]).clamp(min=0).sqrt()
    bent = torch.cat([root.new_zeros(1), ((root[1:] + root[:-1]) / 2 * fine.diff()).cumsum(0)])
    even = torch.linspace(0, float(bent[-1]), steps + 1, dtype=torch.float64)
    nodes = torch.from_numpy(np.interp(even.numpy(), bent.numpy(), fine.numpy()))
    nodes[0], nodes[-1] = fine[0], fine[-1]
    return nodes


def _geometric(start: float, end: float, fraction: Tensor, mmse: Mmse) -> Tensor:
    """The best grid of Gaussian data whose variance is `mmse(0)`."""
    level, low, high = (torch.tensor(value, dtype=torch.float64) for value in (_level(mmse), start, end))
    return formula.geometric_snr(level, low, high, fraction, torch)


def _level(mmse: Mmse) -> float:
    """`mmse(0)`."""
    return float(mmse(torch.zeros(1, dtype=torch.float64))[0])


def _settled(snr: Tensor, mmse: Mmse) -> Tensor:
    """The grid after each `γ_k` in turn, every other one at once, has gone where `Σ mmse(γ_k)(γ_{k+1} − γ_k)` is least."""
    snr = snr.clone()
    for _ in range(_SWEEPS):
        before = _cost(snr, mmse)
        for first in (1, 2):
            moved = torch.arange(first, len(snr) - 1, 2)
            snr[moved] = _least(snr[moved - 1], snr[moved], snr[moved + 1], mmse)
        if not _cost(snr, mmse) < before * (1 - 1e-10):
            break
    return snr


def _least(left: Tensor, middle: Tensor, right: Tensor, mmse: Mmse) -> Tensor:
    """Where between its neighbours each `γ_k` costs least, by ever finer looks around the best place so far; shape (k,)."""
    level = mmse(left)[0]
    low, high = left, right
    for _ in range(_ZOOMS):
        inside = torch.linspace(0, 1, _PLACES, dtype=torch.float64)
        places = torch.cat([torch.lerp(low[:, None], high[:, None], inside), middle[:, None]], dim=1)
        there = mmse(places.flatten())[0].view_as(places)
        cost = level[:, None] * (places - left[:, None]) + there * (right[:, None] - places)
        middle = places.gather(1, cost.argmin(dim=1, keepdim=True))[:, 0]
        reach = (high - low) / (_PLACES - 1)
        low, high = torch.maximum(left, middle - reach), torch.minimum(right, middle + reach)
    return middle


def _cost(snr: Tensor, mmse: Mmse) -> float:
    """`Σ mmse(γ_k)(γ_{k+1} − γ_k)`."""
    return float(mmse(snr[:-1])[0] @ snr.diff())


def _cheapest(grids: Tensor, mmse: Mmse) -> Tensor:
    """The one of least `Σ mmse(γ_k)(γ_{k+1} − γ_k)`: the integrals of the discretisation term add up to the same."""
    levels = mmse(grids[:, :-1].flatten())[0].view(len(grids), -1)
    return grids[(levels * grids.diff(dim=1)).sum(dim=1).argmin()]


BETWEEN = {"karras": karras, "uniform-log-snr": uniform_log_snr, "cosine": cosine}
"""Grids between two given signal-to-noise ratios, by name."""
_NAMED = {"leading": leading, "trailing": trailing, "linspace": linspace}


def grid_named(spacing: str, schedule: Schedule, steps: int) -> Tensor:
    """The grid of a diffusers `timestep_spacing`, shape (steps + 1,). Raises `InputError` for an unknown name."""
    if spacing not in _NAMED:
        raise unknown_name("spacing", spacing, _NAMED)
    return _NAMED[spacing](schedule, steps)

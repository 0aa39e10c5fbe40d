r"""Grids of times for a flow: shifts, the two of F8, and those of three papers, written from their descriptions.

| name      | where its nodes are                                                                                   |
|-----------|-------------------------------------------------------------------------------------------------------|
| shift s   | even, then `s t/(1 + (s − 1) t)`                                                                      |
| W2, nats  | F8's for the data's eigenvalues                                                                       |
| spectral  | the least `Σ λ (1 − kept)²` of exactly so many steps on Gaussian data (arXiv 2502.00180), by descent    |
| entropic  | equal parts of the information `½ ∫ mmse dγ` that the network's own errors tell (arXiv 2504.13612)      |
| rescaled  | the same with the root of the rate in `log σ/α`, a milder one; the paper rescales too, by a rule that this is not copied from        |
| sharp     | equal parts of the root of the velocity's change along the network's own paths (arXiv 2605.11547)       |
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from docs.experiments.flow.solvers import STARTS, moved, shifted_grid
from singtheory import formula
from singtheory.errors import InputError, unknown_name
from singtheory.grid import nats_grid, w2_grid
from singtheory.schedule import RectifiedFlow

KEPT, EVERY = 256, 12
"""Eigenvalues for W₂, of which the first count, and for nats, of which all count alike, every so many."""
_LAST, _NODES, _SMOOTH, _FINE, _FINE_LOG = 1e-3, 48, 3, 4200, 4001
REFERENCE = 192
"""Dimension at which the shift of F6 is 1: 8×8 pixels in three colours."""


@dataclass(frozen=True)
class Profile:
    """What the grids know.

    Attributes:
        eigenvalues: of the data's covariance, decreasing, positive.
        times: increasing, at which the network was probed.
        errors: `E‖x_0 − x̂‖²` at each.
        sharpness: `E‖dv/dt‖` along its paths at each.
    """

    eigenvalues: Tensor
    times: Tensor
    errors: Tensor
    sharpness: Tensor


@torch.no_grad()
def profile_of(velocity: Callable[[Tensor, float], Tensor], x_0: Tensor, eigenvalues: Tensor, seed: int) -> Profile:
    """Probe a network.

    Args:
        velocity: `v(x, t)` of as many samples as `x_0` has.
        x_0: data.
        eigenvalues: of the data's covariance.
        seed: of the noise.
    """
    noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed)).to(x_0)
    times = torch.linspace(_LAST, 1, _NODES, dtype=torch.float64)
    errors = []
    for t in times.tolist():
        x_t = (1 - t) * x_0 + t * noise
        errors.append(float((x_0 - (x_t - t * velocity(x_t, t))).flatten(1).square().sum(dim=1).mean()))
    path, slopes = noise, []
    for t, s in zip(times.flip(0).tolist(), [*times.flip(0).tolist()[1:], 0.0], strict=True):
        slopes.append(velocity(path, t))
        path = moved(path, path - t * slopes[-1], t, s)
    change = torch.stack([(b - a).flatten(1).norm(dim=1).mean() for a, b in pairwise(slopes)])
    change = change.double().cpu() / float(times[1] - times[0])
    smooth = torch.nn.functional.pad(change[None, None], (_SMOOTH, _SMOOTH), mode="replicate")
    smooth = torch.nn.functional.avg_pool1d(smooth, 2 * _SMOOTH, 1)[0, 0]  # between the nodes again at the nodes
    return Profile(eigenvalues, times, torch.tensor(errors, dtype=torch.float64), smooth.flip(0))


def divided(times: Tensor, density: Tensor, steps: int) -> list[float]:
    """Nodes at equal parts of the integral of a density over increasing times, from 1 to exactly 0."""
    passed = torch.cumulative_trapezoid(density, times)
    passed = torch.cat([passed.new_zeros(1), passed])
    even = np.linspace(float(passed[-1]), 0, steps + 1)
    nodes = np.interp(even, passed.numpy(), times.numpy())
    return [1.0, *nodes[1:-1].tolist(), 0.0]


def in_log_odds(profile: Profile) -> tuple[Tensor, Tensor]:
    """`l = log t/(1 − t)` in fine even steps over the probed times below 1, and the information per l, `mmse (1 − t)²/t²` (`−½ mmse dγ/dl`).

    Near t = 0 the rate in t itself goes as 1/t or faster: between two probed times most of the integral would be the chord's and not the
    rate's. In l it is flat, and errors, which go as powers of t there, are interpolated as powers.
    """
    times, errors = profile.times[:-1], profile.errors[:-1]
    known = (times / (1 - times)).log()
    fine = torch.linspace(float(known[0]), float(known[-1]), _FINE_LOG, dtype=torch.float64)
    logs = np.interp(fine.numpy(), known.numpy(), errors.clamp(min=1e-30).log().numpy())
    return fine, torch.from_numpy(logs).exp() * torch.exp(-2 * fine)


def _divided_in_log(fine: Tensor, density: Tensor, steps: int) -> list[float]:
    inner = torch.tensor(divided(fine, density, steps)[1:-1], dtype=torch.float64)
    return [1.0, *torch.sigmoid(inner).tolist(), 0.0]


def entropic(profile: Profile, steps: int) -> list[float]:
    """Equal information a step."""
    return _divided_in_log(*in_log_odds(profile), steps)


def rescaled(profile: Profile, steps: int) -> list[float]:
    """Equal parts of `∫ √(dH/dlog σ) dlog σ`, σ the noise over the signal, whose log is that of the odds of t."""
    fine, rate = in_log_odds(profile)
    return _divided_in_log(fine, rate.sqrt(), steps)


def sharp(profile: Profile, steps: int) -> list[float]:
    """Equal local errors of Euler's steps, `h²‖dv/dt‖`."""
    return divided(profile.times, profile.sharpness.sqrt(), steps)


def spectral(profile: Profile, steps: int, rounds: int = 300) -> list[float]:
    """The least `Σ λ (1 − Π cos Δθ)²` by descent over the steps' logarithms, from the W₂ grid of many steps."""
    lam = profile.eigenvalues[:KEPT]
    start = torch.tensor(_w2(profile, steps), dtype=torch.float64)
    lengths = (-start.diff()).clamp(min=1e-9).log().requires_grad_()
    optimizer = torch.optim.LBFGS([lengths], max_iter=rounds, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def times() -> Tensor:
        passed = torch.softmax(lengths, dim=0).cumsum(dim=0)
        return torch.cat([torch.ones(1, dtype=torch.float64), 1 - passed[:-1], torch.zeros(1, dtype=torch.float64)])

    def loss() -> Tensor:
        optimizer.zero_grad()
        cost = lost_w2(times(), lam)
        cost.backward()
        return cost

    optimizer.step(loss)
    least = times().detach()
    return (least if lost_w2(least, lam) < lost_w2(start, lam) else start).tolist()


def lost_w2(times: Tensor, eigenvalues: Tensor) -> Tensor:
    """`Σ λ (1 − Π cos Δθ)²` of a grid on Gaussian data (F1); shape ()."""
    angles = formula.spread_angle(1 - times[:, None], times[:, None], eigenvalues, torch)
    return (eigenvalues * (1 - angles.diff(dim=0).cos().prod(dim=0)).square()).sum()


@cache
def _dense(make: Callable[..., Tensor], eigenvalues: tuple[float, ...]) -> list[float]:
    """A grid of F8 with so many steps that those of most numbers of steps are among its nodes: both divide one integral evenly."""
    return make(RectifiedFlow(), _FINE, 0.0, float("inf"), eigenvalues).tolist()


def _thinned(make: Callable[..., Tensor], eigenvalues: Tensor, steps: int) -> list[float]:
    if _FINE % steps:
        return make(RectifiedFlow(), steps, 0.0, float("inf"), eigenvalues).tolist()
    return _dense(make, tuple(eigenvalues.tolist()))[:: _FINE // steps]


def _w2(profile: Profile, steps: int) -> list[float]:
    return _thinned(w2_grid, profile.eigenvalues[:KEPT], steps)


def _nats(profile: Profile, steps: int) -> list[float]:
    return _thinned(nats_grid, profile.eigenvalues[::EVERY], steps)


GRIDS: dict[str, Callable[[Profile, int], list[float]]] = {
    "W2": _w2,
    "nats": _nats,
    "spectral": spectral,
    "entropic": entropic,
    "rescaled": rescaled,
    "sharp": sharp,
}


def grid_of(
    name: str, steps: int, profile: Profile | None, solver: str = "Euler", start: float | None = None
) -> list[float]:
    """Times from 1, or where a solver starts, to 0; `start` is where a path that is known so far is taken up, for shifts alone.

    Raises:
        InputError: for an unknown name, and without a profile for one that needs it.
    """
    if name.startswith("shift "):
        shift = float(name.removeprefix("shift "))
        return shifted_grid(steps, shift, solver, 1.0 if start is None else start / (shift - (shift - 1) * start))
    if name not in GRIDS:
        raise unknown_name("grid", name, ["shift S", *GRIDS])
    if profile is None:
        raise InputError(f"grid {name}: needs a probed network; probe it with profile_of, or take shift S")
    nodes = GRIDS[name](profile, steps)
    return [float(formula.shifted_time(STARTS.get(solver, 1.0), 3.0)), *nodes[1:]]

"""What the figure of a reverse step shows: the exact kernel and its Gaussians for laws, times and gaps."""

import math
from typing import Any

import torch
from torch import Tensor

from docs.interactive.figure import packed
from docs.interactive.laws import Offered, offered
from singtheory import Cosine, ReverseKernel, Schedule
from singtheory.bound import bound_named
from singtheory.kernel import ReverseStep
from singtheory.law import AtomsPosterior

TIMES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
GAPS = tuple(10 ** (-2 + k / 3) for k in range(11))
"""g, from 0.01 to about 22."""
NODES = 121
_REACH = 4.0


def numbers() -> dict[str, Any]:
    """For every law, time and gap: densities on a grid around the mean, how many humps the exact one has, KL, TV and bounds."""
    return {
        "schedule": "cosine",
        "times": TIMES,
        "gaps": GAPS,
        "nodes": NODES,
        "laws": [_law(one, Cosine()) for one in offered()],
    }


def _law(one: Offered, schedule: Schedule) -> dict[str, Any]:
    states, curves = [], []
    for t in TIMES:
        for gap in GAPS:
            s = float(schedule.time_of_snr(schedule.snr(t) + gap))
            step = ReverseKernel(one.law, schedule, t, s).at([float(schedule.alpha(t)) * one.place])
            low, high = _window(step)
            curves.append(_curves(step, torch.linspace(low, high, NODES, dtype=torch.float64)))
            states.append({"s": s, "low": low, "high": high, "humps": humps(curves[-1][0])} | _measured(step))
    stacked = torch.stack(curves)
    peaks = stacked.flatten(1).max(dim=1).values  # each state fills the height of the figure
    return {"name": one.name, "states": states, "densities": packed(stacked / peaks[:, None, None], 1.0)}


def _window(step: ReverseStep) -> tuple[float, float]:
    """Around the mean, wide enough for the kernel and for its Gaussians."""
    half = _REACH * float(step.moment_matched()[0].cov) ** 0.5
    return float(step.mean) - half, float(step.mean) + half


def _curves(step: ReverseStep, x: Tensor) -> Tensor:
    """Densities of the exact kernel, the plug-in and the moment-matched Gaussian at x (nodes,); shape (3, nodes)."""
    exact = step.log_prob(x[None, :, None])[0]
    gaussians = [one[0].log_prob(x[:, None]) for one in (step.plug_in(), step.moment_matched())]
    return torch.stack([exact, *gaussians]).exp()


def humps(density: Tensor) -> int:
    """How many maxima a curve (nodes,) has that can be seen: above a fiftieth of the highest."""
    inside, seen = density[1:-1], density[1:-1] > density.max() / 50
    return int(((inside > density[:-2]) & (inside >= density[2:]) & seen).sum())


def _measured(step: ReverseStep) -> dict[str, float | None]:
    """KL and TV against the plug-in, and bounds on KL; None where there is none."""
    distances = {"kl": float(step.kl()), "tv": float(step.tv())}
    for short, name in (("b10", "kl_family_bound"), ("b3", "kl_trace_bound"), ("b2", "kl_chi2_bound")):
        bound = bound_named(name)
        applies = isinstance(step.posterior, AtomsPosterior) or not bound.finite_only
        distances[short] = float(bound.evaluate(step.posterior, step.bridge.gap)) if applies else math.inf
    return {name: value if math.isfinite(value) else None for name, value in distances.items()}

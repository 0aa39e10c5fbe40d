"""Draws of tr C and of the information at nodes of γ, where and how many of them a pilot run says.

Draws come in pairs `√γ x_0 ± n`, the same `(x_0, n)` at every node, so that the means make a smooth curve. The pilot run has draws of its
own: the main run is independent of it, and its intervals are as honest as those of a fixed design.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from singtheory import numerics
from singtheory.law import Atoms
from singtheory.mmse.ceiling import Ceiling
from singtheory.mmse.smooth import Smooth

LEAST_PAIRS = 16
"""At any node: two for each group of the standard error."""
DEPTH = 8.0
"""c: the information's draws are cut at −c, which moves their mean by e^{−c} at most."""
_PILOT_NODES = 17
_EVEN = 0.5
"""The share of nodes that lie evenly in log(1 + cγ), and of draws that go evenly to the nodes."""
_CHUNK, _MOST_PAIRS = {"cpu": 2**20, "cuda": 2**26}, 2048
"""Numbers in one block of pairs times points, and pairs at most."""
_FLOOR = 1e-12
"""The share of tr Σ: below, the mean of the draws is rounding."""

Progress = Callable[[int, int], None]
"""Called with the x_t done and their total."""


@dataclass(frozen=True)
class Draws:
    """Draws at nodes.

    Attributes:
        snr: the nodes, from 0, increasing, shape (n,).
        traces: at each node means of pairs of `tr C`, (pairs,); the first so many of the same draws.
        information: the same of `log p(z|x_0)/q(z)`, cut at −c.
    """

    snr: Tensor
    traces: list[Tensor]
    information: list[Tensor]


def draw_curve(
    law: Atoms,
    ceiling: Ceiling,
    snr_end: float,
    nodes: int,
    queries: int,
    generator: torch.Generator,
    progress: Progress | None,
) -> Draws:
    """A pilot run and the main run from γ = 0 to `snr_end`, `queries` x_t a node on average."""
    places = _evenly(_PILOT_NODES, ceiling.trace, snr_end)
    pairs = torch.full((_PILOT_NODES,), max(LEAST_PAIRS, queries // 8))
    tally = _Tally(progress, 2 * int(pairs.sum()) + 2 * max(LEAST_PAIRS, queries // 2) * nodes)
    pilot = _draws(law, places, pairs, generator, tally)
    snr = _nodes(smooth_curve(ceiling, places, pilot.traces), nodes, ceiling.trace, snr_end)
    return _draws(law, snr, _pairs(snr, pilot, queries // 2), generator, tally)


def smooth_curve(ceiling: Ceiling, snr: Tensor, traces: list[Tensor]) -> Smooth:
    """The curve that falls from node to node by the ratio of the means of the draws they share, from tr Σ at γ = 0.

    A node is left out where that fall is within its standard error: what it says is noise, and a step in the curve.
    """
    most = ceiling.mmse(snr)
    kept, level = [0], [ceiling.trace]
    for k in range(1, len(snr)):
        ratio, falls = _fall(traces[kept[-1]], traces[k])
        if falls or float(most[k]) < level[-1] or k == len(snr) - 1:
            kept.append(k)
            level.append(min(level[-1] * min(ratio, 1 - 1e-9), float(most[k])))
    floor = _FLOOR * ceiling.trace / (1 + ceiling.trace * snr[kept])
    return Smooth(snr[kept], torch.maximum(torch.tensor(level, dtype=torch.float64), floor), ceiling.trace)


def _fall(before: Tensor, after: Tensor) -> tuple[float, bool]:
    """The ratio of the means of the common draws, and whether it is below one by more than chance."""
    count = min(len(before), len(after))
    fall = before[:count] - after[:count]
    ratio = float(after[:count].mean() / before[:count].mean().clamp(min=1e-300))
    return ratio, float(fall.mean()) > float(fall.std()) / count**0.5


class _Tally:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def add(self, count: int) -> None:
        self._done = min(self._done + count, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)


def _evenly(nodes: int, scale: float, end: float) -> Tensor:
    """Nodes from 0 to `end` with equal steps in `log(1 + cγ)`."""
    snr = torch.expm1(torch.linspace(0, math.log1p(scale * end), nodes, dtype=torch.float64)) / scale
    snr[-1] = end
    return snr


def _nodes(pilot: Smooth, nodes: int, scale: float, end: float) -> Tensor:
    """Equal steps of a measure: half of it `√|mmse′|dγ` (E2), half `d log(1 + cγ)`."""
    snr = _evenly(32 * nodes, scale, end)
    root = (-pilot(snr)[1]).clamp(min=0).sqrt()
    bent = torch.cat([snr.new_zeros(1), ((root[1:] + root[:-1]) / 2 * snr.diff()).cumsum(0)])
    even = torch.linspace(0, 1, len(snr), dtype=torch.float64)
    share = (1 - _EVEN) * bent / bent[-1] + _EVEN * even
    which = torch.searchsorted(share, torch.linspace(0, 1, nodes, dtype=torch.float64)).clamp(max=len(snr) - 1)
    which[0], which[-1] = 0, len(snr) - 1
    return snr[which.unique()]


def _pairs(snr: Tensor, pilot: Draws, average: int) -> Tensor:
    """Pairs of draws at each node: `(σ Δγ)^{2/3}`, which makes the integral's interval narrowest, and some everywhere."""
    spread = torch.stack([t.std() for t in pilot.traces])
    at = torch.searchsorted(pilot.snr, snr).clamp(max=len(spread) - 1)
    spread = torch.maximum(spread[at], spread[(at - 1).clamp(min=0)])
    wish = (spread * torch.gradient(snr)[0]) ** (2 / 3)
    even = torch.full_like(wish, 1 / len(snr))
    # a pilot run that has drawn no rare atom has seen no spread
    share = (1 - _EVEN) * wish / wish.sum() + _EVEN * even if float(wish.sum()) > 0 else even
    return (share * average * len(snr)).round().clamp(min=LEAST_PAIRS).long()


def _draws(law: Atoms, snr: Tensor, pairs: Tensor, generator: torch.Generator, tally: _Tally) -> Draws:
    most = int(pairs.max())
    x_0 = law.sample(most, generator)
    noise = numerics.normal(x_0.shape, law.device, generator)
    rows = max(1, min(_MOST_PAIRS, _CHUNK[law.device.type] // len(law.points)))
    draws = Draws(snr, [], [])
    for g, count in zip(snr.tolist(), pairs.tolist(), strict=True):
        batches = zip(x_0[:count].split(rows), noise[:count].split(rows), strict=True)
        traces, information = zip(*(_batch(law, g, x, n) for x, n in batches), strict=True)
        draws.traces.append(torch.cat(traces))
        draws.information.append(torch.cat(information))
        tally.add(2 * count)
    return draws


def _batch(law: Atoms, snr: float, x_0: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.cat([noise, -noise])
    posterior = law.posterior(math.sqrt(snr) * x_0.repeat(2, 1) + both, snr)
    log_forward = -(both.square().sum(dim=1) + law.dim * math.log(2 * math.pi)) / 2
    information = (log_forward - posterior.log_evidence).clamp(min=-DEPTH)
    trace, known = (v.view(2, -1).mean(dim=0).cpu() for v in (posterior.trace_cov, information))
    return trace, known

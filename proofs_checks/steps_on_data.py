"""Large steps on the data: KL and TV of each, certified where the data are nearly a line or a plane, else by Monte Carlo in rounds.

The gap of a step is set by how far the atoms have parted, `τ(g) = −Σ p_i log Σ p_j e^{−g d_ij²/8}/H(p)`: between coincidence (τ = 0)
and separation (τ = 1) the bounds differ from each other and from the truth, whatever the scale of the data and however rare a far atom.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from proofs_checks.context import Context
from proofs_checks.deviations import deviations
from proofs_checks.leading import Leading, estimate
from proofs_checks.measure import Instance, prior_posterior
from proofs_checks.outcome import rounding
from proofs_checks.rounds import Rounds
from singtheory import Estimate, divergence, draw, formula, pairwise
from singtheory.estimate import mean_interval
from singtheory.posterior import AtomsPosterior

STEPS = ((0.0, 0.3), (0.0, 0.5), (1 / 16, 0.35), (1 / 8, 0.4), (1 / 4, 0.5))
"""γ as a part of the gap at which half of the atoms' separation is reached, and the separation τ that the step reaches."""
LEAST_ENTROPY = 0.2
"""Nats. Below, one atom has nearly all the weight, and there is nothing to tell bounds apart by."""
NO_STEP = "one atom has nearly all of the weight, so no step parts the bounds"

_ROUNDS, _FULL_ROUNDS, _GROWTH = 3, 4, 4
"""Each round has four times the draws of the last."""
_WORK, _LEAST, _MOST = 3e9, 4000, 200_000
"""Floating-point operations of the first round, and the draws that it takes at least and at most."""
_EXP = 30
"""Operations that an exponential costs."""
_FEW = 256
"""Atoms by which a gap is looked for, before all of them have a say."""
_BLOCKS = 2**15
"""Above this draws are averaged in groups, which are bounded alike: the interval costs the same for any number of draws."""

_LEADING = 0.8
"""From this part of tr C on, TV along the leading direction is a control variate for TV."""


def data_instances(context: Context) -> tuple[Instance, ...]:
    """The steps, shared by all claims of a run; none if one atom has nearly all of the weight."""
    return _instances(context.within("data instances"))


@lru_cache(maxsize=4)
def _instances(context: Context) -> tuple[Instance, ...]:
    name, law, unit = deviations(context)
    generator = context.generator()
    half = gap_at(prior_posterior(law), 0.5)
    if half is None:
        return ()
    found, law = [], law.to(context.device)
    for k, (part, separation) in enumerate(STEPS):
        snr = part * half
        z = snr**0.5 * law.sample(1, generator) + draw.normal((1, law.dim), law.device, generator)
        posterior = law.posterior(z, snr)
        assert isinstance(posterior, AtomsPosterior)
        gap = gap_at(posterior, separation)
        if gap is not None:
            where = f"{name}, γ = {snr / unit**2:.3g}, g = {gap / unit**2:.3g}"
            measured = _Measured(posterior, gap, context.within(f"data instances/{k}"))
            found.append(Instance(where, posterior, gap, measured.kl, measured.tv))
    return tuple(found)


def gap_at(posterior: AtomsPosterior, separation: float) -> float | None:
    """A gap at which the atoms have parted about that far; None if one atom has nearly all of the weight."""
    if float(posterior.entropy) < LEAST_ENTROPY:
        return None
    heaviest = posterior.weights[0].topk(min(_FEW, len(posterior.points))).indices
    few = pairwise.core(AtomsPosterior.of(posterior.points[heaviest], posterior.log_weights[0, heaviest]))
    low, high = -200.0, 200.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if float(pairwise.separated(few, 2.0**middle)) < separation else (low, middle)
    gap, whole = 2.0**low, pairwise.core(posterior)
    while len(few.p) < len(whole.p) and float(pairwise.separated(whole, gap)) < separation:
        gap *= 1.5
    return gap if float(pairwise.separated(whole, gap)) > separation / 2 else None


class _Measured:
    """KL and TV of one step, in rounds that share their draws."""

    def __init__(self, posterior: AtomsPosterior, gap: float, context: Context) -> None:
        self._posterior, self._gap, self._context = posterior, gap, context
        p, xi = posterior.weights[0], posterior.points - posterior.mean
        self._trace = formula.kl_trace_bound(gap, float(p @ xi.square().sum(dim=1)))
        self._entropy = float(torch.special.entr(p).sum())
        self._entropies: list[Tensor] = []
        self._shortfalls: list[Tensor] = []
        self._near = Leading(posterior, gap)
        rounds = _FULL_ROUNDS if context.full else _ROUNDS
        kl = self._near.kl()
        self.kl = Rounds.of(kl) if kl is not None else Rounds(self._kl, rounds)
        self.tv = Rounds.of(self._near.tv) if self._near.is_line else Rounds(self._tv, rounds)

    def _draws(self, k: int) -> int:
        """How many new ones round k takes."""
        n, d = self._posterior.points.shape
        first = int(min(_MOST, max(_LEAST, _WORK / (n * (2 * d + _EXP)))))
        return first if k == 0 else first * (_GROWTH - 1) * _GROWTH ** (k - 1)

    def _confidence(self, k: int) -> float:
        """The error of all steps, quantities and rounds adds up to that of one check."""
        return 1 - self._context.error / (2 * len(STEPS)) / 2 ** (k + 1)

    def _kl(self, k: int) -> Estimate:
        """`½ g tr C − H(p) + E_P H(x_0|x_t, x_s)`, with entropies in [0, log n]."""
        generator = self._context.within(f"{self._context.scope}/kl/{k}").generator()
        u = divergence.draw_kernel(self._posterior, self._gap, self._draws(k), generator)
        highest = math.log(len(self._posterior.points))
        self._entropies.append(self._posterior.conditional_entropy(u, self._gap)[0].clamp(0, highest))
        known, own = self._trace - self._entropy, rounding(64, self._trace, self._entropy)
        return self._interval(self._entropies, (0.0, highest), known, own, k)

    def _tv(self, k: int) -> Estimate:
        """`E_Q (1 − r)₊`, between 0 and `1 − exp(−½ g tr C)`; if one direction has nearly all of C, what that leaves of it."""
        generator = self._context.within(f"{self._context.scope}/tv/{k}").generator()
        u = divergence.draw_plug_in(self._posterior, self._draws(k), generator)
        highest = -math.expm1(-self._trace)
        shortfall = _shortfall(self._posterior, self._gap, u, highest)
        if self._near.share < _LEADING:
            self._shortfalls.append(shortfall)
            return self._interval(self._shortfalls, (0.0, highest), 0.0, rounding(64, 1.0), k)
        along, tv = self._near.along(1), self._near.tv
        self._shortfalls.append(shortfall - _shortfall(along, self._gap, u @ self._near.basis[:, :1].to(u), highest))
        own = float(tv.high - tv.low) + rounding(64, 1.0)
        return self._interval(self._shortfalls, (-highest, highest), float(tv.value), own, k)

    def _interval(self, drawn: list[Tensor], ends: tuple[float, float], known: float, own: float, k: int) -> Estimate:
        """Of `known + E draw`, the draws between `ends`; `own` is the rounding of what is known."""
        draws = torch.cat(drawn)
        group = -(-len(draws) // _BLOCKS)
        means = draws[: len(draws) // group * group].unflatten(0, (-1, group)).mean(dim=1)
        low, high = mean_interval(means, *ends, self._confidence(k))
        return estimate(
            known + float(means.mean()), known + low - own, known + high + own, self._confidence(k), len(draws)
        )


def _shortfall(posterior: AtomsPosterior, gap: float, u: Tensor, highest: float) -> Tensor:
    """`(1 − r)₊` at u of one query."""
    return (-torch.expm1(posterior.log_ratio(u, gap)[0].clamp(max=0))).clamp(0, highest)

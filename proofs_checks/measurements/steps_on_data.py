"""Large steps on the data: KL and TV of each, by quadrature with a bound on its error where the data are nearly a line or a plane, else by Monte Carlo in rounds.

The gap of a step is set by how far the atoms have parted, `τ(g) = −Σ p_i log Σ p_j e^{−g d_ij²/8}/H(p)`: between coincidence (τ = 0)
and separation (τ = 1) the bounds differ from each other and from the truth, whatever the scale of the data and however rare a far atom.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import rounding
from proofs_checks.harness.rounds import UNMEASURED, Rounds
from proofs_checks.instances.deviations import deviations
from proofs_checks.measurements.leading import estimate, leading
from proofs_checks.measurements.toy_steps import Instance, prior_posterior
from singtheory import Atoms, Estimate, bound, divergence, formula, numerics
from singtheory.estimate import mean_interval
from singtheory.law import AtomsPosterior

KL_STEPS = ((0.0, 0.3), (0.0, 0.5), (0.25, 0.35), (0.5, 0.4), (1.0, 0.5))
"""γ as a part of the gap at which a component lies `TV = ¾` from Q on average, and the separation τ that the step reaches."""
TV_STEPS = ((0.0, 0.5), (0.0, 0.75), (0.25, 0.6))
"""γ likewise, and the mean TV of one component from Q, `E[2Φ(√g‖ξ‖/2) − 1]`, that the step reaches, as a part of its limit for large gaps: there TV equals its bounds."""
MOST_TRACE = 1e6
"""Nats of `½ g tr C`, beyond which its rounding could hide what bounds differ by."""
LEAST_ENTROPY = 0.2
"""Nats. Below, one atom has nearly all the weight, and there is nothing to tell bounds apart by."""
NO_STEP = "one atom has nearly all of the weight, so no step parts the bounds"

_ROUNDS, _FULL_ROUNDS, _GROWTH = 3, 4, 4
"""Each round has four times the draws of the last."""
_WORK, _LEAST, _MOST = 2e9, 4000, 100_000
"""Floating-point operations of the first round, and the draws that it takes at least and at most."""
_EXP = 30
"""Operations that an exponential costs."""
_LEAST_PARTED = 0.1
"""The share of the atoms' entropy that a step must tell apart."""
_PARTED = 2.0**30
"""Noise standard deviations in `E‖ξ‖` at a gap that parts all atoms but those that lie at their mean to about ten digits."""
_FEW = 256
"""Atoms by which a gap is looked for, before all of them have a say."""
_BLOCKS = 2**21
"""Above this draws are averaged in groups, which are bounded alike, so that the interval costs the same for any number of draws. What the
range of a variable adds to its interval falls with the number of groups, not of draws: where most draws are zero it is nearly all of it."""

_TRIES, _FURTHER = 12, 64.0
"""Signal-to-noise ratios that are tried for a step that draws can decide, each so many times the last."""
_RESOLVED = 2e-4
"""The resolution of TV: a few times what the range of a draw adds to the interval of all draws of the last round."""
_LEADING = 0.8
"""From this part of tr C on, TV along the leading direction is a control variate for TV."""

Step = tuple[float, AtomsPosterior, float]
"""γ, a posterior of one query there, and a gap."""


def kl_steps(context: Context) -> tuple[Instance, ...]:
    """Steps with their KL, shared by all claims of a run; none if one atom has nearly all of the weight."""
    return _steps(context.within("data steps"), "kl")


def tv_steps(context: Context) -> tuple[Instance, ...]:
    """Steps with their TV, likewise; smaller ones."""
    return _steps(context.within("data steps"), "tv")


@lru_cache(maxsize=8)
def _steps(context: Context, quantity: str) -> tuple[Instance, ...]:
    name, law, unit = deviations(context)
    generator = context.within(f"{context.scope}/{quantity}").generator()
    half = shift_gap(prior_posterior(law), 0.75)
    if half is None:
        return ()
    instances, law = [], law.to(context.device)
    step_of = _kl_step if quantity == "kl" else _tv_step
    for k, (part, target) in enumerate(KL_STEPS if quantity == "kl" else TV_STEPS):
        step = step_of(law, part * half, target, generator)
        if step is not None:
            snr, posterior, gap = step
            where = f"{name}, γ = {snr / unit**2:.3g}, g = {gap / unit**2:.3g}"
            measured = _Measured(posterior, gap, context.within(f"{context.scope}/{quantity}/{k}"))
            kl, tv = (measured.kl(), UNMEASURED) if quantity == "kl" else (UNMEASURED, measured.tv())
            instances.append(Instance(where, posterior, gap, kl, tv))
    return tuple(instances)


def _posterior(law: Atoms, snr: float, generator: torch.Generator) -> AtomsPosterior:
    """At a draw of `z = √γ x_0 + n`."""
    z = snr**0.5 * law.sample(1, generator) + numerics.normal((1, law.dim), law.device, generator)
    return law.posterior(z, snr)


def _kl_step(law: Atoms, snr: float, target: float, generator: torch.Generator) -> Step | None:
    posterior = _posterior(law, snr, generator)
    gap = gap_at(posterior, target)
    return None if gap is None else (snr, posterior, gap)


def _tv_step(law: Atoms, snr: float, target: float, generator: torch.Generator) -> Step | None:
    """At γ, or where draws could not tell TV from its bound at a larger one, so that a far atom of little weight is ruled out.

    With such an atom all others are one to it, and B3 misses TV by a quarter of its weight at every gap: the statement is then checked among the others.
    """
    for _ in range(_TRIES):
        posterior = _posterior(law, snr, generator)
        gap = shift_gap(posterior, target)
        if gap is None or _is_decidable(posterior, gap):
            return None if gap is None else (snr, posterior, gap)
        snr = _FURTHER * snr if snr > 0 else 1 / max(float(posterior.trace_cov), 1e-300)
    return None


def _is_decidable(posterior: AtomsPosterior, gap: float) -> bool:
    """Whether draws can tell TV from B3, as far as TV along the leading direction says: beside it their range alone costs `_RESOLVED`."""
    along = leading(posterior, gap)
    if along.share < _LEADING or not along.tv_is_sharp or along.is_line:
        return True
    distance = float(bound.tv_norm(posterior, gap)) - float(along.tv)
    return not 0 <= distance < _RESOLVED


def shift_gap(posterior: AtomsPosterior, target: float) -> float | None:
    """The gap at which `E[2Φ(√g‖ξ‖/2) − 1]` is that part of its limit, 1 less the weight of an atom at the mean; None if one atom has nearly all of the weight."""
    if float(posterior.entropy) < LEAST_ENTROPY:
        return None
    return _crossing(lambda gap: float(bound.tv_norm(posterior, gap)), target * _parted_share(posterior))


def _parted_share(posterior: AtomsPosterior) -> float:
    """The limit of `E[2Φ(√g‖ξ‖/2) − 1]` for large gaps, without atoms that are at the mean but for its rounding: taken at a gap that parts what is farther."""
    (xi,) = posterior.deviations()
    size = float(posterior.weights[0] @ xi.norm(dim=1))  # far atoms count by their weight, as in the mean
    return float(bound.tv_norm(posterior, (_PARTED / max(size, 1e-300)) ** 2))


def _crossing(rising: Callable[[float], float], target: float) -> float:
    """The gap at which a rising function reaches the target, to a millionth."""
    low, high = -200.0, 200.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(2.0**middle) < target else (low, middle)
    return 2.0**low


def gap_at(posterior: AtomsPosterior, separation: float) -> float | None:
    """A gap at which the atoms have parted about that far; None where there is none.

    That is where one atom has nearly all of the weight, and where `½ g tr C`, from which KL is counted down, would drown the entropies
    that bounds differ by: for atoms of very different distances, of which the near ones hold the entropy and the far ones the trace.
    """
    if float(posterior.entropy) < LEAST_ENTROPY:
        return None
    heaviest = posterior.weights[0].topk(min(_FEW, len(posterior.points))).indices
    few = bound.core(AtomsPosterior.of(posterior.points[heaviest], posterior.log_weights[0, heaviest]))
    highest = 2 * MOST_TRACE / float(posterior.trace_cov)
    reached = float(bound.separated(few, highest))
    if reached < _LEAST_PARTED:
        return None
    gap, whole = _crossing(lambda g: float(bound.separated(few, g)), separation * reached), bound.core(posterior)
    while gap < highest and len(few.p) < len(whole.p) and float(bound.separated(whole, gap)) < separation * reached:
        gap *= 1.5
    return min(gap, highest)


class _Measured:
    """KL or TV of one step, in rounds that share their draws."""

    def __init__(self, posterior: AtomsPosterior, gap: float, context: Context) -> None:
        self._posterior, self._gap, self._context = posterior, gap, context
        p, (xi,) = posterior.weights[0], posterior.deviations()
        self._trace = formula.kl_trace_bound(gap, float(p @ xi.square().sum(dim=1)))
        self._entropy = float(torch.special.entr(p).sum())
        self._entropies: list[Tensor] = []
        self._shortfalls: list[Tensor] = []
        self._near = leading(posterior, gap)
        self._rounds = _FULL_ROUNDS if context.full else _ROUNDS

    def kl(self) -> Rounds:
        """KL by quadrature near a line or a plane, else by Monte Carlo."""
        kl = self._near.kl()
        return Rounds(self._kl, self._rounds) if kl is None else Rounds.of(kl)

    def tv(self) -> Rounds:
        """Exact on a line, else by Monte Carlo."""
        return (
            Rounds.of(self._near.tv)
            if self._near.is_line and self._near.tv_is_sharp
            else Rounds(self._tv, self._rounds)
        )

    def _draws(self, k: int) -> int:
        """How many new ones round k takes."""
        n, d = self._posterior.points.shape
        first = int(min(_MOST, max(_LEAST, _WORK / (n * (2 * d + _EXP)))))
        return first if k == 0 else first * (_GROWTH - 1) * _GROWTH ** (k - 1)

    def _confidence(self, k: int) -> float:
        """The error of all steps and rounds adds up to that of one check."""
        return 1 - self._context.error / len(KL_STEPS + TV_STEPS) / 2 ** (k + 1)

    def _kl(self, k: int) -> Estimate:
        """`½ g tr C − H(p) + E_P H(x_0|x_t, x_s)`, with entropies in [0, log n]."""
        generator = self._context.within(f"{self._context.scope}/kl/{k}").generator()
        u = divergence.draw_kernel(self._posterior, self._gap, self._draws(k), generator)
        highest = math.log(len(self._posterior.points))
        self._entropies.append(self._posterior.conditional_entropy(u, self._gap)[0].clamp(0, highest))
        known, own = self._trace - self._entropy, rounding(64, self._trace, self._entropy)
        return self._interval(self._entropies, highest, known, own, k)

    def _tv(self, k: int) -> Estimate:
        """`E_Q (1 − r)₊`, between 0 and `1 − exp(−½ g tr C)`; if one direction has nearly all of C, from TV along it."""
        generator = self._context.within(f"{self._context.scope}/tv/{k}").generator()
        u = divergence.draw_plug_in(self._posterior, self._draws(k), generator)
        if self._near.share < _LEADING or not self._near.tv_is_sharp:
            highest = -math.expm1(-self._trace)
            self._shortfalls.append(_shortfall(self._posterior.log_ratio(u, self._gap)[0]).clamp(0, highest))
            return self._interval(self._shortfalls, highest, 0.0, rounding(64, 1.0), k)
        self._shortfalls.append(self._beside_the_line(u, generator))
        tv = self._near.tv
        return self._interval(self._shortfalls, 2.0, float(tv.value), float(tv.high - tv.low) + rounding(64, 1.0), k)

    def _beside_the_line(self, u_q: Tensor, generator: torch.Generator) -> Tensor:
        """Draws, between 0 and 2, of what TV along the leading direction lacks of TV.

        With `r₁ = E_Q[r|u₁]`, the ratio along it, `TV = E_Q[1 − r; r₁ ≤ 1] + E_Q[(r − 1)₊; r₁ ≤ 1] + E_Q[(1 − r)₊; r₁ > 1]`; the first
        is TV along it, and the second `E_P[(1 − 1/r)₊; r₁ ≤ 1]`. Both are small where the atoms nearly lie on a line.
        """
        along, first = self._near.along(1), self._near.basis[:, :1].to(u_q)
        u_p = divergence.draw_kernel(self._posterior, self._gap, u_q.shape[1], generator)
        (r_q, r_p), (line_q, line_p) = (
            [query.log_ratio(u, self._gap)[0].to(first.device) for u in both]
            for query, both in ((self._posterior, (u_q, u_p)), (along, [(u @ first).cpu() for u in (u_q, u_p)]))
        )
        return _shortfall(r_q).where(line_q > 0, 0.0) + _shortfall(-r_p).where(line_p <= 0, 0.0)

    def _interval(self, drawn: list[Tensor], highest: float, known: float, own: float, k: int) -> Estimate:
        """An interval for `known + E draw`, the draws between 0 and `highest`; `own` is the rounding of what is known."""
        draws = torch.cat(drawn)
        group = -(-len(draws) // _BLOCKS)
        means = draws[: len(draws) // group * group].unflatten(0, (-1, group)).mean(dim=1)
        low, high = mean_interval(means, 0.0, highest, self._confidence(k))
        value = known + float(means.mean())
        return estimate(value, known + low - own, known + high + own, self._confidence(k), len(draws))


def _shortfall(log_r: Tensor) -> Tensor:
    """`(1 − r)₊`."""
    return -torch.expm1(log_r.clamp(max=0))

r"""KL and TV by Monte Carlo in any dimension, from variables with known bounds, so that the intervals hold at every sample size for every law.

With `r = dP/dQ ≥ exp(−½ g tr C)`, which is Jensen's inequality for the mean over the posterior:

- TV `= E_Q (1 − r)₊`.
- KL `= E_P[f(r); r > 1] + E_Q[φ(r); r < 1]`, `f(r) = log r − 1 + 1/r`, `φ(r) = r f(r)`: both parts are of the order of KL itself, where
  `log r` is of the order of its root. Above a threshold R, `f(r) ≤ κ (r − 1)` with `κ = sup_{r ≥ R} f(r)/(r − 1)`, which is the ratio at R only beyond its peak,
  near r = 3.16. So the tail is at most `κ (χ² − E_P[r − 1; r ≤ R])`, χ² by B1.
- KL `= Σ p_j KL(N_j‖Q) − H(p) + E_P H(j | u)` over the components N_j, with entropies in [0, log k]: better at large gaps.

The intervals are intersected with each other and with what the moments imply (`gauss.kl_between`).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from singtheory import formula, numerics
from singtheory.divergence import gauss
from singtheory.divergence.chi2 import ChiSquare, chi_square
from singtheory.divergence.components import Components, Ratio
from singtheory.errors import InputError
from singtheory.estimate import Estimate, check_confidence, mean_interval
from singtheory.law import Posterior

_PEAK = 3.162581587064609835
"""Where `f(r)/(r − 1)` is largest."""


class Form(NamedTuple):
    """A value of KL with an interval."""

    value: float
    low: float
    high: float


def kl_monte_carlo(
    posterior: Posterior, gap: float, samples: int, generator: torch.Generator | None, confidence: float
) -> Estimate:
    """`KL(P‖Q)` in any dimension, half of the samples from P and half from Q (module docstring)."""
    check_samples(samples, confidence)
    return Estimate.stack([_kl(query, gap, samples // 2, generator, confidence) for query in posterior])


def tv_monte_carlo(
    posterior: Posterior, gap: float, samples: int, generator: torch.Generator | None, confidence: float
) -> Estimate:
    """`TV(P, Q) = E_Q (1 − r)₊` in any dimension, between 0 and `1 − exp(−½ g tr C)`."""
    check_samples(samples, confidence)

    def estimate(query: Posterior) -> Estimate:
        of = Components.of(query, gap)
        at = of.ratio(draw_plug_in(query, samples, generator)[0])
        shortfall = (-at.excess).clamp(min=0)
        highest = -math.expm1(-(of.trace + of.trace_error) / 2)
        low, high = _scaled_interval(shortfall, highest, confidence)
        lost = float(((1 - shortfall) * at.error).mean() + 2 * (of.p @ of.tilt)) + 64 * formula.DOUBLE * highest
        value = float(shortfall.mean())
        most = min(highest, math.sqrt((of.trace + of.trace_error) / (2 * math.pi)) * (1 + 8 * formula.DOUBLE))
        return Estimate.single(value, max(0.0, low - lost), min(most, high + lost), "monte-carlo", samples, confidence)

    return Estimate.stack([estimate(query) for query in posterior])


def kl_moment_draws(posterior: Posterior, gap: float, samples: int, generator: torch.Generator | None) -> Tensor:
    """Draws whose mean is `KL(P‖M)`: `f(dP/dM) ≥ 0` under P; shape (batch, samples)."""
    excesses = []
    for query in posterior:
        of = Components.of(query, gap)
        nodes = _draw_kernel(query, of, samples, generator)
        values, basis = torch.linalg.eigh(of.cov)
        spread = values.clamp(min=0)
        log_m_over_q = (spread / (1 + spread) * (nodes @ basis).square() - torch.log1p(spread)).sum(dim=-1) / 2
        excesses.append(excess(of.ratio(nodes).log_r - log_m_over_q))
    return torch.stack(excesses)


def excess(log_r: Tensor) -> Tensor:
    """`f(r) = log r − 1 + 1/r ≥ 0`."""
    return formula.expm1_rest(-log_r, torch)


def draw_plug_in(posterior: Posterior, n: int, generator: torch.Generator | None) -> Tensor:
    """`u ~ N(0, I)`, shape (batch, n, d)."""
    return numerics.normal((len(posterior), n, posterior.mean.shape[1]), posterior.mean.device, generator)


def draw_kernel(posterior: Posterior, gap: float, n: int, generator: torch.Generator | None) -> Tensor:
    """`u = √g ξ + n`, shape (batch, n, d) (A4)."""
    draws = [_draw_kernel(query, Components.of(query, gap), n, generator) for query in posterior]
    return torch.stack(draws)


def _draw_kernel(query: Posterior, of: Components, n: int, generator: torch.Generator | None) -> Tensor:
    """Draws of one query's kernel, from its components."""
    chosen = numerics.choose(of.p, n, generator)
    noise = draw_plug_in(query, n, generator)[0]
    if of.spread is not None and of.basis is not None:
        noise = torch.einsum("nde,ne->nd", of.basis[chosen], (1 + of.spread[chosen]).sqrt() * noise)
    return of.centres[chosen] + noise


def check_samples(samples: int, confidence: float) -> None:
    """Raise `InputError` for fewer than two samples and for a confidence that is none."""
    check_confidence(confidence)
    if samples < 2:
        raise InputError(f"samples {samples}: need at least two")


def _kl(query: Posterior, gap: float, half: int, generator: torch.Generator | None, confidence: float) -> Estimate:
    of = Components.of(query, gap)
    u_p, u_q = _draw_kernel(query, of, half, generator), draw_plug_in(query, half, generator)[0]
    chi2 = chi_square(of)
    side = _split(confidence, 2)
    at_p, entropies = _under_p(of, u_p)
    forms = (_by_ratio(of, at_p, of.ratio(u_q), chi2, side), _by_entropy(of, at_p, entropies, side))
    known_low, known_high = gauss.kl_between(of, chi2)
    lost = _weights_error(of, chi2) + _components_error(of, at_p)
    value = min(forms, key=lambda form: form.high - form.low).value
    low = max(known_low, *(form.low - lost for form in forms))
    high = min(known_high, *(form.high + lost for form in forms))
    if low > high:  # one of the intervals has missed: they hold together with the stated confidence only
        low, high = min(low, high), max(low, high)
    return Estimate.single(value, low, high, "monte-carlo", 2 * half, confidence)


def _weights_error(of: Components, chi2: ChiSquare) -> float:
    """At least what the rounding of the weights moves KL by.

    It is `Σ p_j t_j |E_j log r|`, with `E_j log r` between `−½ g tr C` (Jensen) and `KL(N_j‖Q)`; or, as `r − 1 − log r ≥ 0` has the mean χ² − KL under P,
    at most `|E_j r − 1|` and its part of that.
    """
    own = of.norms2 + of.spread_trace
    first = float((of.p * of.tilt) @ own.clamp(min=of.trace)) / 2
    return min(first, float(of.tilt.max()) * 2 * chi2.by_component)


def _components_error(of: Components, at: Ratio) -> float:
    """At least what the errors of centres and spreads move KL by: the draws are of the components as they are computed, and `∂KL = ∫ ∂p log r`."""
    if of.spread_error is None:
        return 0.0
    return 2 * float(((at.log_r.abs() + at.error) * at.error).mean())


def _under_p(of: Components, u: Tensor) -> tuple[Ratio, Tensor]:
    """`dP/dQ` at draws of P, and the entropy `H(j | u)` of the components there, shape (nodes,)."""
    seen = [(at, torch.special.entr(shares).sum(dim=1)) for _, at, shares in of.weighed(u, -1)]
    ratios, entropies = zip(*seen, strict=True)
    return Ratio(*(torch.cat(column) for column in zip(*ratios, strict=True))), torch.cat(entropies)


def _by_ratio(of: Components, at_p: Ratio, at_q: Ratio, chi2: ChiSquare, confidence: float) -> Form:
    """From `f(r)` above one under P and `φ(r)` below one under Q."""
    log_p, log_q = at_p.log_r, at_q.log_r
    above = torch.where(log_p > 0, excess(log_p), 0.0)
    below = torch.where(log_q < 0, _phi(log_q), 0.0)
    value = float(above.mean() + below.mean())
    least = -(of.trace + of.trace_error) / 2
    each = _split(confidence, 3)
    below_low, below_high = _scaled_interval(below, float(_phi(torch.tensor(least, dtype=torch.float64))), each)
    lost = float(
        (log_p.clamp(min=0).clamp(max=1) * at_p.error).mean() + (log_q.exp() * log_q.abs() * at_q.error).mean()
    )
    lost += 64 * formula.DOUBLE * value
    cost = math.log(2 / (1 - each)) / len(log_p)  # what a mean's interval loses by the range of its variable
    cut = _cut(of, cost) or _chi2_cut(chi2)
    if cut is None:
        return Form(value, max(0.0, below_low - lost), math.inf)
    log_threshold, kappa, tail = cut
    if log_threshold == 0:
        return Form(value, 0.0, below_high + lost)
    largest, inside = _excess_at(log_threshold), log_p <= log_threshold
    kept, drift = torch.where(inside, above, 0.0), torch.where(inside, at_p.excess, 0.0)
    low, high = _scaled_interval(kept, largest, each)
    if kappa > 0:
        lowest = -kappa * math.expm1(log_threshold)
        span = max(largest, -kappa * math.expm1(least)) - lowest
        high = lowest + _scaled_interval((kept - kappa * drift - lowest).clamp(0, span), span, each)[1]
        lost += kappa * float((drift.abs() + 1).mul(at_p.error).mean())
    return Form(value, max(0.0, low + below_low - lost), high + tail + below_high + lost)


class Cut(NamedTuple):
    """Where the part above one is cut: `E_P[f(r); r > R] ≤ tail − κ E_P[r − 1; r ≤ R]`, `log_threshold = log R`."""

    log_threshold: float
    kappa: float
    tail: float


def _chi2_cut(chi2: ChiSquare) -> Cut | None:
    """A cut by `f(r) ≤ κ (r − 1)` beyond R and χ²; none where χ² is out of sight."""
    if chi2.high > 700:
        return None
    high = math.expm1(chi2.high)
    # the threshold balances the range of the variables against the tail left out; any fixed choice is valid
    log_threshold = math.log1p(6 * math.sqrt(high) + 200 * high)
    kappa = tail_slope(log_threshold) if log_threshold > 0 else 0.0
    return Cut(log_threshold, kappa, kappa * high)


def _cut(of: Components, cost: float) -> Cut | None:
    """A cut by how far u can be, where no atom is far: with `‖m_j‖ ≤ M`, λ the largest eigenvalue of gC and `‖u‖ ≤ ρ`,

    `r − 1 ≤ Σ p_j (e^{⟨m_j, u⟩} − 1 − ⟨m_j, u⟩) ≤ λρ² h(Mρ)`, `h(x) = (eˣ − 1 − x)/x²`, which increases. Beyond ρ, `f(r) ≤ ½ log² r ≤ ½ M²‖u‖²` and
    `‖u‖ ≤ ‖n‖ + M`, so that the tail is at most `M² (E[‖n‖²; ‖n‖ > ρ − M] + M² P(‖n‖ > ρ − M))`. The ρ is that of the least tail and `cost` times the range.
    """
    furthest = math.sqrt(float(of.norms2.max())) * formula.UP
    if of.spread is not None or not 0 < furthest <= 1:
        return None
    from scipy.special import chdtrc  # late, as the package loads scipy where it is used

    largest = float(of.eigenvalues[-1]) + of.eigenvalue_error
    reach = math.sqrt(of.dim) + torch.linspace(0, 12, 121, dtype=torch.float64)
    beyond = [torch.from_numpy(chdtrc(of.dim + extra, reach.square().numpy())) for extra in (0, 2)]
    tails = 1.001 * furthest**2 * (of.dim * beyond[1] + furthest**2 * beyond[0])
    radius = reach + furthest
    x = furthest * radius
    bounds = torch.log1p(1.001 * largest * radius.square() * formula.expm1_rest(x, torch) / x.square())
    bounds = torch.minimum(bounds, x)
    if of.dim == 1:  # r is convex: the larger of its values at both ends
        outermost = of.ratio(torch.cat([-radius, radius])[:, None].to(of.points.device))
        bounds = (outermost.log_r + outermost.error).unflatten(0, (2, -1)).amax(dim=0).clamp(min=0).cpu()
    best = int((tails + cost * excess(bounds)).argmin())
    return Cut(float(bounds[best]), 0.0, float(tails[best]))


def tail_slope(log_threshold: float) -> float:
    """`sup_{r ≥ R} f(r)/(r − 1)`: the ratio rises to its peak and falls from there."""
    at = max(log_threshold, math.log(_PEAK))
    return _excess_at(at) / math.expm1(at)


def _excess_at(log_r: float) -> float:
    return float(excess(torch.tensor(log_r, dtype=torch.float64)))


def _by_entropy(of: Components, at: Ratio, entropies: Tensor, confidence: float) -> Form:
    """From `Σ p_j KL(N_j‖Q) − H(p) + E_P H(j | u)`."""
    own = float(torch.special.entr(of.p).sum())
    most = math.log(len(of.p))
    low, high = _scaled_interval(entropies, most, confidence)
    convex = gauss.components_kl(of)
    known = convex - own
    lost = of.trace_error + 256 * formula.DOUBLE * (1 + own + most)
    lost += (
        3 * float(at.error_p.mean()) * (1 + most)
    )  # what an exponent's rounding moves an entropy by, and a density its mean
    return Form(known + float(entropies.mean()), known + low - lost, known + high + lost)


def _scaled_interval(samples: Tensor, most: float, confidence: float) -> tuple[float, float]:
    """`mean_interval` of a variable in [0, most], at any scale."""
    if not 0 < most < math.inf:
        return 0.0, max(most, 0.0)
    low, high = mean_interval((samples / most).clamp(0, 1), 0.0, 1.0, confidence)
    return low * most, high * most


def _phi(log_r: Tensor) -> Tensor:
    """`φ(r) = r log r − r + 1` for r ≤ 1."""
    near = log_r.clamp(min=-0.5)
    return torch.where(
        log_r < -0.5, log_r.exp() * log_r - torch.expm1(log_r), near.exp() * formula.expm1_rest(-near, torch)
    )


def _split(confidence: float, parts: int) -> float:
    """The confidence of each of `parts` intervals that hold together with `confidence`."""
    return 1 - (1 - confidence) / parts

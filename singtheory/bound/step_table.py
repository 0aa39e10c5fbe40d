r"""The Gaussian reverse-process error along a sampler's grid: one row a step, averaged over `x_t ~ q_t`.

The values of KL, TV and of every bound are means over the same `queries` draws of `x_t`, so that a row compares like with like: what is exact is
exact, and what is drawn is moved between the bounds of its own `x_t` before the mean is taken. The intervals of KL and TV are for the mean over all `x_t`; they come from `draws_per_query × queries` independent draws of variables with known
bounds, so that they hold at every sample size:

- `E KL = ½ g mmse(γ_t) − E H(x_0|x_t) + E H(x_0|x_s)` (B4 through entropies), and
- `E KL = (g²/4) E ⟨ξ, ξ'⟩²`, ξ and ξ' independent under the posterior at SNR `γ_t + h`, h of density `2(g − h)/g²` (B11).
"""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from singtheory import divergence, formula, numerics, system
from singtheory.bound import ladder
from singtheory.divergence import Components, chi_square
from singtheory.errors import InputError
from singtheory.estimate import check_confidence, mean_interval
from singtheory.law import Atoms, AtomsPosterior
from singtheory.schedule import Schedule, snr_of_posterior, snr_up_to_zero

DRAWS_PER_QUERY = 64
_VALUE_DRAWS = 256
_PAIRS, _LEAST_DRAWS = 2**20, 16
"""Draws times atoms of one x_t, beyond which fewer draws are taken, and how many are taken at least."""
_PAIR_DRAWS = 16
_CHUNK, _HELD = 256, 2**22
"""Queries that are worked on at once, and numbers that their weights may take."""
_LOST = 1e-9
"""What products may take from `log r`, and so from a draw of TV; its interval is wider by it."""
_FEW, _LIGHT = 256, -46.0
"""Up to so many atoms all pairs are summed for χ²; of more, those of a share below e⁻⁴⁶ = 1e-20 are left out."""
_PLANE = 2
"""Up to so many dimensions there is a quadrature."""

Row = dict[str, float]


def check_queries(queries: int, dim: int) -> None:
    """Raise `InputError` for fewer queries a step than one, or more than fit into memory in `dim` dimensions."""
    # draws of the kernel at every query, and about three temporaries of their size
    system.check_queries(queries, 1, 4 * _VALUE_DRAWS * dim, dim)


def draws_per_query(count: int, most: int = DRAWS_PER_QUERY) -> int:
    """How many draws an x_t gets on data of so many points; of very many fewer, so that a step takes seconds.

    >>> [draws_per_query(count) for count in (1797, 50_000, 10**6)]
    [64, 20, 16]
    """
    return max(_LEAST_DRAWS, min(most, _PAIRS // count))


def step_rows(
    law: Atoms,
    schedule: Schedule,
    times: Tensor,
    queries: int,
    generator: torch.Generator,
    confidence: float = 0.99,
) -> Iterator[Row]:
    """One row a step of the grid `times` (steps + 1,), in the grid's order, with the fields that `singtheory bounds --json` writes.

    Args:
        law: finite data.
        schedule: the forward process.
        times: decreasing times.
        queries: how many `x_t` a step; the pair bounds cost n² each.
        generator: for the draws.
        confidence: of each interval alone.

    Raises:
        InputError: as `check_queries`, and for a step that changes nothing.
    """
    check_confidence(confidence)
    check_queries(queries, law.dim)
    _check_gaps(schedule, times)
    for t, s in itertools.pairwise(times.tolist()):
        yield _row(law, schedule, t, s, queries, generator, confidence)


def _check_gaps(schedule: Schedule, times: Tensor) -> None:
    """Raise `InputError` where float64 knows no difference between the signal-to-noise ratios of a step's ends, and for one beyond the domain."""
    snr = snr_up_to_zero(schedule, times)
    still = (snr[1:] <= snr[:-1]).nonzero()[:, 0]
    if len(still):
        k = int(still[0])
        raise InputError(
            f"step from t = {float(times[k]):.6g} to {float(times[k + 1]):.6g}: the signal-to-noise ratio is {float(snr[k]):.3g} at both; "
            "take fewer steps or another schedule"
        )
    snr_of_posterior(schedule, times)


def _row(
    law: Atoms,
    schedule: Schedule,
    t: float,
    s: float,
    queries: int,
    generator: torch.Generator,
    confidence: float,
) -> Row:
    snr_t, snr_s = float(schedule.snr(t)), float(schedule.snr(s))
    gap = float(formula.gap(snr_t, snr_s))
    row = {"t": t, "s": s, "snr_t": snr_t, "snr_s": snr_s, "gap": gap}
    posterior = _draw_posterior(law, snr_t, queries, generator)
    if math.isinf(gap):
        bounds = ladder.evaluate_ladder(posterior, gap)
        return row | _at_zero(posterior) | {name: float(values.mean()) for name, values in bounds.items()}
    entropies = posterior.entropy  # of all queries in one pass, with the trace
    # one query after the other, for what is made of its points serves all that is asked of it
    at_each = [_at(query, gap, float(own), generator) for query, own in zip(posterior, entropies, strict=True)]
    means = {name: math.fsum(values[name] / queries for values in at_each) for name in at_each[0]}  # χ² may be huge
    draws = draws_per_query(len(law.points)) * queries
    row |= _widened("kl", means.pop("kl"), _mean_kl_interval(law, snr_t, gap, draws, generator, confidence))
    row |= _widened("tv", means.pop("tv"), _mean_tv_interval(law, snr_t, gap, draws, generator, confidence))
    return row | means


def _at(query: AtomsPosterior, gap: float, entropy: float, generator: torch.Generator) -> Row:
    """KL, TV, χ², `KL(P‖M)` and all bounds at one `x_t`, of whose points the posterior has this entropy."""
    bounds = {name: float(value) for name, value in ladder.evaluate_ladder(query, gap).items()}
    dim, each = query.points.shape[1], draws_per_query(len(query.points))
    kl, tv = (
        _drawn(query, gap, bounds, entropy, generator) if dim > 1 else (0.0, float(divergence.tv_exact(query, gap)))
    )
    kl = float(divergence.kl_quadrature(query, gap)) if dim <= _PLANE else kl
    values = {"kl": _within(kl, bounds, "kl"), "tv": _within(tv, bounds, "tv")}
    values |= {"chi2": _chi2(query, gap)}
    values |= {"kl_moment_matched": float(divergence.kl_moment_draws(query, gap, each, generator).mean())}
    return values | bounds


def _chi2(query: AtomsPosterior, gap: float) -> float:
    """`χ²(P‖Q)` (B1), whose largest terms may be those of atoms that hardly weigh: of many atoms those are taken that do, and those of large `q_j = p_j e^{½‖m_j‖²}`.

    A pair adds at most `q_j q_k` to `1 + χ²`, which is at least the largest `q_j²`.
    """
    of = Components.of(query, gap)
    tilted = of.log_p + of.norms2 / 2
    kept = (of.log_p > _LIGHT) | (tilted > tilted.max() + _LIGHT)
    if len(kept) <= _FEW:
        kept = torch.ones_like(kept)
    log_p = torch.log_softmax(of.log_p[kept], 0)
    some = Components(log_p, of.log_p_error[kept], of.points[kept], gap, None, None)
    return float(torch.expm1(torch.tensor(chi_square(some).log1p, dtype=torch.float64)))


def _at_zero(posterior: AtomsPosterior) -> Row:
    """A step that ends at s = 0: its kernel is the posterior itself, singular to every Gaussian unless both are one point (D3)."""
    kl, tv = float(divergence.to_point(posterior).value.mean()), divergence.tv_to_point(posterior)
    row = dict.fromkeys(("kl", "kl_low", "kl_high", "chi2", "kl_moment_matched"), kl)
    return row | {"tv": float(tv.value.mean()), "tv_low": float(tv.low.min()), "tv_high": float(tv.high.max())}


def _drawn(
    query: AtomsPosterior, gap: float, bounds: Row, entropy: float, generator: torch.Generator
) -> tuple[float, float]:
    """`KL(P‖Q)` without bias, by entropies where the atoms are separated, by ratios where they overlap; and `TV(P, Q)`, the mean over draws from Q.

    Separated atoms of small weight make KL a matter of rare draws, which the closed-form part of the entropy form holds.
    """
    count = len(query.points)
    of_p, of_q = draws_per_query(count, _VALUE_DRAWS), draws_per_query(count)
    u_p, u_q = divergence.draw_kernel(query, gap, of_p, generator), divergence.draw_plug_in(query, of_q, generator)
    log_ratio, entropies = query.ratio_and_entropy(torch.cat([u_p, u_q], dim=1), gap)
    tv = float(-torch.expm1(log_ratio[0, of_p:]).clamp(max=0).mean())
    if bounds["kl_pair_lower"] > bounds["kl_gauss_lower"]:
        known = float(formula.kl_trace_bound(gap, query.trace_cov)) - entropy
        return known + float(entropies[0, :of_p].mean()), tv
    return float(divergence.excess(log_ratio[0, :of_p]).mean()), tv


def _within(value: float, bounds: Row, quantity: str) -> float:
    """The value of one query moved between what bounds it from below and from above at the same `x_t`."""
    sides = {
        side: [bounds[of.name] for of in ladder.LADDER if (of.quantity, of.side) == (quantity, side)]
        for side in ("lower", "upper")
    }
    return min(max(value, 0.0, *sides["lower"]), *sides["upper"])


def _widened(name: str, value: float, interval: tuple[float, float]) -> Row:
    """A row's own mean differs from the mean over all `x_t` by sampling; an interval may always be widened to hold it."""
    low, high = interval
    return {name: value, f"{name}_low": min(low, value), f"{name}_high": max(high, value)}


def _draw_posterior(law: Atoms, snr: float, queries: int, generator: torch.Generator) -> AtomsPosterior:
    """Posteriors at `queries` draws of `z = √γ x_0 + n`."""
    return _posterior_at(law, law.sample(queries, generator), snr, generator)


def _posterior_at(law: Atoms, x_0: Tensor, snr: Tensor | float, generator: torch.Generator) -> AtomsPosterior:
    snr = torch.as_tensor(snr, dtype=torch.float64, device=x_0.device).expand(len(x_0))
    noise = numerics.normal(x_0.shape, x_0.device, generator)
    return law.posterior(snr.sqrt()[:, None] * x_0 + noise, snr)


def _in_chunks(draws: int, values: Callable[[int], Tensor], most: int = _CHUNK) -> Tensor:
    return torch.cat([values(min(most, draws - start)) for start in range(0, draws, most)])


def _mean_kl_interval(
    law: Atoms, snr_t: float, gap: float, draws: int, generator: torch.Generator, confidence: float
) -> tuple[float, float]:
    """The intersection of the two forms' intervals (module docstring), each at half of the error."""
    side = 1 - (1 - confidence) / 2
    max_entropy, max_trace = math.log(len(law.points)), law.diameter**2 / 2
    entropies = _in_chunks(draws, lambda n: _entropy_draws(law, snr_t, gap, n, generator))
    lowest, highest = -max_entropy, gap * max_trace / 2 + max_entropy
    first = mean_interval(entropies.clamp(lowest, highest), lowest, highest, side)
    products = _in_chunks(draws, lambda n: _product_draws(law, snr_t, gap, n, generator))
    largest = law.diameter**4 * (1 + 1e-12)
    second = mean_interval((products / largest).clamp(0, 1), 0.0, 1.0, side) if largest > 0 else (0.0, 0.0)
    scaled = tuple(float(formula.kl_small_gap(gap, value * largest)) for value in second)
    return max(0.0, first[0], scaled[0]), min(first[1], scaled[1])


def _entropy_draws(law: Atoms, snr_t: float, gap: float, n: int, generator: torch.Generator) -> Tensor:
    """Draws of `½ g tr C − H(x_0|x_t) + H(x_0|x_s)`, shape (n,): `√γ_s z_s = √γ_t z_t + √g z'` joins two measurements of one `x_0`."""
    x_0 = law.sample(n, generator)
    noise = numerics.normal((2, *x_0.shape), x_0.device, generator)
    snr_s = snr_t + gap
    at_t = law.posterior(math.sqrt(snr_t) * x_0 + noise[0], snr_t)
    joint = (math.sqrt(snr_t) * noise[0] + math.sqrt(gap) * noise[1]) / math.sqrt(snr_s)
    at_s = law.posterior(math.sqrt(snr_s) * x_0 + joint, snr_s)
    before = at_t.entropy  # in the same pass as the trace, if it is asked for first
    return formula.kl_trace_bound(gap, at_t.trace_cov) - before + at_s.entropy


def _product_draws(law: Atoms, snr_t: float, gap: float, n: int, generator: torch.Generator) -> Tensor:
    """Draws of the mean of `⟨ξ, ξ'⟩²` over pairs of independent posterior draws, shape (n,)."""
    uniform = numerics.uniform(n, law.device, generator)
    posterior = _posterior_at(law, law.sample(n, generator), snr_t + gap * (1 - uniform.sqrt()), generator)
    xi = posterior.sample(_PAIR_DRAWS, generator) - posterior.mean[:, None]
    gram2 = (xi @ xi.mT).square()
    off_diagonal = gram2.sum(dim=(1, 2)) - gram2.diagonal(dim1=1, dim2=2).sum(dim=1)
    return off_diagonal / (_PAIR_DRAWS * (_PAIR_DRAWS - 1))


def _mean_tv_interval(
    law: Atoms, snr_t: float, gap: float, draws: int, generator: torch.Generator, confidence: float
) -> tuple[float, float]:
    """One draw of `(1 − r)₊` under Q for each draw of `x_t`."""

    def overlaps(n: int) -> Tensor:
        posterior = _draw_posterior(law, snr_t, n, generator)
        u = divergence.draw_plug_in(posterior, 1, generator)
        return -torch.expm1(_log_ratio_at_one(posterior, u, gap)).clamp(max=0)

    highest = -math.expm1(-formula.kl_trace_bound(gap, law.diameter**2 / 2))
    together = max(1, min(_CHUNK, _HELD // len(law.points)))  # each holds the weights of all points
    low, high = mean_interval(_in_chunks(draws, overlaps, together).clamp(0, highest), 0.0, highest, confidence)
    return max(0.0, low - _LOST), min(1.0, high + _LOST)


def _log_ratio_at_one(posterior: AtomsPosterior, u: Tensor, gap: float) -> Tensor:
    """`log r` at one u for each query, (batch, 1, d), shape (batch,): by one product for all queries where that keeps it to `_LOST`, else from differences."""
    values, error = _log_ratio_by_products(posterior, u[:, 0], gap)
    for k in (~(error <= _LOST)).nonzero()[:, 0].tolist():
        values[k] = posterior[k].log_ratio(u[k : k + 1], gap)[0, 0]
    return values


def _log_ratio_by_products(posterior: AtomsPosterior, u: Tensor, gap: float) -> tuple[Tensor, Tensor]:
    """`log Σ_j p_j e^{⟨y'_j, √g u + g x̂'⟩ − ½g‖y'_j‖²} − √g⟨x̂', u⟩ − ½g‖x̂'‖²` about the centre of the data, and at least its error; both (batch,)."""
    points = posterior.engine.points
    mean, root = posterior.mean - points.mean, math.sqrt(gap)
    logits = (root * u + gap * mean) @ (points.whole - points.mean).mT
    logits += posterior.log_weights - gap / 2 * points.norms2
    values = torch.logsumexp(logits, dim=1) - (mean * (root * u + gap / 2 * mean)).sum(dim=1)
    reach = points.radius + mean.norm(dim=1)
    sizes = 1 + reach * (root * u.norm(dim=1) + gap * reach)
    # the mean's error moves Q, and a coordinate far from the origin is rounded as such
    moved = (posterior.error_bound + 4 * formula.DOUBLE * points.reach) * (root * u.norm(dim=1) + gap * reach)
    return values, 2 * formula.accumulation(u.shape[1] + 16, formula.DOUBLE) * sizes + 2 * moved

"""What the steps of a chain cost whose noise has the posterior's covariance (E3), beside `grid_costs`' plug-in kernel."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from proofs_checks.measurements.path_costs import cost_rounding, line_of, path_cost
from singtheory import Atoms, InputError, Law, divergence, formula, numerics
from singtheory.law import AtomsPosterior

KERNELS = ("isotropic", "matched")
MOST_DIM = 256
"""Whole covariances of every query are held, and their eigenvalues found."""
_EACH, _PROBES, _NODES, _LEAST = 8, 8, 24, 16
"""Draws of u a query; of vectors for κ; γ between which `E‖κ‖²` is known; queries a step at least."""
_SHARE = 8
"""The mmse curve has so many times the queries of a step."""


@dataclass(frozen=True)
class MatchedTerm:
    """The discretisation term of the matched kernel, in nats.

    Attributes:
        steps: `E KL(P‖M)` of each step, (steps,).
        error: the standard error of their sum.
        rounding: what float64 may change in it.
        exact: whether no draws were made.
    """

    steps: Tensor
    error: float
    rounding: float
    exact: bool

    @property
    def value(self) -> float:
        """The sum."""
        return float(self.steps.sum())


def check_kernel(kernel: str, law: Law | None = None) -> None:
    """Raise `InputError` for an unknown kernel, and for a matched one in more dimensions than whole covariances are held in."""
    if kernel not in KERNELS:
        raise InputError(f"kernel {kernel!r}: unknown; there are {', '.join(KERNELS)}")
    if kernel == "matched" and law is not None and not law.gaussian and law.dim > MOST_DIM:
        raise InputError(
            f"kernel matched: in {law.dim} dimensions whole covariances are too large, at most {MOST_DIM}; give principal components of the data, or --kernel isotropic"
        )


def matched_term(
    law: Law, snr: Tensor, queries: int, seed: int, step: Callable[[int, int], None] = lambda done, total: None
) -> MatchedTerm:
    """The matched term of the chain with increasing γ, shape (steps + 1,).

    Args:
        law: Gaussian data, a law on a line, or atoms in up to `MOST_DIM` dimensions.
        snr: of the chain.
        queries: of the command; a step has an eighth of them.
        seed: of the draws.
        step: called with the steps done and their total.
    """
    pairs = list(zip(snr[:-1].tolist(), snr[1:].tolist(), strict=True))
    if law.gaussian:  # every step is exact
        return MatchedTerm(torch.zeros(len(pairs), dtype=torch.float64), 0.0, 0.0, True)
    if law.dim == 1:
        line = line_of(law)
        costs = [max(0.0, path_cost(line, "matched", pair)) for pair in pairs]
        lost = sum(cost_rounding(line, pair) for pair in pairs)
        return MatchedTerm(torch.tensor(costs, dtype=torch.float64), 0.0, lost, True)
    atoms, generator, averages, squared = law.atoms(), torch.Generator().manual_seed(seed), [], 0.0
    for done, (low, high) in enumerate(pairs, start=1):
        draws = divergence.kl_moment_draws(_posterior(atoms, low, queries, generator), high - low, _EACH, generator)
        means = draws.mean(dim=1)
        averages.append(means.mean())
        squared += float(means.var()) / len(means)
        step(done, len(pairs))
    return MatchedTerm(torch.stack(averages).cpu(), math.sqrt(squared), 0.0, False)


def _posterior(law: Atoms, snr: float, queries: int, generator: torch.Generator) -> AtomsPosterior:
    """The posterior at draws of `x_t`."""
    x_0 = law.sample(max(_LEAST, queries // _SHARE), generator)
    z = math.sqrt(snr) * x_0 + numerics.normal(x_0.shape, law.device, generator)
    return law.posterior(z, snr)


def skewness2(law: Law, snr: Tensor, queries: int, seed: int) -> Tensor:
    """`E‖κ‖²` at each γ, (n,): by quadrature on a line, from draws for atoms; 0 for Gaussian data."""
    if law.gaussian:
        return torch.zeros_like(snr)
    if law.dim == 1:
        return torch.tensor([line_of(law).level(g).skewness2 for g in snr.tolist()], dtype=torch.float64)
    atoms, generator = law.atoms(), torch.Generator().manual_seed(seed)
    return torch.stack([_skewness2(_posterior(atoms, g, queries, generator), generator) for g in snr.tolist()]).cpu()


def _skewness2(posterior: AtomsPosterior, generator: torch.Generator) -> Tensor:
    """`E‖κ(v, w, ·)‖²` over standard normal v and w, and over the queries."""
    squares = []
    for xi, p in zip(posterior.deviations(), posterior.weights, strict=True):
        v, w = (numerics.normal((xi.shape[1], _PROBES), xi.device, generator) for _ in range(2))
        squares.append((((xi @ v) * (xi @ w) * p[:, None]).mT @ xi).square().sum(dim=1).mean())
    return torch.stack(squares).mean()


def cube_root_integral(law: Law, snr_start: float, snr_end: float, queries: int, seed: int) -> float:
    """`S = ∫(E‖κ‖²)^⅓dγ`, by which the best grid's cost tends to `S³/12N²` (E3), by the trapezoidal rule in log(1 + cγ)."""
    scale = float(law.cov.trace())
    nodes = _NODES if law.dim > 1 else 10 * _NODES
    even = torch.linspace(math.log1p(scale * snr_start), math.log1p(scale * snr_end), nodes, dtype=torch.float64)
    snr = torch.expm1(even) / scale
    density = formula.matched_density(skewness2(law, snr, queries, seed), torch)
    return float(torch.trapezoid(density * even.exp() / scale, even))


def describe(term: MatchedTerm, plug_in: float, integral: float) -> dict[str, Any]:
    """The term in plain values, beside the plug-in kernel's cost on the same grid."""
    return {
        "discretisation": term.value,
        "discretisation_error": term.error,
        "isotropic": plug_in,
        "share": term.value / plug_in if plug_in > 0 else 0.0,
        "limit": float(formula.matched_least_cost(integral, 1)),
        "steps": term.steps.tolist(),
    }


def with_matched(row: dict[str, float], term: MatchedTerm) -> dict[str, float]:
    """A row of the budget with the matched kernel's term.

    For certain is only `0 ≤ KL(P‖M) ≤ KL(P‖Q)` where draws were made (B5). The network's error weighs at most what it does beside the plug-in kernel's noise.
    """
    matched = dict(row)
    high = row["discretisation_high"]
    interval = (term.value - term.rounding, term.value + term.rounding) if term.exact else (0.0, max(high, term.value))
    matched |= {"discretisation": term.value, "discretisation_error": term.error}
    matched |= {"discretisation_low": max(0.0, interval[0]), "discretisation_high": interval[1], "network_low": 0.0}
    for side in ("low", "high"):
        matched[f"total_{side}"] = sum(matched[f"{name}_{side}"] for name in ("start", "discretisation", "network"))
    return matched

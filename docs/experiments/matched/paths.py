"""Orders and constants of E3 on digits, with exact posteriors: along their widest direction by quadrature, and in all 64 dimensions by draws.

In 64 dimensions `x_t` and, for the matched kernel's divergence, `x_s` are drawn; the standard errors stand beside the numbers.
"""

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from proofs_checks.measurements.path_costs import KERNELS, along_widest, line_of, path_cost
from singtheory import Atoms, divergence, formula, numerics
from singtheory.law import AtomsPosterior

STEPS = (8, 16, 32)
LINE_STEPS, LINE_END = (16, 32, 64, 128, 256), 2.0
ENDS = (0.1, 1.0)
"""γ, over which the mmse of the digits falls by two thirds."""
_NODES, _PROBES = 12, 16


def paths(law: Atoms, queries: int, draws: int, seed: int) -> dict[str, Any]:
    """Costs of chains of equal steps of log γ, their slopes, and their ratios to the limits.

    Args:
        law: of the data.
        queries: `x_t` a step, the same draws of `x_0` and n at every γ.
        draws: of `x_s` a query.
        seed: of all of them.
    """
    generator = torch.Generator().manual_seed(seed)
    x_0 = law.sample(queries, generator)
    noise = numerics.normal(x_0.shape, law.device, generator)

    def posterior(snr: float) -> AtomsPosterior:
        conditional = law.posterior(math.sqrt(snr) * x_0 + noise, snr)
        assert isinstance(conditional, AtomsPosterior)
        return conditional

    x, w = np.polynomial.legendre.leggauss(_NODES)
    ratio = math.log(ENDS[1] / ENDS[0])
    levels = [(ENDS[0] * math.exp(ratio * (a + 1) / 2), b / 2) for a, b in zip(x.tolist(), w.tolist(), strict=True)]
    constants, area = torch.zeros(2, queries, dtype=torch.float64), torch.zeros(queries, dtype=torch.float64)
    for snr, weight in levels:
        at, speed = posterior(snr), ratio * snr
        norm2, skewness2 = _cumulants(at, generator)
        constants[0] += weight * formula.kl_small_gap(speed, norm2)
        constants[1] += weight * formula.kl_moment_small_gap(speed, skewness2)
        area += weight * speed * at.trace_cov
    measured: dict[str, Any] = {"queries": queries, "draws": draws, "ends": ENDS, "costs": []}
    for steps in STEPS:
        snr = [ENDS[0] * math.exp(ratio * k / steps) for k in range(steps + 1)]
        plug_in, matched = -area / 2, torch.zeros(queries, dtype=torch.float64)
        for low, high in itertools.pairwise(snr):
            at = posterior(low)
            plug_in = plug_in + formula.kl_trace_bound(high - low, at.trace_cov)
            matched += divergence.kl_moment_draws(at, high - low, draws, generator).mean(dim=1)
        measured["costs"].append(
            {"steps": steps}
            | _scaled("plug-in", steps * plug_in, constants[0])
            | _scaled("matched", steps**2 * matched, constants[1])
        )
    for kernel, order in (("plug-in", 1), ("matched", 2)):
        values = [one[kernel] / one["steps"] ** order for one in measured["costs"]]
        measured[f"{kernel} slope"] = math.log2(values[-1] / values[-2])
        ratios = [one[f"{kernel} ratio"] for one in measured["costs"]]
        measured[f"{kernel} extrapolated"] = 2 * ratios[-1] - ratios[-2]
    return measured


def line_paths(law: Atoms) -> dict[str, Any]:
    """Path nats along the direction of largest variance, from γ = 0 in equal steps of √γ, without draws."""
    line = line_of(along_widest(law))
    root = math.sqrt(LINE_END)
    x, w = np.polynomial.legendre.leggauss(40)
    limits = dict.fromkeys(KERNELS, 0.0)
    for a, weight in zip(((x + 1) / 2).tolist(), (w / 2).tolist(), strict=True):
        level, speed = line.level((root * a) ** 2), 2 * root**2 * a
        limits["plug-in"] += weight * formula.kl_small_gap(speed, level.norm2)
        limits["averaged"] += weight * formula.kl_small_gap(speed, level.apart2)
        limits["matched"] += weight * formula.kl_moment_small_gap(speed, level.skewness2)
    measured: dict[str, Any] = {"end": LINE_END, "steps": LINE_STEPS}
    for kernel in KERNELS:
        order = 2 if kernel == "matched" else 1
        costs = [path_cost(line, kernel, tuple((root * k / n) ** 2 for k in range(n + 1))) for n in LINE_STEPS]
        ratios = [n**order * cost / limits[kernel] for n, cost in zip(LINE_STEPS, costs, strict=True)]
        measured[kernel] = {"costs": costs, "ratios": ratios, "slope": math.log2(costs[-1] / costs[-2])}
    return measured


def _scaled(name: str, scaled: Tensor, constant: Tensor) -> dict[str, float]:
    """The scaled cost, its ratio to the limit, and the standard error of the ratio, of the same draws."""
    ratio = float(scaled.mean() / constant.mean())
    error = float((scaled - ratio * constant).std() / constant.mean() / len(scaled) ** 0.5)
    return {name: float(scaled.mean()), f"{name} ratio": ratio, f"{name} ratio error": error}


def _cumulants(at: AtomsPosterior, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`‖C‖_F²` and `‖κ‖²` of each query, the second over random vectors."""
    norms, skews = [], []
    for xi, p in zip(at.deviations(), at.weights, strict=True):
        kept = p > 1e-14
        xi, p = xi[kept], p[kept]
        norms.append(((xi * p[:, None]).mT @ xi).square().sum())
        v, w = (numerics.normal((xi.shape[1], _PROBES), xi.device, generator) for _ in range(2))
        skews.append((((xi @ v) * (xi @ w) * p[:, None]).mT @ xi).square().sum(dim=1).mean())
    return torch.stack(norms), torch.stack(skews)

"""The measurements that several claims are compared with: KL and TV of toy kernels by quadrature, of the data's by Monte Carlo."""

from dataclasses import dataclass
from functools import cache, lru_cache

import torch

from proofs_checks.context import Context
from proofs_checks.excerpt import excerpt
from proofs_checks.laws import GOLDEN, NINE_TO_ONE, SIGNS, TRI
from singtheory import Atoms, Estimate, divergence, draw
from singtheory.posterior import AtomsPosterior

PRIORS = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "±1": SIGNS, "three atoms in the plane": TRI}
"""Atoms whose posterior at γ = 0, the law itself, is the posterior of the step."""
GAPS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Beyond 30 the bounds agree with the truth to the last digit, and nothing can be decided."""
PLANE_GAPS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
SAMPLES, MOST_SAMPLES, SAMPLED_PAIRS = 8000, 200_000, 15_000_000
"""Samples a data instance: few atoms allow many, and need them, for there the bounds are tightest."""
PLANE_ATOMS = 300
"""Of data in one or two dimensions: there quadrature decides what no number of samples would."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One posterior and one gap, with the measured divergences of P from Q.

    Attributes:
        where: names it in the report.
        posterior: of one query.
        gap: g.
        kl: KL(P‖Q).
        tv: TV(P, Q); None in the plane, where quadrature has no exact form for it.
    """

    where: str
    posterior: AtomsPosterior
    gap: float
    kl: Estimate
    tv: Estimate | None


@cache
def toy_instances() -> tuple[Instance, ...]:
    """Toy laws over gaps from 0.01 to 30, by quadrature."""
    return tuple(
        _toy_instance(f"{name}, g = {gap:g}", prior_posterior(law), gap)
        for name, law in PRIORS.items()
        for gap in (GAPS if law.dim == 1 else PLANE_GAPS)
    )


def _toy_instance(where: str, posterior: AtomsPosterior, gap: float) -> Instance:
    tv = divergence.tv_exact(posterior, gap) if posterior.mean.shape[1] == 1 else None
    return Instance(where, posterior, gap, divergence.kl_quadrature(posterior, gap), tv)


def prior_posterior(law: Atoms) -> AtomsPosterior:
    """The posterior at γ = 0, which is the law itself."""
    posterior = law.posterior(torch.zeros(law.dim, dtype=torch.float64), 0.0)
    assert isinstance(posterior, AtomsPosterior)
    return posterior


@cache
def toy_moment_kl(instance: Instance) -> float:
    """KL(P‖M) of a toy instance."""
    return float(divergence.kl_moment_quadrature(instance.posterior, instance.gap).value)


def data_instances(context: Context) -> tuple[Instance, ...]:
    """Large steps on the data by Monte Carlo, shared by all claims of a run.

    The gap is set by the posterior's entropy, `½ g tr C = f H(p)` with f from 0.4 to 0.8: the atoms neither overlap nor separate,
    and there the bounds differ from each other and from the truth by more than the intervals, on whatever data.
    """
    return _data_instances(context.within("data instances"))


@lru_cache(maxsize=4)
def _data_instances(context: Context) -> tuple[Instance, ...]:
    (name, law), generator = excerpt(context), context.generator()
    if law.dim <= 2:
        return _plane_instances(f"{min(PLANE_ATOMS, len(law.points))} points of {name}", law)
    law = law.to(context.device)
    scale = float(law.cov.trace())
    if scale == 0:
        return ()
    found = []
    for strength, fraction in ((0.0, 0.4), (0.0, 0.8), (1.0, 0.7), (3.0, 0.7), (5.0, 0.8)):
        snr = strength / scale
        z = snr**0.5 * law.sample(1, generator) + draw.normal((1, law.dim), law.device, generator)
        posterior = law.posterior(z, snr)
        assert isinstance(posterior, AtomsPosterior)
        entropy = float(posterior.entropy)
        if entropy < 0.1:
            continue
        gap = 2 * fraction * entropy / float(posterior.trace_cov)
        where = f"{name}, γ = {snr:.3g}, g = {gap:.3g}"
        found.append(_data_instance(where, posterior, gap, generator, 1 - context.error / 10))
    return tuple(found)


def _plane_instances(name: str, law: Atoms) -> tuple[Instance, ...]:
    """Steps from t = 1 by quadrature, for data in one or two dimensions."""
    chosen = torch.linspace(0, len(law.points) - 1, min(PLANE_ATOMS, len(law.points))).round().long()
    posterior = prior_posterior(Atoms(law.points[chosen], law.weights[chosen]))
    trace = float(posterior.trace_cov)
    if trace == 0:
        return ()
    return tuple(
        _toy_instance(f"{name}, γ = 0, g = {gap:.3g}", posterior, gap)
        for gap in (2 * fraction * float(posterior.entropy) / trace for fraction in (0.1, 0.4, 0.8))
    )


def _data_instance(
    where: str, posterior: AtomsPosterior, gap: float, generator: torch.Generator, confidence: float
) -> Instance:
    samples = max(SAMPLES, min(MOST_SAMPLES, SAMPLED_PAIRS // len(posterior.points)))
    kl = divergence.kl_monte_carlo(posterior, gap, samples, generator, confidence)
    tv = divergence.tv_monte_carlo(posterior, gap, samples, generator, confidence)
    return Instance(where, posterior, gap, kl, tv)

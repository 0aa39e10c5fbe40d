"""The measurements that several claims are compared with: KL and TV of the steps of toy laws, by quadrature."""

from dataclasses import dataclass
from functools import cache, lru_cache

import torch

from proofs_checks.harness.rounds import UNMEASURED, Rounds
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, SIGNS, TRI
from singtheory import Atoms, divergence
from singtheory.law import AtomsPosterior, Posterior

PRIORS = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "±1": SIGNS, "three atoms in the plane": TRI}
"""Atoms whose posterior at γ = 0, the law itself, is the posterior of the step."""
GAPS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Beyond 30 the bounds agree with the truth to the last digit, and nothing can be decided."""
PLANE_GAPS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
QUADRATURE = 1e-9
"""Relative agreement asked of two quadratures; each refines to 1e-12."""
SMALL_GAPS = (0.003, 0.006, 0.012, 0.024)
"""At which the order of what is left for small g is measured; the claims share what is measured there."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One posterior and one gap, with the measured divergences of P from Q.

    Attributes:
        where: names it in the report.
        posterior: of one query.
        gap: g.
        kl: KL(P‖Q); `UNMEASURED` where TV alone is looked at.
        tv: TV(P, Q); `UNMEASURED` where KL alone is looked at, as for a toy in the plane, where quadrature has no exact form for TV.
    """

    where: str
    posterior: AtomsPosterior
    gap: float
    kl: Rounds
    tv: Rounds


@cache
def toy_instances() -> tuple[Instance, ...]:
    """Toy laws over gaps from 0.01 to 30, by quadrature."""
    return tuple(
        _toy_instance(f"{name}, g = {gap:g}", prior_posterior(law), gap)
        for name, law in PRIORS.items()
        for gap in (GAPS if law.dim == 1 else PLANE_GAPS)
    )


def _toy_instance(where: str, posterior: AtomsPosterior, gap: float) -> Instance:
    tv = Rounds.of(divergence.tv_exact(posterior, gap)) if posterior.mean.shape[1] == 1 else UNMEASURED
    return Instance(where, posterior, gap, Rounds.of(divergence.kl_quadrature(posterior, gap)), tv)


@lru_cache(maxsize=16)
def prior_posterior(law: Atoms) -> AtomsPosterior:
    """The posterior at γ = 0, which is the law itself."""
    return law.posterior(torch.zeros(law.dim, dtype=torch.float64), 0.0)


@lru_cache(maxsize=256)
def posterior_at(law: Atoms, z: tuple[float, ...], snr: float) -> AtomsPosterior:
    """The posterior of one query, the same object for a claim and all of its twins, so that they share what is measured of it."""
    return law.posterior(list(z), snr)


@lru_cache(maxsize=4096)
def kl_of(posterior: Posterior, gap: float) -> float:
    """KL(P‖Q) of one query by quadrature, once for a claim and all of its twins."""
    return float(divergence.kl_quadrature(posterior, gap).value)


@lru_cache(maxsize=4096)
def moment_kl_of(posterior: Posterior, gap: float) -> float:
    """KL(P‖M), likewise."""
    return float(divergence.kl_moment_quadrature(posterior, gap).value)


@lru_cache(maxsize=4096)
def isotropic_kl_of(posterior: Posterior, gap: float, var: float) -> float:
    """KL(P‖N(0, var·I)), likewise."""
    return float(divergence.kl_isotropic_quadrature(posterior, gap, var).value)


@lru_cache(maxsize=4096)
def tv_of(posterior: Posterior, gap: float) -> float:
    """TV(P, Q) on a line, likewise."""
    return float(divergence.tv_exact(posterior, gap).value)


@cache
def toy_moment_kl(instance: Instance) -> float:
    """KL(P‖M) of a toy instance."""
    return moment_kl_of(instance.posterior, instance.gap)

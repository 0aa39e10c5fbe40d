"""The explicit remainders of B6 on laws of known divergences: a statement at every gap, where a slope would be one in the limit."""

from collections.abc import Iterator

import torch

from proofs_checks.harness.claim import Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, worst
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, TRI
from proofs_checks.measurements.toy_steps import kl_of, moment_kl_of, prior_posterior
from singtheory import Atoms, divergence, formula

SPREADS = (0.01, 0.1, 1.0)
"""`x = D²g`."""
_QUADRATURE = 1e-11
"""The relative error of KL: each quadrature refines to 1e-12, and the two leading orders are subtracted."""


def remainders(sides: Sides, _: Context) -> Outcome:
    """KL(P‖Q), KL(P‖M) and, on a line, TV less their leading orders, against the explicit bounds."""
    laws = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "three atoms in the plane": TRI}
    return worst(
        outcome for name, law in laws.items() for x in SPREADS for outcome in law_remainders(sides, law, x, name)
    )


def law_remainders(sides: Sides, law: Atoms, x: float, name: str) -> Iterator[Outcome]:
    """The remainder of one law at the gap `x/D²`."""
    posterior, diameter = prior_posterior(law), law.diameter
    gap = x / diameter**2
    frobenius2, where = float(posterior.eigenvalues.square().sum()), f"{name}, D²g = {x:g}"
    kl = kl_of(posterior, gap)
    moment = moment_kl_of(posterior, gap)
    size = torch.tensor(diameter, dtype=torch.float64)
    both = float(sides["kl"](posterior, gap) + sides["cubic"](posterior, gap))
    most = float(formula.kl_small_gap_error(gap, frobenius2, size, torch))
    yield at_most(abs(kl - both), most + _QUADRATURE * kl, f"KL(P‖Q), {where}")
    most = float(formula.kl_moment_small_gap_error(gap, frobenius2, size, torch))
    off = abs(moment - float(sides["moment"](posterior, gap)))
    yield at_most(off, most + _QUADRATURE * kl, f"KL(P‖M), {where}")
    if law.dim == 1:
        tv = float(divergence.tv_exact(posterior, gap).value)
        most = float(formula.tv_small_gap_error(gap, frobenius2**0.5, size, 1, torch))
        yield at_most(abs(tv - float(sides["tv"](posterior, gap))), most + _QUADRATURE * tv, f"TV, {where}")

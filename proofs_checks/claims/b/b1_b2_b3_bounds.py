"""Claims B1, B2 and B3: the χ² identity, and the bounds on the Gaussian reverse-process error by χ² and by the trace."""

import math
from collections.abc import Callable, Iterator

import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import (
    at_least,
    at_most,
    equal,
    identically_zero,
    no_instance,
    rounding,
    worst,
    worst_or_none,
)
from proofs_checks.harness.rounds import at_least_in_rounds, at_most_in_rounds
from proofs_checks.instances.deviations import deviations
from proofs_checks.instances.laws import GOLDEN, SIGNS, TRI, TRIANGLE
from proofs_checks.measurements import certificates
from proofs_checks.measurements.steps_on_data import NO_STEP, kl_steps, tv_steps
from proofs_checks.measurements.toy_steps import Instance, prior_posterior, toy_instances
from singtheory import Atoms, Gaussian, bound, certify, divergence, formula
from singtheory.formula import line, symbolic
from singtheory.law import Posterior

Inequality = Callable[[Posterior, float], Tensor]

LARGE_GAP = 1e4
"""Here the toy atoms are apart by many noise widths, and KL is `½ g tr C` less the entropy of the weights to rounding."""


# --- comparisons that the claims share -------------------------------------------------------------------------------


def _below(instances: tuple[Instance, ...], inequality: Inequality, quantity: str) -> Iterator[Outcome]:
    """The measured KL or TV of each instance against an upper bound."""
    for i in instances:
        measured = i.kl if quantity == "kl" else i.tv
        if measured:
            yield at_most_in_rounds(measured, float(inequality(i.posterior, i.gap)), f"{quantity.upper()}, {i.where}")


def above(instances: tuple[Instance, ...], inequality: Inequality) -> Iterator[Outcome]:
    """The measured KL of each instance against a lower bound."""
    for i in instances:
        if i.kl:
            yield at_least_in_rounds(i.kl, float(inequality(i.posterior, i.gap)), f"KL, {i.where}")


def upper_checks(sides_of: Callable[[Sides], list[tuple[Inequality, str]]]) -> tuple[Check, Check]:
    """The two checks of an upper bound: toys by quadrature, data by Monte Carlo."""

    def toys(sides: Sides, _: Context) -> Outcome:
        return worst(
            o for inequality, quantity in sides_of(sides) for o in _below(toy_instances(), inequality, quantity)
        )

    def data(sides: Sides, context: Context) -> Outcome:
        instances = (*kl_steps(context), *tv_steps(context))
        return worst_or_none(
            (o for inequality, q in sides_of(sides) for o in _below(instances, inequality, q)), NO_STEP
        )

    return (
        Check("quadrature", "four toy laws, g from 0.01 to 30", toys),
        Check("monte-carlo", "steps on the data", data),
    )


def in_torch(inequality: Callable[..., Tensor]) -> certificates.OnLine:
    """A formula on a line, on tensors."""
    return lambda points, weights, gap: inequality(points, weights, gap, torch)


# --- B1 --------------------------------------------------------------------------------------------------------------


def chi2(posterior: Posterior, gap: float) -> float:
    """The true side of B1."""
    return float(torch.expm1(divergence.log1p_chi2(posterior, gap)))


def _chi2_by_definition(posterior: Posterior, gap: float) -> float:
    """`E_Q (r − 1)²` on a tensor grid, from the density ratio alone."""
    dim = posterior.mean.shape[1]
    reach, nodes = (14, 561) if dim == 2 else (60, 8001)  # r² Q of a Gaussian posterior has far tails
    axis = torch.linspace(-reach, reach, nodes, dtype=torch.float64)
    u = torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)
    log_q = -u.square().sum(dim=1) / 2 - dim / 2 * math.log(2 * math.pi)
    root_q = (log_q / 2).exp()
    weighted = torch.exp(posterior.log_ratio(u[None], gap)[0] + log_q / 2) - root_q  # r alone overflows in the tails
    return float(weighted.square().sum() * (axis[1] - axis[0]) ** dim)


def _b1_quadrature(sides: Sides, _: Context) -> Outcome:
    smooth = Gaussian([0.0], [[0.8]]).posterior([0.0], 0.0)
    posteriors = {
        "golden": prior_posterior(GOLDEN),
        "three atoms in the plane": prior_posterior(TRI),
        "Gaussian": smooth,
    }
    outcomes = []
    for name, posterior in posteriors.items():
        for gap in (0.01, 0.3, 1.0):
            expected = _chi2_by_definition(posterior, gap)
            # the grid's own error, and the cancellation of r − 1 at small gaps
            outcomes.append(equal(sides["chi2"](posterior, gap), expected, 1e-9 * expected, f"{name}, g = {gap:g}"))
    return worst(outcomes)


def _b1_infinite(sides: Sides, _: Context) -> Outcome:
    """A Gaussian posterior has infinite χ² exactly from gλ = 1 on."""
    posterior = Gaussian([0.0], [[2.0]]).posterior([0.0], 0.0)
    finite, infinite = sides["chi2"](posterior, 0.4999), sides["chi2"](posterior, 0.5)
    below = at_most(finite, 1e6, "gλ = 0.9998 is finite")
    return worst([below, at_least(infinite, math.inf, "gλ = 1 is infinite")])


def _b1_data(sides: Sides, context: Context) -> Outcome:
    """On the data, over all pairs by their distances: `⟨ξ, ξ'⟩ = ½(‖ξ‖² + ‖ξ'‖² − ‖ξ − ξ'‖²)`."""
    name, law, unit = deviations(context)
    if law.diameter == 0:
        return no_instance(f"{name}: all points are equal")
    posterior, outcomes = prior_posterior(law), []
    xi = law.points - law.mean
    norms = xi.square().sum(dim=1)
    inner = (norms + norms[:, None] - torch.cdist(xi, xi, compute_mode="donot_use_mm_for_euclid_dist").square()) / 2
    for strength in (0.01, 0.3):
        gap = strength / float(norms.max())
        expected = float(law.weights @ torch.expm1(gap * inner) @ law.weights)
        # the mean of ⟨ξ, ξ'⟩ is zero, so that terms of mean size g E‖ξ‖² and less cancel; each adds up d products
        slack = rounding(4 * law.dim + 64, 2 * gap * float(law.weights @ norms))
        where = f"{name}, g = {gap / unit**2:.3g}"
        outcomes.append(equal(sides["chi2"](posterior, gap), expected, slack, where))
    return worst(outcomes)


def _uncentred_chi2(posterior: Posterior, gap: float) -> float:
    if not posterior.finite:
        return chi2(posterior, gap)
    p, y = posterior.atoms().weights[0], posterior.atoms().points
    return float(p @ torch.expm1(gap * (y @ y.mT)) @ p)


register(
    Claim(
        id="B1",
        title="χ² in closed form",
        constant=r"1 before $g$ in the exponent, exact.",
        statement=r"$\chi^2(P\|Q) = E\exp(g\langle\xi,\xi'\rangle) - 1$ with $\xi'$ an independent copy of $\xi$.",
        source="derived on its page",
        assumptions="The posterior has a mean, which it has at every γ > 0; χ² may be infinite, as for a Gaussian posterior with gλ ≥ 1.",
        derivation=r"$r = dP/dQ = E_\xi \exp(\sqrt{g}\langle\xi,u\rangle - \tfrac{1}{2} g\|\xi\|^2)$, and "
        r"$E_Q[e^{\sqrt{g}\langle\xi+\xi',u\rangle}] = e^{\frac{1}{2}g\|\xi+\xi'\|^2}$, so $E_Q r^2 = E\,e^{g\langle\xi,\xi'\rangle}$.",
        sides={"chi2": chi2},
        checks=(
            Check(
                "quadrature",
                "against E_Q (r − 1)² on atoms in one and two dimensions and on a Gaussian",
                _b1_quadrature,
            ),
            Check("exact", "finite below gλ = 1 and infinite from there on, Gaussian posterior", _b1_infinite),
            Check("exact", "over all pairs of the data", _b1_data),
            certificates.golden_enclosures("chi2", lambda sides: sides["chi2"]),
        ),
        false_twins={
            "of the uncentred x₀": {"chi2": _uncentred_chi2},
            "2g for g": {"chi2": lambda posterior, gap: chi2(posterior, 2 * gap)},
        },
    )
)


# --- B2 --------------------------------------------------------------------------------------------------------------


def _b2_order(sides: Sides, _: Context) -> Outcome:
    """The factor to the truth tends to 2 for small gaps: the bound has the right order, and no other constant."""
    posterior, gap = prior_posterior(GOLDEN), 1e-4
    factor = float(sides["kl"](posterior, gap)) / float(divergence.kl_quadrature(posterior, gap).value)
    leading = gap * math.sqrt(float(posterior.eigenvalues.square().sum()) / 8)
    tv = float(sides["tv"](posterior, gap)) / leading
    # the next orders are below 10 g on this law
    return worst(
        [
            equal(factor, 2.0, 10 * gap, f"log(1+χ²)/KL, golden, g = {gap:g}"),
            equal(tv, 1.0, 10 * gap, f"½√χ² over g‖C‖_F/√8, golden, g = {gap:g}"),
        ]
    )


def _b2_symbolic(sides: Sides, _: Context) -> Outcome:
    """`χ² − (2 TV)² = Var_Q|r − 1|`, which is not negative, and the stated bound is where it vanishes."""
    chi2, tv = sympy.symbols("chi2 TV", positive=True)  # E_Q s² and ½ E_Q s for s = |r − 1|
    variance = chi2 - (2 * tv) ** 2
    return identically_zero(
        variance.subs(tv, sides["tv_formula"](chi2, symbolic.NAMESPACE)), "Var_Q|r − 1| at TV = ½√χ²"
    )


register(
    Claim(
        id="B2",
        title="χ² bounds",
        constant=r"$1$ before $\log(1+\chi^2)$ and $\tfrac{1}{2}$ before $\sqrt{\chi^2}$; for small gaps the first is twice the truth.",
        statement=r"$KL(P\|Q) \le \log(1+\chi^2)$ and $TV(P,Q) \le \tfrac{1}{2}\sqrt{\chi^2}$; the ratio of the first to the truth tends to 2 as $g \to 0$.",
        source="derived on its page; what the last part needs is added here",
        assumptions=r"The posterior has a mean; the bounds may be infinite. For the factor 2 as $g \to 0$, bounded support of more than one point.",
        derivation=r"Jensen: $E_P \log r \le \log E_P r = \log(1+\chi^2)$. Cauchy and Schwarz: $2\,TV = E_Q|r-1| \le \sqrt{E_Q(r-1)^2}$. "
        r"As $E\langle\xi,\xi'\rangle = 0$, $\chi^2 = \tfrac{1}{2}g^2E\langle\xi,\xi'\rangle^2 + O(g^3) = \tfrac{1}{2}g^2\|C\|_F^2 + O(g^3)$, and KL is half of it (B6).",
        sides={"kl": bound.kl_chi2, "tv": bound.tv_chi2, "on_line": line.kl_chi2, "tv_formula": formula.tv_chi2_bound},
        checks=(
            *upper_checks(lambda sides: [(sides["kl"], "kl"), (sides["tv"], "tv")]),
            Check("quadrature", "leading orders at small gaps, golden", _b2_order),
            Check("symbolic", "TV: Cauchy and Schwarz", _b2_symbolic),
            certificates.agreement(lambda sides: [(in_torch(sides["on_line"]), sides["kl"])]),
            *certificates.checks(lambda sides: certify.plain("kl_chi2_bound", True, sides["on_line"]), "log(1 + χ²)"),
        ),
        false_twins={
            r"$TV \le \tfrac{1}{3}\sqrt{\chi^2}$": {"tv": lambda p, g: bound.tv_chi2(p, g) * 2 / 3},
            r"$KL \le \log(1+\chi^2/3)$": {"kl": lambda p, g: torch.log1p(torch.expm1(bound.kl_chi2(p, g)) / 3)},
        },
    )
)


# --- B3 --------------------------------------------------------------------------------------------------------------


def _b3_chain(sides: Sides, _: Context) -> Outcome:
    """`E[2Φ(√g‖ξ‖/2) − 1]` lies below `√(g tr C/2π)`, which lies below `½ √(g tr C)`; the first is at most 1."""
    outcomes = []
    for i in toy_instances():
        norm, trace = (
            float(sides["tv_norm"](i.posterior, i.gap)),
            float(sides["tv_trace"](i.posterior, i.gap)),
        )
        pinsker = float(formula.tv_pinsker_bound(i.gap, i.posterior.trace_cov, torch))
        outcomes += [at_most(norm, min(trace, 1.0), i.where), at_most(trace, pinsker, i.where)]
    return worst(outcomes)


def _b3_sharp(sides: Sides, _: Context) -> Outcome:
    """Where each form is attained, so that no smaller constant would do."""
    signs, golden = prior_posterior(SIGNS), prior_posterior(GOLDEN)
    small = 1e-6
    ratio = float(sides["tv_trace"](signs, small)) / float(sides["tv_norm"](signs, small))
    large = float(sides["kl"](golden, LARGE_GAP)) - float(golden.entropy)
    measured = float(divergence.kl_quadrature(golden, LARGE_GAP).value)
    simplex = [(TRIANGLE, 3, 2), (SIGNS, 2, 1), (Atoms(torch.eye(4).tolist()), 4, 4)]
    attained = (
        equal(sides["trace"](law.diameter, n, d), float(law.cov.trace()), 1e-12, f"simplex of {n} atoms")
        for law, n, d in simplex
    )
    return worst(
        [
            # the ratio's next order is g/24
            equal(ratio, 1.0, small, "√(g tr C/2π) over E[2Φ(√g‖ξ‖/2) − 1], ±1, g → 0"),
            equal(large, measured, 1e-9 * measured, "½ g tr C − H(p), golden, g = 10⁴"),
            *attained,
        ]
    )


def _b3_data(sides: Sides, context: Context) -> Outcome:
    name, law, unit = deviations(context)
    if law.diameter == 0:
        return no_instance(f"{name}: all points are equal")
    trace, bound = float(law.cov.trace()), float(sides["trace"](law.diameter, len(law.points), law.dim))
    # equal on a simplex; both are sums of squares of coordinates below one
    slack = rounding(2 * law.dim + 64, trace, bound) * unit**2
    return at_most(trace * unit**2, bound * unit**2, "tr Σ of the data", slack)


def _b3_symbolic(sides: Sides, _: Context) -> Outcome:
    """KL and TV of one component, which convexity averages; the shift's TV is concave with the stated slope at zero, below `√(g tr C)/2`."""
    g, xi, m, u = sympy.symbols("g xi m u", positive=True)
    log_ratio = sympy.sqrt(g) * xi * u - g * xi**2 / 2  # dN(√g ξ, 1)/dN(0, 1) at u
    shift = sides["shift"](m, symbolic.NAMESPACE)
    normal = sympy.exp(-(u**2) / 2) / sympy.sqrt(2 * sympy.pi)
    by_definition = 2 * sympy.integrate(normal, (u, 0, m / 2))
    slope = sides["tv_formula"](g, m**2 / g, symbolic.NAMESPACE) / m
    curvature = sympy.diff(shift, m, 2) / (m * sympy.diff(shift, m))  # −¼: concave, for shift' > 0
    return worst(
        [
            identically_zero(
                log_ratio.subs(u, sympy.sqrt(g) * xi) - sides["kl_formula"](g, xi**2), "KL of a component"
            ),
            identically_zero(shift - by_definition, "TV of a component"),
            identically_zero(sympy.diff(shift, m).subs(m, 0) - slope, "slope of TV at m = 0"),
            identically_zero(curvature + sympy.Rational(1, 4), "TV is concave in m"),
            identically_zero(
                sides["pinsker_formula"](g, xi**2, symbolic.NAMESPACE) ** 2 - sides["kl_formula"](g, xi**2) / 2,
                "the last TV bound is Pinsker's of KL's",
            ),
        ]
    )


register(
    Claim(
        id="B3",
        title="Trace bounds: the paper's order with its constant",
        constant=r"$\tfrac{1}{2}$ for KL; for TV $1/\sqrt{2\pi}$, with $\tfrac{1}{2}$ after Pinsker; $k/(2(k+1))$, Jung's, for the diameter.",
        statement=r"$KL(P\|Q) \le \tfrac{1}{2} g\, tr\, C$ and $TV(P,Q) \le E[2\Phi(\sqrt{g}\|\xi\|/2) - 1] \le \sqrt{g\, tr\, C/2\pi}"
        r" \le \tfrac{1}{2}\sqrt{g\, tr\, C}$; on a support of diameter $D$, $tr\, C \le D^2 k/(2(k+1))$, $k = \min(d, n-1)$ for $n$ points in $d$ dimensions "
        r"and $k = d$ for more.",
        source="Zhang et al. 2024 (arXiv 2403.08381), proposition 1; constant added here",
        assumptions="The posterior has finite second moments; the last part needs bounded support.",
        derivation=r"KL and TV are convex: average those of $N(\sqrt{g}\,\xi, I)$ from $N(0,I)$, which are $\tfrac{1}{2}g\|\xi\|^2$ and "
        r"$2\Phi(\sqrt{g}\|\xi\|/2)-1$; $2\Phi(m/2)-1 \le m/\sqrt{2\pi}$ and Jensen. Jung's theorem puts the support into a ball of radius "
        r"$D\sqrt{k/(2(k+1))}$, and $tr\, C$ is at most the mean squared distance to its centre.",
        sides={
            "kl": bound.kl_trace,
            "tv_norm": bound.tv_norm,
            "tv_trace": bound.tv_trace,
            "trace": formula.trace_diameter_bound,
            "kl_formula": formula.kl_trace_bound,
            "tv_formula": formula.tv_trace_bound,
            "shift": formula.tv_shift,
            "pinsker_formula": formula.tv_pinsker_bound,
        },
        checks=(
            *upper_checks(lambda sides: [(sides["kl"], "kl"), (sides["tv_norm"], "tv"), (sides["tv_trace"], "tv")]),
            Check("symbolic", "KL and TV of a component, and the chain's first step", _b3_symbolic),
            Check("exact", "the chain of the three TV bounds, four toy laws", _b3_chain),
            Check("quadrature", "where each constant is attained", _b3_sharp),
            Check("exact", "tr Σ against the diameter of the data", _b3_data),
        ),
        false_twins={
            r"$KL \le \tfrac{1}{4} g\, tr\, C$": {"kl": lambda p, g: bound.kl_trace(p, g) / 2},
            r"$TV \le \tfrac{1}{4}\sqrt{g\, tr\, C}$": {"tv_trace": lambda p, g: (g * p.trace_cov).sqrt() / 4},
            r"$tr\, C \le D^2/4$ in two dimensions": {"trace": lambda diameter, n, d: diameter**2 / 4},
        },
    )
)

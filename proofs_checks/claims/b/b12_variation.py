"""Claim B12: total variation between the reverse kernel and its plug-in Gaussian."""

import math
from collections.abc import Callable, Iterator

import torch
from scipy.optimize import brentq
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_least, at_most, equal, rounding, worst, worst_or_none
from proofs_checks.harness.rounds import at_least_in_rounds, at_most_in_rounds
from proofs_checks.instances.laws import GOLDEN, SIGNS, TRI
from proofs_checks.measurements.certificates import golden_enclosures
from proofs_checks.measurements.leading import leading
from proofs_checks.measurements.steps_on_data import NO_STEP, tv_steps
from proofs_checks.measurements.toy_steps import prior_posterior, toy_instances
from singtheory import bound, divergence, formula
from singtheory.formula import Namespace, line
from singtheory.law import AtomsPosterior, Posterior

TIGHTNESS = 1.31
"""B12's bound stays within this factor of the truth on the golden law."""
_NODES = 2**14 + 1


def on_line(posterior: AtomsPosterior, gap: float) -> float:
    """The true side in one dimension: roots of the convex `log r` either side of zero, and `line.tv_between`."""
    return _between(line.tv_between, posterior, gap)


def _between(formula_of: Callable[..., Tensor], posterior: AtomsPosterior, gap: float) -> float:
    weights = list(posterior.weights[0])
    (xi,) = posterior.deviations()
    shifts = list(math.sqrt(gap) * xi[:, 0])

    def log_ratio(u: float) -> float:
        at = torch.tensor([[[u]]], dtype=torch.float64)
        return float(posterior.log_ratio(at, gap))

    reach = 2 * float(max(abs(m) for m in shifts)) + 20
    low, high = brentq(log_ratio, -reach, 0.0, xtol=1e-14), brentq(log_ratio, 0.0, reach, xtol=1e-14)
    limits = (torch.tensor(end, dtype=torch.float64) for end in (low, high))
    return float(formula_of(shifts, weights, *limits, torch.special))


def _b12_line(sides: Sides, _: Context) -> Outcome:
    """Against `E_Q(1 − r)₊` by the trapezoidal rule, whose error at the two kinks is below `h² |r'|`, `|r'| ≤ max |m_i|` there."""

    def outcomes() -> Iterator[Outcome]:
        for i in (i for i in toy_instances() if i.tv):
            u = torch.linspace(-12, 12, _NODES, dtype=torch.float64)
            density = (-u.square() / 2).exp() / math.sqrt(2 * math.pi)
            step, log_r = float(u[1] - u[0]), i.posterior.log_ratio(u[None, :, None], i.gap)[0]
            expected = float((density * -torch.expm1(log_r.clamp(max=0))).sum() * step)
            tolerance = step**2 * math.sqrt(i.gap) * float(i.posterior.points.abs().max()) * 2
            yield equal(sides["on_line"](i.posterior, i.gap), expected, tolerance, i.where)

    return worst(outcomes())


def _b12_upper(sides: Sides, _: Context) -> Outcome:
    return worst(
        at_most_in_rounds(i.tv, float(sides["upper"](i.posterior, i.gap)), i.where) for i in toy_instances() if i.tv
    )


def _b12_data(sides: Sides, context: Context) -> Outcome:
    """Both sides on the data; the lower one along the leading eigenvector."""
    outcomes = []
    for i in tv_steps(context):
        upper, lower = float(sides["upper"](i.posterior, i.gap)), float(sides["lower"](i.posterior, i.gap))
        # on a line the lower bound is TV; its direction is found to rounding of the atoms' reach in noise widths, and it to its own
        (xi,) = i.posterior.deviations()
        reach = math.sqrt(i.gap) * float(xi.norm(dim=1).max())
        along = leading(i.posterior, i.gap)
        slack = rounding(64, 1.0, reach) + float(along.tv.high - along.tv.low)
        outcomes.append(at_most_in_rounds(i.tv, upper, f"upper, {i.where}"))
        if along.tv_is_sharp:
            outcomes.append(at_least_in_rounds(i.tv, lower, f"lower, {i.where}", slack))
    return worst_or_none(outcomes, NO_STEP)


def _b12_tight(sides: Sides, _: Context) -> Outcome:
    """Within 1.31 on the golden law from g = 10⁻³ to 10³, and exact as g → 0 on ±1, whose third cumulant is zero."""
    golden, signs, small = prior_posterior(GOLDEN), prior_posterior(SIGNS), 1e-4
    outcomes = []
    for gap in torch.logspace(-3, 3, 19).tolist():
        tv = float(divergence.tv_exact(golden, gap).value)
        outcomes.append(
            at_most(float(sides["upper"](golden, gap)), TIGHTNESS * tv, f"sharpness, golden, g = {gap:.3g}")
        )
    ratio = float(sides["upper"](signs, small)) / float(divergence.tv_exact(signs, small).value)
    # the next order of the bound, from what B10 leaves for KL(P‖M), is of order g with a factor below 10 on this law
    outcomes.append(equal(ratio, 1.0, 10 * small, f"upper/TV, ±1, g = {small:g}"))
    return worst(outcomes)


def _b12_lower(sides: Sides, _: Context) -> Outcome:
    """Exact on a line; in the plane at most TV, here by its own quadrature on a grid."""
    outcomes = [
        equal(sides["lower"](i.posterior, i.gap), float(i.tv.first.value), 1e-9, f"on a line, {i.where}")
        for i in toy_instances()
        if i.tv
    ]
    tri = prior_posterior(TRI)
    axis = torch.linspace(-12, 12, 601, dtype=torch.float64)
    u = torch.cartesian_prod(axis, axis)
    density = (-u.square().sum(dim=1) / 2).exp() / (2 * math.pi) * float(axis[1] - axis[0]) ** 2
    for gap in (0.3, 3.0):
        tv = float((density * -torch.expm1(tri.log_ratio(u[None], gap)[0].clamp(max=0))).sum())
        outcomes.append(at_least(tv, sides["lower"](tri, gap), f"three atoms in the plane, g = {gap:g}"))
    return worst(outcomes)


def _one_sided(shifts: line.Numbers, weights: line.Numbers, low: Tensor, high: Tensor, xp: Namespace) -> Tensor:
    """The twin that forgets the lower end of the interval."""
    return line.tv_between(shifts, weights, low * 0 - torch.inf, high, xp)


def _family_kl(posterior: Posterior, gap: float) -> Tensor:
    return bound.kl_family(posterior, gap).clamp(min=0)


def _moments_alone(posterior: AtomsPosterior, gap: float) -> Tensor:
    """The twin that takes P for as near to Q as to M."""
    core = bound.core(posterior)
    return bound.moments_tv(gap * core.principal[0])


register(
    Claim(
        id="B12",
        title="Total variation, two-sided",
        constant=r"On a line the value is exact; in the bounds Pinsker's $\tfrac{1}{2}$ under the root and the 1 of Bretagnolle and Huber.",
        statement=r"On a line $\{r \le 1\}$, $r = dP/dQ$, is an interval $[a, b]$ (all of the line if the atoms are one, with TV 0) and $TV(P,Q) = \Phi(b) - \Phi(a) - \sum_i p_i[\Phi(b-m_i) - "
        r"\Phi(a-m_i)]$, $m_i = \sqrt{g}\,\xi_i$; in more dimensions that along any direction is a lower bound. With $U$ the bound of B10, "
        r"$TV \le \min\{\sqrt{U/2},\ \sqrt{1-e^{-U}},\ TV(M,Q) + \min(\tfrac{1}{2}\sqrt{\chi^2(P\|M)},\ \sqrt{(U-B_5)/2})\}$, "
        r"$B_5 = KL(M\|Q)$.",
        source="derived on its page",
        assumptions="Finite data.",
        derivation=r"$\log r$ is a log-sum-exp of affine functions, so convex; it is not positive at 0, since $E_Q r = 1$ and "
        r"$r(0) = \sum p_i e^{-m_i^2/2} \le 1$. So $\{r \le 1\}$ is an interval about 0, and $TV = Q(r \le 1) - P(r \le 1)$. A projection is a "
        r"channel, and TV falls through it. Above: Pinsker; Bretagnolle and Huber; the triangle inequality over M, "
        r"$KL(P\|M) = KL(P\|Q) - B_5 \le U - B_5$ (B5), and Cauchy and Schwarz as in B2.",
        sides={"on_line": on_line, "upper": bound.tv_family, "lower": bound.lower},
        checks=(
            Check("quadrature", "the interval formula, three laws on a line", _b12_line),
            golden_enclosures("tv", lambda sides: sides["on_line"]),
            Check("quadrature", "the upper bound, three laws on a line", _b12_upper),
            Check("quadrature", f"within {TIGHTNESS} of the truth on golden, and exact as g → 0 on ±1", _b12_tight),
            Check("quadrature", "the lower bound, on a line and in the plane", _b12_lower),
            Check("monte-carlo", "both bounds, steps on the data", _b12_data),
        ),
        false_twins={
            r"$\Phi(b) - \sum_i p_i \Phi(b-m_i)$": {"on_line": lambda p, g: _between(_one_sided, p, g)},
            r"$TV \le 1 - e^{-U}$": {"upper": lambda p, g: -torch.expm1(-_family_kl(p, g))},
            r"$TV \le TV(M,Q)$": {"upper": _moments_alone},
            r"$TV \le \sqrt{U}/2$ with $U = KL$": {
                "upper": lambda p, g: formula.tv_pinsker(divergence.kl_quadrature(p, g).value / 2, torch)
            },
        },
    )
)

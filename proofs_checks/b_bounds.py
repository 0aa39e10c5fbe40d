"""Claims B1, B2, B3, B9 and B10: the χ² identity and the bounds on the Gaussian reverse-process error."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from proofs_checks import certificates
from proofs_checks.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.context import Context
from proofs_checks.excerpt import excerpt
from proofs_checks.laws import GOLDEN, SIGNS, TRI, TRIANGLE
from proofs_checks.measure import Instance, data_instances, prior_posterior, toy_instances
from proofs_checks.outcome import at_least, at_most, equal, worst
from singtheory import Atoms, Gaussian, bound, divergence, formula, line, pairwise, two_point
from singtheory.posterior import AtomsPosterior, Posterior

Rung = Callable[[Posterior, float], Tensor]

TIGHTNESS = 1.036
"""B10 stays within this factor of the truth on the golden law (theory.md)."""
LARGE_GAP = 1e4
"""Here the toy atoms are apart by many noise widths, and KL is `½ g tr C` less the entropy of the weights to rounding."""


# --- comparisons that the claims share -------------------------------------------------------------------------------


def _below(instances: tuple[Instance, ...], rung: Rung, quantity: str) -> Iterator[Outcome]:
    """The measured KL or TV of each instance against an upper bound."""
    for i in instances:
        measured = i.kl if quantity == "kl" else i.tv
        if measured is not None:
            yield at_most(measured, float(rung(i.posterior, i.gap)), f"{quantity.upper()}, {i.where}")


def _above(instances: tuple[Instance, ...], rung: Rung) -> Iterator[Outcome]:
    """The measured KL of each instance against a lower bound."""
    return (at_least(i.kl, float(rung(i.posterior, i.gap)), f"KL, {i.where}") for i in instances)


def separated_kl(posterior: AtomsPosterior, gap: float) -> float:
    """`½ g tr C − H(p)`, which KL equals once the atoms are far apart (B9, both sides)."""
    return formula.kl_trace_bound(gap, float(posterior.trace_cov)) - float(posterior.entropy)


def _upper_checks(sides_of: Callable[[Sides], list[tuple[Rung, str]]]) -> tuple[Check, Check]:
    """The two checks of an upper bound: toys by quadrature, data by Monte Carlo."""

    def toys(sides: Sides, _: Context) -> Outcome:
        return worst(o for rung, quantity in sides_of(sides) for o in _below(toy_instances(), rung, quantity))

    def data(sides: Sides, context: Context) -> Outcome:
        return worst(o for rung, quantity in sides_of(sides) for o in _below(data_instances(context), rung, quantity))

    return (
        Check("quadrature", "four toy laws, g from 0.01 to 30", toys),
        Check("monte-carlo", "five steps on the data", data),
    )


def _in_torch(rung: Callable[..., Tensor]) -> certificates.OnLine:
    """A formula on a line, on tensors."""
    return lambda points, weights, gap: rung(points, weights, gap, torch)


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


def _uncentred_chi2(posterior: Posterior, gap: float) -> float:
    if not isinstance(posterior, AtomsPosterior):
        return chi2(posterior, gap)
    p, y = posterior.weights[0], posterior.points
    return float(p @ torch.expm1(gap * (y @ y.mT)) @ p)


register(
    Claim(
        id="B1",
        title="χ² in closed form",
        statement=r"$\chi^2(P\|Q) = E\exp(g\langle\xi,\xi'\rangle) - 1$ with $\xi'$ an independent copy of $\xi$.",
        source="theory.md B1",
        assumptions="None; it may be infinite, as for a Gaussian posterior with gλ ≥ 1.",
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


register(
    Claim(
        id="B2",
        title="χ² bounds",
        statement=r"$KL(P\|Q) \le \log(1+\chi^2)$ and $TV(P,Q) \le \tfrac{1}{2}\sqrt{\chi^2}$; the first is twice the truth as $g \to 0$.",
        source="theory.md B2",
        assumptions="None (the bounds may be infinite).",
        derivation=r"Jensen: $E_P \log r \le \log E_P r = \log(1+\chi^2)$. Cauchy and Schwarz: $2\,TV = E_Q|r-1| \le \sqrt{E_Q(r-1)^2}$.",
        sides={"kl": bound.kl_chi2, "tv": bound.tv_chi2, "on_line": line.kl_chi2},
        checks=(
            *_upper_checks(lambda sides: [(sides["kl"], "kl"), (sides["tv"], "tv")]),
            Check("quadrature", "leading orders at small gaps, golden", _b2_order),
            certificates.agreement(lambda sides: [(_in_torch(sides["on_line"]), sides["kl"])]),
            *certificates.checks(lambda sides: two_point.plain("kl_chi2_bound", True, sides["on_line"]), "log(1 + χ²)"),
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
    _, law = excerpt(context)
    return at_most(float(law.cov.trace()), sides["trace"](law.diameter, len(law.points), law.dim), "tr Σ of the data")


register(
    Claim(
        id="B3",
        title="Trace bounds: the paper's order with its constant",
        statement=r"$KL(P\|Q) \le \tfrac{1}{2} g\, tr\, C$ and $TV(P,Q) \le E[2\Phi(\sqrt{g}\|\xi\|/2) - 1] \le \sqrt{g\, tr\, C/2\pi}"
        r" \le \tfrac{1}{2}\sqrt{g\, tr\, C}$; on a support of diameter $D$, $tr\, C \le D^2 k/(2(k+1))$, $k = \min(d, n-1)$.",
        source="theory.md B3; Zhang et al. 2024, proposition 1, whose order it makes explicit",
        assumptions="The posterior has finite second moments; the last part needs bounded support.",
        derivation=r"KL and TV are convex: average those of $N(\sqrt{g}\,\xi, I)$ from $N(0,I)$, which are $\tfrac{1}{2}g\|\xi\|^2$ and "
        r"$2\Phi(\sqrt{g}\|\xi\|/2)-1$; $2\Phi(m/2)-1 \le m/\sqrt{2\pi}$ and Jensen. Jung's theorem puts the support into a ball of radius "
        r"$D\sqrt{k/(2(k+1))}$, and $tr\, C$ is at most the mean squared distance to its centre.",
        sides={
            "kl": bound.kl_trace,
            "tv_norm": bound.tv_norm,
            "tv_trace": bound.tv_trace,
            "trace": formula.trace_diameter_bound,
        },
        checks=(
            *_upper_checks(lambda sides: [(sides["kl"], "kl"), (sides["tv_norm"], "tv"), (sides["tv_trace"], "tv")]),
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


# --- B9 --------------------------------------------------------------------------------------------------------------


def _b9_lower(instances: Callable[[Context], tuple[Instance, ...]]) -> Callable[[Sides, Context], Outcome]:
    return lambda sides, context: worst(_above(instances(context), sides["lower"]))


def _b9_separated(sides: Sides, _: Context) -> Outcome:
    """Both sides meet at `½ g tr C − H(p)` for large gaps."""
    golden = prior_posterior(GOLDEN)
    expected = separated_kl(golden, LARGE_GAP)
    return worst(
        equal(float(sides[name](golden, LARGE_GAP)), expected, 1e-9 * expected, f"{name}, golden, g = 10⁴")
        for name in ("upper", "lower")
    )


def _pair(posterior: Posterior, gap: float, rate: float) -> Tensor:
    """B9 with another rate in the exponent."""
    assert isinstance(posterior, AtomsPosterior)
    distance2 = torch.cdist(posterior.points, posterior.points).square()
    inner = torch.logsumexp(posterior.log_weights[0] - gap * rate * distance2, dim=1)
    return bound.kl_trace(posterior, gap) + posterior.weights @ inner


register(
    Claim(
        id="B9",
        title="Two-sided bounds from pairwise distances",
        statement=r"$\tfrac{1}{2}g\,tr\,C + \sum_i p_i \log\sum_j p_j e^{-g d_{ij}^2/2} \le KL(P\|Q) \le "
        r"\tfrac{1}{2}g\,tr\,C + \sum_i p_i \log\sum_j p_j e^{-g d_{ij}^2/8}$.",
        source="theory.md B9; Kolchinsky and Tracey 2017 (arXiv 1706.02419)",
        assumptions="Finite data.",
        derivation=r"$KL(P\|Q) = \tfrac{1}{2} g\,tr\,C - I$ with $I$ the information of $u$ on the component. $I$ lies between the pairwise "
        r"estimates with the Chernoff distance ($g d^2/8$ at $\tfrac{1}{2}$) below and with the KL distance ($g d^2/2$) above.",
        sides={
            "upper": bound.kl_pair_upper,
            "lower": bound.kl_pair_lower,
            "upper_on_line": line.kl_pair_upper,
            "lower_on_line": line.kl_pair_lower,
        },
        checks=(
            *_upper_checks(lambda sides: [(sides["upper"], "kl")]),
            Check("quadrature", "the lower bound, four toy laws", _b9_lower(lambda _: toy_instances())),
            Check("monte-carlo", "the lower bound, five steps on the data", _b9_lower(data_instances)),
            Check("exact", "both meet at ½ g tr C − H(p) for large gaps, golden", _b9_separated),
            certificates.agreement(
                lambda sides: [(_in_torch(sides[f"{side}_on_line"]), sides[side]) for side in ("upper", "lower")]
            ),
            *certificates.checks(lambda s: two_point.plain("kl_pair_bound", True, s["upper_on_line"]), "upper"),
            *certificates.checks(lambda s: two_point.plain("kl_pair_lower", False, s["lower_on_line"]), "lower"),
        ),
        false_twins={
            "upper with /7": {"upper": lambda p, g: _pair(p, g, 1 / 7)},
            "upper with /6": {"upper": lambda p, g: _pair(p, g, 1 / 6)},
            "lower with /4": {"lower": lambda p, g: _pair(p, g, 1 / 4)},
        },
    )
)


# --- B10 -------------------------------------------------------------------------------------------------------------


def _b10_every_beta(sides: Sides, _: Context) -> Outcome:
    """The bound holds at every β, not only at the best."""
    return worst(
        at_most(i.kl, float(sides["at_beta"](i.posterior, i.gap, beta)), f"β = {beta:.2f}, {i.where}")
        for i in toy_instances()
        for beta in (0.5, 0.6, 0.75, 0.9, 1.0)
    )


def _b10_tight(sides: Sides, _: Context) -> Outcome:
    golden = [i for i in toy_instances() if i.where.startswith("golden")]
    return worst(
        at_most(float(sides["best"](i.posterior, i.gap)), TIGHTNESS * float(i.kl.value), f"sharpness, {i.where}")
        for i in golden
    )


def _b10_rule(sides: Sides, _: Context) -> Outcome:
    """Without search: one β from how far the atoms have parted."""
    golden, outcomes = prior_posterior(GOLDEN), []
    for gap in torch.logspace(-3, 3, 13).tolist():
        truth = float(divergence.kl_quadrature(golden, gap).value)
        beta = float(formula.family_beta(pairwise.separated(pairwise.core(golden), gap), torch))
        outcomes.append(at_most(float(sides["at_beta"](golden, gap, beta)), 1.1 * truth, f"golden, g = {gap:.3g}"))
    return worst(outcomes)


def _b10_ends(sides: Sides, _: Context) -> Outcome:
    """β = ½ is B9's upper bound; β = 1 lies below log(1 + χ²)."""
    outcomes = []
    for i in toy_instances():
        half = float(sides["at_beta"](i.posterior, i.gap, 0.5))
        pair = float(bound.kl_pair_upper(i.posterior, i.gap))
        outcomes.append(equal(half, pair, 1e-10 * max(1.0, pair), f"β = ½, {i.where}"))
        best = float(sides["best"](i.posterior, i.gap))
        outcomes.append(at_most(best, pair * (1 + 1e-12), f"best against B9, {i.where}"))
    return worst(outcomes)


def _b10_pairs(sides: Sides) -> list[tuple[certificates.OnLine, certificates.OfPosterior]]:
    """The family on a line and in any dimension, at three β."""
    return [
        (
            lambda points, weights, gap, b=beta: sides["on_line"](points, weights, gap, b, torch),
            lambda posterior, gap, b=beta: sides["at_beta"](posterior, gap, b),
        )
        for beta in (0.5, 0.8, 1.0)
    ]


def _without_covariance_term(posterior: Posterior, gap: float) -> Tensor:
    """The twin without `½ g tr(SC)`."""
    assert isinstance(posterior, AtomsPosterior)
    values = []
    for beta in pairwise.BETAS:
        eigenvalues = gap * posterior.eigenvalues
        s = 1 - 1 / (1 + (2 * beta - 1) ** 2 * eigenvalues)
        values.append(bound.kl_family_at(posterior, gap, beta) - (s * eigenvalues).sum() / 2)
    return torch.stack(values).amin(dim=0)


def _half_trace(posterior: Posterior, gap: float, beta: float) -> Tensor:
    """The twin with `½(1−β) g tr C` for `(1−β) g tr C`."""
    assert isinstance(posterior, AtomsPosterior)
    return bound.kl_family_at(posterior, gap, beta) - (1 - beta) * bound.kl_trace(posterior, gap)


register(
    Claim(
        id="B10",
        title="One family that contains B2 and B9",
        statement=r"With $m_i = \sqrt{g}\,\xi_i$, any $\beta$ and any symmetric $S \succ -I$: $KL(P\|Q) \le (1-\beta)\, g\, tr\, C + "
        r"\tfrac{1}{2}[tr\, S + g\, tr(SC) - \log\det(I+S)] + \sum_i p_i \log\sum_j p_j "
        r"\exp\{\tfrac{1}{2}\beta^2 (m_i+m_j)^T(I+S)^{-1}(m_i+m_j) - \tfrac{1}{2}\beta(\|m_i\|^2+\|m_j\|^2)\}$. Here "
        r"$S = I - (I + (2\beta-1)^2 gC)^{-1}$. Without search, $\beta = \tfrac{1}{2} + \tfrac{1}{2}(1-\tau^4)/(1 + ((\tau - .05)_+/.28)^2)$ with "
        r"$\tau = -\sum_i p_i \log\sum_j p_j e^{-g d_{ij}^2/8}/H(p)$; the ladder takes the best of this and eleven fixed $\beta$.",
        source="theory.md B10 (new)",
        assumptions="Finite data, any β and S; the rule for β is a choice and needs no proof.",
        derivation=r"Let $r_j(u) = \exp(\langle m_j,u\rangle - \tfrac{1}{2}\|m_j\|^2) = dN(m_j,I)/dQ$, $r = \sum_j p_j r_j = dP/dQ$ and $E_i$ the mean under "
        r"$N(m_i, I)$, so that $p_i E_i h = E_Q[p_i r_i h]$. (1) For positive $f_i$ put $q_i = p_i f_i/\sum_j p_j f_j$. By Jensen "
        r"$\sum_i p_i E_i\log\frac{r q_i}{p_i r_i} \le \log\sum_i E_Q[r q_i] = \log E_Q r = 0$, that is "
        r"$KL(P\|Q) = \sum_i p_i E_i\log r \le \sum_i p_i E_i\log[\frac{r_i}{f_i}\sum_j p_j f_j]$. (2) Take $f_i = r_i^\beta$ and $W = \sum_j p_j "
        r"r_j^\beta$. Since $E_i\log r_i = \tfrac{1}{2}\|m_i\|^2$ and $\sum_i p_i\|m_i\|^2 = g\,tr\,C$, $KL \le \tfrac{1}{2}(1-\beta) g\,tr\,C + "
        r"\sum_i p_i E_i\log W$. (3) By Jensen again $E_i\log W \le E_i\ell_i + \log E_i[W e^{-\ell_i}]$; with $\ell_i = \tfrac{1}{2}u^TSu + "
        r"(1-\beta)\langle m_i,u\rangle$ the first is $\tfrac{1}{2}(tr\,S + m_i^TSm_i) + (1-\beta)\|m_i\|^2$. (4) $E_i[r_j^\beta e^{-\ell_i}] = "
        r"E_Q\exp(\beta\langle m_i+m_j,u\rangle - \tfrac{1}{2}u^TSu - \tfrac{1}{2}\|m_i\|^2 - \tfrac{1}{2}\beta\|m_j\|^2) = \det(I+S)^{-1/2}"
        r"\exp(\tfrac{1}{2}\beta^2(m_i+m_j)^T(I+S)^{-1}(m_i+m_j) - \tfrac{1}{2}\|m_i\|^2 - \tfrac{1}{2}\beta\|m_j\|^2)$, finite for $S \succ -I$. "
        r"Add: $\|m_i\|^2$ has the factor $\tfrac{3}{2}(1-\beta) - \tfrac{1}{2} = (1-\beta) - \tfrac{1}{2}\beta$, and $\sum_i p_i m_i^TSm_i = g\,tr(SC)$. The "
        r"bound is convex in S, so the best S is unique.",
        sides={"best": bound.kl_family, "at_beta": bound.kl_family_at, "on_line": line.kl_family_at},
        checks=(
            *_upper_checks(lambda sides: [(sides["best"], "kl")]),
            Check("quadrature", "five β each, four toy laws", _b10_every_beta),
            Check("quadrature", "within 1.036 of the truth, golden", _b10_tight),
            Check("quadrature", "the rule for β within 1.1 of the truth, golden, g from 10⁻³ to 10³", _b10_rule),
            Check("exact", "β = ½ is B9's upper bound, and the best is below it", _b10_ends),
            certificates.agreement(_b10_pairs),
            *certificates.checks(lambda sides: two_point.family(sides["on_line"]), "β by the rule"),
        ),
        false_twins={
            r"without $\tfrac{1}{2} g\, tr(SC)$": {"best": _without_covariance_term},
            r"$\tfrac{1}{2}(1-\beta)\, g\, tr\, C$": {"at_beta": _half_trace},
        },
    )
)

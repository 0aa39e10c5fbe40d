"""Claims B4, B5 and B6: what the Gaussian reverse-process error is made of."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import sympy
import torch
from torch import Tensor

from proofs_checks.claims.b import b6_small_gaps, b_symbolic
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
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.deviations import deviations
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, TRI
from proofs_checks.measurements.certificates import golden_enclosures
from proofs_checks.measurements.steps_on_data import NO_STEP, kl_steps
from proofs_checks.measurements.toy_steps import (
    QUADRATURE,
    SMALL_GAPS,
    kl_of,
    moment_kl_of,
    posterior_at,
    prior_posterior,
    toy_instances,
    toy_moment_kl,
    tv_of,
)
from singtheory import bound, divergence, formula
from singtheory.estimate import mean_interval
from singtheory.formula import symbolic
from singtheory.law import AtomsPosterior, Posterior
from singtheory.mmse import expected_trace, kl_by_information, kl_information_draws

# --- B4 --------------------------------------------------------------------------------------------------------------


def _b4_quadrature(sides: Sides, _: Context) -> Outcome:
    """At γ = 0 and inside, where the measure dγ and its twins differ."""
    outcomes = []
    for (name, law), snr in itertools.product({"golden": GOLDEN, "9:1": NINE_TO_ONE}.items(), (0.0, 0.5)):
        posterior = posterior_at(law, (0.3,), snr)
        for gap in (0.3, 3.0):
            kl = kl_of(posterior, gap)
            stated = sides["kl"](posterior, gap)
            outcomes.append(equal(stated, kl, QUADRATURE * kl, f"{name}, γ = {snr:g}, g = {gap:g}"))
    return worst(outcomes)


def _b4_data(sides: Sides, context: Context) -> Outcome:
    """The two Monte Carlo intervals of KL, from ratios and from traces, must meet."""
    instances, generator = kl_steps(context), context.generator()
    outcomes = []
    for i in instances:
        draws = sides["draws"](i.posterior, i.gap, 4000, generator)
        highest = formula.kl_trace_bound(i.gap, float(i.posterior.trace_cov))
        lowest = highest - formula.kl_trace_bound(i.gap, deviations(context)[1].diameter ** 2 / 2)
        low, high = mean_interval(draws.clamp(lowest, highest), lowest, highest, 1 - context.error / len(instances))
        slack = rounding(64, highest)  # of the terms that cancel to KL
        kl = i.kl.first
        outcomes += [at_most(float(kl.low), high, i.where, slack), at_least(float(kl.high), low, i.where, slack)]
    return worst_or_none(outcomes, NO_STEP)


def _late_reference(posterior: AtomsPosterior, gap: float) -> float:
    """The twin that measures against the trace at γ_s."""
    trace = float(posterior.trace_cov)
    return gap / 2 * (trace - expected_trace(posterior, gap)) - kl_by_information(posterior, gap)


def _log_measure(posterior: AtomsPosterior, gap: float) -> float:
    """The twin that integrates over log h, normalised to the same range."""
    x, w = np.polynomial.legendre.leggauss(64)
    trace, low = float(posterior.trace_cov), math.log(gap) - 10
    logs = zip(low + 5 * (x + 1), 5 * w, strict=True)
    return sum(v * (trace - expected_trace(posterior, math.exp(h))) for h, v in logs) / 2


register(
    Claim(
        id="B4",
        title="KL through information (I-MMSE)",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"$KL(P\|Q) = \tfrac{1}{2}\int_{\gamma_t}^{\gamma_s} (tr\,C(x_t,t) - E[tr\,C(x_u,u)|x_t])\, d\gamma_u$.",
        source="Guo, Shamai and Verdú 2005 (doi 10.1109/TIT.2005.844072)",
        assumptions=r"The posterior has finite second moments; $s > 0$.",
        derivation=r"With $K_h = KL(P_h\|Q)$ at gap $h$ and $I_h = I(x_0; u_h|x_t)$, averaging the components' KL gives $\tfrac{1}{2}h\,tr\,C = I_h + K_h$. From $h$ to $h + \delta$ the same "
        r"holds under the posterior at $h$: $I_{h+\delta} - I_h = \tfrac{1}{2}\delta E\,tr\,C_h - E K_\delta$. For every law with second moments $K_\delta = o(\delta)$: by "
        r"convexity it is at most that of the part within $\|\xi\| \le R$, which is $O(\delta^2)$ (B2) but for the shift of its mean, plus $\tfrac{1}{2}\delta E[\|\xi\|^2; \|\xi\| > R]$ "
        r"(B3). And $K_\delta \le \tfrac{1}{2}\delta\,tr\,C_h$ (B3), so $E K_\delta = o(\delta)$ too. Thus $I$ is Lipschitz with $dI/dh = \tfrac{1}{2}E[tr\,C_h|x_t]$; integrate.",
        sides={"kl": kl_by_information, "draws": kl_information_draws},
        checks=(
            Check("quadrature", "golden and 9:1 at γ = 0 and 0.5, two gaps", _b4_quadrature),
            Check("monte-carlo", "two independent estimators on the data", _b4_data),
        ),
        false_twins={
            r"the integral over $\log\gamma$": {"kl": _log_measure},
            r"the trace at $\gamma_s$ as reference": {"kl": _late_reference},
            "without the ½": {"kl": lambda p, g: 2 * kl_by_information(p, g)},
        },
    )
)


# --- B5 --------------------------------------------------------------------------------------------------------------


def _b5_quadrature(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for i in toy_instances():
        total = toy_moment_kl(i) + float(sides["gauss"](i.posterior, i.gap))
        kl = float(i.kl.first.value)
        outcomes.append(equal(total, kl, QUADRATURE * kl, i.where))
    return worst(outcomes)


def _b5_mixture(sides: Sides, context: Context) -> Outcome:
    """`E_P log(dM/dQ)` by averaging over the atoms of the data: exact, as log(dM/dQ) is quadratic."""
    outcomes = []
    for i in kl_steps(context):
        values, basis = torch.linalg.eigh(i.gap * i.posterior.cov[0])
        values = values.clamp(min=0)
        projected = (i.posterior.points - i.posterior.mean) @ basis
        second = 1 + i.gap * (i.posterior.weights[0] @ projected.square())
        expected = float((values / (1 + values) * second - values.log1p()).sum() / 2)
        gauss = float(sides["gauss"](i.posterior, i.gap))
        # d eigenvalues, each to a few roundings of the largest, and a mean over the atoms of squares that cancel with their logarithms
        slack = rounding(4 * len(values) + 64, float(values.sum()), float(values.max()) * len(values))
        outcomes.append(equal(gauss, expected, slack, i.where))
    return worst_or_none(outcomes, NO_STEP)


register(
    Claim(
        id="B5",
        title="Pythagoras",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"$KL(P\|Q) = KL(P\|M) + \tfrac{1}{2}\sum_i (g\lambda_i - \log(1 + g\lambda_i))$ with $\lambda_i$ the eigenvalues of $C$.",
        source="derived on its page",
        assumptions="The posterior has finite second moments.",
        derivation=r"$\log(dM/dQ)$ is quadratic in $u$, and P and M share their first two moments, so $E_P\log(dM/dQ) = KL(M\|Q)$, "
        r"the divergence of $N(0, I + gC)$ from $N(0, I)$.",
        sides={"gauss": divergence.kl_gauss},
        checks=(
            Check("quadrature", "both sides, four toy laws", _b5_quadrature),
            Check("exact", "E_P log(dM/dQ) over the atoms of the data", _b5_mixture),
            golden_enclosures(
                "kl", lambda sides: lambda p, g: divergence.kl_moment_quadrature(p, g).value + sides["gauss"](p, g)
            ),
            golden_enclosures(
                "kl_moment", lambda sides: lambda p, g: divergence.kl_quadrature(p, g).value - sides["gauss"](p, g)
            ),
        ),
        false_twins={
            r"lumped, $\tfrac{1}{2}(g\,tr\,C - \log(1 + g\,tr\,C))$": {
                "gauss": lambda p, g: formula.kl_gauss_term(g, p.trace_cov, torch)
            },
            "without the ½": {"gauss": lambda p, g: 2 * divergence.kl_gauss(p, g)},
        },
    )
)


# --- B6 --------------------------------------------------------------------------------------------------------------

_DROWNED = 2.0**-30
"""Below this `log r`, of size g‖C‖, has not digits enough for its square."""
_Leading = Callable[[Posterior, float], Tensor]


def kl_cubic(posterior: AtomsPosterior, gap: float) -> Tensor:
    """`(‖κ‖²/12 − tr C³/6) g³`, the next order of KL(P‖Q)."""
    trace_cube = posterior.eigenvalues.pow(3).sum(dim=1)
    return gap**3 * formula.kl_small_gap_cubic(bound.skewness2(posterior), trace_cube)


def tv_leading(posterior: Posterior, gap: float) -> Tensor:
    """The leading order of TV in one dimension."""
    return formula.tv_small_gap(gap, posterior.eigenvalues[:, 0])


def _b6_kl(sides: Sides, _: Context) -> Outcome:
    """What remains of KL after its first order is of order g³, and after the second of order g⁴."""

    def remainder(posterior: AtomsPosterior, orders: tuple[_Leading, ...]) -> Callable[[float], float]:
        return lambda g: kl_of(posterior, g) - float(sum(f(posterior, g) for f in orders))

    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE, "three atoms in the plane": TRI}.items():
        posterior = prior_posterior(law)
        first, both = (sides["kl"],), (sides["kl"], sides["cubic"])
        outcomes.append(vanishes_at_rate(remainder(posterior, first), SMALL_GAPS, 3.0, f"KL − first order, {name}"))
        outcomes.append(vanishes_at_rate(remainder(posterior, both), SMALL_GAPS, 4.0, f"KL − two orders, {name}"))
    return worst(outcomes)


def _b6_moment(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE, "three atoms in the plane": TRI}.items():
        posterior = prior_posterior(law)
        outcomes.append(
            vanishes_at_rate(
                lambda g, p=posterior: moment_kl_of(p, g) - float(sides["moment"](p, g)),
                SMALL_GAPS,
                4.0,
                f"KL(P‖M) − leading order, {name}",
            )
        )
    return worst(outcomes)


def _b6_tv(sides: Sides, _: Context) -> Outcome:
    def remainders() -> Iterator[Outcome]:
        for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
            posterior = prior_posterior(law)
            yield vanishes_at_rate(
                lambda g, p=posterior: tv_of(p, g) - float(sides["tv"](p, g)),
                SMALL_GAPS,
                2.0,
                f"TV − leading order, {name}",
            )

    return worst(remainders())


def _b6_data(sides: Sides, context: Context) -> Outcome:
    """On the data at a tiny gap, where the next order is below 1 % (at most a third of `D² g`, by B11)."""
    name, law, unit = deviations(context)
    if law.diameter == 0:
        return no_instance(f"{name}: all points are equal")
    gap = 4e-3 / law.diameter**2
    if gap * float(law.cov.norm()) < _DROWNED:
        return no_instance(f"{name}: a far atom of tiny weight: where its next order is small, KL is lost in rounding")
    posterior = prior_posterior(law.to(context.device))
    kl = divergence.kl_monte_carlo(posterior, gap, 10_000, context.generator(), context.confidence)
    leading = float(sides["kl"](posterior, gap))
    return equal(kl, leading, 0.01 * leading, f"{name}, γ = 0, g = {gap / unit**2:.3g}")


def _b6_symbolic(sides: Sides, _: Context) -> Outcome:
    """Against the cumulant expansion on a line, where `C = E ξ²` and `κ = E ξ³`; KL(P‖M) is what B5 leaves of it."""
    gap, mean_gap = sympy.symbols("g h", positive=True)
    second, third = symbolic.kl_expansion()
    variance, kappa = symbolic.moment(2), symbolic.moment(3)
    gauss = formula.kl_gauss_term(mean_gap, variance, symbolic.NAMESPACE)
    of_gauss = symbolic.coefficients(gauss, mean_gap, 3)
    cubic = sides["cubic_term"](kappa**2, variance**3)
    return worst(
        [
            identically_zero(sides["leading_term"](gap, variance**2) - gap**2 * second, "g² in KL(P‖Q)"),
            identically_zero(cubic - third, "g³ in KL(P‖Q)"),
            identically_zero(second - of_gauss[2], "no g² in KL(P‖M)"),
            identically_zero(sides["moment_term"](gap, kappa**2) - gap**3 * (third - of_gauss[3]), "g³ in KL(P‖M)"),
        ]
    )


register(
    Claim(
        id="B6",
        title="Small gaps",
        constant=r"$\tfrac{1}{4}$ before $g^2\|C\|_F^2$ and $\tfrac{1}{12}$ before $g^3\|\kappa\|^2$, exact as limits; the $\tfrac{7}{48}$ of the remainders is not said to be the best.",
        statement=r"$KL(P\|Q) = \tfrac{g^2}{4}\|C\|_F^2 + (\|\kappa\|^2/12 - tr\,C^3/6)\,g^3 + O(g^4)$, "
        r"$KL(P\|M) = \tfrac{g^3}{12}\|\kappa\|^2 + O(g^4)$, $TV(P,Q) = \tfrac{g}{4}E|n^TCn - tr\,C| + O(g^2)$, "
        r"$\kappa = E\,\xi\otimes\xi\otimes\xi$. On a support of diameter $D$, with $x = D^2g$, the first remainder is at most $\tfrac{7}{48}x^2e^xg^2\|C\|_F^2$, the "
        r"second at most $(\tfrac{7}{48}e^x + \tfrac{1}{128})x^2g^2\|C\|_F^2$, the third at most $\tfrac{1}{2}gx\|C\|_F(c_d + e^{x/2}/\sqrt{24})$ with a number $c_d$ of the dimension.",
        source="derived on its page; the explicit remainders are added here",
        assumptions="The posterior has bounded support (false for heavy tails), in any dimension.",
        derivation=r"KL: by B11 $KL(P\|Q) = \tfrac{1}{2}\int_0^g (g-h)f(h)dh$ with $f = E\|C_h\|_F^2$, $f' = E\|\kappa_h\|^2 - 2E\,tr\,C_h^3$, and in the same way $f'' = "
        r"E[\|\kappa^{(4)}\|^2 - 12\sum\kappa_{ijk}\kappa_{ijl}C_{kl} + 6\,tr\,C^4]$, so $|f''| \le 7D^4f \le 7D^4e^{D^2h}f(0)$: Taylor's formula. $KL(P\|M)$ is what B5 leaves, and "
        r"$\tfrac{1}{2}(y - \log(1+y))$ is within $y^4/8$ of $y^2/4 - y^3/6$. TV: in $L^2(Q)$ $r - 1 = gA + g^{3/2}B + R$ with $A = \tfrac{1}{2}(u^TCu - tr\,C)$ even, "
        r"$B = \tfrac{1}{6}\langle\kappa, He_3\rangle$ odd and $\|R\|_2 \le gx\|C\|_Fe^{x/2}/\sqrt{24}$. By parity $E|gA + g^{3/2}B| = gE\max(|A|, \sqrt{g}|B|)$, and "
        r"$E(\sqrt{g}|B| - |A|)_+ = O(g)$, for along rays $|A|$ grows linearly from its zero.",
        sides={
            "kl": bound.kl_small_gap,
            "cubic": kl_cubic,
            "moment": bound.kl_moment_small_gap,
            "tv": tv_leading,
            "leading_term": formula.kl_small_gap,
            "cubic_term": formula.kl_small_gap_cubic,
            "moment_term": formula.kl_moment_small_gap,
        },
        checks=(
            Check("symbolic", "the coefficients of g² and g³ from the cumulant expansion, on a line", _b6_symbolic),
            Check("quadrature", "KL: rates 3 and 4 of the remainders, three toy laws", _b6_kl),
            Check("quadrature", "KL(P‖M): rate 4 of the remainder, three toy laws", _b6_moment),
            Check("quadrature", "TV in one dimension: rate 2 of the remainder", _b6_tv),
            Check(
                "quadrature",
                "within the explicit remainders: three toy laws, D²g from 0.01 to 1",
                b6_small_gaps.remainders,
            ),
            Check("symbolic", "the orders and remainders of KL from B11, in any dimension", b_symbolic.orders),
            Check("monte-carlo", "leading order of KL on the data", _b6_data),
        ),
        false_twins={
            r"$(tr\,C)^2$ for $\|C\|_F^2$": {"kl": lambda p, g: formula.kl_small_gap(g, p.trace_cov.square())},
            "the leading term exact to third order": {"cubic": lambda p, g: torch.zeros_like(kl_cubic(p, g))},
            r"$\tfrac{g^3}{6}\|\kappa\|^2$": {"moment": lambda p, g: 2 * bound.kl_moment_small_gap(p, g)},
            r"TV of order $g^2$": {"tv": lambda p, g: g * tv_leading(p, g)},
        },
    )
)

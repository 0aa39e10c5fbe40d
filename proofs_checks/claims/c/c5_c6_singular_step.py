"""Claims C5 and C6: the singular step from t = 1, and what its average image buys."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache, partial

import sympy
import torch
from torch import Tensor

from proofs_checks.claims.c import c_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_least, at_most, equal, identically_zero, no_instance, worst
from proofs_checks.harness.rounds import Rounds
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.deviations import deviations
from proofs_checks.instances.excerpt import with_normal
from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, SIGNS, TRI
from proofs_checks.instances.near_ends import TILTED, number
from proofs_checks.instances.scales import EPS
from proofs_checks.measurements.toy_steps import prior_posterior
from singtheory import Atoms, Cosine, Gaussian, Law, RectifiedFlow, ReverseKernel, divergence, formula, limit, numerics
from singtheory.bound import kl_pair_upper
from singtheory.estimate import Estimate
from singtheory.formula import symbolic
from singtheory.law import AtomsPosterior

LINE = Gaussian([0.8], [[1.7]])
"""A Gaussian on the line, off the origin."""


@cache
def _kl_from_end(law: Law, snr: float) -> float:
    """`KL(q(x_s|x_1)‖N(α_s μ, σ_s² I))` with `α_1 = 0` by quadrature or in closed form, through the kernel at t = 1."""
    schedule = Cosine()
    kernel = ReverseKernel(law, schedule, 1.0, schedule.time_of_snr(snr))
    return float(kernel.at(torch.zeros(1, law.dim, dtype=torch.float64)).kl().value)


# --- C5 --------------------------------------------------------------------------------------------------------------


def _c5_symbolic(sides: Sides, _: Context) -> Outcome:
    snr, eigenvalue = sympy.symbols("gamma lam", positive=True)
    gaussian = formula.kl_gauss_term(snr, eigenvalue, symbolic.NAMESPACE)
    leading, _cubic = symbolic.kl_expansion()
    slack = sides["bound_formula"](snr, eigenvalue) - gaussian - sympy.log(1 + snr * eigenvalue) / 2
    residuals = {
        "coefficient of γ² on a line": leading * snr**2 - sides["leading_formula"](snr, symbolic.moment(2) ** 2),
        "slack for Gaussian data": slack,
        "coefficient of γ² for Gaussian data": symbolic.coefficients(gaussian, snr, 2)[2] * snr**2
        - sides["leading_formula"](snr, eigenvalue**2),
        "bound attained as γ → ∞": sympy.limit(gaussian / sides["bound_formula"](snr, eigenvalue), snr, sympy.oo) - 1,
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _c5_bound(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    laws = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "±1": SIGNS, "tri": TRI, "two bumps": BUMPS, "Gaussian": LINE}
    for name, law in laws.items():
        for snr in (0.01, 0.3, 3.0) if law.dim == 2 else (0.01, 0.3, 10.0, 1e3):
            outcomes.append(at_most(_kl_from_end(law, snr), float(sides["bound"](law, snr)), f"{name}, γ = {snr:g}"))
    for snr in (0.3, 10.0):
        slack = float(sides["bound"](LINE, snr)) - _kl_from_end(LINE, snr)
        half_log = float(formula.kl_atoms_lower(snr, LINE.cov, torch))
        outcomes.append(equal(slack, half_log, 1e-12 * (1 + snr), f"slack for Gaussian data, γ = {snr:g}"))
    return worst(outcomes)


def _c5_leading(sides: Sides, _: Context) -> Outcome:
    """What remains after the leading term is of order γ³."""
    return worst(
        vanishes_at_rate(
            lambda snr, law=law: _kl_from_end(law, snr) - float(sides["leading"](law, snr)),
            (0.004, 0.008, 0.016),
            3.0,
            f"KL − leading order, {name}",
        )
        for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE, "tri": TRI, "Gaussian": TILTED}.items()
    )


_DRAWS_ROUNDING = 128 * EPS
"""The rounding of `r f(r)` and `f(r)`, in which numbers of the size of 1 cancel."""
_SAMPLES = (2_000, 10_000, 50_000)
"""Draws, of which the fewest that decide are taken."""


def _c5_data(sides: Sides, context: Context) -> Outcome:
    """Bound and leading order on the data; what leading order leaves is bracketed by B11 with the diameter."""
    name, law, _ = deviations(context)
    if law.diameter == 0:
        return no_instance(f"{name}: all points are equal, the kernel is Gaussian")
    prior = prior_posterior(law)
    outcomes = []
    for scaled, of in ((0.1, "leading"), (1.0, "bound"), (20.0, "bound")):
        snr = scaled / (law.diameter**2 if of == "leading" else float(law.cov.trace()))
        if snr > numerics.PRECISIONS[1]:  # of data that hardly vary, though their diameter is ordinary
            continue
        value, where = float(sides[of](law, snr)), f"{name}, {of}, γ = {snr:.3g}"
        value *= 1 + _sum_rounding(law) if of == "bound" else 1.0
        of_bound = partial(_c5_bound_of, prior, snr, value, where)
        of_leading = partial(_c5_leading_of, value, where, scaled)
        outcomes.append(_decided(prior, snr, context, of_bound if of == "bound" else of_leading))
    return worst(outcomes)


def _c5_bound_of(prior: AtomsPosterior, snr: float, value: float, where: str, kl: Estimate) -> Outcome:
    """Decides by draws; where they do not decide, as of an atom that none of them meets, B9's value is known to be no less than KL."""
    outcome = at_most(kl, value, where)
    if outcome.verdict != "undecided":
        return outcome
    high = min(float(kl.high), max(float(kl.low), float(kl_pair_upper(prior, snr))))
    return at_most(Estimate(kl.value, kl.low, number(high), kl.confidence, kl.n, kl.method), value, where)


def _c5_leading_of(value: float, where: str, scaled: float, kl: Estimate) -> Outcome:
    low, high = (value * factor for factor in _leading_bracket(scaled))
    if low < _DRAWS_ROUNDING:
        return no_instance(f"{where}: a divergence of {value:.2g} is below the rounding of draws of numbers near 1")
    return worst([at_least(float(kl.high), low, where), at_most(float(kl.low), high, where)])


def _decided(prior: AtomsPosterior, snr: float, context: Context, compare: Callable[[Estimate], Outcome]) -> Outcome:
    """Compares by more and more draws until they decide; the error is split over three steps and as many tries, so that stopping costs nothing."""
    outcome = no_instance("no draws")
    for kl in _drawn(prior, snr, context):
        outcome = compare(kl)
        if outcome.verdict != "undecided":
            return outcome
    return replace(outcome, where=f"{outcome.where}: not decided by {_SAMPLES[-1]:,} draws, more would")


@lru_cache(maxsize=64)
def _drawn(prior: AtomsPosterior, snr: float, context: Context) -> Rounds:
    """KL by ever more draws, made once for the claim and all of its twins."""
    generator, confidence = context.generator(), 1 - context.error / (3 * len(_SAMPLES))
    return Rounds(lambda k: divergence.kl_monte_carlo(prior, snr, _SAMPLES[k], generator, confidence), len(_SAMPLES))


def _sum_rounding(law: Atoms) -> float:
    """The rounding of a trace, on both sides: sums over atoms and coordinates, with weights that one side takes from their logarithms."""
    return EPS * (64 + len(law.points) + law.dim - 8 * float(law.weights[law.weights > 0].log().min()))


def _leading_bracket(x: float) -> tuple[float, float]:
    """B11's factors between KL and its leading order, `x = D²γ`."""
    return 2 * (math.exp(-x / 2) - 1 + x / 2) / (x / 2) ** 2, 2 * (math.expm1(x) - x) / x**2


register(
    Claim(
        id="C5",
        title="The singular step's Gaussian error",
        constant=r"$\tfrac{1}{2}$ before $\gamma_s\,tr\,\Sigma$, the best possible; $\tfrac{1}{4}$ before the leading order.",
        statement=r"For $\alpha_1 = 0$: $KL(q(x_s|x_1)\|N(\alpha_s\mu, \sigma_s^2 I)) \le \frac{1}{2}\gamma_s\,tr\,\Sigma$, and the divergence is "
        r"$\frac{\gamma_s^2}{4}\|\Sigma\|_F^2 + O(\gamma_s^3)$. The constant $\frac{1}{2}$ is the best possible: for Gaussian data the "
        r"slack is $\frac{1}{2}\log\det(I + \gamma_s\Sigma)$. Per condition, with $\mu(c)$ and $\Sigma(c)$.",
        source="derived on its page; the best constant is added here",
        assumptions=r"$\alpha_1 = 0$, $0 < s < 1$; finite second moments; for the leading order, bounded or Gaussian data.",
        derivation=r"At $\gamma_1 = 0$ the posterior is the law itself (A5), so this is B3 and B6 with $g = \gamma_s$, $C = \Sigma$, in every dimension. For Gaussian data "
        r"B5 is all there is: $\frac{1}{2}\sum_i(\gamma\lambda_i - \log(1 + \gamma\lambda_i))$.",
        sides={
            "bound": limit.kl_terminal_bound,
            "bound_formula": formula.kl_terminal_bound,
            "leading": limit.kl_terminal_leading,
            "leading_formula": formula.kl_small_gap,
        },
        checks=(
            Check("quadrature", "the bound: six laws, γ from 0.01 to 1000; its slack for Gaussian data", _c5_bound),
            Check("quadrature", "rate 3 of what the leading order leaves: four laws", _c5_leading),
            Check(
                "symbolic", "leading coefficient on a line and for Gaussian data; slack; best constant", _c5_symbolic
            ),
            Check("monte-carlo", "both parts on the data", _c5_data),
        ),
        false_twins={
            r"$(tr\,\Sigma)^2$ for $\|\Sigma\|_F^2$": {
                "leading": lambda law, snr: formula.kl_small_gap(snr, law.cov.trace() ** 2)
            },
            r"$\frac{1}{4}\gamma_s\,tr\,\Sigma$": {
                "bound": lambda law, snr: limit.kl_terminal_bound(law, snr) / 2,
                "bound_formula": lambda snr, trace: formula.kl_terminal_bound(snr, trace) / 2,
            },
            r"$\frac{1}{2}\alpha_s^2\,tr\,\Sigma$": {
                "bound": lambda law, snr: limit.kl_terminal_bound(law, snr / (1 + snr)),
            },
        },
    )
)


# --- C6 --------------------------------------------------------------------------------------------------------------


@cache
def _on_line(law: Law, snr: float) -> tuple[Tensor, Tensor]:
    """Nodes of `z = √γ x_0 + n` on a line, and its log density there, once for the claim and its twins; both of shape (4001,)."""
    centre, reach = math.sqrt(snr) * float(law.mean), 14 + 6 * math.sqrt(snr * float(law.cov))
    z = torch.linspace(centre - reach, centre + reach, 4001, dtype=torch.float64)
    return z, law.posterior(z[:, None], snr).log_evidence


def _kl_to_normal(law: Law, snr: float, shift: Tensor, var: float) -> float:
    """`KL` of the law of `z = √γ x_0 + n` from `N(shift, var)` on a line, by the trapezoidal rule."""
    z, log_q = _on_line(law, snr)
    log_normal = -((z - shift) ** 2) / (2 * var) - math.log(2 * math.pi * var) / 2
    return float(torch.trapezoid(log_q.exp() * (log_q - log_normal), z))


def _c6_quadrature(sides: Sides, _: Context) -> Outcome:
    """Densities of `z = x/σ`: `N(0, σ² I)` becomes `N(0, I)`, `N(0, I)` becomes `N(0, σ^-2 I)`."""
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE, "two bumps": BUMPS, "Gaussian": LINE}.items():
        for alpha in (0.6, 0.1):
            sigma = math.sqrt(1 - alpha**2)
            snr = formula.snr(alpha, sigma)
            mean_kl = _kl_to_normal(law, snr, math.sqrt(snr) * law.mean, 1.0)
            gains = {
                "N(0, σ²)": (_kl_to_normal(law, snr, torch.zeros(1), 1.0), sides["gain"](snr, float(law.mean) ** 2)),
                "N(0, 1)": (
                    _kl_to_normal(law, snr, torch.zeros(1), 1 / sigma**2),
                    sides["noise_gain"](number(alpha), number(sigma), law.mean**2, law.cov[0], 1, torch),
                ),
            }
            for against, (kl, gain) in gains.items():
                outcomes.append(equal(kl - mean_kl, float(gain), 1e-12, f"{name}, α = {alpha}, {against}"))
    return worst(outcomes)


def _cross_entropy(law: Atoms, dim: int, alpha: Tensor, sigma: Tensor, centre: Tensor, var: Tensor) -> Tensor:
    """`−E log N(x_s; centre, var I)` in d dimensions, atom by atom; where the law has fewer, the data are 0 in the others."""
    squares = (alpha * law.points - centre).square().sum(dim=1) + dim * sigma**2
    return (law.weights @ squares / var + dim * (2 * math.pi * var).log()) / 2


def _cross_entropy_rounding(law: Atoms, dim: int, alpha: Tensor, sigma: Tensor) -> float:
    """The rounding of a difference of two cross entropies and of the gains: sums over atoms and coordinates of squares over variances."""
    second = float(alpha**2 * (law.weights @ law.points.square().sum(dim=1)))
    noise = dim * float(1 + sigma**2 + (2 * math.pi * sigma**2).log().abs() + 2 * math.pi)
    return EPS * (64 + len(law.points) + dim) * (second * float(1 + 1 / sigma**2) + noise)


def _c6_data(sides: Sides, context: Context) -> Outcome:
    """The entropy of `q_s` drops out of the difference, and cross entropies are sums over atoms."""
    (name, law), dim = with_normal(context), context.data.dim
    if context.data.span is None:
        dim = law.dim
    outcomes = []
    for label, schedule, s in (("cosine", Cosine(), 0.95), ("rectified flow", RectifiedFlow(), 0.8)):
        alpha, sigma, zero, one = *schedule(s), torch.zeros(law.dim), number(1.0)
        with_mean = _cross_entropy(law, dim, alpha, sigma, alpha * law.mean, sigma**2)
        mean_norm2 = law.mean.square().sum()
        gain = sides["gain"](formula.snr(alpha, sigma), mean_norm2)
        noise_gain = sides["noise_gain"](alpha, sigma, mean_norm2, law.cov.trace(), dim, torch)
        for against, var, value in (("N(0, σ² I)", sigma**2, gain), ("N(0, I)", one, noise_gain)):
            excess = float(_cross_entropy(law, dim, alpha, sigma, zero, var) - with_mean)
            tolerance = _cross_entropy_rounding(law, dim, alpha, sigma)
            outcomes.append(equal(excess, float(value), tolerance, f"{name}, {label}, s = {s}, {against}"))
    return worst(outcomes)


register(
    Claim(
        id="C6",
        title="What the mean start buys",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"$KL(q_s\|N(0, \sigma_s^2 I)) - KL(q_s\|N(\alpha_s\mu, \sigma_s^2 I)) = \frac{1}{2}\gamma_s\|\mu\|^2$ nats (per prompt: "
        r"$\mu(c)$): starting from noise of variance $\sigma_s^2$ at $s = 1 - \epsilon$ is the singular step with the average image set to zero. "
        r"Against the $N(0, I)$ of samplers the gain is $\frac{1}{2}[\alpha^2\|\mu\|^2 + (\alpha^2 - \gamma)\,tr\,\Sigma + d(\sigma^2 - 1 - "
        r"\log\sigma^2)]$, which can be negative (golden law, $\alpha = 0.6$): the widened noise hides some spread.",
        source="derived on its page",
        assumptions=r"Finite second moments, $\sigma_s > 0$; any schedule.",
        derivation=r"In both differences the entropy of $q_s$ drops out, and what is left is $E\log N(x;\alpha\mu,\sigma^2) - E\log N(x;0,v)$ with "
        r"$E\,x = \alpha\mu$ and $E\|x\|^2 = \alpha^2(\|\mu\|^2 + tr\,\Sigma) + d\sigma^2$. For $v = \sigma^2$: "
        r"$(E\|x\|^2 - E\|x-\alpha\mu\|^2)/2\sigma^2 = \alpha^2\|\mu\|^2/2\sigma^2$.",
        sides={"gain": formula.mean_gain, "noise_gain": formula.noise_start_gain},
        checks=(
            Check("quadrature", "both differences of KL: four laws on a line, α = 0.6 and 0.1", _c6_quadrature),
            Check("exact", "cross entropies over the atoms of the data, cosine and rectified flow", _c6_data),
            Check(
                "symbolic",
                "whole: both differences in d dimensions, and the negative example",
                c_symbolic.mean_start,
                whole=True,
            ),
        ),
        false_twins={
            r"$\frac{1}{2}\alpha_s^2\|\mu\|^2$": {"gain": lambda snr, norm2: formula.mean_gain(snr / (1 + snr), norm2)},
            r"the same against $N(0, I)$": {
                "noise_gain": lambda a, s, norm2, trace, dim, xp: formula.mean_gain(formula.snr(a, s), norm2)
            },
            r"without $(\alpha^2 - \gamma)\,tr\,\Sigma$": {
                "noise_gain": lambda a, s, norm2, trace, dim, xp: formula.noise_start_gain(a, s, norm2, 0, dim, xp)
            },
        },
    )
)

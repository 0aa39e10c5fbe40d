"""Claims B7 and B11: what the best variance saves, and explicit constants for the small-gap law."""

from collections.abc import Iterator

import sympy
import torch

from proofs_checks.claims.b import b_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, equal, identically_zero, worst, worst_or_none
from proofs_checks.harness.rounds import at_least_in_rounds, at_most_in_rounds
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, TRI
from proofs_checks.measurements.steps_on_data import NO_STEP, kl_steps
from proofs_checks.measurements.toy_steps import (
    QUADRATURE,
    Instance,
    isotropic_kl_of,
    kl_of,
    posterior_at,
    prior_posterior,
    toy_instances,
)
from singtheory import bound, formula, numerics
from singtheory.formula import symbolic
from singtheory.law import Posterior
from singtheory.mmse import kl_by_covariance

# --- B7 --------------------------------------------------------------------------------------------------------------


def best_var(posterior: Posterior, gap: float) -> float:
    """`1 + g tr C/d`, the best isotropic variance in units of c²."""
    return float(formula.isotropic_var(1.0, gap, posterior.trace_cov, posterior.mean.shape[1]))


def gain(posterior: Posterior, gap: float) -> float:
    """What it saves in KL."""
    return float(formula.isotropic_gain(gap, posterior.trace_cov, posterior.mean.shape[1], torch))


def _b7_quadrature(sides: Sides, _: Context) -> Outcome:
    """The stated variance beats its neighbours, and saves the stated amount."""

    def outcomes() -> Iterator[Outcome]:
        for name, law in {"three atoms in the plane": TRI, "golden": GOLDEN}.items():
            posterior = prior_posterior(law)
            for gap in (0.3, 2.0):
                where = f"{name}, g = {gap:g}"
                var, kl = sides["var"](posterior, gap), kl_of(posterior, gap)
                at = isotropic_kl_of(posterior, gap, var)
                yield equal(kl - at, sides["gain"](posterior, gap), QUADRATURE * kl, f"gain, {where}")
                for factor in (0.995, 1.005):
                    near = isotropic_kl_of(posterior, gap, factor * var)
                    yield at_most(at, near, f"minimum, {where}")

    return worst(outcomes())


def _b7_symbolic(sides: Sides, _: Context) -> Outcome:
    """`KL(P‖N(0, vI)) − KL(P‖Q) = ½[d log v + (d + g tr C)(1/v − 1)]` is stationary at v* with the value −gain."""
    v, g, trace, d = sympy.symbols("v g T d", positive=True)
    excess = (d * sympy.log(v) + (d + g * trace) * (1 / v - 1)) / 2
    best = formula.isotropic_var(1, g, trace, d)
    return worst(
        [
            identically_zero(sympy.diff(excess, v).subs(v, best), "stationary"),
            identically_zero(
                sympy.expand_log(excess.subs(v, best) + formula.isotropic_gain(g, trace, d, symbolic.NAMESPACE)), "gain"
            ),
        ]
    )


register(
    Claim(
        id="B7",
        title="The best isotropic variance",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"For fixed $x_t$ the isotropic Gaussian nearest to P in $KL(P\|\cdot)$ has variance $c^2(1 + g\,tr\,C/d)$, a gain of "
        r"$\tfrac{1}{2}[g\,tr\,C - d\log(1 + g\,tr\,C/d)]$ over the plug-in.",
        source="Bao et al. 2022 (arXiv 2201.06503), for the mean over $x_t$",
        assumptions="The posterior has finite second moments.",
        derivation=r"In u, $E_P\|u\|^2 = d + g\,tr\,C$, so $KL(P\|N(0,vI)) - KL(P\|Q) = \tfrac{1}{2}[d\log v + (d + g\,tr\,C)(1/v - 1)]$, "
        r"least at $v = 1 + g\,tr\,C/d$. The mean must be P's, for any other adds its squared distance.",
        sides={"var": best_var, "gain": gain},
        checks=(
            Check("symbolic", "stationary point and value of the excess", _b7_symbolic),
            Check("quadrature", "minimum and gain in one and two dimensions", _b7_quadrature),
        ),
        false_twins={
            r"$1 + g\,tr\,C$": {"var": lambda p, g: 1 + g * float(p.trace_cov)},
            r"$1 + g\lambda_{max}$": {"var": lambda p, g: 1 + g * float(p.eigenvalues.max())},
            r"a gain of $g\,tr\,C - d\log(1 + g\,tr\,C/d)$": {"gain": lambda p, g: 2 * gain(p, g)},
        },
    )
)


# --- B11 -------------------------------------------------------------------------------------------------------------


def _b11_identity(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        for snr in (0.0, 0.5):
            posterior = posterior_at(law, (0.3,), snr)
            for gap in (0.3, 3.0):
                kl = kl_of(posterior, gap)
                outcomes.append(
                    equal(sides["kl"](posterior, gap), kl, QUADRATURE * kl, f"{name}, γ = {snr:g}, g = {gap:g}")
                )
    return worst(outcomes)


def _ratio_sides(posterior: Posterior, diameter: float, gap: float, sides: Sides) -> tuple[float, float]:
    """The least and the most that B11 allows for KL."""
    x, leading = torch.tensor(diameter**2 * gap, dtype=torch.float64), float(bound.kl_small_gap(posterior, gap))
    return leading * float(sides["low"](x, torch)), leading * float(sides["high"](x, torch))


def _b11_ratios(instances: tuple[Instance, ...], sides: Sides) -> Iterator[Outcome]:
    for i in instances:
        least, most = _ratio_sides(i.posterior, numerics.diameter(i.posterior.points), i.gap, sides)
        yield at_least_in_rounds(i.kl, least, f"least, {i.where}")
        yield at_most_in_rounds(i.kl, most, f"most, {i.where}")


def _b11_toys(sides: Sides, _: Context) -> Outcome:
    return worst(_b11_ratios(toy_instances(), sides))


def _b11_data(sides: Sides, context: Context) -> Outcome:
    return worst_or_none(_b11_ratios(kl_steps(context), sides), NO_STEP)


def _b11_sharp(sides: Sides, _: Context) -> Outcome:
    """Both factors solve their differential equations: `(x² f/2)″` is `eˣ` and `e^{−x/2}`, and both tend to 1 with x."""
    x = sympy.symbols("x", positive=True)
    low, high = (sides[name](x, symbolic.NAMESPACE) for name in ("low", "high"))
    return worst(
        [
            identically_zero(sympy.diff(x**2 / 2 * high, x, 2) - sympy.exp(x), "high"),
            identically_zero(sympy.diff(x**2 / 2 * low, x, 2) - sympy.exp(-x / 2), "low"),
            identically_zero(sympy.limit(low, x, 0) - 1, "low at 0"),
            identically_zero(sympy.limit(high, x, 0) - 1, "high at 0"),
        ]
    )


register(
    Claim(
        id="B11",
        title="Explicit constants for small gaps",
        constant=r"$\tfrac{1}{4}$ before $g^2\|C\|_F^2$, and the two functions of $D^2 g$, both of which tend to 1.",
        statement=r"$KL(P\|Q) = \tfrac{1}{2}\int_0^g (g-h)\,E\|C_h\|_F^2\,dh$, and on a support of diameter $D$, with $x = D^2 g$: "
        r"$\frac{2(e^{-x/2} - 1 + x/2)}{(x/2)^2} \le \frac{KL(P\|Q)}{\tfrac{1}{4}g^2\|C\|_F^2} \le \frac{2(e^x - 1 - x)}{x^2}$.",
        source="derived on its page",
        assumptions=r"The posterior has bounded support; for the ratio it is not one point, and $g > 0$.",
        derivation=r"With $y_h = h\xi + \sqrt{h}n$ and $\psi = \log E\exp(\langle\xi,y\rangle - \tfrac{1}{2}h\|\xi\|^2)$ the derivatives of $\psi$ in $y$ are the posterior's cumulants, "
        r"$\partial_h\psi = -\tfrac{1}{2}(\Delta\psi + \|\nabla\psi\|^2)$, and $\frac{d}{dh}E F(y_h,h) = E\,LF$ with $LF = \partial_hF + \langle\nabla\psi,\nabla F\rangle + \tfrac{1}{2}\Delta F$. "
        r"So $L\,\partial_i\psi = 0$, $LC = -C^2$ and $L\|C\|_F^2 = \|\kappa\|^2 - 2\,tr\,C^3$. "
        r"B4 and $\frac{d}{dh}E\,tr\,C_h = -E\|C_h\|_F^2$ give the integral. Next, $\frac{d}{dh}E\|C_h\|_F^2 = E\|\kappa_h\|^2 - 2E\,tr\,C_h^3$ with "
        r"$\|\kappa\|^2 = E\langle\xi,\xi'\rangle^3 \le D^2\|C\|_F^2$ and $tr\,C^3 \le \lambda_{max}\|C\|_F^2 \le \tfrac{1}{4}D^2\|C\|_F^2$, so "
        r"$e^{-D^2h/2} \le E\|C_h\|_F^2/\|C\|_F^2 \le e^{D^2h}$; integrate against $g - h$.",
        sides={"kl": kl_by_covariance, "low": formula.kl_ratio_low, "high": formula.kl_ratio_high},
        checks=(
            Check("quadrature", "the integral, golden and 9:1 at γ = 0 and 0.5", _b11_identity),
            Check("quadrature", "both factors, four toy laws", _b11_toys),
            Check("monte-carlo", "both factors, steps on the data", _b11_data),
            Check("symbolic", "the factors integrate their exponentials", _b11_sharp),
            Check("symbolic", "the rates of mean, C, tr C and ‖C‖_F² for any law, d = 1 and 2", b_symbolic.derivatives),
        ),
        false_twins={
            r"$(g-h)$ without the ½": {"kl": lambda p, g: 2 * kl_by_covariance(p, g)},
            r"at least the leading order, factor 1": {"low": lambda x, xp: x * 0 + 1},
            r"at most the leading order, factor 1": {"high": lambda x, xp: x * 0 + 1},
        },
    )
)

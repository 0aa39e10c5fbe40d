"""Claims C8 and C9: guidance of the average image, and what noise at t = 1 can say about it."""

import itertools
import math
from collections.abc import Callable

import sympy
import torch
from torch import Tensor

from proofs_checks.claims.c import c_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, equal, identically_zero, worst
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE
from proofs_checks.instances.near_ends import NAMED, ROUNDING, number, with_data
from proofs_checks.instances.scales import denoiser_rounding, moment_rounding, radius
from singtheory import Cosine, Gaussian, budget, formula
from singtheory.mmse import gaussian_mmse, line_mmse

WEIGHTS = (1.0, 1.5, 2.0, 7.5, 100.0, 1e6)
SD_ALPHA = 0.0682648
"""`α` at the last step of Stable Diffusion's schedule."""
BRIGHTNESS = Gaussian([0.0], [[277.0]])
"""An eigenvalue as large as that of the brightness of images (C7)."""


# --- C8 --------------------------------------------------------------------------------------------------------------


def _pairs(context: Context) -> list[tuple[str, Tensor, Tensor]]:
    """Averages with and without a prompt: at random, the same, opposite, and with `u = 0`."""
    c, u = torch.randn(2, 16, dtype=torch.float64, generator=context.generator())
    return [("random", c, u), ("c = u", c, c), ("c = −u", c, -c), ("u = 0", c, 0 * u)]


def _c8_rule(sides: Sides, context: Context) -> Outcome:
    """The plain rule over w; the ends w = 1 and `u = 0`, where it is c, and `c = u`, where it is c/w."""
    outcomes = []
    for w in WEIGHTS:
        for name, c, u in _pairs(context):
            guided = sides["normalised"](c, u, w)
            expected = {"u = 0": c, "c = u": c / w}.get(name, sides["plain"](c, u, w) / w)
            for value, truth in ((guided, expected), (sides["normalised"](c, u, 1.0), c)):
                scale = float(c.norm() + u.norm())
                outcomes.append(equal(float((value - truth).norm()), 0.0, ROUNDING * scale, f"{name}, w = {w:g}"))
    return worst(outcomes)


def _c8_bound(sides: Sides, context: Context) -> Outcome:
    """Below the bound, and on it where c and u point apart; the plain rule over w tends to `‖c − u‖`, so it has no bound."""
    outcomes = []
    for w in WEIGHTS:
        for name, c, u in _pairs(context):
            norm, bound = float(sides["normalised"](c, u, w).norm()), float(sides["bound"](c.norm(), u.norm(), w))
            nearer, where = float(sides["segment"](c.norm(), (c - u).norm(), w)), f"{name}, w = {w:g}"
            # only sums of numbers of this size are compared
            outcomes.append(at_most(norm, nearer + ROUNDING * bound, where))
            outcomes.append(at_most(nearer, bound + ROUNDING * bound, f"the two bounds, {where}"))
            if name == "c = −u":
                outcomes.append(equal(norm, bound, ROUNDING * bound, f"attained, {where}"))
    _, c, u = _pairs(context)[0]
    w, growth = WEIGHTS[-1], float((c - u).norm())
    measured = float(sides["plain"](c, u, w).norm()) / w
    outcomes.append(equal(measured, growth, float(u.norm()) / w, "growth of the plain rule"))
    return worst(outcomes)


register(
    Claim(
        id="C8",
        title="Guidance at the singular step",
        constant=r"$1 - 1/w$, attained.",
        statement=r"Normalised guidance $\bar{y}_w = [u + w(c-u)]/w = c - (1 - 1/w)u$ is bounded by $\|c\| + (1 - 1/w)\|u\|$ for all $w \ge 1$, "
        r"attained where c and u are opposite, and by the sharper $\frac{1}{w}\|c\| + (1 - \frac{1}{w})\|c-u\|$; the plain rule grows like $w\|c-u\|$. $\bar{y}_w$ is c if and only if "
        r"$u = 0$ or $w = 1$, and where $c = u$ it shrinks the image by $1/w$.",
        source="Zhang et al. 2024 (arXiv 2403.08381), section 3.3; the sharper bound is added here",
        assumptions=r"$w \ge 1$. For $0 < w < 1$ the bound fails wherever $c = 0 \ne u$: it is negative there.",
        derivation=r"Divide; the triangle inequality with $1 - 1/w \ge 0$. $\bar{y}_w - c = -(1-1/w)u$ vanishes only at $u = 0$ or $w = 1$. "
        r"The plain rule is $c + (w-1)(c-u)$, and $\bar{y}_w = \frac{1}{w}c + (1-\frac{1}{w})(c-u)$ lies between c and $c - u$. Adding k to all "
        r"images adds k to the plain rule and $k/w$ to $\bar{y}_w$: it depends on what colour is zero.",
        sides={
            "normalised": formula.normalised_guidance,
            "plain": formula.plain_guidance,
            "bound": formula.guidance_bound,
            "segment": formula.guidance_segment_bound,
        },
        checks=(
            Check(
                "symbolic",
                "whole: identities, both bounds by Cauchy and Schwarz, where ȳ_w is c; vectors of any dimension",
                c_symbolic.guidance,
                whole=True,
            ),
            Check("exact", "the rule and its special cases, six weights", _c8_rule),
            Check("exact", "the bound and the growth of the plain rule, six weights", _c8_bound),
        ),
        false_twins={
            r"$c - u/w$": {"normalised": lambda c, u, w: c - u / w},
            "the plain rule is bounded too": {"normalised": formula.plain_guidance},
            r"bounded by $\|c\|$": {"bound": lambda c, u, w: c + 0 * u},
            r"$\|c\| + \|u\|/w$": {"bound": lambda c, u, w: c + u / w},
            r"$\|c-u\|$, the limit of large w": {"segment": lambda c, difference, w: difference},
        },
    )
)


# --- C9 --------------------------------------------------------------------------------------------------------------


PREDICTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": lambda x: 0 * x + 0.4,
    "slope": lambda x: 0.4 + 0.3 * x,
    "bent": lambda x: torch.tanh(2 * x) - 0.1,
}
"""Functions of `x_1` on a line."""


def _c9_risk(sides: Sides, _: Context) -> Outcome:
    """`E‖f(x_1) − x_0‖² − tr Σ` for independent `x_1` and `x_0`, by quadrature over `x_1` and the sum over the atoms."""
    x = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    mass = torch.softmax(-x.square() / 2, dim=0)
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        for kind, predictor in PREDICTORS.items():
            value = predictor(x)
            risk = float(mass @ (value[:, None] - law.points[:, 0]).square() @ law.weights) - float(law.cov)
            bias = mass @ value - law.mean[0]
            spread = mass @ (value - mass @ value).square()
            stated = float(sides["excess"](bias.square(), spread))
            outcomes.append(equal(risk, stated, ROUNDING, f"{kind}, {name}"))
    return worst(outcomes)


def _c9_constant(sides: Sides, context: Context) -> Outcome:
    """At `α_1 = 0` the posterior mean is μ at every `x_1`, so `x_1` explains nothing."""
    outcomes = []
    for name, law in with_data(context).items():
        x_1 = 3 * torch.randn(8, law.dim, dtype=torch.float64, generator=context.generator())
        off = float((law.posterior(x_1, 0.0).mean - law.mean).norm(dim=1).max())
        tolerance = float(denoiser_rounding(law, x_1, number(0.0), number(1.0)).max()) + moment_rounding(law) * radius(
            law
        )
        outcomes.append(at_most(off, tolerance, f"E[x_0|x_1] − μ, {name}"))
    for name, law in NAMED.items():
        if law.finite and law.dim == 1:
            mmse = float(line_mmse(law.atoms(), torch.zeros(1, dtype=torch.float64))[0])
            outcomes.append(equal(float(sides["share"](mmse, float(law.cov))), 0.0, 1e-9, f"R² at α = 0, {name}"))
    return worst(outcomes)


def _c9_share(sides: Sides, _: Context) -> Outcome:
    """At SD's last step R² is `Var x̂/Var x_0 = α²λ/(α²λ + σ²)` for Gaussian data: more than half for the brightness."""
    sigma2 = 1 - SD_ALPHA**2
    eigenvalue = float(BRIGHTNESS.cov)
    snr = torch.tensor([SD_ALPHA**2 / sigma2], dtype=torch.float64)
    stated = float(sides["share"](float(gaussian_mmse(BRIGHTNESS, snr)[0]), eigenvalue))
    gain = math.sqrt(eigenvalue) * SD_ALPHA
    expected = gain**2 / float(formula.marginal_var(SD_ALPHA, sigma2**0.5, eigenvalue))
    return equal(stated, expected, ROUNDING, "R² at α = 0.0683, λ = 277")


def _c9_samples(sides: Sides, _: Context) -> Outcome:
    """The end of one ancestral step from `f = μ + κx_1/σ_1`, `κ² = λ`, against that from μ: `N(αμ, α²λ + σ²)` and `N(αμ, σ²)`."""
    outcomes, schedule = [], Cosine()
    for (name, law), s in itertools.product({"golden": GOLDEN, "9:1": NINE_TO_ONE}.items(), (0.6, 0.9)):
        alpha, sigma, eigenvalue = *map(float, schedule(s)), float(law.cov)
        variances = sigma**2, float(formula.marginal_var(alpha, sigma, eigenvalue))
        from_mean, from_leaning = (
            budget.start_mismatch(law, schedule, s, alpha * float(law.mean), v) for v in variances
        )
        gain, where = float(sides["gain"](formula.snr(alpha, sigma), law.cov[0, 0], torch)), f"{name}, s = {s}"
        outcomes.append(equal(from_mean - from_leaning, gain, ROUNDING, f"nats gained, {where}"))
    return worst(outcomes)


def _c9_symbolic(sides: Sides, _: Context) -> Outcome:
    """`E(f − x_0)²` for independent f and `x_0`, from their first two moments."""
    f1, f2, m1, m2 = sympy.symbols("f_1 f_2 m_1 m_2", real=True)
    risk = f2 - 2 * f1 * m1 + m2
    return identically_zero(risk - (m2 - m1**2) - sides["excess"]((f1 - m1) ** 2, f2 - f1**2), "excess risk")


register(
    Claim(
        id="C9",
        title="Noise carries no information",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"If $\alpha_1 = 0$, $x_1$ is independent of $x_0$: $E[x_0|x_1] = \mu$, the best $\bar{y}_\theta(x_1)$ is constant, and any other "
        r"$f(x_1)$ has the excess squared error $\|E f - \mu\|^2 + tr\,Var f(x_1)$: its dependence on $x_1$ is pure error of a prediction. "
        r"Of samples it need not be: one ancestral step to $s$ from $f = \mu + \sqrt{\lambda}\,x_1/\sigma_1$ ends nearer to $q_s$ in KL than one "
        r"from $\mu$, by $\tfrac{1}{2}(\gamma_s\lambda - \log(1 + \gamma_s\lambda))$ nats along each eigenvector. At Stable "
        r"Diffusion's $\alpha = 0.068$ this is not so: $R^2 = 1 - mmse(\gamma)/tr\,\Sigma$ is 0.56 for a mode of variance 277.",
        source="derived on its page; the excess in closed form and what it does to samples are added here",
        assumptions=r"$\alpha_1 = 0$, $\sigma_1 > 0$; finite second moments of the data and of $f(x_1)$; everything given the condition c.",
        derivation=r"$x_1 = \sigma_1 n$ with n independent of $x_0$. $E\|f - x_0\|^2 = E\|f - E f\|^2 + \|E f - \mu\|^2 + tr\,\Sigma$, for f and "
        r"$x_0$ are independent. Samples: at $\alpha_1 = 0$ the step is $x_s = \alpha f(x_1) + \sigma n$ (A5), and f's variance makes its end the "
        r"Gaussian with the moments of $q_s$, so that the gain is B5's; B8, a bound on paths, charges $\tfrac{1}{2}\gamma_s\lambda$ for it instead.",
        sides={
            "excess": formula.dependence_excess,
            "share": formula.explained_share,
            "gain": formula.kl_gauss_term,
        },
        checks=(
            Check("symbolic", "the excess risk of independent variables", _c9_symbolic),
            Check("quadrature", "the excess risk of three predictors, golden and 9:1", _c9_risk),
            Check("exact", "the posterior mean does not depend on x_1: five laws and the data", _c9_constant),
            Check("exact", "R² at Stable Diffusion's last step, Gaussian data", _c9_share),
            Check("quadrature", "KL of the ends of two predictors from q_s, golden and 9:1", _c9_samples),
        ),
        false_twins={
            r"the dependence costs nothing": {"excess": lambda bias2, var: bias2 + 0 * var},
            r"no information at $\alpha = 0.0683$ either": {"share": lambda mmse, trace: 0 * mmse},
            "it is pure error of samples too: nothing gained": {"gain": lambda snr, eigenvalue, xp: 0.0},
            r"$R^2 = mmse/tr\,\Sigma$": {"share": lambda mmse, trace: mmse / trace},
        },
    )
)

r"""Claim F11: what one step keeps of the spread of any law.

Used beyond the algebra: `x_0 − x̂` has no covariance with any function of `x_t`, its variance is the mean of the posterior's, fresh noise is independent of
the rest, Cauchy's and Schwarz's inequality, that `W_2` of projections is at most `W_2`, that the flow exists (C3, D5), Taylor's formula and Minkowski's
inequality.
"""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import sympy
import torch
from flint import arb
from torch import Tensor

from proofs_checks.claims.f.f4_f5_f7_ends import line_w2
from proofs_checks.claims.f.f11_w2 import LINES, STEPS, any_step, noised, small_steps, two_points
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_least, at_most, equal, identically_zero, worst
from proofs_checks.instances.laws import TRI
from proofs_checks.measurements.certificates import outcome
from singtheory import Atoms, certify, formula, schedule_named
from singtheory.certify import Box
from singtheory.formula import symbolic
from singtheory.sampler import DDIM, exact_denoiser

NAMES = symbolic.NAMESPACE
QUICK: Box = ((Fraction(2), Fraction(9, 4)), (Fraction(2, 5), Fraction(1, 2)))
"""A box of `(e², p)`: two points e apart in units of the noise, with weights p and 1 − p; for a quick run."""
WHOLE: Box = ((Fraction(1), Fraction(36)), (Fraction(1, 10), Fraction(1, 2)))
_MOMENTS = sympy.symbols("alpha_t sigma_t alpha_s k lam m sigma_eta", positive=True)
"""k² + σ_η² = σ_s²; m is the mean of the posterior's variance along u."""


@cache
def _f11_moments() -> dict[str, Any]:
    """Variances along u, in symbols: of `x_s`, of a step, of `x_s` less it, of `x̂ − kx_t`, and Cov(r, x_t), which is 0; once for the claim and all its twins.

    Second moments of `x̂`, of `r = x_0 − x̂` and of the two noises, along one direction; r has no covariance with x̂ and `x_t`.
    """
    a_t, s_t, a_s, k, lam, m, fresh = _MOMENTS
    x_hat, rest, noise, new = vectors = sympy.symbols("xhat r n w", real=True)
    crossed = a_t * m / s_t  # Cov(x̂, n) = −Cov(r, n), for x_0 and n have none, and r and x_t have none
    gram = sympy.Matrix([[lam - m, 0, crossed, 0], [0, m, -crossed, 0], [crossed, -crossed, 1, 0], [0, 0, 0, 1]])

    def covariance(x: Any, y: Any) -> Any:
        return symbolic.inner(x, y, vectors, gram)

    x_0 = x_hat + rest
    x_t = a_t * x_0 + s_t * noise
    x_s = a_s * x_0 + k * noise + fresh * new  # σ_s² = k² + σ_η²
    step = formula.ddim_mean(x_hat, formula.epsilon_of(x_t, x_hat, a_t, s_t), a_s, k) + fresh * new
    linear = x_hat - formula.posterior_slope(a_t, s_t, lam) * x_t
    return {
        "rest": covariance(rest, x_t),
        "x_s": covariance(x_s, x_s),
        "step": covariance(step, step),
        "apart": covariance(x_s - step, x_s - step),
        "linear": covariance(linear, linear),
    }


def _f11_symbolic(sides: Sides, _: Context) -> Outcome:
    """What a step keeps and loses, from second moments along one direction, and both first bounds of W₂."""
    a_t, s_t, a_s, k, lam, m, fresh = _MOMENTS
    var_of = _f11_moments()
    weight, v_s = sides["weight"](a_t, s_t, a_s, k), var_of["x_s"]
    lost, most = sides["lost"](weight, m), sides["most"](formula.snr(a_t, s_t), lam)
    var, share, rho = sympy.symbols("V c rho", positive=True)
    apart = sides["apart"](var, var * (1 - share**2), NAMES)
    gaussian = v_s * formula.step_kept(a_t, s_t, a_s, k, lam, NAMES) ** 2  # of DDIM(0)
    any_eta = v_s * formula.kept_var_after(1, a_t, a_s, s_t, sympy.sqrt(k**2 + fresh**2), fresh**2, k, lam)
    z = sympy.Symbol("sigma_s", positive=True)
    residuals = {
        "the rest knows nothing of x_t": var_of["rest"],
        "variance of x_s": v_s - formula.marginal_var(a_s, sympy.sqrt(k**2 + fresh**2), lam),
        "what the step loses": v_s - var_of["step"] - lost,
        "the coupling by x_0 and the noises": var_of["apart"] - lost,
        "mmse below the linear one": most - m - var_of["linear"],
        "Gaussian data keep F1's cosine": (v_s - sides["lost"](weight, most) - gaussian).subs(fresh, 0),
        "Gaussian data keep F9's share": v_s - sides["lost"](weight, most) - any_eta,
        "W₂ of Gaussians": apart - var * (1 - share) ** 2,
        "any coupling, ρ its correlation": var * (1 + share**2 - 2 * rho * share) - apart - 2 * (1 - rho) * var * share,
        "η = 1": weight.subs(k, formula.bridge_a(a_t, s_t, a_s, z) * s_t) - formula.bridge_b(a_t, s_t, a_s, z),
    }
    return worst(identically_zero(_cancelled(residual), where) for where, residual in residuals.items())


@cache
def _cancelled(residual: Any) -> Any:
    """Once for the claim and all its twins, which share most of them."""
    return sympy.cancel(sympy.expand(residual))


def _f11_rate(sides: Sides, _: Context) -> Outcome:
    """The bound of W₂ of DDIM(0): the rate of x̂ along u from the posterior's weights, where a step ends beside the flow, and the integral for Gaussian data."""
    root, lam, a_t, s_t, a_s, s_s = sympy.symbols("rho lam alpha_t sigma_t alpha_s sigma_s", positive=True)
    z, other, x_hat, other_hat, r, w = sympy.symbols("z_u z_w x_u x_w r_u r_w", real=True)
    var, mixed, cube, square = sympy.symbols("C_uu C_uw k_uuu k_uww", real=True)
    # the weight of x_0 = x̂ + r is exp(ρ⟨x_0, z⟩ − ρ²|x_0|²/2), and the flow moves z by x̂; w stands for each direction beside u
    exponent = (
        root * ((x_hat + r) * z + (other_hat + w) * other) - root**2 * ((x_hat + r) ** 2 + (other_hat + w) ** 2) / 2
    )
    moved = root * (x_hat**2 + x_hat * r + other_hat**2 + other_hat * w)  # of the first term, ρ⟨x_0, dz/dρ⟩
    fixed = exponent.subs(root, sympy.Symbol("q")).diff(sympy.Symbol("q")).subs(sympy.Symbol("q"), root)
    moments: dict[tuple[int, ...], Any] = {
        (2, 0): var,
        (1, 1): mixed,
        (3, 0): cube,
        (1, 2): square,
    }  # of r and w; the first are zero
    product = sympy.Poly(sympy.expand(r * (fixed + moved)), r, w)
    rate = sum(c * moments.get(powers, 0) for powers, c in product.terms())
    claimed = sides["rate"](var, cube + square, z, x_hat, root) + sides["rate"](mixed, 0, other, other_hat, root)
    lag = sides["lag"](root, a_s, s_s)
    straight = formula.ddim_mean(x_hat, formula.epsilon_of(s_t * z, x_hat, a_t, s_t), a_s, s_s)
    posterior = formula.posterior_slope(root, 1, lam) * z
    gaussian = sides["rate"](formula.gaussian_mmse(root**2, lam), 0, z, posterior, root)
    primitive = (a_s * root * lam + s_s) / sympy.sqrt(1 + root**2 * lam)
    v_s = formula.marginal_var(a_s, s_s, lam)
    kept = sympy.sqrt(v_s) * formula.step_kept(a_t, s_t, a_s, s_s, lam, NAMES)
    rms = formula.gaussian_guess_rate(root**2, lam, NAMES)
    residuals = {
        "the rate of x̂ along u": rate - claimed,
        "by parts: the rest of a step": sympy.diff(lag, root) + s_s,
        "nothing is left at the end": lag.subs(root, a_s / s_s),
        "a step goes straight on": lag.subs(root, a_t / s_t) * x_hat + s_s * z - straight,
        "the rate for Gaussian data": gaussian**2 / z**2 * (1 + root**2 * lam) - rms**2,
        "its integral": sympy.diff(primitive, root) - lag * rms,
        "from √v_s": primitive.subs(root, a_s / s_s) - sympy.sqrt(v_s),
        "to what a step keeps of it": primitive.subs(root, a_t / s_t) - kept,
    }
    return worst(identically_zero(_expanded(residual), where) for where, residual in residuals.items())


@cache
def _expanded(residual: Any) -> Any:
    """Once, likewise."""
    return sympy.expand(residual)


def _f11_two_points(sides: Sides, context: Context) -> Outcome:
    """Two points at distance one: mmse falls with γ and grows with p ≤ ½, the linear one falls with γ and grows with the variance; so corners decide."""

    def margin(box: Box) -> arb:
        (low, high), (rare, even) = box
        variance = certify.ball(rare) * (1 - certify.ball(rare))
        return (sides["most"](certify.ball(high), variance) - certify.mmse(low, even)) / variance

    box = WHOLE if context.full else QUICK
    with certify.precision():
        return outcome(certify.certify(margin, box, margin), box)


def _steps() -> Iterator[tuple[str, float, tuple[float, float, float, float, float]]]:
    """Name, γ_t and `(α_t, σ_t, α_s, √(σ_s² − σ_η²), σ_η²)` of steps of two schedules at three η."""
    for name, (t, s), eta in itertools.product(("rectified-flow", "cosine"), STEPS, (0.0, 0.5, 1.0)):
        schedule = schedule_named(name)
        a_t, s_t, a_s, s_s = (float(f(u)) for u in (t, s) for f in (schedule.alpha, schedule.sigma))
        fresh = formula.bridge_var(a_t, s_t, a_s, s_s)
        kept = formula.ddim_kept_var(eta, formula.bridge_a(a_t, s_t, a_s, s_s), fresh, s_t) ** 0.5
        coefficients = (a_t, s_t, a_s, kept, formula.ddim_noise_var(eta, fresh))
        yield f"{name}, {t:g} to {s:g}, η = {eta:g}", formula.snr(a_t, s_t), coefficients


def _along(law: Atoms, snr: float, u: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Along a unit vector u: probabilities of the nodes, z, `x̂`, and `m = E Var(⟨u, x_0⟩|z)`."""
    z, mass, weights = noised(law, snr)
    points = (law.points - law.mean) @ u
    x_hat = weights @ points
    mmse = float(mass @ (weights @ points.square() - x_hat.square()))
    return mass, (z - snr**0.5 * law.mean) @ u, x_hat, mmse


def _f11_laws(sides: Sides, _: Context) -> Outcome:
    """Atoms on a line and in the plane, along the eigenvectors of their covariance: the variance after a step, beside what F9 says for Gaussian data."""
    return worst(_variances_after(sides))


def _variances_after(sides: Sides) -> Iterator[Outcome]:
    for law_name, law in (LINES | {"three atoms in the plane": TRI}).items():
        values, basis = torch.linalg.eigh(law.cov)
        for (name, snr, (a_t, s_t, a_s, kept, fresh)), (lam, u) in itertools.product(
            _steps(), zip(values, basis.mT, strict=True)
        ):
            mass, z, x_hat, mmse = _along(law, snr, u)
            step = formula.ddim_mean(x_hat, formula.epsilon_of(s_t * z, x_hat, a_t, s_t), a_s, kept)
            second_moment = float(mass @ step.square()) + fresh
            v_s = float(a_s**2 * lam + kept**2 + fresh)
            lost = float(sides["lost"](sides["weight"](a_t, s_t, a_s, kept), mmse))
            where = f"{law_name}, λ = {float(lam):.3g}, {name}"
            yield equal(second_moment, v_s - lost, 1e-12, where)
            yield at_most(mmse, float(sides["most"](snr, lam)), where, slack=1e-12)


def _f11_last_step(sides: Sides, _: Context) -> Outcome:
    """W₂ of DDIM's last step, to s = 0, from atoms on a line, between both bounds."""
    return worst(_last_steps(sides))


def _last_steps(sides: Sides) -> Iterator[Outcome]:
    schedule = schedule_named("rectified-flow")
    for (name, law), t in itertools.product(LINES.items(), (0.8, 0.5, 0.35)):
        snr, sigma, squared = float(schedule.snr(t)), schedule.sigma(t), _last_step_w2(law, t)
        mmse = _along(law, snr, torch.ones(1, dtype=torch.float64))[-1]
        lost = float(sides["lost"](sides["weight"](float(schedule.alpha(t)), float(sigma), 1.0, 0.0), mmse))
        low = float(sides["apart"](law.cov[0, 0], torch.tensor(lost, dtype=torch.float64), torch))
        # the cuts between atoms carry roundings of the distribution function, each worth D²
        rounding = 8 * torch.finfo(torch.float64).eps * law.diameter**2
        where = f"{name}, t = {t:g}"
        yield at_most(squared, lost, where, slack=rounding)
        yield at_least(squared, low, where, slack=rounding)


@cache
def _last_step_w2(law: Atoms, t: float) -> float:
    """`W₂²` from the data of DDIM's step from t to 0 on rectified flow, once for the claim and all its twins."""
    schedule = schedule_named("rectified-flow")
    sampler, denoiser, sigma = DDIM(schedule), exact_denoiser(law, schedule), schedule.sigma(t)
    return line_w2(law, lambda z: sampler.step(denoiser, sigma * z, t, 0.0), float(schedule.snr(t)))


register(
    Claim(
        id="F11",
        title="One step of any law",
        statement=r"A step of DDIM(η) from the right law of $x_t$, any law of $x_0$, any unit vector $u$: $\lambda = Var\langle u, x_0\rangle$, $m = E\,Var(\langle u, x_0\rangle|x_t)$, "
        r"$v = \alpha^2\lambda + \sigma^2$, $B = \alpha_s - \alpha_t\sqrt{\sigma_s^2 - \sigma_\eta^2}/\sigma_t$. Along $u$ its variance is $v_s - B^2m$, and $m = \frac{\lambda}{1+\gamma_t\lambda} - Var(\langle u, \hat{x}\rangle - k\langle u, x_t\rangle)$, "
        r"$k = \alpha_t\lambda/v_t$: a step keeps at least what F1 and F9 say, with equality only where $\hat{x}$ is linear along $u$, as for Gaussian data. From the law of $x_s$ it is "
        r"$\sqrt{v_s} - \sqrt{v_s - B^2m} \le W_2 \le |B|\sqrt{mmse(\gamma_t)}$, and for $\eta = 0$ along $u$ "
        r"$W_2 \le \int_{\sqrt{\gamma_t}}^{\sqrt{\gamma_s}}(\alpha_s - \rho\sigma_s)\sqrt{E a_\rho^2}\,d\rho$, $z = \rho x_0 + n$, $r = x_0 - \hat{x}$, "
        r"$a_\rho = \langle u, C(z - \rho\hat{x})\rangle - \rho E[\langle u, r\rangle\|r\|^2|z]$, $C$ the posterior's covariance. The first and the last are equalities for Gaussian data, $u$ an eigenvector.",
        source="derived on its page",
        assumptions=r"Finite second moments, for the last bound bounded support or Gaussian data, the exact denoiser, $0 \le s < t \le 1$, $\sigma_t > 0$, fresh noise independent of $x_t$; one step, from the right law.",
        derivation=r"$x_0 = \hat{x} + r$, and $r$ has no covariance with $x_t$ and $\hat{x}$. The step is $(\sqrt{\sigma_s^2 - \sigma_\eta^2}/\sigma_t)x_t + B\hat{x} + \sigma_\eta w$; with $x_0$ for $\hat{x}$ it has the law of $x_s$, "
        r"so $x_s$ is the step and $Br$, which has no covariance with it. $kx_t$ is the best linear guess of $x_0$, off by $\lambda/(1+\gamma\lambda)$, and $\hat{x}$ is better by the "
        r"variance of what lies between. $Br$ is a coupling; no coupling brings two standard deviations nearer than their difference. For $\eta = 0$ the flow is $dz/d\rho = \hat{x}$, the step goes straight on, and by Taylor's formula the two end "
        r"$\int(\alpha_s - \rho\sigma_s)\frac{d\hat{x}}{d\rho}d\rho$ apart; $a_\rho$ is that rate along $u$, and Minkowski's inequality gives the bound. On a line both maps increase, so it is $W_2$ in leading order of small steps.",
        sides={
            "weight": formula.denoiser_weight,
            "lost": formula.step_lost_var,
            "most": formula.gaussian_mmse,
            "apart": formula.step_w2_low,
            "rate": formula.guess_rate,
            "lag": lambda root, alpha_s, sigma_s: formula.denoiser_weight(root, 1, alpha_s, sigma_s),
        },
        checks=(
            Check(
                "symbolic",
                "whole: second moments along u, all bounds in W₂, equality for Gaussian data, every η",
                lambda sides, context: worst(check(sides, context) for check in (_f11_symbolic, _f11_rate)),
                whole=True,
            ),
            Check("interval", "mmse at most λ/(1 + γλ): every law on two points, (e², p) in a box", _f11_two_points),
            Check(
                "quadrature",
                "the variance after a step: four laws on a line and in the plane, two schedules, three η",
                _f11_laws,
            ),
            Check(
                "quadrature", "W₂ of the last step between the first two bounds: three laws on a line", _f11_last_step
            ),
            Check(
                "interval",
                "W₂ of the last step below the last bound: every law on two points, (e², p) in a box",
                two_points,
            ),
            Check("quadrature", "W₂ below the last bound: three steps of three laws on a line", any_step),
            Check("quadrature", "the last bound beside W₂ for small steps: the order of what is between", small_steps),
        ),
        false_twins={
            r"it loses $B^2m^2$": {"lost": lambda weight, mmse: (weight * mmse) ** 2},
            r"it loses $Bm$": {"lost": lambda weight, mmse: weight * mmse},
            r"$B$ of the bridge at every η": {"weight": formula.bridge_b},
            r"Gaussian data lose less: $m \le \lambda/(1+2\gamma\lambda)$": {
                "most": lambda snr, lam: formula.gaussian_mmse(2 * snr, lam)
            },
            r"$\hat{x}$ moves as if its error were symmetric: $a = C(z - \rho\hat{x})$": {
                "rate": lambda var, third, z, x_hat, root: formula.guess_rate(var, 0 * third, z, x_hat, root)
            },
            r"all of the way counts: $\alpha_s\sqrt{E a^2}$": {
                "lag": lambda root, alpha_s, sigma_s: alpha_s + 0 * root
            },
            r"$W_2 \ge B^2m/2\sqrt{v_s}$ for Gaussian data with equality": {
                "apart": lambda var, lost, xp: lost**2 / (4 * var)
            },
        },
    )
)

"""Claims F4, F5 and F7: what may be corrected at the two ends, in spread and in nats."""

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_least, at_most, equal, identically_zero, worst
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, SIGNS, TRI
from proofs_checks.measurements.toy_steps import SMALL_GAPS, kl_of, moment_kl_of, prior_posterior
from singtheory import Atoms, bound, formula
from singtheory.formula import symbolic
from singtheory.mmse import line_mmse

NAMES = symbolic.NAMESPACE
_GAPS, _LARGE = (SMALL_GAPS[-1], 0.3, 2.0), (5.0,)
"""γ at which matching is measured, the last on lines alone; those in the plane are measured for B6 and B7 too."""
_LAST_SNR = (20.0, 60.0, 200.0)
"""Where sampling makes its last step: the atoms are told apart, mmse is below 1e-2 and falls exponentially."""
_SKEWED = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "three atoms in the plane": TRI}
_LINES = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "±1": SIGNS}


def line_w2(law: Atoms, denoised: Callable[[Tensor], Tensor], snr: float) -> float:
    """`W₂²(law of f(z), law)` on a line for an increasing f of `z ~ Σ w_i N(√γ y_i, 1)`, by quantiles.

    Args:
        law: atoms on a line.
        denoised: f, maps z (n, 1) to (n, 1).
        snr: γ.
    """
    order = law.points[:, 0].argsort()
    points, weights = law.points[order, 0], law.weights[order]
    centres = snr**0.5 * points
    edges = torch.stack([centres - 9, centres + 9]).flatten()
    cuts = quantiles(centres, weights, weights.cumsum(0)[:-1])
    nodes, rule = pieces(torch.cat([edges, centres, cuts]))
    density = (weights * torch.exp(-((nodes[:, None] - centres) ** 2) / 2)).sum(dim=1) / (2 * np.pi) ** 0.5
    taken = points[torch.bucketize(nodes, cuts)]
    return float(rule @ (density * (denoised(nodes[:, None])[:, 0] - taken) ** 2))


def quantiles(centres: Tensor, weights: Tensor, levels: Tensor) -> Tensor:
    """z at which the distribution function of `Σ w_i N(c_i, 1)` reaches each level, by halving."""
    low, high = torch.full_like(levels, float(centres.min()) - 40), torch.full_like(levels, float(centres.max()) + 40)
    for _ in range(80):
        middle = (low + high) / 2
        if bool(((middle == low) | (middle == high)).all()):  # float64 has nothing between them
            break
        below = (weights * normal_below(middle[:, None] - centres)).sum(dim=1) < levels
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def normal_below(x: Tensor) -> Tensor:
    """Φ(x), to its last digits in the lower tail too."""
    return torch.special.erfc(-x / 2**0.5) / 2


def pieces(edges: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss and Legendre's rule, in pieces of at most ½ between the edges."""
    fine = torch.cat([edges, torch.arange(float(edges.min()), float(edges.max()), 0.5, dtype=torch.float64)]).unique()
    x, w = (torch.as_tensor(v) for v in np.polynomial.legendre.leggauss(16))
    half = fine.diff()[:, None] / 2
    return (fine[:-1, None] + half * (x + 1)).flatten(), (half * w).flatten()


def _f4_first(sides: Sides, _: Context) -> Outcome:
    """KL of the noised data from the first step with its mean and covariance matched, less its leading order, on skewed laws."""

    def order(name: str, law: Atoms) -> Outcome:
        skewness2 = float(bound.skewness2(prior_posterior(law)))
        return vanishes_at_rate(
            lambda gap: sides["first"](law, gap) - sides["left"](gap, skewness2), SMALL_GAPS, 4.0, name
        )

    return worst(order(name, law) for name, law in _SKEWED.items())


def _f4_last(sides: Sides, _: Context) -> Outcome:
    """The last step on atoms of a line, beside D3's bound."""

    def last(name: str, law: Atoms, snr: float) -> Outcome:
        eigenvalue = float(law.cov[0, 0])
        off = line_w2(law, lambda z: sides["last"](law.posterior(z, snr).mean, law.mean, snr, eigenvalue), snr)
        return at_most(off, _mmse(law, snr) * (1 + 1e-9) + _cut_rounding(law), f"{name}, γ = {snr:g}")

    return worst(last(name, law, snr) for (name, law), snr in itertools.product(_LINES.items(), _LAST_SNR))


@cache
def _mmse(law: Atoms, snr: float) -> float:
    return float(line_mmse(law, torch.tensor([snr], dtype=torch.float64))[0])


def _cut_rounding(law: Atoms) -> float:
    """The rounding of `line_w2`: the cuts between atoms carry roundings of the distribution function, each worth D²."""
    return 8 * torch.finfo(torch.float64).eps * law.diameter**2


def _f4_inherent(sides: Sides, _: Context) -> Outcome:
    """The last step divided by its cosine on atoms of a line, beside what it is off at least, and at most: both meet as the mmse vanishes.

    The points scaled by c are `√λ(c − 1)` from the points, and the step's law is at most `c√m` from the scaled points, so `W₂` is that far from `√λ(c − 1)` either way.
    """
    return worst(
        outcome
        for (name, law), snr in itertools.product(_LINES.items(), _LAST_SNR)
        for outcome in _either_side(sides, name, law, snr)
    )


def _either_side(sides: Sides, name: str, law: Atoms, snr: float) -> Iterator[Outcome]:
    mmse, rounding = torch.tensor(_mmse(law, snr), dtype=torch.float64), _cut_rounding(law)
    middle, low = (float(sides["inherent"](snr, law.cov[0, 0], m, torch)) for m in (torch.zeros_like(mmse), mmse))
    w2, where = _corrected_w2(law, snr), f"{name}, γ = {snr:g}"
    yield at_least(w2 * (1 + 1e-9) + rounding, max(0.0, low) ** 2, where)
    yield at_most(w2, (2 * middle - low) ** 2 * (1 + 1e-9) + rounding, where)


@cache
def _corrected_w2(law: Atoms, snr: float) -> float:
    eigenvalue = float(law.cov[0, 0])
    return line_w2(law, lambda z: _corrected(law.posterior(z, snr).mean, law.mean, snr, eigenvalue), snr)


def _matched_kl(law: Atoms, gap: float) -> float:
    return moment_kl_of(prior_posterior(law), gap)


def _corrected(x_hat: Tensor, mean: Tensor, snr: float, eigenvalue: float) -> Tensor:
    """The last step divided by its cosine, `sin θ = √(γλ/(1 + γλ))`."""
    return mean + (x_hat - mean) * ((1 + snr * eigenvalue) / (snr * eigenvalue)) ** 0.5


register(
    Claim(
        id="F4",
        title="The mirror is broken by the data",
        constant=r"$\tfrac{1}{12}$, exact as a limit.",
        statement=r"Matching mean and covariance after the first step from $\alpha_1 = 0$, which is dividing it by its cosine, leaves $\frac{\gamma_s^3}{12}\|\kappa\|^2 + O(\gamma_s^4)$ nats for every law of bounded support: "
        r"that end is removable. The last step $\hat{x}$ of DDIM(0) has $W_2^2 \le mmse(\gamma)$, exponentially small for atoms, while divided by its cosine "
        r"$\sqrt{\gamma\lambda/(1+\gamma\lambda)}$ it is off by $W_2 \ge \sqrt\lambda\,(\sqrt{1 + 1/\gamma\lambda} - 1) - \sqrt{1 + 1/\gamma\lambda}\,\sqrt{mmse(\gamma)}$, which falls like $1/\gamma$ alone: "
        r"that end is inherent.",
        source="derived on its page, from C5, B6 and D3",
        assumptions=r"Bounded support for the first part; atoms on a line for the second.",
        derivation=r"The first part is B6's order for the posterior at $\gamma = 0$, which is the law itself (C5). For the second, with $c = \sqrt{1 + 1/\gamma\lambda}$ the end is "
        r"$\mu + c(\hat{x} - \mu)$; $W_2$ from $\mu + c(x_0 - \mu)$ is at most $c\sqrt{mmse}$ in the coupling by $x_t$, and that law is $(c - 1)\sqrt\lambda$ from the data, "
        r"for on a line the increasing map is optimal. The triangle inequality gives the bound.",
        sides={
            "first": _matched_kl,
            "left": formula.kl_moment_small_gap,
            "last": lambda x_hat, mean, snr, eigenvalue: x_hat,
            "inherent": formula.corrected_end_low,
        },
        checks=(
            Check("quadrature", "the first step matched: order of the rest in γ, three skewed laws", _f4_first),
            Check("quadrature", "the last step: W₂² beside mmse on three laws", _f4_last),
            Check("quadrature", "the last step divided by its cosine: W₂ beside its least on three laws", _f4_inherent),
        ),
        false_twins={
            "the last step may be corrected for atoms too": {"last": _corrected},
            r"divided by its cosine it is off by $\sqrt\lambda/\gamma\lambda$": {
                "inherent": lambda snr, eigenvalue, mmse, xp: 1 / (snr * xp.sqrt(eigenvalue)) - xp.sqrt(mmse)
            },
            "the mean alone leaves no more": {"first": lambda law, gap: kl_of(prior_posterior(law), gap)},
            r"matched, $\frac{\gamma^3}{6}\|\kappa\|^2$ is left": {
                "left": lambda gap, skewness2: 2 * formula.kl_moment_small_gap(gap, skewness2)
            },
        },
    )
)


def _gaussian_kl(mean: Any, var: Any, other_mean: Any, other_var: Any) -> Any:
    """`KL(N(mean, var)‖N(other_mean, other_var))` on a line."""
    return ((var + (mean - other_mean) ** 2) / other_var - 1 - sympy.log(var / other_var)) / 2


def _f5_symbolic(sides: Sides, _: Context) -> Outcome:
    """Gaussian data: KL of data from the start at s, and of where the flow takes both."""
    lam, alpha, sigma, var = sympy.symbols("lam a s v", positive=True)
    mean, start = sympy.symbols("mu m", real=True)
    there = formula.marginal_var(alpha, sigma, lam)
    here = _gaussian_kl(alpha * mean, there, start, var)
    end_mean = formula.flow_end_mean(mean, lam, start, alpha, sigma, NAMES)
    end = _gaussian_kl(mean, lam, end_mean, formula.flow_end_var(lam, var, alpha, sigma))
    gain = here.subs({start: alpha * mean, var: sigma**2}) - here.subs({start: alpha * mean, var: there})
    snr = formula.snr(alpha, sigma)
    residuals = {
        "unreduced": sides["carried"](here, alpha, sigma, lam) - end,
        "gain along one direction": _logs_apart(gain - sides["gain"](snr, lam, NAMES)),
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _logs_apart(expression: sympy.Expr) -> sympy.Expr:
    """With the logarithm of each quotient, of a positive number, as a difference."""
    return sympy.expand_log(expression.replace(sympy.log, lambda x: sympy.log(sympy.together(x))), force=True)


def _f5_laws(sides: Sides, _: Context) -> Outcome:
    """Any law: what matching all directions takes away is the same sum, whatever is left."""

    def split(name: str, law: Atoms, gap: float) -> Outcome:
        plain, matched = (kl(prior_posterior(law), gap) for kl in (kl_of, moment_kl_of))
        gain = float(sides["gain"](gap, torch.linalg.eigvalsh(law.cov), torch).sum())
        return equal(plain - matched, gain, 1e-8, f"{name}, γ = {gap:g}")

    return worst(
        split(name, law, gap) for name, law in _SKEWED.items() for gap in (*_GAPS, *(_LARGE if law.dim == 1 else ()))
    )


register(
    Claim(
        id="F5",
        title="The first step in nats",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"The first step leaves $KL(q_s\|N(\alpha_s\mu, \sigma_s^2I)) = \frac12\int_0^{\gamma_s}(mmse(0) - mmse(\gamma))d\gamma$ (C5). The exact flow carries it to the end unreduced. "
        r"Matching the direction of eigenvalue $\lambda_i$ takes $\frac12(\gamma_s\lambda_i - \log(1 + \gamma_s\lambda_i))$ of it away, whatever the law.",
        source="derived on its page, from B5 and C5",
        assumptions=r"Finite second moments, $0 < s < 1$ with $\sigma_s > 0$; the flow's map from s to any later time is a diffeomorphism (C3, D5).",
        derivation=r"KL does not change under a map that has an inverse. By B5 the KL from a Gaussian of the law's own mean splits into that of the Gaussian with its moments and "
        r"the rest; the first is the sum over eigenvalues.",
        sides={"carried": lambda kl, alpha, sigma, lam: kl, "gain": formula.kl_gauss_term},
        checks=(
            Check("symbolic", "Gaussian data, one direction: KL at s and at the end, and the gain", _f5_symbolic),
            Check("quadrature", "the gain on three laws, γ from 0.024 to 5", _f5_laws),
        ),
        false_twins={
            "the flow loses part of it later": {
                "carried": lambda kl, alpha, sigma, lam: kl * sigma**2 / formula.marginal_var(alpha, sigma, lam)
            },
            r"$\frac12\log(1 + \gamma\lambda)$": {"gain": lambda snr, lam, xp: xp.log1p(snr * lam) / 2},
            r"without the $\frac12$": {"gain": lambda snr, lam, xp: snr * lam - xp.log1p(snr * lam)},
        },
    )
)


def _f7_symbolic(sides: Sides, _: Context) -> Outcome:
    """One coordinate of any law, by its two moments: the log densities of both starts under the noised data; d = 1."""
    alpha, sigma, lam = sympy.symbols("a s lam", positive=True)
    mean, guess = sympy.symbols("mu muhat", real=True)
    first = alpha * mean
    second = alpha**2 * (mean**2 + lam) + sigma**2
    cost = symbolic.expected_log_normal(alpha * guess, sigma**2, first, second) - symbolic.expected_log_normal(
        sympy.Integer(0), sympy.Integer(1), first, second
    )
    claimed = sides["cost"](alpha, sigma, mean**2, (mean - guess) ** 2, lam, 1, NAMES)
    return identically_zero(sympy.expand_log(sympy.expand(cost - claimed), force=True), "one coordinate; they add up")


def _f7_sign(sides: Sides, context: Context) -> Outcome:
    """Gaussians in five dimensions: the difference of the two KL, with good and with bad estimates of the mean."""
    generator, outcomes = context.generator(), []
    for scale in (0.0, 0.3, 3.0):
        mean, error, lam = torch.randn(3, 5, dtype=torch.float64, generator=generator)
        lam = lam.square()
        alpha, sigma = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
        var = formula.marginal_var(alpha, sigma, lam)
        near = torch.distributions.Normal(alpha * (mean + scale * error), sigma)
        kls = [
            float(torch.distributions.kl_divergence(torch.distributions.Normal(alpha * mean, var.sqrt()), other).sum())
            for other in (torch.distributions.Normal(0 * mean, 1 + 0 * mean), near)
        ]
        claimed = sides["cost"](alpha, sigma, mean.square().sum(), (scale * error).square().sum(), lam.sum(), 5, torch)
        outcomes.append(equal(float(claimed), kls[0] - kls[1], 1e-12, f"an estimate {scale:g} off"))
    return worst(outcomes)


register(
    Claim(
        id="F7",
        title="Zero-init",
        constant=r"$\tfrac{1}{2}$, exact.",
        statement=r"Leaving $x_1$ as it is at s (the first velocity set to zero, CFG-Zero*) instead of the mean start with an estimate $\hat\mu$ of the mean costs "
        r"$\frac12\{\alpha^2\|\mu\|^2 - \gamma\|\mu - \hat\mu\|^2 + (\alpha^2 - \gamma)tr\,\Sigma + d(\sigma^2 - 1 - \log\sigma^2)\}$ nats more: it is better where that is "
        r"negative, because $\hat\mu$ is far off, or, even with $\hat\mu = \mu$, because the data are wide (golden law, $\alpha = 0.6$): too wide a start hides some spread.",
        source="derived on its page, for zero-init as in CFG-Zero* (arXiv 2503.18886)",
        assumptions=r"Finite second moments, $0 < s < 1$, $\sigma_s > 0$, $\gamma = \alpha_s^2/\sigma_s^2$.",
        derivation=r"$KL(q_s\|N(0, I)) - KL(q_s\|N(\alpha\hat\mu, \sigma^2I)) = E_{q_s}[\log N(x; \alpha\hat\mu, \sigma^2I) - \log N(x; 0, I)]$, which reads only mean and trace of the covariance of $x_s$.",
        sides={"cost": formula.zero_init_cost},
        checks=(
            Check(
                "symbolic",
                "one coordinate of any law, by its two moments",
                _f7_symbolic,
            ),
            Check("exact", "Gaussians in five dimensions, the mean known, near and far", _f7_sign),
        ),
        false_twins={
            r"as if $\hat\mu = \mu$": {
                "cost": lambda a, s, mean2, error2, trace, dim, xp: formula.zero_init_cost(
                    a, s, mean2, 0 * error2, trace, dim, xp
                )
            },
            r"$\alpha^2\|\mu - \hat\mu\|^2$": {
                "cost": lambda a, s, mean2, error2, trace, dim, xp: formula.zero_init_cost(
                    a, s, mean2, s**2 * error2, trace, dim, xp
                )
            },
            r"without the term of the dimension": {
                "cost": lambda a, s, mean2, error2, trace, dim, xp: formula.zero_init_cost(
                    a, s, mean2, error2, trace, 0, xp
                )
            },
        },
    )
)

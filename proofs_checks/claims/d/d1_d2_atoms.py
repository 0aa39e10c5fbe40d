"""Claims D1 and D2: finite data at t = 0, where the denoiser becomes the nearest point and the score diverges."""

import itertools
import math
from collections.abc import Iterator
from functools import cache

import sympy
import torch
from scipy.special import chdtri
from torch import Tensor

from proofs_checks.claims.d import d_symbolic
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, equal, identically_zero, no_instance, worst, worst_or_none
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE, SIGNS, TRI
from proofs_checks.instances.near_ends import TILTED, number
from proofs_checks.instances.scales import EPS, RESOLVED, denoiser_rounding, distinct, log_weight_rounding, radius
from proofs_checks.measurements.certificates import nearest_point
from singtheory import Atoms, Cosine, Law, RectifiedFlow, Schedule, formula, limit, numerics
from singtheory.estimate import Estimate, mean_interval
from singtheory.law import AtomsPosterior

FINITE = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "tri": TRI}
SCHEDULES: dict[str, Schedule] = {"cosine": Cosine(), "rectified flow": RectifiedFlow()}


def neighbours(law: Atoms, count: int = 3) -> Iterator[tuple[int, int]]:
    """Some atoms, each with the nearest atom at another place: no third is as near to the middle between them."""
    for i in torch.linspace(0, len(law.points) - 1, min(count, len(law.points))).long().tolist():
        apart = distinct(law, i)
        if law.weights[i] > 0 and bool(apart.any()):
            distance = (law.points - law.points[i]).norm(dim=1)
            yield i, int(distance.masked_fill(~apart, torch.inf).argmin())


def finite_laws(context: Context) -> dict[str, Atoms]:
    """The named finite laws and the data."""
    name, data = excerpt(context)
    return {**FINITE, name: data}


def atoms_posterior(law: Atoms, x: Tensor, alpha: Tensor, sigma: Tensor) -> AtomsPosterior:
    """The posterior of `x_0` at `x_t = x`."""
    return law.posterior(x / sigma, formula.snr(alpha, sigma))


# --- D1 --------------------------------------------------------------------------------------------------------------


def _d1_weight(sides: Sides, context: Context) -> Outcome:
    """Between two neighbours, at a noise that leaves the farther one a good part of the weight."""
    outcomes = []
    for name, law in finite_laws(context).items():
        for (i, j), (kind, schedule) in itertools.product(neighbours(law), SCHEDULES.items()):
            apart2 = float((law.points[i] - law.points[j]).square().sum())
            t = schedule.time_of_snr(500 / apart2)
            alpha, sigma = schedule(t)
            x = alpha * torch.lerp(law.points[i], law.points[j], 0.498)[None]
            about = limit.rivals(law, x, alpha)
            weights = sides["rival"](about.prior_ratios, about.margins, sigma, torch)
            others = weights.sum() - weights[0, about.nearest[0]]
            truth = float(atoms_posterior(law, x, alpha, sigma).weights[0, about.nearest[0]])
            where, tolerance = f"{name}, {kind}, γ = {500 / apart2:.3g}", log_weight_rounding(law, x, alpha, sigma)
            if tolerance > RESOLVED:
                outcomes.append(no_instance(f"{where}: rounding decides which atom is nearer"))
                continue
            outcomes.append(
                equal(float(about.margins.min()), 0.0, 2 * tolerance * float(sigma) ** 2, f"least margin, {where}")
            )
            outcomes.append(equal(float(sides["nearest"](others)), truth, tolerance, where))
            outcomes.append(equal(float(limit.nearest_atom_weight(law, x, alpha, sigma)), truth, tolerance, where))
    return worst(outcomes)


def _d1_denoiser(sides: Sides, context: Context) -> Outcome:
    """A fifth of the way to its neighbour the denoiser is the point, once the bound `S D` on their distance is tiny."""
    outcomes = []
    for name, law in finite_laws(context).items():
        for (i, j), (kind, schedule) in itertools.product(neighbours(law), SCHEDULES.items()):
            apart2 = float((law.points[i] - law.points[j]).square().sum())
            t = schedule.time_of_snr(200 / apart2)
            alpha, sigma = schedule(t)
            x = alpha * torch.lerp(law.points[i], law.points[j], 0.2)[None]
            others = limit.rivals(law, x, alpha)
            weights = sides["rival"](others.prior_ratios, others.margins, sigma, torch)[0]
            nearest = law.points[others.nearest[0]]
            # the weight of a rival is off by the rounding of its log weight
            bound = float(weights @ (law.points - nearest).norm(dim=1)) * (
                1 + log_weight_rounding(law, x, alpha, sigma)
            )
            bound += float(denoiser_rounding(law, x, alpha, sigma))
            off = float((limit.denoiser_direct(law, x, alpha, sigma) - nearest).norm())
            outcomes.append(at_most(off, bound, f"|x̂ − nearest|, {name}, {kind}, γ = {200 / apart2:.3g}"))
    return worst(outcomes)


def _ties(law: Atoms) -> Iterator[tuple[int, int, Tensor]]:
    """Pairs of atoms and a point midway between."""
    for i, j in neighbours(law):
        yield i, j, (law.points[i] + law.points[j])[None] / 2


def _d1_ties(sides: Sides, context: Context) -> Outcome:
    """Log weight ratios at γ = 10⁶: in VP their limit up to `|Δ|(1−α)/4(1+α)`, elsewhere the exact exponent."""
    outcomes = []
    for name, law in {**finite_laws(context), "±1": SIGNS}.items():
        for (i, j, x), (kind, schedule) in itertools.product(_ties(law), SCHEDULES.items()):
            t = schedule.time_of_snr(1e6)
            alpha, sigma = schedule(t)
            tolerance = log_weight_rounding(law, x, alpha, sigma)
            log_prior = float((law.weights[j] / law.weights[i]).log())
            difference = float(law.points[j].square().sum() - law.points[i].square().sum())
            # distances straight from differences: at this σ inner products would lose all digits
            margins = limit.rivals(law, torch.cat([x, alpha * x]), alpha).margins
            fixed, scaled = ((margins[:, i] - margins[:, j]) / (2 * sigma**2) + log_prior).tolist()
            exact = log_prior + float(sides["tie_exponent"](alpha, sigma, difference))
            outcomes.append(equal(fixed, exact, tolerance, f"fixed x, {name}, {kind}"))
            outcomes.append(equal(scaled, log_prior, tolerance, f"x_t = αx, {name}, {kind}"))
            if kind == "cosine":
                tied = sides["tie"](law, [i, j])
                remainder = abs(difference) / 4 * float((1 - alpha) / (1 + alpha))
                where = f"tie at fixed x in VP, {name}"
                # a share moves by a quarter of its log ratio at most; where one is 0 in float64, the ratio has no logarithm
                share = float(torch.sigmoid(number(fixed)))
                outcomes.append(equal(share, float(tied[1]), (tolerance + remainder) / 4, where))
                if float(tied.min()) > 1e-300:
                    outcomes.append(equal(fixed, float((tied[1] / tied[0]).log()), tolerance + remainder, where))
                outcomes.append(equal(float(tied.sum()), 1.0, 4 * EPS, f"sum, {where}"))
    return worst(outcomes)


register(
    Claim(
        id="D1",
        title="The nearest point",
        constant=r"1 before every ratio of weights: exact for the weight, and for the denoiser the best possible as $S \to 0$ (two atoms).",
        statement=r"Atoms $y_i$ with prior weights $w_i$, margins $m_j = \|x-\alpha y_j\|^2 - \|x-\alpha y_{i*}\|^2$: the posterior weight of "
        r"$y_{i*}$ is exactly $1/(1+S)$, $S = \sum_{j\ne i*} \frac{w_j}{w_{i*}} e^{-m_j/2\sigma^2}$, and $\|\hat{x} - y_{i*}\| \le \sum_{j\ne i*} "
        r"\frac{w_j}{w_{i*}} e^{-m_j/2\sigma^2}\|y_j - y_{i*}\|$: as $t \to 0$ the denoiser becomes the nearest point where one point is nearest. At a tie "
        r"of nearest points, $\|x-y_i\| = \|x-y_j\|$, the limit depends on the path: along $x_t = \alpha x$ tied points weigh $\propto w_i$; at fixed $x$ the log ratio "
        r"gains $\frac{\alpha(1-\alpha)}{2\sigma^2}(\|y_j\|^2 - \|y_i\|^2)$, so that they weigh $\propto w_i e^{\|y_i\|^2/4}$ in VP, while in "
        r"rectified flow those farthest from the origin take all, in shares $\propto w_i$.",
        source="derived on its page; ties off VP and the bound on x̂ are added here",
        assumptions=r"Finitely many atoms with $w_i > 0$ (an atom of weight 0 is none), $\sigma > 0$.",
        derivation=r"Bayes' rule: $p_i \propto w_i e^{-\|x-\alpha y_i\|^2/2\sigma^2}$; divide by the nearest atom's; "
        r"a rival weighs $\frac{w_j}{w_{i*}}e^{-m_j/2\sigma^2}$ over $1 + S \ge 1$. $\hat{x} - y_{i*} = \sum_j p_j(y_j - y_{i*})$. At a tie "
        r"$2\langle x, y_j - y_i\rangle = \|y_j\|^2 - \|y_i\|^2 =: \Delta$, so the margin at fixed $x$ is $-\alpha\Delta + "
        r"\alpha^2\Delta = -\alpha(1-\alpha)\Delta$; in VP $\frac{\alpha(1-\alpha)}{2(1-\alpha^2)} = \frac{\alpha}{2(1+\alpha)} \to \frac{1}{4}$, in "
        r"rectified flow $\frac{(1-t)t}{2t^2} \to \infty$. At $x_t = \alpha x$ the margin is $\alpha^2$ times none.",
        sides={
            "rival": formula.rival_weight,
            "nearest": formula.nearest_weight,
            "tie": limit.vp_tie_weights,
            "tie_ratio": formula.vp_tie_ratio,
            "tie_exponent": formula.tie_exponent,
        },
        checks=(
            Check("exact", "weights against the posterior: three laws and the data, two schedules", _d1_weight),
            Check("exact", "the denoiser against the nearest point, on the same", _d1_denoiser),
            Check("exact", "ties at fixed x and along αx, on the same and ±1", _d1_ties),
            Check(
                "interval", "the denoiser, golden atoms: x in [0.8, 1.2], α in [0.8, 1], σ in [0.4, 0.6]", nearest_point
            ),
            Check(
                "symbolic",
                "Bayes' rule, the denoiser and ties for any number of atoms in any dimension; limits of one rival at a fixed margin",
                d_symbolic.nearest_point,
            ),
        ),
        false_twins={
            r"$e^{-m_j/\sigma^2}$": {
                "rival": lambda ratio, margin, sigma, xp: formula.rival_weight(ratio, 2 * margin, sigma, xp)
            },
            "without prior weights": {
                "rival": lambda ratio, margin, sigma, xp: formula.rival_weight(1, margin, sigma, xp)
            },
            r"ties $\propto w_i$ at fixed $x$ too": {
                "tie": lambda law, tied: law.weights[tied] / law.weights[tied].sum()
            },
            r"ties $\propto w_i e^{\|y_i\|^2/2}$": {
                "tie": lambda law, tied: limit.vp_tie_weights(Atoms(2**0.5 * law.points, law.weights), tied),
                "tie_ratio": lambda prior, norm2, xp: formula.vp_tie_ratio(prior, 2 * norm2, xp),
            },
        },
    )
)


# --- D2 --------------------------------------------------------------------------------------------------------------


def _d2_symbolic(sides: Sides, _: Context) -> Outcome:
    """Tower rule: with `E[ξ|x] = 0`, `E⟨ε*, ξ⟩ = 0`, the squares of `n = ε* − √γ ξ` add."""
    alpha, sigma, dim, mmse, distance = sympy.symbols("alpha sigma d M r", positive=True)
    x_hat, xi, noise, x, y = sympy.symbols("xhat xi n x y", real=True)
    x_t = alpha * (x_hat + xi) + sigma * noise
    epsilon = formula.epsilon_of(x_t, x_hat, alpha, sigma)
    snr = formula.snr(alpha, sigma)
    mean_square = sympy.Symbol("E")
    solved = sympy.solve(mean_square + snr * mmse - dim, mean_square)[0]  # E‖n‖² = d
    at_point = formula.epsilon_of(x, y, 1, sigma)  # α = 1 and x̂ = y at t = 0, by D1
    residuals = {
        "n = ε* − √γ ξ": epsilon - (alpha / sigma) * xi - noise,
        "mean square": solved - sides["norm2"](dim, snr, mmse),
        "ε* at t = 0": sympy.Abs(at_point).subs(x, y + distance) - sides["epsilon_norm"](distance, sigma),
        "score at t = 0": sympy.Abs(at_point / sigma).subs(x, y + distance) - sides["score_norm"](distance, sigma),
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


def _d2_divergence(sides: Sides, context: Context) -> Outcome:
    """`|σ²‖score‖ − dist(x, data)| ≤ ‖x̂ − nearest‖ + (1 − α)R`: both ends of ε* and of the score, at fixed x off the data."""
    outcomes = []
    for name, law in finite_laws(context).items():
        for (i, j), (kind, schedule) in itertools.product(neighbours(law), SCHEDULES.items()):
            x = torch.lerp(law.points[i], law.points[j], 0.2)[None]
            distance = float((x - law.points[i]).norm())
            sigmas = (min(distance / 20, 0.5), min(distance / 100, 0.1))
            for sigma in (sigma for sigma in sigmas if sigma >= 2 * numerics.NOISES[0]):
                t = schedule.time_of_snr(_snr_at(schedule, sigma))
                at = limit.predictions(law, schedule, x, t)
                score, (alpha, sigma) = (
                    limit.score(law, schedule, x, t),
                    tuple(map(float, schedule(t))),
                )
                # x − αx̂ cancels, x − y beside it
                tolerance = float((at.x - law.points[i]).norm()) + (1 - alpha) * radius(law)
                tolerance += 32 * EPS * (float(x.norm()) + radius(law))
                where = f"{name}, {kind}, σ = {sigma:.3g}"
                norm = float(score.norm())
                outcomes.append(
                    equal(norm, sides["score_norm"](distance, sigma), tolerance / sigma**2, f"score, {where}")
                )
                norm = float(at.epsilon.norm())
                outcomes.append(equal(norm, sides["epsilon_norm"](distance, sigma), tolerance / sigma, f"ε*, {where}"))
    return worst_or_none(outcomes, "all neighbours are nearer than noise can be told from none")


def _snr_at(schedule: Schedule, sigma: float) -> float:
    """The signal-to-noise ratio where the noise is σ."""
    alpha = math.sqrt(1 - sigma**2) if schedule.variance_preserving else 1 - sigma
    return (alpha / sigma) ** 2


def grid(law: Law, snr: float) -> tuple[Tensor, float]:
    """Nodes of `z = √γ x_0 + n` in one or two dimensions, and the measure of their cells."""
    step, reach = 0.08, 10 + 5 * math.sqrt(snr * float(law.cov.diagonal().max()))
    axes = [torch.arange(-reach, reach, step, dtype=torch.float64) + math.sqrt(snr) * float(m) for m in law.mean]
    return torch.cartesian_prod(*axes).reshape(-1, law.dim), step**law.dim


@cache
def _on_grid(law: Law, snr: float) -> tuple[float, float]:
    """`E‖ε*‖²` and the mmse, once for the claim and its twins."""
    z, cell = grid(law, snr)
    posterior = law.posterior(z, snr)
    mass = posterior.log_evidence.exp() * cell
    return float(mass @ (z - math.sqrt(snr) * posterior.mean).square().sum(dim=1)), float(mass @ posterior.trace_cov)


def _d2_quadrature(sides: Sides, _: Context) -> Outcome:
    """The trapezoidal rule for `E‖ε*‖²` and for the mmse under the evidence of z."""
    outcomes = []
    laws = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "two bumps": BUMPS, "Gaussian": TILTED, "tri": TRI}
    for name, law in laws.items():
        for snr in (0.1, 2.0) if law.dim == 2 else (0.1, 1.0, 10.0):
            measured, mmse = _on_grid(law, snr)
            where = f"{name}, γ = {snr:g}"
            outcomes.append(equal(measured, sides["norm2"](law.dim, snr, mmse), 1e-9, where))
            outcomes.append(at_most(measured, law.dim, f"at most d, {where}"))
    return worst(outcomes)


def _d2_data(sides: Sides, context: Context) -> Outcome:
    """Draws of `‖ε*‖² − (d − γ tr C)`, cut where `‖n‖` is too large to matter: `‖ε*‖ ≤ ‖n‖ + √γ D`."""
    name, law = excerpt(context)
    if law.diameter == 0:
        return no_instance(f"{name}: all points are equal, mmse = 0")
    # where the variance is that of atoms too rare to be drawn, the statement at a γ that tells all atoms apart
    snr = min(law.dim / (8 * float(law.cov.trace())), 1e12 / law.diameter**2)
    queries = min(4000, int(2e8 / law.points.numel()) + 1) * (10 if context.full else 1)
    generator = context.generator()
    noise = numerics.normal((queries, law.dim), law.device, generator)
    z = math.sqrt(snr) * law.sample(queries, generator) + noise
    posterior = law.posterior(z, snr)
    square = (z - math.sqrt(snr) * posterior.mean).square().sum(dim=1)
    predicted = sides["norm2"](law.dim, snr, posterior.trace_cov)
    cut = math.sqrt(chdtri(law.dim + 2, 1e-16)) + math.sqrt(snr) * law.diameter
    highest = cut**2 - law.dim + snr * law.diameter**2 / 2
    low, high = mean_interval(square.clamp(max=cut**2) - predicted, -law.dim, highest, context.confidence)
    value = float((square - predicted).mean())
    interval = Estimate(number(value), number(low), number(high), context.confidence, queries, "monte-carlo")
    size = math.sqrt(law.dim) + math.sqrt(snr) * radius(law)
    tolerance = 64 * EPS * (law.dim + size) * size + 2 * math.sqrt(snr) * size * float(posterior.error_bound.max())
    return equal(interval, 0.0, tolerance, f"E‖ε*‖² − (d − γ mmse), {name}, γ = {snr:.3g}, {queries} draws")


register(
    Claim(
        id="D2",
        title="The score diverges, the noise does not",
        statement=r"Finite data, $x$ off the data with one nearest point (off ties): as $t \to 0$, $\|\nabla\log q_t(x)\| \sim dist(x, data)/\sigma^2$ and $\|\epsilon^*(x,t)\| \sim "
        r"dist(x, data)/\sigma$ diverge; $\sigma^2\|\nabla\log q_t\|$ differs from the distance by at most $\|\hat{x} - y\| + (1-\alpha)R$, $y$ a nearest point. At a tie it "
        r"tends to the distance of $x$ from the limit of $\hat{x}$, which may be 0: for $\pm 1$ the score at $x = 0$ is 0 at every $t$. Yet $E\|\epsilon^*\|^2 = d - \gamma\,mmse(\gamma) \le d$ at every $t$, for any law: on average, not pointwise.",
        source="derived on its page; the explicit remainder is added here, and that ties are an exception",
        assumptions=r"For the divergence: finitely many atoms with $\|y_i\| \le R$. For the mean: $\sigma > 0$, and finite second moments.",
        derivation=r"$\sigma^2\nabla\log q_t = \alpha\hat{x} - x$ and $\|\alpha\hat{x} - y\| \le \|\hat{x} - y\| + (1-\alpha)R$, which off ties $\to 0$ (D1). "
        r"$\epsilon^* = E[n|x_t]$ and $n = \epsilon^* - \sqrt\gamma\,\xi$ with $E[\xi|x_t] = 0$, so $d = E\|n\|^2 = E\|\epsilon^*\|^2 + "
        r"\gamma E\|\xi\|^2$.",
        sides={
            "score_norm": formula.score_norm,
            "epsilon_norm": formula.epsilon_norm,
            "norm2": formula.epsilon_norm2,
        },
        checks=(
            Check(
                "exact",
                "score and ε* within the remainder, which 9:1 attains: three laws and the data, two schedules",
                _d2_divergence,
            ),
            Check("quadrature", "the mean square: five laws in one and two dimensions", _d2_quadrature),
            Check("monte-carlo", "the mean square on the data", _d2_data),
            Check("symbolic", "the mean square from the tower rule; norms at t = 0, given D1", _d2_symbolic),
        ),
        false_twins={
            r"$E\|\epsilon^*\|^2 = d$": {"norm2": lambda dim, snr, mmse: dim + 0 * mmse},
            r"pointwise $\|\epsilon^*\| \le \sqrt{d}$ (d = 1)": {
                "epsilon_norm": lambda distance, sigma: min(formula.epsilon_norm(distance, sigma), 1.0)
            },
            r"$\|\nabla\log q_t\| \sim dist/\sigma$": {"score_norm": formula.epsilon_norm},
        },
    )
)

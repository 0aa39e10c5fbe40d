"""Claims D3 and D4: the singularity at t = 0 is inherent for finite data, harmless to a last step, and absent for smooth data."""

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import sympy
import torch
from torch import Tensor

from proofs_checks.claims.d.d1_d2_atoms import SCHEDULES, atoms_posterior, finite_laws, neighbours
from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_least, at_most, equal, identically_zero, no_instance, worst
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.counterexample import LINE, uniform_score
from proofs_checks.instances.excerpt import with_normal
from proofs_checks.instances.laws import BUMPS, GOLDEN, NINE_TO_ONE
from proofs_checks.instances.near_ends import TILTED
from proofs_checks.instances.scales import EPS, RESOLVED, denoiser_rounding, log_weight_rounding, trace_rounding
from proofs_checks.measurements.toy_steps import prior_posterior
from singtheory import Atoms, Gaussian, Law, ReverseKernel, Schedule, divergence, formula, limit
from singtheory.kernel import ReverseStep

# --- D3 --------------------------------------------------------------------------------------------------------------


def _end_steps(law: Atoms) -> Iterator[tuple[str, ReverseStep, float]]:
    """Steps to s = 0 from between two neighbours, where both keep some weight, and the rounding of log weights there."""
    for (i, j), (kind, schedule) in itertools.product(neighbours(law), SCHEDULES.items()):
        t = schedule.time_of_snr(20 / float((law.points[i] - law.points[j]).square().sum()))
        x = schedule.alpha(t) * torch.lerp(law.points[i], law.points[j], 0.45)[None]
        rounding = log_weight_rounding(law, x, *schedule(t))
        yield kind, ReverseKernel(law, schedule, t, 0.0).at(x), rounding


def _masses_near(points: Tensor, reference: Gaussian, radius: float) -> Tensor:
    """What a Gaussian on the line gives to the ball about each point."""
    std = reference.cov[0, 0].sqrt()
    off = points[:, 0] - reference.mean
    if float(std) == 0:
        return (off.abs() <= radius).to(torch.float64)
    return torch.special.ndtr((off + radius) / std) - torch.special.ndtr((off - radius) / std)


def _d3_total_variation(sides: Sides, _: Context) -> Outcome:
    """`TV = 1 − Σ min(p_i, Q(ball_i))` as the balls about the atoms shrink; a density gives them `n·2r/√(2π)σ` at most."""
    outcomes, radius = [], 1e-9
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        for kind, step, _rounding in _end_steps(law):
            matched, posterior = step.moment_matched()[0], step.posterior.atoms()
            point = Gaussian(law.points[posterior.weights[0].argmax()], torch.zeros(1, 1))
            tolerance = len(law.points) * 2 * radius / math.sqrt(2 * math.pi * float(matched.cov))
            for against, reference in (("moment-matched", matched), ("point", point)):
                measured = 1 - torch.minimum(posterior.weights[0], _masses_near(law.points, reference, radius)).sum()
                where = f"TV to {against}, {name}, {kind}"
                outcomes.append(equal(float(measured), sides["tv"](posterior, reference), tolerance, where))
    return worst(outcomes)


def _d3_growth(sides: Sides, _: Context) -> Outcome:
    """`KL(P‖M)` lies above the bound at every gap and meets it once the components part."""
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        posterior = prior_posterior(law)
        for gap in (0.1, 10.0, 3e3):
            kl = float(divergence.kl_moment_quadrature(posterior, gap).value)
            low, where = float(sides["kl_lower"](posterior, gap)), f"KL(P‖M), {name}, g = {gap:g}"
            outcomes.append(at_least(kl, low, where) if gap < 1e3 else equal(kl, low, 1e-9 * kl, where))
    return worst(outcomes)


def _d3_point(sides: Sides, context: Context) -> Outcome:
    """At s = 0: KL infinite, TV one, and W₂ to the denoiser from the only coupling there is; it vanishes off ties."""
    outcomes = []
    for name, law in finite_laws(context).items():
        for kind, step, rounding in _end_steps(law):
            posterior, where = step.posterior.atoms(), f"{name}, {kind}"
            if rounding > RESOLVED:
                outcomes.append(no_instance(f"{where}: rounding decides how near atoms share the weight"))
                continue
            off = law.points - posterior.mean
            cost = float(posterior.weights[0] @ off.square().sum(dim=1))
            trace = float(posterior.trace_cov)
            tolerance = trace_rounding(law, posterior, rounding)
            outcomes.append(equal(float(sides["w2"](step)) ** 2, cost, tolerance, f"W₂², {where}"))
            outcomes.append(equal(trace, cost, tolerance, f"tr C, {where}"))
            infinite = float(step.kl().value) == math.inf and float(step.tv().value) == 1
            outcomes.append(Outcome("supported" if infinite else "refuted", where=f"KL = ∞ and TV = 1, {where}"))
        outcomes += _d3_vanishing(law, name)
    return worst(outcomes)


def _d3_vanishing(law: Atoms, name: str) -> Iterator[Outcome]:
    """`tr C ≤ Σ_j p_j ‖y_j − y_i‖²` at a fixed x nearer to `y_i`."""
    for i, j in neighbours(law):
        apart2 = (law.points[i] - law.points[j]).square().sum()
        alpha, sigma = (torch.as_tensor(v, dtype=torch.float64) for v in (1.0, (apart2 / 200).sqrt()))
        x = torch.lerp(law.points[i], law.points[j], 0.2)[None]
        posterior, rounding = atoms_posterior(law, x, alpha, sigma), log_weight_rounding(law, x, alpha, sigma)
        if rounding > RESOLVED:
            yield no_instance(f"{name}: rounding decides which atom is nearer")
            continue
        trace = float(posterior.trace_cov)
        rivals = limit.rivals(law, x, alpha)
        weights = formula.rival_weight(rivals.prior_ratios, rivals.margins, sigma, torch)[0]
        bound = float(weights @ (law.points - law.points[i]).square().sum(dim=1))
        tolerance = 2 * rounding * bound + trace_rounding(law, posterior, rounding)
        yield at_most(trace, bound + tolerance, f"tr C → 0, {name}")


def _denoised_w2(law: Atoms, snr: float) -> tuple[float, float]:
    """`W₂²(law of x̂, π)` and the mmse on a line: x̂ rises with z, so the quantiles of z couple the two optimally."""
    order = law.points[:, 0].argsort()
    points, weights = law.points[order, 0], law.weights[order]
    root, (x, w) = math.sqrt(snr), (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(40))
    low, high = root * float(points[0]) - 10, root * float(points[-1]) + 10
    levels = weights.cumsum(0)[:-1]
    cuts = [_quantile(points, weights, root, float(level), low, high) for level in levels]
    cost = mmse = 0.0
    for point, left, right in zip(points, [low, *cuts], [*cuts, high], strict=True):
        edges = torch.linspace(left, right, 9, dtype=torch.float64)
        half = edges.diff()[:, None] / 2
        z = (edges[:-1, None] + half * (1 + x)).reshape(-1, 1)
        posterior = law.posterior(z, snr)
        mass = posterior.log_evidence.exp() * (half * w).reshape(-1)
        cost += float(mass @ (posterior.mean[:, 0] - point).square())
        mmse += float(mass @ posterior.trace_cov)
    return cost, mmse


def _quantile(points: Tensor, weights: Tensor, root: float, level: float, low: float, high: float) -> float:
    """Where the distribution function of z on a line reaches a level, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        below = float(weights @ torch.special.ndtr(middle - root * points)) < level
        low, high = (middle, high) if below else (low, middle)
    return low


def _d3_last_step(sides: Sides, _: Context) -> Outcome:
    """The bound holds at every noise and is attained as γ → 0, where `x̂ → μ`."""
    outcomes = []
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        for snr in (1e-8, 0.1, 1.0, (1 - 0.4**2) / 0.4**2, 30.0):
            cost, mmse = _denoised_w2(law, snr)
            bound, where = sides["last_step"](mmse), f"W₂²(x̂, π), {name}, γ = {snr:.3g}"
            outcomes.append(at_most(cost, bound * (1 + 1e-12), where))
            if snr < 1e-6:
                # W₂ ≥ √λ − √Var x̂ by Gelbrich, and Var x̂ = λ − mmse ≤ γ (D²/4)² as mmse′ = −E C² and C ≤ D²/4
                slack = math.sqrt(snr * float(law.cov)) * law.diameter**2 / 2
                outcomes.append(equal(cost, bound, slack, f"attained: {where}"))
    return worst(outcomes)


register(
    Claim(
        id="D3",
        title="Inherent, yet harmless",
        constant=r"$\tfrac{1}{2}$ before the log determinant and 1 before the entropy; the two sides meet as $g \to \infty$.",
        statement=r"Finite data: $q(x_0|x_t)$ has TV 1 and infinite KL to every non-degenerate Gaussian, so the singularity is inherent; on the way, "
        r"$KL(q(x_s|x_t)\|N) \ge \frac{1}{2}\log\det(I + gC) - H(p) \to \infty$ for every Gaussian $N$, $p$ the posterior weights, and for the "
        r"moment-matched one the two sides meet as $g \to \infty$. Yet $W_2^2(q(x_0|x_t), \delta_{\hat{x}}) = tr\,C \to 0$ off ties, and "
        r"$W_2^2(law\ of\ \hat{x}(x_s), \pi) \le mmse(\gamma_s)$: a last x-prediction step is harmless and no early stop is needed.",
        source="derived on its page; the rate of the divergence is added here",
        assumptions=r"Finitely many atoms; for the divergence $C \ne 0$, and for meeting distinct atoms (equal ones joined).",
        derivation=r"A Gaussian with a density gives mass 0 to the atoms, the kernel gives mass 1. For $s > 0$: $M$ is nearest of all Gaussians (B5), "
        r"$KL(P\|M) = h(M) - h(P)$, $h(M) = \frac{1}{2}\log\det(I+gC) + \frac{d}{2}\log 2\pi e$, and $h(P) \le H(p) + \frac{d}{2}\log 2\pi e$, "
        r"with equality once the components part. A coupling with a point is unique: $E\|x_0 - \hat{x}\|^2 = tr\,C \le \sum_j p_j\|y_j - y_i\|^2$, "
        r"and D1. $x_0$ and $\hat{x}(x_s)$ are coupled at cost $mmse$.",
        sides={
            "tv": limit.tv_to_gaussian,
            "w2": lambda step: step.w2().value,
            "kl_lower": limit.kl_atoms_lower,
            "last_step": formula.last_step_w2,
        },
        checks=(
            Check(
                "exact",
                "TV to the moment-matched Gaussian and to a point, from balls about the atoms: two laws on a line",
                _d3_total_variation,
            ),
            Check("quadrature", "KL(P‖M) over the gap: two laws on a line", _d3_growth),
            Check("exact", "KL, TV and W₂ at s = 0, tr C off ties: three laws and the data", _d3_point),
            Check("quadrature", "the law of the denoiser, coupled by quantiles: two laws on a line", _d3_last_step),
        ),
        false_twins={
            "TV 1 to the point mass at the nearest atom too": {"tv": lambda posterior, reference: 1.0},
            r"$W_2^2(law\ of\ \hat{x}, \pi) \le \frac{1}{4} mmse$": {"last_step": lambda mmse: mmse / 4},
            r"$W_2^2 = \frac{1}{2} tr\,C$": {"w2": lambda step: step.w2().value / 2**0.5},
            r"$KL \ge \log\det(I + gC) - H(p)$": {
                "kl_lower": lambda p, gap: 2 * limit.kl_atoms_lower(p, gap) + p.entropy
            },
        },
    )
)


# --- D4 --------------------------------------------------------------------------------------------------------------

_ALONG = Gaussian([0.3], [[0.64]])
"""LINE along the line alone."""
_FOOT = float(LINE.mean[1])
_SIGMAS = (0.004, 0.008, 0.016)
_POINTS = torch.tensor([[-0.9], [0.1], [0.8], [1.0]], dtype=torch.float64)
_SMOOTH = {"two bumps": (BUMPS, _POINTS), "Gaussian": (TILTED, TILTED.mean + _POINTS)}


def _time_of_sigma(schedule: Schedule, sigma: float) -> float:
    return 2 / math.pi * math.asin(sigma) if schedule.variance_preserving else sigma


def _order(schedule: Schedule) -> float:
    """The order in σ of the error `O(1 − α) + O(σ²)`: `1 − α` is of the order of σ² in VP, and is σ in rectified flow."""
    return 2.0 if schedule.variance_preserving else 1.0


def _off_score(sides: Sides, law: Law, schedule: Schedule, x: Tensor, sigma: float) -> float:
    score = sides["score"](law, schedule, x, _time_of_sigma(schedule, sigma))
    return float((score - sides["data_score"](law, x)).norm())


def _d4_smooth(sides: Sides, _: Context) -> Outcome:
    outcomes = []
    for (name, (law, x)), (kind, schedule) in itertools.product(_SMOOTH.items(), SCHEDULES.items()):
        off = partial(_off_score, sides, law, schedule, x)
        outcomes.append(vanishes_at_rate(off, _SIGMAS, _order(schedule), f"score − ∇log π, {name}, {kind}"))
    return worst(outcomes)


def _off_tangent(schedule: Schedule, x: Tensor, sigma: float) -> float:
    score = limit.score(LINE, schedule, x, _time_of_sigma(schedule, sigma))[:, :1]
    return float((score - limit.data_score(_ALONG, x[:, :1])).norm())


def _d4_subspace(sides: Sides, _: Context) -> Outcome:
    """A line in the plane: normal and tangential score off it, and the normal score on it."""
    outcomes = []
    for kind, schedule in SCHEDULES.items():
        for height in (1.2, 1.5):
            x = torch.tensor([[0.9, height]], dtype=torch.float64)
            for sigma in _SIGMAS:
                t = _time_of_sigma(schedule, sigma)
                score = limit.score(LINE, schedule, x, t)
                expected = sides["normal"](height, _FOOT, float(schedule.alpha(t)), sigma)
                # the score divides a difference of two numbers near 1 by σ²
                outcomes.append(equal(float(score[0, 1]), expected, 1e-14 / sigma**2, f"normal, {kind}, σ = {sigma}"))
            along = partial(_off_tangent, schedule, x)
            outcomes.append(vanishes_at_rate(along, _SIGMAS, _order(schedule), f"tangential, {kind}, height {height}"))
    return worst(outcomes)


def _off_foot(schedule: Schedule, x: Tensor, expected: float, sigma: float) -> float:
    return float(limit.score(LINE, schedule, x, _time_of_sigma(schedule, sigma))[0, 1]) - expected


def _d4_foot(sides: Sides, _: Context) -> Outcome:
    """On the line: VP approaches the limit like σ², rectified flow diverges like 1/σ."""
    x, foot = torch.tensor([[0.9, _FOOT]], dtype=torch.float64), torch.tensor(_FOOT, dtype=torch.float64)
    outcomes = []
    for kind, schedule in SCHEDULES.items():
        limit_there = float(sides["foot"](schedule, foot))
        diverges = math.isinf(limit_there)
        off = partial(_off_foot, schedule, x, 0.0 if diverges else limit_there)
        outcomes.append(vanishes_at_rate(off, _SIGMAS, -1.0 if diverges else 2.0, f"foot, {kind}"))
    return worst(outcomes)


def _d4_data(sides: Sides, context: Context) -> Outcome:
    """Coordinates in which all data agree, such as pixels that are always black, or the one across their span."""
    name, law = with_normal(context)
    constant = (law.points == law.points[0]).all(dim=0).nonzero()[:, 0]
    if len(constant) == 0:
        return no_instance(f"{name}: no coordinate is constant, so the data lie on no such subspace")
    outcomes, foot = [], law.points[0, constant]
    x = torch.randn(1, law.dim, dtype=torch.float64, generator=context.generator())
    for kind, schedule in SCHEDULES.items():
        for sigma in (0.1, 0.001):
            t = _time_of_sigma(schedule, sigma)
            score = limit.score(law, schedule, x, t)[0, constant]
            expected = sides["normal"](x[0, constant], foot, schedule.alpha(t), sigma)
            terms = 32 * EPS * float(x.abs().max() + foot.abs().max())
            tolerance = (terms + float(denoiser_rounding(law, x, *schedule(t)))) / sigma**2
            outcomes.append(
                equal(float((score - expected).abs().max()), 0.0, tolerance, f"{name}, {kind}, σ = {sigma}")
            )
    return worst(outcomes)


def _d4_symbolic(sides: Sides, _: Context) -> Outcome:
    alpha, sigma, t, foot, offset, mean, eigenvalue = sympy.symbols("alpha sigma t f n mu lam", positive=True)
    x, y = sympy.symbols("x y", real=True)
    density = sympy.Function("pi", positive=True)
    # q(x) = E π((x − σn)/α)/α = [π(x/α) + σ²π''(x/α)/2α² + …]/α
    noised = (density(y) + sigma**2 / (2 * alpha**2) * density(y).diff(y, 2)) / alpha
    score = (noised.diff(y) / alpha / noised).subs({sigma: 0, alpha: 1})
    gaussian = -(x - alpha * mean) / formula.marginal_var(alpha, sigma, eigenvalue)
    normal, vp = sides["normal"], sympy.sqrt(1 - sigma**2)
    plain = {density(y).diff(y): sympy.Symbol("slope", real=True), density(y): sympy.Symbol("height", positive=True)}
    point = sympy.diff(-((offset - alpha * foot) ** 2) / (2 * sigma**2), offset)
    residuals = {
        "smooth": (score - sympy.log(density(y)).diff(y)).subs(plain),
        "Gaussian": gaussian.subs({alpha: 1, sigma: 0}) + (x - mean) / eigenvalue,
        "normal": normal(offset, foot, alpha, sigma) - point,
        "off the subspace": sympy.limit(sigma**2 * normal(offset, foot, vp, sigma), sigma, 0, "+") + offset - foot,
        "foot in VP": sympy.limit(normal(foot, foot, vp, sigma), sigma, 0, "+") - formula.vp_foot_score(foot),
        "foot in rectified flow": 1 / sympy.limit(normal(foot, foot, 1 - t, t), t, 0, "+"),
    }
    return worst(identically_zero(residual, where) for where, residual in residuals.items())


register(
    Claim(
        id="D4",
        title="The singularity at t = 0 is the data's",
        statement=r"A smooth positive density has the finite limit $\nabla\log\pi$, with an error $O(1-\alpha) + O(\sigma^2)$. Data on an affine "
        r"subspace at $f$ along a unit normal have the normal score $-(n - \alpha f)/\sigma^2$ at a point at $n$: off the subspace it diverges, in the normal "
        r"direction only where the density on it is smooth. On the subspace, $n = f$, VP keeps even that finite, $-f/2$; rectified flow has $-f/t$, which diverges unless "
        r"$f = 0$.",
        source="derived on its page; rates and the normal score are added here",
        assumptions=r"Smooth: $\pi(x) > 0$ and $\pi$ has three continuous derivatives about $x$ and is bounded beyond.",
        derivation=r"$q_t(x) = E\,\pi((x - \sigma n)/\alpha)\,\alpha^{-d} = \alpha^{-d}[\pi(x/\alpha) + \frac{\sigma^2}{2\alpha^2}\Delta\pi(x/\alpha) + "
        r"\dots]$; take logarithm and gradient. On a subspace $x_0 = f$ along the normal, so that coordinate of $x_t$ is "
        r"$\alpha f + \sigma n$, a Gaussian independent of the others, and $\frac{1-\alpha}{\sigma^2} = \frac{1}{1+\alpha}$ in VP, $\frac{1}{t}$ in "
        r"rectified flow.",
        sides={
            "score": limit.score,
            "data_score": limit.data_score,
            "normal": formula.normal_score,
            "foot": limit.foot_score,
        },
        checks=(
            Check("exact", "smooth: rate of the limit on two laws, two schedules", _d4_smooth),
            Check("exact", "a line in the plane: normal score, rate of the tangential one", _d4_subspace),
            Check("exact", "on the line: limit in VP, divergence in rectified flow", _d4_foot),
            Check("exact", "constant coordinates of the data", _d4_data),
            Check("symbolic", "the limits, on a line, from the leading expansion of the noised density", _d4_symbolic),
        ),
        false_twins={
            "any bounded density: a uniform one, at its edge": {
                "score": lambda law, schedule, x, t: uniform_score(schedule, x[:, :1], t),
                "data_score": lambda law, x: torch.zeros_like(x[:, :1]),
            },
            "finite on the subspace in rectified flow too": {
                "foot": lambda schedule, foot: formula.vp_foot_score(foot)
            },
            r"$-(n - f)/\sigma^2$": {"normal": lambda n, foot, alpha, sigma: -(n - foot) / sigma**2},
        },
    )
)

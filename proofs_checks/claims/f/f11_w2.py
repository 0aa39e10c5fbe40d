r"""How far in W₂ one DDIM(0) step is off, for any law: the bound of claim F11 by the rate of the denoiser's guess, beside W₂ itself.

In `z = x/σ` and `ρ = √γ` the flow is `dz/dρ = x̂` and a step of DDIM(0) goes straight on, so the two end `∫(ρ_s − ρ) a dρ` apart, a the rate of x̂ along the
flow. Beside these formulas: in one dimension both maps increase, so W₂ is the root of the mean square of their difference.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import torch
from flint import acb, arb
from torch import Tensor

from proofs_checks.claims.f.f4_f5_f7_ends import line_w2, normal_below, pieces, quantiles
from proofs_checks.harness.claim import Outcome, Sides
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, worst
from proofs_checks.harness.slope import vanishes_at_rate
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE, SIGNS
from proofs_checks.measurements.certificates import outcome
from singtheory import Atoms, RectifiedFlow, certify, formula
from singtheory.certify import Box

LINES = {"golden": GOLDEN, "9:1": NINE_TO_ONE, "±1": SIGNS}
STEPS = ((0.9, 0.6), (0.6, 0.3), (0.4, 0.0))
"""Ends t and s of the steps that are tried."""
SMALL = (0.005, 0.01, 0.02)
"""Lengths of the steps from t = 0.6 for which the order is measured."""
QUICK: Box = ((Fraction(2), Fraction(81, 40)), (Fraction(39, 80), Fraction(1, 2)))
"""A box of `(e², p)`: two points e apart in units of the noise, with weights p and 1 − p; for a quick run."""
WHOLE: Box = ((Fraction(1), Fraction(2)), (Fraction(7, 16), Fraction(1, 2)))
_NODES = 6
"""Nodes of the rule in √γ."""
_PIECES, _REACH, _WIDE = 64, 4, 8
"""In ball arithmetic: parts of √γ, how far beyond e they reach, and how far z from the middle; what is left out is positive."""


@cache
def noised(law: Atoms, snr: float) -> tuple[Tensor, Tensor, Tensor]:
    """`z = √γ x_0 + n` on a line or in the plane: nodes (n, d), their probabilities (n,), and the posterior's weights (n, atoms)."""
    centres = snr**0.5 * law.points
    if law.dim == 1:
        z, mass = pieces(torch.cat([centres[:, 0] - 9, centres[:, 0], centres[:, 0] + 9]))
        z = z[:, None]
    else:
        axes = [torch.linspace(float(c.min()) - 9, float(c.max()) + 9, 120, dtype=torch.float64) for c in centres.mT]
        z = torch.cartesian_prod(*axes)
        mass = torch.full((len(z),), float(axes[0].diff()[0] * axes[1].diff()[0]), dtype=torch.float64)
    joint = law.weights.log() - (z[:, None] - centres).square().sum(dim=2) / 2
    return z, mass * joint.logsumexp(dim=1).exp() / (2 * torch.pi) ** (law.dim / 2), joint.softmax(dim=1)


def rate_rms(law: Atoms, root_snr: float, rate: Callable[..., Any]) -> float:
    """The root of the mean square of the rate of x̂, of atoms on a line."""
    z, mass, weights = noised(law, root_snr**2)
    x_hat = weights @ law.points[:, 0]
    rest = law.points[:, 0] - x_hat[:, None]
    var, third = ((weights * rest**power).sum(dim=1) for power in (2, 3))
    return float((mass @ rate(var, third, z[:, 0], x_hat, root_snr).square()).sqrt())


def w2_bound(law: Atoms, t: float, s: float, sides: Sides) -> float:
    """`∫(α_s − ρσ_s)√(E a²) dρ` over √γ between the ends of a step of rectified flow, to s = 0 too."""
    flow = RectifiedFlow()
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (tuple(map(float, flow(u))) for u in (t, s))
    low, high = alpha_t / sigma_t, alpha_s / sigma_s if sigma_s else math.inf
    nodes, rule = (torch.as_tensor(v) for v in np.polynomial.legendre.leggauss(_NODES if sigma_s else 3 * _NODES))
    share = (nodes + 1) / 2
    roots = low + (high - low) * share if sigma_s else low + share / (1 - share)
    widths = rule / 2 * ((high - low) if sigma_s else 1 / (1 - share) ** 2)
    rates = torch.tensor([rate_rms(law, root, sides["rate"]) for root in roots.tolist()], dtype=torch.float64)
    return float(widths @ (sides["lag"](roots, alpha_s, sigma_s) * rates))


def w2_of_step(law: Atoms, t: float, s: float) -> float:
    """`W₂` between the law of `x_s` and that of a DDIM(0) step from the right law of `x_t`, atoms on a line and rectified flow."""
    flow = RectifiedFlow()
    snr, (alpha_t, sigma_t), (alpha_s, sigma_s) = float(flow.snr(t)), flow(t), flow(s)
    z, mass, weights = noised(law, snr)
    if s == 0:
        return line_w2(law, lambda z: law.posterior(z, snr).mean, snr) ** 0.5
    x_hat = (weights @ law.points)[:, 0]
    epsilon = formula.epsilon_of(sigma_t * z[:, 0], x_hat, alpha_t, sigma_t)
    step = formula.ddim_mean(x_hat, epsilon, alpha_s, sigma_s)
    exact = sigma_s * _carried(law, z, snr**0.5, float(flow.snr(s)) ** 0.5)
    return float((mass @ (step - exact).square()).sqrt())


def _carried(law: Atoms, z: Tensor, root_t: float, root_s: float) -> Tensor:
    """Where the flow takes z (n, 1) on a line: to the same quantile, each counted from its nearer tail; shape (n,)."""
    points = law.points[:, 0]
    below, above = ((law.weights * normal_below(k * (z - root_t * points))).sum(dim=1) for k in (1, -1))
    low, high = (k * quantiles(k * root_s * points, law.weights, tail) for k, tail in ((1, below), (-1, above)))
    return torch.where(below < above, low, high)


def any_step(sides: Sides, _: Context) -> Outcome:
    """W₂ of three steps of rectified flow, the last to s = 0, from atoms on a line, beside the bound."""
    return worst(
        at_most(w2_of_step(law, t, s), w2_bound(law, t, s, sides), f"{name}, {t:g} to {s:g}", slack=1e-7)
        for name, law in LINES.items()
        for t, s in STEPS
    )


def small_steps(sides: Sides, _: Context) -> Outcome:
    """The bound is W₂ itself in leading order: what is between them falls two orders faster than W₂, which falls like the square of a step."""

    def between(h: float, law: Atoms) -> float:
        return w2_bound(law, 0.6, 0.6 - h, sides) - w2_of_step(law, 0.6, 0.6 - h)

    return worst(vanishes_at_rate(lambda h, law=law: between(h, law), SMALL, 4.0, name) for name, law in LINES.items())


def two_points(sides: Sides, context: Context) -> Outcome:
    """The last step of two points at distance one, in ball arithmetic: a lower bound of the right side less an upper one of W₂."""

    def margin(box: Box) -> arb:
        (low, high), (rare, even) = box
        near, far = _root(low, up=False), _root(high, up=True)
        weight = certify.ball(rare).union(certify.ball(even))
        return _least_bound(far, weight, sides) - _most_w2(near, far, high, (rare, even)).sqrt()

    box = WHOLE if context.full else QUICK
    with certify.precision():
        return outcome(certify.certify(margin, box, None), box)


def _root(square: Fraction, up: bool) -> Fraction:
    """A rational at most or at least `√square`, within 2⁻²⁰."""
    scaled = math.isqrt(int(square * 2**40))
    return Fraction(scaled + up, 2**20)


def _least_bound(e: Fraction, weight: arb, sides: Sides) -> arb:
    """At most `∫_e^∞ √(E a²) dρ`, by the least of each part."""
    width, total = Fraction(_REACH, _PIECES), arb(0)
    for k in range(_PIECES):
        root = certify.ball(e + k * width).union(certify.ball(e + (k + 1) * width))
        total += certify.ball(width) * arb.max(arb(0), _mean_square(root, weight, sides).lower()).sqrt()
    return total


def _mean_square(root: arb, weight: arb, sides: Sides) -> arb:
    """`E a²` of points at ±½ with weights p and 1 − p, over z within `_WIDE`."""
    log_odds = (weight / (1 - weight)).log()

    def integrand(z: acb, _: bool) -> acb:
        half = (log_odds + root * z) / 2
        tilt = half.tanh()
        var = (1 / half.cosh()) ** 2 / 4
        rate = sides["rate"](var, -var * tilt, z, tilt / 2, root)
        return (-z * z / 2).exp() * half.cosh() * rate * rate

    within = acb.integral(integrand, -_WIDE, _WIDE, rel_tol=arb(2) ** -8, abs_tol=arb(2) ** -20, eval_limit=4000)
    lead = 2 * (weight * (1 - weight)).sqrt() * (-root * root / 8).exp() / (2 * arb.pi()).sqrt()
    return lead * within.real


def _most_w2(near: Fraction, far: Fraction, gap: Fraction, weights: tuple[Fraction, Fraction]) -> arb:
    """At least `W₂²` on a box, `2 P(the point above, z below the cut) − mmse`: any cut may be taken, as the larger of both mistakes is at least each at the right one."""
    rare, even = weights
    cut = _cut(float(near + far) / 2, float(rare + even) / 2)
    below = certify.ball(even) * _normal(certify.ball(cut - near))
    above = (1 - certify.ball(rare)) * _normal(-certify.ball(cut))
    return 2 * arb.max(below, above) - certify.mmse(gap, rare)


def _normal(x: arb) -> arb:
    """Φ."""
    return (-x / arb(2).sqrt()).erfc() / 2


def _cut(e: float, p: float) -> Fraction:
    """About where `z = e y + n` exceeds with probability p, y = 1 with probability p and else 0."""
    levels = torch.tensor([1 - p], dtype=torch.float64)
    points, weights = (torch.tensor(v, dtype=torch.float64) for v in ((0.0, e), (1 - p, p)))
    return Fraction(int(float(quantiles(points, weights, levels)) * 2**20), 2**20)

"""Claim B8: the error budget of an ancestral sampler."""

import itertools
import math
from collections.abc import Iterator

import sympy
import torch
from torch import Tensor

from proofs_checks.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.context import Context
from proofs_checks.laws import GOLDEN, NINE_TO_ONE
from proofs_checks.outcome import at_most, equal, identically_zero, worst
from singtheory import Atoms, Cosine, RectifiedFlow, Schedule, budget, divergence, formula
from singtheory.information import line_mmse
from singtheory.kernel import bridge

QUADRATURE = 1e-8
"""Relative agreement asked of two quadratures on a line."""
CHAIN = (0.95, 0.8, 0.6, 0.4, 0.25)
"""The times of the chain that is followed."""
SHORT = (0.5, 0.45)
"""A chain whose budget is mostly its start's."""
_THINNED = 80


def _wrong(law: Atoms, schedule: Schedule, x_t: Tensor, t: float) -> Tensor:
    """A denoiser that is off: shrunk and shifted."""
    return 0.8 * law.posterior(x_t / schedule.sigma(t), schedule.snr(t)).mean + 0.1


def _b8_step(sides: Sides, _: Context) -> Outcome:
    """`KL(P‖N(a x + b m, c²)) − KL(P‖Q)` by quadrature, in the unit c: the mean of the Gaussian moves by `δ = √g (m − x̂)`."""

    def outcomes() -> Iterator[Outcome]:
        for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
            posterior = law.posterior([0.4], 0.5)
            for gap, miss in ((0.3, 0.7), (5.0, -0.2)):
                u = torch.linspace(-30, 30, 60001, dtype=torch.float64)
                ratio = posterior.log_ratio(u[None, :, None], gap)[0]
                mass = torch.exp(ratio - u.square() / 2) / math.sqrt(2 * math.pi) * float(u[1] - u[0])
                shift = math.sqrt(gap) * miss
                added = float(mass @ ((u - shift).square() - u.square())) / 2
                stated = float(sides["network"](gap, miss**2))
                yield equal(added, stated, QUADRATURE * stated, f"{name}, g = {gap:g}, error {miss:g}")

    return worst(outcomes())


def _b8_discretisation(sides: Sides, _: Context) -> Outcome:
    """The mean of `KL(P‖Q)` over `q_t`, one quadrature in another."""
    outcomes, schedule = [], Cosine()
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        t, s = 0.9, 0.6
        x_t, mass = budget.marginal(law, schedule, t)
        nodes = slice(0, None, _THINNED)  # still two a standard deviation, for a smooth integrand
        posterior = law.posterior(x_t[nodes] / schedule.sigma(t), schedule.snr(t))
        gap = float(schedule.snr(s) - schedule.snr(t))
        expected = float(_THINNED * mass[nodes] @ divergence.kl_quadrature(posterior, gap).value)
        stated = float(sides["discretisation"](law, schedule.snr(torch.tensor([t, s], dtype=torch.float64))).sum())
        outcomes.append(equal(stated, expected, 1e-6 * expected, f"{name}, {t} → {s}"))
    return worst(outcomes)


def _b8_start(sides: Sides, _: Context) -> Outcome:
    """Against C6: the mean start is a step from t = 1, and the noise start's mismatch is larger by a known gain."""
    outcomes, schedule = [], Cosine()
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        for t in (0.5, 0.9):
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            mean, trace = float(law.mean), law.cov.trace()
            step = float(divergence.kl_quadrature(law.posterior([0.0], 0.0), float(schedule.snr(t))).value)
            gain = float(formula.noise_start_gain(alpha, sigma, mean**2, trace, 1, torch))
            for kind, at, var, expected in (
                ("mean", float(alpha) * mean, float(sigma) ** 2, step),
                ("noise", 0.0, 1.0, step + gain),
            ):
                stated = sides["start"](law, schedule, t, at, var)
                outcomes.append(equal(stated, expected, QUADRATURE * expected, f"{kind} start, {name}, t = {t}"))
    return worst(outcomes)


def _chain(law: Atoms, schedule: Schedule, times: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Densities of `q_end` and `p_end` on a grid: from N(0, 1), each step `N(a x + b m, c²)` of the wrong denoiser."""
    x = torch.linspace(-7, 7, 701, dtype=torch.float64)
    step = float(x[1] - x[0])
    model = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    for t, s in itertools.pairwise(times):
        coefficients = bridge(schedule, t, s)
        means = coefficients.a * x + coefficients.b * _wrong(law, schedule, x[:, None], t)[:, 0]
        kernel = torch.exp(-(x - means[:, None]).square() / (2 * coefficients.var))
        model = (model @ kernel) * step / math.sqrt(2 * math.pi * coefficients.var)
    end = times[-1]
    off = (x[:, None] - schedule.alpha(end) * law.points[:, 0]) / schedule.sigma(end)
    true = torch.exp(-off.square() / 2) @ law.weights / math.sqrt(2 * math.pi) / schedule.sigma(end)
    return true * step, model * step


def _b8_chain(sides: Sides, _: Context) -> Outcome:
    """The budget against KL of the end."""
    outcomes = []
    cases = itertools.product(
        {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items(),
        (("cosine", Cosine(), CHAIN), ("rectified flow", RectifiedFlow(), SHORT)),
    )
    for (name, law), (kind, schedule, times) in cases:
        true, model = _chain(law, schedule, times)
        kl = float((true * torch.log(true / model)).nansum())
        outcomes.append(at_most(kl, _total(sides, law, schedule, times), f"{name}, {kind}, from {times[0]}"))
    return worst(outcomes)


def _total(sides: Sides, law: Atoms, schedule: Schedule, times: tuple[float, ...]) -> float:
    """The stated bound for the wrong denoiser, started from N(0, 1)."""
    at = torch.tensor(times, dtype=torch.float64)
    snr = budget.snr_along(law, schedule, at)
    errors = torch.stack(
        [budget.denoiser_error(law, schedule, t, lambda x, t: _wrong(law, schedule, x, t)) for t in times[:-1]]
    )
    start = sides["start"](law, schedule, times[0], 0.0, 1.0)
    return start + float(sides["discretisation"](law, snr).sum() + sides["network"](snr.diff(), errors).sum())


def _b8_equality(sides: Sides, _: Context) -> Outcome:
    """One step from t = 1 with a constant denoiser: `KL(q_s‖N(α_s m, σ_s²))` is the budget, and nothing is lost."""
    outcomes, schedule, constant = [], Cosine(), 0.9
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        times = torch.tensor([1.0, 0.6], dtype=torch.float64)
        kl = budget.start_mismatch(
            law, schedule, 0.6, float(schedule.alpha(0.6)) * constant, float(schedule.sigma(0.6)) ** 2
        )
        snr = budget.snr_along(law, schedule, times)
        error2 = float((law.mean - constant).square())
        stated = float(sides["discretisation"](law, snr).sum() + sides["network"](snr.diff(), error2).sum())
        outcomes.append(equal(stated, kl, QUADRATURE * kl, f"{name}, 1 → 0.6"))
    return worst(outcomes)


def _b8_symbolic(sides: Sides, _: Context) -> Outcome:
    """`E_P[(u − δ)² − u²]/2` with `E_P u = 0` is `½δ²`, `δ² = g‖m − x̂‖²`."""
    g, error, u = sympy.symbols("g e u", real=True)
    difference = sympy.Poly(sympy.expand(((u - sympy.sqrt(g) * error) ** 2 - u**2) / 2), u)
    mean = difference.coeff_monomial(1)  # E_P u = 0
    return identically_zero(sympy.simplify(mean - sides["network"](g, error**2)), "network error of a step")


def _from_the_other_end(law: Atoms, snr: Tensor) -> Tensor:
    """The twin that measures each step's fall of mmse from its end."""
    mmse = line_mmse(law, snr)[0]
    return formula.kl_trace_bound(snr.diff(), mmse[:-1] - mmse[1:]) - budget.discretisation(law, snr)


register(
    Claim(
        id="B8",
        title="The error budget of a sampler",
        statement=r"Ancestral steps of variance exactly $c^2$ with any denoiser $m_\theta$: $KL(P\|N(ax_t + b m_\theta, c^2 I)) = KL(P\|Q) + "
        r"\tfrac{1}{2} g\|\hat{x} - m_\theta\|^2$, and $KL(q_{end}\|p_{end}) \le KL(q_{start}\|p_{start}) + \sum_k \tfrac{1}{2}(g_k\, mmse(\gamma_k) - "
        r"\int mmse\, d\gamma) + \sum_k \tfrac{1}{2} g_k E\|\hat{x} - m_\theta\|^2$.",
        source="theory.md B8",
        assumptions=r"The chain ends where $\sigma > 0$; expectations under $q$. Equality for one step from $t = 1$ with $\alpha_1 = 0$ if "
        r"$m_\theta$ does not depend on $x_1$.",
        derivation=r"In $u$ the Gaussian is $N(\delta, I)$, $\delta = \sqrt{g}(m_\theta - \hat{x})$, and $E_P u = 0$, so the log density ratio "
        r"gains $\tfrac{1}{2}\|\delta\|^2$ on average. KL of the ends is at most KL of the paths, and that is the start's plus the mean KL of "
        r"each step (chain rule: both chains are Markov in reverse, the true one because $x_s$ given $x_t$ does not see later times); B4 gives the "
        r"mean of $KL(P\|Q)$.",
        sides={
            "network": formula.network_error,
            "discretisation": budget.discretisation,
            "start": budget.start_mismatch,
        },
        checks=(
            Check("symbolic", "the network error of a step", _b8_symbolic),
            Check("quadrature", "the network error of a step, golden and 9:1", _b8_step),
            Check("quadrature", "discretisation as the mean of KL(P‖Q), golden and 9:1", _b8_discretisation),
            Check("quadrature", "initial mismatch against C5 and C6", _b8_start),
            Check("quadrature", "the whole chain with a wrong denoiser, densities on a grid", _b8_chain),
            Check("quadrature", "equality for one step from t = 1", _b8_equality),
        ),
        false_twins={
            r"$\tfrac{1}{4}$ for the network": {"network": lambda gap, error2: formula.network_error(gap, error2) / 2},
            "without the initial mismatch": {"start": lambda *_: 0.0},
            r"$\tfrac{1}{2}(\int mmse\,d\gamma - g_k\, mmse(\gamma_{k+1}))$": {"discretisation": _from_the_other_end},
        },
    )
)

"""Claim B8: the error budget of an ancestral sampler."""

import itertools
import math
from collections.abc import Iterator
from functools import cache

import sympy
import torch
from torch import Tensor

from proofs_checks.harness.claim import Check, Claim, Outcome, Sides, register
from proofs_checks.harness.context import Context
from proofs_checks.harness.outcome import at_most, equal, identically_zero, worst
from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE
from proofs_checks.measurements.toy_steps import kl_of, prior_posterior
from singtheory import Atoms, Cosine, RectifiedFlow, Schedule, budget, divergence, formula
from singtheory.formula import symbolic
from singtheory.kernel import bridge
from singtheory.mmse import line_mmse

TERMS = 2**11 * formula.DOUBLE
"""The rounding of a quadrature that adds up to 2^11 terms of absolute sum one; the trapezoidal rule itself is exact to less."""
CHAIN = (0.95, 0.8, 0.6, 0.4, 0.25)
"""The times of the chain that is followed."""
SHORT = (0.5, 0.45)
"""A chain whose budget is mostly its start's."""
_THINNED = 10


def _wrong(law: Atoms, schedule: Schedule, x_t: Tensor, t: float) -> Tensor:
    """A denoiser that is off: shrunk and shifted."""
    return 0.8 * law.posterior(x_t / schedule.sigma(t), schedule.snr(t)).mean + 0.1


def _b8_step(sides: Sides, _: Context) -> Outcome:
    """`KL(P‖N(a x + b m, c²)) − KL(P‖Q)` by quadrature, in the unit c: the mean of the Gaussian moves by `δ = √g (m − x̂)`."""

    def outcomes() -> Iterator[Outcome]:
        for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
            posterior = law.posterior([0.4], 0.5)
            for gap, miss in ((0.3, 0.7), (5.0, -0.2)):
                u = torch.linspace(-30, 30, 1201, dtype=torch.float64)
                ratio = posterior.log_ratio(u[None, :, None], gap)[0]
                mass = torch.exp(ratio - u.square() / 2) / math.sqrt(2 * math.pi) * float(u[1] - u[0])
                shift = math.sqrt(gap) * miss
                added = float(mass @ ((u - shift).square() - u.square())) / 2
                stated = float(sides["network"](gap, miss**2))
                tolerance = TERMS * float(mass @ ((u - shift).square() + u.square()))
                yield equal(added, stated, tolerance, f"{name}, g = {gap:g}, error {miss:g}")

    return worst(outcomes())


def _b8_discretisation(sides: Sides, _: Context) -> Outcome:
    """The mean of `KL(P‖Q)` over `q_t`, one quadrature in another."""
    outcomes, schedule = [], Cosine()
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        t, s = 0.9, 0.6
        gap, expected = float(schedule.snr(s) - schedule.snr(t)), _mean_kl(law, t, s)
        stated = float(sides["discretisation"](law, schedule.snr(torch.tensor([t, s], dtype=torch.float64))).sum())
        tolerance = TERMS * formula.kl_trace_bound(gap, float(law.cov))  # of the two terms that cancel
        outcomes.append(equal(stated, expected, tolerance, f"{name}, {t} → {s}"))
    return worst(outcomes)


@cache
def _mean_kl(law: Atoms, t: float, s: float) -> float:
    """The mean of `KL(P‖Q)` over `q_t` on the cosine schedule."""
    schedule = Cosine()
    x_t, mass = budget.marginal(law, schedule, t)
    nodes = slice(0, None, _THINNED)  # still two a standard deviation, for a smooth integrand
    posterior = law.posterior(x_t[nodes] / schedule.sigma(t), schedule.snr(t))
    gap = float(schedule.snr(s) - schedule.snr(t))
    return float(_THINNED * mass[nodes] @ divergence.kl_quadrature(posterior, gap).value)


def _b8_start(sides: Sides, _: Context) -> Outcome:
    """Against C6: the mean start is a step from t = 1, and the noise start's mismatch is larger by a known gain."""
    outcomes, schedule = [], Cosine()
    for name, law in {"golden": GOLDEN, "9:1": NINE_TO_ONE}.items():
        for t in (0.5, 0.9):
            alpha, sigma = schedule(t)
            mean, trace = float(law.mean), law.cov.trace()
            step = kl_of(prior_posterior(law), float(schedule.snr(t)))
            gain = float(formula.noise_start_gain(alpha, sigma, mean**2, trace, 1, torch))
            for kind, at, var, expected in (
                ("mean", float(alpha) * mean, float(sigma) ** 2, step),
                ("noise", 0.0, 1.0, step + gain),
            ):
                stated = sides["start"](law, schedule, t, at, var)
                outcomes.append(equal(stated, expected, _entropy_rounding(law, var), f"{kind} start, {name}, t = {t}"))
    return worst(outcomes)


def _entropy_rounding(law: Atoms, var: float) -> float:
    """The rounding of `E log q − E log N(·, var)`, where `E|log q|` is at most 3 and x of second moment at most `D² + 1`."""
    return TERMS * (4 + (law.diameter**2 + 1) / var)


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
        tolerance = _entropy_rounding(law, float(schedule.sigma(0.6)) ** 2)
        outcomes.append(equal(stated, kl, tolerance, f"{name}, 1 → 0.6"))
    return worst(outcomes)


def _b8_last_step(sides: Sides, _: Context) -> Outcome:
    """`E‖x_0 − m(x_s)‖²` over the atoms and the noise, and the least cost of a coupling of m's law with the atoms."""
    outcomes, schedule = [], Cosine()
    for (name, law), s in itertools.product({"golden": GOLDEN, "9:1": NINE_TO_ONE}.items(), (0.6, 0.25, 0.05)):
        x_s, mass = budget.marginal(law, schedule, s)
        posterior = law.posterior(x_s / schedule.sigma(s), schedule.snr(s))
        made = _wrong(law, schedule, x_s, s)[:, 0]
        cost = float(mass @ (posterior.weights * (made[:, None] - law.points[:, 0]).square()).sum(dim=1))
        error2 = float(mass @ (made - posterior.mean[:, 0]).square())
        stated, where = float(sides["last_step"](mass @ posterior.trace_cov, error2)), f"{name}, s = {s}"
        tolerance = TERMS * (cost + error2)
        outcomes.append(equal(cost, stated, tolerance, f"E‖x_0 − m‖², {where}"))
        outcomes.append(at_most(_w2_squared(law, made, mass), stated + tolerance, f"W₂²(m, π), {where}"))
    return worst(outcomes)


def _w2_squared(law: Atoms, made: Tensor, mass: Tensor) -> float:
    """Between values in increasing order and the atoms: where the levels of both distribution functions cut [0, 1]."""
    order = law.points[:, 0].argsort()
    below, levels = mass.cumsum(0), law.weights[order].cumsum(0)
    cuts = torch.cat([below, levels]).clamp(max=1).sort().values
    middles = (cuts[1:] + cuts[:-1]) / 2
    from_made = made[torch.searchsorted(below, middles).clamp(max=len(made) - 1)]
    to_atoms = law.points[order, 0][torch.searchsorted(levels, middles).clamp(max=len(levels) - 1)]
    return float(cuts.diff() @ (from_made - to_atoms).square())


def _b8_symbolic(sides: Sides, _: Context) -> Outcome:
    """`E_P log Q − E_P log N(a x + b m, c²)` from the bridge's coefficients; P enters with its mean alone."""
    coefficients = sympy.symbols("alpha_t sigma_t alpha_s sigma_s", positive=True)
    x, x_hat, miss, second = sympy.symbols("x x_hat e m_2", positive=True)
    a, b, var = (f(*coefficients) for f in (formula.bridge_a, formula.bridge_b, formula.bridge_var))
    mean = a * x + b * x_hat
    plug_in = symbolic.expected_log_normal(mean, var, mean, second)
    added = plug_in - symbolic.expected_log_normal(mean + b * miss, var, mean, second)
    gap = formula.gap(formula.snr(*coefficients[:2]), formula.snr(*coefficients[2:]))
    return identically_zero(added - sides["network"](gap, miss**2), "network error of a step")


def _from_the_other_end(law: Atoms, snr: Tensor) -> Tensor:
    """The twin that measures each step's fall of mmse from its end."""
    mmse = line_mmse(law, snr)[0]
    return formula.kl_trace_bound(snr.diff(), mmse[:-1] - mmse[1:]) - budget.discretisation(law, snr)


register(
    Claim(
        id="B8",
        title="The error budget of a sampler",
        constant=r"$\tfrac{1}{2}$ before every $g_k$; one step is an equality.",
        statement=r"Ancestral steps of variance exactly $c^2$ with any denoiser $m_\theta$: $KL(P\|N(ax_t + b m_\theta, c^2 I)) = KL(P\|Q) + "
        r"\tfrac{1}{2} g\|\hat{x} - m_\theta\|^2$, and $KL(q_{end}\|p_{end}) \le KL(q_{start}\|p_{start}) + \sum_k \tfrac{1}{2}(g_k\, mmse(\gamma_k) - "
        r"\int mmse\, d\gamma) + \sum_k \tfrac{1}{2} g_k E\|\hat{x} - m_\theta\|^2$: just the KL of the two paths. A last x-prediction step "
        r"is judged by $W_2^2(law\ of\ m_\theta(x_s), \pi) \le mmse(\gamma_s) + E\|\hat{x} - m_\theta\|^2$.",
        source="derived on its page; the last step of a learned denoiser, and when one step is exact, are added here",
        assumptions=r"The chain ends where $\sigma > 0$; expectations under $q$. Equality for one step from $t = 1$ with $\alpha_1 = 0$ if "
        r"the start is exact and $m_\theta$ does not depend on $x_1$: the end forgets both (C9).",
        derivation=r"In $u$ the Gaussian is $N(\delta, I)$, $\delta = \sqrt{g}(m_\theta - \hat{x})$, and $E_P u = 0$, so the log density ratio "
        r"gains $\tfrac{1}{2}\|\delta\|^2$ on average. KL of the ends is at most KL of the paths, and that is the start's plus the mean KL of "
        r"each step (chain rule: both chains are Markov in reverse, the true one because $x_s$ given $x_t$ does not see later times); B4 gives the "
        r"mean of $KL(P\|Q)$. What the bound leaves is the mean KL of the paths that lead to one end. Last step: $x_0$ and $m_\theta(x_s)$ are a "
        r"coupling, of cost $E\|x_0 - \hat{x}\|^2 + E\|\hat{x} - m_\theta\|^2$.",
        sides={
            "network": formula.network_error,
            "discretisation": budget.discretisation,
            "start": budget.start_mismatch,
            "last_step": formula.learned_last_step_w2,
        },
        checks=(
            Check("symbolic", "the network error of a step", _b8_symbolic),
            Check("quadrature", "the network error of a step, golden and 9:1", _b8_step),
            Check("quadrature", "discretisation as the mean of KL(P‖Q), golden and 9:1", _b8_discretisation),
            Check("quadrature", "initial mismatch against C5 and C6", _b8_start),
            Check("quadrature", "the whole chain with a wrong denoiser, densities on a grid", _b8_chain),
            Check("quadrature", "equality for one step from t = 1", _b8_equality),
            Check("quadrature", "the last step of a wrong denoiser, coupled by quantiles", _b8_last_step),
        ),
        false_twins={
            r"$\tfrac{1}{4}$ for the network": {"network": lambda gap, error2: formula.network_error(gap, error2) / 2},
            "without the initial mismatch": {"start": lambda *_: 0.0},
            r"$\tfrac{1}{2}(\int mmse\,d\gamma - g_k\, mmse(\gamma_{k+1}))$": {"discretisation": _from_the_other_end},
            r"$W_2^2 \le mmse(\gamma_s)$ for any denoiser": {
                "last_step": lambda mmse, error2: formula.last_step_w2(mmse)
            },
        },
    )
)

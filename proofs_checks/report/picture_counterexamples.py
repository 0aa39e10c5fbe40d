"""Where statements stop: each panel a statement (dotted) and what happens without one of its assumptions."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes

from proofs_checks.instances import counterexample
from proofs_checks.instances.laws import GOLDEN
from proofs_checks.measurements.toy_steps import prior_posterior
from proofs_checks.report.figure import BLUE, GREEN, ORANGE, PURPLE, Picture, new_figure
from singtheory import Power, RectifiedFlow, divergence, formula, limit

_NEAR = tuple(10 ** (-5 + k / 4) for k in range(20))
"""Distances in time from an end."""
_SAMPLES = (4, 16, 64)
_GAPS = tuple(10 ** (-1 + k / 4) for k in range(17))

Step = Callable[[str], None]


def counterexamples_picture(step: Step) -> Picture:
    """B3, C3, D3, D4 and C8, each without one of its assumptions."""
    step("picture: counterexamples")
    figure = new_figure(7.0)
    panels = figure.subplot_mosaic("AABBCC;DDDEEE")
    for key, draw in zip("ABCDE", (_draw_support, _draw_slope, _draw_density, _draw_edge, _draw_uncond), strict=True):
        draw(panels[key])
        panels[key].grid(alpha=0.25, linewidth=0.6)
    return Picture(
        "counterexamples",
        "Where the statements stop: five counterexamples",
        "Dotted: what the statement says. Solid: what is so, with the assumption and without it. "
        "B3: Cauchy data at xₜ = 0 pass D²/4 for the diameter D of any number n of quantiles that stand for draws, as γ → 0. "
        "C3: three atoms with mean 0.17, at x = 0.8; the drift of α = 1 − t tends to |μ|, that of α = √(1 − t) diverges. "
        "D3: the KL of the reverse kernel from the Gaussian with its moments grows without bound for atoms (dotted: its lower bound); it is 0, "
        "and so is the TV, for Gaussian data at every gap. "
        "D4, rectified flow: the score of a smooth density tends to ∇log π; it diverges like 1/σ at the edge of a uniform density and like 1/σ² "
        "beside a line that holds all data. "
        "C8: the normalised rule leaves c as it is if u = 0; an unconditional output u equal to c is shrunk by 1/w.",
        "Five panels in which a curve leaves its dotted line where an assumption is dropped.",
        figure,
    )


def _draw_support(axes: Axes) -> None:
    snr = torch.logspace(-8, 1, 91, dtype=torch.float64)
    axes.plot(snr.tolist(), counterexample.cauchy_trace(snr).tolist(), color=ORANGE, label="Cauchy data")
    for samples, colour in zip(_SAMPLES, (BLUE, GREEN, PURPLE), strict=True):
        level = counterexample.cauchy_diameter(samples) ** 2 / 4
        axes.axhline(level, color=colour, linestyle=":", label=f"D²/4, D of n = {samples}")
    axes.set(
        xscale="log", yscale="log", xlabel="signal-to-noise ratio γ (no unit)", ylabel="tr C, squared units of the data"
    )
    axes.set_title("B3 without a bounded support")
    axes.legend(fontsize=7.5)


def _draw_slope(axes: Axes) -> None:
    x = torch.tensor([[0.8]], dtype=torch.float64)
    for schedule, label, colour in (
        (Power(1.0), "α = 1 − t", BLUE),
        (counterexample.STEEP, "α = √(1 − t): α̇(1) = −∞", ORANGE),
    ):
        drift = [float(limit.ode_drift(GOLDEN, schedule, x, 1 - u).norm()) for u in _NEAR]
        axes.plot(_NEAR, drift, color=colour, label=label)
    end = float(limit.terminal_drift(GOLDEN, Power(1.0), x).norm())
    axes.axhline(end, color=BLUE, linestyle=":", label="limit |α̇(1) μ|")
    axes.set(
        xscale="log", yscale="log", xlabel="1 − t (t from 0 to 1)", ylabel="|ODE drift|, units of the data per time"
    )
    axes.set_title("C3 without finite α̇(1)")
    axes.legend(fontsize=7.5)


def _draw_density(axes: Axes) -> None:
    atoms, smooth = prior_posterior(GOLDEN), counterexample.SMOOTH.posterior([0.0], 0.0)
    kl = [float(divergence.kl_moment_quadrature(atoms, gap).value) for gap in _GAPS]
    axes.plot(_GAPS, kl, color=BLUE, label="three atoms")
    # 0 at every draw; quadrature to a relative error of 0 takes seconds
    generator = torch.Generator().manual_seed(0)
    none = [float(divergence.kl_moment_draws(smooth, gap, 100, generator).mean()) for gap in _GAPS]
    axes.plot(_GAPS, none, color=ORANGE, label="Gaussian data: 0")
    bound = [float(limit.kl_atoms_lower(atoms, gap)) for gap in _GAPS]
    axes.plot(_GAPS, bound, color=BLUE, linestyle=":", label="½ log det(I + gC) − H(p)")
    axes.set(xscale="log", xlabel="gap g (no unit)", ylabel="KL(P‖M), nats", ylim=(-0.3, None))
    axes.set_title("D3 without atoms")
    axes.legend(fontsize=7.5)


def _draw_edge(axes: Axes) -> None:
    edge, off = (torch.tensor(x, dtype=torch.float64) for x in ([[1.0]], [[0.9, 1.5]]))
    smooth = [float(limit.score(counterexample.SMOOTH, RectifiedFlow(), edge, u).norm()) for u in _NEAR]
    uniform = [float(counterexample.uniform_score(RectifiedFlow(), edge, u).norm()) for u in _NEAR]
    beside = [float(limit.score(counterexample.LINE, RectifiedFlow(), off, u).norm()) for u in _NEAR]
    axes.plot(_NEAR, beside, color=PURPLE, label="a line, 0.3 beside it")
    axes.plot(_NEAR, uniform, color=ORANGE, label="uniform density, at its edge")
    axes.plot(_NEAR, smooth, color=BLUE, label="Gaussian density")
    axes.axhline(
        float(limit.data_score(counterexample.SMOOTH, edge).norm()), color=BLUE, linestyle=":", label="limit ‖∇log π‖"
    )
    axes.set(
        xscale="log", yscale="log", xlabel="noise level σ, units of the data", ylabel="‖score‖, per unit of the data"
    )
    axes.set_title("D4 without a smooth density")
    axes.legend(fontsize=7.5)


def _draw_uncond(axes: Axes) -> None:
    guidance, cond = torch.linspace(1, 15, 141, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for share, label, colour in ((0.5, "u = c/2", PURPLE), (1.0, "u = c: 1/w", ORANGE)):
        guided = formula.normalised_guidance(cond, share * cond, guidance)
        axes.plot(guidance.tolist(), guided.tolist(), color=colour, label=label)
    axes.axhline(1.0, color=BLUE, linestyle=":", label="u = 0: exact")
    axes.set(xlabel="guidance w (no unit)", ylabel=r"$\bar{y}_w$, in units of c", ylim=(0, 1.1))
    axes.set_title("C8 without u = 0")
    axes.legend(fontsize=7.5)

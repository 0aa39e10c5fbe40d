"""The ladder of bounds against the measured error: over the gap, and along the steps of a sampler."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from proofs_checks.harness.context import Context
from proofs_checks.harness.slope import fitted_slope
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.instances.laws import GOLDEN
from proofs_checks.measurements.toy_steps import prior_posterior
from proofs_checks.report.figure import BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW, Picture, new_figure
from singtheory import bound, divergence, numerics, schedule_named
from singtheory.bound import Row, step_rows
from singtheory.grid import leading
from singtheory.law import AtomsPosterior

_STYLES = {
    "kl_trace_bound": ("B3  ½ g tr C", ORANGE, "-"),
    "kl_pair_bound": ("B9  pairs, upper", GREEN, "-"),
    "kl_chi2_bound": ("B2  log(1 + χ²)", BLUE, "-"),
    "kl_family_bound": ("B10  family", PURPLE, "-"),
    "kl_small_gap": ("B6  ¼ g²‖C‖²", YELLOW, ":"),
    "kl_gauss_lower": ("B5  Gaussian part, lower", SKY, "--"),
    "kl_pair_lower": ("B9  pairs, lower", GREEN, "--"),
    "tv_trace_bound": ("B3  √(g tr C/2π)", ORANGE, "-"),
    "tv_norm_bound": ("B3  E[2Φ(√g‖ξ‖/2) − 1]", YELLOW, "-"),
    "tv_chi2_bound": ("B2  ½ √χ²", BLUE, "-"),
    "tv_family_bound": ("B12  through B10", PURPLE, "-"),
}
"""Label, colour and line of each bound, in the order of the legend."""
_ORDINATES = {"kl": "KL(P‖Q), nats", "tv": "TV(P, Q), from 0 to 1"}
_TOY_GAPS = tuple(10 ** (-3 + k / 4) for k in range(25))
_DATA_NATS = tuple(10 ** (-3 + k / 2) for k in range(10))
_SLOPE_POINTS = 3

Step = Callable[[str], None]


@dataclass(frozen=True)
class _Curves:
    """Measured KL and TV and every bound over the gap, for one posterior."""

    title: str
    gaps: Sequence[float]
    measured: Mapping[str, Sequence[tuple[float, float, float]]]
    bounds: Mapping[str, Sequence[float]]


def ladder_picture(context: Context, step: Step) -> Picture:
    """Measured KL and TV against every bound over the gap, log-log, for the golden law and for one posterior of the data."""
    curves = [_toy_curves(step), _data_curves(context, step)]
    figure = new_figure(9.4)
    panels = figure.subplots(2, 2)
    for row, curve in zip(panels, curves, strict=True):
        for axes, quantity in zip(row, ("kl", "tv"), strict=True):
            _draw_curves(axes, curve, quantity)
    return Picture(
        "ladder",
        "The ladder of bounds over the gap",
        "KL (nats) and total variation between the exact reverse kernel P and the plug-in Gaussian Q over the gap "
        "g = γₛ − γₜ between the signal-to-noise ratios of a step, with every inequality that bounds them: solid ones from above, dashed ones "
        "from below; the dotted one is the leading order at small gaps. "
        f"The slope of each curve is fitted over its {_SLOPE_POINTS} smallest gaps and stands beside the declared rate. Above: three "
        "atoms on a line, by quadrature. Below: one posterior of the data, by Monte Carlo, the same draws at every gap, with "
        "intervals at 99 % (often smaller than the dots).",
        "Log-log plots of measured divergences below the upper bounds and above the lower bounds for all gaps.",
        figure,
    )


def _toy_curves(step: Step) -> _Curves:
    step("picture: ladder, golden law")
    posterior = prior_posterior(GOLDEN)
    kl = [divergence.kl_quadrature(posterior, g) for g in _TOY_GAPS]
    tv = [divergence.tv_exact(posterior, g) for g in _TOY_GAPS]
    measured = {"kl": [_triple(e) for e in kl], "tv": [_triple(e) for e in tv]}
    return _Curves("golden law (3 atoms, d = 1)", _TOY_GAPS, measured, _bounds(posterior, _TOY_GAPS))


def _data_curves(context: Context, step: Step) -> _Curves:
    """At a moderate noise level, from gaps of a thousandth of a nat up."""
    name, law = excerpt(context)
    generator = context.within("ladder picture").generator()
    snr = 1 / float(law.cov.trace())
    z = snr**0.5 * law.sample(1, generator) + numerics.normal((1, law.dim), law.device, generator)
    posterior = law.posterior(z, snr)
    gaps = [2 * nats / float(posterior.trace_cov) for nats in _DATA_NATS]
    kl, tv = [], []
    for gap in gaps:
        step(f"picture: ladder, g = {gap:.2g}")
        generator = context.within("ladder draws").generator()
        kl.append(_triple(divergence.kl_monte_carlo(posterior, gap, 3000, generator, 0.99)))
        tv.append(_triple(divergence.tv_monte_carlo(posterior, gap, 1500, generator, 0.99)))
    title = f"{name} ({len(law.points)} atoms, d = {law.dim}), one xₜ at γ = {snr:.2g}"
    return _Curves(title, gaps, {"kl": kl, "tv": tv}, _bounds(posterior, gaps))


def _triple(estimate: divergence.Estimate) -> tuple[float, float, float]:
    return float(estimate.low), float(estimate.value), float(estimate.high)


def _bounds(posterior: AtomsPosterior, gaps: Sequence[float]) -> dict[str, list[float]]:
    ladders = [bound.evaluate_ladder(posterior, gap) for gap in gaps]
    return {name: [float(ladder[name]) for ladder in ladders] for name in ladders[0]}


def _draw_curves(axes: Axes, curve: _Curves, quantity: str) -> None:
    low, value, high = zip(*curve.measured[quantity], strict=True)
    axes.errorbar(
        curve.gaps,
        value,
        yerr=[
            [max(0.0, v - least) for v, least in zip(value, low, strict=True)],
            [h - v for v, h in zip(value, high, strict=True)],
        ],
        fmt="o",
        color="black",
        markersize=3.5,
        linewidth=1,
        zorder=5,
        label=f"measured: slope {_slope(curve.gaps, value)}",
    )
    for name in _drawn(curve.bounds, quantity):
        _, colour, line = _STYLES[name]
        axes.plot(
            curve.gaps,
            _positive(curve.bounds[name]),
            color=colour,
            linestyle=line,
            linewidth=1.5,
            label=_label(name, curve),
        )
    axes.set(xscale="log", yscale="log", xlabel="gap g (no unit)", ylabel=_ORDINATES[quantity])
    axes.set_title(curve.title, parse_math=False)
    positive = [v for v in value if v > 0]
    axes.set_ylim(min(positive) / 10, max(positive) * (30 if quantity == "kl" else 8))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=7.5, loc="lower right")


def _drawn(bounds: Iterable[str], quantity: str) -> list[str]:
    """The bounds of a quantity that were evaluated, in the order of the legend."""
    return [name for name in _STYLES if name in set(bounds) and name.startswith(quantity)]


def _positive(values: Iterable[float]) -> list[float]:
    """What a logarithmic axis can show; gaps elsewhere."""
    return [value if value > 0 else math.nan for value in values]


def _label(name: str, curve: _Curves) -> str:
    """A bound's name, its fitted slope and the declared rate."""
    rate, label = bound.bound_named(name).rate, _STYLES[name][0]
    if rate is None:
        return f"{label}: negative for small g"
    return f"{label}: slope {_slope(curve.gaps, curve.bounds[name])} (declared {rate:g})"


def _slope(gaps: Sequence[float], values: Sequence[float]) -> str:
    return f"{fitted_slope(gaps[:_SLOPE_POINTS], values[:_SLOPE_POINTS]):.2f}"


def grid_picture(context: Context, step: Step, queries: int = 1, steps: int = 50) -> Picture:
    """The ladder along a sampler's grid: Stable Diffusion's schedule, leading spacing."""
    schedule = schedule_named("sd")
    name, law = excerpt(context)
    times, rows = leading(schedule, steps), []
    for index in range(len(times) - 1):
        step(f"picture: step {index + 1} of {steps}")
        generator = context.within("grid picture").generator()
        rows += step_rows(law, schedule, times[index : index + 2], queries, generator)
    figure = new_figure(4.8)
    for axes, quantity in zip(figure.subplots(1, 2), ("kl", "tv"), strict=True):
        _draw_rows(axes, rows, quantity)
    return Picture(
        "grid",
        f"The same along a {steps}-step sampler",
        f"Each step of DDIM's leading grid with Stable Diffusion's schedule on {name}: dots are KL (nats) and TV at {_draws(queries)} of "
        "xₜ, from the same x₀ and the same noise at every step, KL as B5's Gaussian part and the measured rest; lines are the bounds at the "
        "same xₜ. "
        "The grey band is the 99 % interval for the mean over all xₜ, valid at every sample size and therefore wide where rare xₜ could "
        "decide, as at small t: there most xₜ have a single atom near them and almost no error. A sampler runs from right to left.",
        "KL and TV of each sampler step with their bounds over time.",
        figure,
    )


def _draws(queries: int) -> str:
    return "one draw" if queries == 1 else f"the mean of {queries} draws"


def _measured(row: Row, quantity: str) -> float:
    """KL by B5, as its exact Gaussian part and a measured rest: less noise than the row's own value, in which nothing is exact."""
    return row["kl_gauss_lower"] + row["kl_moment_matched"] if quantity == "kl" else row[quantity]


def _draw_rows(axes: Axes, rows: Sequence[Row], quantity: str) -> None:
    times = [row["t"] for row in rows]
    axes.fill_between(
        times,
        [row[f"{quantity}_low"] for row in rows],
        [row[f"{quantity}_high"] for row in rows],
        color="0.85",
        label="99 % interval of the mean over all xₜ",
    )
    for name in _drawn(rows[0], quantity):
        label, colour, line = _STYLES[name]
        values = _positive(row[name] for row in rows)
        axes.plot(times, values, color=colour, linestyle=line, linewidth=1.4, label=label)
    axes.plot(times, _positive(_measured(row, quantity) for row in rows), "k.", markersize=5, label="measured")
    axes.set(yscale="log", xlabel="time t at which the step starts, from 0 to 1", ylabel=_ORDINATES[quantity])
    axes.set_ylim((1e-7, 1e2) if quantity == "kl" else (1e-5, 3))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=7.5, ncols=2, loc="lower center")

"""The two ends of time in pictures: what stays finite, what does not, and digits denoised on the way."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from proofs_checks.harness.context import Context
from proofs_checks.instances.excerpt import excerpt
from proofs_checks.report.figure import BLUE, GREEN, ORANGE, PURPLE, SKY, Picture, new_figure
from singtheory import Atoms, Cosine, limit, numerics, schedule_named

_SCHEDULES = {
    "cosine": ("cosine", BLUE),
    "rectified-flow": ("rectified flow", ORANGE),
    "power:0.5": ("α = √(1 − t)", GREEN),
    "power:2": ("α = (1 − t)²", PURPLE),
    "sd": ("Stable Diffusion", SKY),
}
"""Label and colour of each schedule."""
_TO_ONE = ("cosine", "rectified-flow", "power:0.5", "power:2")
_TO_ZERO = ("cosine", "rectified-flow", "sd")
_PREDICTIONS = {"epsilon": ("ε", BLUE), "x": ("x", ORANGE), "v": ("v", GREEN)}
_TIME = "time t, from 0 to 1"
_NEAR = tuple(10 ** (-5 + k / 4) for k in range(20))
"""Distances in time from an end."""
_TIMES = (1.0, 0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.05)

Step = Callable[[str], None]


def limits_picture(context: Context, step: Step) -> Picture:
    """Denoiser, drift and conditioning towards t = 1; denoiser, score and predictions towards t = 0."""
    step("picture: limits")
    name, law = excerpt(context)
    generator = context.within("limits picture").generator()
    x_1 = numerics.normal((1, law.dim), law.device, generator)
    figure = new_figure(7.4)
    panels = figure.subplots(2, 3)
    _draw_to_mean(panels[0, 0], law, x_1)
    _draw_drift(panels[0, 1], law, x_1)
    _draw_conditioning(panels[0, 2])
    _draw_to_atom(panels[1, 0], law, x_1)
    _draw_score(panels[1, 1], law, x_1)
    _draw_predictions(panels[1, 2], law, x_1)
    return Picture(
        "limits",
        "The limits at t = 1 and at t = 0",
        f"On {name}, exact denoiser. Above, towards t = 1: the denoiser tends to the mean at the order of α (C1); the drift of the "
        "probability flow tends to a limit, except where α̇(1) is infinite and the mean is not zero (C3, α = √(1 − t)); an error in ε is "
        "amplified without bound, one in x or v is not (C2). Below, towards t = 0: the denoiser becomes the nearest atom, faster than any power (D1); "
        "the score at a fixed distance from the data grows like dist/σ² (D2), while the exact ε-, x- and v-predictions along noised data stay bounded.",
        "Six panels of norms against the distance in time from each end.",
        figure,
    )


def _draw_to_mean(axes: Axes, law: Atoms, x_1: Tensor) -> None:
    for name in _TO_ONE:
        schedule, (label, colour) = schedule_named(name), _SCHEDULES[name]
        values = [float((limit.denoiser(law, schedule, x_1, 1 - u) - law.mean).norm()) for u in _NEAR]
        axes.plot(_NEAR, values, color=colour, label=label)
        alphas = [float(schedule.alpha(1 - u)) for u in _NEAR]
        axes.plot(_NEAR, [values[0] / alphas[0] * a for a in alphas], color=colour, linestyle=":", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="1 − t", ylabel="‖x̂ − μ‖, units of the data")
    axes.set_title("t → 1: denoiser to mean (dotted: ∝ α)")
    axes.legend(fontsize=7.5)


def _draw_drift(axes: Axes, law: Atoms, x_1: Tensor) -> None:
    for name in _TO_ONE:
        schedule, (label, colour) = schedule_named(name), _SCHEDULES[name]
        values = [float(limit.ode_drift(law, schedule, x_1, 1 - u).norm()) for u in _NEAR]
        axes.plot(_NEAR, values, color=colour, label=label)
        if bool(torch.isfinite(schedule.alpha_dot(1.0))):
            end = float(limit.terminal_drift(law, schedule, x_1).norm())
            if end > 0:
                axes.axhline(end, color=colour, linestyle=":", linewidth=1)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="1 − t",
        ylabel="‖drift‖ per unit time",
        title="t → 1: ODE drift (dotted: its limit)",
    )
    axes.set_ylim(bottom=1e-2)
    axes.legend(fontsize=7.5)


def _draw_conditioning(axes: Axes) -> None:
    times = torch.linspace(0.001, 0.9999, 400, dtype=torch.float64)
    for name, values in limit.conditioning(Cosine(), times).items():
        label, colour = _PREDICTIONS[name]
        axes.plot(times.tolist(), values.tolist(), color=colour, label=f"{label}-prediction")
    axes.set(
        yscale="log",
        xlabel=_TIME,
        ylabel="error in x̂ per error in the prediction",
        title="conditioning (cosine schedule)",
    )
    axes.legend(fontsize=7.5)


def _draw_to_atom(axes: Axes, law: Atoms, noise: Tensor) -> None:
    for name in _TO_ZERO:
        schedule, (label, colour) = schedule_named(name), _SCHEDULES[name]
        times = torch.linspace(0.02, 0.6, 40, dtype=torch.float64)
        values = [_distance_to_atom(law, noise, *map(float, schedule(t))) for t in times]
        axes.plot(times.tolist(), values, color=colour, label=label)
    axes.set(yscale="log", ylim=(1e-16, None), xlabel=_TIME, ylabel="‖x̂ − nearest atom‖, units of the data")
    axes.set_title("t → 0: denoiser to nearest atom")
    axes.legend(fontsize=7.5)


def _distance_to_atom(law: Atoms, noise: Tensor, alpha: float, sigma: float) -> float:
    """From the denoised noisy first point to the nearest point of the data."""
    x_t = alpha * law.points[:1] + sigma * noise
    x_hat = limit.denoiser_direct(law, x_t, torch.tensor(alpha), torch.tensor(sigma))
    nearest = law.points[limit.nearest_atom(law, x_t, torch.tensor(alpha))]
    return max(float((x_hat - nearest).norm()), 1e-17)


def _draw_score(axes: Axes, law: Atoms, direction: Tensor) -> None:
    """At a fixed point that lies half a unit from an atom."""
    x = law.points[:1] + 0.5 * direction / direction.norm()
    for name in _TO_ZERO[:2]:
        schedule, (label, colour) = schedule_named(name), _SCHEDULES[name]
        axes.plot(_NEAR, [float(limit.score(law, schedule, x, t).norm()) for t in _NEAR], color=colour, label=label)
        asymptote = [0.5 / float(schedule.sigma(t)) ** 2 for t in _NEAR]
        axes.plot(_NEAR, asymptote, color=colour, linestyle=":", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="t", ylabel="‖score‖, per unit of the data")
    axes.set_title("t → 0: score at distance ½ (dotted: dist/σ²)")
    axes.legend(fontsize=7.5)


def _draw_predictions(axes: Axes, law: Atoms, noise: Tensor) -> None:
    schedule = schedule_named("cosine")
    times = torch.linspace(0.001, 1.0, 100, dtype=torch.float64).tolist()
    errors = [
        limit.predictions(law, schedule, schedule.alpha(t) * law.points[:1] + schedule.sigma(t) * noise, t)
        for t in times
    ]
    for name, (label, colour) in _PREDICTIONS.items():
        axes.plot(times, [float(getattr(p, name).norm()) for p in errors], color=colour, label=f"{label}-prediction")
    axes.axhline(law.dim**0.5, color="0.6", linestyle=":", linewidth=1, label="√d")
    axes.set(xlabel=_TIME, ylabel="norm", ylim=(0, None), title="exact predictions along noised data")
    axes.legend(fontsize=7.5)


def thumbnails_picture(context: Context, step: Step, count: int = 3) -> Picture:
    """Noised images of the data and what the exact denoiser makes of them at several times; the data must be images."""
    step("picture: thumbnails")
    shape = context.data.image_shape
    assert shape is not None
    law, schedule = context.data.law, Cosine()
    generator = context.within("thumbnails").generator()
    x_0, noise = law.sample(count, generator), numerics.normal((count, context.data.dim), law.device, generator)
    figure = new_figure(0.72 * 2 * count + 1.0)
    panels = figure.subplots(2 * count, len(_TIMES) + 1)
    for column, t in enumerate((*_TIMES, 0.0)):
        x_t = schedule.alpha(t) * context.data.lift(x_0) + schedule.sigma(t) * noise
        inside = x_t if context.data.span is None else context.data.span.project(x_t)
        x_hat = context.data.lift(limit.denoiser(law, schedule, inside, t))
        for row in range(count):
            _show(panels[2 * row, column], x_t[row], shape)
            _show(panels[2 * row + 1, column], x_hat[row], shape)
        panels[0, column].set_title(f"t = {t:g}", fontsize=9)
    for row in range(count):
        panels[2 * row, 0].set_ylabel("xₜ", rotation=0, labelpad=14, va="center", fontsize=9)
        panels[2 * row + 1, 0].set_ylabel("x̂", rotation=0, labelpad=14, va="center", fontsize=9)
    return Picture(
        "thumbnails",
        "Images denoised at several times",
        f"Images of {context.data.name}, noised by the cosine schedule (xₜ) and denoised exactly (x̂ = E[x₀ | xₜ]), grey levels clipped to [−1, 1]. At t = 1 "
        "the denoiser shows the mean of the data whatever the noise; towards t = 0 it shows the nearest image of the data.",
        "Rows of noisy images turning into digits, and their denoised versions turning from the mean image into one digit.",
        figure,
    )


def _show(axes: Axes, image: Tensor, shape: tuple[int, ...]) -> None:
    pixels = (image.reshape(shape).clamp(-1, 1) + 1) / 2
    axes.imshow(pixels.cpu().numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])

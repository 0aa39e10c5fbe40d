r"""The singular step of flow matching: the first step from σ = 1, widened to the spread of the noised data (C7, F2, F4).

A flow starts at `α = 0`, where noise is right. Its first step from there to s gives `α_s x̂ + σ_s x_1` with the network's mean image `x̂`, which is
the mean start at s and as narrow: along an eigenvalue λ it keeps `1/√(1 + γ_s λ)` of the spread. The mended step gives instead

    α_s m + σ_s x_1 + Σ_k (√(α_s² λ_k + σ_s²) − σ_s) ⟨x_1, φ_k⟩ φ_k

with m the network's own x̂ or a given average image. No scheduler is listed. What the first step does is measured on a copy of the scheduler: how
much it keeps of the latents, of the model's output, and how much noise it draws. From these follow `α_s`, and the part κ of `x_1` that is kept; if
they do not fit a flow whose network gives a velocity, the scheduler is refused. Where the step draws noise of variance η², `κ² + η² = σ_s²`,
and κ stands in the place of `σ_s` in the widening (`formula.widening`).

Multistep solvers reuse outputs of the network, and two-stage ones the first stage. None of these knows of the widening, and what they
extrapolate from the first output takes up to a half of it back. So after the mended step the solver is put back to how it would begin at s: it
starts there, from the right start. Of a two-stage step from σ = 1 the second stage moves nothing.
"""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from singdiffusion.base import Pulses, Scheduler, begun_at, matches_flow
from singdiffusion.start.flow_checks import checked, writes
from singdiffusion.system import told_in_one_line
from singtheory import formula
from singtheory.errors import InputError
from singtheory.start import Components

FIT = 2e-3
"""How far a measured step may be from that of a flow: schedulers step in float32."""
START_GAP = 0.01
"""Up to this α a start counts as one at σ = 1: the grids of some schedulers begin a step of 1000 later, or at Karras' largest σ."""
HOOKED = ("step", "set_timesteps")
"""The methods of a scheduler in whose place `SingDiffusion` puts its own."""
_SLICES = 256
"""The slices of the entries of latents in which products along directions are summed: more than a GPU has units."""
_PROBES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.75, -1.25, 0.0), (600.0, -800.0, 0.0))
"""Latents, model outputs and drawn noise with which a step is measured; the last two tell whether it is linear."""


class FirstStep(NamedTuple):
    """What a scheduler's first step does, measured: from `(α, σ)` it gives `α_s x̂ + κ x_1`, and noise where it draws some.

    Attributes:
        alpha: α where it starts, 0 or nearly.
        sigma: σ there.
        alpha_s: α where it arrives.
        sigma_s: σ there.
        kept_std: κ, what is kept of `x_1`; `σ_s` for a step that draws no noise.
        of_sample: the factor of the latents in the result.
        of_output: the factor of the model's output.
        sign: the model's output is `sign (x − x̂)/σ`.
        stages: how many calls of `step` make the first step; 2 for Heun's.
        rising: whether the scheduler's sigmas run from 0 to 1, as 1 − σ.
    """

    alpha: float
    sigma: float
    alpha_s: float
    sigma_s: float
    kept_std: float
    of_sample: float
    of_output: float
    sign: int
    stages: int
    rising: bool

    def sigma_at(self, sigma: float) -> float:
        """σ for one of the scheduler's sigmas."""
        return 1 - sigma if self.rising else sigma

    def x_hat(self, sample: Tensor, model_output: Tensor) -> Tensor:
        """The image that the network means, of the shape of both."""
        return sample - self.sign * self.sigma * model_output

    def widening(self, eigenvalue: Tensor, x_hat_from_network: bool) -> Tensor:
        """The share of `x_1` by which the result is widened along directions of eigenvalue λ, of the shape of λ.

        A network that starts a little below σ = 1 has part of the deviation in its x̂ already: what is missing is `√v_s` less what the step of
        the exact denoiser keeps (F1).
        """
        if not x_hat_from_network or self.alpha == 0:
            return formula.widening(self.alpha_s, self.kept_std, eigenvalue, torch)
        keeps = formula.ddim_spread_factor(self.alpha, self.alpha_s, self.sigma, self.kept_std, eigenvalue)
        return formula.marginal_var(self.alpha_s, self.kept_std, eigenvalue) ** 0.5 - keeps


def sample_of(result: Any) -> Tensor:
    """The latents that a scheduler's `step` gives, as a tuple or by name."""
    return result[0] if isinstance(result, tuple) else result.prev_sample


def first_step(
    x_1: Tensor,
    model_output: Tensor,
    scheduler: Scheduler,
    *,
    mean: Tensor | None = None,
    spread: Any = None,
    timestep: Any = None,
    **step: Any,
) -> Tensor:
    """The latents after the first step of a flow, mended; use it in the place of `scheduler.step` at the first timestep.

        for i, t in enumerate(scheduler.timesteps):
            v = network(x, t)
            x = first_step(x, v, scheduler, spread=spread) if i == 0 else scheduler.step(v, t, x).prev_sample

    The scheduler is left as if it began at its second timestep (see above). Nothing is drawn beside what its own step draws.

    Args:
        x_1: the noise from which sampling starts, shape (batch, channels, ...).
        model_output: of the network for it, with guidance in it, of the same shape.
        scheduler: of diffusers, after `set_timesteps` and before its first step.
        mean: the average image m, of the shape of `x_1` or one that broadcasts to it; the network's own x̂ if None, which costs nothing.
        spread: `(basis, std)`: orthonormal `φ_k`, shape (k, *x_1.shape[1:]), and `√λ_k`, shape (k,) or (batch, k).
        timestep: what `step` is given; the scheduler's first if None.
        step: to `scheduler.step` besides, such as a generator.

    Returns:
        Shape and dtype of what the scheduler's own step gives. Computed in float32 or better.

    Raises:
        InputError: for neither mean nor spread; for a spread that is not orthonormal or does not fit; for NaN and infinities; for a scheduler that
            is not of flow matching, has begun, starts elsewhere than at σ = 1, or steps in two stages, for which use `SingDiffusion`;
            and for one to which `SingDiffusion` is attached already.
    """
    if "step" in vars(scheduler):
        raise InputError(
            f"{type(scheduler).__name__}: a singular step is attached to it, and mends its first step; detach it first"
        )
    first = measured(scheduler)
    if first.stages > 1:
        raise InputError(
            f"{type(scheduler).__name__}: takes its first step in two stages; attach SingDiffusion instead"
        )
    check_start(first, scheduler)
    components = checked(x_1, model_output, mean, spread)
    began = Began.of(scheduler)
    now = scheduler.timesteps[began.begin] if timestep is None else timestep
    result = began.step(scheduler, first.stages, lambda: scheduler.step(model_output, now, x_1, **step))
    return mended(sample_of(result), x_1, model_output, first, mean, components)


def mended(
    plain: Tensor,
    x_1: Tensor,
    model_output: Tensor,
    first: FirstStep,
    mean: Tensor | None,
    components: Components | None,
) -> Tensor:
    """What a scheduler's first step gave, mended; all of the shape of `x_1`, checked before."""
    dtype = torch.promote_types(plain.dtype, torch.float32)
    result = plain.to(dtype)
    if mean is not None:
        keeps = first.kept_std / first.sigma  # of the latents, and then the rest is of x̂ = x_1 − sign σ v
        of_x_hat = first.alpha_s - keeps * first.alpha
        result = result.add(x_1, alpha=first.kept_std - keeps - of_x_hat)
        result = result.add(model_output, alpha=of_x_hat * first.sign * first.sigma).add(mean, alpha=first.alpha_s)
        result = result.to(dtype)  # latents or a mean in float64 widen it
    if components is not None:
        rows = components.basis.flatten(1).to(dtype)
        wider = first.widening(components.std.to(dtype) ** 2, mean is None)
        along = wider * projected(x_1.flatten(1).to(dtype), rows)
        result = torch.addmm(result.flatten(1), along, rows).reshape(x_1.shape)
    return result.to(plain.dtype)


def projected(values: Tensor, rows: Tensor) -> Tensor:
    """`⟨x, φ_k⟩`, shape (batch, k), of values (batch, d) along directions (k, d), in their dtype.

    Summed in slices of d that a GPU works on side by side: as one product of few rows and few columns it is the work of a few of its units.
    """
    slices = math.gcd(rows.shape[1], _SLICES)
    parts = values.unflatten(1, (slices, -1)).transpose(0, 1) @ rows.unflatten(1, (slices, -1)).permute(1, 2, 0)
    return parts.sum(dim=0)


def check_start(first: FirstStep, scheduler: Scheduler) -> None:
    """Raise `InputError` unless the first step starts at σ = 1."""
    if first.alpha > START_GAP:
        raise InputError(
            f"{type(scheduler).__name__}: starts at sigma {first.sigma:.4g}, where the start from noise lacks {first.alpha:.4g} of the "
            "average image; give sigmas that start at 1, or the matched start of singtheory.start.starts"
        )


def measured(scheduler: Scheduler) -> FirstStep:
    """What the first step does, on a copy.

    Raises:
        InputError: for a scheduler that is not of flow matching, has no timesteps, has begun, or whose step is not that of a flow
            for a network that gives a velocity.
    """
    name = type(scheduler).__name__
    if not matches_flow(scheduler):
        raise InputError(f"{name}: matches no flow; its start is mended by initial_latents")
    index = Began.of(scheduler).begin
    sigmas = getattr(scheduler, "sigmas", None)
    if not isinstance(sigmas, Tensor) or sigmas.ndim != 1 or len(sigmas) < index + 2:
        raise InputError(f"{name}: holds no grid of sigmas, so its first step is not known; use another scheduler")
    probe = on_cpu(scheduler)  # from which all is read: every read from a GPU waits for it
    now, after = probe.sigmas[index : index + 2].double().tolist()
    stages = _stages(probe, index)
    kept, gain, drawn = _factors(probe, index)
    # a network gives (x − x̂)/σ or its negative, and sigmas run from 1 to 0 or from 0 to 1: what is measured fits one pair
    for sign, rising in itertools.product((1, -1), (False, True)):
        sigma, sigma_s = (1 - now, 1 - after) if rising else (now, after)
        if sigma <= 0:
            continue
        keeps, alpha = kept + sign * gain / sigma, max(0.0, 1 - sigma)
        alpha_s = keeps * alpha - sign * gain / sigma
        first = FirstStep(alpha, sigma, alpha_s, sigma_s, keeps * sigma, kept, gain, sign, stages, rising)
        off = (alpha_s + sigma_s - 1, math.hypot(first.kept_std, drawn) - sigma_s)
        if max(map(abs, off)) <= FIT and alpha_s >= 0:
            return first
    raise InputError(
        f"{name}: its first step gives {kept:.4g} of the latents and {gain:.4g} of the model's output from sigma {now:.4g} to {after:.4g}, "
        "which is no flow with a network that gives its velocity; use another scheduler"
    )


class Measured(NamedTuple):
    """A first step with what it was measured on.

    Attributes:
        first: the step.
        seen: the scheduler's configuration, begin, sigmas and timesteps, and how often these were written to.
    """

    first: FirstStep
    seen: tuple[Any, ...]

    @classmethod
    def of(cls, scheduler: Scheduler, known: "Measured | None" = None) -> "Measured":
        """What is known, if that is of this scheduler as it is now; else measured. Raises `InputError` as `measured`."""
        grids = [getattr(scheduler, name, None) for name in ("sigmas", "timesteps")]
        counts = [writes(one) for one in grids]
        seen = (scheduler, scheduler.config, *grids, *counts, getattr(scheduler, "begin_index", None))
        if known is not None and None not in counts and all(map(_same, seen, known.seen)):
            return known
        return cls(measured(scheduler), seen)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, int) and isinstance(other, int) and one == other)


class Began(NamedTuple):
    """A scheduler before its first step.

    Attributes:
        begin: index of its first timestep.
        state: its attributes.
    """

    begin: int
    state: dict[str, Any]

    @classmethod
    def of(cls, scheduler: Scheduler) -> "Began":
        """Raises `InputError` for a scheduler before `set_timesteps`, and for one that has begun."""
        name = type(scheduler).__name__
        if getattr(scheduler, "num_inference_steps", 0) is None or not len(getattr(scheduler, "timesteps", ())):
            raise InputError(f"{name}: call set_timesteps first; before it the first step is not known")
        if getattr(scheduler, "step_index", None) is not None:
            raise InputError(
                f"{name}: has stepped already, and is at sigma < 1; call set_timesteps again to start anew"
            )
        index = getattr(scheduler, "begin_index", None) or 0
        kept = {key: value for key, value in vars(scheduler).items() if key not in HOOKED}
        # solvers write into their lists, and put new tensors in the place of old ones
        return cls(index, {key: list(value) if isinstance(value, list) else value for key, value in kept.items()})

    def step(self, scheduler: Scheduler, stages: int, step: Callable[[], Any]) -> Any:
        """What its first step gives, after which it is as it was, but at the timestep after it.

        It is said to begin where it stands, as pipelines may say: else it looks for its timestep on the device, and waits for that.
        """
        try:
            begun_at(scheduler, self.begin)
            result = step()
        except BaseException:
            vars(scheduler).update(self.state)
            raise
        self.at_second(scheduler, stages)
        return result

    def at_second(self, scheduler: Scheduler, stages: int) -> None:
        """Let the scheduler be as it was, but at the timestep after the first step."""
        vars(scheduler).update(self.state)
        scheduler._step_index = self.begin + stages


def on_cpu(scheduler: Scheduler) -> Scheduler:
    """A copy of a scheduler on the CPU, to be stepped there; without the methods that `SingDiffusion` puts into it."""
    grids, config = (scheduler.timesteps, scheduler.sigmas), scheduler.config
    made: dict[int, Any] = {id(grid): grid.to("cpu", copy=True) for grid in grids}  # not copied where they are first
    made[id(config)] = config  # it is frozen, and copying it takes longer than the rest
    return copy.deepcopy(scheduler, made)


def _stages(scheduler: Scheduler, index: int) -> int:
    """How many timesteps belong to the first step: one that comes twice is a second stage, of solvers that have one; others round many to one."""
    timesteps = scheduler.timesteps[index : index + 4].tolist()
    stages = 1
    most = getattr(scheduler, "order", 1)
    while stages < most and stages + 1 < len(timesteps) and timesteps[stages] == timesteps[stages + 1]:
        stages += 1
    return stages


def _factors(probe: Scheduler, index: int) -> tuple[float, float, float]:
    """The factors of the latents, of the model's output, and of the noise that is drawn, in what the first step of a copy gives."""
    name = type(probe).__name__
    kept, gain, drawn, *others = _stepped(probe, index)
    if not all(map(math.isfinite, (kept, gain, drawn))):
        raise InputError(f"{name}: its first step gives NaN or infinity; take more steps, or another scheduler")
    for value, (x, u, _) in zip(others, _PROBES[3:], strict=True):
        if not abs(value - kept * x - gain * u) <= 1e-4 * (abs(kept * x) + abs(gain * u) + 1e-3):
            raise InputError(f"{name}: its first step is not linear, as where it clips; use another scheduler")
    return kept, gain, drawn


def _stepped(probe: Scheduler, index: int) -> list[float]:
    """What the first step of a copy gives for each of the probes, an entry of the batch each; nothing is drawn."""
    begun_at(probe, index)
    sample, output, noise = torch.tensor(_PROBES, dtype=torch.float64).mT.contiguous()
    amounts = torch.stack([torch.zeros_like(noise), noise], dim=1)
    failure = f"{type(probe).__name__}: cannot be stepped"
    with told_in_one_line(failure, "use another scheduler"), torch.no_grad(), Pulses(amounts):
        stepped = probe.step(output.view(-1, 1, 1, 1), probe.timesteps[index], sample.view(-1, 1, 1, 1)).prev_sample
    return stepped.flatten().tolist()

"""`python -m tests.singdiffusion.scheduler.flow_matrix`: what the first step gives, over the flow schedulers of diffusers, their shifts and sigma rules.

Each configuration runs in a real pipeline, Stable Diffusion 3 made tiny, up to its first step: once as it is and once with the singular step
attached, from the same noise. The state after that step is compared with the formula, written out here in float64. A configuration
that the unmodified pipeline cannot run is counted apart with its error, and one that is refused at `attach` with the reason. The last
result is `flow_matrix.json`.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from singdiffusion import SingDiffusion
from singtheory import InputError
from tests.singdiffusion.scheduler.matrix import Reached, Tally
from tests.singdiffusion.support import tiny_flow
from tests.support.out_file import asked

STEPS = (1, 2, 4, 10, 28, 50)
SHIFTS = (1.0, 3.0, 0.5, 12.0)
SIGMA_RULES = ("", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
MEANS = ("network", "given")
TOLERANCE = 1e-3
RESULT = Path(__file__).parent / "flow_matrix.json"
CUSTOM = (1.0, 0.9, 0.4, 0.2)
_SHAPE = (tiny_flow.CHANNELS, 8, 8)
_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

diffusers.utils.logging.set_verbosity_error()


def schedulers() -> dict[str, list[Any]]:
    """Configured flow schedulers by the name of their class."""
    euler = [
        *({"shift": s, **_rule(rule)} for s in SHIFTS for rule in SIGMA_RULES),
        *({"shift": 3.0, "shift_terminal": 0.1, **_rule(rule)} for rule in SIGMA_RULES),
        *(
            {"use_dynamic_shifting": True, "time_shift_type": kind, **_rule(r)}
            for kind in ("exponential", "linear")
            for r in SIGMA_RULES
        ),
        {"use_dynamic_shifting": True, "shift_terminal": 0.02},
        *({"shift": s, "stochastic_sampling": True} for s in SHIFTS),
    ]
    solvers = [_FLOW | {"flow_shift": s, "solver_order": order} for s in SHIFTS for order in (1, 2, 3)]
    kinds = {
        "FlowMatchEulerDiscreteScheduler": euler,
        "FlowMatchHeunDiscreteScheduler": [{"shift": s} for s in SHIFTS],
        "FlowMatchLCMScheduler": [{"shift": s} for s in SHIFTS],
        "FlowMapEulerDiscreteScheduler": [{"shift": s} for s in SHIFTS],
        "LTXEulerAncestralRFScheduler": [{"eta": eta} for eta in (0.0, 0.5, 1.0)],
        "MiniMaxH3Scheduler": [{"shift": s} for s in SHIFTS],
        "UniPCMultistepScheduler": [
            *(one | {"solver_type": kind} for one in solvers for kind in ("bh1", "bh2")),
            *(_FLOW | {"flow_shift": 3.0, **_rule(rule)} for rule in SIGMA_RULES[1:]),
            _FLOW | {"flow_shift": 3.0, "predict_x0": False},
            _FLOW | {"flow_shift": 3.0, "shift_terminal": 0.1},
        ],
        "DPMSolverMultistepScheduler": [
            *(one | {"algorithm_type": kind} for one in solvers for kind in ("dpmsolver++", "sde-dpmsolver++")),
            *(one | {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"} for one in solvers),
        ],
        "DPMSolverSinglestepScheduler": [
            one | {"algorithm_type": kind} for one in solvers for kind in ("dpmsolver++", "sde-dpmsolver++")
        ],
        "DEISMultistepScheduler": solvers,
        "SASolverScheduler": [_FLOW | {"flow_shift": s} for s in SHIFTS],
    }
    return {name: [(getattr(diffusers, name), config) for config in configs] for name, configs in kinds.items()}


def _rule(name: str) -> dict[str, bool]:
    return {name: True} if name else {}


def tally(name: str, steps: tuple[int, ...] = STEPS, every: int = 1) -> Tally:
    """Every configuration of a scheduler of that name, or one of so many, with each number of steps and each mean."""
    actual = Tally()
    for kind, config in schedulers()[name][::every]:
        for count in steps:
            for mean in MEANS:
                _count(actual, kind, config, {"num_inference_steps": count}, mean)
        if name == "FlowMatchEulerDiscreteScheduler":
            _count(actual, kind, config, {"num_inference_steps": len(CUSTOM), "sigmas": list(CUSTOM)}, "network")
    return actual


def _count(actual: Tally, kind: Any, config: dict[str, Any], call: dict[str, Any], mean: str) -> None:
    label = f"{kind.__name__} {config} {call} {mean}"
    try:
        pipe = _pipe(kind(**config))
        plain, output = _first(pipe, call)
        if not bool(torch.isfinite(plain).all()):
            raise ValueError("gives NaN or infinity")
    except Exception as error:  # what diffusers itself cannot run
        actual.not_run[f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"] += 1
        return
    try:
        arguments = torch.full((1, *_SHAPE), 0.3) if mean == "given" else None
        module, source = (None, "network") if arguments is None else (_Given(arguments), "module")
        sing = SingDiffusion(module, mean=source, spread=_spread(), force=True)
        sing.attach(_pipe(kind(**config)))
    except InputError as error:
        actual.refused[str(error)] += 1
        return
    try:
        state, _ = _first(pipe, call)
    except InputError as error:
        actual.wrong.append(f"{label}: refused at the call, {error}")
        return
    finally:
        sing.detach(pipe)
    expected = formula(pipe.scheduler, plain, output, arguments)
    off = float((state.double() - expected).norm() / expected.norm())
    if off <= TOLERANCE:
        actual.right += 1
    else:
        actual.wrong.append(f"{label}: off by {off:.3g}")


def _pipe(scheduler: Any) -> Any:
    """The one pipeline of all runs, with another scheduler."""
    pipe = _sd3()
    pipe.scheduler = scheduler
    return pipe


@cache
def _sd3() -> Any:
    return tiny_flow.sd3()


class _Given:
    """The same average image for every prompt."""

    conditional, rank = False, 0

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    @property
    def space(self) -> Any:
        from singdiffusion.base.space import Space

        return Space(tiny_flow.CHANNELS)

    def condition_for(self, pipeline: Any) -> str:
        return "prompts"

    def __call__(self, condition: Any, x_1: Tensor) -> Any:
        from singdiffusion.average.model import Average

        return Average(self.mean.expand(len(x_1), -1, -1, -1))


def noise() -> Tensor:
    """`x_1` of all runs."""
    return torch.randn(2, *_SHAPE, generator=torch.Generator().manual_seed(3))


def _spread() -> tuple[Tensor, Tensor]:
    directions = torch.randn(math.prod(_SHAPE), 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return torch.linalg.qr(directions)[0].mT.reshape(3, *_SHAPE).float(), torch.tensor([30.0, 5.0, 0.2])


def _first(pipe: Any, call: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The state after the first step, and the network's answer there; noise that the step draws is the same each time."""
    answers: list[Tensor] = []
    states: list[Tensor] = []
    stages = 2 if getattr(pipe.scheduler, "order", 1) == 2 and call["num_inference_steps"] > 1 else 1

    def seen(pipe: Any, index: int, timestep: Any, arguments: dict[str, Tensor]) -> Any:
        states.append(arguments["latents"])
        if len(states) == stages:
            raise Reached
        return arguments

    hook = pipe.transformer.register_forward_hook(lambda module, args, out: answers.append(out[0]))
    try:
        torch.manual_seed(5)
        pipe("a", num_images_per_prompt=2, latents=noise(), height=16, width=16, guidance_scale=1.0, output_type="latent", callback_on_step_end=seen, **call)  # fmt: skip
    except Reached:
        pass
    finally:
        hook.remove()
    return states[-1], answers[0]


def formula(scheduler: Any, plain: Tensor, output: Tensor, mean: Tensor | None) -> Tensor:
    """The state after the first step, in float64: `α_s m + κ x_1 + Σ_k w_k ⟨x_1, φ_k⟩ φ_k`, and noise where the step draws some.

    `κ² + η² = σ_s²`. η is that of the sampler's own definition, and its noise is what the unmodified step gave beside `x_1` and x̂. With
    the network's own mean, a start at σ < 1 has `√v_s` less the factor of the exact denoiser (F1).
    """
    sigma, after = (float(s) for s in scheduler.sigmas[:2].double())
    alpha, alpha_s = 1 - sigma, 1 - after
    sign = -1 if type(scheduler).__name__ == "MiniMaxH3Scheduler" else 1
    x_1 = noise().double()
    x_hat = x_1 - sign * sigma * output.double()
    kept = _kept(scheduler, sigma, after)
    drawn = torch.zeros_like(x_1)
    if kept < after - 1e-9:  # the rest is noise
        drawn = plain.double() - (kept / sigma * x_1 + (alpha_s - kept / sigma * alpha) * x_hat)
    basis, std = (part.double() for part in _spread())
    lam = std.square()
    std_s = (alpha_s**2 * lam + kept**2).sqrt()
    if mean is None:
        state = kept / sigma * x_1 + (alpha_s - kept / sigma * alpha) * x_hat
        wider = std_s - (alpha_s * alpha * lam + kept * sigma) / (alpha**2 * lam + sigma**2)
    else:
        state = alpha_s * mean.double() + kept * x_1
        wider = std_s - kept
    rows = basis.flatten(1)
    along = x_1.flatten(1) @ rows.mT
    return state + drawn + ((wider * along) @ rows).view(x_1.shape)


def _kept(scheduler: Any, sigma: float, after: float) -> float:
    """κ, how much of `x_1` each sampler keeps by its own definition."""
    name, config = type(scheduler).__name__, scheduler.config
    if name == "FlowMatchLCMScheduler" or config.get("stochastic_sampling"):
        return 0.0
    if name == "LTXEulerAncestralRFScheduler":  # as k-diffusion's ancestral sampler for rectified flow
        down = after * (1 + (after / sigma - 1) * config.eta)
        return (1 - after) / (1 - down) * down if after > 0 else 0.0
    if str(config.get("algorithm_type", "")).startswith("sde"):  # the reverse SDE: e^{−h} of what the ODE keeps
        return after * math.exp(-_log_snr_step(sigma, after)) if after > 0 else 0.0
    return after


def _log_snr_step(sigma: float, after: float) -> float:
    return math.log((1 - after) / after) - math.log((1 - sigma) / sigma)


def names() -> list[str]:
    """Of the classes in the matrix."""
    return list(schedulers())


def lines(actual: dict[str, Tally]) -> Iterator[str]:
    """The counts, one a class."""
    for name, one in actual.items():
        refused, not_run = sum(one.refused.values()), sum(one.not_run.values())
        yield f"{name}: {one.right} right, {len(one.wrong)} wrong, {refused} refused, {not_run} not run by diffusers"


def main() -> None:
    """Run all, print the counts and write `flow_matrix.json`. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    actual = {name: tally(name) for name in names()}
    print(*lines(actual), sep="\n")
    right, wrong = (sum(f(one) for one in actual.values()) for f in (lambda one: one.right, lambda one: len(one.wrong)))
    print(f"{right} right, {wrong} wrong")
    record = {
        name: {"right": one.right, "wrong": one.wrong, "refused": dict(one.refused), "not_run": dict(one.not_run)}
        for name, one in actual.items()
    }
    result = {
        "command": "python -m tests.singdiffusion.scheduler.flow_matrix",
        "versions": {"diffusers": diffusers.__version__, "torch": torch.__version__},
        "right": right,
        "wrong": wrong,
        "schedulers": record,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What the laboratory offers: models, prompts, samplers, steps and guidance, and what theory predicts for each choice."""

from functools import cache
from types import ModuleType
from typing import Any

from docs.book import result
from docs.laboratory.law import predicted
from docs.laboratory.plan import Plan, plans
from singdiffusion import demonstrator, flow_demonstrator
from singdiffusion.base import scheduler_class

STEPS = (4, 10, 25, 50)
GUIDANCE = (1.0, 1.5, 3.0, 7.5)
STARTS = ("noise", "mean", "matched")
SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM-Solver++",
    "UniPCMultistepScheduler": "UniPC",
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler ancestral",
}
"""What the page calls schedulers of diffusers."""
MODELS: dict[str, tuple[ModuleType, tuple[str, ...]]] = {
    "diffusion": (demonstrator, tuple(SAMPLERS)),
    "flow": (flow_demonstrator, ("UniPCMultistepScheduler", "DPMSolverMultistepScheduler")),
}
"""The models by the name that `singdiffusion sample --own` has for them, and their schedulers; a model's own comes first."""
DIM = 3 * 32 * 32


def scheduler_of(model: str) -> Any:
    """The model's own scheduler."""
    own, (name, *_) = MODELS[model]
    return scheduler_class(name).from_pretrained(own.PIPELINE, subfolder="scheduler")


@cache
def plans_of(model: str, scheduler: str, steps: int) -> dict[str, Plan]:
    """The plans from noise and mended."""
    return plans(scheduler_of(model), scheduler, steps)


def plan(model: str, scheduler: str, steps: int, start: str) -> Plan:
    """The plan of a start."""
    return plans_of(model, scheduler, steps)["noise" if start == "noise" else "mended"]


def prompts() -> dict[str, dict[str, float]]:
    """Brightness of the data for each prompt."""
    by_prompt = result(
        "docs/experiments/results/ladder/summary.json", "python -m docs.experiments.ladder.summary --out FILE.json"
    )["data"]
    return {name: {"mean": one["mean"], "std": one["std"]} for name, one in by_prompt.items()}


def numbers() -> dict[str, Any]:
    """What the page holds itself: the choices, the data's brightness, and the law's prediction for every choice."""
    known = prompts()
    return {
        "steps": STEPS,
        "guidance": GUIDANCE,
        "starts": STARTS,
        "prompts": [
            {"name": name} | {key: round(value, 2) for key, value in one.items()} for name, one in known.items()
        ],
        "models": {
            name: {
                "steps": STEPS.index(own.STEPS),
                "guidance": GUIDANCE.index(own.GUIDANCE),
                "samplers": [SAMPLERS[s] for s in schedulers],
                "law": [[[_laws(name, s, n, start) for start in STARTS] for n in STEPS] for s in schedulers],
            }
            for name, (own, schedulers) in MODELS.items()
        },
    }


def _laws(model: str, scheduler: str, steps: int, start: str) -> list[tuple[float, float]]:
    """Mean and standard deviation of the brightness for each prompt."""
    one = plan(model, scheduler, steps, start)
    laws = [predicted(one, start, data["mean"], data["std"], DIM) for data in prompts().values()]
    return [(round(law.mean, 2), round(law.std, 2)) for law in laws]

"""What the laboratory knows of the package's two models: prompts, samplers, what theory predicts, and the parts that the page loads when they are needed."""

import base64
import json
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.book import result
from docs.laboratory.law import predicted
from docs.laboratory.network import exported
from docs.laboratory.plan import Plan, plans
from docs.vendored import files
from singdiffusion import demonstrator, flow_demonstrator
from singdiffusion.average import load_average
from singdiffusion.evaluation import load_pipeline

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


@cache
def _pipeline(model: str) -> Any:
    return load_pipeline(str(MODELS[model][0].PIPELINE), None, "cpu", torch.float32)


@cache
def _plans(model: str, scheduler: str, steps: int) -> dict[str, Plan]:
    return plans(_pipeline(model).scheduler, scheduler, steps)


def plan(model: str, scheduler: str, steps: int, start: str) -> Plan:
    """The plan of a start."""
    return _plans(model, scheduler, steps)["noise" if start == "noise" else "mended"]


def prompts() -> dict[str, dict[str, float]]:
    """Brightness of the data for each prompt."""
    told = result("docs/experiments/ladder/summary.json", "python -m docs.experiments.summary")["data"]
    return {name: {"mean": one["mean"], "std": one["std"]} for name, one in told.items()}


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
    found = [predicted(one, start, data["mean"], data["std"], DIM) for data in prompts().values()]
    return [(round(law.mean, 2), round(law.std, 2)) for law in found]


def parts() -> Iterator[tuple[str, bytes]]:
    """The parts by name: the runtime, and each model's network and numbers.

    Raises:
        NpmError: where the runtime cannot be had.
    """
    runtime = "dist/ort.wasm.min.js", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"
    yield from zip(("ort", "ort-module", "ort-wasm"), files("onnxruntime-web", *runtime), strict=True)
    for name, (own, _) in MODELS.items():
        yield name, exported(own.PIPELINE, int(_pipeline(name).tokenizer.model_max_length))
        yield f"{name}-numbers", json.dumps(_model(name), separators=(",", ":"), allow_nan=False).encode()


@torch.no_grad()
def _model(name: str) -> dict[str, Any]:
    """Token states, average image and spread of every prompt and of none, and the plans."""
    pipe, average = _pipeline(name), load_average(MODELS[name][0].AVERAGE, dtype=torch.float32)
    texts = [*prompts(), ""]
    states = pipe.encode_prompt(texts, "cpu", 1, False)[0]
    found = average(states, torch.zeros(len(texts), 3, 32, 32))
    assert found.basis is not None and found.std is not None
    *known, none = [
        {"states": _packed(states[k]), "mean": _packed(found.mean[k]), "std": found.std[k].tolist()}
        for k in range(len(texts))
    ]
    return {
        "prompts": known,
        "none": none,
        "basis": [_packed(direction) for direction in found.basis],
        "plans": [
            [{kind: _written(one) for kind, one in _plans(name, s, n).items()} for n in STEPS] for s in MODELS[name][1]
        ],
    }


def _packed(values: Tensor) -> str:
    """Single precision in base64, least byte first."""
    return base64.b64encode(values.flatten().numpy().astype(np.dtype("<f4")).tobytes()).decode("ascii")


def _written(one: Plan) -> dict[str, Any]:
    rows = [[float(f"{factor:.10g}") for factor in row] for row in one.rows]
    return {"mean": one.mean, "noise": one.noise, "timesteps": one.timesteps, "scales": one.scales, "rows": rows}

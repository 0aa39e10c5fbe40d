"""The parts of the laboratory that the page loads when they are needed: what runs networks, and each model's network and numbers."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.laboratory.choices import MODELS, STEPS, plans_of, prompts
from docs.laboratory.network import exported
from docs.laboratory.plan import Plan
from docs.vendored import files
from singdiffusion.average import load_average
from singdiffusion.evaluation import load_pipeline


def parts() -> Iterator[tuple[str, bytes]]:
    """The parts by name: the runtime, and each model's network and numbers.

    Raises:
        NpmError: where the runtime cannot be had.
    """
    runtime = "dist/ort.wasm.min.js", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"
    yield from zip(("ort", "ort-module", "ort-wasm"), files("onnxruntime-web", *runtime), strict=True)
    for name, (own, _) in MODELS.items():
        pipe = load_pipeline(str(own.PIPELINE), None, "cpu", torch.float32)
        yield name, exported(own.PIPELINE, int(pipe.tokenizer.model_max_length))
        yield f"{name}-numbers", json.dumps(_model(name, pipe), separators=(",", ":"), allow_nan=False).encode()


@torch.no_grad()
def _model(name: str, pipe: Any) -> dict[str, Any]:
    """Token states, average image and spread of every prompt and of none, and the plans."""
    average = load_average(MODELS[name][0].AVERAGE, dtype=torch.float32)
    texts = [*prompts(), ""]
    states = pipe.encode_prompt(texts, "cpu", 1, False)[0]
    average_images = average(states, torch.zeros(len(texts), 3, 32, 32))
    assert average_images.basis is not None and average_images.std is not None
    *known, none = [
        {"states": _packed(states[k]), "mean": _packed(average_images.mean[k]), "std": average_images.std[k].tolist()}
        for k in range(len(texts))
    ]
    return {
        "prompts": known,
        "none": none,
        "basis": [_packed(direction) for direction in average_images.basis],
        "plans": [
            [{kind: _written(one) for kind, one in plans_of(name, s, n).items()} for n in STEPS]
            for s in MODELS[name][1]
        ],
    }


def _packed(values: Tensor) -> str:
    """Single precision in base64, least byte first."""
    return base64.b64encode(values.flatten().numpy().astype(np.dtype("<f4")).tobytes()).decode("ascii")


def _written(one: Plan) -> dict[str, Any]:
    rows = [[float(f"{factor:.10g}") for factor in row] for row in one.rows]
    return {"mean": one.mean, "noise": one.noise, "timesteps": one.timesteps, "scales": one.scales, "rows": rows}

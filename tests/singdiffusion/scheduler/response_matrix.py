"""`python -m tests.singdiffusion.scheduler.response_matrix`: what every scheduler of diffusers keeps, over its spacings and predictions (F10).

The last result is `response_matrix.json`; a configuration that has no response is counted apart with the reason.
"""

import inspect
import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import schedulers

from singdiffusion.response.response import respond
from singtheory import InputError
from tests.singdiffusion.scheduler.matrix import BASE, PREDICTIONS, SPACINGS, names
from tests.support.out_file import asked

EIGENVALUES = {"texture": 0.01, "middle": 1.0, "brightness": 640.0}
"""Of Stable Diffusion's latents about: the finest texture, and brightness."""
STEPS = 20
LEAST, MOST = 0.0, 1.2
"""What is kept lies between, unless a scheduler is named as one that adds."""
RESULT = Path(__file__).parent / "response_matrix.json"


def configurations(name: str) -> Iterator[dict[str, Any]]:
    """Every spacing with every prediction that the class takes, on Stable Diffusion's betas, without clipping."""
    known = inspect.signature(getattr(schedulers, name).__init__).parameters
    base = {key: value for key, value in (BASE | {"steps_offset": 1, "clip_sample": False}).items() if key in known}
    spacings = SPACINGS if "timestep_spacing" in known else ("",)
    predictions = PREDICTIONS if "prediction_type" in known else ("",)
    for spacing, prediction in product(spacings, predictions):
        chosen = {"timestep_spacing": spacing} if spacing else {}
        yield base | chosen | ({"prediction_type": prediction} if prediction else {})


def label(settings: dict[str, Any]) -> str:
    """A configuration in words."""
    return ", ".join(str(settings[key]) for key in ("timestep_spacing", "prediction_type") if key in settings)


def measured(name: str) -> dict[str, Any]:
    """What each configuration of a scheduler keeps, by its label: an entry an eigenvalue, or the reason why it has none."""
    results = {}
    for settings in configurations(name):
        try:
            scheduler = getattr(schedulers, name)(**settings)
        except Exception as error:
            results[label(settings)] = {"refused": f"{type(error).__name__}: {error}".splitlines()[0][:120]}
            continue
        results[label(settings)] = _kept(scheduler)
    return results


def _kept(scheduler: Any) -> dict[str, Any]:
    try:
        response = respond(scheduler, list(EIGENVALUES.values()), STEPS)
    except InputError as error:
        return {"refused": str(error)}
    kept = dict(zip(EIGENVALUES, response.kept.tolist(), strict=True))
    return kept | ({"draws": response.draws} if response.draws else {})


def runs(actual: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Scheduler, configuration and what is kept, of all that have a response."""
    for name, configured in actual["schedulers"].items():
        for words, kept in configured.items():
            if "refused" not in kept:
                yield name, words, kept


def beyond(actual: dict[str, Any]) -> set[str]:
    """The schedulers that keep more than `MOST` or no number along some direction."""
    return {
        name
        for name, _, kept in runs(actual)
        for value in (kept[direction] for direction in EIGENVALUES)
        if not (math.isfinite(value) and LEAST <= value <= MOST)
    }


def worst(actual: dict[str, Any], direction: str, count: int = 3) -> list[tuple[str, str, float]]:
    """The schedulers that are farthest from 1 along a direction, each with its worst configuration."""
    off: dict[str, tuple[str, float]] = {}
    for name, words, kept in runs(actual):
        if name not in off or abs(1 - kept[direction]) > abs(1 - off[name][1]):
            off[name] = words, kept[direction]
    order = sorted(off, key=lambda name: (-round(abs(1 - off[name][1]), 6), name))
    return [(name, *off[name]) for name in order[:count]]


def main() -> None:
    """Measure every scheduler and write `response_matrix.json`. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    diffusers.utils.logging.set_verbosity_error()
    actual = {
        "command": "python -m tests.singdiffusion.scheduler.response_matrix",
        "versions": {"diffusers": diffusers.__version__, "torch": torch.__version__},
        "steps": STEPS,
        "eigenvalues": EIGENVALUES,
        "schedulers": {name: measured(name) for name in names()},
    }
    out.write_text(json.dumps(actual, indent=1) + "\n", encoding="utf-8")
    print(f"{len(list(runs(actual)))} configurations have a response; beyond: {sorted(beyond(actual))}")
    for direction in ("brightness", "texture"):
        print(direction, worst(actual, direction))


if __name__ == "__main__":
    main()

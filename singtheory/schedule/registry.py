"""The registry of schedules: their names in commands, README and guides."""

from collections.abc import Callable
from pathlib import Path

from singtheory.errors import InputError, unknown_name
from singtheory.schedule.schedules import (
    STABLE_DIFFUSION,
    Cosine,
    Discrete,
    LinearVP,
    Power,
    RectifiedFlow,
    Schedule,
    VarianceExploding,
)
from singtheory.system import read_json

SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "cosine": Cosine,
    "linear-vp": LinearVP,
    "rectified-flow": RectifiedFlow,
    "variance-exploding": VarianceExploding,
    "sd": lambda: Discrete.from_config(STABLE_DIFFUSION),
    "sd-zero-snr": lambda: Discrete.from_config({**STABLE_DIFFUSION, "rescale_betas_zero_snr": True}),
}
"""All schedules without a parameter, by name; beside them there are power:P and configurations in JSON.

What a new one needs beside its line here: docs/guides/add-a-schedule-or-model.md."""


def schedule_named(name: str) -> Schedule:
    """A schedule by name, one of `SCHEDULES` or power:P, or from a JSON file.

    Raises `InputError` for an unknown name (with the nearest ones) and for an unreadable or beta-less config.

    >>> float(schedule_named("cosine").alpha(1.0)), round(float(schedule_named("sd").alpha(1.0)), 4)
    (0.0, 0.0683)
    """
    if name in SCHEDULES:
        return SCHEDULES[name]()
    if name.startswith("power:"):
        try:
            return Power(float(name.removeprefix("power:")))
        except InputError:
            raise
        except ValueError:
            raise InputError(f"{name}: the exponent must be a number, as in power:0.5") from None
    if name.endswith(".json"):
        return Discrete.from_config(read_json(Path(name), "scheduler config"), name)
    raise unknown_name("schedule", name, [*SCHEDULES, "power:P", "scheduler_config.json"])

"""Where a measurement comes from."""

import shlex
import sys
from importlib.metadata import version
from typing import Any

from singtheory.system.result_origin import device_name


def origin(module: str, device: str, seed: int = 0) -> dict[str, Any]:
    """What every result carries.

    Args:
        module: that was run with this process's arguments.
        device: a name that torch knows.
        seed: of all random draws.
    """
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "device": device_name(device),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers", "accelerate")},
        "seed": seed,
    }

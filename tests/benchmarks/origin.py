"""Where a measurement comes from."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from singtheory.system.result_origin import device_name

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate")


def origin(module: str, device: str, seed: int = 0, libraries: Sequence[str] = _LIBRARIES) -> dict[str, Any]:
    """What every result carries.

    Args:
        module: that was run with this process's arguments.
        device: a name that torch knows.
        seed: of all random draws.
        libraries: whose versions the result depends on.
    """
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "device": device_name(device),
        "versions": {name: version(name) for name in libraries},
        "seed": seed,
    }

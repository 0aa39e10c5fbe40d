"""Where a measurement comes from."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from singtheory.system.result_origin import device_name

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate")


def origin(module: str, device: str, seed: int = 0, libraries: Sequence[str] = _LIBRARIES) -> dict[str, Any]:
    """What every result carries. Files and folders of the command keep their last name alone.

    Args:
        module: that was run with this process's arguments.
        device: a name that torch knows.
        seed: of all random draws.
        libraries: whose versions the result depends on.
    """
    return {
        "command": shlex.join(["python", "-m", module, *map(_shown, sys.argv[1:])]),
        "device": device_name(device),
        "versions": {name: version(name) for name in libraries},
        "seed": seed,
    }


def _shown(word: str) -> str:
    """A word of the command; where a folder of this machine lies is nobody's business."""
    return Path(word).name if word.startswith(("/", "~", ".")) else word

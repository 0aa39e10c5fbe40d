"""Where a result was computed: what every JSON carries."""

import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch


def provenance(command: str, seed: int, device: str) -> dict[str, Any]:
    """`version`, `seed`, `command` and `device`. Sources that run without being installed say `not installed` for a version.

    Args:
        command: that gives the result again, as typed.
        seed: of all random draws.
        device: a name that torch knows.
    """
    return {"version": _version(), "seed": seed, "command": command, "device": device_name(device)}


def _version() -> str:
    try:
        return version("singdiffusion")
    except PackageNotFoundError:  # asked after the work: nothing may be lost for it
        return "not installed"


def command_line(program: str) -> str:
    """The command of this process, its arguments given to `program`."""
    return shlex.join([program, *sys.argv[1:]])


def device_name(device: str) -> str:
    """The processor in words."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"

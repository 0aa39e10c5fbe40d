"""The processes of a run, joined by accelerate."""

import os

from accelerate import PartialState

from singtheory.errors import InputError
from singtheory.system import check_device, chosen_device

_USE_CPU = "ACCELERATE_USE_CPU"
"""The variable by which accelerate is told, too."""


def choose(device: str) -> None:
    """Let this process run on `auto`, `cpu`, `cuda` or `mps`; before `joined`. Raises `InputError` for a device that is not there."""
    check_device(device)
    if device == "cpu":
        os.environ[_USE_CPU] = "true"


def on_cpu() -> bool:
    """Whether the processes run on the CPU: there is nothing faster, or it was chosen."""
    return os.environ.get(_USE_CPU, "").lower() in ("1", "true", "yes") or chosen_device(None) == "cpu"


def joined() -> PartialState:
    """All processes that were started, on GPUs or, where there are none, on the CPU.

    Raises:
        InputError: where each would believe that it is alone, and all would write the same files.
    """
    state = PartialState(cpu=on_cpu())
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != started:  # such as FSDP without a GPU
        raise InputError(f"{started} processes were started, accelerate joins {state.num_processes}; check its config")
    return state

"""The processes of a run, joined by accelerate."""

import os

import torch
from accelerate import PartialState

from singtheory.errors import InputError


def joined() -> PartialState:
    """All processes that were started, on GPUs or, where there are none, on the CPU.

    Raises:
        InputError: where each would believe that it is alone, and all would write the same files.
    """
    state = PartialState(cpu=not torch.cuda.is_available())
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != started:  # such as FSDP without a GPU
        raise InputError(f"{started} processes were started, accelerate joins {state.num_processes}; check its config")
    return state

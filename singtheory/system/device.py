"""The processors that a command may be told to use."""

import torch

from singtheory.errors import InputError, unknown_name


def check_device(device: str) -> None:
    """Raise `InputError` if there is no such device."""
    if device not in ("cpu", "cuda"):
        raise unknown_name("device", device, ["cpu", "cuda"])
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: torch sees no CUDA device here; leave --device out to use the CPU")

"""The processors that a command may be told to use."""

import torch

from singtheory.errors import InputError, unknown_name

DEVICES = ("auto", "cpu", "cuda", "mps")
"""The names of the devices; auto is the fastest that is there."""


def check_device(device: str) -> None:
    """Raise `InputError` if there is no such device."""
    if device not in DEVICES:
        raise unknown_name("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: torch sees no CUDA device here; leave --device out to use the CPU")
    if device == "mps" and not torch.backends.mps.is_available():
        raise InputError("device mps: torch sees no Metal device here; leave --device out to use the CPU")


def fastest_device() -> str:
    """`cuda` if there is one, else `mps` if there is one, else `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def chosen_device(device: str | None) -> str:
    """`cpu`, `cuda` or `mps` for the name of a device; the fastest for `auto` and None. Raises `InputError` as `check_device`."""
    if device is None or device == "auto":
        return fastest_device()
    check_device(device)
    return device

"""The clock of measurements, which waits for a GPU to end its work."""

import time
from collections.abc import Callable
from typing import Any

import torch


def waited(device: str) -> float:
    """The time in seconds, once the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(device: str, call: Callable[[], Any]) -> float:
    """The seconds that one call takes."""
    start = waited(device)
    call()
    return waited(device) - start

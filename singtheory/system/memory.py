"""How much memory is free, and how many draws fit into it, known before any is made."""

import math
import os
from pathlib import Path

from singtheory.errors import InputError


def available_memory() -> float:
    """Bytes that can be used without swapping; infinite where the system does not tell (Windows), so that nothing is refused."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def check_queries(queries: int, least: int, each: int, dim: int, available: float | None = None) -> None:
    """Raise `InputError`, saying how many fit, for fewer queries than needed or more than memory holds.

    Args:
        queries: how many are asked for.
        least: how many are needed.
        each: float64 numbers that one takes, at the peak.
        dim: of the data, for the message.
        available: bytes; asked from the system when not given.
    """
    if queries < least:
        raise InputError(f"queries {queries}: need at least {least}")
    available = available_memory() if available is None else available
    if queries * each * 8 > available:
        wanted = queries * each * 8 / 2**30
        raise InputError(
            f"queries {queries}: need {wanted:.3g} GiB in {dim} dimensions, {available / 2**30:.3g} GiB are free: "
            f"at most {int(available // (each * 8))} fit"
        )

"""How many draws fit into memory, known before any is made."""

from singtheory.data import _available_memory
from singtheory.errors import InputError


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
    available = _available_memory() if available is None else available
    if queries * each * 8 > available:
        wanted = queries * each * 8 / 2**30
        raise InputError(
            f"queries {queries}: need {wanted:.3g} GiB in {dim} dimensions, {available / 2**30:.3g} GiB are free: "
            f"at most {int(available // (each * 8))} fit"
        )

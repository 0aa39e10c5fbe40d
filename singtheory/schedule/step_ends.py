"""What a step needs of its ends, where float64 has it: an underflow or overflow there would pass for an end of time."""

import math

from torch import Tensor

from singtheory.errors import DomainError, InputError
from singtheory.numerics import PRECISIONS, beyond_precisions
from singtheory.schedule.schedules import Schedule, Time, as_time


def positive_alpha(schedule: Schedule, s: Time) -> Tensor:
    """`α_s`, by which steps divide; any shape. Raises `InputError` where it is 0, as where it underflows."""
    alpha = schedule.alpha(s)
    if bool((alpha == 0).any()):
        at = float(as_time(s)[alpha == 0].flatten()[0])
        raise InputError(
            f"s = {at}: alpha is below the least number of float64 there; take s nearer to 0, or a schedule that falls less steeply"
        )
    return alpha


def snr_up_to_zero(schedule: Schedule, t: Time) -> Tensor:
    """`γ_t`, any shape, infinite at t = 0 alone. Raises `InputError` where it overflows at t > 0: what holds at t = 0 is then far from true."""
    t, snr = as_time(t), schedule.snr(t)
    beyond = snr.isinf() & (t > 0)
    if bool(beyond.any()):
        at = float(t[beyond].flatten()[0])
        raise InputError(
            f"time {at}: its signal-to-noise ratio is above the largest number of float64; take 0 or a larger time"
        )
    return snr


def snr_of_posterior(schedule: Schedule, t: Time) -> Tensor:
    """`γ_t`, any shape, as posteriors take it: 0, in the domain of numbers, or infinite at t = 0 alone.

    Raises:
        DomainError: for another one, with the nearest time that helps; γ is the schedule's, so data in another unit do not.
    """
    t, snr = as_time(t), schedule.snr(t)
    is_underflow = (snr == 0) & ~schedule.log_alpha(t).isneginf()  # it is no end of time
    outside = (t > 0) & (beyond_precisions(snr) | is_underflow)
    if bool(outside.any()):
        raise _outside(schedule, float(t[outside].flatten()[0]), float(snr[outside].flatten()[0]))
    return snr


def _outside(schedule: Schedule, t: float, snr: float) -> DomainError:
    """One line for a time whose γ is not in the domain, with the end of time there, if γ is 0 or ∞ at it, and the nearest time within."""
    if snr > 1:
        side, remedies = "above 1e80, the largest", ["0 for the end of a step", f"at least {_first_within(schedule)!r}"]
    else:
        side, remedies = "below 1e-80, the least", [f"at most {_last_within(schedule)!r}"]
        if float(schedule.alpha(1.0)) == 0:
            remedies.insert(0, "1, where it is 0")
    return DomainError(
        f"time {t!r}: its signal-to-noise ratio, {snr:.3g}, is {side} that posteriors take; take {', or '.join(remedies)}"
    )


def _last_within(schedule: Schedule) -> float:
    """A late time whose γ is in the domain, near the latest."""
    t = float(schedule.time_of_snr(PRECISIONS[0]))
    while float(schedule.snr(t)) < PRECISIONS[0]:
        t -= 2 * math.ulp(t)
    return t


def _first_within(schedule: Schedule) -> float:
    """An early time whose γ is in the domain, near the earliest."""
    t = float(schedule.time_of_snr(PRECISIONS[1]))
    while float(schedule.snr(t)) > PRECISIONS[1]:
        t += 2 * math.ulp(t)
    return t

"""What a step needs of its ends, where float64 has it: an underflow or overflow there would pass for an end of time."""

from torch import Tensor

from singtheory.errors import InputError
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

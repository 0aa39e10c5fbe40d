"""Noise schedules, exact at both ends of time."""

from singtheory.schedule.schedules import (
    STABLE_DIFFUSION,
    Cosine,
    Discrete,
    LinearVP,
    Power,
    RectifiedFlow,
    Schedule,
    Time,
    VarianceExploding,
    VariancePreserving,
    as_time,
    schedule_named,
)
from singtheory.schedule.step_ends import positive_alpha, snr_up_to_zero

__all__ = [
    "STABLE_DIFFUSION",
    "Cosine",
    "Discrete",
    "LinearVP",
    "Power",
    "RectifiedFlow",
    "Schedule",
    "Time",
    "VarianceExploding",
    "VariancePreserving",
    "as_time",
    "positive_alpha",
    "schedule_named",
    "snr_up_to_zero",
]

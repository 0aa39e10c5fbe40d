"""Noise schedules, exact at both ends of time."""

from singtheory.schedule.registry import SCHEDULES, schedule_named
from singtheory.schedule.schedules import (
    STABLE_DIFFUSION,
    Cosine,
    Discrete,
    LinearVP,
    Power,
    RectifiedFlow,
    Schedule,
    Time,
    TrainedSteps,
    VarianceExploding,
    VariancePreserving,
    as_time,
)
from singtheory.schedule.step_ends import positive_alpha, snr_of_posterior, snr_up_to_zero

__all__ = [
    "SCHEDULES",
    "STABLE_DIFFUSION",
    "Cosine",
    "Discrete",
    "LinearVP",
    "Power",
    "RectifiedFlow",
    "Schedule",
    "Time",
    "TrainedSteps",
    "VarianceExploding",
    "VariancePreserving",
    "as_time",
    "positive_alpha",
    "schedule_named",
    "snr_of_posterior",
    "snr_up_to_zero",
]

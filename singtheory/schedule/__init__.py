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
    "schedule_named",
]

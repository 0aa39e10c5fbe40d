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
    "schedule_named",
]

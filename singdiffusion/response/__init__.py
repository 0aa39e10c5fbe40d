"""What a scheduler of diffusers keeps of the data's spread (F10)."""

from singdiffusion.response.flow import Kept, kept
from singdiffusion.response.picture import draw
from singdiffusion.response.response import (
    CONFIDENCE,
    SchedulerResponse,
    cutting,
    mended_kept,
    respond,
    scheduler_response,
)

__all__ = [
    "CONFIDENCE",
    "Kept",
    "SchedulerResponse",
    "cutting",
    "draw",
    "kept",
    "mended_kept",
    "respond",
    "scheduler_response",
]

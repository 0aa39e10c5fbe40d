"""The singular step: in a scheduler, in a pipeline, under guidance."""

from singdiffusion.start.distilled import stored_reason
from singdiffusion.start.flow import START_GAP, Began, FirstStep, first_step, measured, mended, on_cpu, sample_of
from singdiffusion.start.flow_corrected import Corrections
from singdiffusion.start.flow_layout import Layout, first_tensor, found
from singdiffusion.start.guidance import GUIDANCE, guidance_rule, guided_average
from singdiffusion.start.initial import Point, first_point, initial_latents, scheduled, start_std
from singdiffusion.start.pipeline import SingDiffusion

__all__ = [
    "GUIDANCE",
    "START_GAP",
    "Began",
    "Corrections",
    "FirstStep",
    "Layout",
    "Point",
    "SingDiffusion",
    "first_point",
    "first_step",
    "first_tensor",
    "found",
    "guidance_rule",
    "guided_average",
    "initial_latents",
    "measured",
    "mended",
    "on_cpu",
    "sample_of",
    "scheduled",
    "start_std",
    "stored_reason",
]

"""The singular step: in a scheduler, in a pipeline, under guidance."""

from singdiffusion.start.distilled import stored_reason
from singdiffusion.start.flow import START_GAP, Began, FirstStep, first_step, measured, mended, on_cpu, sample_of
from singdiffusion.start.flow_corrected import Corrections
from singdiffusion.start.flow_layout import Layout, first_tensor, layout_of
from singdiffusion.start.flow_modular import MatchedFirstStep, with_matched_first_step
from singdiffusion.start.flow_sources import laid_out, spread_laid_out
from singdiffusion.start.guidance import GUIDANCE, guidance_rule, guided_average
from singdiffusion.start.initial import (
    Point,
    add_noise_factors,
    first_point,
    initial_latents,
    prepared_latents,
    scheduled,
    start_std,
)
from singdiffusion.start.pipeline import SingDiffusion

__all__ = [
    "GUIDANCE",
    "START_GAP",
    "Began",
    "Corrections",
    "FirstStep",
    "Layout",
    "MatchedFirstStep",
    "Point",
    "SingDiffusion",
    "add_noise_factors",
    "first_point",
    "first_step",
    "first_tensor",
    "guidance_rule",
    "guided_average",
    "initial_latents",
    "laid_out",
    "layout_of",
    "measured",
    "mended",
    "on_cpu",
    "prepared_latents",
    "sample_of",
    "scheduled",
    "spread_laid_out",
    "start_std",
    "stored_reason",
    "with_matched_first_step",
]

"""The base model: what lies at a path or hub id, and the spaces in which it works."""

from singdiffusion.base.checkpoint import Checkpoint, scheduler_class, variant_of
from singdiffusion.base.denoiser import NetworkDenoiser
from singdiffusion.base.finite import Finite
from singdiffusion.base.latents import (
    Tracked,
    a_tensor_of,
    decode,
    encode,
    latent_size,
    vae_factor,
    vae_fingerprint,
    vae_floor,
)
from singdiffusion.base.prediction import Implied, implied_prediction
from singdiffusion.base.pulses import Pulses, as_images
from singdiffusion.base.scheduler import (
    Scheduler,
    begun_at,
    check_shift,
    is_discrete,
    matches_flow,
    reaches_zero_snr,
    reads,
    refuse_flow,
    schedule_of,
)
from singdiffusion.base.single_file import SingleFile, is_single_file
from singdiffusion.base.space import Space, channels_of, latent_scale
from singdiffusion.base.text import (
    PipelineText,
    PromptEncoder,
    TextEncoder,
    cut_captions,
    cut_prompts,
    negative_states,
    same_encoders,
)
from singdiffusion.base.value_range import Levels, warn_of_half_range

__all__ = [
    "Checkpoint",
    "Finite",
    "Implied",
    "Levels",
    "NetworkDenoiser",
    "PipelineText",
    "PromptEncoder",
    "Pulses",
    "Scheduler",
    "SingleFile",
    "Space",
    "TextEncoder",
    "Tracked",
    "a_tensor_of",
    "as_images",
    "begun_at",
    "channels_of",
    "check_shift",
    "cut_captions",
    "cut_prompts",
    "decode",
    "encode",
    "implied_prediction",
    "is_discrete",
    "is_single_file",
    "latent_scale",
    "latent_size",
    "matches_flow",
    "negative_states",
    "reaches_zero_snr",
    "reads",
    "refuse_flow",
    "same_encoders",
    "schedule_of",
    "scheduler_class",
    "vae_factor",
    "vae_fingerprint",
    "vae_floor",
    "variant_of",
    "warn_of_half_range",
]

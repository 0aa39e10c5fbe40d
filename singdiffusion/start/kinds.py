"""Which pipelines the singular step can be attached to, by what they have, what their methods take."""

import inspect
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from singdiffusion.start.made import PICTURES
from singtheory.errors import InputError

_USUAL = {"prompt", "device", "num_images_per_prompt", "num_videos_per_prompt", "do_classifier_free_guidance"}
"""What `encode_prompt` may need; more is what a prompt alone does not give."""
_OTHERWISE = {
    "I2VGenXLPipeline": "animates a picture that is given, of which an average image knows nothing",
    "StableDiffusionLatentUpscalePipeline": "draws a given picture again, by a network that is told noise levels and not timesteps",
    "StableUnCLIPPipeline": "draws the embedding of a picture, of which an average image knows nothing",
    "StableUnCLIPImg2ImgPipeline": "draws the embedding of a picture, of which an average image knows nothing",
}
"""Pipelines with all parts that are needed whose networks are asked for something else."""


def check_pipeline(pipe: Any, condition: str) -> None:
    """Raise `InputError` for a pipeline to which the step cannot be attached, with the reason.

    Args:
        pipe: of diffusers.
        condition: what the module reads of a prompt: `embeddings`, `prompts`, or `nothing`.
    """
    reason = _reason(pipe, condition)
    if reason is not None:
        raise InputError(f"{type(pipe).__name__}: {reason}; call initial_latents yourself")


def _reason(pipe: Any, condition: str) -> str | None:
    """Why the step cannot be attached; None where it can."""
    kind = type(pipe)
    if getattr(pipe, "vae", None) is None:
        return "has no VAE, whose latents an average image is of"
    if getattr(pipe, "unet", None) is None:
        return "has no U-Net of Stable Diffusion's kind, and what its network sees first is not known"
    if hasattr(pipe, "vocoder"):
        return "draws sound, of which there are no average images"
    call = inspect.signature(kind.__call__).parameters
    if hasattr(pipe, "inverse_scheduler") or "source_prompt" in call:
        return "begins with the inverted noise of a picture and not with noise"
    if "prompt" not in call:
        return "draws from no prompt"
    return _OTHERWISE.get(kind.__name__) or kind_reason(pipe) or _prompt_reason(pipe, condition)


def kind_reason(pipe: Any) -> str | None:
    """Why the latents of a pipeline are not known, by its methods and their source; None where they are."""
    if not hasattr(pipe, "prepare_latents"):
        return "has no prepare_latents, so its start is not known"
    takes = inspect.signature(pipe.prepare_latents).parameters
    pictures = [one for one in PICTURES if one in takes]
    if "latents" not in takes and not pictures:
        return "makes its latents from neither latents nor a picture"
    if pictures and "timestep" not in takes:
        return f"makes its latents from {pictures[0]} and no timestep"
    source = "".join(_sources(type(pipe)))
    if source and "self.scheduler.step(" not in source:
        return "steps its latents by copies of its scheduler or all at once"
    return None


def _prompt_reason(pipe: Any, condition: str) -> str | None:
    """Why the prompt of a call cannot be known."""
    own = getattr(pipe, "encode_prompt", None)
    if own is None:
        return (
            "has no encode_prompt, and this average image reads embeddings; use one that reads prompts"
            if condition == "embeddings"
            else None
        )
    needed = [
        name
        for name, one in inspect.signature(own).parameters.items()
        if one.default is one.empty and name not in _USUAL and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    return f"encodes its prompt together with {needed[0]}" if needed else None


def _sources(kind: type[Any]) -> list[str]:
    """The sources of the classes of a pipeline, a community's too, where all of them are to be had."""
    own = [part for part in kind.__mro__ if issubclass(part, DiffusionPipeline) and part is not DiffusionPipeline]
    try:
        return [inspect.getsource(part) for part in own]
    except (OSError, TypeError):  # such as one that was typed into an interpreter
        return []

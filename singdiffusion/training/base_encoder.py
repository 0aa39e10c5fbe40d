"""What encodes images and captions for a base: its VAE and its text encoders, from a folder, the hub or one file."""

import logging
from typing import Any

import torch

from singdiffusion.base import Checkpoint, PipelineText, matches_flow, vae_factor
from singdiffusion.system import printable
from singdiffusion.training.encoder import Encoder
from singtheory.errors import InputError

_LOG = logging.getLogger(__name__)
_SIDE = 512
"""The side of images without a pipeline, in pixels."""
_PROBE = "a prompt of a few words"


def encoder_for(
    base: str | None,
    resolution: int | None,
    channels: int,
    device: str,
    buckets: bool = False,
    config: str | None = None,
    clip_skip: int = 0,
) -> Encoder:
    """The encoder of a pipeline in a folder, under a hub id or in one file, or one of pixels and words.

    Images get the side `resolution`, or if that is None the one at which the pipeline draws, 512 without a pipeline.

    Args:
        base: path or hub id of the pipeline; None for none.
        resolution: side of the images in pixels.
        channels: 3, or 1 in pixel space.
        device: where it runs.
        buckets: as `Encoder`.
        config: of a base of one file, as `Checkpoint.find`.
        clip_skip: how many of the text encoder's last layers are left out.

    Raises:
        InputError: for a pipeline on latents without an `AutoencoderKL` in safetensors, with text encoders that do not serve, or that
            does not say at which side it draws.
    """
    if base is None:
        if config is not None or clip_skip:
            raise InputError(
                "config and clip_skip: are of a pipeline's text encoder; give one with --base, or leave them out"
            )
        return Encoder(_SIDE if resolution is None else resolution, channels, device=device, buckets=buckets)
    if channels != 3:
        raise InputError("grey: latents are of RGB images; leave it out, or leave the base out")
    checkpoint = Checkpoint.find(base, config)
    vae = checkpoint.autoencoder()
    if vae is None and not checkpoint.on_pixels:
        raise InputError(f"{base}: has no AutoencoderKL or AutoencoderTiny in safetensors; give a pipeline with one")
    side = _native_side(checkpoint, vae) if resolution is None else resolution
    text = _text_of(checkpoint, base, config, clip_skip, device)
    if vae is None:
        return Encoder(side, 3, None, text, device, buckets=buckets)
    half = device.startswith("cuda")
    if half and not _overflows(text, vae):
        vae.half()
    return Encoder(side, 3, vae.to(device), text, device, torch.float16 if half else torch.float32, buckets)


def _text_of(checkpoint: Checkpoint, base: str, config: str | None, clip_skip: int, device: str) -> PipelineText | None:
    """What encodes captions; None for a flow that gives no token states of one length, and then captions are kept as words, which is logged."""
    if not matches_flow(checkpoint.scheduler()):
        return PipelineText.stored(base, config, clip_skip)
    try:
        text = PipelineText.stored(base, config, clip_skip)
        text(["", _PROBE], torch.device(device), torch.float16 if device.startswith("cuda") else torch.float32)
    except InputError as error:
        if clip_skip:
            raise
        _LOG.warning("%s; captions are kept as words, of which statistics and tables are made", printable(str(error)))
        return None
    return text


def _native_side(checkpoint: Checkpoint, vae: Any) -> int:
    """The side of the images that the pipeline draws by default, in pixels."""
    size = checkpoint.sample_size
    if size is None:
        raise InputError(
            f"{checkpoint.name}: neither unet/config.json nor transformer/config.json names one side of its samples; give --resolution"
        )
    return size if vae is None else size * vae_factor(vae)


def _overflows(text: PipelineText | None, vae: Any) -> bool:
    """Whether the VAE overflows in float16, as the base's own pipeline sees it, of which its text encoders tell; without them it may.

    SDXL's pipelines run their VAE in float32 where its configuration says `force_upcast`; those of Stable Diffusion 1.x and 2.x never
    do, although diffusers now stores it, as a default, with every VAE.
    """
    return (text is None or "text_encoder_2" in text.pipeline.components) and vae.config.force_upcast

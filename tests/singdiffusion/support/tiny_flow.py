"""Pipelines that match flows with networks of a few weights, made from configurations alone."""

import copy
from functools import cache

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxImg2ImgPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    SchedulerMixin,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3Pipeline,
)
from transformers import T5Config, T5EncoderModel

from . import tiny

CHANNELS = 4
"""Of the latents, of 8 by 8 for pictures of 16 by 16."""


@cache
def _t5() -> T5EncoderModel:
    torch.manual_seed(0)
    config = T5Config(vocab_size=1000, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, decoder_start_token_id=0)
    return T5EncoderModel(config).eval()


@cache
def _vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=CHANNELS,
        norm_num_groups=2,
        layers_per_block=1,
        shift_factor=0.06,
        scaling_factor=1.5,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


@cache
def _sd3_network() -> SD3Transformer2DModel:
    torch.manual_seed(0)
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=CHANNELS,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=2 * tiny.TEXT_WIDTH,
        out_channels=CHANNELS,
    ).eval()


@cache
def _flux_network(guidance_embeds: bool) -> FluxTransformer2DModel:
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=tiny.TEXT_WIDTH,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guidance_embeds,
    ).eval()


def sd3(scheduler: SchedulerMixin | None = None, kind: type = StableDiffusion3Pipeline) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3: latents are stepped as they are drawn."""
    clip = tiny._text_encoder(projected=True)
    pipe = kind(
        transformer=copy.deepcopy(_sd3_network()),
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=copy.deepcopy(_vae()),
        text_encoder=copy.deepcopy(clip),
        tokenizer=tiny._tokenizer(),
        text_encoder_2=copy.deepcopy(clip),
        tokenizer_2=tiny._tokenizer(),
        text_encoder_3=copy.deepcopy(_t5()),
        tokenizer_3=tiny._tokenizer(),
    )
    return _quiet(pipe)


def sd3_img2img(scheduler: SchedulerMixin | None = None) -> StableDiffusion3Img2ImgPipeline:
    """The same from a picture."""
    return sd3(scheduler, StableDiffusion3Img2ImgPipeline)


def flux(
    scheduler: SchedulerMixin | None = None, guidance_embeds: bool = True, kind: type = FluxPipeline
) -> FluxPipeline:
    """Flux: latents are packed into tokens, and the shift depends on their number."""
    pipe = kind(
        transformer=copy.deepcopy(_flux_network(guidance_embeds)),
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=copy.deepcopy(_vae()),
        text_encoder=copy.deepcopy(tiny._text_encoder()),
        tokenizer=tiny._tokenizer(),
        text_encoder_2=copy.deepcopy(_t5()),
        tokenizer_2=tiny._tokenizer(),
    )
    return _quiet(pipe)


def flux_img2img(scheduler: SchedulerMixin | None = None) -> FluxImg2ImgPipeline:
    """The same from a picture."""
    return flux(scheduler, kind=FluxImg2ImgPipeline)


def _quiet(pipe: DiffusionPipeline) -> DiffusionPipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe

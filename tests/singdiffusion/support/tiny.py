"""Tiny pipelines of the real classes, built from configs with fixed seeds: nothing is downloaded.

Latents are 4×8×8 and images 16×16. The models are built once and copied, so that every call gives a pipeline of its own that a
test may cast, hook and break.
"""

import copy
from functools import cache

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    MotionAdapter,
    SchedulerMixin,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from singtheory.schedule.schedules import STABLE_DIFFUSION

LATENTS = (4, 8, 8)
"""Channels, height and width of one sample's latents."""

IMAGE = 16
"""Height and width of the images."""

TEXT_WIDTH = 16
"""Width of one text encoder's token states; SDXL concatenates two."""

_BLOCKS, _GROUPS = (4, 8), 2
_START, _END = "<|startoftext|>", "<|endoftext|>"
_TIME_WIDTH = 4


@cache
def _tokenizer() -> CLIPTokenizer:
    """CLIP's byte-pair tokenizer without merges: one token a byte, so that any prompt has its own ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]
    words = [*letters, *(letter + "</w>" for letter in letters), _START, _END]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77)


def _text_config() -> CLIPTextConfig:
    tokenizer = _tokenizer()
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


@cache
def _text_encoder(projected: bool = False) -> CLIPTextModel | CLIPTextModelWithProjection:
    torch.manual_seed(1)
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(_text_config()).eval()


@cache
def _unet(in_channels: int = LATENTS[0]) -> UNet2DConditionModel:
    torch.manual_seed(2)
    return _unet_of(in_channels=in_channels, cross_attention_dim=TEXT_WIDTH)


@cache
def _unet_xl() -> UNet2DConditionModel:
    torch.manual_seed(3)
    return _unet_of(
        in_channels=LATENTS[0],
        cross_attention_dim=2 * TEXT_WIDTH,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_WIDTH,
        projection_class_embeddings_input_dim=6 * _TIME_WIDTH + TEXT_WIDTH,
    )


def _unet_of(**options) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=LATENTS[1],
        out_channels=LATENTS[0],
        block_out_channels=_BLOCKS,
        layers_per_block=1,
        norm_num_groups=_GROUPS,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **options,
    ).eval()


@cache
def _vae() -> AutoencoderKL:
    torch.manual_seed(4)
    return AutoencoderKL(
        latent_channels=LATENTS[0],
        sample_size=IMAGE,
        block_out_channels=_BLOCKS,
        norm_num_groups=_GROUPS,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    ).eval()


@cache
def _controlnet() -> ControlNetModel:
    torch.manual_seed(5)
    return ControlNetModel.from_unet(_unet(), conditioning_embedding_out_channels=_BLOCKS).eval()


@cache
def _motion_adapter() -> MotionAdapter:
    torch.manual_seed(6)
    return MotionAdapter(
        block_out_channels=_BLOCKS,
        motion_layers_per_block=1,
        motion_norm_num_groups=_GROUPS,
        motion_num_attention_heads=2,
    ).eval()


def ddim() -> DDIMScheduler:
    """Stable Diffusion's own schedule on its leading grid."""
    return DDIMScheduler.from_config({**STABLE_DIFFUSION, "clip_sample": False})


def _quiet(pipe: DiffusionPipeline) -> DiffusionPipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _stable_diffusion(
    kind: type[DiffusionPipeline], scheduler: SchedulerMixin | None, unet: UNet2DConditionModel, **more
) -> DiffusionPipeline:
    return _quiet(
        kind(
            vae=copy.deepcopy(_vae()),
            text_encoder=copy.deepcopy(_text_encoder()),
            tokenizer=_tokenizer(),
            unet=copy.deepcopy(unet),
            scheduler=scheduler or ddim(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **more,
        )
    )


def _stable_diffusion_xl(kind: type[DiffusionPipeline], scheduler: SchedulerMixin | None) -> DiffusionPipeline:
    return _quiet(
        kind(
            vae=copy.deepcopy(_vae()),
            text_encoder=copy.deepcopy(_text_encoder()),
            text_encoder_2=copy.deepcopy(_text_encoder(projected=True)),
            tokenizer=_tokenizer(),
            tokenizer_2=_tokenizer(),
            unet=copy.deepcopy(_unet_xl()),
            scheduler=scheduler or ddim(),
            add_watermarker=False,
        )
    )


def stable_diffusion(scheduler: SchedulerMixin | None = None) -> StableDiffusionPipeline:
    """Text to image."""
    return _stable_diffusion(StableDiffusionPipeline, scheduler, _unet())


def stable_diffusion_img2img(scheduler: SchedulerMixin | None = None) -> StableDiffusionImg2ImgPipeline:
    """Image to image; give `image=` of 16×16."""
    return _stable_diffusion(StableDiffusionImg2ImgPipeline, scheduler, _unet())


def stable_diffusion_inpaint(
    scheduler: SchedulerMixin | None = None, in_channels: int = 4
) -> StableDiffusionInpaintPipeline:
    """Inpainting; 4 channels blend the background in, 9 read mask and masked image."""
    return _stable_diffusion(StableDiffusionInpaintPipeline, scheduler, _unet(in_channels))


def stable_diffusion_controlnet(scheduler: SchedulerMixin | None = None) -> StableDiffusionControlNetPipeline:
    """Text to image with a ControlNet; give `image=` of 16×16."""
    return _stable_diffusion(
        StableDiffusionControlNetPipeline, scheduler, _unet(), controlnet=copy.deepcopy(_controlnet())
    )


def stable_diffusion_xl(scheduler: SchedulerMixin | None = None) -> StableDiffusionXLPipeline:
    """SDXL with its two text encoders."""
    return _stable_diffusion_xl(StableDiffusionXLPipeline, scheduler)


def stable_diffusion_xl_img2img(scheduler: SchedulerMixin | None = None) -> StableDiffusionXLImg2ImgPipeline:
    """SDXL, image to image."""
    return _stable_diffusion_xl(StableDiffusionXLImg2ImgPipeline, scheduler)


def stable_diffusion_xl_inpaint(scheduler: SchedulerMixin | None = None) -> StableDiffusionXLInpaintPipeline:
    """SDXL, inpainting with a U-Net of 4 channels."""
    return _stable_diffusion_xl(StableDiffusionXLInpaintPipeline, scheduler)


def animatediff(scheduler: SchedulerMixin | None = None) -> AnimateDiffPipeline:
    """Text to video; latents are (batch, 4, frames, 8, 8)."""
    return _quiet(
        AnimateDiffPipeline(
            vae=copy.deepcopy(_vae()),
            text_encoder=copy.deepcopy(_text_encoder()),
            tokenizer=_tokenizer(),
            unet=copy.deepcopy(_unet()),
            motion_adapter=copy.deepcopy(_motion_adapter()),
            scheduler=scheduler or ddim(),
        )
    )

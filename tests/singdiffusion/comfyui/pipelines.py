"""The library's side: pipelines of diffusers with the weights, tokens and sigmas of ComfyUI."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from singdiffusion.start import SingDiffusion, initial_latents

_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def text_encoder(models: Path, checkout: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """CLIP with the weights that ComfyUI loads, and the tokenizer that it ships."""
    model = CLIPTextModel(CLIPTextConfig.from_json_file(checkout / "comfy" / "sd1_clip_config.json")).eval()
    weights, known = load_file(models / "text_encoders" / "clip_l.safetensors"), model.state_dict()
    prefix = "" if any(key.startswith("text_model.") for key in known) else "text_model."
    actual = {key.removeprefix(prefix): value for key, value in weights.items()}
    missing = model.load_state_dict(actual, strict=False).missing_keys
    assert all("position_ids" in key for key in missing), missing
    return model, CLIPTokenizer.from_pretrained(checkout / "comfy" / "sd1_tokenizer", model_max_length=77)


def _single_file(kind: Any, file: Path, **config: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(kind(**config).config, default=str), encoding="utf-8")
        return kind.from_single_file(str(file), config=folder).eval()


def _autoencoder(channels: int, scale: float, shift: float | None = None) -> AutoencoderKL:
    """One that is never run: it says what the latents are."""
    blocks = {"block_out_channels": (32,) * 4, "down_block_types": ("DownEncoderBlock2D",) * 4}
    blocks |= {"up_block_types": ("UpDecoderBlock2D",) * 4}
    return AutoencoderKL(latent_channels=channels, scaling_factor=scale, shift_factor=shift, **blocks)


def stable_diffusion(base: Path, checkout: Path, scale: float) -> StableDiffusionPipeline:
    """Of the tiny Stable Diffusion 1.x, with Euler's steps on ComfyUI's grid `normal`."""
    models = base / "models"
    text, tokenizer = text_encoder(models, checkout)
    unet = _single_file(
        UNet2DConditionModel,
        models / "checkpoints" / "tiny-sd.safetensors",
        block_out_channels=(320,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        layers_per_block=1,
        cross_attention_dim=768,
        attention_head_dim=8,
        sample_size=8,
    )
    pipe = StableDiffusionPipeline(
        vae=_autoencoder(4, scale),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**_BETAS, timestep_spacing="linspace"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe: Any, x_1: Tensor, steps: int, cfg: float, prompt: str, negative: str) -> Tensor:
    """Latents of a pipeline from noise `x_1`."""
    return pipe(
        prompt,
        negative_prompt=negative,
        num_images_per_prompt=len(x_1),
        num_inference_steps=steps,
        guidance_scale=cfg,
        latents=x_1.clone(),
        output_type="latent",
    ).images


def start_of(
    pipe: Any, sing: SingDiffusion, x_1: Tensor, scheduler: str, steps: int, cfg: float, prompt: str, negative: str
) -> Tensor:
    """The library's start for a scheduler of ComfyUI, in units `y + σ n`."""
    average = sing.average([prompt] * len(x_1), [negative] * len(x_1), x_1, cfg)
    euler = EulerDiscreteScheduler(**_BETAS, timestep_spacing="linspace")
    euler.set_timesteps(steps)
    if scheduler == "ddim_uniform":  # which starts below the last step of training
        skip = max(1000 // steps, 1)
        euler.set_timesteps(timesteps=list(range(1, 1000, skip))[::-1])
    return initial_latents(average.mean, x_1, euler, spread=average.spread) * euler.init_noise_sigma


def stable_diffusion_3(base: Path, checkout: Path, scale: float, shift: float) -> Any:
    """Of the tiny Stable Diffusion 3; its prompts are encoded by CLIP alone, as where no other encoder is given to ComfyUI."""
    models = base / "models"
    network = _single_file(
        SD3Transformer2DModel,
        models / "checkpoints" / "tiny-sd3.safetensors",
        sample_size=8,
        num_layers=2,
        attention_head_dim=64,
        num_attention_heads=2,
        joint_attention_dim=4096,
        caption_projection_dim=128,
        pooled_projection_dim=2048,
        pos_embed_max_size=8,
    )
    pipe = StableDiffusion3Pipeline(
        transformer=network,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=_autoencoder(16, scale, shift),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.own_text = text_encoder(models, checkout)
    return pipe


@torch.no_grad()
def _states(pipe: Any, prompt: str) -> tuple[Tensor, Tensor]:
    model, tokenizer = pipe.own_text
    tokens = tokenizer([prompt], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    actual = model(tokens.input_ids, output_hidden_states=True)
    states = torch.nn.functional.pad(actual.hidden_states[-2], (0, 4096 - 768))
    return states, torch.nn.functional.pad(actual.pooler_output, (0, 1280))


def shifted(steps: int, shift: float) -> Tensor:
    """ComfyUI's grid `simple` of a flow with a shift, 0 at its end."""
    t = 1 - torch.arange(steps, dtype=torch.float64) / steps
    return torch.cat([shift * t / (1 + (shift - 1) * t), torch.zeros(1, dtype=torch.float64)]).float()


def flowed(
    pipe: Any, x_1: Tensor, sigmas: Tensor, cfg: float, prompt: str, negative: str, steps: int | None = None
) -> Tensor:
    """Latents of a flow's pipeline from noise `x_1`, at the end or after some steps."""
    seen: list[Tensor] = []

    def kept(_pipe: Any, _step: int, _timestep: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        seen.append(arguments["latents"].clone())
        return arguments

    states, pooled = (each.repeat(len(x_1), *[1] * (each.ndim - 1)) for each in _states(pipe, prompt))
    without, pooled_without = (each.repeat(len(x_1), *[1] * (each.ndim - 1)) for each in _states(pipe, negative))
    pipe(
        prompt_embeds=states,
        negative_prompt_embeds=without,
        pooled_prompt_embeds=pooled,
        negative_pooled_prompt_embeds=pooled_without,
        sigmas=sigmas[:-1].tolist(),
        num_inference_steps=len(sigmas) - 1,
        guidance_scale=cfg,
        height=64,
        width=64,
        latents=x_1.clone(),
        output_type="latent",
        callback_on_step_end=kept,
    )
    return seen[-1 if steps is None else steps - 1]

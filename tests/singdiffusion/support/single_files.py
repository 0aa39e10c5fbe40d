"""Checkpoints of one file, as the web interfaces store them: a pipeline's weights under their original names, and a folder of its configuration."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

_PLACES = [
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^mid_block\.resnets\.0\.", "middle_block.0."),
    (r"^mid_block\.attentions\.0\.", "middle_block.1."),
    (r"^mid_block\.resnets\.1\.", "middle_block.2."),
]
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def _unet_name(name: str, layers: int) -> str:
    """The original name of a weight of a U-Net with so many layers a block."""
    for pattern, place in _PLACES:
        name = re.sub(pattern, place, name)
    down = re.match(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.", name)
    if down:
        block, part, layer = int(down[1]), down[2], int(down[3])
        number = 1 + block * (layers + 1) + (layers if part == "downsamplers" else layer)
        place = {"resnets": "0.", "attentions": "1.", "downsamplers": "0.op."}[part]
        name = f"input_blocks.{number}.{place}{name[down.end() :].removeprefix('conv.') if part == 'downsamplers' else name[down.end() :]}"
    up = re.match(r"up_blocks\.(\d+)\.(resnets|attentions|upsamplers)\.(\d+)\.", name)
    if up:
        block, part, layer = int(up[1]), up[2], int(up[3])
        number = block * (layers + 1) + (layers if part == "upsamplers" else layer)
        place = {"resnets": "0.", "attentions": "1.", "upsamplers": "2."}[part]
        name = f"output_blocks.{number}.{place}{name[up.end() :]}"
    if re.match(r"(input|output)_blocks\.\d+\.0\.|middle_block\.[02]\.", name):
        for one, other in _RESNET.items():
            name = name.replace(f".{one}.", f".{other}.")
    return f"model.diffusion_model.{name}"


def _vae_name(name: str, blocks: int) -> str:
    """The original name of a weight of an `AutoencoderKL` with so many blocks."""
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{blocks - 1 - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{blocks - 1 - int(m[1])}.upsample.", name)
    name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
    name = name.replace("mid_block.attentions.0.", "mid.attn_1.")
    for one, other in {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
        name = name.replace(f"attn_1.{one}.", f"attn_1.{other}.")
    return f"first_stage_model.{name}"


def weights_of(pipe: Any) -> dict[str, Tensor]:
    """The weights of a pipeline of Stable Diffusion 1.x under their original names."""
    layers, blocks = int(pipe.unet.config.layers_per_block), len(pipe.vae.config.block_out_channels)
    actual = {_unet_name(name, layers): value for name, value in pipe.unet.state_dict().items()}
    actual |= {_vae_name(name, blocks): value for name, value in pipe.vae.state_dict().items()}
    text = {name.removeprefix("text_model."): value for name, value in pipe.text_encoder.state_dict().items()}
    actual |= {f"cond_stage_model.transformer.text_model.{name}": value for name, value in text.items()}
    return {name: value.detach().clone().contiguous() for name, value in actual.items()}


def write(pipe: Any, folder: Path, marks: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """A `.safetensors` of a pipeline, with the empty tensors of some names, and the folder of its configuration, without weights."""
    config = folder / "config"
    pipe.save_pretrained(config)
    for weights in config.rglob("*.safetensors"):
        weights.unlink()
    file = folder / "model.safetensors"
    save_file(weights_of(pipe) | {mark: torch.zeros(1) for mark in marks}, file)
    return file, config

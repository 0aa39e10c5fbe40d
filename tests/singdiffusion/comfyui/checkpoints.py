"""Tiny checkpoints that ComfyUI recognises, with random weights: run by path, with ComfyUI's Python and its checkout.

    python tests/singdiffusion/comfyui/checkpoints.py COMFYUI OUT

Stable Diffusion 1.x is known by its 320 channels and its tokens of 768, Stable Diffusion 3 by its blocks: one level of the one and two blocks of the other
are enough. The text encoder is CLIP's large one, whole, for ComfyUI builds no other; all three are of random weights.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "num_heads": 8,
    "use_spatial_transformer": True,
    "transformer_depth": [1],
    "transformer_depth_output": [1, 1],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "legacy": False,
}
MMDIT = {
    "input_size": None,
    "in_channels": 16,
    "patch_size": 2,
    "depth": 2,
    "out_channels": 16,
    "adm_in_channels": 2048,
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 128}},
    "num_patches": 64,
    "pos_embed_max_size": 8,
}


@torch.no_grad()
def filled(module: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """The weights of a module, drawn so that its activations keep their size."""
    generator, weights = torch.Generator().manual_seed(seed), {}
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            weights[name] = value
            continue
        drawn = torch.randn(value.shape, generator=generator)
        if name.endswith(("embedding.weight", "pos_embed")):
            drawn = 0.1 * drawn
        elif value.ndim > 1:
            drawn = drawn / value[0].numel() ** 0.5
        elif name.endswith("weight"):
            drawn = 1 + 0.1 * drawn
        else:
            drawn = 0.05 * drawn
        weights[name] = drawn.contiguous()
    return weights


def main(comfyui: Path, out: Path) -> None:
    """Write `checkpoints/tiny-sd.safetensors`, `checkpoints/tiny-sd3.safetensors` and `text_encoders/clip_l.safetensors`."""
    sys.path.insert(0, str(comfyui))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from transformers import CLIPTextConfig, CLIPTextModel

    operations = comfy.ops.disable_weight_init
    networks = {
        "tiny-sd": UNetModel(**UNET, operations=operations),
        "tiny-sd3": MMDiT(**MMDIT, operations=operations, device="cpu", dtype=torch.float32),
    }
    for seed, (name, network) in enumerate(networks.items()):
        weights = {f"model.diffusion_model.{key}": value for key, value in filled(network, seed).items()}
        file = out / "checkpoints" / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, file)
    text = CLIPTextModel(CLIPTextConfig.from_json_file(comfyui / "comfy" / "sd1_clip_config.json"))
    weights = filled(text, 2)
    prefix = "" if any(key.startswith("text_model.") for key in weights) else "text_model."
    (out / "text_encoders").mkdir(parents=True, exist_ok=True)
    named = {prefix + key: value for key, value in weights.items() if not key.endswith("position_ids")}
    save_file(named, out / "text_encoders" / "clip_l.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("comfyui", type=Path, help="ComfyUI's checkout")
    parser.add_argument("out", type=Path, help="folder of the models")
    arguments = parser.parse_args()
    main(arguments.comfyui.resolve(), arguments.out)

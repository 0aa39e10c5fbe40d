"""A U-Net of the package as an ONNX file whose weights stay in float16, as they are stored; they are widened when the file is loaded.

The graph takes one picture `x` (1, channels, height, width), its timestep `t` (1,) and token states `c` (1, tokens, width), all float32, and gives `out`, of
the shape of `x`. Fixed shapes leave nothing to compute about them.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

OPSET = 17


class _Stored(nn.Module):
    """The network with its parameters in half precision, each widened where it is used."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for module in list(network.modules()):
            names = [name for name, _ in module.named_parameters(recurse=False)]
            for name in names:
                half = getattr(module, name).detach().half()
                delattr(module, name)
                module.register_buffer(f"half_{name}", half)
            if names:
                module.register_forward_pre_hook(_widening(names))

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """The network's output."""
        return self.network(x, t, c, return_dict=False)[0]


def _widening(names: list[str]) -> Any:
    def hook(module: nn.Module, _: Any) -> None:
        for name in names:
            setattr(module, name, getattr(module, f"half_{name}").float())

    return hook


def load(folder: Path) -> UNet2DConditionModel:
    """The U-Net of a pipeline, in float32."""
    network: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32)
    return network.eval()


def exported(folder: Path, tokens: int) -> bytes:
    """The ONNX file of the U-Net of a pipeline's folder, for prompts of so many tokens."""
    network = load(folder)
    network.set_attn_processor(AttnProcessor2_0())  # the older one adds memory that is not set, times zero
    size, width = int(network.config["sample_size"]), int(network.config["cross_attention_dim"])
    inputs = (
        torch.zeros(1, int(network.config["in_channels"]), size, size),
        torch.zeros(1),
        torch.zeros(1, tokens, width),
    )
    with torch.no_grad(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as written:
        warnings.simplefilter("ignore")  # of the tracer, about shapes, which are fixed here
        torch.onnx.export(
            _Stored(network),
            inputs,
            Path(written) / "network.onnx",
            input_names=["x", "t", "c"],
            output_names=["out"],
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=False,  # it would store the widened weights
        )
        return (Path(written) / "network.onnx").read_bytes()

"""A checkpoint in the layout in which the paper's were published."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from singdiffusion.average.time_free import AverageUNet


def state(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """Weights without projections of time, and with the time embedding that nothing reads any more."""
    stale = {f"time_embedding.{name}": value for name, value in unet.time_embedding.state_dict().items()}
    return AverageUNet.from_unet(unet).network.state_dict() | stale


def write(folder: Path, unet: UNet2DConditionModel) -> None:
    """`config.json` of the plain U-Net and `diffusion_pytorch_model.bin`."""
    unet.save_config(folder)
    torch.save(state(unet), folder / "diffusion_pytorch_model.bin")

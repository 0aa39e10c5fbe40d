"""The table of average images that a diagnosis advises, from the data that it was asked with."""

import math

import torch
from torch import Tensor

from singdiffusion.average import AverageTable
from singdiffusion.base import Checkpoint, encode, latent_scale
from singdiffusion.evaluation.picture_data import load
from singtheory.data import Data
from singtheory.errors import InputError


def table_of(source: str, data: str, rank: int = 0) -> AverageTable:
    """`ȳ("")` and its spread, of data in the space where the pipeline at `source` works: `SingDiffusion(table_of(…)).attach(pipe)`.

    Args:
        source: path or hub id of a pipeline.
        data: as `singdiffusion diagnose --data` takes it: images, or points that are flattened latents.
        rank: how many directions the spread has; 0 for none.

    Raises:
        InputError: for a pipeline or data that cannot be read, and for points that are not of the network's shape.
    """
    checkpoint = Checkpoint.find(source)
    loaded = load(data, checkpoint)
    vae = checkpoint.autoencoder()
    check_encodes(checkpoint, vae, loaded)
    rows = _rows(checkpoint, loaded)
    if vae is None:
        return AverageTable.from_images({"": rows}, rank=rank)
    factor, shift = latent_scale(vae)
    latents = rows if loaded.image_shape is None else encode(vae, rows)
    return AverageTable.from_images({"": latents}, rank=rank, scaling_factor=factor, shift_factor=shift)


def check_encodes(checkpoint: Checkpoint, vae: object, loaded: Data) -> None:
    """Raise `InputError` for images of a pipeline whose VAE cannot be read."""
    if vae is None and checkpoint.has("vae") and loaded.image_shape is not None:
        raise InputError(
            f"{checkpoint.name}: its VAE is no AutoencoderKL or AutoencoderTiny in safetensors, and without it images tell nothing of its latents; "
            "give flattened latents as a two-dimensional .npy with --data"
        )


def _rows(checkpoint: Checkpoint, loaded: Data) -> Tensor:
    """Images in [−1, 1], or points as what the network takes; shape (n, channels, height, width)."""
    points = loaded.law.points
    if loaded.image_shape is not None:
        height, width, channels = (*loaded.image_shape, 1)[:3]
        return points.reshape(-1, height, width, channels).permute(0, 3, 1, 2).float()
    network = checkpoint.config_of("unet") or checkpoint.config_of("transformer")
    channels, side = network.get("in_channels"), checkpoint.sample_size
    if not isinstance(channels, int) or side is None or math.prod((channels, side, side)) != loaded.law.dim:
        raise InputError(
            f"{loaded.name}: points of {loaded.law.dim} numbers are not what the network of {checkpoint.name} takes, so no table is made of them; give images"
        )
    return torch.as_tensor(points).reshape(-1, channels, side, side).float()

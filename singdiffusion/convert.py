"""The published checkpoints of the paper into modules of this package."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from singdiffusion.files import find_folder, first_sentence, read_config
from singdiffusion.space import Space
from singdiffusion.time_free import AverageUNet
from singtheory.errors import InputError

STABLE_DIFFUSION_1 = Space(channels=4, scaling_factor=0.18215, text_width=768)
"""What the published checkpoints were trained beside."""

_NAME = "diffusion_pytorch_model"


def convert(source: str | Path, target: str | Path, space: Space = STABLE_DIFFUSION_1) -> AverageUNet:
    """Turn a published checkpoint into an `AverageUNet` in safetensors; `target` appears whole or not at all.

    The published layout is `config.json` of a plain `UNet2DConditionModel` and `diffusion_pytorch_model.bin` (or
    `.safetensors`) without any `time_emb_proj`; what is left in it of `time_embedding` is never used and dropped.

    Args:
        source: folder or hub id.
        target: a folder that does not exist yet or is empty.
        space: of the pipeline that the checkpoint was trained beside, `Space.of(pipe)`; where its text encoder is not known, the
            width of the token states is all that is checked later.

    Returns:
        The module that was written.

    Raises:
        InputError: for weights that are anything but plain tensors, truncated, not finite or of another network, for a space
            that does not fit, and for a target that holds something.
    """
    folder = find_folder(source, ["config.json", f"{_NAME}.*"])
    config = read_config(folder)
    weights = _plain_weights(folder)
    if any(".time_emb_proj." in name for name in weights):
        raise InputError(
            f"{folder}: an ordinary U-Net with time, no average image; AverageUNet.from_unet makes a start of it"
        )
    module = AverageUNet.from_state(config, _without_embedding(weights), space)
    if (module.space.channels, module.space.text_width) != (space.channels, space.text_width):
        raise InputError(
            f"{folder}: {module.space.channels} channels and token states of width {module.space.text_width}, but the pipeline has "
            f"{space.channels} and {space.text_width}; name the pipeline that it was trained beside"
        )
    module.save_pretrained(target)
    return module


def _without_embedding(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith("time_embedding.")}


def _plain_weights(folder: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors by name. Raises `InputError` for anything else; no code in it is run."""
    file = next(
        (folder / f"{_NAME}{end}" for end in (".safetensors", ".bin") if (folder / f"{_NAME}{end}").is_file()), None
    )
    if file is None:
        raise InputError(
            f"{folder}: holds neither {_NAME}.safetensors nor {_NAME}.bin; give the folder with the weights"
        )
    try:
        weights: Any = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{file}: damaged, or more than plain tensors, which could run code; it is not loaded"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{file}: truncated or damaged ({first_sentence(error)}); copy it again") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{file}: is not a table of tensors by name; give the U-Net's own state dict")
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{file}: {name} holds NaN or infinity; copy it again")
    return weights

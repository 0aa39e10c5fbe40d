"""The published checkpoints of the paper into modules of this package."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from singdiffusion.average.time_free import AverageUNet
from singdiffusion.base import Space
from singdiffusion.system import find_folder, first_sentence, read_config
from singtheory.errors import InputError

STABLE_DIFFUSION_1 = Space(channels=4, scaling_factor=0.18215, text_width=768)
"""What the published checkpoints were trained beside."""

_NAME = "diffusion_pytorch_model"
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
        if file.suffix != ".safetensors":
            _check_packed(file)
        weights: Any = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{file}: damaged, or more than plain tensors, which could run code; it is not loaded"
        ) from None
    except InputError:
        raise
    except Exception as error:  # damaged files raise what their reader likes
        raise InputError(f"{file}: truncated or damaged ({first_sentence(error)}); copy it again") from None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise InputError(f"{file}: is not a table of tensors by name; give the U-Net's own state dict")
    for name, value in weights.items():
        _check_plain(file, name, value)
    size = sum(value.numel() * value.element_size() for value in weights.values())
    if size > file.stat().st_size:
        raise InputError(f"{file}: its tensors take {size} bytes, more than the file; save copies and no views")
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{file}: {name} holds NaN or infinity; copy it again")
    return {name: value.detach().contiguous() for name, value in weights.items()}


def _check_plain(file: Path, name: str, value: Tensor) -> None:
    """Raise `InputError` for a tensor that is more, or less, than numbers in memory, one after another."""
    if value.is_quantized or value.is_meta or value.layout != torch.strided or value.dtype not in _FLOATS:
        kind = (
            "quantised" if value.is_quantized else "without data" if value.is_meta else f"{value.layout}, {value.dtype}"
        )
        raise InputError(
            f"{file}: {name} is {kind}; save the weights as dense tensors of float16, bfloat16, float32 or float64"
        )
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise InputError(f"{file}: {name} is a view that repeats its values; save a copy of it")


def _check_packed(file: Path) -> None:
    """Raise `InputError` for an archive whose members become larger than the file, which torch never writes."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise InputError(f"{file}: is a compressed archive, no checkpoint that torch wrote; copy it again")

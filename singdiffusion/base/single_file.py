"""A checkpoint of one file, as Civitai and the web interfaces hand them out: read by diffusers' loader, and never unpickled with code.

Such a file holds weights alone. What builds the networks around them (`model_index.json` and the configurations beside it) is a folder: the
caller's, or that of the model from which the file seems to be made, out of the hub's cache or from the hub.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders.single_file_utils import fetch_diffusers_config
from huggingface_hub import snapshot_download
from safetensors import safe_open

from singdiffusion.system import first_sentence, read_object, told_in_one_line
from singtheory.errors import InputError

ENDS = (".safetensors", ".ckpt")
"""The endings of such files."""
_UNET = "model.diffusion_model."
_WANTED = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model")
_MARKS = {"v_pred": {"prediction_type": "v_prediction"}, "ztsnr": {"rescale_betas_zero_snr": True}}
"""Empty tensors by which trainers mark a file, and the settings of the scheduler that they stand for."""


def is_single_file(source: str | Path) -> bool:
    """Whether it is a file of weights, by its name."""
    return os.path.isfile(source) and str(source).lower().endswith(ENDS)


@dataclass(frozen=True)
class SingleFile:
    """A checkpoint of one file with the folder of its configuration.

    Attributes:
        file: `.safetensors` or `.ckpt`.
        config: folder or hub id of a pipeline of the same kind, of which the weights are not needed; None for the kind that the file is of.
    """

    file: str
    config: str | None = None

    @cached_property
    def folder(self) -> Path:
        """Where the configuration lies.

        Raises:
            InputError: for a file that is no checkpoint, and where the configuration is not to be had.
        """
        kind = self._kind
        wanted = self.config or kind
        if self.config is not None and os.path.isfile(self.config):
            raise InputError(
                f"config {self.config}: is a file; give the folder of a pipeline, with its model_index.json"
            )
        if os.path.isdir(wanted):
            return _with_index(Path(wanted))
        try:
            return _with_index(Path(snapshot_download(wanted, allow_patterns=list(_WANTED))))
        except (OSError, ValueError) as error:  # the hub's errors are one or the other
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.file}: needs model_index.json and the configurations beside it of {wanted}, which are not on this machine "
                f"({first_sentence(error)}); give a folder of such a pipeline, without weights, with --config or config=, or go online once"
            ) from None

    def scheduler_config(self) -> dict[str, Any]:
        """The configuration of the scheduler, with what the file itself says of its prediction."""
        config = read_object(self.folder / "scheduler" / "scheduler_config.json")
        for mark, setting in _MARKS.items():
            config |= setting if mark in self._shapes else {}
        return config

    def network(self, part: str) -> Any:
        """The `vae` or `unet` in float32, or None where the pipeline has none. Raises `InputError` for weights that do not fit."""
        return getattr(self.pipeline(torch.float32, only=(part,)), part, None)

    def pipeline(self, dtype: torch.dtype, only: tuple[str, ...] | None = None, **parts: Any) -> Any:
        """The pipeline, without a safety checker.

        Args:
            dtype: of its weights.
            only: beginnings of the names of the parts to load; all if None.
            parts: in the place of those in the file.

        Raises:
            InputError: for a file that cannot be read, holds another kind of weights, or does not fit the configuration.
        """
        index = read_object(self.folder / "model_index.json")
        kind: Any = getattr(diffusers, str(index.get("_class_name")), None)
        if not hasattr(kind, "from_single_file"):
            raise InputError(
                f"{self.folder}: {index.get('_class_name')} cannot be loaded from one file; give a folder as its pipeline is stored"
            )
        names = [name for name, value in index.items() if isinstance(value, list)]
        left_out = [name for name in names if only is not None and not name.startswith((*only, "scheduler"))]
        left_out += [name for name in ("safety_checker", "feature_extractor", "image_encoder") if name in names]
        components: dict[str, Any] = dict.fromkeys(left_out) | parts
        misfit = f"{self.file}: does not fit the configuration in {self.folder}"
        with told_in_one_line(misfit, "give its own with --config or config="):
            pipe = kind.from_single_file(self.file, config=str(self.folder), torch_dtype=dtype, **components)
        if getattr(pipe, "scheduler", None) is not None:
            pipe.scheduler = type(pipe.scheduler).from_config(self.scheduler_config())
        return pipe

    @cached_property
    def _shapes(self) -> dict[str, "_Shape"]:
        """The shapes of its tensors by name."""
        return dict(_shapes(self.file))

    @property
    def _kind(self) -> str:
        """The hub's model from which the file seems to be made. Raises `InputError` for one without a U-Net."""
        names = self._shapes
        if not any(name.startswith(_UNET) for name in names):
            what = (
                "a LoRA, which goes with --lora" if any("lora" in name for name in names) else "another kind of weights"
            )
            raise InputError(
                f"{self.file}: holds no U-Net ({_UNET}…) but {what}; give a whole checkpoint, or a pipeline's folder"
            )
        return fetch_diffusers_config(names)["pretrained_model_name_or_path"]


@dataclass(frozen=True)
class _Shape:
    """What diffusers looks at to tell the kind of a file."""

    shape: tuple[int, ...]


def _with_index(folder: Path) -> Path:
    if not (folder / "model_index.json").is_file():
        raise InputError(f"{folder}: holds no model_index.json; give the folder of a pipeline with --config or config=")
    return folder


def _shapes(file: str) -> Iterator[tuple[str, _Shape]]:
    """The shapes of a file's tensors, without reading safetensors whole. Raises `InputError` for a damaged file, and for a pickle with more than tensors."""
    try:
        if file.lower().endswith(".safetensors"):
            with safe_open(file, framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118 it is no mapping
                    yield name, _Shape(tuple(stored.get_slice(name).get_shape()))
            return
        weights: Any = torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # safetensors and pickle raise what they like
        more = (
            ", or more than plain tensors, which could run code; it is not loaded"
            if file.lower().endswith(".ckpt")
            else ""
        )
        raise InputError(
            f"{file}: truncated or damaged{more} ({first_sentence(error)}); take its .safetensors or copy it again"
        ) from None
    while isinstance(weights, dict) and "state_dict" in weights:
        weights = weights["state_dict"]
    for name, value in weights.items() if isinstance(weights, dict) else ():
        if isinstance(value, torch.Tensor):
            yield str(name), _Shape(tuple(value.shape))

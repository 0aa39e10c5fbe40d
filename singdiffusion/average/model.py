r"""The average image `ȳ(c)` of a prompt, and the models that give it.

At t = 1 the denoiser is the mean of the data for the condition, `E[x_0 | c]` (C1), and with it the start of the sampler is right in
the mean (C6). A low-rank spread around it makes the start right in the variance too (C7). Every model here answers
`module(condition, x_1) -> Average`, in the latent space that its `space` names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from singdiffusion.base import Finite, Space, a_tensor_of
from singdiffusion.system import (
    Kind,
    check_fields,
    check_fits,
    find_folder,
    first_sentence,
    new_folder,
    read_config,
    shown,
    told_in_one_line,
)
from singtheory.errors import InputError

Condition = Sequence[str] | Tensor
"""Prompts, or token states of shape (batch, tokens, width)."""

STORED = ("*.json", "*.safetensors", "*.txt", "*.model")
"""The files of a stored module: weights, configurations, and what tokenizers read."""


@dataclass(frozen=True)
class Average:
    """Average images, with or without a spread around them.

    Attributes:
        mean: `ȳ(c)`, shape (batch, channels, height, width).
        basis: orthonormal directions `φ_k` of the spread, shape (k, channels, height, width), or None.
        std: `s_k(c)`, the standard deviations along them, shape (batch, k), or None.

    Raises:
        InputError: for shapes that do not fit, NaN, infinities and negative deviations.
    """

    mean: Tensor
    basis: Tensor | None = None
    std: Tensor | None = None

    def __post_init__(self) -> None:
        if self.mean.ndim != 4:
            raise InputError(f"average image of shape {tuple(self.mean.shape)}: need (batch, channels, height, width)")
        if (self.basis is None) != (self.std is None):
            raise InputError("spread of an average image: give basis and std, or neither")
        named = {"average image": self.mean}
        if self.basis is not None and self.std is not None:
            self._check_shapes(self.basis, self.std)
            named |= {"basis of the spread": self.basis, "std of the spread": self.std}
        Finite(named, "check the weights, and float16 for overflow").check()
        if self.std is not None and bool((self.std < 0).any()):
            raise InputError(f"std of the spread: the smallest is {float(self.std.min())}; it must not be negative")

    def _check_shapes(self, basis: Tensor, std: Tensor) -> None:
        if basis.shape[1:] != self.mean.shape[1:] or std.shape != (len(self.mean), len(basis)):
            raise InputError(
                f"spread with basis {tuple(basis.shape)} and std {tuple(std.shape)}: "
                f"does not fit average images of shape {tuple(self.mean.shape)}"
            )

    @property
    def spread(self) -> tuple[Tensor, Tensor] | None:
        """`(basis, std)`, as `initial_latents` takes it, or None."""
        return None if self.basis is None or self.std is None else (self.basis, self.std)


class AverageImage(Protocol):
    """What gives average images: a model of this package or anything with these three."""

    @property
    def space(self) -> Space:
        """The latents of the images, and the token states that are understood."""
        ...

    def condition_for(self, pipeline: Space) -> Literal["embeddings", "prompts"]:
        """Which condition to hand over when sampling with a pipeline of that space.

        Raises:
            InputError: if the latents are others, or if neither its embeddings nor prompts are understood.
        """
        ...

    def __call__(self, condition: Condition, x_1: Tensor) -> Average:
        """The average images for a batch of conditions.

        Args:
            condition: one prompt an image, or token states of shape (batch, tokens, width).
            x_1: the sampler's noise, shape (batch, channels, height, width), on which the best answer does not depend where
                `α_1 = 0` (C9).

        Raises:
            InputError: for a condition or noise that does not fit.
        """
        ...


class AverageModel(ModelMixin, ConfigMixin):
    """An `AverageImage` with weights, stored as `config.json` and safetensors."""

    config_name = "config.json"
    config_fields: ClassVar[Mapping[str, Kind]] = {}
    """What the configuration may hold, by the names of the arguments; where it is empty nothing is checked."""
    trained_by_steps: ClassVar[bool] = False
    """Whether it is a network, fitted step by step, and not a closed form of the data."""

    def __init__(self) -> None:
        """Check the configuration, which `register_to_config` has noted, and that its weights fit into memory."""
        super().__init__()
        config = _plain(self.config)
        self._check_config(config)
        if not torch.empty(0).is_meta:
            check_fits(type(self).__name__, _bytes_of(type(self)._outline(config)))

    @classmethod
    def _check_config(cls, config: Mapping[str, Any]) -> None:
        """Raise `InputError` for a configuration, without diffusers' notes in it, of which no such module can be made."""
        if cls.config_fields:
            check_fields(config, cls.config_fields, f"field of {cls.__name__}", partial=True)

    @classmethod
    def _outline(cls, config: Mapping[str, Any]) -> Self:
        """The module without any memory behind its weights. Raises `InputError` for a configuration of which none can be made."""
        with told_in_one_line(f"{cls.__name__}: cannot be made of its configuration"), torch.device("meta"):
            return cls(**config)

    @property
    def space(self) -> Space:
        """The latents of the images, and the token states that are understood."""
        raise NotImplementedError

    @property
    def takes_prompts(self) -> bool:
        """Whether prompts are understood as they are."""
        raise NotImplementedError

    @property
    def rank(self) -> int:
        """How many directions the spread has; 0 for none."""
        return int(self.config.get("rank", 0))

    def knows(self, prompt: str) -> bool:
        """Whether a prompt can be asked for, where prompts are understood as they are."""
        return True

    def condition_for(self, pipeline: Space) -> Literal["embeddings", "prompts"]:
        """Which condition to hand over when sampling with a pipeline of that space.

        Embeddings are preferred, so that no text is encoded twice and no second text encoder is loaded.

        Raises:
            InputError: if the latents are others, or if neither its embeddings nor prompts are understood.
        """
        self.space.check_latents(pipeline)
        if self.space.shares_text(pipeline):
            return "embeddings"
        if self.takes_prompts:
            return "prompts"
        raise InputError(
            f"average image for token states of {self.space.text_encoder or 'unknown make'}, width {self.space.text_width}: "
            f"the pipeline's are of {pipeline.text_encoder}, width {pipeline.text_width}; use one made with its text encoder"
        )

    def check_noise(self, x_1: Tensor, batch: int) -> None:
        """Raise `InputError` unless `x_1` holds latents of this space, one for each of `batch` conditions, beside the weights."""
        if x_1.ndim != 4 or tuple(x_1.shape[:2]) != (batch, self.space.channels):
            raise InputError(
                f"x_1 of shape {tuple(x_1.shape)}: need ({batch}, {self.space.channels}, height, width), one a condition"
            )
        held = a_tensor_of(self)
        if (x_1.dtype, x_1.device) != (held.dtype, held.device):
            raise InputError(
                f"x_1 is {x_1.dtype} on {x_1.device}, the average image {held.dtype} on {held.device}: move it with .to()"
            )

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write `config.json` and `diffusion_pytorch_model.safetensors`, both or neither.

        Args:
            save_directory: a folder that does not exist yet or is empty.
            kwargs: those of diffusers' `ModelMixin.save_pretrained`.

        Raises:
            InputError: if the folder holds something or cannot be written.
        """
        with new_folder(save_directory) as draft:
            self._write(draft, **kwargs)

    def _write(self, folder: Path, **kwargs: Any) -> None:
        if not kwargs.pop("safe_serialization", True):
            raise InputError("safe_serialization: weights are written as safetensors alone; leave it out")
        super().save_pretrained(str(folder), safe_serialization=True, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Load from a local folder or a hub id.

        Args:
            pretrained_model_name_or_path: folder or hub id.
            kwargs: those of diffusers' `ModelMixin.from_pretrained`, such as `dtype`.

        Raises:
            InputError: for another class, weights that are missing, truncated or pickled, or that do not fit the configuration.
        """
        folder = find_folder(pretrained_model_name_or_path, STORED)
        config = read_config(folder)
        stored = config.get("_class_name")
        if stored != cls.__name__:
            raise InputError(
                f"{folder}: holds a {shown(stored).strip(chr(39))}, not a {cls.__name__}; load_average finds the right class"
            )
        cls._check_stored(folder, _plain(config), kwargs.get("variant"))
        with told_in_one_line(f"{folder}: cannot be loaded"):
            loaded: Any = super().from_pretrained(folder, use_safetensors=True, output_loading_info=True, **kwargs)
        model, info = loaded
        odd = [*info["missing_keys"], *info["unexpected_keys"]]
        if odd:
            raise InputError(f"{folder}: the weights do not fit config.json in {len(odd)} tensors, first {odd[0]}")
        return model

    @classmethod
    def _check_stored(cls, folder: Path, config: Mapping[str, Any], variant: str | None) -> None:
        """Raise `InputError` unless the configuration is one of this class, and the tensors of the files those of its weights."""
        stored = _stored_weights(folder, variant)
        try:
            cls._check_config(config)
            expected = {name: tuple(value.shape) for name, value in cls._outline(config).state_dict().items()}
        except InputError as error:
            raise InputError(f"{folder}: cannot be loaded (config.json: {error})") from None
        odd = [name for name in sorted(expected.keys() | stored.keys()) if expected.get(name) != stored.get(name)]
        if odd:
            shapes = f"{odd[0]} expected shape {expected.get(odd[0])}, has {stored.get(odd[0])}"
            raise InputError(f"{folder}: the weights do not fit config.json in {len(odd)} tensors, first {shapes}")


class ClosedForm(AverageModel):
    """Average images computed from data, for prompts: the configuration holds `size` (channels, height, width) and the scale of latents."""

    @property
    def space(self) -> Space:
        """The latents of the images; no token states are understood."""
        return Space(self.config["size"][0], self.config["scaling_factor"], self.config["shift_factor"])

    @property
    def takes_prompts(self) -> bool:
        """True: nothing else is needed."""
        return True


_FLOATS = ("F64", "F32", "F16", "BF16")
"""What weights may be in, as safetensors calls it."""


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without diffusers' notes."""
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _bytes_of(module: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in chain(module.parameters(), module.buffers()))


def _stored_weights(folder: Path, variant: str | None) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a folder's weights, from their headers. Raises `InputError` unless all are whole safetensors of floats."""
    files = weight_files(folder, variant)
    if not files:
        pickled = any(folder.glob("*.bin"))
        remedy = (
            f"a pickle is not loaded, try `singdiffusion convert {folder} NEW_FOLDER`" if pickled else "copy it again"
        )
        if variant is not None:
            raise InputError(f"{folder}: cannot be loaded, no diffusion_pytorch_model.{variant}.safetensors; {remedy}")
        raise InputError(f"{folder}: no diffusion_pytorch_model.safetensors; {remedy}")
    shapes = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118 it is no mapping
                    part = stored.get_slice(name)
                    if part.get_dtype() not in _FLOATS:
                        raise InputError(f"{file}: {name} is in {part.get_dtype()}; weights are floating-point numbers")
                    shapes[name] = tuple(part.get_shape())
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: truncated or damaged ({first_sentence(error)}); copy it again") from None
    return shapes


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """The files of a model's weights, whole or in shards, of a variant such as `fp16`."""
    end = "" if variant is None else rf"\.{re.escape(variant)}"
    part = r"-\d+-of-\d+"
    wanted = re.compile(rf"diffusion_pytorch_model(?:{end}|{end}{part}|{part}{end})\.safetensors")
    return sorted(file for file in folder.glob("diffusion_pytorch_model*.safetensors") if wanted.fullmatch(file.name))

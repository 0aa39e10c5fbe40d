"""Where average images live: the latents that a VAE makes, and the token states that a text encoder makes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import Tensor

import singdiffusion.pixels  # noqa: F401 pipelines on pixels name it, and diffusers loads only from what has been imported
from singdiffusion.base.single_file import SingleFile, is_single_file
from singdiffusion.base.text import encoders_of, fingerprint, same_encoders
from singdiffusion.system import first_sentence, number, scale
from singtheory.errors import InputError


def latent_scale(vae: Any) -> tuple[float, float]:
    """The factor by which a VAE's latents are multiplied, and what is subtracted before; of a VAE that scales each channel by itself, for the
    mean of the channels (`channel_scale`).

    Raises:
        InputError: for anything but positive numbers and numbers.
    """
    means, stds = _channels(vae)
    factor, shift = vae.config.get("scaling_factor"), vae.config.get("shift_factor")
    if means is None or stds is None or factor is not None:
        scale().check("scaling_factor of the VAE", factor)
    number(-1e9, 1e9, optional=True).check("shift_factor of the VAE", shift)
    factor, shift = 1.0 if factor is None else float(factor), shift or 0.0
    if means is None or stds is None:
        return factor, shift
    return factor * len(stds) / sum(stds), shift + sum(means) / len(means)


def channel_scale(vae: Any) -> tuple[Tensor, Tensor]:
    """Factor and shift of each channel, shape (channels or 1, 1, 1), float32: what a network sees is `(latents − shift) · factor`.

    Of a VAE with `latents_mean` and `latents_std`, as of Playground 2.5 and of videos, these are `scaling_factor/std` and the mean.

    Raises:
        InputError: as `latent_scale`.
    """
    means, stds = _channels(vae)
    if means is None or stds is None:
        factor, shift = latent_scale(vae)
        return torch.full((1, 1, 1), factor), torch.full((1, 1, 1), shift)
    factor, shift = vae.config.get("scaling_factor"), vae.config.get("shift_factor")
    each = torch.tensor(stds, dtype=torch.float32)[:, None, None]
    return (1.0 if factor is None else factor) / each, torch.tensor(means, dtype=torch.float32)[:, None, None] + (
        shift or 0.0
    )


def is_tiny(vae: Any) -> bool:
    """Whether a VAE is the small approximation of another one, whose latents it takes as a network sees them: scaled already."""
    return type(vae).__name__ == "AutoencoderTiny"


def _channels(vae: Any) -> tuple[list[float] | None, list[float] | None]:
    """`latents_mean` and `latents_std`; None where one of them is missing. Raises `InputError` for what are no numbers, one a channel."""
    means, stds = vae.config.get("latents_mean"), vae.config.get("latents_std")
    if means is None or stds is None:
        return None, None
    flat = [[float(one) for one in torch.as_tensor(values).flatten()] for values in (means, stds)]
    channels = _first(vae.config, _CHANNELS)
    for name, values in zip(("latents_mean", "latents_std"), flat, strict=True):
        if channels is not None and len(values) != channels:
            raise InputError(
                f"{name} of the VAE: {len(values)} numbers for {channels} channels; copy its config.json again"
            )
    number_of_std = scale()
    for value in flat[1]:
        number_of_std.check("latents_std of the VAE", value)
    return flat[0], flat[1]


_CHANNELS = ("latent_channels", "z_dim")
_TEXT_WIDTHS = (
    "caption_channels",
    "cross_attention_dim",
    "joint_attention_dim",
    "text_dim",
    "text_embed_dim",
    "cap_feat_dim",
)
"""Names under which VAEs hold the channels of latents, and networks the width of token states. Where captions have channels of their own,
the width of attention is that behind a projection."""


def _first(config: Any, names: tuple[str, ...]) -> int | None:
    """The first of the fields that a configuration holds; of several in one field, as for several encoders, the first."""
    value = next((config[name] for name in names if config.get(name)), None)
    return value[0] if isinstance(value, list | tuple) else value


def _parts(pipeline: Any) -> tuple[Any, Any]:
    """The VAE and the network of a pipeline; None for what it has not."""
    network = getattr(pipeline, "unet", None)
    return getattr(pipeline, "vae", None), getattr(pipeline, "transformer", None) if network is None else network


def channels_of(pipeline: Any) -> list[int]:
    """How many channels latents of a pipeline have: by its VAE where there is one, and by what its network takes and gives, packed or not."""
    vae, network = _parts(pipeline)
    latents, config = ({} if part is None else part.config for part in (vae, network))
    declared = [_first(latents, _CHANNELS), _first(config, ("in_channels",)), _first(config, ("out_channels",))]
    return [channels for channels in declared if isinstance(channels, int)]


@dataclass(frozen=True)
class Space:
    """What an average image must have in common with the pipeline whose start it gives.

    Attributes:
        channels: of the latents, or of the pixels where there is no VAE.
        scaling_factor: by which latents are multiplied after encoding; 1 in pixel space.
        shift_factor: what is subtracted before.
        text_width: of the token states; None for what takes no token states.
        text_encoder: `text.fingerprint` of the encoder, or of several side by side; None where it is not known.
        scaled: whether the VAE says factor and shift; a small approximation of another one does not, and any are taken for those of its network.
    """

    channels: int
    scaling_factor: float = 1.0
    shift_factor: float = 0.0
    text_width: int | None = None
    text_encoder: str | None = None
    scaled: bool = True

    @classmethod
    def of(cls, pipeline: Any) -> "Space":
        """The space of a diffusers pipeline with a VAE, a network and text encoders; nothing of it is changed. Raises `InputError` for one that says none."""
        vae, network = _parts(pipeline)
        channels = next(iter(channels_of(pipeline)), None)
        config = {} if network is None else network.config
        if channels is None:
            raise InputError(f"{type(pipeline).__name__}: says nowhere how many channels its latents have")
        scaling_factor, shift_factor = (1.0, 0.0) if vae is None else latent_scale(vae)
        encoders = encoders_of(pipeline)
        return cls(
            channels=channels,
            scaling_factor=scaling_factor,
            shift_factor=shift_factor,
            text_width=_first(config, _TEXT_WIDTHS),
            text_encoder=fingerprint(*encoders) if encoders else None,
            scaled=not is_tiny(vae),
        )

    @classmethod
    def stored(cls, source: str | Path, config: str | None = None) -> "Space":
        """The space of a pipeline in a local folder, under a hub id or in one file, with its `config`. Raises `InputError` if it cannot be loaded."""
        if is_single_file(source):
            return cls.of(SingleFile(str(source), config).pipeline(torch.float32))
        try:
            return cls.of(DiffusionPipeline.from_pretrained(source))
        except (OSError, ValueError) as error:
            raise InputError(f"{source}: no pipeline can be loaded from it ({first_sentence(error)})") from None

    def check_latents(self, pipeline: "Space") -> None:
        """Raise `InputError` unless the latents are those of `pipeline`."""
        same_scale = math.isclose(self.scaling_factor, pipeline.scaling_factor, rel_tol=1e-4)
        same_shift = math.isclose(self.shift_factor, pipeline.shift_factor, rel_tol=1e-4)
        known = self.scaled and pipeline.scaled
        if self.channels != pipeline.channels or (known and not (same_scale and same_shift)):
            raise InputError(
                f"average image of {self._latents()}: the pipeline has {pipeline._latents()}; use one made with its VAE"
            )

    def shares_text(self, pipeline: "Space") -> bool:
        """Whether the token states are those of `pipeline`, as far as both are known."""
        known = self.text_encoder is not None and pipeline.text_encoder is not None
        return (
            self.text_width is not None
            and self.text_width == pipeline.text_width
            and (not known or same_encoders(str(self.text_encoder), str(pipeline.text_encoder)))
        )

    def _latents(self) -> str:
        return f"{self.channels} channels, scaling factor {self.scaling_factor:g} and shift {self.shift_factor:g}"

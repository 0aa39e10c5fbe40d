"""Where average images live: the latents that a VAE makes, and the token states that a text encoder makes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

import singdiffusion.pixels  # noqa: F401 pipelines on pixels name it, and diffusers loads only from what has been imported
from singdiffusion.files import first_sentence
from singdiffusion.schema import number, scale
from singdiffusion.text import encoders_of, fingerprint, same_encoders
from singtheory.errors import InputError


def latent_scale(vae: Any) -> tuple[float, float]:
    """The scaling factor of a VAE's latents, and what is subtracted before, which older configurations do not hold.

    Raises:
        InputError: for anything but a positive number and a number.
    """
    factor, shift = vae.config.get("scaling_factor"), vae.config.get("shift_factor")
    scale().check("scaling_factor of the VAE", factor)
    number(-1e9, 1e9, optional=True).check("shift_factor of the VAE", shift)
    return factor, shift or 0.0


_CHANNELS = ("latent_channels", "z_dim")
_TEXT_WIDTHS = (
    "cross_attention_dim",
    "joint_attention_dim",
    "text_dim",
    "caption_channels",
    "text_embed_dim",
    "cap_feat_dim",
)
"""Names under which VAEs hold the channels of latents, and networks the width of token states."""


def _first(config: Any, names: tuple[str, ...]) -> int | None:
    """The first of the fields that a configuration holds."""
    return next((config[name] for name in names if config.get(name)), None)


def _pipeline_scale(vae: Any) -> tuple[float, float]:
    """`latent_scale`; of a VAE that scales each channel by itself, the mean of the channels."""
    means, stds = vae.config.get("latents_mean"), vae.config.get("latents_std")
    if means is None or stds is None or vae.config.get("scaling_factor") is not None:
        return latent_scale(vae)
    return len(stds) / sum(stds), sum(means) / len(means)


@dataclass(frozen=True)
class Space:
    """What an average image must have in common with the pipeline whose start it gives.

    Attributes:
        channels: of the latents, or of the pixels where there is no VAE.
        scaling_factor: by which latents are multiplied after encoding; 1 in pixel space.
        shift_factor: what is subtracted before.
        text_width: of the token states; None for what takes no token states.
        text_encoder: `text.fingerprint` of the encoder, or of several side by side; None where it is not known.
    """

    channels: int
    scaling_factor: float = 1.0
    shift_factor: float = 0.0
    text_width: int | None = None
    text_encoder: str | None = None

    @classmethod
    def of(cls, pipeline: Any) -> "Space":
        """That of a diffusers pipeline with a VAE, a network and text encoders; nothing of it is changed. Raises `InputError` for one that says none."""
        vae = getattr(pipeline, "vae", None)
        network = getattr(pipeline, "unet", None)
        network = getattr(pipeline, "transformer", None) if network is None else network
        latents, config = ({} if part is None else part.config for part in (vae, network))
        channels = _first(latents, _CHANNELS) or _first(config, ("in_channels",))
        if channels is None:
            raise InputError(f"{type(pipeline).__name__}: says nowhere how many channels its latents have")
        scaling_factor, shift_factor = (1.0, 0.0) if vae is None else _pipeline_scale(vae)
        encoders = encoders_of(pipeline)
        return cls(
            channels=channels,
            scaling_factor=scaling_factor,
            shift_factor=shift_factor,
            text_width=_first(config, _TEXT_WIDTHS),
            text_encoder=fingerprint(*encoders) if encoders else None,
        )

    @classmethod
    def stored(cls, source: str | Path) -> "Space":
        """That of a pipeline in a local folder or under a hub id. Raises `InputError` if it cannot be loaded."""
        try:
            return cls.of(DiffusionPipeline.from_pretrained(source))
        except (OSError, ValueError) as error:
            raise InputError(f"{source}: no pipeline can be loaded from it ({first_sentence(error)})") from None

    def check_latents(self, pipeline: "Space") -> None:
        """Raise `InputError` unless the latents are those of `pipeline`."""
        same_scale = math.isclose(self.scaling_factor, pipeline.scaling_factor, rel_tol=1e-4)
        same_shift = math.isclose(self.shift_factor, pipeline.shift_factor, rel_tol=1e-4)
        if self.channels != pipeline.channels or not same_scale or not same_shift:
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

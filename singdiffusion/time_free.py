"""The paper's average image: a U-Net without time, fed with the noise and the prompt."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.resnet import ResnetBlock2D, ResnetBlockCondNorm2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from singdiffusion.average import STORED, Average, AverageModel, Condition
from singdiffusion.files import find_folder, first_sentence
from singdiffusion.space import Space
from singdiffusion.text import TextEncoder
from singtheory.errors import InputError

_PLAIN = {
    "time_embedding_type": "positional",
    "time_embedding_act_fn": None,
    "time_cond_proj_dim": None,
    "resnet_time_scale_shift": "default",
    "class_embed_type": None,
    "num_class_embeds": None,
    "addition_embed_type": None,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
}
"""What the U-Net's configuration must say, so that time enters as a shift of its blocks alone and the condition as tokens alone."""


class AverageUNet(AverageModel):
    """`ȳ_θ(x_1, c)` as in the SingDiffusion paper (arXiv 2403.08381): a diffusers U-Net whose blocks get no time embedding.

    Any size of latents is accepted. The network itself is `network`: `network(x_1, 0, token_states).sample` is the mean, the 0 unread.

    Args:
        unet: the configuration of a `UNet2DConditionModel`.
        scaling_factor: of the latents; 1 in pixel space.
        shift_factor: of the latents.
        text_encoder: `text.fingerprint` of the encoder of the token states; None where it is not known.

    Raises:
        InputError: for a U-Net that cannot be built, and for one conditioned on more than noise, time and tokens: SDXL's added
            conditions enter the blocks together with time and could not be taken apart from it.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = UNet2DConditionModel._no_split_modules
    _repeated_blocks = UNet2DConditionModel._repeated_blocks

    @register_to_config
    def __init__(
        self,
        unet: Mapping[str, Any],
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        text_encoder: str | None = None,
    ) -> None:
        super().__init__()
        self.network = without_time(_build(unet))
        self.text: TextEncoder | None = None
        """Set to understand prompts too; token states need none."""

    @classmethod
    def from_unet(cls, unet: UNet2DConditionModel, timestep: int = 999, space: Space | None = None) -> Self:
        """Warm start: the pretrained U-Net as it is at one time step, with its time embedding folded into biases.

        It reproduces the U-Net's output there, which is an average image only for a U-Net that predicts samples: the others
        need training. The weights are copies.

        Args:
            unet: a U-Net with time.
            timestep: whose embedding is folded, the last one as a rule.
            space: of the pipeline that it belongs to, `Space.of(pipe)`; pixel space if not given.

        Raises:
            InputError: for a U-Net conditioned on more than noise, time and tokens.
        """
        return cls.from_state(unet.config, fold_time(unet, timestep), space)

    @classmethod
    def from_state(cls, unet: Mapping[str, Any], state: Mapping[str, Tensor], space: Space | None = None) -> Self:
        """Around given weights, which are used as they are and not copied.

        Args:
            unet: the configuration of a `UNet2DConditionModel`.
            state: its weights, without those of the time embedding.
            space: of the pipeline that it belongs to; pixel space if not given.

        Raises:
            InputError: if the weights do not fit the configuration.
        """
        noted = () if space is None else ("scaling_factor", "shift_factor", "text_encoder")
        settings = {key: value for key, value in unet.items() if not key.startswith("_")}  # those are diffusers' notes
        with torch.device("meta"):
            module = cls(settings, **{key: getattr(space, key) for key in noted})
        expected = module.network.state_dict()
        odd = [
            name
            for name in expected | dict(state)
            if name not in state or name not in expected or state[name].shape != expected[name].shape
        ]
        if odd:
            raise InputError(f"U-Net weights: {len(odd)} do not fit the configuration, first {odd[0]}")
        module.network.load_state_dict(state, assign=True)
        return module.eval()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load from a local folder or a hub id, as `AverageModel.from_pretrained`; its own text encoder waits until it is needed."""
        folder = find_folder(pretrained_model_name_or_path, STORED)
        module = super().from_pretrained(folder, **kwargs)
        if (folder / "text_encoder").is_dir():
            module.text = TextEncoder.stored(folder)
        return module

    def _write(self, folder: Path, **kwargs: Any) -> None:
        super()._write(folder, **kwargs)
        if self.text is not None:
            self.text.save(folder)

    @property
    def space(self) -> Space:
        """The latents of the images, and the token states that are understood."""
        return Space(
            self.network.config["out_channels"],
            self.config["scaling_factor"],
            self.config["shift_factor"],
            self.network.config["cross_attention_dim"],
            self.config["text_encoder"],
        )

    @property
    def takes_prompts(self) -> bool:
        """Whether it has a text encoder of its own."""
        return self.text is not None

    def forward(self, condition: Condition, x_1: Tensor) -> Average:
        """The network's mean, without spread.

        Args:
            condition: token states of shape (batch, tokens, width), or prompts if it has a text encoder of its own.
            x_1: noise, shape (batch, channels, height, width), in the dtype and on the device of the weights.

        Raises:
            InputError: for a condition or noise that does not fit, and where the weights give NaN.
        """
        self.check_noise(x_1, len(condition))
        return Average(self.network(x_1, 0, self._tokens(condition, x_1)).sample)

    def _tokens(self, condition: Condition, x_1: Tensor) -> Tensor:
        if not isinstance(condition, Tensor):
            if self.text is None:
                raise InputError("condition: this average image has no text encoder of its own; give token states")
            return self.text(condition, x_1.device, x_1.dtype)
        if condition.ndim != 3 or condition.shape[2] != self.space.text_width:
            raise InputError(
                f"condition of shape {tuple(condition.shape)}: need token states (batch, tokens, {self.space.text_width})"
            )
        return condition.to(x_1)


class _NoTime(nn.Module):
    """In the place of a time embedding: none at all, which diffusers' blocks accept once their projections are gone."""

    def forward(self, *_: Any) -> None:
        return None


def without_time(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """`unet` itself, with the time embedding and the blocks' projections of it removed."""
    unet.add_module("time_embedding", _NoTime())
    for block in unet.modules():
        if isinstance(block, ResnetBlock2D):
            block.time_emb_proj = None
    return unet


def fold_time(unet: UNet2DConditionModel, timestep: int) -> dict[str, Tensor]:
    """Copies of the U-Net's weights without those of time, which at `timestep` is a constant added to what `conv1` gives.

    Raises:
        InputError: for a U-Net in which time does more than that.
    """
    _check_plain(unet)
    state = {name: value.clone() for name, value in unet.state_dict().items() if not _of_time(name)}
    with torch.no_grad():
        embedding = unet.time_embedding(unet.get_time_embed(unet.conv_in.weight[:1], timestep))
        for name, block in unet.named_modules():
            if isinstance(block, ResnetBlock2D) and block.time_emb_proj is not None:
                active = embedding if block.skip_time_act else block.nonlinearity(embedding)
                state[f"{name}.conv1.bias"] += block.time_emb_proj(active)[0]
    return state


def _of_time(name: str) -> bool:
    return name.startswith("time_embedding.") or ".time_emb_proj." in name


def _build(config: Mapping[str, Any]) -> UNet2DConditionModel:
    try:
        unet = UNet2DConditionModel(**config)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"configuration of the U-Net: {first_sentence(error)}") from None
    _check_plain(unet)
    return unet


def _check_plain(unet: UNet2DConditionModel) -> None:
    """Raise `InputError` unless noise, time and tokens are all that the U-Net takes, and time a shift of its blocks alone."""
    config = unet.config
    for key, plain in _PLAIN.items():
        if config[key] != plain:
            raise InputError(f"U-Net with {key} = {config[key]!r}: the one without time takes noise and tokens alone")
    inner, outer, width = config["in_channels"], config["out_channels"], config["cross_attention_dim"]
    if inner != outer:
        raise InputError(f"U-Net with {inner} channels in and {outer} out: x_1 and its mean have equally many")
    if not isinstance(width, int):
        raise InputError(f"U-Net with cross_attention_dim = {width}: need one width of token states")
    if any(isinstance(block, ResnetBlockCondNorm2D) for block in unet.modules()):
        raise InputError("U-Net whose normalisations depend on time: time cannot be taken out of it")

"""The paper's average image: a U-Net without time, fed with the noise and the prompt."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.resnet import ResnetBlock2D, ResnetBlockCondNorm2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from singdiffusion.average.configs import NETWORK, check_unet
from singdiffusion.average.network import AverageNetwork
from singdiffusion.base import Space
from singdiffusion.system import first_sentence, listed, mapping, whole
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


class AverageUNet(AverageNetwork):
    """`ȳ_θ(x_1, c)` as in the SingDiffusion paper (arXiv 2403.08381): a diffusers U-Net whose blocks get no time embedding.

    Any size of latents is accepted. The network itself is `network`: `network(x_1, 0, token_states).sample` is the mean, the 0 unread.

    Args:
        unet: the configuration of a `UNet2DConditionModel`.
        scaling_factor: of the latents; 1 in pixel space.
        shift_factor: of the latents.
        text_encoder: `text.fingerprint` of the encoder of the token states; None where it is not known.
        condition: as `condition.condition_of`, without the width, which is the U-Net's; text if not given.
        frequencies: of the spread along each side; 0 for none.
        size: height and width in training, for the spread.
        spread_width: of the layers between tokens and deviations.
        spread_layers: how many of them.

    Raises:
        InputError: for a U-Net that cannot be built, and for one conditioned on more than noise, time and tokens: SDXL's added
            conditions enter the blocks together with time and could not be taken apart from it.
    """

    config_fields: ClassVar = NETWORK | {
        "unet": mapping(),
        "condition": mapping(optional=True),
        "size": listed(whole(1, 2**16), 0, 3, optional=True),
    }
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
        condition: Mapping[str, Any] | None = None,
        frequencies: int = 0,
        size: Sequence[int] | None = None,
        spread_width: int = 128,
        spread_layers: int = 1,
    ) -> None:
        super().__init__()
        self.network = without_time(_build(unet))
        self.build_parts(self.network.config["cross_attention_dim"])

    @classmethod
    def from_unet(
        cls, unet: UNet2DConditionModel, timestep: int = 999, space: Space | None = None, **settings: Any
    ) -> Self:
        """Warm start: the pretrained U-Net as it is at one time step, with its time embedding folded into biases.

        It reproduces the U-Net's output there, which is an average image only for a U-Net that predicts samples: the others
        need training. The weights are copies.

        Args:
            unet: a U-Net with time.
            timestep: whose embedding is folded, the last one as a rule.
            space: of the pipeline that it belongs to, `Space.of(pipe)`; pixel space if not given.
            settings: `condition`, `frequencies` and `size`; what they add is new and untrained.

        Raises:
            InputError: for a U-Net conditioned on more than noise, time and tokens.
        """
        return cls.from_state(unet.config, fold_time(unet, timestep), space, **settings)

    @classmethod
    def from_state(
        cls, unet: Mapping[str, Any], state: Mapping[str, Tensor], space: Space | None = None, **settings: Any
    ) -> Self:
        """A model around given weights, which are used as they are and not copied.

        Args:
            unet: the configuration of a `UNet2DConditionModel`.
            state: its weights, without those of the time embedding.
            space: of the pipeline that it belongs to; pixel space if not given.
            settings: as `from_unet`.

        Raises:
            InputError: if the weights do not fit the configuration.
        """
        noted = () if space is None else ("scaling_factor", "shift_factor", "text_encoder")
        plain = {key: value for key, value in unet.items() if not key.startswith("_")}  # those are diffusers' notes
        with torch.device("meta"):
            module = cls(plain, **{key: getattr(space, key) for key in noted}, **settings)
        expected = module.network.state_dict()
        odd = [
            name
            for name in expected | dict(state)
            if name not in state or name not in expected or state[name].shape != expected[name].shape
        ]
        if odd:
            raise InputError(f"U-Net weights: {len(odd)} do not fit the configuration, first {odd[0]}")
        module.network.load_state_dict(state, assign=True)
        module.build_parts(module.network.config["cross_attention_dim"])
        return module.eval()

    @property
    def channels(self) -> int:
        """How many channels the images have."""
        return self.network.config["out_channels"]

    def mean(self, tokens: Tensor, x_1: Tensor) -> Tensor:
        """`ȳ_θ`, shape of `x_1`, from token states (batch, tokens, width)."""
        return self.network(x_1, 0, tokens).sample


class _NoTime(nn.Module):
    """Stands in the place of a time embedding: none at all, which diffusers' blocks accept once their projections are gone."""

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
    check_unet(config)
    try:
        unet = UNet2DConditionModel(**config)
    except Exception as error:  # whatever arithmetic with a word, a zero or a list of another length raises
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

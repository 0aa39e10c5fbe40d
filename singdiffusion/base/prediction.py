"""What a U-Net predicts, by its answer and not by what a configuration says.

At the last step of training `x_t` is noise all but for `α ≈ 0.07`, and `ε* = (x − α x̂)/σ ≈ x`: a network that predicts ε gives its input
back, whatever it was trained on, while v* ≈ −x̂ and x̂ are pictures (C2).
"""

from typing import Any, NamedTuple

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from singdiffusion.base.latents import a_tensor_of

_ALIKE, _UNLIKE = 0.9, 0.5
_BATCH, _SIDE, _TOKENS = 4, 32, 77


class Implied(NamedTuple):
    """What the network says of itself.

    Attributes:
        prediction: `epsilon`, `v_prediction or sample`, or None where the answer is between.
        correlation: of the network's answer with its input, for noise at the last step of training.
    """

    prediction: str | None
    correlation: float


@torch.no_grad()
def implied_prediction(unet: Any, train_steps: int, seed: int = 0) -> Implied | None:
    """Ask a text-conditional U-Net of diffusers, without a prompt.

    Args:
        unet: `UNet2DConditionModel` of Stable Diffusion 1.x, 2.x or XL.
        train_steps: T; it is asked at T − 1.
        seed: of the noise.

    Returns:
        None for a network of another class, and for one that takes more than noise, time and text, as those for inpainting do.
    """
    config = unet.config
    if type(unet) is not UNet2DConditionModel:
        return None
    added = _added_conditions(config)
    if added is None or config.in_channels != config.out_channels or config.get("class_embed_type") is not None:
        return None
    where = a_tensor_of(unet).device
    noise = torch.randn(_BATCH, config.in_channels, _SIDE, _SIDE, generator=torch.Generator().manual_seed(seed))
    x, added = noise.to(where), {name: value.to(where) for name, value in added.items()}
    states = torch.zeros(_BATCH, _TOKENS, config.cross_attention_dim, device=where)
    answer = unet(x, train_steps - 1, encoder_hidden_states=states, added_cond_kwargs=added).sample
    correlation = float(torch.corrcoef(torch.stack([x.flatten(), answer.flatten()]))[0, 1])
    return Implied(_in_words(correlation), correlation)


def _in_words(correlation: float) -> str | None:
    if correlation >= _ALIKE:
        return "epsilon"
    return "v_prediction or sample" if abs(correlation) <= _UNLIKE else None


def _added_conditions(config: Any) -> dict[str, Tensor] | None:
    """What SDXL is told besides, all zero; None for conditions that are not known."""
    kind = config.get("addition_embed_type")
    if kind is None:
        return {}
    if kind != "text_time":
        return None
    width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return {"text_embeds": torch.zeros(_BATCH, width), "time_ids": torch.zeros(_BATCH, 6)}

"""What a U-Net predicts, by its answer and not by what a configuration says.

At the last step of training `x_t` is noise all but for `α ≈ 0.07`, and `ε* = (x − α x̂)/σ ≈ x`: a network that predicts ε gives its input
back, whatever it was trained on, while v* ≈ −x̂ and x̂ are pictures (C2). These two give noise back elsewhere: `v* = (αx − x̂)/σ` at half of the steps, where fine noise is
told from a picture, and x̂ at the first, where all of the input is taken for a picture. A network that does so nowhere has not been trained.
"""

from typing import Any, NamedTuple

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from singdiffusion.base.latents import a_tensor_of

_ALIKE, _UNLIKE = 0.9, 0.5
_TRAINED = 0.5
"""The least share of its input that a network gives back where it has to: one of v at half of the steps, one of x̂ where there is hardly noise."""
_BATCH, _SIDE, _TOKENS = 4, 32, 77


class Implied(NamedTuple):
    """What the network says of itself.

    Attributes:
        prediction: `epsilon`, `v_prediction or sample`, or None where the answer is between.
        correlation: of the network's answer with its input, for noise at the last step of training.
        trained: False where the answers are unlike those of any prediction, as of random weights.
    """

    prediction: str | None
    correlation: float
    trained: bool = True


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

    def answer(step: int) -> Tensor:
        return unet(x, step, encoder_hidden_states=states, added_cond_kwargs=added).sample

    correlation = _correlation(x, answer(train_steps - 1))
    prediction = _in_words(correlation)
    if prediction == "v_prediction or sample":
        # the picture that answers to all noises have in common tells nothing
        given_back = (
            _correlation(x - x.mean(dim=0), one - one.mean(dim=0)) for one in map(answer, (train_steps // 2, 0))
        )
        if max(given_back) < _TRAINED:
            return Implied(None, correlation, trained=False)
    return Implied(prediction, correlation)


def _correlation(one: Tensor, other: Tensor) -> float:
    """Zero where one of them is constant."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].nan_to_num())


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

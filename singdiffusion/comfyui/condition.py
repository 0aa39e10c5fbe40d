"""The prompt as an average image reads it: ComfyUI's CONDITIONING, or the text itself."""

from typing import Any, NamedTuple

from torch import Tensor

from singdiffusion.average import AverageImage, Condition
from singdiffusion.comfyui.model_sampling import space_of
from singtheory.errors import InputError


class NodePrompt(NamedTuple):
    """The inputs of a node that hold the prompt.

    Attributes:
        positive: CONDITIONING, or None.
        negative: the same.
        prompt: the text.
        negative_prompt: the same.
    """

    positive: Any = None
    negative: Any = None
    prompt: str = ""
    negative_prompt: str = ""


def conditions(
    module: AverageImage, model: Any, prompt: NodePrompt, batch: int, guided: bool
) -> tuple[Condition, Condition | None]:
    """Conditions with the prompt and without it, an entry each for the batch.

    Args:
        module: the average image.
        model: MODEL of ComfyUI.
        prompt: what the pictures are to show.
        batch: number of latents.
        guided: whether the one without is needed.

    Raises:
        InputError: for a module of other latents, and for token states that it needs and is not given.
    """
    conditional = bool(getattr(module, "conditional", True))
    states = None if prompt.positive is None or not conditional else token_states(prompt.positive, "positive")
    if states is None and conditional and not getattr(module, "takes_prompts", True):
        raise InputError("positive: this average image reads token states; connect the CONDITIONING of the prompt")
    kind = module.condition_for(space_of(model, None if states is None else states.shape[2]))
    if kind == "prompts":
        return [prompt.prompt] * batch, [prompt.negative_prompt] * batch
    if states is None:
        raise InputError("positive: is not connected, and this average image reads no prompt; connect the CONDITIONING")
    if not guided:
        return _repeated(states, batch), None
    if prompt.negative is None:
        raise InputError(
            "negative: cfg above 1 needs the token states without the prompt; connect the negative CONDITIONING"
        )
    return _repeated(states, batch), _repeated(token_states(prompt.negative, "negative"), batch)


def token_states(conditioning: Any, name: str) -> Tensor:
    """The token states in a CONDITIONING, shape (1 or batch, tokens, width). Raises `InputError` for several, as of areas."""
    if len(conditioning) != 1:
        raise InputError(f"{name}: holds {len(conditioning)} conditions; connect that of one CLIP Text Encode")
    states = conditioning[0][0]
    if not isinstance(states, Tensor) or states.ndim != 3:
        raise InputError(f"{name}: holds no token states; connect that of a CLIP Text Encode")
    return states


def _repeated(states: Tensor, batch: int) -> Tensor:
    if batch % len(states):
        raise InputError(f"conditioning: {len(states)} entries for {batch} latents; give one for all, or as many")
    return states.repeat(batch // len(states), 1, 1)

"""Text encoders: prompts to token states, and telling one encoder from another."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from singdiffusion.files import first_sentence, read_config
from singtheory.errors import InputError

_PROBE = 16
_TOLERANCE = 0.1


def fingerprint(*encoders: nn.Module) -> str:
    """What identifies text encoders used side by side: class, width, depth and the signs of some token embeddings.

    Signs are the same in float32, float16 and bfloat16; other entries than those of the first tokens may change through LoRA and
    textual inversion, which leave the meaning of the token states as it was. Offloaded weights give a fingerprint without signs.
    """
    return "+".join(_fingerprint(getattr(encoder, "_orig_mod", encoder)) for encoder in encoders)  # compiled ones too


def _fingerprint(encoder: Any) -> str:
    config, probe = encoder.config, encoder.get_input_embeddings().weight[:_PROBE, :_PROBE]
    signs = "" if probe.is_meta else f"{int(''.join('01'[s] for s in probe.signbit().flatten().tolist()), 2):x}"
    return f"{type(encoder).__name__}-{config.hidden_size}-{config.num_hidden_layers}-{signs}"


def same_encoders(first: str, second: str) -> bool:
    """Whether two fingerprints are of the same encoders, or of one fine-tuned from the other.

    Fine-tuning flips few of the 256 signs; independent encoders agree in half of them. Up to a tenth may differ.
    """
    pairs = [(a.rsplit("-", 1), b.rsplit("-", 1)) for a, b in zip(first.split("+"), second.split("+"), strict=False)]
    return first.count("+") == second.count("+") and all(
        kind_a == kind_b and (not signs_a or not signs_b or _differing(signs_a, signs_b) <= _TOLERANCE)
        for (kind_a, signs_a), (kind_b, signs_b) in pairs
    )


def _differing(first: str, second: str) -> float:
    return (int(first, 16) ^ int(second, 16)).bit_count() / _PROBE**2


class TextEncoder:
    """A transformers text encoder with its tokenizer, loaded when it is first needed.

    Args:
        load: gives the model, of which the last hidden states are used, and its tokenizer.
    """

    def __init__(self, load: Callable[[], tuple[Any, Any]]) -> None:
        self._load = load

    @classmethod
    def of(cls, model: nn.Module, tokenizer: Any) -> "TextEncoder":
        """Around a model and a tokenizer that are already there, such as a pipeline's."""
        return cls(lambda: (model, tokenizer))

    @classmethod
    def stored(cls, folder: Path) -> "TextEncoder":
        """Of the folders `text_encoder` and `tokenizer` in `folder`; nothing is loaded yet."""
        return cls(lambda: _load_stored(folder))

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        """The model and its tokenizer."""
        return self._load()

    def save(self, folder: Path) -> None:
        """Write the folders `text_encoder` and `tokenizer` into `folder`."""
        model, tokenizer = self.parts
        model.save_pretrained(folder / "text_encoder")
        tokenizer.save_pretrained(folder / "tokenizer")

    def __call__(self, prompts: Sequence[str], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Token states as diffusers computes them, padded or cut to the encoder's length: (batch, tokens, width)."""
        model, tokenizer = self.parts
        length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
        tokens = tokenizer(
            list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).to(device)
        mask = tokens.attention_mask if getattr(model.config, "use_attention_mask", False) else None
        with torch.no_grad():
            return model.to(device, dtype)(tokens.input_ids, attention_mask=mask).last_hidden_state


def _load_stored(folder: Path) -> tuple[Any, Any]:
    architecture = read_config(folder / "text_encoder").get("architectures", ["AutoModel"])[0]
    try:
        model = getattr(transformers, architecture).from_pretrained(folder / "text_encoder", use_safetensors=True)
        return model.eval(), transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
    except (AttributeError, OSError, ValueError) as error:
        raise InputError(f"{folder}: its text encoder cannot be loaded ({first_sentence(error)})") from None

"""A text encoder of `CLIPTextModel`'s class with a vocabulary of its own: the words of the captions, and no others."""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from singdiffusion.base import TextEncoder

_PAD, _UNKNOWN, _START, _END = "<|pad|>", "<|unknown|>", "<|startoftext|>", "<|endoftext|>"


def tokenizer_of(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token a word or mark, upper and lower case alike, as long as the longest caption."""
    normalizer, splitter = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    words = [[word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(one))] for one in captions]
    known = [_PAD, _UNKNOWN, _START, _END, *sorted({word for caption in words for word in caption})]
    rows = {word: row for row, word in enumerate(known)}
    tokenizer = Tokenizer(models.WordLevel(rows, unk_token=_UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    special = [(word, rows[word]) for word in (_START, _END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_START} $A {_END}", special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max((len(caption) for caption in words), default=0) + len(special),
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        bos_token=_START,
        eos_token=_END,
    )


def encoder_of(captions: Iterable[str], width: int = 256, layers: int = 2, seed: int = 0) -> TextEncoder:
    """With random weights, which already tell words and their places apart.

    Args:
        captions: whose words it knows.
        width: of the token states.
        layers: of attention.
        seed: of the weights.
    """
    tokenizer = tokenizer_of(captions)
    tokens: dict[str, Any] = {
        f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")
    }
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=tokenizer.model_max_length,
        **tokens,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextEncoder.of(CLIPTextModel(config).eval(), tokenizer)

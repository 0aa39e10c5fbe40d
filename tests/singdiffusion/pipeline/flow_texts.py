"""Tiny text encoders of the real classes and one byte-level tokenizer for all of them: nothing is downloaded.

Every language model reads the same tokenizer: one token a byte, then the special tokens that chat templates use. Widths are 16 for
language models and CLIP and 32 for T5, so that a transformer which joins several of them has different widths to join.
"""

import json
from functools import cache
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from tests.singdiffusion.support.tiny import _text_encoder, _tokenizer

WIDTH = 16
"""Hidden size of the language models and of CLIP."""

T5_WIDTH = 32
"""Hidden size of T5, UMT5 and their kin."""

_SPECIAL = (
    "<pad>",
    "</s>",
    "<s>",
    "<unk>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<image>",
)
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    """One token a byte, and the special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: i for i, word in enumerate((*_SPECIAL, *letters))}
    backend = Tokenizer(models.BPE(vocab=words, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(_SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="</s>",
        bos_token="<s>",
        unk_token="<unk>",
        model_max_length=512,
        chat_template=_CHAT,
        **options,
    )


class TextProcessor:
    """The text side of a vision-language processor, for prompts without pictures."""

    def __init__(self) -> None:
        self.tokenizer = tokenizer()
        self.image_processor = None
        self.image_token, self.image_token_id = "<|image_pad|>", 8
        self.chat_template = _CHAT

    def __call__(self, text: Any = None, images: Any = None, videos: Any = None, **options: Any) -> Any:
        """Tokens of the text; pictures are ignored."""
        options.setdefault("return_tensors", "pt")
        return self.tokenizer(text, **options)

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        """As the tokenizer's, with one list of tokens a chat."""
        actual = self.tokenizer.apply_chat_template(messages, **options)
        return (
            [actual] if options.get("tokenize") and isinstance(actual, list) and isinstance(actual[0], int) else actual
        )

    def batch_decode(self, *args: Any, **options: Any) -> Any:
        """As the tokenizer's."""
        return self.tokenizer.batch_decode(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "tokenizer":
            raise AttributeError(name)
        return getattr(self.tokenizer, name)


def seeing_processor() -> TextProcessor:
    """The same with the pictures' side of Qwen2-VL, which enlarges the smallest to a patch or two."""
    made = TextProcessor()
    made.image_processor = transformers.Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 56)
    return made


_LAYERS = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 320,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
_MROPE = {"rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"}}
_VISION = {"depth": 1, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_heads": 2, "out_hidden_size": WIDTH}


def _of(name: str, config: Any) -> nn.Module:
    torch.manual_seed(1)
    return getattr(transformers, name)(config).eval()


def _t5(name: str) -> nn.Module:
    config = {"T5EncoderModel": transformers.T5Config, "UMT5EncoderModel": transformers.UMT5Config}[name](
        vocab_size=320,
        d_model=T5_WIDTH,
        d_kv=8,
        d_ff=T5_WIDTH,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=1,
    )
    return _of(name, config)


def _language(name: str, config: str, **options: Any) -> nn.Module:
    return _of(name, getattr(transformers, config)(**{**_LAYERS, **options}))


def _vision_language(name: str, config: str, vision: dict[str, Any], **text: Any) -> nn.Module:
    tokens = {
        "image_token_id": 8,
        "video_token_id": 9,
        "vision_start_token_id": 6,
        "vision_end_token_id": 7,
        "vision_token_id": 8,
    }
    made = getattr(transformers, config)(text_config={**_LAYERS, **_MROPE, **text}, vision_config=vision, **tokens)
    return _of(name, made)


def _qwen3_vl(name: str, layers: int = 2) -> nn.Module:
    vision = {**_VISION, "patch_size": 4, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    return _vision_language(name, "Qwen3VLConfig", vision, head_dim=8, num_hidden_layers=layers)


def _t5gemma(name: str) -> nn.Module:
    layer = {**_LAYERS, "head_dim": 8, "sliding_window": 64, "layer_types": ["full_attention"] * 2}
    module = transformers.T5GemmaModuleConfig(**layer)
    return _of(
        name, transformers.T5GemmaConfig(encoder=module, decoder=module, is_encoder_decoder=False, vocab_size=320)
    )


def _t5gemma2(name: str) -> nn.Module:
    text = transformers.T5Gemma2TextConfig(**{**_LAYERS, "num_hidden_layers": 1, "head_dim": 8, "dropout_rate": 0.0})
    vision = transformers.SiglipVisionConfig(
        hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=4
    )
    return _of(name, transformers.T5Gemma2EncoderConfig(text_config=text, vision_config=vision))


def _clip_vision(name: str) -> nn.Module:
    config = transformers.CLIPVisionConfig(
        hidden_size=4, projection_dim=4, num_hidden_layers=2, num_attention_heads=2, image_size=8, intermediate_size=8,
        patch_size=4,
    )  # fmt: skip
    return _of(name, config)


def _siglip_vision(name: str) -> nn.Module:
    config = transformers.SiglipVisionConfig(
        hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=4
    )
    return _of(name, config)


def _gemma3(name: str) -> nn.Module:
    vision = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
    }
    text = {**_LAYERS, "head_dim": 8, "sliding_window": 64, "layer_types": ["full_attention"] * 2}
    return _of(name, transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4))


def _t5gemma_part(name: str) -> nn.Module:
    return _t5gemma("T5GemmaEncoderModel").get_submodule("encoder")


def _glm_image(name: str) -> nn.Module:
    text = {**_LAYERS, "vision_vocab_size": 32, "rope_parameters": {"rope_type": "default", "mrope_section": (1, 1, 2)}}
    vision = {
        "depth": 1,
        "hidden_size": WIDTH,
        "num_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "intermediate_size": WIDTH,
    }
    codes = {"embed_dim": WIDTH, "num_embeddings": 32, "latent_channels": WIDTH}
    return _of(name, transformers.GlmImageConfig(text_config=text, vision_config=vision, vq_config=codes))


_ENCODERS = {
    "Gemma3ForConditionalGeneration": _gemma3,
    "GlmImageForConditionalGeneration": _glm_image,
    "PreTrainedModel": lambda name: encoder("Qwen3Model"),
    "GemmaPreTrainedModel": lambda name: encoder("GemmaModel"),
    "Gemma2PreTrainedModel": lambda name: encoder("Gemma2Model"),
    "T5GemmaEncoder": _t5gemma_part,
    "CLIPTextModel": lambda name: _text_encoder(),
    "CLIPTextModelWithProjection": lambda name: _text_encoder(projected=True),
    "T5EncoderModel": _t5,
    "UMT5EncoderModel": _t5,
    "Qwen2_5_VLForConditionalGeneration": lambda name: _vision_language(name, "Qwen2_5_VLConfig", _VISION),
    "Qwen2VLForConditionalGeneration": lambda name: _vision_language(
        name, "Qwen2VLConfig", {**_VISION, "embed_dim": WIDTH}
    ),
    "Qwen2_5_VLTextModel": lambda name: _language(name, "Qwen2_5_VLTextConfig", **_MROPE),
    "Qwen3VLForConditionalGeneration": _qwen3_vl,
    "Qwen3VLModel": _qwen3_vl,
    "Qwen3Model": lambda name: _language(name, "Qwen3Config", head_dim=8),
    "Qwen3ForCausalLM": lambda name: _language(name, "Qwen3Config", head_dim=8),
    "LlamaModel": lambda name: _language(name, "LlamaConfig"),
    "LlamaForCausalLM": lambda name: _language(name, "LlamaConfig"),
    "GlmModel": lambda name: _language(name, "GlmConfig", head_dim=8),
    "GemmaModel": lambda name: _language(name, "GemmaConfig", head_dim=8),
    "Gemma2Model": lambda name: _language(name, "Gemma2Config", head_dim=8, attn_implementation="eager"),
    "SmolLM3ForCausalLM": lambda name: _language(name, "SmolLM3Config"),
    "T5GemmaEncoderModel": _t5gemma,
    "T5Gemma2Encoder": _t5gemma2,
    "CLIPVisionModel": _clip_vision,
    "CLIPVisionModelWithProjection": _clip_vision,
    "SiglipVisionModel": _siglip_vision,
}


@cache
def encoder(name: str) -> nn.Module:
    """A text or picture encoder by the name of its class in transformers."""
    return _ENCODERS[name](name)


@cache
def deep_encoder() -> nn.Module:
    """A narrow Qwen3-VL of as many layers as the published one, of which Ideogram reads thirteen by their number."""
    return _qwen3_vl("Qwen3VLModel", layers=36)


def has_encoder(name: str) -> bool:
    """Whether `encoder` can make it."""
    return name in _ENCODERS


def clip_tokenizer() -> transformers.CLIPTokenizer:
    """CLIP's own."""
    return _tokenizer()


def picture_processor(name: str) -> Any:
    """The processor of a picture encoder, to that encoder's size."""
    if "Siglip" in name:
        return transformers.SiglipImageProcessor(size={"height": 16, "width": 16})
    return transformers.CLIPImageProcessor(crop_size=8, size=8)


def as_json() -> str:
    """A prompt for models that read JSON."""
    return json.dumps({"short_description": "a small cat"})

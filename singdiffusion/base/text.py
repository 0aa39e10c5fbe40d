"""Text encoders: prompts to token states, and telling one encoder from another."""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import torch
import transformers
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import Tensor, nn

from singdiffusion.base.checkpoint import variant_of
from singdiffusion.base.single_file import SingleFile, is_single_file
from singdiffusion.system import find_folder, first_sentence, read_config, read_object, told_in_one_line
from singtheory.errors import InputError

_PROBE = 16
_LONGEST = 512
"""Tokens of a prompt where neither the model nor its tokenizer sets a limit, as with T5's relative places."""
_MANY = 2**20
"""Tokenizers without a limit name a larger one."""
_TOLERANCE = 0.1
_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
_TEXT = ("text_encoder", "tokenizer")
_WANTED = ("model_index.json", "text_encoder*/*.json", "text_encoder*/*.safetensors", "tokenizer*/*")


class PromptEncoder(Protocol):
    """What turns prompts into token states."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its text encoders."""
        ...

    def __call__(self, prompts: Sequence[str], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Token states, shape (batch, tokens, width)."""
        ...

    def is_cut(self, prompt: str) -> bool:
        """Whether a prompt is longer than what is read of it."""
        ...


def cut_captions(encoder: PromptEncoder | None, captions: Sequence[str]) -> list[str]:
    """A line where an encoder does not read all of some captions, none otherwise."""
    some = [caption for caption in captions if caption]  # the empty one is always among them
    long = [] if encoder is None else [caption for caption in some if encoder.is_cut(caption)]
    if not long:
        return []
    return [
        f"{len(long)} of {len(some)} captions are longer than the text encoder reads, and are cut; "
        f"the first is {long[0][:60]!r}"
    ]


def cut_prompts(pipeline: Any, prompts: Sequence[str]) -> list[str]:
    """A line where a text encoder of a pipeline does not read all of some prompts, none otherwise.

    Commands print it: they let libraries say errors only, and so not that a prompt was cut.
    """
    tokenizers = [getattr(pipeline, name, None) for name in pipeline.components if name.startswith("tokenizer")]
    limits = {type(one).__name__: one for one in tokenizers if one is not None and one.model_max_length < _MANY}
    for kind, tokenizer in limits.items():
        length = tokenizer.model_max_length
        long = [prompt for prompt in prompts if _is_longer(tokenizer, prompt, length)]
        if long:
            return [
                f"{len(long)} of {len(prompts)} prompts are longer than the {length} tokens that {kind} gives its text encoder, and are cut "
                f"there; the first is {long[0][:60]!r}"
            ]
    return []


def encoders_of(pipeline: Any) -> list[nn.Module]:
    """The text encoders of a diffusers pipeline, side by side."""
    encoders = [getattr(pipeline, name, None) for name in _ENCODERS]
    return [encoder for encoder in encoders if encoder is not None]


def fingerprint(*encoders: nn.Module) -> str:
    """What identifies text encoders used side by side: class, width, depth and the signs of some token embeddings.

    Signs are the same in float32, float16 and bfloat16; other entries than those of the first tokens may change through LoRA and
    textual inversion, which leave the meaning of the token states as it was. Offloaded weights give a fingerprint without signs.
    """
    return "+".join(_fingerprint(getattr(encoder, "_orig_mod", encoder)) for encoder in encoders)  # compiled ones too


def _fingerprint(encoder: Any) -> str:
    config = encoder.config.get_text_config()  # of models that read pictures too, that of their language model
    probe = encoder.get_input_embeddings().weight[:_PROBE, :_PROBE]
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
        """An encoder around a model and a tokenizer that are already there, such as a pipeline's."""
        return cls(lambda: (model, tokenizer))

    @classmethod
    def stored(cls, folder: Path) -> "TextEncoder":
        """The encoder stored in the folders `text_encoder` and `tokenizer` of `folder`; nothing is loaded yet."""
        return cls(lambda: _load_stored(folder))

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        """The model and its tokenizer."""
        return self._load()

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model."""
        return fingerprint(self.parts[0])

    def save(self, folder: Path) -> None:
        """Write the folders `text_encoder` and `tokenizer` into `folder`."""
        model, tokenizer = self.parts
        model.save_pretrained(folder / "text_encoder")
        tokenizer.save_pretrained(folder / "tokenizer")

    def __call__(self, prompts: Sequence[str], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Token states as diffusers computes them, padded or cut to the encoder's length: (batch, tokens, width)."""
        model, tokenizer = self.parts
        length = self._length
        tokens = tokenizer(
            list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).to(device)
        mask = tokens.attention_mask if getattr(model.config, "use_attention_mask", False) else None
        with torch.no_grad():
            return model.to(device, dtype)(tokens.input_ids, attention_mask=mask).last_hidden_state

    @property
    def _length(self) -> int:
        """Tokens of a prompt."""
        model, tokenizer = self.parts
        return min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", _LONGEST))

    def is_cut(self, prompt: str) -> bool:
        """Whether a prompt has more tokens than the encoder takes."""
        return _is_longer(self.parts[1], prompt, self._length)


def _is_longer(tokenizer: Any, prompt: str, length: int) -> bool:
    """Whether a prompt has more tokens, with those at its ends; it is cut just behind them, of which no tokenizer warns."""
    return len(tokenizer(prompt, truncation=True, max_length=length + 1).input_ids) > length


class _Quiet(logging.Filter):
    """Leaves out that a prompt was cut: of many captions that is a line each, with all that was cut off; they are counted instead."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(words in str(record.msg) for words in ("was truncated because", "sequence length is longer"))


@contextmanager
def _without_cut_prompts(pipeline: Any) -> Iterator[None]:
    """The loggers of a pipeline's classes and of its tokenizers say nothing of prompts that are cut."""
    quiet = _Quiet()
    names = [*(kind.__module__ for kind in type(pipeline).__mro__), "transformers.tokenization_utils_base"]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(quiet)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(quiet)


class PipelineText:
    """Token states as a pipeline hands them to its network, by its own `encode_prompt`: of SDXL's two encoders side by side, for instance.

    The prompt "" stands for none: its states are those that the pipeline takes where no negative prompt is given, such as SDXL's zeros. Where
    `encode_prompt` gives none, as of Flux, which encodes a negative prompt by a call of its own, they are those of an empty prompt.

    Args:
        pipeline: of diffusers, with text encoders and tokenizers; it needs no U-Net and no VAE.
        name: of it, for errors.
        clip_skip: how many of the last layers of the encoder are left out, beside those that the pipeline leaves out anyway.

    Raises:
        InputError: for a pipeline without text encoders, and for one that encodes no prompts.
    """

    def __init__(self, pipeline: Any, name: str, clip_skip: int = 0) -> None:
        self.pipeline, self.name, self.clip_skip = pipeline, name, clip_skip
        parts = [part for part in pipeline.components if part.startswith("text_encoder")]
        if (
            not callable(getattr(pipeline, "encode_prompt", None))
            or not encoders_of(pipeline)
            or set(parts) - set(_ENCODERS)
        ):
            raise InputError(
                f"{name}: {type(pipeline).__name__} does not encode prompts by text encoders of its own; take another base"
            )

    @classmethod
    def stored(cls, base: str, config: str | None = None, clip_skip: int = 0) -> Self:
        """The text encoders of a pipeline in a folder, under a hub id or in one file; nothing is unpickled with code.

        Args:
            base: path or hub id.
            config: of one file, as `Checkpoint.find`.
            clip_skip: as `PipelineText`.

        Raises:
            InputError: for one that cannot be loaded, and as for `PipelineText`.
        """
        if is_single_file(base):
            return cls(SingleFile(base, config).pipeline(torch.float32, only=_TEXT), base, clip_skip)
        folder = find_folder(base, _WANTED)
        parts = read_object(folder / "model_index.json")
        others = [name for name, kind in parts.items() if isinstance(kind, list) and not name.startswith(_TEXT)]
        variant = next(filter(None, (variant_of(folder / name, "model") for name in _ENCODERS)), None)
        with told_in_one_line(f"{base}: its text encoders cannot be loaded"):
            pipeline = DiffusionPipeline.from_pretrained(
                folder, use_safetensors=True, variant=variant, **dict.fromkeys(others)
            )
        return cls(pipeline, base, clip_skip)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of all encoders."""
        return fingerprint(*encoders_of(self.pipeline))

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], device: torch.device, dtype: torch.dtype) -> Tensor:
        """The states of prompts, shape (batch, tokens, width). Raises `InputError` for a pipeline that gives none of that shape."""
        self.pipeline.to(device, dtype)
        states = self._encoded(list(prompts), device)[0]
        if "" in prompts:
            encoded = self._encoded([""], device, True)
            without = negative_states(encoded) if _takes(self.pipeline.encode_prompt, "negative_prompt") else None
            without = encoded[0] if without is None else without
            if without.shape[1] != states.shape[1]:
                raise InputError(
                    f"{self.name}: {type(self.pipeline).__name__} gives a prompt as many token states as it has tokens, and a network that is "
                    "trained on them needs one number; train statistics or a table, which read none"
                )
            empty = torch.tensor([prompt == "" for prompt in prompts], device=device)
            states = torch.where(empty[:, None, None], without, states)
        return states

    def is_cut(self, prompt: str) -> bool:
        """Whether a prompt has more tokens than one of the encoders takes."""
        tokenizers = (getattr(self.pipeline, name, None) for name in ("tokenizer", "tokenizer_2"))
        return any(_is_longer(one, prompt, one.model_max_length) for one in tokenizers if one is not None)

    def _encoded(self, prompts: list[str], device: torch.device, guidance: bool = False) -> Any:
        arguments: dict[str, Any] = {
            "device": device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": guidance,
        }
        arguments |= {"clip_skip": self.clip_skip} if self.clip_skip else {}
        arguments = _accepted(self.pipeline.encode_prompt, arguments)
        failure = f"{self.name}: its prompts cannot be encoded alone"  # such as of a pipeline that wants a picture too
        one_line = self._told_of_layers() if self.clip_skip else told_in_one_line(failure)
        with one_line, _without_cut_prompts(self.pipeline):
            encoded = self.pipeline.encode_prompt(prompts, **arguments)
        states = encoded[0] if isinstance(encoded, tuple) and encoded else None
        if not isinstance(states, Tensor) or states.ndim != 3 or len(states) != len(prompts):
            raise InputError(
                f"{self.name}: {type(self.pipeline).__name__} gives no token states of one length a prompt; take another base, or a table"
            )
        return encoded

    @contextmanager
    def _told_of_layers(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"clip_skip {self.clip_skip}: {type(self.pipeline).__name__} cannot leave layers of its text encoder out with the versions "
                f"of diffusers and transformers that are installed ({first_sentence(error)}); leave clip_skip out"
            ) from None


def negative_states(encoded: Sequence[Any]) -> Tensor | None:
    """The states that `encode_prompt` returned without the prompt: those like the prompt's own behind them, and no mask of attention."""
    cond, *others = encoded
    return next((one for one in others if _is_like(one, cond)), None)


def _is_like(other: Any, cond: Tensor) -> bool:
    return (
        isinstance(other, Tensor)
        and other.is_floating_point()
        and other.shape[2:] == cond.shape[2:]
        and other.ndim == cond.ndim
    )


def _accepted(encode_prompt: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that an `encode_prompt` takes, all where it says none by name; prompts for further encoders are left to it, as None."""
    takes = inspect.signature(encode_prompt).parameters
    further = {name: None for name, one in takes.items() if name.startswith("prompt_") and one.default is one.empty}
    return further | {
        name: value for name, value in arguments.items() if name == "clip_skip" or _takes(encode_prompt, name)
    }


def _takes(encode_prompt: Any, name: str) -> bool:
    takes = inspect.signature(encode_prompt).parameters
    return name in takes or any(one.kind is one.VAR_KEYWORD for one in takes.values())


def _load_stored(folder: Path) -> tuple[Any, Any]:
    architecture = read_config(folder / "text_encoder").get("architectures", ["AutoModel"])[0]
    try:
        model = getattr(transformers, architecture).from_pretrained(folder / "text_encoder", use_safetensors=True)
        return model.eval(), transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
    except (AttributeError, OSError, ValueError) as error:
        raise InputError(f"{folder}: its text encoder cannot be loaded ({first_sentence(error)})") from None

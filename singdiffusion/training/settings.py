"""The settings of a training run, checked before anything is loaded: one YAML file, the command line over it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import yaml

from singdiffusion.system import Kind, first_sentence, line, listed, mapping, shown, word
from singtheory.errors import InputError, unknown_name

CONDITIONS = ("text", "classes", "image", "none")
_CHOICES = {
    "condition": CONDITIONS,
    "schedule": ("cosine", "constant"),
    "precision": ("no", "bf16", "fp16"),
    "tracker": ("tensorboard", "none"),
}


@dataclass(frozen=True)
class TrainSettings:
    """All of a run; the same settings give the same weights.

    Attributes:
        cache: folder that `singdiffusion cache` made.
        out: folder of the run.
        model: `decoder`, `unet`, or the closed forms `statistics` and `table`.
        condition: `text`, `classes` (captions are names), `image` (a small version) or `none`.
        base: pipeline whose U-Net the U-Net starts from: a folder, a hub id, or a checkpoint of one file; None to start from scratch.
        base_config: of a base of one file: folder or hub id of a pipeline of the same kind, whose weights are not needed.
        clip_skip: how many of the text encoder's last layers are left out; those of the cache if None.
        unet: configuration of a U-Net from scratch.
        width: of the decoder, and of learned tokens.
        layers: of the decoder.
        grid: of the decoder.
        small: side of the small image of the condition `image`.
        frequencies: of the spread along each side; 0 for none.
        spread_width: of the spread's hidden layers.
        spread_layers: how many of them.
        noise: deviation under which the spread is judged: `σ/α` at a sampler's first step, about 8 to 15 with Stable Diffusion's betas, of a flow
            after its first step, 9 with 4 steps at shift 3 and 27 with 10; 0 for none, where the smallest variances count as much as the largest.
        rank: directions of the closed forms' spread.
        steps: of the optimiser.
        batch: examples a step, over all processes; as many as there are, but at most 32, if None.
        accumulate: parts in which a process takes its share of a batch.
        lr: peak learning rate.
        warmup: steps over which it rises.
        schedule: `cosine` down to zero, or `constant`.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights, which are what is kept in the end.
        dropout: share of the conditions that are left out, for guidance.
        precision: `no`, `bf16` or `fp16`.
        compile: whether the network is compiled.
        graph: whether on one GPU the passes of a step are recorded once and replayed, so that a small network does not wait for its kernels to be
            started one by one; it changes no result but by rounding. Elsewhere, and where it cannot be done, nothing changes.
        channels_last: whether images lie in that memory format.
        seed: of weights, order, noise and dropout.
        save_every: steps between checkpoints.
        keep: how many checkpoints stay.
        log_every: steps between entries of the log.
        validate_every: steps between pictures and measurements.
        prompts: captions of the pictures; the most frequent ones if None.
        tracker: `tensorboard` or `none`.
        license: of the weights, for their card; it depends on the data.
    """

    cache: str
    out: str
    model: str = "decoder"
    condition: str = "text"
    base: str | None = None
    base_config: str | None = None
    clip_skip: int | None = None
    unet: dict[str, Any] | None = None
    width: int = 256
    layers: int = 3
    grid: int = 8
    small: int = 8
    frequencies: int = 4
    spread_width: int = 128
    spread_layers: int = 1
    noise: float = 10.0
    rank: int = 8
    steps: int = 2000
    batch: int | None = None
    accumulate: int = 1
    lr: float = 1e-3
    warmup: int = 50
    schedule: str = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    dropout: float = 0.1
    precision: str = "no"
    compile: bool = False
    graph: bool = True
    channels_last: bool = False
    seed: int = 0
    save_every: int = 500
    keep: int = 2
    log_every: int = 20
    validate_every: int = 500
    prompts: list[str] | None = None
    tracker: str = "tensorboard"
    license: str = "other"

    def __post_init__(self) -> None:
        for one in fields(self):
            _check_type(one.name, getattr(self, one.name), getattr(one.type, "__name__", str(one.type)))
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown_name(name, shown(getattr(self, name)).strip("'"), known)
        for name, (holds, need) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise InputError(f"{name} {shown(value)}: must be {need}")
        _check_model(self.model)
        for name, kind in _WORDS.items():
            kind.check(name, getattr(self, name))
        if self.model == "unet" and self.base is None and self.unet is None:
            raise InputError("model unet: give base, a pipeline to start from, or unet, a configuration")
        if self.base is not None and self.unet is not None:
            raise InputError("base and unet: give one of the two, the U-Net starts from one")

    @classmethod
    def read(cls, file: Path | None, options: Mapping[str, Any], own_cache: bool = False) -> Self:
        """From a YAML file, with what was given besides over it.

        Args:
            file: with any of the settings; None for none.
            options: settings by name, None for those that are not given.
            own_cache: whether the cache is made in `out`, and none is to be named.

        Raises:
            InputError: for a file that is no YAML mapping, unknown names and values out of range.
        """
        stored = {} if file is None else _mapping(file)
        named = stored | {name: value for name, value in options.items() if value is not None}
        known = [one.name for one in fields(cls)]
        for name in named:
            if name not in known:
                raise unknown_name("setting", shown(name).strip("'"), known)
        if own_cache and "cache" in named:
            raise InputError(
                f"cache {named['cache']}: the data are cached in the run's own folder; leave one of the two out"
            )
        if own_cache and "out" in named:
            named["cache"] = str(Path(str(named["out"])) / "cache")
        for name in ("out", "cache"):
            if name not in named:
                raise InputError(f"{name}: not given; name the folder on the command line or in the YAML")
        numbers = {one.name for one in fields(cls) if one.type is float}
        return cls(**{name: _number(value) if name in numbers else value for name, value in named.items()})

    def check_resumable(self, stored: Mapping[str, Any]) -> None:
        """Raise `InputError` that names the settings which differ from those of the checkpoint, if they matter for the weights."""
        free = {
            "out",
            "save_every",
            "keep",
            "log_every",
            "validate_every",
            "prompts",
            "tracker",
            "cache",
            "license",
            "graph",
        }
        differing = [
            f"{name} was {shown(stored.get(name))} and is {shown(value)}"
            for name, value in asdict(self).items()
            if name not in free and stored.get(name) != value
        ]
        if differing:
            raise InputError(f"resume: {', '.join(differing)}; restore it, or take another folder for --out")


def _within(low: float, high: float, words: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: low <= value <= high, words


_NEVER = 2**40
"""A number of steps that no run takes."""
_HUGE = 1e9
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("steps", "save_every", "keep", "log_every", "validate_every"),
        _within(1, _NEVER, "at least 1 and at most 2^40"),
    ),
    **dict.fromkeys(("batch", "accumulate"), _within(1, 2**24, "at least 1 and at most 2^24")),
    **dict.fromkeys(("width", "spread_width"), _within(1, 2**14, "at least 1 and at most 2^14")),
    **dict.fromkeys(("layers", "spread_layers"), _within(1, 256, "at least 1 and at most 256")),
    **dict.fromkeys(("grid", "small"), _within(1, 2**12, "at least 1 and at most 2^12")),
    "frequencies": _within(0, 1024, "at least 0 and at most 1024"),
    "rank": _within(0, 2**16, "at least 0 and at most 2^16"),
    "warmup": _within(0, _NEVER, "at least 0 and at most 2^40"),
    "weight_decay": _within(0, _HUGE, "at least 0 and finite, at most 1e9"),
    "noise": _within(0, _HUGE, "at least 0 and finite, at most 1e9"),
    "seed": _within(0, _NEVER, "from 0 to 2^40"),
    "clip_skip": _within(0, 256, "at least 0 and at most 256"),
    "prompts": (bool, "one or more, or left out"),
    **dict.fromkeys(("lr", "clip"), (lambda value: 0 < value <= _HUGE, "positive and finite, at most 1e9")),
    **dict.fromkeys(("ema", "dropout"), (lambda value: 0 <= value < 1, "at least 0 and below 1")),
}
_WORDS: dict[str, Kind] = {
    "cache": word(most=2**12),
    "out": word(most=2**12),
    "base": word(optional=True, most=2**12),
    "base_config": word(optional=True, most=2**12),
    "unet": mapping(optional=True),
    "prompts": listed(word(), 1, 2**12, optional=True),
    "license": line(),
}
"""What goes to the system, to the model's card and to a tracker: what these do not take is refused before a run, not after it."""


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a word."""
    try:
        return float(value) if isinstance(value, str) and "e" in value.lower() else value
    except ValueError:
        return value


def _check_model(name: str) -> None:
    """Raise `InputError` for a model that there is not; last, for the models come with a library that takes seconds to load."""
    from singdiffusion.average import MODELS

    if name not in MODELS:
        raise unknown_name("model", shown(name).strip("'"), tuple(MODELS))


def _check_type(name: str, value: Any, kind: str) -> None:
    """Raise `InputError` for a value of another type; whole numbers may stand for others."""
    wanted, _, optional = kind.partition(" | ")
    types = {"str": str, "int": int, "float": (int, float), "bool": bool}.get(
        wanted, dict if "dict" in wanted else list
    )
    if value is None and optional:
        return
    if not isinstance(value, types) or (isinstance(value, bool) and wanted != "bool"):
        raise InputError(
            f"{name} {shown(value)}: need {kind.replace('dict[str, Any]', 'a mapping').replace('list[str]', 'a list')}"
        )


_BYTES, _DEEP = 2**18, 8
"""The limits of a YAML with settings: bytes, and levels of lists and mappings within each other."""


def _mapping(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _BYTES:
            raise ValueError(f"it has more than {_BYTES} bytes")
        text = file.read_text(encoding="utf-8")
        _check_flat(text)
        mapping = yaml.safe_load(text)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read as YAML ({first_sentence(error)})") from None
    if not isinstance(mapping, dict):
        raise InputError(f"{file}: holds no settings; write lines such as `steps: 2000`")
    # YAML 1.1 takes the word no for false
    return mapping | ({"precision": "no"} if mapping.get("precision") is False else {})


def _check_flat(text: str) -> None:
    """Raise `ValueError` for what no settings need and a reader may choke on: aliases, deep nesting, a name twice.

    Events are looked at one after another: nothing of the document is held.
    """
    depth, names, key = 0, set(), False
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {event.start_mark.line + 1} refers to another by *; write it out")
        if depth == 1:  # keys and values take turns in the outermost mapping
            key = not key
            if key and isinstance(event, yaml.ScalarEvent):
                if event.value in names:
                    raise ValueError(f"{shown(event.value)} is given twice")
                names.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            key = key if depth != 1 else False
        if depth > _DEEP:
            raise ValueError(f"line {event.start_mark.line + 1} is nested more than {_DEEP} deep")

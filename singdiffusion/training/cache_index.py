"""What the files of a cache say of themselves: its index, its encoding, and the headers of its shards; whether they agree."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from torch import Tensor

from singdiffusion.system import (
    Kind,
    check_fields,
    first_sentence,
    listed,
    mapping,
    matching,
    number,
    one_of,
    read_object,
    scale,
    shown,
    whole,
    word,
)
from singdiffusion.training.cache_files import INDEX
from singtheory.errors import InputError

_FLOATS = ("F64", "F32", "F16", "BF16")
_ENCODING = {
    "channels": whole(1, 2**12),
    "height": whole(1, 2**16),
    "width": whole(1, 2**16),
    "resolution": whole(1, 2**16),
    "scaling_factor": scale(),
    "shift_factor": number(-1e9, 1e9),
    "vae": word(optional=True),
    "text_encoder": word(optional=True),
    "clip_skip": whole(0, 256),
    "shapes": one_of(("squares", "buckets")),
}
_COUNT = whole(0, 2**40)
_INDEX_FIELDS = {
    "encoding": mapping(),
    "source": mapping(optional=True),
    "examples": _COUNT,
    "captions": _COUNT,
    "duplicates": _COUNT,
    "skipped": listed(listed(word(), 2, 2), 0, 2**32),
    "images": listed(mapping(), 1, 2**20),
    "texts": listed(mapping(), 1, 2**24),
}
_RECORD_FIELDS, _REPEATS = ("key", "caption", "hash"), "repeats"
_RECORDS = Kind(
    "a list of records",
    lambda value: (
        isinstance(value, list)
        and all(
            isinstance(one, dict)
            and one.keys() - {_REPEATS} == {*_RECORD_FIELDS}
            and all(map(word().holds, one.values()))
            and matching("[1-9][0-9]{0,2}", "a number").holds(one.get(_REPEATS, "1"))
            for one in value
        )
    ),
)
_SOURCE_FIELDS: dict[str, Kind] = dict.fromkeys(
    ("source", "caption", "background", "captions", "seed"), word(optional=True)
)


@dataclass(frozen=True)
class Encoding:
    """What a cache is of.

    Attributes:
        channels: of `x_0`.
        height: of `x_0`.
        width: of `x_0`.
        resolution: side of the images in pixels.
        scaling_factor: of the latents; 1 in pixel space.
        shift_factor: of the latents.
        vae: its fingerprint, or None in pixel space.
        text_encoder: `text.fingerprint` of what encoded the captions, or None where they are kept as words alone.
        clip_skip: how many of its last layers were left out.
        shapes: `squares`, or `buckets` where images have kept their shape; height and width are then those of the square.
    """

    channels: int
    height: int
    width: int
    resolution: int
    scaling_factor: float = 1.0
    shift_factor: float = 0.0
    vae: str | None = None
    text_encoder: str | None = None
    clip_skip: int = 0
    shapes: str = "squares"

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, height and width of `x_0`."""
        return self.channels, self.height, self.width

    @classmethod
    def read(cls, stored: Any) -> Self:
        """From the values of an index or a note. Raises `InputError` for what is no encoding."""
        if not isinstance(stored, dict):
            raise InputError(f"encoding {shown(stored)}: need a mapping")
        stored = {"clip_skip": 0, "shapes": "squares"} | stored  # which caches of older versions do not name
        check_fields(stored, _ENCODING, "field of an encoding")
        return cls(**stored)

    def check_same(self, other: "Encoding", where: Path) -> None:
        """Raise `InputError` that names the first field in which two differ."""
        for name, value in asdict(self).items():
            theirs = getattr(other, name)
            if value != theirs:
                raise InputError(f"{where}: was made with {name} = {theirs}, not {value}; take another folder")


@dataclass(frozen=True)
class Shard:
    """A file of a cache as an index names it; `size` is height and width of its images where they are in buckets."""

    path: Path
    count: int
    sha256: str
    size: tuple[int, int] | None = None


def read_index(folder: Path) -> tuple[Encoding, dict[str, list[Shard]], str | None]:
    """What a cache is of, its shards by kind, and where it is from. Raises `InputError` for an index that is none."""
    index = read_object(folder / INDEX)
    try:
        if not index.get("images") or not index.get("texts"):
            raise InputError("it names no shards")
        check_fields(index, _INDEX_FIELDS, "field of an index")
        check_fields(index["source"] or {}, _SOURCE_FIELDS, "field of a source", partial=True)
        encoding = Encoding.read(index["encoding"])
        shards = {}
        for kind in ("images", "texts"):
            fields = {
                "file": matching(rf"{kind}-\d{{5,10}}\.safetensors", f"a name such as {kind}-00000.safetensors"),
                "count": whole(1, 2**40),
                "sha256": matching("[0-9a-f]{64}", "64 hexadecimal digits"),
            }
            if kind == "images" and encoding.shapes == "buckets":
                fields["size"] = listed(whole(1, 2**16), 2, 2)
            for entry in index[kind]:
                check_fields(entry, fields, "field of a shard")
            shards[kind] = [_shard(folder, entry) for entry in index[kind]]
            if len({shard.path for shard in shards[kind]}) != len(shards[kind]):
                raise InputError(f"{kind}: one file is named twice")
        for kind, name in (("images", "examples"), ("texts", "captions")):
            if index[name] != sum(shard.count for shard in shards[kind]):
                raise InputError(f"{name} {index[name]}: its {kind} hold another number")
        return encoding, shards, (index["source"] or {}).get("source")
    except InputError as error:
        raise InputError(f"{folder}/{INDEX}: is no index of this version ({error}); make the cache anew") from None


def _shard(folder: Path, entry: dict[str, Any]) -> Shard:
    size = entry.get("size")
    return Shard(folder / entry["file"], entry["count"], entry["sha256"], None if size is None else (size[0], size[1]))


def check_shards(encoding: Encoding, shards: dict[str, list[Shard]]) -> None:
    """Raise `InputError` unless the files hold what their index says, by their headers; of captions and rows the content too."""
    captions: list[str] = []
    widths = set()
    for shard in shards["texts"]:
        (shape,) = _shapes(shard, {"states": _FLOATS})
        stored = captions_of(shard.path)
        if len(shape) != 3 or not shape[0] == len(stored) == shard.count:
            raise InputError(
                f"{shard.path.name} holds {len(stored)} captions with states of shape {shape}, not {shard.count}"
            )
        widths.add(shape[1:])
        captions += stored
    if len(widths) > 1:
        raise InputError(f"token states have shapes {sorted(widths)}")
    if captions[0] != "" or len(set(captions)) != len(captions):
        raise InputError("its captions are not distinct, the empty one the first")
    for shard in shards["images"]:
        shape, rows = _shapes(shard, {"x_0": _FLOATS, "caption": ("I64",)})
        size = (encoding.channels, *(shard.size or encoding.size[1:]))
        if shape != (shard.count, *size) or rows != (shard.count,):
            raise InputError(f"{shard.path.name} holds {shape} and {rows}, not {shard.count} of {size}")
        numbers = tensor_of(shard.path, "caption")
        if not 0 <= int(numbers.min()) <= int(numbers.max()) < len(captions):
            raise InputError(f"{shard.path.name} names captions beyond the {len(captions)} that there are")


def _shapes(shard: Shard, wanted: dict[str, tuple[str, ...]]) -> list[tuple[int, ...]]:
    """The shapes of a file's tensors. Raises `InputError` unless they are those that are wanted."""
    try:
        with safe_open(shard.path, framework="pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
            if parts.keys() != wanted.keys() or any(parts[name].get_dtype() not in wanted[name] for name in wanted):
                raise InputError(
                    f"{shard.path.name} holds {', '.join(sorted(parts)) or 'nothing'}, not {', '.join(wanted)}"
                )
            return [tuple(parts[name].get_shape()) for name in wanted]
    except (SafetensorError, OSError) as error:
        raise InputError(f"{shard.path.name} is damaged, {first_sentence(error)}") from None


def captions_of(path: Path) -> list[str]:
    """Raises `InputError` where a file of token states holds none."""
    return _words_in(path, "captions", listed(word(), 1, 2**20))


def records_of(path: Path) -> list[dict[str, str]]:
    """The records of an encoded batch. Raises `InputError` for a file without them."""
    return _words_in(path, "records", _RECORDS)


def _words_in(path: Path, name: str, kind: Kind) -> Any:
    """What a file has in its header under a name, of a kind. Raises `InputError` for anything else."""
    try:
        words = json.loads(_header(path).get(name, "null"))
    except (ValueError, RecursionError):
        words = None
    if not kind.holds(words):
        raise InputError(f"{path}: damaged (its {name} are {shown(words)}); remove it and run the cache again")
    return words


def _header(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged ({first_sentence(error)}); remove it and run the cache again") from None


def size_of(path: Path) -> tuple[int, int]:
    """Height and width of the images in a file, from its header."""
    with safe_open(path, framework="pt") as file:
        _, _, height, width = file.get_slice("x_0").get_shape()
    return height, width


def tensor_of(path: Path, name: str) -> Tensor:
    """One of the tensors of a file."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)

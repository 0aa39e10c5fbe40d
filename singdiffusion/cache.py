"""Encoded images and captions in a folder, so that training reads numbers and encodes nothing twice.

While it is made, every encoded batch is a file of its own (`part-…`), written whole with the keys of its records; a run that was killed
is taken up where it was. When all are there they become shards, and `index.json` names each with its SHA-256. Without an index a
cache is not finished.

    index.json                  what it was encoded with, the shards, what was skipped
    images-00000.safetensors    x_0 (n, channels, height, width) and caption (n,), the row of its caption
    texts-00000.safetensors     states (m, tokens, width), and the captions themselves in its header
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from singdiffusion.files import first_sentence, read_object
from singtheory.errors import InputError
from singtheory.files import write_bytes, write_json

_INDEX, _SHARD, _IN_MEMORY = "index.json", 4096, 2**32

Tracked = Callable[[Iterable[Any], str], Iterable[Any]]
"""Goes through something and shows how far it is."""


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
    """

    channels: int
    height: int
    width: int
    resolution: int
    scaling_factor: float = 1.0
    shift_factor: float = 0.0
    vae: str | None = None
    text_encoder: str | None = None

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, height and width of `x_0`."""
        return self.channels, self.height, self.width

    def check_same(self, other: "Encoding", where: Path) -> None:
        """Raise `InputError` that names the first field in which two differ."""
        for name, value in asdict(self).items():
            theirs = getattr(other, name)
            if value != theirs:
                raise InputError(f"{where}: was made with {name} = {theirs}, not {value}; take another folder")


def save_part(folder: Path, name: str, x_0: Tensor, records: list[dict[str, str]]) -> None:
    """Write one encoded batch, whole or not at all, with the `key`, `caption` and `hash` of each record."""
    content = save({"x_0": x_0.contiguous()}, {"records": json.dumps(records)})
    write_bytes(folder / f"{name}.safetensors", content)


def stored_parts(folder: Path) -> list[tuple[Path, list[dict[str, str]]]]:
    """The parts of an unfinished cache with their records, in order."""
    return [(path, json.loads(_header(path)["records"])) for path in sorted(folder.glob("part-*.safetensors"))]


def finish(
    folder: Path,
    encoding: Encoding,
    encode_texts: Callable[[list[str]], Tensor],
    skipped: list[tuple[str, str]],
    tracked: Tracked,
    source: dict[str, str | None] | None = None,
    texts_each: int = 256,
) -> None:
    """Encode the captions, make shards of the parts, and write the index; the parts are of no use then.

    Killed in between, it is run again: captions that are encoded stay so.

    Args:
        folder: with the parts of all processes.
        encoding: of them.
        encode_texts: token states (m, tokens, width) of captions.
        skipped: keys of records that were left out, each with the reason.
        tracked: shows the progress.
        source: of the records, noted.
        texts_each: captions a file.

    Raises:
        InputError: if there is no image at all, or a file cannot be written.
    """
    parts = stored_parts(folder)
    records = list(chain.from_iterable(found for _, found in parts))
    if not records:
        raise InputError(f"{folder}: no image could be used, {len(skipped)} skipped; see the log for the reasons")
    captions = list(dict.fromkeys(["", *(record["caption"] for record in records)]))
    groups = [captions[first : first + texts_each] for first in range(0, len(captions), texts_each)]
    texts = [_text_shard(folder, k, group, encode_texts) for k, group in enumerate(tracked(groups, "captions"))]
    rows = {caption: row for row, caption in enumerate(captions)}
    images = [_image_shard(folder, k, group, rows) for k, group in enumerate(tracked([*_grouped(parts)], "shards"))]
    content = {
        "encoding": asdict(encoding),
        "source": source,
        "examples": len(records),
        "captions": len(captions),
        "duplicates": len(records) - len({record["hash"] for record in records}),
        "skipped": skipped,
        "images": images,
        "texts": texts,
    }
    write_json(folder / _INDEX, content)


def _text_shard(
    folder: Path, number: int, captions: list[str], encode_texts: Callable[[list[str]], Tensor]
) -> dict[str, Any]:
    path = folder / f"texts-{number:05}.safetensors"
    if not path.exists() or json.loads(_header(path)["captions"]) != captions:
        states = encode_texts(captions).contiguous()
        write_bytes(path, save({"states": states}, {"captions": json.dumps(captions)}))
    return _entry(path, len(captions))


def _grouped(parts: list[tuple[Path, list[dict[str, str]]]]) -> Iterator[list[tuple[Path, list[dict[str, str]]]]]:
    """Parts that make a shard together."""
    group: list[tuple[Path, list[dict[str, str]]]] = []
    for part in parts:
        group.append(part)
        if sum(len(records) for _, records in group) >= _SHARD:
            yield group
            group = []
    if group:
        yield group


def _image_shard(
    folder: Path, number: int, group: list[tuple[Path, list[dict[str, str]]]], rows: dict[str, int]
) -> dict[str, Any]:
    path = folder / f"images-{number:05}.safetensors"
    x_0 = torch.cat([load_file(part)["x_0"] for part, _ in group])
    caption = torch.tensor([rows[record["caption"]] for _, records in group for record in records])
    write_bytes(path, save({"x_0": x_0, "caption": caption}))
    return _entry(path, len(caption))


def _entry(path: Path, count: int) -> dict[str, Any]:
    return {"file": path.name, "count": count, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged ({first_sentence(error)}); remove it and run the cache again") from None


def finished(folder: Path) -> bool:
    """Whether a folder holds a whole cache."""
    return (folder / _INDEX).is_file()


class Cache:
    """A finished cache.

    Attributes:
        encoding: what it is of.
        captions: the distinct ones, "" the first.
        caption: the row of each example's caption, shape (n,).
    """

    def __init__(self, folder: Path, encoding: Encoding, images: list[Path], texts: list[Path]) -> None:
        self.folder, self.encoding, self._images = folder, encoding, images
        self.captions = [caption for path in texts for caption in json.loads(_header(path)["captions"])]
        self._states = torch.cat([load_file(path)["states"] for path in texts])
        counts, rows = [], []
        for path in images:
            with safe_open(path, framework="pt") as file:
                rows.append(file.get_tensor("caption"))
                counts.append(len(rows[-1]))
        self.caption = torch.cat(rows)
        self._ends = torch.tensor(counts).cumsum(0)
        self._slices: dict[int, Any] = {}
        whole = sum(path.stat().st_size for path in images) <= _IN_MEMORY
        self._whole = torch.cat([load_file(path)["x_0"] for path in images]) if whole else None

    @classmethod
    def open(cls, folder: str | Path, tracked: Tracked = lambda items, _: items) -> Self:
        """Check a cache against its index and open it.

        Raises:
            InputError: for a folder without an index, and for a shard that is missing or has changed.
        """
        folder = Path(folder)
        if not finished(folder):
            raise InputError(f"{folder}: no finished cache ({_INDEX} is missing); run `singdiffusion cache` to its end")
        index = read_object(folder / _INDEX)
        try:
            encoding = Encoding(**index["encoding"])
            entries = [*index["images"], *index["texts"]]
            files = {entry["file"]: entry["sha256"] for entry in entries}
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder}/{_INDEX}: is no index of this version ({error}); make the cache anew") from None
        for name, expected in tracked(files.items(), "checking the cache"):
            if not (folder / name).is_file() or _sha256(folder / name) != expected:
                raise InputError(f"{folder / name}: missing or changed since it was cached; make the cache anew")
        return cls(
            folder,
            encoding,
            [folder / entry["file"] for entry in index["images"]],
            [folder / entry["file"] for entry in index["texts"]],
        )

    def __len__(self) -> int:
        return len(self.caption)

    @property
    def digest(self) -> str:
        """SHA-256 of the index, and with it of everything."""
        return _sha256(self.folder / _INDEX)

    @property
    def token_width(self) -> int:
        """Width of the token states; 0 where captions were kept as words alone."""
        return self._states.shape[2]

    def x_0(self, rows: Tensor) -> Tensor:
        """The examples of some rows, float32, shape (len(rows), channels, height, width)."""
        if self._whole is not None:
            return self._whole[rows].float()
        return torch.stack([self._one(int(row)) for row in rows]).float()

    def _one(self, row: int) -> Tensor:
        shard = int(torch.searchsorted(self._ends, row, right=True))
        if shard not in self._slices:
            file: Any = safe_open(self._images[shard], framework="pt").__enter__()  # closed with the process
            self._slices[shard] = file.get_slice("x_0")
        return self._slices[shard][row - (int(self._ends[shard - 1]) if shard else 0)]

    def states(self, captions: Tensor) -> Tensor:
        """The token states of caption rows, float32, shape (len(captions), tokens, width)."""
        return self._states[captions].float()

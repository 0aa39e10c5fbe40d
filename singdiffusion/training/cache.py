"""Encoded images and captions in a folder, so that training reads numbers and encodes nothing twice.

While it is made, every encoded batch is a file of its own (`part-…`), written whole with the keys of its records; a run that was killed
is taken up where it was. When all are there they become shards, and `index.json` names each with its SHA-256. Without an index a
cache is not finished.

    index.json                  what it was encoded with, the shards, what was skipped
    images-00000.safetensors    x_0 (n, channels, height, width) and caption (n,), the row of its caption
    texts-00000.safetensors     states (m, tokens, width), and the captions themselves in its header

Rows of both are read where they are wanted, so that a cache may be larger than memory.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from singdiffusion.system import sha256_of
from singdiffusion.training.cache_files import INDEX, finished, part_files
from singdiffusion.training.cache_index import (
    Encoding,
    Shard,
    captions_of,
    check_shards,
    read_index,
    records_of,
    size_of,
    tensor_of,
)
from singdiffusion.training.shards import Images, Shards
from singtheory.errors import InputError
from singtheory.system import write_bytes, write_json

_SHARD = 2**29
"""Bytes from which on parts are a shard."""
_TEXTS = 256
"""Captions a file."""
_CHUNK = 1024

Tracked = Callable[[Iterable[Any], str], Iterable[Any]]
"""Goes through something and shows how far it is."""

Part = tuple[Path, list[dict[str, str]]]
"""The file of an encoded batch, with its records."""


def save_part(folder: Path, name: str, x_0: Tensor, records: list[dict[str, str]]) -> None:
    """Write one encoded batch, whole or not at all, with the `key`, `caption` and `hash` of each record."""
    content = save({"x_0": x_0.contiguous()}, {"records": json.dumps(records)})
    write_bytes(folder / f"{name}.safetensors", content)


def stored_parts(folder: Path) -> list[Part]:
    """The parts of an unfinished cache with their records, in order."""
    return [(path, records_of(path)) for path in part_files(folder)]


def save_texts(
    folder: Path,
    encode_texts: Callable[[list[str]], Tensor],
    tracked: Tracked,
    process: int = 0,
    processes: int = 1,
) -> list[str]:
    """Encode the captions of all parts; killed in between, it is run again, and captions that are encoded stay so.

    Args:
        folder: with the parts of all processes, all of them there.
        encode_texts: token states (m, tokens, width) of captions.
        tracked: shows the progress.
        process: number of this one; it encodes every `processes`-th file from there on.
        processes: how many there are.

    Returns:
        All captions, distinct, "" the first.

    Raises:
        InputError: if a file cannot be written.
    """
    captions = _captions(stored_parts(folder))
    groups = _text_files(folder, captions)
    for path, group in tracked(groups[process::processes], "captions"):
        if not path.exists() or captions_of(path) != group:
            write_bytes(path, save({"states": encode_texts(group).contiguous()}, {"captions": json.dumps(group)}))
    return captions


def finish(
    folder: Path,
    encoding: Encoding,
    skipped: list[tuple[str, str]],
    tracked: Tracked,
    source: dict[str, str | None] | None = None,
) -> None:
    """Make shards of the parts beside the encoded captions, and write the index; the parts are of no use then.

    Args:
        folder: with the parts of all processes, and their captions.
        encoding: of them.
        skipped: keys of records that were left out, each with the reason.
        tracked: shows the progress.
        source: of the records, noted.

    Raises:
        InputError: if there is no image at all, or a file cannot be written.
    """
    parts = stored_parts(folder)
    records = list(chain.from_iterable(of_part for _, of_part in parts))
    if not records:
        raise InputError(f"{folder}: no image could be used, {len(skipped)} skipped; see the log for the reasons")
    captions = _captions(parts)
    rows = {caption: row for row, caption in enumerate(captions)}
    unit = math.gcd(*map(_repeats, records))
    of_sizes = _by_size(parts) if encoding.shapes == "buckets" else [parts]
    groups = [group for of_size in of_sizes for group in _grouped(of_size, unit)]
    images = [_image_shard(folder, k, group, rows, unit) for k, group in enumerate(tracked(groups, "shards"))]
    if encoding.shapes == "buckets":
        images = [entry | {"size": [*size_of(folder / entry["file"])]} for entry in images]
    texts = [_entry(path, len(group)) for path, group in tracked(_text_files(folder, captions), "checksums")]
    content = {
        "encoding": asdict(encoding),
        "source": source,
        "examples": sum(_repeats(record) for record in records) // unit,
        "captions": len(captions),
        "duplicates": len(records) - len({record["hash"] for record in records}),
        "skipped": skipped,
        "images": images,
        "texts": texts,
    }
    write_json(folder / INDEX, content)


def _captions(parts: list[Part]) -> list[str]:
    """The distinct ones in order, "" the first."""
    return list(dict.fromkeys(["", *(record["caption"] for _, records in parts for record in records)]))


def _text_files(folder: Path, captions: list[str]) -> list[tuple[Path, list[str]]]:
    """The files of token states, with the captions of each."""
    firsts = range(0, len(captions), _TEXTS)
    return [(folder / f"texts-{k:05}.safetensors", captions[i : i + _TEXTS]) for k, i in enumerate(firsts)]


def _repeats(record: dict[str, str]) -> int:
    """How often a record counts, beside the others."""
    return int(record.get("repeats", "1"))


def _by_size(parts: list[Part]) -> list[list[Part]]:
    """Parts of one size together, in the order in which sizes first come."""
    by_size: dict[tuple[int, int], list[Part]] = {}
    for part in parts:
        by_size.setdefault(size_of(part[0]), []).append(part)
    return list(by_size.values())


def _grouped(parts: list[Part], unit: int) -> Iterator[list[Part]]:
    """Parts that make a shard together, records that count `unit` times once."""
    group: list[Part] = []
    size = 0
    for part in parts:
        group.append(part)
        size += part[0].stat().st_size * max(map(_repeats, part[1]), default=1) // unit
        if size >= _SHARD:
            yield group
            group, size = [], 0
    if group:
        yield group


def _image_shard(folder: Path, number: int, group: list[Part], rows: dict[str, int], unit: int) -> dict[str, Any]:
    path = folder / f"images-{number:05}.safetensors"
    times = torch.tensor([_repeats(record) // unit for _, records in group for record in records])
    x_0 = torch.cat([load_file(part)["x_0"] for part, _ in group]).repeat_interleave(times, dim=0)
    caption = torch.tensor([rows[record["caption"]] for _, records in group for record in records]).repeat_interleave(
        times
    )
    write_bytes(path, save({"x_0": x_0, "caption": caption}))
    return _entry(path, len(caption))


def _entry(path: Path, count: int) -> dict[str, Any]:
    return {"file": path.name, "count": count, "sha256": sha256_of(path)}


@dataclass(eq=False)
class Outline:
    """What of a cache decides the shapes of networks; all but the captions is known before anything is encoded.

    Attributes:
        folder: of the cache.
        encoding: what it is of.
        token_width: width of the token states; 0 where captions are kept as words alone.
        captions: the distinct ones, "" the first.
    """

    folder: Path
    encoding: Encoding
    token_width: int
    captions: list[str] = field(default_factory=lambda: [""])

    @property
    def examples(self) -> int | None:
        """How many it holds; None before they are encoded."""
        return None


class Cache(Outline):
    """A finished cache.

    Attributes:
        source: folder, shard or hub id of the data, or the folder of the cache where that was not noted.
        caption: the row of each example's caption, shape (n,).
    """

    def __init__(
        self, folder: Path, encoding: Encoding, images: list[Shard], texts: list[Path], source: str | None = None
    ) -> None:
        self._x_0, self._states = Images(images, encoding.size[1:]), Shards(texts, "states")
        captions = [caption for path in texts for caption in captions_of(path)]
        super().__init__(folder, encoding, self._states.size[1], captions)
        self.source = source or str(folder)
        self.caption = torch.cat([tensor_of(shard.path, "caption") for shard in images])

    @classmethod
    def open(cls, folder: str | Path, tracked: Tracked = lambda items, _: items) -> Self:
        """Check a cache against its index and open it.

        Raises:
            InputError: for a folder without an index, and for a shard that is missing or has changed.
        """
        folder = Path(folder)
        if not finished(folder):
            raise InputError(f"{folder}: no finished cache ({INDEX} is missing); run `singdiffusion cache` to its end")
        encoding, shards, source = read_index(folder)
        for shard in tracked([*shards["images"], *shards["texts"]], "checking the cache"):
            if not shard.path.is_file() or sha256_of(shard.path) != shard.sha256:
                raise InputError(f"{shard.path}: missing or changed since it was cached; make the cache anew")
        try:
            check_shards(encoding, shards)
        except InputError as error:
            raise InputError(f"{folder}: its index and its shards disagree ({error}); make the cache anew") from None
        return cls(folder, encoding, shards["images"], [shard.path for shard in shards["texts"]], source)

    def __len__(self) -> int:
        return len(self.caption)

    @property
    def examples(self) -> int:
        """How many it holds."""
        return len(self)

    @property
    def digest(self) -> str:
        """SHA-256 of the index, and with it of everything."""
        return sha256_of(self.folder / INDEX)

    def x_0(self, rows: Tensor) -> Tensor:
        """The examples of some rows, float32, shape (len(rows), channels, height, width); of buckets those in the size of the square."""
        return self._x_0.resized(rows)

    def in_own_size(self, rows: Tensor) -> Tensor:
        """The images of `x_0`, for rows of one bucket, in its size."""
        return self._x_0.own(rows)

    @property
    def buckets(self) -> list[tuple[int, int]]:
        """The first row of each size, and the one after its last."""
        return self._x_0.bounds

    def states(self, captions: Tensor) -> Tensor:
        """The token states of caption rows, float32, shape (len(captions), tokens, width)."""
        return self._states[captions].float()

    def sample(self, most: int) -> Tensor:
        """Rows of at most so many examples, evenly chosen."""
        return torch.arange(0, len(self), -(-len(self) // most))

    def groups(self) -> tuple[Tensor, ...]:
        """The rows of the examples of each caption."""
        counts = self.caption.bincount(minlength=len(self.captions))
        return self.caption.argsort(stable=True).split(counts.tolist())

    def chunks(self, rows: Tensor) -> Iterator[Tensor]:
        """The examples of some rows, a few at a time."""
        return (self.x_0(some) for some in rows.split(_CHUNK))

    def mean(self, rows: Tensor) -> Tensor:
        """The mean of the examples of some rows, shape (channels, height, width)."""
        total = torch.zeros(self.encoding.size, dtype=torch.float64)
        for some in self.chunks(rows):
            total += some.double().sum(dim=0)
        return (total / len(rows)).float()

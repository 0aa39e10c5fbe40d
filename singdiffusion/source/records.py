"""Images with captions from a folder, from tar shards, from tables or from the hub, one after another; nothing is unpickled.

A record has a key that names it for good: a run that is taken up again skips what it has.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image as Pillow

from singdiffusion.source.captions import NO_CAPTION, Found, chosen_column, drawn, in_json, usable
from singdiffusion.source.folder_images import FolderImages
from singdiffusion.source.metadata import NAMES
from singdiffusion.source.tables import (
    TableRow,
    content_of,
    image_columns,
    is_saved,
    rows_of_hub,
    rows_of_parquet,
    rows_of_saved,
)
from singdiffusion.source.tar_samples import TEXTS, Reader, Sample, Shard
from singdiffusion.system import first_sentence, one_of, whole, word
from singtheory.data import LARGEST, SUFFIXES, Notes, colour, decoded_bytes, files, is_grey, rgb
from singtheory.errors import InputError, unknown_name

__all__ = ["CHOICES", "LARGEST", "USUAL", "Record", "Source"]

CHOICES = ("one", "all")
"""What is done with a list of captions: one is drawn, or each is a record."""
USUAL = {"background": "white", "captions": "one", "seed": "0"}
"""What a cache notes of the options only where they are other ones: older caches, without the options, are known."""
_LONGEST_FAULT, _LONGEST_KEY = 300, 2**13
_ORDER = "where a sample has several captions, .txt comes first, then .caption and .json; the rest are not read"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How files of gzip, bzip2, xz and zstd begin."""
_KINDS = "give a folder of images, of .tar shards or of .parquet files, one such file, or a hub id"

Row = TypeVar("Row")


@dataclass(frozen=True)
class Record:
    """An image as it is stored, and its caption.

    Attributes:
        key: names it for good within its source, with its number there: one image may have several captions.
        content: the file's bytes, not decoded.
        caption: as it is; None where it is missing or cannot be used.
        fault: why it cannot be used, in words.
        repeats: how often it counts.
        background: red, green and blue of what is transparent.
        notes: count what is unusual in it.
    """

    key: str
    content: bytes
    caption: str | None
    fault: str = NO_CAPTION
    repeats: int = 1
    background: tuple[int, int, int] = (255, 255, 255)
    notes: Notes = field(default_factory=Notes, repr=False, compare=False)

    def decoded_bytes(self) -> int:
        """What `image` holds at its peak, from the header alone. Raises `InputError` for more than `LARGEST`, and as `image`."""
        return decoded_bytes(self.content, self.key)

    def image(self) -> Pillow.Image:
        """Decoded, in RGB. Raises `InputError` as `pictures.rgb`."""
        return rgb(self.content, self.key, self.background, self.notes)

    def is_grey(self) -> bool:
        """Whether it is stored without colours. Raises `InputError` as `image`."""
        return is_grey(self.content, self.key)


@dataclass(frozen=True)
class Source:
    """Where records come from.

    Attributes:
        name: a folder of images, of tar shards in LAION's layout, of parquet files or as `save_to_disk` writes it; a tar or parquet file; or
            a hub id.
        caption: the column of the captions; found by its name if None.
        background: the colour behind what is transparent.
        choice: `one` to draw one of a list of captions, `all` for a record of each.
        seed: of what is drawn.
        notes: what was unusual, complete once all records have been read.
    """

    name: str
    caption: str | None = None
    background: str = USUAL["background"]
    choice: str = USUAL["captions"]
    seed: int = 0
    notes: Notes = field(default_factory=Notes, repr=False, compare=False)

    def check(self) -> None:
        """Raise `InputError` before work starts for what the shards' members and the first record show."""
        word(most=2**12).check("source", self.name)  # it is noted in the cache
        word(optional=True).check("caption column", self.caption)
        word(most=64).check("background", self.background)
        one_of(CHOICES).check("captions", self.choice)
        whole(0, 2**40).check("seed", self.seed)
        colour(self.background)
        path = Path(self.name)
        if path.is_file() and path.suffix.lower() not in (".tar", ".parquet"):
            raise InputError(f"{self.name}: is a file and no .tar or .parquet; {_KINDS}")
        if path.is_dir() and next(files(path), None) is None:
            raise InputError(f"{self.name}: is empty; {_KINDS}")
        for shard in self._files(".tar"):
            _check_tar(shard)
        if next(iter(self), None) is None:
            inside = next(files(path), None) if path.is_dir() else None
            only = "" if inside is None else f" but files such as {inside}"
            raise InputError(f"{self.name}: holds no records{only}; give images with captions, and unpack archives")

    def origin(self) -> dict[str, str | None]:
        """What makes records the same ones, but for what is `USUAL`."""
        options = {"background": self.background, "captions": self.choice, "seed": str(self.seed)}
        unusual = dict(options.items() - USUAL.items())
        return {"source": str(Path(self.name)), "caption": self.caption} | unusual

    def __iter__(self) -> Iterator[Record]:
        self.notes.clear()
        behind = colour(self.background)
        for part in self._parts():
            number = 0  # within its file, so that a key does not depend on the files before
            for entry in part:
                for caption in self._chosen(entry, number):
                    key = _key(f"{entry.key}#{number}")
                    fault = _printable(entry.fault[:_LONGEST_FAULT])
                    yield Record(key, entry.content, caption, fault, entry.repeats, behind, self.notes)
                    number += 1

    def pictures(self) -> Iterator[Record]:
        """All images, whether they have captions or not, in the order of their paths where they lie in a folder."""
        path = Path(self.name)
        if not path.is_dir() or is_saved(path) or self._files(".tar") or self._files(".parquet"):
            yield from self
            return
        self.notes.clear()
        for entry in FolderImages(path, self.caption, self.notes).pictures():
            behind = colour(self.background)
            yield Record(_key(entry.key), entry.content, None, entry.fault, 1, behind, self.notes)

    def _chosen(self, entry: Found, number: int) -> Sequence[str | None]:
        if len(entry.captions) > 1:
            self.notes.count(f"{{}} images have a list of captions; {self.choice} of each is taken", entry.key)
            return (
                entry.captions if self.choice == "all" else [drawn(entry.captions, f"{entry.key}#{number}", self.seed)]
            )
        return entry.captions or [None]

    def _parts(self) -> Iterator[Iterable[Found]]:
        path = Path(self.name)
        shards, tables = self._files(".tar"), self._files(".parquet")
        if path.is_dir() and is_saved(path):
            yield self._of_table(self.name, rows_of_saved(path, self.notes))
        elif shards:
            self._count_left(shards)
            for shard in shards:
                yield _whole(f"{self.name} {shard.name}:", self._of_shard(shard))
        elif tables:
            self._count_left(tables)
            for table in tables:
                yield self._of_table(str(table), rows_of_parquet(table), f"{self._within(table)}:")
        elif path.is_dir():
            yield FolderImages(path, self.caption, self.notes)
        elif path.is_file():
            raise InputError(f"{self.name}: is a file and no .tar or .parquet; {_KINDS}")
        else:
            yield self._of_table(self.name, _whole(self.name, rows_of_hub(self.name, self.notes)))

    def _files(self, ending: str) -> list[Path]:
        """The shards or tables that the source is, in order."""
        path = Path(self.name)
        if path.is_dir():
            inside = (path / name for name in files(path) if name.lower().endswith(ending))
            return sorted(one for one in inside if one.name.lower() not in NAMES)
        return [path] if path.suffix.lower() == ending and path.is_file() else []

    def _within(self, path: Path) -> str:
        folder = Path(self.name)
        return path.relative_to(folder).as_posix() if folder.is_dir() else path.name

    def _count_left(self, read: list[Path]) -> None:
        """Note what lies beside shards or tables and is not read."""
        for name in files(Path(self.name)) if Path(self.name).is_dir() else ():
            if Path(self.name) / name not in read:
                self.notes.count(
                    f"{{}} files beside the {read[0].suffix} files are not read; give their folder alone", name
                )

    def _of_shard(self, path: Path) -> Iterator[Found]:
        shard = Shard(path, self.notes)
        if not any(sample.image for sample in shard.samples):
            raise InputError(f"{self.name} {path.name}: holds no images")
        wanted = self._endings(shard)
        if self.caption is None and any(len({*sample.members} & {*TEXTS}) > 1 for sample in shard.samples):
            self.notes.say(_ORDER)
        with shard.opened() as reader:
            for sample in shard.samples:
                yield self._of_sample(f"{self._within(path)}:{sample.key}", sample, reader, wanted)

    def _endings(self, shard: Shard) -> Sequence[str]:
        """The endings of files that may hold the caption, in order. Raises `InputError` where there is none."""
        if self.caption is None:
            if not shard.endings & {*TEXTS}:
                raise InputError(f"{self.name}: no captions; give a .txt, .caption or .json with each image of a shard")
            return TEXTS
        if f".{self.caption.lower()}" in shard.endings:
            return [f".{self.caption.lower()}"]
        if ".json" not in shard.endings:
            raise unknown_name("caption column", self.caption, (ending[1:] for ending in shard.endings))
        return [".json"]

    def _of_sample(self, key: str, sample: Sample, reader: Reader, wanted: Sequence[str]) -> Found:
        if sample.image is None:
            fault = next(iter(sample.faults.values()), "has text and no image")
            return Found(key, b"", fault=fault)
        if sum(ending in SUFFIXES for ending in sample.members) > 1:
            self.notes.count("{} samples have several images; the first of .jpg, .jpeg, .png, .webp is taken", key)
        if sample.image in sample.faults:
            return Found(key, b"", fault=sample.faults[sample.image])
        captions, fault = self._words(key, sample, reader, wanted)
        return Found(key, reader.read(sample, sample.image) or b"", captions, fault)

    def _words(self, key: str, sample: Sample, reader: Reader, wanted: Sequence[str]) -> tuple[list[str], str]:
        """The words of the first member that has any."""
        reason = NO_CAPTION
        for ending in wanted:
            fault = sample.faults.get(ending, NO_CAPTION)
            captions: list[str] = []
            if (content := reader.read(sample, ending)) is not None:
                of_json = self.caption if self.caption != "json" else None
                captions, fault = (
                    in_json(content, of_json, self.notes, key)
                    if ending == ".json"
                    else usable(content, self.notes, key)
                )
            if captions:
                return captions, ""
            reason = fault if reason == NO_CAPTION else reason
        return [], reason

    def _of_table(self, name: str, rows: Iterable[TableRow], prefix: str = "") -> Iterator[Found]:
        images: list[str] | None = None
        caption = ""
        for values, labels in rows:
            if images is None:
                images = _image_columns(name, values)
                caption = self._column(name, values)
            held = next((values[one] for one in images if values.get(one)), None)
            if isinstance(held, list) and len(held) > 1:
                self.notes.count("{} rows have several images; the first is taken", name)
            stored, path = content_of(held)
            words = _value(values, caption)
            key = values.get("__key__") or _relative(path, self.name) or "row"
            yield Found(f"{prefix}{key}", stored, *usable(words, self.notes, f"{prefix}{key}", labels.get(caption)))

    def _column(self, name: str, values: Mapping[str, Any]) -> str:
        columns = [*values, *(values["json"] if isinstance(values.get("json"), dict) else ())]
        if self.caption is not None and self.caption not in columns:
            raise unknown_name("caption column", self.caption, columns)
        column = self.caption or chosen_column(columns, self.notes)
        if column is None:
            raise InputError(f"{name}: no captions among the columns {', '.join(columns)}; name one with --caption")
        return column


def _image_columns(name: str, values: Mapping[str, Any]) -> list[str]:
    columns = image_columns(list(values))
    if not columns:
        columns = [one for one, value in values.items() if isinstance(value, Mapping) and "bytes" in value]
    if not columns:
        raise InputError(f"{name}: no column of images among {', '.join(values)}; call it image")
    return columns


def _value(values: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of a field of the column json."""
    inner = values.get("json")
    return inner.get(column) if column not in values and isinstance(inner, Mapping) else values.get(column)


def _whole(name: str, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows; what breaks in the middle is one line."""
    try:
        yield from rows
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name}: breaks off ({first_sentence(error)}); mend or remove it, what is done is kept"
        ) from None


def _check_tar(shard: Path) -> None:
    """Walk over the members: readers take a damaged header for the end, and would lose what follows without a word."""
    try:
        with shard.open("rb") as file:
            if file.read(8).startswith(_COMPRESSED):
                raise InputError(f"{shard}: is compressed; unpack it first, with gunzip or the like")
        with tarfile.open(shard, "r:") as archive, shard.open("rb") as file:
            members = sum(1 for _ in archive)
            file.seek(archive.offset)
            end = file.read(tarfile.BLOCKSIZE)
            if not members or len(end) < tarfile.BLOCKSIZE or any(end):
                raise tarfile.ReadError(f"it ends or is damaged after {members} members")
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{shard}: is no whole shard ({first_sentence(error)}); fetch it again") from None


def _relative(path: str | None, folder: str) -> str | None:
    """Within the folder, so that a folder may be moved."""
    whole = os.path.realpath(folder)  # as the reader names files
    if path is None or not Path(path).is_relative_to(whole):
        return path
    return str(Path(path).relative_to(whole))


def _key(name: str) -> str:
    """A key in printable form, of bounded length: many stand in the header of a file of the cache. A long one ends on a hash of the whole."""
    key = _printable(name)
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[:_LONGEST_KEY]}…{hashlib.sha256(key.encode()).hexdigest()}"


def _printable(key: str) -> str:
    """The key in printable form: the bytes of a file name that is not UTF-8 are written out, and NUL is."""
    return key.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")

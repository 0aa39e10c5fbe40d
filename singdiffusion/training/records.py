"""Images with captions from a folder, from tar shards or from the hub, one after another; nothing is unpickled.

A record has a key that names it for good: a run that is taken up again skips what it has.
"""

import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from singdiffusion.system import first_sentence, word
from singdiffusion.training.tar_samples import fields, samples
from singtheory.errors import InputError, unknown_name

CAPTIONS = ("text", "caption", "txt", "prompt", "label")
"""Columns that may hold the caption, in this order, where none is named."""
_IMAGES = ("image", "jpg", "jpeg", "png", "webp")
_LONGEST = 2**14
"""Bytes of a caption: many together stand in the header of a file of the cache, which may not be large."""
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "LA": 4, "PA": 4}
"""Bytes of a pixel in memory, by pillow's mode; four of others."""
LARGEST = 2**30
"""Bytes that decoding one image may take: 134 million pixels in RGB."""


Row = TypeVar("Row")


@dataclass(frozen=True)
class Record:
    """An image as it is stored, and its caption.

    Attributes:
        key: names it for good within its source, with its number there: one image may have several captions.
        content: the file's bytes, not decoded.
        caption: as it is; None where it is missing or cannot be used.
        fault: why it cannot be used, in words.
    """

    key: str
    content: bytes
    caption: str | None
    fault: str = "has no caption"

    def decoded_bytes(self) -> int:
        """What `image` holds at its peak, from the header alone. Raises `InputError` for more than `LARGEST`, and as `image`."""
        with self._opened() as stored:
            count = stored.width * stored.height * _pixel_bytes(stored.mode)
            if count > LARGEST:
                raise InputError(
                    f"{self.key}: {stored.width}×{stored.height} pixels take {count / 2**30:.1f} GiB to decode, more than "
                    f"{LARGEST / 2**30:.3g}; make it smaller"
                )
            return count

    def image(self) -> Pillow.Image:
        """Decoded, in RGB. Raises `InputError` for bytes that are no whole image, and as `decoded_bytes`."""
        self.decoded_bytes()
        with self._opened() as stored:
            if stored.mode == "F":
                raise InputError(f"{self.key}: floating-point pixels have no known range; save 8 or 16 bits")
            image = ImageOps.exif_transpose(stored)
            if image.mode.startswith("I"):  # 16 bits, of which pillow would cut what is above 255
                image = Pillow.fromarray(_of_16_bits(np.asarray(image)))
            return image if image.mode == "RGB" else image.convert("RGB")

    @contextmanager
    def _opened(self) -> Iterator[Pillow.Image]:
        """Its header is read, its pixels where they are asked for inside."""
        try:
            with Pillow.open(io.BytesIO(self.content)) as stored:
                yield stored
        except InputError:
            raise
        except Exception as error:  # damaged files raise whatever their decoder likes
            raise InputError(f"{self.key}: no image that can be decoded ({first_sentence(error)})") from None


def _pixel_bytes(mode: str) -> int:
    """Of an image as it is stored, turned, and in RGB."""
    return 2 * _STORED.get(mode, 4) + (0 if mode == "RGB" else 4) + (1 if mode.startswith("I") else 0)


def _of_16_bits(levels: np.ndarray) -> np.ndarray:
    """The nearest of 8 bits, a few rows at a time: a whole image of floats would be eight times as large as its file."""
    found = np.empty(levels.shape, np.uint8)
    for some, row in zip(found, levels, strict=True):
        some[...] = ((row.astype(np.int64) + 128) // 257).clip(0, 255)
    return found


@dataclass(frozen=True)
class Source:
    """Where records come from.

    Attributes:
        name: a folder of images in the imagefolder layout, one of tar shards in LAION's, a tar, or a hub id.
        caption: the column of the captions; found by its name if None.
    """

    name: str
    caption: str | None = None

    def check(self) -> None:
        """Raise `InputError` before work starts for what the shards' members and the first record show."""
        word(most=2**12).check("source", self.name)  # it is noted in the cache
        word(optional=True).check("caption column", self.caption)
        if Path(self.name).is_file() and not self._shards():
            raise InputError(
                f"{self.name}: is a file and no .tar; give a folder of images or of .tar shards, or a hub id"
            )
        for shard in self._shards():
            _check_tar(shard)
        if not self._shards() and Path(self.name).is_dir() and not any(p.is_file() for p in Path(self.name).rglob("*")):
            raise InputError(f"{self.name}: is empty; give a folder of images or of .tar shards")
        if next(iter(self), None) is None:
            raise InputError(f"{self.name}: holds no records; give images with captions")

    def __iter__(self) -> Iterator[Record]:
        shards = self._shards()
        for shard in shards:
            yield from _whole(f"{self.name} {shard.name}:", self._of_shard(shard))
        if not shards and Path(self.name).is_dir():
            yield from self._of("imagefolder", data_dir=self.name)
        elif not shards:
            yield from self._of(self.name)

    def _shards(self) -> list[Path]:
        path = Path(self.name)
        if path.suffix == ".tar" and path.is_file():
            return [path]
        return sorted(path.glob("*.tar")) if path.is_dir() else []

    def _of_shard(self, shard: Path) -> Iterator[Record]:
        columns = fields(shard)
        images, caption = self._images(columns), self._caption(columns)
        for number, sample in enumerate(samples(shard)):
            image = next((name for name in images if name in sample.members), "")
            words, fault = _text(sample.read(caption), sample.faults.get(caption))
            fault = sample.faults.get(image) or fault
            key = _printable(f"{shard.name}:{sample.key}#{number}")
            yield Record(key, sample.read(image) or b"", None if image in sample.faults else words, fault)

    def _images(self, columns: Sequence[str]) -> list[str]:
        images = [name for name in _IMAGES if name in columns]
        if not images:
            raise InputError(f"{self.name}: no column of images among {', '.join(columns)}")
        return images

    def _of(self, builder: str, **files: Any) -> Iterator[Record]:
        rows = _opened(self.name, builder, **files)
        columns = [str(name) for name in rows.column_names or ()]
        images, caption = self._images(columns), self._caption(columns)
        labels = getattr((rows.features or {}).get(caption), "names", None)
        for number, row in enumerate(_whole(self.name, _undecoded(rows, images))):
            stored = next((row[name] for name in images if row.get(name)), {})
            key = row.get("__key__") or _relative(stored.get("path"), self.name) or "row"
            words, fault = _text(_words(row[caption], labels))
            yield Record(_printable(f"{key}#{number}"), _content(stored), words, fault)

    def _caption(self, columns: Sequence[str]) -> str:
        if self.caption is not None and self.caption not in columns:
            raise unknown_name("caption column", self.caption, columns)
        found = self.caption or next((name for name in CAPTIONS if name in columns), None)
        if found is None:
            raise InputError(
                f"{self.name}: no captions; give metadata.jsonl with file_name and text, one folder a class, or name a column with --caption"
            )
        return found


def _opened(name: str, builder: str, **files: Any) -> Any:
    """A streaming dataset."""
    try:
        from datasets import load_dataset  # the extra [train]; only what reads images needs it
    except ImportError as error:
        raise InputError(f"{name}: {error}; pip install -c constraints.txt -e '.[train]'") from None
    try:
        return load_dataset(builder, split="train", streaming=True, **files)
    except Exception as error:  # its readers raise what they like
        raise InputError(f"{name}: cannot be read as images with captions ({first_sentence(error)})") from None


def _undecoded(rows: Any, images: Sequence[str]) -> Any:
    """With the images' bytes as stored: a damaged one must not end the stream."""
    from datasets import Image

    for name in images:
        rows = rows.cast_column(name, Image(decode=False))
    return rows


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
        with tarfile.open(shard, "r:") as archive, shard.open("rb") as file:
            members = sum(1 for _ in archive)
            file.seek(archive.offset)
            end = file.read(tarfile.BLOCKSIZE)
            if not members or len(end) < tarfile.BLOCKSIZE or any(end):
                raise tarfile.ReadError(f"it ends or is damaged after {members} members")
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{shard}: is no whole shard ({first_sentence(error)}); fetch it again") from None


def _content(stored: dict[str, Any]) -> bytes:
    """The bytes of an image; none where they cannot be had, which decoding names later."""
    if stored.get("bytes") is not None:
        return stored["bytes"]
    try:
        return Path(stored.get("path") or "").read_bytes()
    except OSError:
        return b""


def _relative(path: str | None, folder: str) -> str | None:
    """Within the folder, so that a folder may be moved."""
    whole = os.path.realpath(folder)  # as the reader names files
    if path is None or not Path(path).is_relative_to(whole):
        return path
    return str(Path(path).relative_to(whole))


def _words(value: Any, labels: Sequence[str] | None) -> str | bytes | None:
    """A caption, or the name of a class; None where there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return labels[value] if labels and 0 <= value < len(labels) else str(value)
    return value if isinstance(value, str | bytes) else None


def _text(value: str | bytes | None, fault: str | None = None) -> tuple[str | None, str]:
    """A caption, or None and why it cannot be used."""
    if fault is not None or value is None:
        return None, fault or "has no caption"
    try:
        words = (value if isinstance(value, str) else value.decode("utf-8")).strip()
        size = len(words.encode("utf-8"))  # which JSON's halves of characters have none of
    except UnicodeError:
        return None, "its caption is not UTF-8"
    if size > _LONGEST:
        return None, f"its caption has {size} bytes, more than {_LONGEST}"
    return words or None, "has no caption"


def _printable(key: str) -> str:
    """Of a file name that is not UTF-8 the bytes are written out."""
    return key.encode("utf-8", "backslashreplace").decode("utf-8")

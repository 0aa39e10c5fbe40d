"""Images with captions from a folder, from tar shards or from the hub, one after another; nothing is unpickled.

A record has a key that names it for good: a run that is taken up again skips what it has.
"""

import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from singdiffusion.files import first_sentence
from singtheory.errors import InputError, unknown_name

CAPTIONS = ("text", "caption", "txt", "prompt", "label")
"""Columns that may hold the caption, in this order, where none is named."""
_IMAGES = ("image", "jpg", "jpeg", "png", "webp")


@dataclass(frozen=True)
class Record:
    """An image as it is stored, and its caption.

    Attributes:
        key: names it for good within its source, with its number there: one image may have several captions.
        content: the file's bytes, not decoded.
        caption: as it is; None where it is missing.
    """

    key: str
    content: bytes
    caption: str | None

    def image(self) -> Pillow.Image:
        """Decoded, in RGB. Raises `InputError` for bytes that are no whole image."""
        try:
            with Pillow.open(io.BytesIO(self.content)) as stored:
                image = ImageOps.exif_transpose(stored)
                if image.mode.startswith("I"):  # 16 bits, of which pillow would cut what is above 255
                    image = Pillow.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
                return image.convert("RGB")
        except Exception as error:  # damaged files raise whatever their decoder likes
            raise InputError(f"{self.key}: no image that can be decoded ({first_sentence(error)})") from None


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
            yield from self._of("webdataset", f"{shard.name}:", data_files=[str(shard)])
        if not shards and Path(self.name).is_dir():
            yield from self._of("imagefolder", "", data_dir=self.name)
        elif not shards:
            yield from self._of(self.name, "")

    def _shards(self) -> list[Path]:
        path = Path(self.name)
        if path.suffix == ".tar" and path.is_file():
            return [path]
        return sorted(path.glob("*.tar")) if path.is_dir() else []

    def _of(self, builder: str, prefix: str, **files: Any) -> Iterator[Record]:
        rows = _opened(self.name, builder, **files)
        columns = [str(name) for name in rows.column_names or ()]
        images = [name for name in _IMAGES if name in columns]
        if not images:
            raise InputError(f"{self.name}: no column of images among {', '.join(columns)}")
        caption = self._caption(columns)
        labels = getattr((rows.features or {}).get(caption), "names", None)
        for number, row in enumerate(_reading(f"{self.name} {prefix}".strip(), _undecoded(rows, images))):
            stored = next((row[name] for name in images if row.get(name)), {})
            key = row.get("__key__") or _relative(stored.get("path"), self.name) or "row"
            yield Record(f"{prefix}{key}#{number}", _content(stored), _words(row[caption], labels))

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


def _reading(name: str, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
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


def _words(value: Any, labels: Sequence[str] | None) -> str | None:
    """A caption, or the name of a class; None where there is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return labels[value] if labels and 0 <= value < len(labels) else str(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return value.strip() or None if isinstance(value, str) else None

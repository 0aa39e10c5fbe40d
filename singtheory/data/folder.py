"""Folders of pictures in whatever depth, as training reads them: which files there are, and the pictures as a law."""

import math
import os
import stat
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageOps

from singtheory.data.decoding import SUFFIXES, is_grey, rgb, without_warnings
from singtheory.data.images import HALF_RANGE
from singtheory.data.named_law import Data, check_memory
from singtheory.data.notes import Notes
from singtheory.errors import InputError
from singtheory.law import Atoms
from singtheory.system import naming, unused

MOST = 2**28
"""Bytes of a file that are read; a larger one is no image that could be decoded within memory."""
BAD_SHARE = 0.05
"""The share of the images that may be unusable."""
_HIDDEN = (".", "__MACOSX")
_WHITE = (255, 255, 255)

Size = tuple[int, int]
"""Width and height."""


def files(folder: Path) -> Iterator[str]:
    """The plain files in a folder, in order, by their path within it; hidden ones are left out, and links to folders are followed once.

    Raises:
        InputError: for a folder within that cannot be read: what it holds must not be lost in silence.
    """
    return (name for name, plain in entries(folder) if plain)


def entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """What is no folder, as `files`, and whether it is a plain file: not a pipe, or a link to nothing."""
    seen = {os.path.realpath(folder)}
    for where, inner, names in os.walk(folder, followlinks=True, onerror=_refuse):
        here = os.path.relpath(where, folder)
        inner[:] = [name for name in sorted(inner) if _is_shown(name) and _is_new(os.path.join(where, name), seen)]
        for name in sorted(filter(_is_shown, names)):
            shown = name if here == "." else f"{here}/{name}".replace(os.sep, "/")
            yield shown, os.path.isfile(os.path.join(where, name))


def _refuse(error: OSError) -> None:
    reason = error.strerror or str(error)
    raise InputError(f"{error.filename}: cannot be read as a folder ({reason}); check its permissions, or give others")


def _is_new(path: str, seen: set[str]) -> bool:
    real = os.path.realpath(path)
    return real not in seen and not seen.add(real)


def _is_shown(name: str) -> bool:
    return not name.startswith(_HIDDEN)


def stored_bytes(path: Path) -> bytes | None:
    """The bytes of a file; None where it cannot be read, or is too large to be an image that could be decoded within memory, and for a pipe or a device."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST:
            return None
        with path.open("rb") as file:
            return file.read(status.st_size)
    except (OSError, ValueError):
        return None


class Readable(Protocol):
    """A picture as it is stored."""

    def image(self) -> Image.Image:
        """Decoded, in RGB. Raises `InputError` for what is no picture."""
        ...

    def is_grey(self) -> bool:
        """Whether it is stored without colours. Raises `InputError` as `image`."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A picture in a file; what is transparent lies before white.

    Attributes:
        path: of the file.
        name: for errors.
        notes: count what is unusual in it.
    """

    path: Path
    name: str
    notes: Notes = field(default_factory=Notes, repr=False, compare=False)

    def image(self) -> Image.Image:
        """Decoded, in RGB. Raises `InputError` as `decoding.rgb`."""
        return rgb(self._content(), self.name, _WHITE, self.notes)

    def is_grey(self) -> bool:
        """Whether it is stored without colours. Raises `InputError` as `image`."""
        return is_grey(self._content(), self.name)

    def _content(self) -> bytes:
        content = stored_bytes(self.path)
        if content is None:
            raise InputError(f"{self.name}: cannot be read, or has more than {MOST} bytes")
        return content


class Picture(NamedTuple):
    """A decoded picture, its size as it is stored, and whether it is grey."""

    image: Image.Image
    stored: Size
    grey: bool


def usable(pictures: Iterable[Readable], most: int | None = None) -> tuple[list[Picture], tuple[str, ...]]:
    """The pictures that can be decoded; the others are noted.

    Args:
        pictures: as they are stored.
        most: side in pixels; what is larger is cut to a square of that side at once, for many would not fit into memory.

    Raises:
        InputError: where more than `BAD_SHARE` cannot be used, where there are none, and where they do not fit into memory.
    """
    decoded: list[Picture] = []
    skipped: list[str] = []
    expected = len(pictures) if isinstance(pictures, Sized) else 0
    held = 0
    with without_warnings():
        for stored in pictures:
            try:
                image, grey = stored.image(), stored.is_grey()
            except InputError as error:
                skipped.append(str(error))
                continue
            size = image.size
            if most is not None and max(size) > most:
                image = fitted(image, (most, most))
            decoded.append(Picture(image, size, grey))
            held += image.width * image.height * (1 if grey else 3)
            # what is left of memory must hold the law besides
            check_memory(max(expected, len(decoded)), math.ceil(held / len(decoded)))
    seen = len(decoded) + len(skipped)
    if len(skipped) > BAD_SHARE * seen:
        raise InputError(
            f"{len(skipped)} of {seen} images cannot be used; the first is {skipped[0]}; mend or remove them"
        )
    return decoded, (f"{len(skipped)} images cannot be used; the first is {skipped[0]}",) if skipped else ()


def fitted(image: Image.Image, size: Size) -> Image.Image:
    """Cut in the middle and scaled to a size; as it is if it has that."""
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def as_law(name: str, pictures: list[Picture], size: Size, notes: tuple[str, ...]) -> Data:
    """The pictures in [−1, 1], each fitted to a size; grey where all are. Raises `InputError` where they do not fit into memory."""
    grey = all(picture.grey for picture in pictures)
    shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
    dim = size[0] * size[1] * (1 if grey else 3)
    check_memory(len(pictures), dim)
    rows = np.empty((len(pictures), dim))
    for row, picture in zip(rows, pictures, strict=True):
        image = fitted(picture.image, size)
        row[:] = np.asarray(image.convert("L") if grey else image).reshape(-1) / HALF_RANGE - 1
    return Data(Atoms(rows), name, shape, notes)


def image_folder(folder: Path) -> Data:
    """All pictures of a folder in the order of their paths, of one size, in RGB or, where all are, in grey; what else it holds is noted."""
    notes, present = Notes(), dict(entries(folder))
    with naming(folder):
        named = [name for name, plain in present.items() if plain and os.path.splitext(name)[1].lower() in SUFFIXES]
        if not named:
            raise InputError(f"holds no images ({', '.join(sorted(SUFFIXES))})")
        pictures, skipped = usable([StoredFile(folder / name, name, notes) for name in named])
        sizes = {picture.stored for picture in pictures}
        if len(sizes) > 1:
            shown = " and ".join(f"{width}×{height}" for width, height in sorted(sizes)[:2])
            raise InputError(f"images must share one size, and some have {shown}; cut and scale them to one")
        others = unused(str(folder), {*present} - {*named})
        return as_law(str(folder), pictures, pictures[0].stored, (*others, *notes.lines(), *skipped))

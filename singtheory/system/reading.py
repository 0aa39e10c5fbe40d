"""What is the same for every file that is read: its name before what is wrong with it, and its size known before memory is asked for.

Nothing is ever unpickled. A `.npy` array is read when its header has been accepted and the file is as long as the header says; a pipe or
a device, which may never end, is not read at all.
"""

import json
import math
import os
import stat
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from singtheory.errors import InputError

Shape = tuple[int, ...]
Check = Callable[[Shape, np.dtype], None]
"""Raises `InputError` for a shape and dtype that are not wanted."""

MOST_JSON = 32 * 2**20
"""Bytes of a JSON file: a million numbers."""
_MOST_HEADER = 10_000
"""Bytes of the header of a `.npy` array; numpy's own limit, which it applies after reading."""
_MOST_DEFLATED = 1032
"""Bytes that one byte of a deflated stream can become."""
_SHOWN, _SHOWN_LONG = 5, 60
"""How many names a message shows, and how many characters of each."""
_NPY_REMEDY = "save numbers with np.save(FILE, array); pickles are never loaded"


@contextmanager
def naming(source: Path | str) -> Iterator[None]:
    """Put `source` before what is refused inside, and the whole on one line."""
    try:
        yield
    except InputError as error:
        raise InputError(" ".join(f"{source}: {error}".splitlines())) from None


@contextmanager
def parsing(kind: str, remedy: str) -> Iterator[None]:
    """Turn whatever a reader raises on missing or damaged bytes into an `InputError`.

    No list of exceptions would do: damaged files make zlib, zipfile, tokenize, struct and pillow raise their own, beside
    IndexError, TypeError or RuntimeError. So only a reader's calls belong inside.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"cannot be read as {kind} ({str(error) or type(error).__name__}); {remedy}") from None


def check_ordinary(path: Path) -> None:
    """Raise `InputError` for a pipe, a device or a socket; what else is wrong with a path is left to its reader."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError("is no ordinary file; save what it gives in one")


class Member(NamedTuple):
    """A `.npy` stream, which can be opened again and again, and how many bytes it has."""

    opened: Callable[[], IO[bytes]]
    size: int


def npy_member(path: Path) -> Member:
    """The stream that a `.npy` file is."""
    check_ordinary(path)
    with parsing("a .npy array", _NPY_REMEDY):
        return Member(partial(path.open, "rb"), path.stat().st_size)


def shown_names(names: Iterable[str]) -> str:
    """The first of some names, for a message."""
    known = sorted(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{[name[:_SHOWN_LONG] for name in known[:_SHOWN]]}{more}"


def unused(source: str, names: Collection[str]) -> tuple[str, ...]:
    """The note that a file or folder holds more than is read: nothing is ignored in silence. Empty if it does not."""
    return (f"{source}: not used: {shown_names(names)}",) if names else ()


@contextmanager
def npz_members(path: Path, example: str) -> Iterator[dict[str, Member]]:
    """The arrays of a `.npz` file by name, as np.savez and np.savez_compressed write them.

    Args:
        path: of the file.
        example: the arguments with which np.savez makes one.
    """
    check_ordinary(path)
    with parsing("a .npz file", f"save it again with np.savez(FILE, {example}); pickles are never loaded"):
        archive = zipfile.ZipFile(path)
    with archive:
        members: dict[str, Member] = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in members:
                raise InputError(f"holds two arrays {name!r}; save it again with np.savez(FILE, {example})")
            _check_member(info, path)
            members[name] = Member(partial(archive.open, info), info.file_size)
        yield members


def _check_member(info: zipfile.ZipInfo, path: Path) -> None:
    """Refuse an archive whose directory promises more than its bytes can hold."""
    stored, packed = info.file_size, info.compress_size
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{info.filename!r} is packed by method {info.compress_type}; save it with np.savez")
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else _MOST_DEFLATED
    if packed > path.stat().st_size or stored > ratio * packed:
        raise InputError(f"{info.filename!r} cannot hold the {stored} bytes that the archive promises; save it again")


def read_array(member: Member, check: Check) -> np.ndarray:
    """The one array of a `.npy` stream of real numbers, read when `check` has accepted its shape and dtype."""
    shape, dtype, start = _header(member)
    check(shape, dtype)
    with parsing("a .npy array", _NPY_REMEDY):
        wanted = start + math.prod(shape) * dtype.itemsize
        if wanted != member.size:
            raise ValueError(f"{'more' if member.size > wanted else 'fewer'} bytes follow than the array has")
        with member.opened() as file:
            array = npy_format.read_array(file, allow_pickle=False)
            # reading to the very end also makes zipfile compare its checksum
            if file.read(1):
                raise ValueError("more bytes follow than the array has")
    return array


def read_header(member: Member) -> tuple[Shape, np.dtype]:
    """Shape and dtype of the array in a `.npy` stream, which holds real numbers."""
    return _header(member)[:2]


def _header(member: Member) -> tuple[Shape, np.dtype, int]:
    """What `read_header` gives, and where the numbers begin."""
    with parsing("a .npy array", _NPY_REMEDY):
        with member.opened() as file:
            version = npy_format.read_magic(file)
            width = 2 if version == (1, 0) else 4
            length = int.from_bytes(file.read(width), "little")
        if length > _MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        with member.opened() as file:
            npy_format.read_magic(file)
            header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = header(file)
    if dtype.hasobject:
        raise InputError("holds pickled objects, which are never loaded; save numbers with np.save(FILE, array)")
    if dtype.kind not in "biuf":
        raise InputError(f"holds {dtype}; save real numbers")
    return shape, dtype, npy_format.MAGIC_LEN + width + length


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """The object of a JSON file that should hold a `kind`. Raises `InputError` naming the file, for a key given twice too."""
    with naming(path):
        check_ordinary(path)
        with parsing(f"a {kind}", "give one that is whole"):
            size = path.stat().st_size
            if size > MOST_JSON:
                raise ValueError(f"{size} bytes; at most {MOST_JSON}")
            content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
        if not isinstance(content, dict):
            raise InputError(f"holds no {kind} but a {type(content).__name__}")
        return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is given twice")
    return mapping

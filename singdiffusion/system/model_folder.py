"""Model folders: found on this machine or on the hub, written whole or not at all."""

import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from safetensors import SafetensorError

from singdiffusion.system.printing import printable
from singtheory.errors import InputError, first_sentence
from singtheory.system import check_folder

_LOG = logging.getLogger(__name__)
_LARGEST = 2**28
"""Bytes of JSON that are read: an index names millions of records."""
_DRAFT = "[a-z0-9_]{8}"
"""What `tempfile` puts behind the name of a file or folder that is half written."""


def find_folder(source: str | Path, patterns: Sequence[str]) -> Path:
    """The local folder `source`, that around the file `source` of its weights, or the files of the hub's model `source` that match `patterns`.

    Raises:
        InputError: where there is neither; with `HF_HUB_OFFLINE` set, also for what the hub's cache does not hold.
    """
    if os.path.isdir(source):  # which, unlike Path, is false for names that no system accepts
        return Path(source)
    if os.path.isfile(source):
        return _folder_around(Path(source))
    try:
        return Path(snapshot_download(str(source), allow_patterns=list(patterns)))
    except (OSError, ValueError) as error:  # the hub's errors are one or the other
        raise InputError(
            f"{source}: no such folder, and not to be had from the hub ({first_sentence(error)})"
        ) from None


def _folder_around(file: Path) -> Path:
    """The folder of a model by the file of its weights. Raises `InputError` for any other file, and where config.json is missing beside it."""
    if not file.name.startswith("diffusion_pytorch_model"):
        raise InputError(f"{file}: is a file, and no diffusion_pytorch_model; give the folder that holds it")
    if not (file.parent / "config.json").is_file():
        raise InputError(f"{file}: needs the config.json that was beside it, in {file.parent}; copy it there")
    return file.parent


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model's folder. Raises `InputError` where it is missing or no JSON object."""
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a model that was saved whole")
    return read_object(folder / "config.json")


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `InputError` where there is none, and for one of more than `_LARGEST` bytes."""
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({first_sentence(error)}); copy it again") from None
    if not isinstance(fields, dict):
        raise InputError(f"{file}: holds no JSON object; copy it again")
    return fields


@contextlib.contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """Yield a folder beside `target` that becomes `target` at the end; if anything fails before, nothing is left of it.

    A link to a folder keeps pointing where it points, and an empty folder that is there keeps its permissions. What another process has
    put there meanwhile stays, and what was made is kept beside it as `target.1` or the first such name that is free.

    Raises:
        InputError: if `target` already holds something or is no folder, if it cannot be written, which is looked at first, or if it was taken
            meanwhile.
    """
    try:
        target = Path(os.path.realpath(target))
    except ValueError as error:  # a NUL
        raise InputError(f"{str(target)!r}: cannot be written ({error}); choose another folder") from None
    mode = _mode_of_empty(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            draft = Path(temporary) / target.name
            draft.mkdir()
            yield draft
            if mode is not None:
                draft.chmod(mode)
            _put(draft, target)
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
        reason = getattr(error, "strerror", None) or first_sentence(error)
        raise InputError(f"{target}: cannot be written ({reason})") from None


def _mode_of_empty(target: Path) -> int | None:
    """The permissions of an empty folder, None where there is nothing. Raises `InputError` for what holds something, and for a folder that is protected."""
    try:
        if not os.path.lexists(target):
            return None
        if not target.is_dir() or any(target.iterdir()):
            raise InputError(f"{target}: exists and is not empty; remove it or choose another folder")
        check_folder(target)
        return stat.S_IMODE(target.stat().st_mode)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); choose another folder") from None


def _put(draft: Path, target: Path) -> None:
    """Rename a draft to its target, or beside one that has been taken. Raises `InputError` in that case."""
    try:
        draft.replace(target)
    except OSError:
        if not os.path.lexists(target):
            raise
        aside = _free_name(target)
        draft.replace(aside)
        raise InputError(f"{target}: was taken meanwhile; what was made is kept in {aside}") from None


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of `target` at the end; if anything fails before, that stays as it was.

    What was there is removed only if the new folder holds the same, byte for byte; or else it is kept beside it as `target.1` or the
    first such name that is free.

    Raises:
        InputError: if it cannot be written.
    """
    target = target.absolute()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
        draft = Path(temporary) / target.name
        with new_folder(draft) as folder:
            yield folder
        if _same_content(target, draft):
            target.replace(Path(temporary) / "before")
        elif os.path.lexists(target):
            aside = _free_name(target)
            target.replace(aside)
            _LOG.warning("%s: held something else, which is kept in %s", printable(target), aside.name)
        draft.replace(target)


def drafts_of(folder: Path, names: str) -> list[Path]:
    """The drafts in a folder of files or folders whose whole name is of the regular expression `names`, as this program calls them; no links."""
    drafts = (path for path in folder.iterdir() if re.fullmatch(rf"\.(?:{names})\.{_DRAFT}", path.name))
    return sorted(path for path in drafts if not path.is_symlink())


def _same_content(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""
    if not (one.is_dir() and other.is_dir()):
        return False
    first, second = ({path.relative_to(root): path for path in root.rglob("*")} for root in (one, other))
    return first.keys() == second.keys() and all(
        second[name].is_dir()
        if path.is_dir()
        else path.is_file() and second[name].is_file() and sha256_of(path) == sha256_of(second[name])
        for name, path in first.items()
    )


def _free_name(target: Path) -> Path:
    names = (target.with_name(f"{target.name}.{k}") for k in itertools.count(1))
    return next(name for name in names if not os.path.lexists(name))

"""Files written whole or not at all, and places to write looked at before the work.

A file that is already there keeps its permissions, a link keeps pointing where it points, and a device is written to, not replaced.
"""

import contextlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from singtheory.errors import InputError

_REMEDY = "choose a folder you may write to"


def write_bytes(path: Path, content: bytes) -> None:
    """Write `path` atomically, making its folder if needed. Raises `InputError` if that cannot be done."""
    with _refusing(path, _REMEDY):
        if _is_device(path):
            with open(path, "wb", buffering=0) as device:
                device.write(content)
            return
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(_draft(target, content), target)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all files of `folder`, or none: a new folder appears with all of them, in an old one each replaces its namesake.

    Raises:
        InputError: if that cannot be done.
    """
    with _refusing(folder, _REMEDY):
        target = Path(os.path.realpath(folder))
        if target.is_dir():
            _write_into(target, contents)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=_draft_prefix(target)))
        try:
            for name, content in contents.items():
                (draft / name).write_bytes(content)
            os.chmod(draft, 0o777 & ~_umask())
            _place(draft, target, contents)
        except BaseException:  # an interruption too must leave nothing half-made
            shutil.rmtree(draft, ignore_errors=True)
            raise


def check_folder(folder: Path) -> None:
    """Make `folder` and raise `InputError` now, before hours of work, if nothing can be written there."""
    with _refusing(folder, _REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        _try(folder)


def check_new_folder(folder: Path) -> None:
    """Checks a folder like `check_folder`, but makes nothing yet: a run that ends early leaves no empty folder."""
    with _refusing(folder, _REMEDY):
        existing = folder
        while not os.path.lexists(_stated(existing)):
            existing = existing.parent
        _try(existing)


def check_file(path: Path) -> None:
    """Raise `InputError` unless a file can be written at `path`; nothing is made, and no bytes are written."""
    with _refusing(path, _REMEDY):
        mode = os.stat(path).st_mode if os.path.exists(_stated(path)) else None
        if mode is None:
            check_new_folder(path.parent)
            return
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: is a folder; give the name of a file to write")
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            raise InputError(f"{path}: is no ordinary file; give the name of a file to write")
        if stat.S_ISREG(mode) and _is_printed_to(path):
            raise InputError(f"{path}: is where this run prints to; give another name, or print elsewhere")
        if not os.access(path, os.W_OK):
            raise InputError(f"{path}: is protected against writing; give another name")
        if stat.S_ISREG(mode):
            _try(Path(os.path.realpath(path)).parent)


def check_distinct(outputs: Iterable[tuple[str, Path | None]], inputs: Iterable[tuple[str, str | Path | None]]) -> None:
    """Raise `InputError` if a file would be written twice, or over what is read.

    Args:
        outputs: option and file, in the order of the options; None where there is none.
        inputs: option and file or name, likewise.
    """
    seen: dict[str, str] = {}
    for option, name in inputs:
        if name is not None:
            seen.setdefault(_identity(name), option)
    for option, path in outputs:
        if path is None or _is_device(path):
            continue
        first = seen.setdefault(_identity(path), option)
        if first != option:
            raise InputError(f"{option} {path}: is the file of {first} too; give another name")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; infinities and NaN, which JSON does not have, become null."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """What `write_json` writes. Bytes of a name that are no text (lone surrogates) become JSON's own escapes, which are read back as they were."""
    return (json.dumps(_finite(content), indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def _refusing(path: Path, remedy: str) -> Iterator[None]:
    """Turn what the system says to a path into an `InputError`; a NUL is a ValueError."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r}: cannot be written ({error}); {remedy}") from None


def _stated(path: Path) -> Path:
    """The path, for which the system has an answer. Raises OSError for one that it does not take, as a name too long."""
    with contextlib.suppress(FileNotFoundError):
        os.stat(path)
    return path


def _try(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def _is_device(path: Path) -> bool:
    """Whether this is /dev/null, a terminal or the like."""
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _is_printed_to(path: Path) -> bool:
    """Whether standard output or error is this file: replaced, it would lose what is printed."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(stream), os.stat(path)):
                return True
    return False


def _identity(name: str | Path) -> str:
    try:
        return os.path.realpath(name)
    except (OSError, ValueError):
        return str(name)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _draft_prefix(target: Path) -> str:
    """Hidden, beside the target and called like it, as far as a name may be long."""
    return f".{os.fsdecode(os.fsencode(target.name)[:200])}."


def _draft(target: Path, content: bytes) -> str:
    """The content in a file beside `target`, with the permissions that it will have; its name."""
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=_draft_prefix(target))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(draft, stat.S_IMODE(os.stat(target).st_mode) if target.exists() else 0o666 & ~_umask())
    except BaseException:
        _drop(draft)
        raise
    return draft


def _replace(draft: str, target: Path) -> None:
    try:
        os.replace(draft, target)
    except BaseException:
        _drop(draft)
        raise


def _place(draft: Path, target: Path, contents: Mapping[str, bytes]) -> None:
    """Rename a folder to its target; one that another process has made meanwhile is written into."""
    try:
        os.replace(draft, target)
    except OSError:
        if not target.is_dir():
            raise
        _write_into(target, contents)
        shutil.rmtree(draft, ignore_errors=True)


def _write_into(folder: Path, contents: Mapping[str, bytes]) -> None:
    drafts: dict[str, str] = {}
    try:
        for name, content in contents.items():
            drafts[name] = _draft(Path(os.path.realpath(folder / name)), content)
        for name in contents:
            _replace(drafts[name], Path(os.path.realpath(folder / name)))
    finally:
        for draft in drafts.values():
            _drop(draft)


def _drop(draft: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(draft)

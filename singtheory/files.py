"""Files written whole or not at all."""

import contextlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from singtheory import InputError


def write_bytes(path: Path, content: bytes) -> None:
    """Write `path` atomically, making its folder if needed. Raises `InputError` if that cannot be done."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to") from None


def check_folder(folder: Path) -> None:
    """Make `folder` and raise `InputError` now, before hours of work, if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose a folder you may write to") from None


def check_file(path: Path) -> None:
    """`check_folder` for a file that will be written, whose name must not be a folder's."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    check_folder(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; infinities and NaN, which JSON does not have, become null."""
    write_bytes(path, (json.dumps(_finite(content), indent=1, ensure_ascii=False) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

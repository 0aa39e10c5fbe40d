"""A small folder that is written into a program of others, and replaced there only if nobody changed it since."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from singdiffusion.system.model_folder import first_sentence, new_folder, read_object
from singtheory.errors import InputError

_MANIFEST = "installed.json"


def installed_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder, whole or not at all. One that an earlier call wrote, and nobody changed since, is replaced.

    Args:
        target: the folder.
        files: what lies in it, by the path within.

    Raises:
        InputError: for a target that holds anything else, and where it cannot be written.
    """
    if not os.path.lexists(target) or (not target.is_symlink() and target.is_dir() and not any(target.iterdir())):
        with new_folder(target) as draft:
            _write(draft, files)
        return
    _refuse_foreign(target)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            draft, before = Path(temporary) / "new", Path(temporary) / "before"
            draft.mkdir()
            _write(draft, files)
            target.replace(before)
            try:
                draft.replace(target)
            except OSError:
                before.replace(target)
                raise
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or first_sentence(error)})") from None


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in {**files, _MANIFEST: json.dumps(manifest, indent=1).encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _refuse_foreign(target: Path) -> None:
    """Raise `InputError` unless all that lies there was written by an earlier call, as it is."""
    if target.is_symlink() or not (target / _MANIFEST).is_file():
        raise InputError(f"{target}: was not written by this command; move it away first")
    manifest = read_object(target / _MANIFEST)
    for file in sorted(target.rglob("*")):
        name = file.relative_to(target).as_posix()
        if file.is_dir() or name == _MANIFEST or "__pycache__" in file.parts:
            continue
        if manifest.get(name) != hashlib.sha256(file.read_bytes()).hexdigest():
            raise InputError(f"{target}: {name} was added or changed since it was installed; move it away first")

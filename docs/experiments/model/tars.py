"""Tars of models: written on one machine, read on another."""

import tarfile
from pathlib import Path

from singtheory.errors import InputError


def packed(path: Path, folder: Path, names: list[str]) -> None:
    """A tar of some of a folder."""
    with tarfile.open(path, "w") as archive:
        for name in names:
            if (folder / name).exists():
                archive.add(folder / name, name)


def unpacked(path: Path, folder: Path) -> Path:
    """The folder in a tar of the same name, or a folder itself. Raises `InputError` where there is neither."""
    if path.is_dir():
        return path
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: holds no model ({error}); train it first") from None
    return folder / path.stem


def extracted(folder: Path, into: Path) -> Path:
    """The folder itself, or what its tars hold."""
    tars = sorted(folder.glob("*.tar*"))
    if not tars:
        return folder
    for tar in tars:
        with tarfile.open(tar) as archive:
            archive.extractall(into, filter="data")
    return into

"""The names of a cache's files: what this program wrote in a folder, and what therefore may be removed; all else is somebody's own."""

import re
from pathlib import Path

from singdiffusion.system import drafts_of

INDEX = "index.json"
"""The index of a finished cache."""
NOTE = "making.json"
"""The note of a cache that is being made: what it is going to hold."""

_PART = r"part-\d{3,}-\d{7,}\.safetensors"
_MATERIAL = rf"{_PART}|skipped-\d{{3,}}\.json|{re.escape(NOTE)}"
_WHOLE = rf"(?:images|texts)-\d{{5,}}\.safetensors|{re.escape(INDEX)}"


def finished(folder: Path) -> bool:
    """Whether a folder holds a whole cache."""
    return (folder / INDEX).is_file()


def part_files(folder: Path) -> list[Path]:
    """The encoded batches of an unfinished cache, in order."""
    return _named(folder, _PART)


def drafts(folder: Path) -> list[Path]:
    """What a killed process has left half written, by the names that it gave."""
    return [path for path in drafts_of(folder, f"{_MATERIAL}|{_WHOLE}") if path.is_file()]


def material(folder: Path) -> list[Path]:
    """What a finished cache was made from; the note is the last, for without it the rest is not known as a cache's."""
    return sorted(_named(folder, _MATERIAL), key=lambda path: path.name == NOTE)


def strangers(folder: Path) -> list[str]:
    """The names in a folder, hidden ones too, that are no drafts of a cache; none where there is no folder."""
    own = set(drafts(folder)) if folder.is_dir() else set()
    return sorted(path.name for path in folder.iterdir() if path not in own) if folder.is_dir() else []


def _named(folder: Path, pattern: str) -> list[Path]:
    """The plain files, no links, whose whole name is of that pattern."""
    paths = (path for path in folder.iterdir() if re.fullmatch(pattern, path.name)) if folder.is_dir() else ()
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())

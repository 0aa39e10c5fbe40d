"""What lies in a folder of images: the images, the files with their captions, and what is neither."""

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from singdiffusion.source.metadata import NAMES
from singtheory.data import SUFFIXES, Notes, entries

SIDECARS = (".txt", ".caption", ".json")
"""Endings of the files with an image's caption, in this order."""
_REPEATS = re.compile(r"(\d{1,3})_.+", re.DOTALL)


@dataclass
class Tree:
    """A folder's files, by their paths within it.

    Attributes:
        images: in order.
        sidecars: by path without the ending, and then by the ending.
        metadata: the files of rows, in order; one a folder.
        others: what is none of these.
    """

    images: list[str] = field(default_factory=list)
    sidecars: dict[str, dict[str, str]] = field(default_factory=dict)
    metadata: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, notes: Notes) -> "Tree":
        """Walk over a folder; where one holds several files of rows, the first of `NAMES` is taken and that is said."""
        tree = cls()
        rows: dict[str, list[str]] = {}
        for path, plain in entries(folder):
            stem, ending = os.path.splitext(path)
            where, name = os.path.split(path)
            if not plain:
                tree.others.append(path)
            elif name.lower() in NAMES:
                rows.setdefault(where, []).append(path)
            elif ending.lower() in SUFFIXES:
                tree.images.append(path)
            elif ending.lower() in SIDECARS:
                tree.sidecars.setdefault(stem, {}).setdefault(ending.lower(), path)
            else:
                tree.others.append(path)
        for several in rows.values():
            several.sort(key=lambda path: NAMES.index(os.path.basename(path).lower()))
            tree.metadata.append(several[0])
            for path in several[1:]:
                notes.say(f"{path} is not read, for {several[0]} comes before it")
        return tree

    def beside(self, image: str) -> dict[str, str]:
        """The files with an image's caption, by their ending in the order of `SIDECARS`: `a.txt` or `a.png.txt` of `a.png`."""
        sidecars = self.sidecars.get(image, {}) | self.sidecars.get(os.path.splitext(image)[0], {})
        return {ending: sidecars[ending] for ending in SIDECARS if ending in sidecars}

    def by_name(self) -> dict[str, str]:
        """The images by their path with composed letters: some systems store é as two characters, and metadata as one."""
        return {unicodedata.normalize("NFC", image): image for image in self.images}


def repeats(image: str) -> int:
    """How often an image counts: the number of the nearest folder such as `10_name` that it lies in, or 1."""
    matches = (_REPEATS.fullmatch(part) for part in reversed(image.split("/")[:-1]))
    return next((int(part[1]) for part in matches if part), 1)


def class_of(image: str) -> str | None:
    """The name of the folder that an image lies in, unless it is one such as `10_name` or the outermost."""
    folder = image.split("/")[-2:-1]
    return folder[0] if folder and not _REPEATS.fullmatch(folder[0]) else None

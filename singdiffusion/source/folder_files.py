"""What lies in a folder of images: the images, the files with their captions, and what is neither."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from singdiffusion.source.metadata import NAMES
from singtheory.data import SUFFIXES, Notes, entries

SIDECARS = (".txt", ".caption", ".json")
"""Endings of the files with an image's caption, in this order."""
CASE = "{} images have a caption or a row by a name in upper and lower case that is not theirs"
_REPEATS = re.compile(r"(\d{1,3})_.+", re.DOTALL)


class Names:
    """Paths by how others write them: with letters that are composed or not, and in another case where that leaves one path alone.

    Some systems store é as two characters, and some do not tell IMG.JPG from img.jpg.

    Args:
        paths: within a folder.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._by_letters: defaultdict[str, list[str]] = defaultdict(list)
        for path in paths:
            name = unicodedata.normalize("NFC", path)
            self._exact[name] = path
            self._by_letters[name.casefold()].append(path)

    def exact(self, path: str) -> str | None:
        """The one of that name; None for none."""
        return self._exact.get(unicodedata.normalize("NFC", path))

    def by_letters(self, path: str) -> str | None:
        """The one of that name in whatever case; None for none or several."""
        several = self._by_letters.get(unicodedata.normalize("NFC", path).casefold(), [])
        return several[0] if len(several) == 1 else None


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
        tree.join(notes)
        for several in rows.values():
            several.sort(key=lambda path: NAMES.index(os.path.basename(path).lower()))
            tree.metadata.append(several[0])
            for path in several[1:]:
                notes.say(f"{path} is not read, for {several[0]} comes before it")
        return tree

    def join(self, notes: Notes) -> None:
        """Put captions to the images whose name is theirs but for its letters: composed or not, and in another case where no other image has that name."""
        stems, used = Names(self.sidecars), {key for image in self.images for key in _keys(image)}
        by_stem = Names(os.path.splitext(image)[0] for image in self.images)
        for image in self.images:
            for key in _keys(image):
                exact = stems.exact(key)
                other = exact or (stems.by_letters(key) if by_stem.by_letters(os.path.splitext(image)[0]) else None)
                if key in self.sidecars or other is None or other in used:
                    continue
                self.sidecars[key] = self.sidecars[other]
                if exact is None:
                    notes.count(CASE, image)

    def beside(self, image: str) -> dict[str, str]:
        """The files with an image's caption, by their ending in the order of `SIDECARS`: `a.txt` or `a.png.txt` of `a.png`."""
        whole, stem = _keys(image)
        sidecars = self.sidecars.get(whole, {}) | self.sidecars.get(stem, {})
        return {ending: sidecars[ending] for ending in SIDECARS if ending in sidecars}


def _keys(image: str) -> tuple[str, str]:
    """The keys by which the files with an image's caption are held."""
    return image, os.path.splitext(image)[0]


def repeats(image: str) -> int:
    """How often an image counts: the number of the nearest folder such as `10_name` that it lies in, or 1."""
    matches = (_REPEATS.fullmatch(part) for part in reversed(image.split("/")[:-1]))
    return next((int(part[1]) for part in matches if part), 1)


def class_of(image: str) -> str | None:
    """The name of the folder that an image lies in, unless it is one such as `10_name` or the outermost."""
    folder = image.split("/")[-2:-1]
    return folder[0] if folder and not _REPEATS.fullmatch(folder[0]) else None

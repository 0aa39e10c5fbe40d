"""The samples of a tar shard in LAION's layout: members of one name belong together, wherever they stand.

A name ends at its last dot, so that `my.photo.2.jpg` and `my.photo.2.txt` are one sample. WebDataset ends it at the first: what has no image
or no text of its own, such as `0001.mask.png`, is a field of the sample `0001` if there is one. Only members that are asked for are
read. Nothing is decoded: one caption that is damaged must not end the rest.
"""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from singtheory.data import MOST, SUFFIXES, Notes

TEXTS = (".txt", ".caption", ".json")
"""Endings of members with a caption, in this order."""
_USUAL = (".jpg", ".jpeg", ".png", ".webp")
"""Endings of images, of which the first is taken where a sample has several."""


class Member(NamedTuple):
    """Where the content of a member stands in the file."""

    offset: int
    size: int
    sparse: bool


@dataclass
class Sample:
    """Members that belong together.

    Attributes:
        key: their name before the last dot, with its folder.
        members: by their endings in small letters, with the dot.
        faults: why a field cannot be used, by its name.
    """

    key: str
    members: dict[str, Member] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def add(self, ending: str, member: Member) -> None:
        """Put a member to the others; what cannot be used is noted in `faults`."""
        if ending in self.members:
            self.faults[ending] = f"has two members {ending}"
        elif member.size > MOST:
            self.faults[ending] = f"its {ending} has {member.size} bytes, more than {MOST}"
        elif member.sparse:
            self.faults[ending] = f"its {ending} is sparse; pack it anew"
        self.members[ending] = member

    @property
    def image(self) -> str | None:
        """The ending of its image."""
        images = [ending for ending in self.members if ending in SUFFIXES]
        return next((ending for ending in _USUAL if ending in images), images[0] if images else None)

    @property
    def is_whole(self) -> bool:
        """Whether it has an image and a text."""
        return self.image is not None and any(ending in self.members for ending in TEXTS)


class Shard:
    """The samples of a shard.

    Args:
        path: of the tar.
        notes: count members that belong to no sample.

    Raises:
        tarfile.TarError: for a shard that breaks off.
    """

    def __init__(self, path: Path, notes: Notes) -> None:
        self.path = path
        samples: dict[str, Sample] = {}
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue] or else all stay in memory
                name = os.path.basename(member.name)
                if not member.isreg() or name.startswith((".", "__")):
                    continue
                stem, ending = os.path.splitext(member.name)
                place = Member(member.offset_data, member.size, member.issparse())
                samples.setdefault(stem, Sample(stem)).add(ending.lower(), place)
        self.samples = [sample for sample in samples.values() if _is_own(sample, samples, notes)]
        self.endings = {ending for sample in self.samples for ending in sample.members}

    @contextmanager
    def opened(self) -> Iterator["Reader"]:
        """What reads its members."""
        with self.path.open("rb") as file:
            yield Reader(file)


@dataclass(frozen=True)
class Reader:
    """Reads the members of samples from a file."""

    file: BinaryIO

    def read(self, sample: Sample, ending: str | None) -> bytes | None:
        """The content of a field; None where it is missing or cannot be used. Raises `tarfile.TarError` for a shard that breaks off."""
        member = sample.members.get(ending or "")
        if member is None or ending in sample.faults:
            return None
        self.file.seek(member.offset)
        content = self.file.read(member.size)
        if len(content) < member.size:
            raise tarfile.ReadError(f"{sample.key}{ending} is not whole")
        return content


def _is_own(sample: Sample, samples: dict[str, Sample], notes: Notes) -> bool:
    """Whether it is a sample, and not fields of another one or no image with text at all; those are counted."""
    if sample.is_whole:
        return True
    folder, name = os.path.split(sample.key)
    parts = name.split(".")
    shorter = (os.path.join(folder, ".".join(parts[:count])) for count in range(1, len(parts)))
    if any(other in samples and samples[other].image is not None for other in shorter):
        notes.count("{} members such as 0001.mask.png are fields of the sample before the dot; not read", sample.key)
        return False
    if sample.image is None and not any(ending in (".txt", ".caption") for ending in sample.members):
        notes.count("{} members belong to no image; not read", sample.key)
        return False
    return True

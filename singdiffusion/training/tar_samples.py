"""The samples of a tar shard in LAION's layout: members of one name before its first dot belong together.

Only members that are asked for are read. Nothing is decoded: one caption that is damaged must not end the rest.
"""

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from singtheory.errors import InputError

MOST = 2**28
"""Bytes of a member that are read; a larger one is no image that could be decoded within memory."""
_FIRST = 5
"""Samples that decide which fields there are."""
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)


@dataclass
class Sample:
    """Members that belong together.

    Attributes:
        key: their name before the first dot, with its folder.
        members: by what is behind that dot.
        faults: why a field cannot be used, by its name.
    """

    key: str
    members: dict[str, tarfile.TarInfo]
    archive: tarfile.TarFile
    faults: dict[str, str] = field(default_factory=dict)

    def read(self, name: str) -> bytes | None:
        """The content of a field; None where it is missing or cannot be used. Raises `tarfile.TarError` for a shard that breaks off."""
        member = self.members.get(name)
        if member is None or name in self.faults:
            return None
        content = self.archive.extractfile(member)
        assert content is not None  # it is a plain file
        return content.read()


def samples(shard: Path) -> Iterator[Sample]:
    """One after another; what is hidden, a folder or a link is left out. Raises `tarfile.TarError` for a shard that breaks off."""
    with tarfile.open(shard, "r:") as archive:
        sample = None
        while (member := archive.next()) is not None:
            archive.members = []  # pyright: ignore[reportAttributeAccessIssue] or else all stay in memory
            parts = _NAME.fullmatch(member.name)
            if parts is None or not member.isreg() or os.path.basename(member.name).startswith((".", "__")):
                continue
            key, name = parts.groups()
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = Sample(key, {}, archive)
            if name in sample.members:
                sample.faults[name] = f"has two members .{name}"
            elif member.size > MOST:
                sample.faults[name] = f"its .{name} has {member.size} bytes, more than {MOST}"
            sample.members[name] = member
        if sample is not None:
            yield sample


def fields(shard: Path) -> Sequence[str]:
    """The fields of the first samples. Raises `InputError` where they have not all the same, and `tarfile.TarError` as `samples`."""
    first = [sorted(sample.members) for sample in islice(samples(shard), _FIRST)]
    if any(names != first[0] for names in first):
        raise InputError(
            f"{shard}: cannot be read as images with captions (its first samples have {', '.join(first[0])} and "
            f"{', '.join(next(names for names in first if names != first[0]))}); give each the same kinds of files"
        )
    return first[0] if first else []

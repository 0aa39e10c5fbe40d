"""From records to a cache: while a network encodes a batch, threads decode the next and the one before is written."""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singdiffusion.base import cut_captions
from singdiffusion.source import LARGEST, USUAL, Record, Source
from singdiffusion.system import Budget, locked, mapping, printable, read_object, shown
from singdiffusion.training.cache import Encoding, Tracked, finish, save_part, save_texts, stored_parts
from singdiffusion.training.cache_files import INDEX, NOTE, drafts, finished, material, strangers
from singdiffusion.training.encoder import Encoder
from singtheory.data import without_warnings
from singtheory.errors import InputError
from singtheory.system import write_json

_LOG = logging.getLogger(__name__)
_AHEAD, _FEW = 4, 20
_WAITING = 8
"""Groups of pictures that may wait for others of their shape."""
_DECODING, _STORED = LARGEST, 2**28
"""Bytes that images may take while they are decoded, all threads together, and as files that wait for it."""


@dataclass
class Tally:
    """What became of the records.

    Attributes:
        encoded: in this run.
        kept: from earlier runs.
        skipped: keys with reasons.
        notes: what is unusual in the data, a line each.
    """

    encoded: int = 0
    kept: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def skip(self, key: str, reason: str, share: float) -> None:
        """Count a record that cannot be used, and name it in the log. Raises `InputError` as `check`."""
        _LOG.warning("skipped %s: %s", printable(key), printable(reason))
        self.skipped.append((key, reason))
        self.check(share)

    def check(self, share: float, final: bool = False) -> None:
        """Raise `InputError` once more than a share is skipped, not before there are a few."""
        seen = self.encoded + self.kept + len(self.skipped)
        if len(self.skipped) > share * seen and (final or seen >= _FEW):
            key, reason = self.skipped[0]
            raise InputError(
                f"{len(self.skipped)} of {seen} records cannot be used, more than {share:.0%}; the first is {key}: {reason}; "
                "mend or remove them, or raise --bad-share of singdiffusion cache"
            )


def make_cache(
    source: Source,
    folder: Path,
    encoder: Encoder,
    batch: int = 16,
    bad_share: float = 0.05,
    process: int = 0,
    processes: int = 1,
    tracked: Tracked = lambda items, _: items,
    barrier: Callable[[], None] = lambda: None,
) -> Tally:
    """Encode what is not encoded yet: first all images, then all captions; at the end the first process finishes the cache.

    Args:
        source: of the records; process k of n takes every n-th from k on, and then every n-th file of captions.
        folder: of the cache, new or unfinished.
        encoder: of all processes the same.
        batch: images a part.
        bad_share: of the records that may be skipped.
        process: number of this one.
        processes: how many there are.
        tracked: shows the progress.
        barrier: waits for all processes.

    Raises:
        InputError: for a source that cannot be read, too many bad records, a folder of another cache or of anything else, and one in which
            another run is making a cache.
    """
    whole = is_finished(folder, encoder.encoding, source)
    if not whole:
        source.check()
    tidy = whole and not [*drafts(folder), *material(folder)]  # such as one on a medium that cannot be written
    with locked(folder) if process == 0 and not tidy else nullcontext():
        return _make(source, folder, encoder, batch, bad_share, process, processes, tracked, barrier)


def _make(
    source: Source,
    folder: Path,
    encoder: Encoder,
    batch: int,
    bad_share: float,
    process: int,
    processes: int,
    tracked: Tracked,
    barrier: Callable[[], None],
) -> Tally:
    """Makes a cache like `make_cache`, in a folder that no other run writes."""
    encoding = encoder.encoding
    if process == 0:
        is_finished(folder, encoding, source)  # again: until the lock was ours another run may have been here
        _begin(folder, encoding, source)
    barrier()
    if finished(folder):
        return Tally(kept=read_object(folder / INDEX)["examples"])
    parts = stored_parts(folder)
    done = {record["key"] for _, records in parts for record in records}
    number = 1 + max((int(path.stem.split("-")[2]) for path, _ in parts if _rank(path) == process), default=-1)
    tally, records = Tally(kept=len(done)), islice(source, process, None, processes)
    todo = (record for record in tracked(records, "images") if record.key not in done)
    with without_warnings(), ThreadPoolExecutor() as threads:
        usable = _usable(todo, encoder, threads, tally, bad_share)
        for group, x_0 in _finite(_encoded(_groups(usable, batch), encoder), tally, bad_share):
            save_part(folder, f"part-{process:03}-{number:07}", x_0, [_record(r) for r, _ in group])
            tally.encoded, number = tally.encoded + len(group), number + 1
    tally.check(bad_share, final=True)
    write_json(folder / f"skipped-{process:03}.json", tally.skipped)
    barrier()
    captions = save_texts(folder, encoder.texts, tracked, process, processes)
    barrier()
    if process == 0:
        skipped = [one for k in range(processes) for one in _skipped(folder, k)]
        finish(folder, encoding, skipped, tracked, source.origin())
        _sweep(folder)
        tally.notes = [*source.notes.lines(), *cut_captions(encoder.text, captions)]
        for line in tally.notes:
            _LOG.info("%s: %s", printable(source.name), printable(line))
    barrier()
    return tally


def _sweep(folder: Path) -> None:
    """Remove drafts that a killed process has left, and of a finished cache all that it was made from; nothing of any other name."""
    for left in [*drafts(folder), *(material(folder) if finished(folder) else ())]:
        left.unlink()


def is_finished(folder: Path, encoding: Encoding, source: Source) -> bool:
    """Whether a folder holds the whole cache of a source. Raises `InputError` where it holds, or was begun for, something else."""
    whole, note = finished(folder), folder / NOTE
    if whole or note.is_file():
        made_with, made_from = _noted(folder / INDEX if whole else note)
        encoding.check_same(made_with, folder)
        origin = source.origin()
        for name in origin | made_from:
            if made_from.get(name) != origin.get(name):
                before, now = (_brief((USUAL | one).get(name)) for one in (made_from, origin))
                raise InputError(f"{folder}: was made with {name} {before}, not {now}; take another folder")
    elif names := strangers(folder):
        raise InputError(f"{folder}: holds {names[0]} and is no unfinished cache; take another folder")
    return whole


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _noted(file: Path) -> tuple[Encoding, dict[str, Any]]:
    """What a cache is of and from."""
    stored = read_object(file)
    try:
        source = stored.get("source")
        mapping(optional=True).check("source", source)
        return Encoding.read(stored.get("encoding")), dict(source or {})
    except InputError as error:
        raise InputError(f"{file}: is of no cache of this version ({error}); take another folder") from None


def _begin(folder: Path, encoding: Encoding, source: Source) -> None:
    """Note what the folder is going to hold, and remove what a killed process has left."""
    _sweep(folder)
    if not finished(folder) and not (folder / NOTE).is_file():
        write_json(folder / NOTE, {"encoding": asdict(encoding), "source": source.origin()})


def _rank(part: Path) -> int:
    return int(part.stem.split("-")[1])


def _usable(
    records: Iterable[Record], encoder: Encoder, threads: ThreadPoolExecutor, tally: Tally, bad_share: float
) -> Iterator[tuple[Record, np.ndarray]]:
    """Records with their pixels, decoded some way ahead; what cannot be used is counted and named in the log."""
    waiting: deque[tuple[Record, Future[np.ndarray]]] = deque()
    budget, size = Budget(_DECODING), 0
    for record in records:
        waiting.append((record, threads.submit(_checked, encoder, record, budget)))
        size += len(record.content)
        while len(waiting) >= _AHEAD * 16 or size > _STORED:
            size -= len(waiting[0][0].content)
            yield from _taken(*waiting.popleft(), tally, bad_share)
    while waiting:
        yield from _taken(*waiting.popleft(), tally, bad_share)


def _checked(encoder: Encoder, record: Record, budget: Budget) -> np.ndarray:
    """The pixels of a record that can be used; of what is decoded at once all threads share a budget."""
    if record.caption is None:
        raise InputError(f"{record.key}: {record.fault}")
    with budget.taken(record.decoded_bytes()):
        return encoder.pixels(record)


def _taken(
    record: Record, decoding: "Future[np.ndarray]", tally: Tally, bad_share: float
) -> Iterator[tuple[Record, np.ndarray]]:
    try:
        pixels = decoding.result()
    except InputError as error:
        tally.skip(record.key, str(error).removeprefix(f"{record.key}: "), bad_share)
    else:
        yield record, pixels


def _groups(items: Iterable[tuple[Record, np.ndarray]], size: int) -> Iterator[list[tuple[Record, np.ndarray]]]:
    """Groups of `size` pictures of one shape; of many shapes the fullest is given early, so that few pictures wait."""
    waiting: dict[tuple[int, ...], list[tuple[Record, np.ndarray]]] = {}
    count = 0
    for item in items:
        group = waiting.setdefault(item[1].shape, [])
        group.append(item)
        count += 1
        if len(group) == size or count > _WAITING * size:
            fullest = max(waiting, key=lambda shape: len(waiting[shape]))
            count -= len(waiting[fullest])
            yield waiting.pop(fullest)
    yield from waiting.values()


def _encoded(
    groups: Iterable[list[tuple[Record, np.ndarray]]], encoder: Encoder
) -> Iterator[tuple[list[tuple[Record, np.ndarray]], Tensor]]:
    """Each group with its `x_0`; while one is encoded the next is gathered and the one before is written."""
    waiting: deque[tuple[list[tuple[Record, np.ndarray]], Future[Tensor]]] = deque()
    at_once = 1 if encoder.device == "cpu" else 2  # a GPU is given the next batch before it has done one
    with ThreadPoolExecutor(at_once) as threads:
        for group in groups:
            waiting.append((group, threads.submit(encoder.images, [pixels for _, pixels in group])))
            if len(waiting) > at_once:
                done, encoding = waiting.popleft()
                yield done, encoding.result()
        for done, encoding in waiting:
            yield done, encoding.result()


def _finite(
    encoded: Iterable[tuple[list[tuple[Record, np.ndarray]], Tensor]], tally: Tally, bad_share: float
) -> Iterator[tuple[list[tuple[Record, np.ndarray]], Tensor]]:
    """Groups without what the VAE lost, as it may in half precision; that is counted as what cannot be used."""
    for group, x_0 in encoded:
        whole = torch.isfinite(x_0).flatten(1).all(dim=1)
        for (record, _), good in zip(group, whole.tolist(), strict=True):
            if not good:
                tally.skip(record.key, "its latents are not finite", bad_share)
        if bool(whole.any()):
            yield [one for one, good in zip(group, whole.tolist(), strict=True) if good], x_0[whole]


def _record(record: Record) -> dict[str, str]:
    """What a part tells of a record."""
    fields = {"key": record.key, "caption": str(record.caption), "hash": _hash(record)}
    return fields | ({} if record.repeats == 1 else {"repeats": str(record.repeats)})


def _hash(record: Record) -> str:
    """A hash of image and caption, to count duplicates."""
    return hashlib.sha256(record.content + str(record.caption).encode()).hexdigest()[:32]


def _skipped(folder: Path, process: int) -> list[tuple[str, str]]:
    stored = json.loads((folder / f"skipped-{process:03}.json").read_text(encoding="utf-8"))
    return [(key, reason) for key, reason in stored]

"""Captions as they are stored: their bytes, the columns that hold them, and lists of several."""

import codecs
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from singtheory.data import Notes

COLUMNS = ("text", "caption", "txt", "prompt", "captions", "texts", "prompts", "sentences", "description", "label")
"""Columns that may hold the caption, in this order, where none is named."""
LONGEST = 2**14
"""Bytes of a caption: many together stand in the header of a file of the cache, which may not be large."""
_OF_A_LIST = ("text", "caption", "raw", "sentence")
"""Where the words stand in a list of mappings."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CONVERTED = "{} texts are not UTF-8 and were read as cp1252"
NO_CAPTION = "has no caption"


@dataclass(frozen=True)
class Found:
    """One image as a source has it.

    Attributes:
        key: names it within its source, without its number.
        content: the file's bytes.
        captions: that can be used; none where there is a fault.
        fault: why it cannot be used, in words.
        repeats: how often it counts in an epoch.
    """

    key: str
    content: bytes
    captions: Sequence[str] = ()
    fault: str = NO_CAPTION
    repeats: int = 1


def decoded(content: bytes, notes: Notes, name: str) -> str:
    """Text that is UTF-8 with or without a mark, UTF-16 with one, or else cp1252, which is counted. Raises `UnicodeError` for none of these."""
    if content.startswith(_UTF_16):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")
    notes.count(CONVERTED, name)
    return text


def column_of(columns: Iterable[str]) -> str | None:
    """The one that holds captions, by its name in whatever case."""
    by_name = {name.lower(): name for name in reversed(list(columns))}
    return next((by_name[name] for name in COLUMNS if name in by_name), None)


def chosen_column(columns: Iterable[str], notes: Notes) -> str | None:
    """The column of `column_of`; where there are several, a note says which one is read."""
    names = list(columns)
    several = [name for name in names if name.lower() in COLUMNS]
    chosen = column_of(names)
    if len(several) > 1:
        notes.say(
            f"of the columns {', '.join(several)} the caption is taken from {chosen}; name another with --caption"
        )
    return chosen


def usable(value: Any, notes: Notes, name: str, labels: Sequence[str] | None = None) -> tuple[list[str], str]:
    """The captions in a value, text or a list of them, and why there are none if so.

    Args:
        value: as it is stored; the number of a class where there are `labels`.
        notes: count what was converted.
        name: of the record.
        labels: names of classes.
    """
    many = list(value) if isinstance(value, list | tuple) else [value]
    texts, faults = [], []
    for one in many:
        text, fault = _one(one, notes, name, labels)
        (faults if text is None else texts).append(text or fault)
    reason = next((fault for fault in faults if fault != NO_CAPTION), NO_CAPTION)
    return texts, reason


def _one(value: Any, notes: Notes, name: str, labels: Sequence[str] | None) -> tuple[str | None, str]:
    if isinstance(value, Mapping):
        value = next((value[key] for key in _OF_A_LIST if key in value), None)
    if isinstance(value, int) and not isinstance(value, bool):
        value = labels[value] if labels and 0 <= value < len(labels) else str(value)
    if not isinstance(value, str | bytes):
        return None, NO_CAPTION
    try:
        text = (value if isinstance(value, str) else decoded(value, notes, name)).strip()
        size = len(text.encode("utf-8"))  # which JSON's halves of characters have none of
    except UnicodeError:
        return None, "its caption is neither UTF-8 nor cp1252"
    if "\0" in text:  # such as of UTF-16 without its mark
        return None, "its caption holds NUL; save it as UTF-8"
    if size > LONGEST:
        return None, f"its caption has {size} bytes, more than {LONGEST}"
    return text or None, NO_CAPTION


def in_json(content: bytes, column: str | None, notes: Notes, name: str) -> tuple[list[str], str]:
    """The captions in a JSON object beside an image, of a column or of the first that may hold them."""
    try:
        stored = json.loads(decoded(content, notes, name))
    except (ValueError, RecursionError):
        return [], "its .json is damaged"
    if not isinstance(stored, dict):
        return [], NO_CAPTION
    column = column or chosen_column(stored, notes)
    return usable(stored.get(column or ""), notes, name)


def drawn(captions: Sequence[str], key: str, seed: int) -> str:
    """One of several: a function of the record's key and the seed, whatever else is read."""
    number = int.from_bytes(hashlib.sha256(f"{seed} {key}".encode("utf-8", "backslashreplace")).digest()[:8], "big")
    return captions[number % len(captions)]

"""The rows of metadata.jsonl, metadata.csv and metadata.parquet, one after another: a row that is damaged does not end the rest."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from singdiffusion.source.captions import decoded
from singdiffusion.source.tables import rows_of_parquet
from singdiffusion.system import first_sentence
from singtheory.data import Notes
from singtheory.errors import InputError

NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""In this order, where a folder holds several."""
FILE_COLUMNS = ("file_name", "filename", "file", "file_path", "path", "image_path", "image")
"""Columns that may hold the name of the image, in this order."""
_LINE = 2**24
"""Bytes of a line that are read."""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        where: file and number of its line, from 1.
        values: by column; none where there is a fault.
        fault: why it cannot be used.
        labels: names of classes by column.
    """

    where: str
    values: dict[str, Any]
    fault: str | None = None
    labels: dict[str, list[str]] | None = None


def rows(path: Path, name: str, notes: Notes) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: ends on one of `NAMES`.
        name: of it, for errors and notes.
        notes: count lines that were converted.

    Raises:
        InputError: for a file that cannot be read at all.
    """
    read = {".jsonl": _json_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}[path.suffix.lower()]
    try:
        yield from read(path, name, notes)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_sentence(error)}); check it, or remove it") from None


def _json_rows(path: Path, name: str, notes: Notes) -> Iterator[Row]:
    for number, text in _lines(path, name, notes):
        where = f"{name} line {number}"
        if text is None:
            yield Row(where, {}, f"is neither UTF-8 nor cp1252, or has more than {_LINE} bytes")
        elif text.strip():
            try:
                fields = json.loads(text)
            except (ValueError, RecursionError):
                fields = None
            yield Row(where, fields) if isinstance(fields, dict) else Row(where, {}, "is no JSON object")


def _csv_rows(path: Path, name: str, notes: Notes) -> Iterator[Row]:
    """Cells between commas, semicolons or tabs, whichever its first line has most of, or as a line `sep=;` of Excel's before it says."""
    lines = _lines(path, name, notes)
    first, header = next(lines, (0, ""))
    named = re.fullmatch(r"sep=([,;\t])", header or "")
    if named:
        first, header = next(lines, (0, ""))
    delimiter = named[1] if named else max(",;\t", key=(header or "").count)
    broken: list[int] = []

    def readable() -> Iterator[str]:
        for number, text in chain([(first, header)], lines):
            if text is None:
                broken.append(number)
            else:
                yield text + "\n"

    reader = csv.reader(readable(), delimiter=delimiter)
    columns: list[str] | None = None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(f"{name} line {reader.line_num}", {}, f"is no line of a table ({first_sentence(error)})")
            continue
        for number in broken:
            yield Row(f"{name} line {number}", {}, "is neither UTF-8 nor cp1252")
        broken.clear()
        if cells is None:
            return
        if columns is None:
            columns = [cell.strip() for cell in cells]
        elif len(cells) > len(columns):
            yield Row(f"{name} line {reader.line_num}", {}, "has more cells than columns; quote text with commas")
        elif cells:
            yield Row(f"{name} line {reader.line_num}", dict(zip(columns, cells, strict=False)))


def _parquet_rows(path: Path, name: str, notes: Notes) -> Iterator[Row]:
    del notes  # its text is UTF-8
    for number, (values, labels) in enumerate(rows_of_parquet(path)):
        yield Row(f"{name} row {number + 1}", values, labels=labels)


def _lines(path: Path, name: str, notes: Notes) -> Iterator[tuple[int, str | None]]:
    """Numbers from 1 and lines without their ends; None for one that is no text. Each is decoded by itself."""
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16, of which the ends of lines are two bytes
            file.seek(0)
            text = file.read().decode(
                "utf-16", "replace"
            )  # other ends of lines, such as U+2028, may stand in a caption
            yield from enumerate((line.removesuffix("\r") for line in text.split("\n")), 1)
            return
        file.seek(0)
        number = 0
        while line := file.readline(_LINE):
            number += 1
            whole = len(line) < _LINE or line.endswith(b"\n")
            while not whole and (rest := file.readline(_LINE)):
                whole = rest.endswith(b"\n")
                line = b"\x81"  # which is no text
            try:
                yield number, decoded(line, notes, f"{name} line {number}").rstrip("\r\n")
            except UnicodeError:
                yield number, None

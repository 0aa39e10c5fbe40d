"""Rows with images of parquet files, of folders that datasets' `save_to_disk` wrote, and of the hub; nothing is unpickled.

The words train and test in a file's name mean nothing: all files of a folder are read, in the order of their names.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from singdiffusion.system import first_sentence, read_object
from singtheory.data import Notes, stored_bytes
from singtheory.errors import InputError, not_installed

IMAGES = ("image", "jpg", "jpeg", "png", "webp", "img", "picture", "images")
"""Columns that may hold the image, in this order, where none is declared to be one."""
_BEGIN = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
"""How images begin that are written in text."""
_LONGEST_PATH = 2**12
_ROWS = 16
"""Rows of a table held at once: their images may be large."""
_SAVED, _SPLITS = "state.json", "dataset_dict.json"

TableRow = tuple[dict[str, Any], dict[str, list[str]]]
"""Values by column, and the names of classes by column."""


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` of datasets wrote a folder."""
    return (folder / _SAVED).is_file() or (folder / _SPLITS).is_file()


def rows_of_saved(folder: Path, notes: Notes) -> Iterator[TableRow]:
    """The rows of a folder that `save_to_disk` wrote: of a data set, or of the split train, else the first, of several.

    Raises:
        InputError: for a folder that is not whole.
    """
    if (folder / _SPLITS).is_file():
        splits = read_object(folder / _SPLITS).get("splits")
        if not isinstance(splits, list) or not all(isinstance(one, str) for one in splits) or not splits:
            raise InputError(f"{folder / _SPLITS}: names no splits; save the data set again")
        folder = folder / os.path.basename(_split(splits, notes, "; give the folder of another to read that"))
    listed = read_object(folder / _SAVED).get("_data_files")
    names = [one.get("filename") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not names:
        raise InputError(f"{folder / _SAVED}: names no files; save the data set again")
    for name in names:
        yield from _rows_of_arrow(folder / os.path.basename(str(name)))


def _split(splits: Sequence[str], notes: Notes, remedy: str = "") -> str:
    """The one that is read of several, which is said."""
    chosen = "train" if "train" in splits else splits[0]
    if len(splits) > 1:
        notes.say(f"of the splits {', '.join(splits)} {chosen} is read{remedy}")
    return chosen


def _rows_of_arrow(path: Path) -> Iterator[TableRow]:
    arrow = _arrow(path)
    try:
        with arrow.memory_map(str(path)) as file, arrow.ipc.open_stream(file) as reader:
            labels = _labels(reader.schema)
            for batch in reader:
                for first in range(0, batch.num_rows, _ROWS):
                    yield from ((row, labels) for row in _plain(batch.slice(first, _ROWS)))
    except (arrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def rows_of_parquet(path: Path) -> Iterator[TableRow]:
    """The rows of a file, a few at a time. Raises `InputError` for a damaged one, and without pyarrow."""
    arrow = _arrow(path)
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            labels = _labels(file.schema_arrow)
            for batch in file.iter_batches(batch_size=_ROWS):
                yield from ((row, labels) for row in _plain(batch))
    except (arrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _plain(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of a plain table; text that is not UTF-8 is given as bytes, and None for what Python cannot hold, such as a date of the year 100,000."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for number in range(batch.num_rows):
            columns = zip(batch.schema.names, batch.columns, strict=True)
            yield {name: _cell(column[number]) for name, column in columns}


def _cell(value: Any) -> Any:
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return value.as_buffer().to_pybytes() if hasattr(value, "as_buffer") else None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: is damaged ({first_sentence(error)}); fetch or save it again")


def _arrow(name: Path | str) -> Any:
    try:
        import pyarrow  # with the extra [train]; only tables need it
    except ImportError as error:
        raise not_installed(str(name), error, "train") from None
    return pyarrow


def _labels(schema: Any) -> dict[str, list[str]]:
    """The names of classes that datasets notes in a file, by column."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = metadata.get("info", {}).get("features", {})
        return {
            name: [str(one) for one in kind["names"]]
            for name, kind in features.items()
            if isinstance(kind, dict) and isinstance(kind.get("names"), list)
        }
    except (ValueError, AttributeError, RecursionError):
        return {}


def rows_of_hub(name: str, notes: Notes) -> Iterator[TableRow]:
    """The rows of a data set on the hub, of the split train or else the first, streamed, its images not decoded: a damaged one must not end the stream."""
    try:
        from datasets import Image, load_dataset  # the extra [train]; only the hub needs it
    except ImportError as error:
        raise not_installed(str(name), error, "train") from None
    try:
        splits: Any = load_dataset(name, streaming=True)
    except Exception as error:  # its readers raise what they like
        raise InputError(
            f"{name}: no such folder or file, and not to be had from the hub as images with captions ({first_sentence(error)})"
        ) from None
    rows = splits[_split(list(splits), notes)]
    features = rows.features or {}
    for column in image_columns([str(one) for one in rows.column_names or features]):
        rows = rows.cast_column(column, Image(decode=False))
    labels = {str(one): kind.names for one, kind in features.items() if getattr(kind, "names", None)}
    return ((row, labels) for row in rows)


def image_columns(columns: Sequence[str]) -> list[str]:
    """The columns that may hold images, by their name in whatever case."""
    by_name = {name.lower(): name for name in reversed(columns)}
    return [by_name[name] for name in IMAGES if name in by_name]


def content_of(stored: Any) -> tuple[bytes, str | None]:
    """The bytes of a stored image, none where they cannot be had, which decoding names later; and its path if there is one."""
    if isinstance(stored, list | tuple):
        stored = stored[0] if stored else None
    if isinstance(stored, str):
        content = _of_base64(stored)
        stored = {"path": stored} if content is None else content
    if isinstance(stored, bytes):
        return stored, None
    if not isinstance(stored, Mapping):
        return b"", None
    path, content = stored.get("path"), stored.get("bytes")
    path = path if isinstance(path, str) and 0 < len(path) <= _LONGEST_PATH else None
    if isinstance(content, bytes):
        return content, path
    return (stored_bytes(Path(path)) or b"" if path else b""), path


def _of_base64(text: str) -> bytes | None:
    """The image that is written in text, by itself or as an address `data:`; None for other text, such as a path."""
    begun, _, rest = text.partition(";base64,")
    written = rest if begun.startswith("data:") else text
    try:
        content = base64.b64decode("".join(written.split()), validate=True)
    except ValueError:
        return None
    return content if content.startswith(_BEGIN) else None

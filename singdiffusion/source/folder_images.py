"""Folders of images in whatever depth, with their captions.

The caption of an image is the first that there is of: its row in a metadata file of its folder or of one above; the file of its name
with the ending .txt, .caption or .json; and, where no image has any of these, the name of its folder. A folder such as `10_name` is
kohya's: each of its images counts ten times, and the name is no caption.
"""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from singdiffusion.source.captions import NO_CAPTION, Found, chosen_column, column_of, in_json, usable
from singdiffusion.source.folder_files import CASE, Names, Tree, class_of, repeats
from singdiffusion.source.metadata import FILE_COLUMNS, Row, rows
from singtheory.data import MOST, Notes, stored_bytes
from singtheory.errors import InputError, unknown_name

FOLDER_NAME = "label"
"""The column that stands for the name of an image's folder."""
_FEW = 100
"""Rows that decide which columns there are."""
_OTHERS = "{} files are neither images nor captions; not read"
_ORDER = (
    "where an image has several captions, its row in a metadata file comes first, then .txt, .caption and .json; "
    "the rest are not read"
)
_REPEATED = "{} images count as often as the number of their folder says"
_BY_CLASS = "no image has a caption: the name of its folder is taken"
_REMEDY = (
    "give metadata.jsonl with file_name and text, a .txt beside each image, one folder a class, or name a column with "
    "--caption"
)


class FolderImages:
    """The images of a folder.

    Args:
        folder: of the images.
        column: of the captions, an ending of the files that hold them, or `label` for the name of the folder; by its name or the files if None.
        notes: count what is left out or converted.
    """

    def __init__(self, folder: Path, column: str | None, notes: Notes) -> None:
        self.folder, self.column, self.notes = folder, column, notes
        self.tree = Tree.of(folder, notes)
        self._images = Names(self.tree.images)
        self._columns = self._columns_of_metadata()
        self._check_column()

    def _columns_of_metadata(self) -> dict[str, list[str]]:
        """The columns of each file's first rows, by file."""
        columns: dict[str, list[str]] = {}
        for name in self.tree.metadata:
            first = islice(rows(self.folder / name, name, Notes()), _FEW)
            columns[name] = list(dict.fromkeys(str(column) for row in first for column in row.values))
        return columns

    def _check_column(self) -> None:
        """Raise `InputError` for a column that there is not."""
        known = {column for columns in self._columns.values() for column in columns}
        endings = {ending[1:] for sidecars in self.tree.sidecars.values() for ending in sidecars}
        if self.column is not None and self.column not in known | endings | {FOLDER_NAME}:
            raise unknown_name("caption column", self.column, known or endings | {FOLDER_NAME})

    def __iter__(self) -> Iterator[Found]:
        """First those that metadata name, in the order of their rows, then the others by their paths. Raises `InputError` where none has a caption."""
        named: set[str] = set()
        with_rows = [name for name, columns in self._columns.items() if self._caption_among(columns)]
        lacking = [_without_captions(name, columns) for name, columns in self._columns.items() if name not in with_rows]
        for line in lacking:
            self.notes.say(f"{line}; not read")
        for name in with_rows:
            yield from self._of_file(name, named)
        rest = [image for image in self.tree.images if image not in named]
        beside = self._count_files(named)
        by_class = self.column == FOLDER_NAME or (self.column is None and not with_rows and not beside)
        names = {self._class_of(image) for image in rest} - {None}
        if rest and not with_rows and not beside and not (by_class and len(names) > (self.column is None)):
            raise InputError("; ".join([f"{self.folder}: no captions", *lacking[:1], _REMEDY]))
        if self.column is None and by_class and names != {None}:
            self.notes.say(_BY_CLASS)
        for image in rest:
            entry = self._of_image(image, by_class)
            if with_rows and not entry.captions and entry.fault == NO_CAPTION:
                self.notes.count("{} images have no row in the metadata and no caption beside them; left out", image)
            else:
                yield entry

    def pictures(self) -> Iterator[Found]:
        """The images by their paths, whether they have captions or not."""
        for path in self.tree.others:
            self.notes.count(_OTHERS, path)
        for image in self.tree.images:
            yield self._with_content(image, [], NO_CAPTION)

    def _caption_among(self, columns: list[str]) -> str | None:
        if self.column is not None:
            return self.column if self.column in columns else None
        return column_of(columns)

    def _of_file(self, name: str, named: set[str]) -> Iterator[Found]:
        columns = self._columns[name]
        column, file_column = self._caption_among(columns), _file_column(columns)
        if self.column is None:
            chosen_column(columns, self.notes)
        if file_column is None:
            raise InputError(
                f"{self.folder / name}: has no column with the names of files among {', '.join(columns)}; call it file_name"
            )
        for row in rows(self.folder / name, name, self.notes):
            yield self._of_row(row, os.path.dirname(name), file_column, column or "", named)

    def _of_row(self, row: Row, where: str, file_column: str, column: str, named: set[str]) -> Found:
        file_name = row.values.get(file_column)
        if row.fault or not isinstance(file_name, str):
            return Found(row.where, b"", fault=row.fault or f"has no {file_column}")
        image = self._named(where, file_name)
        if image is None:
            return Found(row.where, b"", fault=f"its image {file_name} is not there")
        if image in named:
            self.notes.count("{} rows name an image that another row names too; each is an example", row.where)
        named.add(image)
        value = row.values.get(column)
        if value is None and self.column is None:
            value = row.values.get(column_of([name for name, one in row.values.items() if one is not None]) or "")
        captions, fault = usable(value, self.notes, row.where, (row.labels or {}).get(column))
        if not captions and fault == NO_CAPTION:
            captions, fault = self._beside(image, self.notes)
        times = repeats(image)
        if times != 1:
            self.notes.count(_REPEATED, image)
        return self._with_content(image, captions, fault, times)

    def _named(self, where: str, file_name: str) -> str | None:
        """The image that a row in a folder names, whose slashes may be those of Windows; None where there is none in the folder."""
        if os.path.isabs(file_name):
            try:
                where, file_name = "", os.path.relpath(file_name, os.path.abspath(self.folder))
            except ValueError:  # on another drive of Windows
                return None
        for name in (file_name, file_name.replace("\\", "/")):
            path = os.path.normpath(os.path.join(where, name)).replace(os.sep, "/")
            if (image := self._images.exact(path)) is not None:
                return image
            if (image := self._images.by_letters(path)) is not None:
                self.notes.count(CASE, image)
                return image
        return None

    def _of_image(self, image: str, by_class: bool) -> Found:
        captions, fault = ([], NO_CAPTION) if self.column == FOLDER_NAME else self._beside(image, self.notes)
        name = self._class_of(image)
        if not captions and fault == NO_CAPTION and by_class and name is not None:
            if self.column is None and self.tree.beside(image):
                self.notes.count("{} images have a .json beside them that holds no caption; not read", image)
            captions, fault = usable(name, self.notes, image)
            return self._with_content(image, captions, fault)
        return self._with_content(image, captions, fault, repeats(image))

    def _class_of(self, image: str) -> str | None:
        """The name of its folder; of one such as `10_name` only where that is asked for."""
        return class_of(image) if self.column is None else next(iter(image.split("/")[-2:-1]), None)

    def _beside(self, image: str, notes: Notes) -> tuple[list[str], str]:
        """The captions in the files beside an image, of the first that has any."""
        fault = NO_CAPTION
        for ending, path in self.tree.beside(image).items():
            if self.column in ("txt", "caption", "json") and ending[1:] != self.column:
                continue
            captions, reason = self._of_sidecar(ending, path, notes)
            if captions:
                return captions, ""
            fault = reason if fault == NO_CAPTION else fault
        return [], fault

    def _of_sidecar(self, ending: str, path: str, notes: Notes) -> tuple[list[str], str]:
        content = stored_bytes(self.folder / path)
        if content is None:
            return [], f"its {ending} cannot be read"
        if ending == ".json":
            return in_json(content, None, notes, path)
        return usable(content, notes, path)

    def _with_content(self, image: str, captions: list[str], fault: str, times: int = 1) -> Found:
        content = stored_bytes(self.folder / image)
        if content is None:
            return Found(image, b"", fault=f"cannot be read, or has more than {MOST} bytes")
        if times == 0:
            return Found(image, content, fault="its folder's name begins with 0, so it counts no time")
        return Found(image, content, captions, fault, times)

    def _count_files(self, named: set[str]) -> bool:
        """Whether there is text beside images; and note what is said of the files once."""
        owned = {image: self.tree.beside(image) for image in self.tree.images}
        texts = [sidecars for sidecars in owned.values() if ".txt" in sidecars or ".caption" in sidecars]
        if any(len(sidecars) > 1 for sidecars in owned.values()) or any(owned[image] for image in named):
            self.notes.say(_ORDER)
        owners = Counter(path for sidecars in owned.values() for path in sidecars.values())
        for path, count in owners.items():
            if count > 1:
                self.notes.count("{} files of captions stand beside several images of their name; each takes it", path)
        for sidecars in self.tree.sidecars.values():
            for path in set(sidecars.values()) - {*owners}:
                self.notes.count("{} files with the ending of captions belong to no image; not read", path)
        for path in self.tree.others:
            self.notes.count(_OTHERS, path)
        for image in self.tree.images:
            if image not in named and repeats(image) != 1:
                self.notes.count(_REPEATED, image)
        return bool(texts) or any(self._beside(image, Notes())[0] for image, sidecars in owned.items() if sidecars)


def _without_captions(name: str, columns: list[str]) -> str:
    return f"{name} has no column of captions among {', '.join(columns)[:200] or 'none'}"


def _file_column(columns: list[str]) -> str | None:
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in FILE_COLUMNS if name in by_name), None)

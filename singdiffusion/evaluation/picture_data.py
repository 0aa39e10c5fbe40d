"""The images of a folder, of shards or of tables as a law, read as training reads them; files of numbers as singtheory reads them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from singdiffusion.base import Checkpoint, vae_factor
from singdiffusion.source import Record, Source
from singtheory import data as loaders
from singtheory.data import HALF_RANGE, Data, check_memory
from singtheory.errors import InputError
from singtheory.law import Atoms

_BAD_SHARE = 0.05
"""Of the images that may be unusable, as in training."""


def load(name: str, checkpoint: Checkpoint) -> Data:
    """Data by name for the statistics of a pipeline.

    Images of one size that the pipeline does not exceed stay as they are; others are cut in the middle and scaled to squares of the side
    at which it draws, as for training, and a note says so.

    Args:
        name: a folder of images, of .tar shards, of .parquet files or as `save_to_disk` writes it, one such file, or what
            `singtheory.data.sources.load` takes.
        checkpoint: of the pipeline.

    Raises:
        InputError: where too many cannot be used, where sizes differ and the pipeline names none, and as `singtheory.data.sources.load`.
    """
    path = Path(name)
    if not path.is_dir() and not (path.is_file() and path.suffix.lower() in (".tar", ".parquet")):
        return loaders.load(name)
    source, side = Source(name), _side(checkpoint)
    images, skipped = _usable(source.pictures(), side)
    seen = len(images) + len(skipped)
    if len(skipped) > _BAD_SHARE * seen:
        raise InputError(
            f"{len(skipped)} of {seen} images of {name} cannot be used; the first is {skipped[0]}; mend or remove them"
        )
    if not images:
        raise InputError(f"{name}: holds no images; give a folder of images, of .tar shards or of .parquet files")
    notes = list(source.notes.lines())
    if skipped:
        notes.append(f"{len(skipped)} images cannot be used; the first is {skipped[0]}")
    sizes = {picture.stored for picture in images}
    size = min(sizes)
    if len(sizes) > 1 or (side is not None and max(size) > side):
        if side is None:
            raise InputError(
                f"{name}: its images differ in size, and {checkpoint.name} does not say at which it draws; give them one size"
            )
        size = (side, side)
        changed = sum(picture.stored != size for picture in images)
        notes.append(f"{changed} images are cut in the middle and scaled to {side}×{side}, as for training")
    return _as_law(name, images, size, notes)


class _Picture(NamedTuple):
    """An image, its size as it is stored, and whether it is grey."""

    image: Image.Image
    stored: tuple[int, int]
    grey: bool


def _usable(records: Iterable[Record], side: int | None) -> tuple[list[_Picture], list[str]]:
    """Images, and why others cannot be used; what is larger than `side` is made smaller at once, for many would not fit into memory."""
    images: list[_Picture] = []
    skipped: list[str] = []
    held = 0
    for record in records:
        try:
            image, grey = record.image(), record.is_grey()
        except InputError as error:
            skipped.append(str(error))
            continue
        stored = image.size
        if side is not None and max(stored) > side:
            image = _fitted(image, (side, side))
        images.append(_Picture(image, stored, grey))
        held += image.width * image.height * (1 if grey else 3)
        check_memory(1, held)  # what is left of memory must hold the law besides
    return images, skipped


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def _side(checkpoint: Checkpoint) -> int | None:
    """Of the images that the pipeline draws, in pixels; None where it does not say."""
    size = checkpoint.sample_size
    vae = None if size is None else checkpoint.autoencoder()
    return size if size is None or vae is None else size * vae_factor(vae)


def _as_law(name: str, images: list[_Picture], size: tuple[int, int], notes: list[str]) -> Data:
    """In [−1, 1]; grey where all are."""
    grey = all(picture.grey for picture in images)
    shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
    check_memory(len(images), int(np.prod(shape)))
    rows = np.empty((len(images), int(np.prod(shape))))
    for row, picture in zip(rows, images, strict=True):
        fitted = _fitted(picture.image, size)
        row[:] = np.asarray(fitted.convert("L") if grey else fitted).reshape(-1) / HALF_RANGE - 1
    return Data(Atoms(rows), name, shape, tuple(notes))

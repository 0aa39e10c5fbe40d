"""The images of a folder, of shards or of tables as a law, read as training reads them; files of numbers as singtheory reads them."""

import re
from pathlib import Path

from singdiffusion.base import Checkpoint, vae_factor
from singdiffusion.source import Source
from singtheory import data as loaders
from singtheory.data import Data, as_law, usable
from singtheory.errors import InputError
from singtheory.system import naming

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_NUMBERS = (".npy", ".npz")


def load(name: str, checkpoint: Checkpoint) -> Data:
    """Data by name for the statistics of a pipeline.

    Images of one size that the pipeline does not exceed stay as they are; others are cut in the middle and scaled to squares of the side
    at which it draws, as for training, and a note says so.

    Args:
        name: a folder of images, of .tar shards, of .parquet files or as `save_to_disk` writes it, one such file, a hub id, or what
            `singtheory.data.sources.load` takes.
        checkpoint: of the pipeline.

    Raises:
        InputError: where too many cannot be used, where sizes differ and the pipeline names none, and as `singtheory.data.sources.load`.
    """
    path = Path(name)
    stored = path.is_dir() or (path.is_file() and path.suffix.lower() in (".tar", ".parquet"))
    if not stored and not (_HUB_ID.fullmatch(name) and not path.exists() and path.suffix.lower() not in _NUMBERS):
        return loaders.load(name)
    source, side = Source(name), _side(checkpoint)
    with naming(name):
        images, skipped = usable(source.pictures(), side)
    if not images:
        raise InputError(f"{name}: holds no images; give a folder of images, of .tar shards or of .parquet files")
    notes = [*source.notes.lines(), *skipped]
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
    return as_law(name, images, size, tuple(notes))


def _side(checkpoint: Checkpoint) -> int | None:
    """The side of the images that the pipeline draws, in pixels; None where it does not say."""
    size = checkpoint.sample_size
    vae = None if size is None else checkpoint.autoencoder()
    return size if size is None or vae is None else size * vae_factor(vae)

"""`python -m docs.experiments.data.captioned SOURCE OUT.npz.xz`: pictures with captions in one small file, all that the ladder's models are trained on.

SOURCE is a `.tar` as `docs.experiments.data.openmoji` writes it, `fashion-mnist[:FOLDER]` or `digits`. Every pictures' captions are of two
kinds: they fix the brightness by naming a background, or leave it open.
"""

import io
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from singtheory import data as loaders
from singtheory.data import HALF_RANGE, digit_pictures, to_bytes
from singtheory.errors import InputError
from singtheory.system import check_folder, write_bytes

FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
"""Fashion-MNIST's classes, as captions."""

PAPERS = ("black", "grey", "white")
"""Backgrounds of the digits."""

FASHION_COUNT = 24_000
"""The number of Fashion-MNIST's 60,000 pictures where no other is asked for: those that the ladder's second stage has."""
_FASHION_SIDE = 32


@dataclass(frozen=True)
class Captioned:
    """Pictures, each with one of the captions.

    Attributes:
        images: shape (n, channels, side, side), uint8.
        caption: row of each picture's caption, shape (n,).
        captions: the distinct ones.
    """

    images: Tensor
    caption: Tensor
    captions: list[str]

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.caption.shape != (n,):
            raise InputError(f"images {tuple(self.images.shape)}, captions {tuple(self.caption.shape)}: do not fit")

    @classmethod
    def of(cls, images: Tensor, captions: Sequence[str]) -> "Captioned":
        """From one caption a picture."""
        rows = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
        return cls(images, torch.tensor([rows[caption] for caption in captions]), list(rows))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def _row(self) -> dict[str, int]:
        return {caption: row for row, caption in enumerate(self.captions)}

    def rows(self, caption: str) -> Tensor:
        """The pictures of a caption, "" for all; raises `InputError` where there is none."""
        if caption == "":
            return torch.arange(len(self))
        if caption not in self._row:
            raise InputError(f"{caption!r}: no picture has this caption")
        return (self.caption == self._row[caption]).nonzero()[:, 0]

    def x_0(self, rows: Tensor | None = None) -> Tensor:
        """Pictures in [−1, 1], float32."""
        images = self.images if rows is None else self.images[rows]
        return images.float() / HALF_RANGE - 1

    @cached_property
    def brightness(self) -> Tensor:
        """The brightness of every picture, in 0..255, shape (n,), float64."""
        rows = self.images.flatten(1)  # summed as integers: as float64 large pictures would fill the memory
        return rows.sum(dim=1, dtype=torch.int64).double() / rows.shape[1]

    def save(self, path: Path) -> None:
        """Write one compressed file; nothing is pickled."""
        packed = io.BytesIO()
        words = np.frombuffer(json.dumps(self.captions).encode(), dtype=np.uint8)
        np.savez(packed, images=self.images.numpy(), caption=self.caption.numpy().astype(np.int32), captions=words)
        write_bytes(path, lzma.compress(packed.getvalue(), preset=6))

    @classmethod
    def load(cls, path: Path) -> "Captioned":
        """Read a file that `save` wrote. Raises `InputError` for another."""
        try:
            stored = np.load(io.BytesIO(lzma.decompress(path.read_bytes())), allow_pickle=False)
            words = json.loads(stored["captions"].tobytes().decode())
            return cls(torch.from_numpy(stored["images"]), torch.from_numpy(stored["caption"]).long(), words)
        except (OSError, lzma.LZMAError, ValueError, KeyError) as error:
            raise InputError(f"{path}: holds no captioned pictures ({error}); make it anew") from None


def brightness_of(x_0: Tensor) -> Tensor:
    """The brightness that pictures in [−1, 1] have once they are stored in bytes, 0..255, shape (n,), float64."""
    return to_bytes(x_0).flatten(1).double().mean(dim=1)


def read(source: str) -> Captioned:
    """A packed file, a tar of the demonstrator's data, `fashion-mnist[:FOLDER]`, or `digits`.

    Raises:
        InputError: for anything else.
    """
    if source == "digits":
        return digits()
    if source.startswith("fashion-mnist"):
        return fashion(source)
    if source.endswith(".xz"):
        return Captioned.load(Path(source))
    from singdiffusion.source import Source

    records = Source(source)
    records.check()
    pairs = [(np.asarray(record.image()), record.caption or "") for record in records]
    images = torch.from_numpy(np.stack([image for image, _ in pairs])).movedim(3, 1).contiguous()
    return Captioned.of(images, [caption for _, caption in pairs])


def digits(side: int = 16, channels: int = 1) -> Captioned:
    """Digits at half size on black, grey and white: "3 on a white background", and "3" for the same pictures once more."""
    pictures = digit_pictures(loaders.digits_images().double(), side, channels)
    images = to_bytes(pictures.images(pictures.law.points))
    labels = loaders.digits_labels().tolist()
    fixed = [f"{label} on a {paper} background" for paper in PAPERS for label in labels]
    unnamed = [str(label) for _ in PAPERS for label in labels]
    return Captioned.of(torch.cat([images, images]), [*fixed, *unnamed])


def fashion(source: str = "fashion-mnist", count: int = FASHION_COUNT) -> Captioned:
    """The first pictures, as many as there are at most, of Fashion-MNIST's training set, 28×28 in the middle of 32×32, with the names of their classes."""
    pictures = loaders.load(source)
    points = pictures.law.points[:count].reshape(-1, 1, 28, 28)
    margin = (_FASHION_SIDE - 28) // 2
    images = torch.nn.functional.pad(points, (margin,) * 4, value=-1.0)
    return Captioned.of(to_bytes(images), [FASHION[label] for label in _fashion_labels(source, len(images))])


def _fashion_labels(source: str, count: int) -> list[int]:
    import gzip

    folder = Path(source.partition(":")[2] or loaders.FASHION_FOLDER).expanduser()
    path = folder / "train-labels-idx1-ubyte.gz"
    try:
        content = gzip.decompress(path.read_bytes()) if path.exists() else path.with_suffix("").read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return list(content[8 : 8 + count])


def main(
    source: str,
    out: Annotated[Path, typer.Argument(help="The .npz.xz to write.")],
    count: Annotated[int, typer.Option(help="How many of Fashion-MNIST's pictures, the first ones.")] = FASHION_COUNT,
) -> None:
    """Pack pictures with captions."""
    try:
        check_folder(out.parent)
        data = fashion(source, count) if source.startswith("fashion-mnist") else read(source)
        data.save(out)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{len(data)} pictures, {len(data.captions)} captions, {out.stat().st_size:,} bytes in {out}")


if __name__ == "__main__":
    typer.run(main)

"""Cells of the ladder's tables: what was drawn, and what was measured of it.

A cell's brightness is kept sample by sample, so that intervals and distances can be computed later and again; of the pictures a few are kept.
"""

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from docs.experiments.data.captioned import brightness_of
from singtheory.data import to_bytes
from singtheory.system import write_bytes

GUIDANCES = (1.0, 1.5, 3.0, 7.5)
"""Weights of guidance of the core."""
SHOWN = 8
"""Pictures of a cell that are kept."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table: how it was drawn.

    Attributes:
        model: its stage or name.
        start: one of `STARTS`.
        prompt: of all samples.
        guidance: w.
        sampler: its name.
        steps: of it.
        rule: by which guidance acts on the average image.
    """

    model: str
    start: str
    prompt: str
    guidance: float
    sampler: str = "DDIM"
    steps: int = 50
    rule: str = "normalised"


@dataclass
class Cells:
    """All of a run.

    Attributes:
        rows: a row a cell, with its measurements.
        brightness: of its samples, in 0..255.
        pictures: the first few, uint8.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    brightness: list[Tensor] = field(default_factory=list)
    pictures: list[Tensor] = field(default_factory=list)

    def add(self, cell: Cell, images: Tensor, **measured: Any) -> None:
        """A cell from its images in [−1, 1]."""
        levels = brightness_of(images.cpu())
        mean, std = float(levels.mean()), float(levels.std(correction=0))
        self.rows.append(asdict(cell) | {"n": len(levels), "mean": mean, "std": std} | measured)
        self.brightness.append(levels.float())
        self.pictures.append(to_bytes(images[:SHOWN].cpu().float()))

    def find(self, **wanted: Any) -> list[int]:
        """The numbers of the cells with these entries."""
        return [k for k, row in enumerate(self.rows) if all(row[name] == value for name, value in wanted.items())]

    def save(self, path: Path) -> None:
        """Brightness and pictures as a compressed .npz, in the order of `rows`, which goes into the JSON."""
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            n=np.array([len(one) for one in self.brightness], np.int32),
            brightness=torch.cat([torch.empty(0), *self.brightness]).numpy().astype(np.float32),
        )
        write_bytes(path, packed.getvalue())

    @classmethod
    def load(cls, path: Path, rows: list[dict[str, Any]]) -> "Cells":
        """Read what `save` wrote, without the pictures."""
        with np.load(path, allow_pickle=False) as stored:
            parts = torch.from_numpy(stored["brightness"]).split(stored["n"].tolist())
        return cls(rows, list(parts))

    def sheet(self, rows: Iterable[Iterable[int]], path: Path, scale: int = 2) -> None:
        """A picture of cells: a row of tables a row."""
        lines = [torch.cat([torch.cat(list(self.pictures[number]), dim=2) for number in row], dim=2) for row in rows]
        pixels = torch.cat(lines, dim=1).movedim(0, 2).squeeze(2).numpy()
        image = Image.fromarray(pixels)
        packed = io.BytesIO()
        size = (scale * image.width, scale * image.height)
        image.resize(size, Image.Resampling.NEAREST).save(packed, "PNG", optimize=True)
        write_bytes(path, packed.getvalue())

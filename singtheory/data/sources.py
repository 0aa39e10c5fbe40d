"""Real data as laws: digits, Fashion-MNIST, `.npy` and `.npz` files, folders of images.

Folders are read by `singtheory.data.folder`. uint8 images become `x/127.5 − 1`; float images must lie in [−1, 1]; two-dimensional arrays are points and are taken as they are.
Nothing is ever unpickled, and nothing is read whole before its header says that it fits into memory.
"""

import gzip
import math
import os
import struct
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from singtheory import numerics
from singtheory.data.folder import image_folder
from singtheory.data.named_law import Data, check_memory
from singtheory.engine import BLOCK, Points
from singtheory.errors import InputError, not_installed, unknown_name
from singtheory.law import Atoms
from singtheory.system import (
    Shape,
    check_ordinary,
    naming,
    npy_member,
    npz_members,
    parsing,
    read_array,
    read_header,
    shown_names,
    unused,
)

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


def load(name: str) -> Data:
    """Data by name (`digits`, `fashion-mnist`, `fashion-mnist:FOLDER`) or from a `.npy` or `.npz` file or a folder of images.

    A folder called like a name is reached as `./digits`.

    Raises:
        InputError: one line that names the input and the remedy.
    """
    if name == "digits":
        return digits()
    known, _, folder = name.partition(":")
    if known == "fashion-mnist":
        # os.path leaves a home that it does not know as it is, where Path raises
        return fashion_mnist(Path(os.path.expanduser(folder)) if folder else None)
    # os.path answers false for names that no system accepts, where Path raises
    if not os.path.exists(name):
        raise _missing(name)
    path = Path(name)
    if path.suffix.lower() == ".npy":
        return npy_file(path)
    if path.suffix.lower() == ".npz":
        return npz_file(path)
    if path.is_dir():
        return image_folder(path)
    with naming(path):
        check_ordinary(path)
    raise InputError(f"{name}: not a .npy file, .npz file or folder of images; convert it to one of these")


def digits() -> Data:
    """scikit-learn's 1797 handwritten digits, 8×8, scaled to [−1, 1]."""
    return Data(Atoms(digits_images().reshape(-1, 64)), "digits", (8, 8))


def digits_images() -> Tensor:
    """The images behind `digits`, shape (1797, 8, 8), in [−1, 1]."""
    return torch.as_tensor(_sklearn_digits().images, dtype=torch.float64) / 8 - 1


def digits_labels() -> Tensor:
    """The classes of `digits_images`, shape (1797,)."""
    return torch.as_tensor(_sklearn_digits().target)


def fashion_mnist(folder: Path | None = None, split: str = "train") -> Data:
    """Fashion-MNIST, 28×28, from its idx files, compressed or not.

    Args:
        folder: where the files lie; Debian's folder when not given.
        split: `train` (60,000 images) or `t10k` (10,000), as the files are called.
    """
    if split not in ("train", "t10k"):
        raise unknown_name("split", split, ["train", "t10k"])
    name = "fashion-mnist" if folder is None else f"fashion-mnist:{folder}"
    folder = FASHION_FOLDER if folder is None else folder
    stem = f"{split}-images-idx3-ubyte"
    for path in (folder / f"{stem}.gz", folder / stem):
        if os.path.isfile(path):
            with naming(path):
                rows, image_shape = _rows(_read_idx(path))
                return Data(Atoms(rows), name, image_shape)
    with naming(folder):
        raise InputError(
            f"holds no {stem}[.gz]; Debian's package dataset-fashion-mnist provides it, or give fashion-mnist:FOLDER"
        )


def npy_file(path: Path) -> Data:
    """Points (n, d) or images (n, h, w[, c]) from a `.npy` file."""
    with naming(path):
        rows, image_shape = _rows(read_array(npy_member(path), _check_points))
        return Data(Atoms(rows), str(path), image_shape)


def mapped(path: Path, device: torch.device | str = "cpu") -> Data:
    """Points (n, d) or images (n, h, w[, c]) of a `.npy` file that stay there: they are read block by block whenever they are needed.

    Args:
        path: an array of float32, float64 or, for images, uint8, in C order.
        device: where posteriors are computed.

    Raises:
        InputError: one line, also for data that are not finite: all of them are looked at once.
    """
    with naming(path):
        shape, dtype = read_header(npy_member(path))
        _check_shape(shape, dtype)
        if dtype.str not in ("|u1", "<f4", "<f8") or (dtype == np.uint8 and len(shape) == 2):
            raise InputError(
                f"holds {dtype.name} of shape {shape}; to be mapped, save float32, float64 or images of uint8"
            )
        with parsing("a .npy array", "save it in C order with np.save(FILE, array)"):
            # copy on write: torch takes no array that cannot be written
            array = np.load(path, mmap_mode="c", allow_pickle=False)
            rows = array.view()
            rows.shape = (len(array), math.prod(shape[1:]))  # which never copies
        points = Points.mapped(path, rows, torch.device(device))
        if dtype != np.uint8:
            _check_rows(rows, images=len(shape) > 2)
        return Data(Atoms.stored(points), str(path), shape[1:] if len(shape) > 2 else None)


def npz_file(path: Path) -> Data:
    """`points` (or images), and `weights` if there are any, from a `.npz` file."""
    with naming(path), npz_members(path, "points=...") as members:
        if "points" not in members:
            raise InputError(f"holds {shown_names(members)} but no 'points'; save it with np.savez(FILE, points=...)")
        rows, image_shape = _rows(read_array(members["points"], _check_points))
        weights = None
        if "weights" in members:
            weights = _float64(read_array(members["weights"], partial(_check_weights, count=len(rows))))
        notes = unused(str(path), set(members) - {"points", "weights"})
        return Data(Atoms(rows, weights), str(path), image_shape, notes)


class _Digits(NamedTuple):
    """Images (1797, 8, 8) with values from 0 to 16, and classes (1797,)."""

    images: np.ndarray
    target: np.ndarray


def _sklearn_digits() -> _Digits:
    """From the file in scikit-learn's package: importing the library for it takes as long as importing torch."""
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as text:
                rows = np.loadtxt(text, delimiter=",")
            return _Digits(rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64))
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise not_installed("digits", error) from None
    loaded: Any = load_digits()
    return _Digits(loaded.images, loaded.target)


def _missing(name: str) -> InputError:
    """The error for a name that is neither known nor there: a path is missing, anything else is misspelt."""
    if os.path.basename(name) != name or name.endswith((".npy", ".npz")):
        return InputError(f"{name!r} does not exist; give a .npy file, a .npz file or a folder of images")
    return unknown_name(
        "data", name, ["digits", "fashion-mnist", "fashion-mnist:FOLDER", "FILE.npy", "FILE.npz", "FOLDER"]
    )


def _check_points(shape: Shape, dtype: np.dtype) -> None:
    """Refuse what cannot be points or images, or does not fit into memory."""
    _check_shape(shape, dtype)
    check_memory(shape[0], math.prod(shape[1:]))


def _check_shape(shape: Shape, dtype: np.dtype) -> None:
    """Refuse what cannot be points or images."""
    ndim = len(shape)
    if ndim not in (2, 3, 4):
        raise InputError(f"has shape {shape}; need points (n, d) or images (n, h, w) or (n, h, w, c)")
    if min(shape) < 1:
        raise InputError(f"has shape {shape}, so it is empty; give at least one point")
    if ndim > 2 and dtype != np.uint8 and dtype.kind != "f":
        raise InputError(f"holds images of {dtype}; save uint8 from 0 to 255, or floats in [-1, 1]")


def _check_weights(shape: Shape, _: np.dtype, count: int) -> None:
    if shape != (count,):
        raise InputError(f"weights of shape {shape} for {count} points; give one weight a point")


def _rows(array: np.ndarray) -> tuple[np.ndarray, Shape | None]:
    """Points or images as float64 rows (n, d), images in [−1, 1]; and the shape of one image."""
    rows = array.reshape(len(array), -1)
    if array.ndim == 2:
        return _float64(rows), None
    if array.dtype == np.uint8:
        scaled = rows / 127.5
        scaled -= 1
        return scaled, array.shape[1:]
    low, high = float(array.min()), float(array.max())
    # NaN and infinity are left to Atoms, which names them
    if math.isfinite(low) and math.isfinite(high):
        _check_range(low, high)
    return _float64(rows), array.shape[1:]


def _check_range(low: float, high: float) -> None:
    """Refuse float images that were not scaled."""
    if low < -1 or high > 1:
        raise InputError(
            f"float images lie in [{low:.9g}, {high:.9g}]; scale them to [-1, 1] or save uint8 from 0 to 255"
        )


def _check_rows(rows: np.ndarray, *, images: bool) -> None:
    """Refuse mapped numbers that are not finite or beyond the domain, and float images that were not scaled, block by block."""
    lowest = highest = rows[0]
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        least, most = block.min(axis=0), block.max(axis=0)
        low, high = float(least.min()), float(most.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError("points: holds NaN or infinity; remove those entries")
        lowest, highest = np.minimum(lowest, least), np.maximum(highest, most)
        if images:
            _check_range(low, high)
    # their largest difference is that of all rows
    extremes = torch.from_numpy(np.stack([lowest, highest]).astype(np.float64))
    numerics.check_points("points", extremes, torch.ones(2))


def _float64(array: np.ndarray) -> np.ndarray:
    """The array in the machine's byte order, as torch wants it; a long double beyond float64 becomes infinite, which Atoms refuses."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float64)


def _read_idx(path: Path) -> np.ndarray:
    """The images (count, h, w) of an idx3 file of unsigned bytes, gzipped if its name says so."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    remedy = "fetch the file again"
    with parsing("an idx file", remedy), opener(path, "rb") as file:
        magic, count, height, width = struct.unpack(">4I", file.read(16))
    if magic != 0x803:
        raise InputError(f"starts with {magic:#x}, not with the 0x803 of idx images; is it the right file?")
    shape = (count, height, width)
    _check_points(shape, np.dtype(np.uint8))
    end = 16 + math.prod(shape)
    with parsing("an idx file", remedy), opener(path, "rb") as file:
        raw = file.read(end + 1)
        if len(raw) != end:
            raise ValueError(f"{'fewer' if len(raw) < end else 'more'} bytes than {count} images of {height}×{width}")
    return np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(shape)

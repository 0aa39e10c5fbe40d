"""Real data as laws: digits, Fashion-MNIST, `.npy` and `.npz` files, folders of images.

uint8 images become `x/127.5 − 1`; float images must lie in [−1, 1]; two-dimensional arrays are points and are taken as they are.
Nothing is ever unpickled.
"""

import gzip
import math
import os
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy_format
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from singtheory.errors import InputError, unknown_name
from singtheory.law import Atoms

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
WORKING_COPIES = 2
"""The points themselves, and one temporary of their size."""


@dataclass(frozen=True)
class Data:
    """A law with its name.

    Attributes:
        law: the points as rows.
        name: as given on the command line.
        image_shape: (h, w) or (h, w, c) if the points are images, else None.
    """

    law: Atoms
    name: str
    image_shape: tuple[int, ...] | None


def load(name: str) -> Data:
    """Data by name (`digits`, `fashion-mnist`, `fashion-mnist:FOLDER`) or from a `.npy` or `.npz` file or a folder of images.

    Raises:
        InputError: one line that names the input and the remedy.
    """
    if name == "digits":
        return digits()
    if name == "fashion-mnist" or name.startswith("fashion-mnist:"):
        folder = name.removeprefix("fashion-mnist").removeprefix(":")
        return fashion_mnist(Path(folder) if folder else FASHION_FOLDER)
    path = Path(name)
    if path.is_dir():
        return image_folder(path)
    if path.suffix in (".npy", ".npz"):
        return npy_file(path) if path.suffix == ".npy" else npz_file(path)
    if path.exists():
        raise InputError(f"{path}: not a .npy file, .npz file or folder of images; convert it to one of these")
    raise unknown_name("data", name, ["digits", "fashion-mnist", "fashion-mnist:FOLDER", "FILE.npy", "FILE.npz", "FOLDER"])


def digits() -> Data:
    """scikit-learn's 1797 handwritten digits, 8×8, scaled to [−1, 1]."""
    return Data(Atoms(digits_images().reshape(-1, 64)), "digits", (8, 8))


def digits_images() -> Tensor:
    """The images behind `digits`, shape (1797, 8, 8), in [−1, 1]."""
    from sklearn.datasets import load_digits

    return torch.as_tensor(load_digits().images, dtype=torch.float64) / 8 - 1


def digits_labels() -> Tensor:
    """The classes of `digits_images`, shape (1797,)."""
    from sklearn.datasets import load_digits

    return torch.as_tensor(load_digits().target)


def fashion_mnist(folder: Path = FASHION_FOLDER, split: str = "train") -> Data:
    """Fashion-MNIST, 28×28: 60,000 images (`train`) or 10,000 (`t10k`), from its idx files, compressed or not."""
    stem = f"{split}-images-idx3-ubyte"
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return _images(str(path), _read_idx(path), f"fashion-mnist:{folder}")
    raise InputError(
        f"fashion-mnist: no {stem}[.gz] in {folder}; Debian's package dataset-fashion-mnist provides it, "
        "or give fashion-mnist:FOLDER"
    )


def npy_file(path: Path) -> Data:
    """Points (n, d) or images (n, h, w[, c]) from a `.npy` file."""
    try:
        with path.open("rb") as file:
            version = npy_format.read_magic(file)
            header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = header(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a .npy file ({error})") from None
    _check_header(str(path), shape, dtype)
    return _data(path, _read_array(path, lambda: np.load(path, allow_pickle=False)), None)


def npz_file(path: Path) -> Data:
    """`points`, and `weights` if there are any, from a `.npz` file."""

    def read(key: str) -> np.ndarray:
        with np.load(path, allow_pickle=False) as archive:
            return archive[key]

    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = set(archive.files)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a .npz file ({_told(error)})") from None
    if "points" not in keys:
        raise InputError(f"{path}: holds {sorted(keys)} but no 'points'; save with np.savez(FILE, points=...)")
    points = _read_array(path, lambda: read("points"))
    weights = _read_array(path, lambda: read("weights")) if "weights" in keys else None
    _check_header(str(path), points.shape, points.dtype)
    return _data(path, points, weights)


def image_folder(folder: Path) -> Data:
    """All images of a folder, in the order of their names, of one size and one mode (grey or RGB)."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    first = _read_image(paths[0])
    check_memory(len(paths), first.size)
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for index, path in enumerate(paths):
        image = _read_image(path)
        if image.shape != first.shape:
            raise InputError(
                f"{path}: {_size(image)} beside {paths[0].name}: {_size(first)}; images must share one size and mode"
            )
        images[index] = image
    return _images(str(folder), images, str(folder))


def check_memory(count: int, dim: int, available: int | None = None) -> None:
    """Raise `InputError`, saying how many atoms fit, if `count` atoms of dimension `dim` exceed the memory.

    Args:
        count: how many points.
        dim: their dimension.
        available: bytes; asked from the system when not given.
    """
    available = _available_memory() if available is None else available
    each = max(1, dim) * 8 * WORKING_COPIES
    if count * each > available:
        raise InputError(
            f"{count} atoms of dimension {dim} need {count * each / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free: "
            f"{available // each} atoms fit, take a part of the data"
        )


def _available_memory() -> int:
    """Bytes that can be used without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read_array(path: Path, read) -> np.ndarray:
    try:
        return read()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {_told(error)}") from None


def _told(error: Exception) -> str:
    """numpy's message in one line; about pickles, what to do instead."""
    if "pickle" in str(error):
        return "holds pickled objects, which are never loaded; save numbers with np.save(FILE, array)"
    return " ".join(str(error).split()) or type(error).__name__


def _check_header(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse what cannot be data before it is loaded."""
    if dtype.hasobject:
        raise InputError(f"{name}: holds pickled objects, which are never loaded; save numbers with np.save(FILE, array)")
    if dtype.kind not in "biuf":
        raise InputError(f"{name}: holds {dtype}, need real numbers")
    if len(shape) not in (2, 3, 4):
        raise InputError(f"{name}: has shape {shape}; need points (n, d) or images (n, h, w) or (n, h, w, c)")
    if 0 in shape:
        raise InputError(f"{name}: has shape {shape}, so it is empty")
    check_memory(shape[0], math.prod(shape[1:]))


def _data(path: Path, array: np.ndarray, weights: np.ndarray | None) -> Data:
    """Points or images by the number of dimensions."""
    if array.ndim == 2:
        return Data(_atoms(str(path), array, weights), str(path), None)
    return _images(str(path), array, str(path), weights)


def _images(source: str, images: np.ndarray, name: str, weights: np.ndarray | None = None) -> Data:
    """Images (n, h, w[, c]) as rows in [−1, 1]."""
    if 0 in images.shape:
        raise InputError(f"{source}: has shape {images.shape}, so it is empty")
    check_memory(len(images), math.prod(images.shape[1:]))
    if images.dtype == np.uint8:
        scaled = images / 127.5 - 1
    elif images.dtype.kind == "f":
        low, high = float(np.min(images)), float(np.max(images))
        if low < -1 or high > 1:
            raise InputError(
                f"{source}: float images lie in [{low:.4g}, {high:.4g}]; scale them to [-1, 1] or save uint8 from 0 to 255"
            )
        scaled = images
    else:
        raise InputError(f"{source}: images of {images.dtype}; save uint8 from 0 to 255, or floats in [-1, 1]")
    return Data(_atoms(source, scaled.reshape(len(images), -1), weights), name, images.shape[1:])


def _atoms(source: str, points: np.ndarray, weights: np.ndarray | None) -> Atoms:
    """`Atoms`, with the file's name before what it refuses."""
    try:
        return Atoms(points.astype(np.float64), weights)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _read_idx(path: Path) -> np.ndarray:
    """The images of an idx3 file of unsigned bytes."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        magic, count, height, width = struct.unpack(">4I", raw[:16])
    except (OSError, EOFError, struct.error) as error:
        raise InputError(f"{path}: cannot be read as an idx file ({_told(error)})") from None
    if magic != 0x803:
        raise InputError(f"{path}: starts with {magic:#x}, not with the 0x803 of idx images; is it the right file?")
    if len(raw) != 16 + count * height * width:
        raise InputError(f"{path}: {len(raw) - 16} bytes for {count} images of {height}×{width}; it is cut short or damaged")
    return np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(count, height, width)


def _read_image(path: Path) -> np.ndarray:
    """One grey or RGB image, uint8, (h, w) or (h, w, 3)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                mode, pixels = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: cannot be read as an image ({_told(error)}); remove or repair it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{path}: has more pixels than pillow's limit; scale it down") from None
    if mode not in ("L", "RGB"):
        raise InputError(f"{path}: has mode {mode}; convert the images to grey (L) or RGB")
    return pixels


def _size(image: np.ndarray) -> str:
    height, width, *channels = image.shape
    return f"{width}×{height} {'RGB' if channels else 'grey'}"

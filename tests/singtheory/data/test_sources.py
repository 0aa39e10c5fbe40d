"""Loaders: what they read is what was written, and what they refuse is told in one line that names the file."""

import gzip
import io
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from singtheory import InputError
from singtheory.data import named_law, sources
from singtheory.numerics import LENGTHS
from tests.support.strategies import examples

NOISE = np.random.default_rng(0).integers(0, 256, (1, 32, 32), dtype=np.uint8)
"""One grey image that does not compress, so that every part of its file counts."""
IDX = "train-images-idx3-ubyte"
LOSSLESS = ["x.npy", "x.npz", "x.NPY", "x.NPZ", IDX, f"{IDX}.gz", "x.png", "x.PNG", "x.bmp", "x.tif"]
LOSSY = ["x.jpg", "x.gif", "x.webp"]
SIDE = st.integers(1, 4)
IMAGES = hnp.arrays(np.uint8, st.tuples(SIDE, SIDE, SIDE) | st.tuples(SIDE, SIDE, SIDE, st.just(3)))
POINTS = hnp.arrays(
    st.sampled_from(["<f8", ">f8", "<f4", ">f4", "f2", "u1", "i1", "<i8", ">i4", "bool"]),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements={"allow_nan": False, "allow_infinity": False},
).map(lambda points: np.where(_is_moderate(points.astype(float)), points, points.dtype.type(0)).astype(points.dtype))
"""Of every type; what lies beyond the domain, or so near 0 that a difference may, is 0."""


def _is_moderate(numbers: np.ndarray) -> np.ndarray:
    return (np.abs(numbers) >= 1e-10) & (np.abs(numbers) <= LENGTHS[1] / 2)


def idx(images: np.ndarray, magic: int = 0x803) -> bytes:
    return struct.pack(">4I", magic, *images.shape) + images.tobytes()


def packed(path: Path, content: bytes) -> Path:
    """`content` in a file, gzipped or as the `points` of an archive if its name says so."""
    if path.suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("points.npy", content)
    else:
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def npy_bytes(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    """A `.npy` file that ends where its numbers should begin."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def save(folder: Path, name: str, images: np.ndarray) -> tuple[str, Path]:
    """Save images in files of this kind: what `load` is given to read them, and the first file."""
    path = folder / name
    if name.lower().endswith((".npy", ".npz")):
        with path.open("wb") as file:
            np.save(file, images) if name.lower().endswith(".npy") else np.savez(file, points=images)
        return str(path), path
    if name.startswith(IDX):
        return f"fashion-mnist:{folder}", packed(path, idx(images))
    paths = [folder / f"{index}{name}" for index in range(len(images))]
    for image, file in zip(images, paths, strict=True):
        Image.fromarray(image).save(file)
    return str(folder), paths[0]


def refused(name: str | Path, *words: str, file: str | Path | None = None) -> None:
    """`load` refuses `name` in one line that begins with the file and holds the words."""
    with pytest.raises(InputError) as caught:
        sources.load(str(name))
    message = str(caught.value)
    assert message.startswith(f"{file or name}: ") and len(message.splitlines()) == 1
    for word in words:
        assert word in message


def test_digits_are_images_in_eighths_with_labels():
    loaded, images, labels = sources.load("digits"), sources.digits_images(), sources.digits_labels()
    points = loaded.law.points
    assert points.shape == (1797, 64) and points.dtype == torch.float64
    assert (loaded.name, loaded.image_shape) == ("digits", (8, 8))
    assert float(points.min()) == -1 and float(points.max()) == 1 and torch.equal(points * 8, (points * 8).round())
    assert images.shape == (1797, 8, 8) and torch.equal(images.reshape(1797, 64), points)
    assert labels.shape == (1797,) and sorted(set(labels.tolist())) == list(range(10))


def test_importing_the_loaders_imports_no_heavy_stranger():
    program = "import sys, singtheory.data.sources; print({'sklearn', 'diffusers', 'matplotlib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=examples(20))
@given(images=IMAGES)
def test_uint8_images_come_back_from_every_kind_of_file(kind, images):
    assume(images.ndim == 3 or IDX not in kind)
    with tempfile.TemporaryDirectory() as folder:
        name, _ = save(Path(folder), kind, images)
        loaded = sources.load(name)
    assert (loaded.name, loaded.image_shape) == (name, images.shape[1:])
    rows = loaded.law.points.numpy()
    assert rows.min() >= -1 and rows.max() <= 1
    assert np.array_equal(np.rint((rows + 1) * 127.5).reshape(images.shape), images)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_float_images_keep_their_values(tmp_path, dtype):
    images = np.linspace(-1, 1, 24).astype(dtype).reshape(2, 3, 4, 1)
    loaded = sources.load(str(packed(tmp_path / "x.npy", npy_bytes(images))))
    assert loaded.image_shape == (3, 4, 1)
    assert np.array_equal(loaded.law.points.numpy(), images.reshape(2, 12))


@given(points=POINTS, fortran=st.booleans(), write=st.sampled_from([np.savez, np.savez_compressed]), draw=st.data())
def test_points_of_every_number_type_and_weights_are_taken_as_they_are(points, fortran, write, draw):
    weights = draw.draw(hnp.arrays(st.sampled_from(["<f8", ">f8", "<i4"]), len(points), elements=st.integers(1, 9)))
    array = np.asfortranarray(points) if fortran else points
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npz"
        write(path, points=array, weights=weights)
        weighted, uniform = (
            sources.load(str(path)),
            sources.load(str(packed(path.with_suffix(".npy"), npy_bytes(array)))),
        )
    assert np.allclose(weighted.law.weights.numpy(), weights / weights.sum(), rtol=1e-15)
    assert np.allclose(uniform.law.weights.numpy(), 1 / len(points), rtol=1e-15)
    for loaded in (weighted, uniform):
        assert loaded.image_shape is None and loaded.law.points.is_contiguous()
        assert np.array_equal(loaded.law.points.numpy(), points.astype(float))


def test_a_file_of_python_2_loads_without_its_warning(tmp_path):
    modern = npy_header((2, 1))
    assert b"(2, 1), }  " in modern
    (tmp_path / "x.npy").write_bytes(modern.replace(b"(2, 1), }  ", b"(2L, 1L), }") + np.arange(2.0).tobytes())
    assert sources.load(str(tmp_path / "x.npy")).law.points.tolist() == [[0], [1]]


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(1.0), ("shape ()", "(n, d)")),
        (np.arange(3.0), ("shape (3,)", "(n, d)")),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), ("shape (2, 2, 2, 2, 2)", "(n, h, w, c)")),
        (np.zeros((0, 4)), ("shape (0, 4)", "empty")),
        (np.array([[0.0], [np.nan]]), ("NaN", "remove")),
        (np.array([[0.0, -np.inf]], "f4"), ("infinity", "remove")),
        (np.array([[[0.0, np.nan]]]), ("NaN",)),
        (np.array([[[0.0, np.inf]]]), ("infinity",)),
        (np.ones((2, 2), complex), ("complex128", "real numbers")),
        (np.array([["a", "b"]]), ("<U1", "real numbers")),
        (np.zeros((2, 2, 2), int), ("images of int64", "uint8")),
        (np.array([[[0.0, 255.0]]]), ("[0, 255]", "scale")),
        (np.array([[[-1.0, 1.0000001]]]), ("[-1, 1.0000001]", "scale")),
        (np.array([[[-1.5, 1.0]]]), ("[-1.5, 1]", "scale")),
    ],
)
def test_arrays_that_are_no_data_are_refused(tmp_path, name, array, words):
    refused(packed(tmp_path / name, npy_bytes(array)), *words)


@pytest.mark.skipif(np.finfo(np.longdouble).max <= np.finfo(float).max, reason="long double is float64 here")
def test_numbers_beyond_float64_are_refused_without_a_warning(tmp_path):
    refused(packed(tmp_path / "x.npy", npy_bytes(np.full((1, 1), np.finfo(np.longdouble).max))), "infinity")


class _Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_pickles_are_never_loaded(tmp_path):
    objects = np.array([_Bomb()], dtype=object)
    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes(pickle.dumps(_Bomb()))
        refused(tmp_path / name, "never loaded", "np.save")
        refused(packed(tmp_path / name, pickle.dumps(_Bomb())), "never loaded", "np.save")
        refused(packed(tmp_path / name, npy_bytes(objects[None])), "never loaded", "np.save")
    np.savez(tmp_path / "x.npz", points=np.eye(1), weights=objects)
    refused(tmp_path / "x.npz", "never loaded", "np.save")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0.5, -0.5], ("weights", "negative", "-0.5")),
        ([0.0, 0.0], ("weights", "sum to zero")),
        ([1.0], ("weights", "(1,)", "2 points")),
        ([[1.0], [1.0]], ("weights", "(2, 1)", "2 points")),
        (1.0, ("weights", "()", "2 points")),
        ([1.0, np.nan], ("weights", "NaN")),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path, weights, words):
    np.savez(tmp_path / "x.npz", points=np.eye(2), weights=np.array(weights))
    refused(tmp_path / "x.npz", *words)


def test_files_of_other_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.eye(2))
    refused(tmp_path / "x.npz", "['images']", "points=")
    refused(packed(tmp_path / "x.npy", 2 * npy_bytes(np.eye(2))), "more bytes")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.6])
@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_truncated_files_are_refused(tmp_path, kind, part):
    name, path = save(tmp_path, kind, NOISE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    in_folder = name == str(tmp_path)  # of which a share may be damaged, and none is left
    words = ("1 of 1 images cannot be used", path.name) if in_folder else ("cannot be read",)
    refused(name, *words, file=tmp_path if in_folder else path)


@settings(max_examples=examples(300))
@given(
    kind=st.sampled_from([*LOSSLESS, *LOSSY]),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_files_load_or_are_refused_in_one_line(kind, flips):
    with tempfile.TemporaryDirectory() as folder:
        name, path = save(Path(folder), kind, NOISE)
        raw = bytearray(path.read_bytes())
        for offset, value in flips:
            raw[offset] = value
        path.write_bytes(raw)
        try:
            assert sources.load(name).law.points.ndim == 2
        except InputError as error:
            assert str(error).startswith((f"{path}: ", f"{folder}: ")) and len(str(error).splitlines()) == 1


@pytest.mark.parametrize("offset", [100, 260, 4000, 30_000])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_a_flipped_bit_in_an_archive_is_found(tmp_path, write, offset):
    write(tmp_path / "x.npz", points=np.random.default_rng(0).normal(size=(500, 10)))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[offset] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    refused(tmp_path / "x.npz", "cannot be read")


@given(count=st.integers(1, 10**6), dim=st.integers(1, 10**5), available=st.integers(0, 10**12))
def test_the_number_of_atoms_said_to_fit_is_the_largest(count, dim, available):
    fit = available // (dim * 8 * named_law.WORKING_COPIES)
    sources.check_memory(fit, dim, available)
    for beyond in {fit + 1, fit + count}:
        with pytest.raises(InputError, match=rf"^{beyond} atoms of dimension {dim} need .*: {fit} atoms fit"):
            sources.check_memory(beyond, dim, available)


def test_available_memory_is_asked_from_proc_then_from_sysconf_and_else_unlimited(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    for hide in (lambda: None, lambda: monkeypatch.setattr(Path, "read_text", absent)):
        hide()
        sources.check_memory(1, 1)
        with pytest.raises(InputError, match="GiB are free"):
            sources.check_memory(10**12, 10**6)
    monkeypatch.delattr(sources.os, "sysconf")
    sources.check_memory(10**12, 10**6)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("shape", [(10**12, 784), (10**9, 100, 100, 3), (1, 10**15), (10**30, 2)])
def test_a_header_alone_is_enough_to_refuse_too_much(tmp_path, name, shape):
    refused(packed(tmp_path / name, npy_header(shape)), f"{shape[0]} atoms", "atoms fit")
    with zipfile.ZipFile(packed(tmp_path / "x.npz", npy_bytes(np.eye(2))), "a") as archive:
        archive.writestr("weights.npy", npy_header(shape[:1]))
    refused(tmp_path / "x.npz", f"weights of shape {shape[:1]} for 2 points")


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_loader_asks_for_memory_before_it_scales(tmp_path, monkeypatch, kind):
    name, path = save(tmp_path, kind, np.zeros((5, 3, 4), np.uint8))
    monkeypatch.setattr(named_law, "available_memory", lambda: 3 * 12 * 8 * named_law.WORKING_COPIES)
    monkeypatch.setattr(sources, "_rows", lambda *_: pytest.fail("scaled before memory was asked for"))
    refused(name, "5 atoms of dimension 12", "3 atoms fit", file=tmp_path if name == str(tmp_path) else path)


@pytest.mark.parametrize("name", [IDX, f"{IDX}.gz"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx(NOISE)[:-1], ("fewer bytes than 1 images of 32×32",)),
        (idx(NOISE) + b"\0", ("more bytes than 1 images of 32×32",)),
        (idx(NOISE, magic=0x801), ("0x801", "0x803")),
        (idx(NOISE[:0]), ("empty",)),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), ("atoms fit",)),
    ],
)
def test_idx_files_that_are_none_are_refused(tmp_path, name, content, words):
    refused(f"fashion-mnist:{tmp_path}", *words, file=packed(tmp_path / name, content))


def test_fashion_mnist_finds_its_folder_and_split(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "FASHION_FOLDER", tmp_path)
    refused("fashion-mnist", "dataset-fashion-mnist", "fashion-mnist:FOLDER", file=tmp_path)
    packed(tmp_path / f"{IDX}.gz", idx(np.full((1, 1, 1), 255, np.uint8)))
    packed(tmp_path / "t10k-images-idx3-ubyte", idx(np.zeros((2, 1, 1), np.uint8)))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert sources.load("fashion-mnist").name == "fashion-mnist"
    assert sources.load("fashion-mnist:~").law.points.tolist() == [[1]]
    assert sources.fashion_mnist(split="t10k").law.points.tolist() == [[-1], [-1]]
    with pytest.raises(InputError, match=r"unknown split 'trian': did you mean train\?"):
        sources.fashion_mnist(split="trian")


@pytest.mark.skipif(not sources.FASHION_FOLDER.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian():
    loaded = sources.fashion_mnist(split="t10k")
    with gzip.open(sources.FASHION_FOLDER / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(10_000, 784)
    assert loaded.image_shape == (28, 28)
    assert np.array_equal(loaded.law.points.numpy(), pixels / 127.5 - 1)


def test_folders_that_are_no_files_are_refused(tmp_path):
    (tmp_path / "x.npy").mkdir()
    refused(tmp_path / "x.npy", "cannot be read")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digit", "unknown data 'digit': did you mean digits"),
        ("", "unknown data ''"),
        ("a\nb", "unknown data"),
        ("x" * 5000, "unknown data"),
        ("missing.npy", "'missing.npy' does not exist; give"),
        ("no/such/folder", "'no/such/folder' does not exist; give"),
        ("no/such\nfolder", "does not exist"),
        ("nul\0.npz", "does not exist"),
        ("here.csv", "here.csv: not a .npy file, .npz file or folder of images; convert"),
        ("line\nbreak", "line break: holds no images"),
    ],
)
def test_other_names_are_refused_in_one_line(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.csv").write_text("1,2")
    (tmp_path / "line\nbreak").mkdir()
    with pytest.raises(InputError) as caught:
        sources.load(name)
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1

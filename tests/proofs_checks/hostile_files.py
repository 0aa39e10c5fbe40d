"""Files that no command may trust: arrays, archives, configurations, loss curves and folders of pictures."""

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from PIL import Image

from singtheory.schedule.schedules import STABLE_DIFFUSION

POINTS = np.random.default_rng(0).normal(size=(12, 2))


LOSS = {"snr": np.geomspace(1e-3, 2000, 12), "mse": np.full(12, 5.0)}


def npy(array, *, pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickle)
    return stream.getvalue()


def header(shape, descr="<f8", numbers: bytes = b"") -> bytes:
    """A `.npy` file whose header may promise more than follows."""
    stream = io.BytesIO()
    npy_format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + numbers


def raw_header(text: str, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """A `.npy` file with any text for a header, of any stated length."""
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text.encode()


def npz(method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _lying_archive() -> bytes:
    """Its directory says that the points are a hundred thousand times as many bytes as there are."""
    whole = npz(points=npy(POINTS))
    place, size = whole.index(b"PK\x01\x02"), len(npy(POINTS))
    assert whole[place + 24 : place + 28] == struct.pack("<I", size)
    return whole[: place + 24] + struct.pack("<I", 2**31 - 1) + whole[place + 28 :]


NPY = {
    "nan": npy(np.array([[0.0], [np.nan]])),
    "inf": npy(np.array([[0.0], [-np.inf]])),
    "object": npy(np.array([[None, 1]], dtype=object), pickle=True),
    "complex": npy(np.ones((3, 2), complex)),
    "structured": npy(np.zeros((3, 2), dtype=[("x", "<f8"), ("y", "<i4")])),
    "subarray": header((3,), "('<f8', (2,))"),
    "text": npy(np.array([["a", "b"]])),
    "dates": npy(np.array([["2020-01-01"]], dtype="M8[D]")),
    "empty": npy(np.zeros((0, 4))),
    "flat": npy(np.zeros((4, 0))),
    "scalar": npy(np.array(1.0)),
    "line": npy(np.arange(4.0)),
    "five": npy(np.zeros((2, 2, 2, 2, 2), np.uint8)),
    "images-int": npy(np.zeros((2, 2, 2), np.int32)),
    "images-far": npy(np.full((2, 2, 2), 255.0)),
    "constant": npy(np.ones((5, 3))),
    "huge": npy(POINTS * 1e80),
    "largest": npy(POINTS * 1e307),
    "tiny": npy(POINTS * 1e-160),
    "tiniest": npy(POINTS * 1e-300),
    "nothing": b"",
    "words": b"1, 2, 3\n4, 5, 6\n",
    "truncated": npy(POINTS)[:-5],
    "trailing": npy(POINTS) + b"\0",
    "promises": header((10**12, 784)),
    "promises-some": header((4000, 1000), numbers=bytes(800)),
    "promises-wide": header((1, 10**15)),
    "negative": raw_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 2), }\n"),
    "nested": raw_header("(" * 9000),
    "long-header": raw_header("{}", (2, 0), 2**32 - 1),
    "strange-version": raw_header("{}", (9, 0)),
    "not-a-dict": raw_header("[1, 2]\n"),
    "nul": b"\x93NUMPY" + bytes(100),
}
"""Names without the suffix, and contents, of files that are no points."""


NPZ = {
    "no-points": npz(images=npy(POINTS)),
    "no-arrays": npz(),
    "weights-negative": npz(points=npy(POINTS), weights=npy(-np.ones(12))),
    "weights-nan": npz(points=npy(POINTS), weights=npy(np.full(12, np.nan))),
    "weights-inf": npz(points=npy(POINTS), weights=npy(np.full(12, np.inf))),
    "weights-zero": npz(points=npy(POINTS), weights=npy(np.zeros(12))),
    "weights-few": npz(points=npy(POINTS), weights=npy(np.ones(3))),
    "weights-plane": npz(points=npy(POINTS), weights=npy(np.ones((12, 1)))),
    "weights-complex": npz(points=npy(POINTS), weights=npy(np.ones(12, complex))),
    "weights-object": npz(points=npy(POINTS), weights=npy(np.array([None] * 12), pickle=True)),
    "weights-promise": npz(points=npy(POINTS), weights=header((10**9,))),
    "bomb": npz(zipfile.ZIP_DEFLATED, points=header((12, 2), numbers=bytes(10**7))),
    "header-bomb": npz(zipfile.ZIP_DEFLATED, points=raw_header(" " * 10**7, (2, 0))),
    "promises": npz(points=header((4000, 1000))),
    "lies": _lying_archive(),
    "bzip2": npz(zipfile.ZIP_BZIP2, points=npy(POINTS)),
    "truncated": npz(points=npy(POINTS))[:-30],
    "nothing": b"",
    "words": b"PK but no archive",
}


FINE = {
    "half.npy": npy(POINTS.astype(np.float16)),
    "single.npy": npy(POINTS.astype(">f4")),
    "bools.npy": npy(POINTS > 0),
    "bytes.npy": npy((POINTS * 20).astype(np.int8)),
    "long-double.npy": npy(POINTS.astype(np.longdouble)),
    "fortran.npy": npy(np.asfortranarray(POINTS)),
    "[.npy": npy(POINTS),
    "[bold]x[/x].npy": npy(POINTS),
    "\x1b[31mred\x07.npy": npy(POINTS),
    "ünïcødé ☃ $x_{.npy": npy(POINTS),
    "weights-zero-some.npz": npz(points=npy(POINTS), weights=npy(np.r_[np.zeros(6), np.ones(6)])),
    "more.npz": npz(points=npy(POINTS), labels=npy(np.ones(12)), weight=npy(np.ones(12))),
}
"""Files that are points, however odd."""


def _config(**fields) -> str:
    return json.dumps({**STABLE_DIFFUSION, **fields})


CONFIGS = {
    "steps-zero": (_config(num_train_timesteps=0), "num_train_timesteps 0"),
    "steps-one": (_config(num_train_timesteps=1), "num_train_timesteps 1"),
    "steps-negative": (_config(num_train_timesteps=-5), "num_train_timesteps -5"),
    "steps-huge": (_config(num_train_timesteps=10**18), "num_train_timesteps 1000000000000000000"),
    "steps-beyond": (_config(num_train_timesteps=10**400), "num_train_timesteps"),
    "steps-text": (_config(num_train_timesteps="1000"), "num_train_timesteps 1000"),
    "steps-float": (_config(num_train_timesteps=1e3), "num_train_timesteps 1000.0"),
    "steps-list": (_config(num_train_timesteps=[1000]), "num_train_timesteps of 1 entries"),
    "steps-null": (_config(num_train_timesteps=None), "num_train_timesteps None"),
    "steps-true": (_config(num_train_timesteps=True), "num_train_timesteps True"),
    "start-text": (_config(beta_start="0.1"), "beta_start 0.1"),
    "start-zero": (_config(beta_start=0), "beta_start 0"),
    "start-tiny": (_config(beta_start=1e-300, beta_end=1e-300), "must decrease strictly"),
    "start-negative": (_config(beta_start=-0.1), "beta_start -0.1"),
    "start-nan": (_config(beta_start=float("nan")), "beta_start nan"),
    "start-object": (_config(beta_start={"a": 1}), "beta_start {…}"),
    "end-large": (_config(beta_end=2.0), "beta_end 2.0"),
    "end-infinite": (_config(beta_end=float("inf")), "beta_end inf"),
    "end-huge": (_config(beta_end=10**400), "beta_end"),
    "end-large-many": (_config(beta_end=0.9, num_train_timesteps=10**4), "must decrease strictly"),
    "rule-unknown": (_config(beta_schedule="linea"), "linear"),
    "rule-number": (_config(beta_schedule=3), "beta_schedule"),
    "rule-list": (_config(beta_schedule=["linear"]), "beta_schedule"),
    "trained-text": (_config(trained_betas="0.1"), "trained_betas"),
    "trained-empty": (_config(trained_betas=[]), "trained_betas"),
    "trained-nested": (_config(trained_betas=[[0.1], [0.2]]), "trained_betas[0]"),
    "trained-mixed": (_config(trained_betas=[0.1, "b"]), "trained_betas[1]"),
    "trained-number": (_config(trained_betas=0.1), "trained_betas 0.1"),
    "trained-few": (_config(trained_betas=[0.1, 0.2]), "2 for num_train_timesteps 1000"),
    "offset-negative": (_config(steps_offset=-1), "steps_offset -1"),
    "offset-huge": (_config(steps_offset=10**20), "steps_offset"),
    "offset-text": (_config(steps_offset="one"), "steps_offset one"),
    "offset-last": (_config(steps_offset=999), "take at most 1 steps"),
    "rescale-text": (_config(rescale_betas_zero_snr="false"), "rescale_betas_zero_snr false"),
    "alpha-text": (_config(set_alpha_to_one="no"), "set_alpha_to_one no"),
    "no-betas": ('{"_class_name": "FlowMatchEulerDiscreteScheduler"}', "rectified-flow"),
    "no-fields": ("{}", "has no beta_end"),
    "list": ("[1]", "holds no scheduler config but a list"),
    "number": ("1", "holds no scheduler config but a int"),
    "half": ('{"beta_start": ', "cannot be read"),
    "deep": ("[" * 100_000, "cannot be read"),
    "deep-object": ('{"a":' * 100_000, "cannot be read"),
    "digits": ('{"beta_start": ' + "1" * 5000 + "}", "cannot be read"),
    "twice": ('{"beta_start": 0.1, "beta_start": 0.2}', "'beta_start' is given twice"),
    "surrogate": ('{"_class_name": "\\ud800"}', "has no beta_end"),
    "nothing": ("", "cannot be read"),
}


LOSSES = {
    "nan": ({**LOSS, "mse": np.full(12, np.nan)}, "mse: holds NaN"),
    "negative": ({**LOSS, "mse": -np.ones(12)}, "mse: the smallest is -1"),
    "order": ({**LOSS, "snr": LOSS["snr"][::-1]}, "sort both"),
    "lengths": ({**LOSS, "mse": np.ones(3)}, "of one length"),
    "one": ({"snr": np.ones(1), "mse": np.ones(1)}, "two of one length or more"),
    "plane": ({**LOSS, "mse": np.ones((12, 1))}, "lists of numbers"),
    "scalar": ({**LOSS, "mse": np.ones(())}, "lists of numbers"),
    "empty": ({"snr": np.ones(0), "mse": np.ones(0)}, "two of one length or more"),
    "complex": ({**LOSS, "mse": np.ones(12, complex)}, "save real numbers"),
    "named": ({"gamma": np.ones(12), "mse": np.ones(12)}, "snr=..., mse=..."),
    "short": ({"snr": np.array([1.0, 2.0]), "mse": np.ones(2)}, "measure the loss there too"),
    "low": ({**LOSS, "mse": np.full(12, 1e-9)}, "impossible"),
    "huge": ({**LOSS, "snr": np.geomspace(1e-300, 1e300, 12), "mse": np.full(12, 1e-300)}, "nearer to the end"),
}


def build(folder: Path) -> None:
    """Write every file that the cases name."""
    for name, content in NPY.items():
        (folder / f"{name}.npy").write_bytes(content)
    for name, content in NPZ.items():
        (folder / f"{name}.npz").write_bytes(content)
    for name, content in FINE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    for name, (text, _) in CONFIGS.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    for name, (arrays, _) in LOSSES.items():
        np.savez(folder / f"loss-{name}.npz", **arrays)
    (folder / "latin.json").write_bytes('{"_class_name": "é"}'.encode("latin-1"))
    with open(folder / "sparse.json", "wb") as file:
        file.truncate(2**31)
    _odd_entries(folder)
    _picture_folders(folder)


def _odd_entries(folder: Path) -> None:
    """Pipes, loops, links to what never ends, and folders called like files."""
    for name in ("pipe.npy", "pipe.npz", "pipe.json", "pipe.csv"):
        os.mkfifo(folder / name)
    for name in ("loop.npy", "loop.json", "loop"):
        (folder / name).symlink_to(folder / name)
    for name in ("endless.npy", "endless.json", "endless.npz"):
        (folder / name).symlink_to("/dev/zero")
    for name in ("folder.npy", "folder.npz", "folder.json"):
        (folder / name).mkdir()
    (folder / "table.csv").write_text("1,2\n3,4\n")
    (folder / "file").write_text("a file where a folder is wanted")
    (folder / "report-folder").mkdir()
    (folder / "report-blocked").mkdir()
    (folder / "report-blocked" / "index.html").mkdir()


def _picture_folders(folder: Path) -> None:
    def pictures(name: str, *images: Image.Image, suffix: str = "png") -> Path:
        (folder / name).mkdir()
        for index, image in enumerate(images):
            image.save(folder / name / f"{index}.{suffix}")
        return folder / name

    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 4), dtype=np.uint8))
    pictures("no-pictures")
    pictures("sizes", grey, grey.resize((5, 3)))
    pictures("modes", grey, grey.convert("RGB"))
    pictures("sixteen", Image.fromarray(np.zeros((3, 4), np.uint16)), grey)
    pictures("alpha", grey.convert("RGBA"))
    pictures("all-equal", grey, grey)
    (pictures("words", grey) / "1.png").write_text("not a picture")
    half = pictures("half", grey) / "1.png"
    half.write_bytes((folder / "half" / "0.png").read_bytes()[:60])
    odd = pictures("odd", grey, grey.rotate(180))
    os.mkfifo(odd / "pipe.png")
    (odd / "loop.png").symlink_to(odd / "loop.png")
    (odd / "metadata.jsonl").write_text("{}")
    pictures("[", grey, grey.rotate(180))

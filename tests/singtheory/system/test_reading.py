"""Every file format that `singtheory` reads, damaged in thousands of ways: it is read, or refused in one line, soon, and in little memory."""

import io
import json
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from singtheory import InputError, schedule_named
from singtheory.data import sources
from singtheory.mmse.loss_curve import read_loss_curve
from singtheory.schedule.schedules import STABLE_DIFFUSION
from tests.support.strategies import json_values, mutated, mutations

MOST_BYTES, MOST_SECONDS = 48 * 2**20, 20.0
"""That reading a file of a few kilobytes may take, the seconds of the processor: a deflated byte becomes 1032 at most, and a float64 of a byte is eight."""
POINTS = np.random.default_rng(0).normal(size=(40, 3))
LOSS = {"snr": np.geomspace(1e-3, 100, 20), "mse": np.linspace(9, 1, 20)}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archived(save: Callable[..., None], **arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)).save(stream, "png")
    return stream.getvalue()


def rewrapped(*names: str) -> Callable[[bytes], bytes]:
    """A whole archive whose arrays are the damaged one."""

    def wrap(content: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(f"{name}.npy", content)
        return stream.getvalue()

    return wrap


@contextmanager
def bounded():
    """Fails if what is inside takes longer, or more memory at its peak, than stated."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        peak, seconds = tracemalloc.get_traced_memory()[1], time.process_time() - start
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES, f"{peak} bytes"
    assert seconds < MOST_SECONDS, f"{seconds} s"


def read_or_refused(read: Callable[[Path], object], name: str, content: bytes) -> bool:
    """Whether the file is read; if not, it was refused in one line that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with bounded():
            try:
                read(path)
            except InputError as error:
                message = str(error)
                assert message.startswith((f"{path}: ", f"{folder}: ")) and len(message.splitlines()) == 1
                assert len(message) < 5000
                return False
    return True


def load(path: Path) -> None:
    law = sources.load(str(path)).law
    assert law.points.isfinite().all() and abs(float(law.weights.sum()) - 1) < 1e-9


def load_folder(path: Path) -> None:
    load(path.parent)


def load_schedule(path: Path) -> None:
    alpha = schedule_named(str(path)).alpha(0.5)
    assert 0 <= float(alpha) <= 1


FORMATS = {
    "npy": (load, "x.npy", npy(POINTS), bytes),
    "npy-images": (load, "x.npy", npy(np.zeros((4, 5, 6), np.uint8)), bytes),
    "npz": (load, "x.npz", archived(np.savez, points=POINTS, weights=np.ones(40)), bytes),
    "npz-deflated": (load, "x.npz", archived(np.savez_compressed, points=POINTS, weights=np.ones(40)), bytes),
    "npz-inside": (load, "x.npz", npy(POINTS), rewrapped("points")),
    "npz-weights": (load, "x.npz", npy(np.ones((4, 1))), rewrapped("points", "weights")),
    "png": (load_folder, "x.png", png(), bytes),
    "config": (load_schedule, "scheduler_config.json", json.dumps(STABLE_DIFFUSION).encode(), bytes),
    "loss": (read_loss_curve, "loss.npz", archived(np.savez, **LOSS), bytes),
    "loss-inside": (read_loss_curve, "loss.npz", npy(LOSS["snr"]), rewrapped("snr", "mse")),
}
"""How a format is read, the name of its file, an undamaged one, and what is done to the damaged bytes before they are written."""


@pytest.mark.parametrize("name", FORMATS)
def test_undamaged_files_are_read(name):
    read, file, original, wrap = FORMATS[name]
    assert read_or_refused(read, file, wrap(original)) == (name != "npz-weights")


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(name):
    read, file, original, wrap = FORMATS[name]

    @settings(max_examples=mutations())
    @given(content=mutated(original))
    def one(content):
        read_or_refused(read, file, wrap(content))

    one()


FIELDS = (*STABLE_DIFFUSION, "trained_betas", "rescale_betas_zero_snr", "_class_name")


@settings(max_examples=mutations())
@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), json_values(), min_size=1, max_size=3),
    lost=st.sets(st.sampled_from(FIELDS)),
)
def test_configs_with_other_values_are_read_or_refused(fields, lost):
    config = {name: value for name, value in {**STABLE_DIFFUSION, **fields}.items() if name not in lost}
    read_or_refused(load_schedule, "scheduler_config.json", json.dumps(config).encode())

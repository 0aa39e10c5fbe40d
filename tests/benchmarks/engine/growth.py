"""`python -m tests.benchmarks.engine.growth --data fashion-mnist:FOLDER --out FILE`: time and memory of posteriors as data grow to a million, in a mapped file.

The data are shifted images of the given ones. Times are fitted as `N^p` in three regimes: moments, all atoms, few atoms. Memory is what
the process holds beside the file and before the first call. The result is `growth.json`.
"""

import json
import math
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singtheory.data import sources
from singtheory.law.laws import Atoms
from singtheory.system.files import write_json
from singtheory.system.result_origin import device_name
from tests.benchmarks.engine.posterior import versions
from tests.support.out_file import parser

RESULT = Path(__file__).parent / "growth.json"
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
REGIMES = {"moments": 0.0, "all atoms": 0.05, "few atoms": 20.0}
QUERIES, BLOCK, SHIFT = 64, 10_000, 3


def grown(images: np.ndarray, count: int, path: Path, seed: int = 0) -> None:
    """A .npy file of `count` images (n, side, side), bytes, each one of the given ones shifted at random; written block by block."""
    draws, shape = np.random.default_rng(seed), (count, *images.shape[1:])
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for first in range(0, count, BLOCK):
        block = images[draws.integers(len(images), size=min(BLOCK, count - first))]
        for down in range(-SHIFT, SHIFT + 1):
            rows = slice(
                (down + SHIFT) * len(block) // (2 * SHIFT + 1), (down + SHIFT + 1) * len(block) // (2 * SHIFT + 1)
            )
            block[rows] = np.roll(block[rows], (down, int(draws.integers(-SHIFT, SHIFT + 1))), axis=(1, 2))
        file[first : first + len(block)] = block
    file.flush()


def held() -> float:
    """Gigabytes of this process that are no file's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1e6


@contextmanager
def peak() -> Iterator[list[float]]:
    """Gigabytes beyond those at the start, at most, as the list's one number afterwards."""
    start, actual, over = held(), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            actual[0] = max(actual[0], held() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield actual
    finally:
        over.set()
        thread.join()


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """The median."""
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def asked(law: Atoms, gamma: float, count: int) -> Tensor:
    """Noised atoms, shape (count, d)."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(law._points.count, (count,), generator=generator)
    noise = torch.randn(count, law.dim, generator=generator, dtype=torch.float64)
    return gamma**0.5 * law._points.take(rows) + noise


def _answer(law: Atoms, z: Tensor, gamma: float) -> None:
    _ = law.posterior(z, gamma).mean


def at(path: Path, queries: int) -> dict[str, Any]:
    """One size."""
    with peak() as memory:
        law = sources.mapped(path).law
        start = time.perf_counter()
        for gamma in REGIMES.values():
            _answer(law, asked(law, gamma, 1), gamma)  # what is computed once
        set_up = time.perf_counter() - start
        repeats = 1 if law._points.count >= 10**6 else 3
        took = {}
        for name, gamma in REGIMES.items():
            z = asked(law, gamma, queries)
            took[name] = seconds(partial(_answer, law, z, gamma), repeats)
    return {"points": law._points.count, "set-up": set_up, "seconds": took, "peak memory, GB": memory[0]}


def exponent(rows: list[dict[str, Any]], regime: str) -> float:
    """Of N, by least squares in logarithms over the last three sizes."""
    x = [math.log(row["points"]) for row in rows[-3:]]
    y = [math.log(row["seconds"][regime]) for row in rows[-3:]]
    return statistics.linear_regression(x, y).slope


def measure(images: np.ndarray, counts: tuple[int, ...], queries: int) -> dict[str, Any]:
    """All sizes."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / "grown.npy"
            grown(images, count, path)
            rows.append(at(path, queries))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {"queries": queries, "rows": rows, "exponents": {name: exponent(rows, name) for name in REGIMES}}


def main() -> None:
    """On the CPU."""
    asks = parser(__doc__, RESULT)
    asks.add_argument("--data", default="fashion-mnist")
    arguments = asks.parse_args()
    known = sources.load(arguments.data)
    assert known.image_shape is not None
    images = ((known.law.points + 1) * 127.5).round().to(torch.uint8).unflatten(1, known.image_shape).numpy()
    result = {
        "command": "python -m tests.benchmarks.engine.growth --data fashion-mnist",
        "device": device_name("cpu"),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "seed": 0,
        **measure(images, COUNTS, QUERIES),
    }
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()

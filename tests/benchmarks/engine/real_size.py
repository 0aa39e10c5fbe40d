"""`python -m tests.benchmarks.engine.real_size --out FILE`: exact posteriors over a set of ImageNet-64's shape, 15.7 GB of bytes, on one GPU and on two.

Parts, each saved when it is done: the whole set, a thousand DDIM steps with its exact denoiser, one class, what others give on the same
queries, and two processes that hold half of the set each. Errors are held against products in float64 over all points, for the first
queries of each γ. The result is `real_size.json`; `test_real_size.py` runs the same at a small size on the CPU.
"""

import gc
import json
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from singtheory import Atoms, Cosine, InputError, Schedule
from singtheory.engine import Points
from singtheory.engine.scan import most_parts, scan
from singtheory.grid import grid_named
from singtheory.numerics import normal
from singtheory.sampler import DDIM, Denoiser
from singtheory.system.files import write_json
from singtheory.system.result_origin import device_name
from tests.benchmarks.engine.clock import seconds, waited
from tests.benchmarks.engine.posterior import profiled, timed, versions
from tests.benchmarks.engine.real_images import Images
from tests.benchmarks.engine.real_queries import TOL, Reference, Row, Sizes, memory, noised, say
from tests.benchmarks.engine.real_rivals import Faiss, GoldenBytes, Rival, Softmax
from tests.benchmarks.engine.real_shards import PROCESSES, process
from tests.support.out_file import parser

RESULT = Path(__file__).parent / "real_size.json"


FINE = (1e-12, 2e-12, 5e-12, 1e-11, 1e-10, 1e-9)
"""Tolerances of one class, of which the first that is certified is asked for."""
IMAGENET_64 = Sizes(Images(), (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 100.0), 64, 8, 8, 1000, 64, 5, "cuda")


class RealSize:
    """All parts, on what they share: the bytes, their queries and what float64 says of these.

    Args:
        sizes: how large everything is.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._references: dict[float, Reference] = {}
        self.answers: dict[float, Tensor] = {}

    @cached_property
    def points(self) -> Points:
        """The set, as bytes."""
        stored = self.sizes.images.bytes(self.sizes.device)
        return Points(stored, torch.full((len(stored),), 1 / len(stored), dtype=torch.float64, device=stored.device))

    def queries(self, gamma: float) -> tuple[Tensor, Tensor]:
        """Of the whole set."""
        return noised(self.points, gamma, self.sizes.queries, self.sizes.gammas.index(gamma))

    def reference(self, gamma: float) -> Reference:
        """Of the first of them."""
        if gamma not in self._references:
            self._references[gamma] = self._scanned(self.points, *self.queries(gamma))
        return self._references[gamma]

    def _scanned(self, points: Points, z: Tensor, snr: Tensor) -> Reference:
        z, snr = z[: self.sizes.checked], snr[: self.sizes.checked]
        start = waited(self.sizes.device)
        exact = scan(points, z, snr, most_parts(points))
        return Reference(exact.mean, exact.error_bound, waited(self.sizes.device) - start)

    # --- ours ---------------------------------------------------------------------------------------------------------

    def whole(self) -> Row:
        """The posteriors of the whole set at all γ, to 1e-6."""
        device = self.sizes.device
        result: Row = {"making the data, s": seconds(device, lambda: self.points)}
        law = Atoms.stored(self.points)
        z, snr = self.queries(self.sizes.gammas[-1])
        result["set-up, s"] = seconds(device, lambda: law.posterior(z, snr, tol=TOL).mean)
        result["bytes of data, GB"] = self.points.stored.nbytes / 1e9
        if device == "cuda":
            result["held, GB"] = torch.cuda.memory_allocated() / 1e9
        result["rows"] = [self._row(law, gamma, TOL) for gamma in self.sizes.gammas]
        return result

    def _row(self, law: Atoms, gamma: float, tol: float) -> Row:
        z, snr = self.queries(gamma)
        row = self._asked(law, z, snr, tol, self.reference(gamma))
        self.answers[gamma] = law.posterior(z, snr, tol=tol).mean
        return {"gamma": gamma} | row

    def _asked(self, law: Atoms, z: Tensor, snr: Tensor, tol: float, exact: Reference) -> Row:
        """One call's time, error and bound."""
        first = seconds(self.sizes.device, lambda: law.posterior(z, snr, tol=tol).mean)
        took = timed({"ours": lambda: law.posterior(z, snr, tol=tol).mean}, self.sizes.rounds, self.sizes.device)
        posterior, scale = law.posterior(z, snr, tol=tol), law._points.scale
        row = {
            "tol": tol,
            "milliseconds": statistics.median(took["ours"]),
            "first call, s": first,
            "float64 of the checked, s": exact.seconds,
            "error": exact.error(posterior.mean, scale),
            "bound": float(posterior.error_bound.max()) / scale,
            "beyond their bound": exact.beyond(posterior.mean, posterior.error_bound),
        }
        if self.sizes.device == "cuda":
            row["profile"] = profiled(lambda: law.posterior(z, snr, tol=tol).mean, 2)
        return say(row)

    def sampling(self) -> Row:
        """DDIM with the exact denoiser of the whole set, every step certified."""
        sizes, law, schedule = self.sizes, Atoms.stored(self.points), Cosine()
        bounds: list[Tensor] = []
        generator = torch.Generator().manual_seed(0)
        x = normal((sizes.samples, law.dim), law.device, generator)
        denoiser, times = certified(law, schedule, bounds), partial(grid_named, "trailing", schedule)
        # every way that is taken is prepared, and every kernel compiled
        prepared = seconds(sizes.device, lambda: DDIM(schedule).sample(denoiser, x, times(max(2, sizes.steps // 8))))
        bounds.clear()
        start, ended = waited(sizes.device), [0.0]
        progress = partial(show_progress, start=start, ended=ended)
        x_0 = DDIM(schedule).sample(denoiser, x, times(sizes.steps), progress=progress)
        took = waited(sizes.device) - start
        each = [1000 * (after - before) for before, after in pairwise(ended)]
        median = statistics.median(each)
        off = (x_0 + 1) * 127.5
        result = {
            "steps": sizes.steps,
            "samples": sizes.samples,
            "seconds": took,
            "milliseconds of a step": {"median": median, "largest": max(each)},
            "steps above twice the median": sum(one > 2 * median for one in each),
            "set-up by an eighth of the steps, s": prepared,
            "bound": float(torch.stack(bounds).max()) / law._points.scale,
            "largest distance of a pixel from a whole byte": float((off - off.round()).abs().max()),
        }
        return say(result)

    def one_class(self) -> Row:
        """The posteriors of one class, to 1e-6 and to 1e-12, or the least that is certified at this width."""
        sizes, rows = self.sizes, []
        first = 2 * sizes.images.of_class
        law = Atoms.stored(self.points).subset(torch.arange(first, first + sizes.images.of_class, device=sizes.device))
        for gamma in sizes.gammas:
            z, snr = noised(law._points, gamma, sizes.queries, 100 + sizes.gammas.index(gamma))
            exact = self._scanned(law._points, z, snr)
            fine = next(tol for tol in FINE if certifies(law, z, snr, tol))
            rows += [{"gamma": gamma} | self._asked(law, z, snr, tol, exact) for tol in (TOL, fine)]
        return {"points": law._points.count, "rows": rows}

    # --- others -------------------------------------------------------------------------------------------------------

    def rivals(self, name: str, count: int, gammas: tuple[float, ...], made: Callable[[], Rival]) -> Row:
        """One of them, on the first queries of the whole set."""
        device, scale = self.sizes.device, self.points.scale
        for gamma in gammas:
            self.reference(gamma)
        start = waited(device)
        rival, rows = made(), []
        set_up = waited(device) - start
        rounds = self.sizes.rounds if count == self.sizes.queries else 0
        for gamma in gammas:
            z = self.queries(gamma)[0][:count]
            ask = partial(rival, z, gamma)
            one = 1000 * seconds(device, ask)
            took = statistics.median(timed({name: ask}, rounds, device)[name]) if rounds else one
            rows.append(say({"gamma": gamma, "milliseconds": took, "error": self.reference(gamma).error(ask(), scale)}))
        return {"queries": count, "set-up, s": set_up, "rows": rows}

    # --- two processes ------------------------------------------------------------------------------------------------

    def together(self) -> Row:
        """The same queries asked of processes that hold a part of the set each, in their own memory."""
        for gamma in self.sizes.gammas:
            self.reference(gamma)
        with tempfile.TemporaryDirectory() as folder:
            asked = {gamma: self._shared(gamma) for gamma in self.sizes.gammas}
            torch.save(asked, Path(folder) / "asked.pt")
            self.__dict__.pop("points", None)  # which others need the memory of
            memory(self.sizes.device)
            spawn(process, (folder, self.sizes, torch.get_num_threads()), nprocs=PROCESSES)
            parts = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(PROCESSES)]
        return {"processes": PROCESSES} | parts[0] | {"peak memory, GB": [one.get("peak memory, GB") for one in parts]}

    def _shared(self, gamma: float) -> dict[str, Tensor]:
        exact, (z, snr) = self.reference(gamma), self.queries(gamma)
        known = {"z": z, "snr": snr, "exact": exact.mean, "bound": exact.bound}
        known |= {"alone": self.answers[gamma]} if gamma in self.answers else {}
        return {name: value.cpu() for name, value in known.items()}


def certifies(law: Atoms, z: Tensor, snr: Tensor, tol: float) -> bool:
    """Whether a tolerance is one that the arithmetic reaches."""
    try:
        return bool((law.posterior(z, snr, tol=tol).error_bound <= tol * law._points.scale).all())
    except InputError:
        return False


def certified(law: Atoms, schedule: Schedule, bounds: list[Tensor]) -> Denoiser:
    """The exact denoiser, which ends with an error where it cannot be certified, and keeps every bound."""

    def denoise(x_t: Tensor, t: float) -> Tensor:
        posterior = law.posterior(x_t / schedule.sigma(t), schedule.snr(t), tol=TOL)
        bounds.append(posterior.error_bound.max())
        return posterior.mean

    return denoise


def show_progress(done: int, total: int, start: float, ended: list[float]) -> None:
    """Note when a step ended, and show how far sampling is, twenty times."""
    ended.append(time.perf_counter() - start)
    if done % max(1, total // 20) == 0:
        print(f"step {done} of {total}, {ended[-1]:.1f} s", file=sys.stderr, flush=True)


def parts_of(all_: RealSize) -> dict[str, Callable[[], Row]]:
    """What is measured, the most wanted first."""
    sizes = all_.sizes
    softmax = "softmax in {} over all points"
    positive = tuple(gamma for gamma in sizes.gammas if gamma > 0)
    golden = partial(GoldenBytes, side=sizes.images.side, channels=sizes.images.channels)
    return {
        "whole": all_.whole,
        "sampling": all_.sampling,
        "one class": all_.one_class,
        **{
            softmax.format(name): partial(
                all_.rivals, name, sizes.queries, sizes.gammas, lambda dtype=dtype: Softmax(all_.points.stored, dtype)
            )
            for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32))
        },
        "GoldDiff's method": partial(
            all_.rivals, "GoldDiff", sizes.slow, sizes.gammas, lambda: golden(all_.points.stored)
        ),
        "two processes": all_.together,
        "FAISS on the CPU, 1024 nearest": partial(
            all_.rivals, "FAISS", sizes.slow, positive, lambda: Faiss(all_.points.stored)
        ),
    }


def measure(sizes: Sizes, out: Path, chosen: list[str] | None = None) -> Row:
    """All parts, or those chosen beside what the file holds of others; saved after each. A part that fails leaves one line."""
    result = json.loads(out.read_text()) if chosen and out.is_file() else {}
    result |= {
        "command": "python -m tests.benchmarks.engine.real_size",
        "device": device_name(sizes.device),
        "versions": versions(("torch", "triton", "faiss-cpu")),
        "seed": sizes.images.seed,
        "sizes": asdict(sizes),
    }
    all_ = RealSize(sizes)
    for name, part in parts_of(all_).items():
        if chosen and name not in chosen:
            continue
        print(f"{name}:", file=sys.stderr, flush=True)
        start = time.perf_counter()
        try:
            measured = part()
            result[name] = memory(sizes.device) | measured
        except Exception as error:  # of one part, which must not take the others' results along
            traceback.print_exc()
            result[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        gc.collect()
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        write_json(out, result)
    return result


def main() -> None:
    """On a GPU, or two."""
    asked = parser((__doc__ or "").splitlines()[0], RESULT)
    asked.add_argument("--parts", nargs="*", help="instead of all")
    arguments = asked.parse_args()
    if not torch.cuda.is_available():
        asked.error("no GPU here; test_real_size.py runs it on the CPU")
    torch.backends.cuda.matmul.allow_tf32 = False
    measure(IMAGENET_64, arguments.out, arguments.parts)


if __name__ == "__main__":
    main()

"""`python -m tests.benchmarks.engine.posterior gpu|cpu --data fashion-mnist:FOLDER --out FILE`: exact posteriors beside what they replace, in one run.

Every round times each way once, and the medians of a round's ratios are told, so that clocks and neighbours fall out. The results are
`posterior_gpu.json` and `posterior_cpu.json`; `test_posterior.py` runs the same at a small size. On a GPU random queries over all
regimes are then held against float64 as well.
"""

import json
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from singtheory.data import sources
from singtheory.engine.gpu import FusedEngine
from singtheory.engine.scan import most_parts, scan
from singtheory.law.laws import Atoms
from singtheory.system.files import write_json
from singtheory.system.result_origin import device_name
from tests.benchmarks.engine.clock import seconds, waited
from tests.benchmarks.engine.golden import Golden
from tests.benchmarks.engine.roofline import at_least, launched
from tests.support.out_file import parser

RESULT = Path(__file__).parent
GAMMAS = (0.0, 1e-4, 0.0047, 0.05, 0.5, 5.0, 20.0, 200.0)
QUERIES = {"gpu": 1024, "cpu": 256}
ROUNDS = {"gpu": 15, "cpu": 5}
RANDOM_QUERIES, MANY_QUERIES = 100_000, 1_000_000
FEW_POINTS = 8192
"""Over which the many random queries are asked: against float64 they take a tenth of the time, and the same ways."""
KERNELS = {
    "screen_kernel": "screen",
    "whole_screen_kernel": "screen",
    "tiles_kernel": "tiles",
    "nearest_kernel": "near",
    "apart_kernel": "near",
    "near_kernel": "near",
    "weigh_kernel": "weigh",
    "product_kernel": "products",
    "screen": "screen",
    "weigh": "weigh",
    "product": "products",
}
"""Triton's by their names, and those of `hopper`."""


def queries(law: Atoms, snr: float | Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noised atoms, shapes (count, d) and (count,)."""
    levels = torch.as_tensor(snr, dtype=torch.float64, device=law.device).expand(count)
    atoms = law.points[torch.randint(len(law.points), (count,), generator=generator, device=law.device)]
    noise = torch.randn(count, law.dim, generator=generator, device=law.device, dtype=torch.float64)
    return levels.sqrt()[:, None] * atoms + noise, levels


class Plain:
    """A softmax of inner products with all atoms, as anyone would write it.

    Args:
        points: shape (n, d), in the precision that is wanted.
    """

    def __init__(self, points: Tensor) -> None:
        self.points, self.half = points, points.square().sum(dim=1) / 2

    def mean(self, z: Tensor, snr: Tensor) -> Tensor:
        """Of queries (batch, d) at `snr` (batch,), in the same precision."""
        scaled = snr.sqrt()[:, None] * z
        return torch.softmax(torch.addmm(-snr[:, None] * self.half, scaled, self.points.mT), dim=1) @ self.points


def two_products(points: Tensor, count: int) -> Callable[[], Tensor]:
    """The floor: two dense products in bfloat16 of the same size, with nothing between them."""
    low = points.bfloat16()
    left, weights = low[:count].clone(), torch.rand(count, len(low), device=low.device).bfloat16()

    def products() -> Tensor:
        _ = left @ low.mT
        return weights @ low

    return products


def timed(ways: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Milliseconds, each way once a round, after three rounds to warm up."""
    actual: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(-3, rounds):
        for name, call in ways.items():
            took = 1000 * seconds(device, call)
            if round_ >= 0:
                actual[name].append(took)
    return actual


def profiled(call: Callable[[], Any], rounds: int = 5) -> dict[str, Any]:
    """What a call does on the card: milliseconds by kernel, and how many kernels there are."""
    call()
    activity = ProfilerActivity.CUDA if torch.cuda.is_available() else ProfilerActivity.CPU
    with profile(activities=[activity]) as seen:
        for _ in range(rounds):
            call()
        waited("cuda" if torch.cuda.is_available() else "cpu")
    took: Counter[str] = Counter()
    events = [event for event in seen.events() or [] if event.device_type == DeviceType.CUDA]
    for event in events:
        took[KERNELS.get(event.name, "others")] += event.device_time / 1000 / rounds
    return {"kernels": len(events) / rounds, "milliseconds": {name: round(ms, 4) for name, ms in took.most_common()}}


def least(law: Atoms, z: Tensor, snr: Tensor, tol: float) -> dict[str, dict[str, float]]:
    """What the products of a call take at least; nothing where it takes other ways."""
    engine = law._engine
    return at_least(engine, engine._looked(z, snr, tol).plan, len(z)) if isinstance(engine, FusedEngine) else {}


def ratio(took: dict[str, list[float]], other: str, ours: str) -> float:
    """How many times as long the other takes: the median over rounds."""
    return statistics.median(a / b for a, b in zip(took[other], took[ours], strict=True))


def at(law: Atoms, gamma: float, kind: str, count: int, rounds: int, generator: torch.Generator) -> dict[str, Any]:
    """One row: milliseconds, ratios, and errors relative to the size of the data."""
    z, snr = queries(law, gamma, count, generator)
    double = Plain(law.points)
    ways: dict[str, Callable[[], Any]] = {
        "float64": lambda: double.mean(z, snr),
        "ours, 1e-12": lambda: law.posterior(z, snr, tol=1e-12).mean,
    }
    if kind == "gpu":
        single, golden = Plain(law.points.float()), Golden(law.points, round(law.dim**0.5))
        z_single, snr_single = z.float(), snr.float()
        ways |= {
            "float32": lambda: single.mean(z_single, snr_single),
            "ours, 1e-6": lambda: law.posterior(z, snr).mean,
            "two products in bfloat16": two_products(law.points, count),
        }
    took = timed(ways, rounds, law.device.type)
    if kind == "gpu":
        took |= timed({"screen of GoldDiff": lambda: golden.mean(z, gamma)}, 3, law.device.type)
        ways["screen of GoldDiff"] = lambda: golden.mean(z, gamma)
    exact, scale = ways["ours, 1e-12"](), law._points.scale
    row: dict[str, Any] = {
        "gamma": gamma,
        "milliseconds": {name: statistics.median(values) for name, values in took.items()},
        "error": {
            name: float((ways[name]() - exact).norm(dim=1).max()) / scale
            for name in ways
            if name not in ("ours, 1e-12", "two products in bfloat16")
        },
        "bound": {"ours, 1e-12": float(law.posterior(z, snr, tol=1e-12).error_bound.max()) / scale},
        "times": {"float64 / ours, 1e-12": ratio(took, "float64", "ours, 1e-12")},
    }
    if kind == "gpu":
        row["profile"] = {
            name: profiled(ways[name]) | {"at least": least(law, z, snr, tol)}
            for name, tol in (("ours, 1e-6", 1e-6), ("ours, 1e-12", 1e-12))
        }
        row["bound"]["ours, 1e-6"] = float(law.posterior(z, snr).error_bound.max()) / scale
        row["times"]["float32 / ours, 1e-6"] = ratio(took, "float32", "ours, 1e-6")
        row["times"]["ours, 1e-6 / two products"] = ratio(took, "ours, 1e-6", "two products in bfloat16")
        row["times"]["GoldDiff / ours, 1e-6"] = (
            row["milliseconds"]["screen of GoldDiff"] / row["milliseconds"]["ours, 1e-6"]
        )
    return row


def held_against_float64(law: Atoms, count: int, batch: int, generator: torch.Generator) -> dict[str, Any]:
    """Random queries, log γ uniform in [−20, 10] and some at γ = 0, by both tolerances: the largest error in units of what is allowed.

    What they are held against is a scan in float64 in many parts, with a bound of its own that is allowed for too.
    """
    worst, violations, seen = {"1e-06": 0.0, "1e-12": 0.0}, 0, 0
    while seen < count:
        log_snr = 30 * torch.rand(batch, generator=generator, device=law.device, dtype=torch.float64) - 20
        snr = log_snr.exp() * (torch.rand(batch, generator=generator, device=law.device) > 0.02)
        z, snr = queries(law, snr, batch, generator)
        exact = scan(law._points, z, snr, most_parts(law._points))
        for tol in (1e-6, 1e-12):
            actual = law._engine.find(z, snr, tol)
            error = (actual.mean - exact.mean).norm(dim=1)
            allowed = actual.error_bound + exact.error_bound
            violations += int((~(error <= allowed)).sum())
            worst[f"{tol:.0e}"] = max(worst[f"{tol:.0e}"], float((error / allowed).max()))
        seen += batch
        if seen % (20 * batch) == 0:
            print(f"{seen} of {count} random queries, {violations} beyond their bound", file=sys.stderr, flush=True)
    return {"queries": seen, "violations": violations, "largest error / bound": worst}


def measure(law: Atoms, kind: str, count: int, rounds: int, seed: int = 0) -> dict[str, Any]:
    """All rows."""
    generator = torch.Generator(law.device).manual_seed(seed)
    rows = []
    for gamma in GAMMAS:
        rows.append(at(law, gamma, kind, count, rounds, generator))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {"queries": count, "rounds": rounds, "points": len(law.points), "dim": law.dim, "rows": rows}


def versions(names: Sequence[str] = ("torch", "triton")) -> dict[str, str]:
    """Of what the times depend on, as far as it is installed."""
    results = {}
    for name in names:
        try:
            results[name] = version(name)
        except PackageNotFoundError:
            continue
    return results


def main() -> None:
    """On the processor that is named."""
    asks = parser(__doc__, RESULT / "posterior_gpu.json")
    asks.add_argument("kind", choices=["gpu", "cpu"])
    asks.add_argument("--data", default="fashion-mnist")
    arguments = asks.parse_args()
    device = "cuda" if arguments.kind == "gpu" else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    law = sources.load(arguments.data).law.to(device)
    result = {
        "command": f"python -m tests.benchmarks.engine.posterior {arguments.kind} --data fashion-mnist",
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "seed": 0,
        **measure(law, arguments.kind, QUERIES[arguments.kind], ROUNDS[arguments.kind]),
    }
    if arguments.kind == "gpu":
        result["launch, milliseconds"] = launched()
        write_json(arguments.out, result)
        generator = torch.Generator(device).manual_seed(1)
        result["held against float64"] = held_against_float64(law, RANDOM_QUERIES, 1000, generator)
        write_json(arguments.out, result)
        few = law.subset(torch.arange(FEW_POINTS, device=device))
        held = held_against_float64(few, MANY_QUERIES, 1000, torch.Generator(device).manual_seed(2))
        result["held against float64, few points"] = {"points": FEW_POINTS, **held}
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()

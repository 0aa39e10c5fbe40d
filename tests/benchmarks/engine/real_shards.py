"""A set of real size whose halves lie in two processes: what one of them does."""

import statistics
import time
from pathlib import Path

import torch
import torch.distributed as dist

from singtheory import Atoms
from singtheory.system.files import write_json
from tests.benchmarks.engine.posterior import timed
from tests.benchmarks.engine.real_queries import TOL, Reference, Row, Sizes, memory, say

PROCESSES = 2


def process(rank: int, folder: str, sizes: Sizes, threads: int) -> None:
    """One of those that hold a part of the set each."""
    torch.set_num_threads(threads)  # as in one process: sums in other orders would draw other bytes
    device = f"{sizes.device}:{rank}" if sizes.device == "cuda" else sizes.device
    if sizes.device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if sizes.device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    half = -(-sizes.images.blocks // PROCESSES)
    blocks = range(rank * half, min(sizes.images.blocks, (rank + 1) * half))
    start = time.perf_counter()
    law = Atoms.sharded_bytes(sizes.images.bytes(device, blocks))
    result: Row = {"set-up, s": time.perf_counter() - start, "points of the first": law._points.count, "rows": []}
    scale = law._points.scale
    for gamma, known in torch.load(f"{folder}/asked.pt", weights_only=True).items():
        known = {name: value.to(device) for name, value in known.items()}
        z, snr = known["z"], known["snr"]
        took = timed({"ours": lambda z=z, snr=snr: law.posterior(z, snr, tol=TOL).mean}, sizes.rounds, sizes.device)
        posterior = law.posterior(z, snr, tol=TOL)
        exact = Reference(known["exact"], known["bound"], 0.0)
        row = {
            "gamma": gamma,
            "milliseconds": statistics.median(took["ours"]),
            "error": exact.error(posterior.mean, scale),
            "bound": float(posterior.error_bound.max()) / scale,
            "beyond their bound": exact.beyond(posterior.mean, posterior.error_bound),
        }
        if "alone" in known:
            row["distance from one process"] = float((posterior.mean - known["alone"]).norm(dim=1).max()) / scale
        result["rows"].append(say(row) if rank == 0 else row)
    write_json(Path(folder) / f"{rank}.json", result | memory(sizes.device))
    dist.destroy_process_group()

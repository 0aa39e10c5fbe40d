"""`python -m tests.benchmarks.any_data --sets 200 --out FOLDER`: `singtheory verify`, all claims, on many data sets; a summary as JSON.

Each set is written to the folder and verified by a process of its own, whose JSON and output stay there. A run that was interrupted goes
on where it stopped: sets that the summary holds are not done again. The summary is

    {"command", "device", "versions", "seed", "setting", "earlier": [settings of the interrupted runs], "sets": [{"set", "points", "dim", "exit", "seconds", "refuted": [ids], "undecided": [ids], "standing_twins": [[id, twin]],
    "message"}, …], "count", "with_refuted", "with_two_undecided", "with_standing_twins", "slowest"}

with exit status 2 and its message where the data hold nothing to measure, -1 where the time ran out, and -2 where it ended without a result.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from docs.experiments.script.arguments import add_out
from singtheory.system import write_json
from tests.benchmarks.origin import origin
from tests.support.data_sets import Set, all_sets


def verified(folder: Path, number: int, made: Set, options: list[str], limit: float) -> dict[str, Any]:
    """One row of the summary."""
    name, points, weights = made
    file, written = folder / f"{number:04d}.npz", folder / f"{number:04d}.json"
    if weights is None:
        np.savez(file, points=points)
    else:
        np.savez(file, points=points, weights=weights)
    command = [sys.executable, "-m", "proofs_checks", "verify", "--data", str(file), *options]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, "--json", str(written)],
            capture_output=True,
            text=True,
            timeout=limit,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        status, words = done.returncode, done.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        status, words = -1, [f"not done in {limit} s"]
    seconds = round(time.perf_counter() - start, 1)
    actual = json.loads(written.read_text())["claims"] if written.exists() else []
    if status in (0, 1, 3) and not actual:  # it ended like a verdict and left none
        status = -2
    row = {
        "set": name,
        "points": len(points),
        "dim": int(np.prod(points.shape[1:])),
        "exit": status,
        "seconds": seconds,
    }
    for verdict in ("refuted", "undecided"):
        row[verdict] = [claim["id"] for claim in actual if claim["verdict"] == verdict]
    row["standing_twins"] = [
        [claim["id"], twin["name"]] for claim in actual for twin in claim["false_twins"] if twin["verdict"] != "refuted"
    ]
    return row | {"message": " | ".join(words)[-2000:]}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows and their counts."""
    return {
        "count": len(rows),
        "with_refuted": [row["set"] for row in rows if row["refuted"]],
        "with_two_undecided": [row["set"] for row in rows if len(row["undecided"]) > 1],
        "with_standing_twins": [row["set"] for row in rows if row["standing_twins"]],
        "crashed": [row["set"] for row in rows if row["exit"] not in (0, 1, 2, 3)],
        "slowest": max((row["seconds"] for row in rows), default=0.0),
        "sets": rows,
    }


def _processor() -> str:
    """The model and the number of its cores, as far as the system says."""
    file = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in file.read_text().splitlines() if line.startswith("model name")]
        if file.exists()
        else []
    )
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    """Verify the sets that the summary does not hold yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the sets; another seed gives other sets")
    parser.add_argument("--claims", default="*")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a set")
    add_out(parser)
    arguments = parser.parse_args()
    file = arguments.out / "summary.json"
    before: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    rows: list[dict[str, Any]] = before.get("sets", [])
    known, options, saving = {row["set"] for row in rows}, ["--claims", arguments.claims], Lock()
    options += ["--device", arguments.device]
    libraries = ("numpy", "torch", "scikit-learn", "hypothesis")
    made = origin("tests.benchmarks.any_data", arguments.device, arguments.seed, libraries)
    made["setting"] = f"{arguments.jobs} processes side by side on {_processor()}"
    made["earlier"] = before.get("earlier", []) + ([f"{len(rows)} sets: {before['setting']}"] if before else [])

    def one(numbered: tuple[int, Set]) -> None:
        row = verified(arguments.out, *numbered, options, arguments.limit)
        with saving:
            rows.append(row)
            write_json(file, made | summary(sorted(rows, key=lambda r: r["set"])))
        print({k: v for k, v in row.items() if k != "message"}, flush=True)

    left = [(k, made) for k, made in enumerate(all_sets(arguments.sets, arguments.seed)) if made[0] not in known]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one, left))


if __name__ == "__main__":
    main()

"""`python -m tests.benchmarks.trainer.convergence`: how far the class-conditional networks are from the class means of the digits, second by second.

The distance is `‖E ȳ − μ‖/‖μ‖` over all classes together, the dependence on x_1 is pure error (C9); the result is `convergence.json`.
"""

import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from singdiffusion.training.build import build_network
from singdiffusion.training.cache import Cache
from singdiffusion.training.diagnostics import frequent, measure
from singdiffusion.training.train import Trainer
from singtheory.system import write_json
from singtheory.system.result_origin import device_name
from tests.singdiffusion.support.runs import CONVERGENCE, cached, settings
from tests.support.out_file import asked

RESULT = Path(__file__).parent / "convergence.json"
EVERY = 100


def curve(model: str, other: dict[str, Any], folder: Path, cache: Path) -> list[dict[str, float]]:
    """Distance, dependence and seconds of training alone, at every hundredth step."""
    chosen = settings(cache, folder / model, model=model, batch=64, save_every=10**9, **other)
    opened = Cache.open(cache)
    one = Trainer(chosen, opened, build_network(chosen, opened), Accelerator(cpu=True))
    results: list[dict[str, float]] = []
    spent, since = 0.0, time.perf_counter()

    def note(run: Trainer, _: object) -> None:
        nonlocal spent, since
        if run.step % EVERY and run.step != chosen.steps:
            return
        spent += time.perf_counter() - since
        with run.ema.swapped():
            seen = measure(run.network.eval(), run.data, frequent(run.data.cache))
        run.network.train()
        results.append(
            {"step": run.step, "seconds": spent, "distance": seen.distance or 0.0, "dependence": seen.dependence}
        )
        print(model, results[-1], file=sys.stderr, flush=True)
        since = time.perf_counter()

    one.fit(note)
    return results


def main() -> None:
    """On the CPU. The result goes to `--out`."""
    out = asked(__doc__, RESULT)
    with tempfile.TemporaryDirectory() as folder:
        cache = cached(Path(folder) / "cache")
        curves = {model: curve(model, other, Path(folder), cache) for model, other in CONVERGENCE}
    result = {
        "command": "python -m tests.benchmarks.trainer.convergence",
        "device": device_name("cpu"),
        "versions": {name: version(name) for name in ("torch", "diffusers")},
        "seed": 0,
        "curves": curves,
    }
    write_json(out, result)


if __name__ == "__main__":
    main()

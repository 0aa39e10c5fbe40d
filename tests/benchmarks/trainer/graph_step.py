"""`python -m tests.benchmarks.trainer.graph_step --data DATA`: the decoder's training with its passes recorded and replayed, beside the same as it is written.

DATA are the demonstrator's pictures: a cache of `singdiffusion cache`, or what it reads. Both runs have the settings of the demonstrator's average image,
the same batches and the same weights at the start, and take turns in blocks of steps: rates are medians over the blocks, the gain the median of the
ratios of neighbours. Losses are compared step by step, and in the end those of the averaged weights over a fixed part of the data, beside which
stands a third run, as it is written too, that shows what rounding alone does. The result is `graph_step.json`, written after each batch size;
`test_graph_step.py` runs the same at a tiny size on the CPU.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from singdiffusion.training.cache import Cache
from singdiffusion.training.passes import Replayed
from singdiffusion.training.train import Trainer
from singtheory.system.device import check_device
from singtheory.system.files import write_json
from tests.benchmarks.origin import origin
from tests.benchmarks.trainer.equal_loss import Measured, Sizes, opened
from tests.benchmarks.trainer.training import EnoughError, rate, say, settings, trainer
from tests.support.out_file import parser

RESULT = Path(__file__).parent / "graph_step.json"
DECODER = {"width": 128, "layers": 3, "spread_width": 256, "spread_layers": 2, "lr": 2e-3, "warmup": 200}
"""Of the demonstrator's average image."""
_EARLY = 20
"""Steps of which each loss is compared: later ones differ as any two runs on a GPU do."""


@dataclass(frozen=True)
class Amounts:
    """How much is done."""

    batches: tuple[int, ...] = (32, 256)
    block: int = 60
    blocks: int = 5


def steps_of(one: Trainer, count: int) -> list[float]:
    """Take so many steps as a run does, the next batch fetched meanwhile; their losses, read once they are all done."""
    losses: list[Any] = []
    end = one.step + count

    def after(run: Trainer, its: Any) -> None:
        losses.append(its.total)
        if run.step == end:
            raise EnoughError

    with contextlib.suppress(EnoughError):
        one.fit(after)
    return [float(loss) for loss in losses]


def compare(cache: Cache, folder: Path, sizes: Sizes, amounts: Amounts) -> dict[str, Any]:
    """Rates, gain and losses at one batch size."""
    runs = {
        name: trainer(settings(sizes, cache.folder, folder / name, graph=name == "recorded", **DECODER), cache)
        for name in ("as written", "recorded", "as written, again")
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    losses: dict[str, list[float]] = {name: [] for name in runs}

    def block(name: str) -> None:
        losses[name] += steps_of(runs[name], amounts.block)

    for _ in range(amounts.blocks):
        for name in runs:
            rates[name].append(rate(amounts.block * sizes.batch, sizes.device, partial(block, name)))
        say(sizes.batch, {name: round(each[-1]) for name, each in rates.items()})
    measured = Measured.of(cache, sizes)
    final = {name: measured.loss(one) for name, one in runs.items()}
    plain, recorded, again = losses.values()
    return {
        "recorded": isinstance(runs["recorded"].passes, Replayed) and runs["recorded"].passes.recordings > 0,
        "examples a second": {name: statistics.median(each[1:]) for name, each in rates.items()},
        "milliseconds a step": {name: 1000 * sizes.batch / statistics.median(each[1:]) for name, each in rates.items()},
        "times as many": statistics.median(
            mine / other for mine, other in zip(rates["recorded"][1:], rates["as written"][1:], strict=True)
        ),
        "steps": runs["recorded"].step,
        "final loss": final,
        f"largest difference of a loss in the first {_EARLY} steps": _apart(recorded, plain),
        f"the same of two runs as written, in the first {_EARLY} steps": _apart(again, plain),
    }


def _apart(one: list[float], other: list[float]) -> float:
    """In units of the losses."""
    return max(abs(a - b) / abs(b) for a, b in zip(one[:_EARLY], other[:_EARLY], strict=True))


def measure(
    data: str, folder: Path, sizes: Sizes, amounts: Amounts, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """All batch sizes; what is there is saved after each."""
    cache = opened(data, folder / "cache", sizes)
    actual: dict[str, Any] = {
        "setting": f"{len(cache)} examples of {sizes.side}×{sizes.side}, {len(cache.captions) - 1} captions, {sizes.precision} precision, "
        f"blocks of {amounts.block} steps, the first of which is not counted"
    }
    for batch in amounts.batches:
        actual[f"batch {batch}"] = compare(cache, folder / str(batch), replace(sizes, batch=batch), amounts)
        save(actual)
    return actual


def main() -> None:
    """On a GPU, in bfloat16. The result goes to `--out`."""
    asks = parser(__doc__, RESULT)
    asks.add_argument("--data", required=True)
    asks.add_argument("--blocks", type=int, default=Amounts.blocks)
    arguments = asks.parse_args()
    check_device("cuda")
    about = origin("tests.benchmarks.trainer.graph_step", "cuda")
    sizes = Sizes({}, 32, 256, 1024, 0.0, (DECODER["lr"],), "bf16", "cuda")
    with tempfile.TemporaryDirectory() as folder:
        actual = measure(
            arguments.data,
            Path(folder),
            sizes,
            Amounts(blocks=arguments.blocks),
            lambda part: write_json(arguments.out, about | part),
        )
    say(actual)


if __name__ == "__main__":
    main()

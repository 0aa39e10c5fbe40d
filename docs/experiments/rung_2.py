"""`python -m docs.experiments.rung_2 --data fashion.npz.xz`: the ladder's second rung, Fashion-MNIST by class name and without.

The network was trained on a GPU by `docs.experiments.train`; its weights are in docs/experiments/ladder/fashion/. Here it is sampled on the CPU from
every start, beside C7's law and the exact denoiser. Nothing names a background: the class alone says how bright a picture is.
Writes docs/experiments/ladder/fashion.json.
"""

import argparse
import time
from pathlib import Path

from docs.experiments.captioned import read
from docs.experiments.model import Denoiser
from docs.experiments.prompts import FASHION
from docs.experiments.results import Result, origin, quiet
from docs.experiments.small_rung import measured

FOLDER = Path(__file__).parent / "ladder"


def main() -> None:
    """With its arguments."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", default="fashion-mnist", help="packed, or fashion-mnist[:FOLDER]")
    asked.add_argument("--model", type=Path, default=FOLDER / "fashion")
    asked.add_argument("--out", type=Path, default=FOLDER, help="folder")
    asked.add_argument("--steps", type=int, default=25, help="of the sampler")
    asked.add_argument("--samples", type=int, default=32, help="a cell")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    quiet()
    since, data = time.perf_counter(), read(given.data)
    result = Result(given.out / "fashion.json", origin("docs.experiments.rung_2", "cpu", given.seed))
    measured(
        Denoiser.load(given.model), data, ["", *FASHION.open], result, given.samples, given.steps, (1.0,), given.seed
    )
    result.add("seconds", time.perf_counter() - since)


if __name__ == "__main__":
    main()

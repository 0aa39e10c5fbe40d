"""The ladder's committed results, as its page reads them."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from docs.book.result import result
from docs.experiments.ladder.cells import Cells
from docs.experiments.ladder.summary import FOLDER
from docs.experiments.ladder.train import MARKS

_COMMANDS = {
    "summary": "summary --data openmoji.npz.xz --out FILE",
    "learned": "learned --out DIR",
    "directions": "directions --data openmoji.npz.xz --out FILE",
    "openmoji": "evaluate --models DIR --data openmoji.npz.xz --out DIR",
    "second/openmoji": "evaluate --models DIR --data openmoji.npz.xz --out DIR",
    "train": "train --data openmoji.npz.xz --out DIR",
    "second/train": "train --data openmoji.npz.xz --out DIR --stop-at STEP",
    "predicted": "predict --data openmoji.npz.xz --result FILE --out FILE",
    "collapse": "collapse --data openmoji.npz.xz --out DIR",
    "digits": "digits --out DIR",
    "second/digits": "again FIRST.json SECOND.json --out FILE",
    "fashion": "fashion --out DIR",
}
"""Files by name, in the order of `Results`, and what makes each."""


@dataclass(frozen=True)
class Results:
    """The committed results, by what they are of."""

    summary: Any
    learned: Any
    directions: Any
    core: Any
    second: Any
    train: Any
    second_train: Any
    predicted: Any
    collapse: Any
    digits: Any
    digits_again: Any
    fashion: Any

    @classmethod
    def read(cls) -> Self:
        """All of them. Raises `docs.book.result.ResultError` for one that is missing or damaged."""
        return cls(
            *(
                result(f"docs/experiments/results/ladder/{name}.json", f"python -m docs.experiments.ladder.{command}")
                for name, command in _COMMANDS.items()
            )
        )

    def cells(self) -> Cells:
        """The cells of the first run, with the brightness of every sample."""
        return Cells.load(FOLDER / "openmoji.npz", self.core["cells"])

    @property
    def stage_steps(self) -> dict[str, int]:
        """Steps of training at each stage; the middle one's by its share of the time."""
        made = self.train["demonstrator"]
        log = [(0.0, 0), *((one["seconds"], one["step"]) for one in made["log"])]
        middle = np.interp(MARKS[1] * made["seconds"], [second for second, _ in log], [step for _, step in log])
        return {"early": self.second_train["early"]["steps"], "middle": round(float(middle)), "end": made["steps"]}

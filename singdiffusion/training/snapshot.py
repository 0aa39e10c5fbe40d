"""Checkpoints of a run: weights, averaged weights and the optimiser as safetensors, the rest as JSON; each appears whole or not at all.

All random numbers of a step, and the examples that it takes, follow from the seed and the number of the step. So that number is the
state of the generators, of the learning rate and of the data, and nothing of them needs to be stored.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from singdiffusion.system import Kind, check_fields, drafts_of, first_sentence, mapping, new_folder, read_object, whole
from singtheory.errors import InputError
from singtheory.system import write_json

_STEP = r"step-\d{8,}"
_TENSORS = ("weights", "ema", "optimizer")
_PLAIN = ("settings", "data", "param_groups", "scaler")
_STATE = {
    "step": whole(0, 2**40),
    "settings": mapping(),
    "data": mapping(),
    "param_groups": Kind("a list of groups", lambda x: isinstance(x, list) and all(isinstance(one, dict) for one in x)),
    "scaler": mapping(optional=True),
}


@dataclass(frozen=True)
class Snapshot:
    """The state of a run after some steps.

    Attributes:
        step: how many have been taken.
        weights: of the network, by name.
        ema: their running average, by name.
        optimizer: its tensors by name.
        state: the rest in plain values: `settings`, the `data` they were for, the optimiser's `param_groups`, the `scaler` of float16.
    """

    step: int
    weights: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]

    def save(self, run: Path, keep: int) -> None:
        """Write it, and remove all but the last few.

        Raises:
            InputError: if it cannot be written; those before are untouched then.
        """
        with new_folder(_folder(run, self.step)) as draft:
            for name in _TENSORS:
                save_file(
                    {key: value.contiguous() for key, value in getattr(self, name).items()},
                    draft / f"{name}.safetensors",
                )
            write_json(draft / "state.json", {"step": self.step} | self.state)
        for old in _stored(run)[:-keep]:
            shutil.rmtree(old, ignore_errors=True)  # what cannot be removed is no reason to stop

    @classmethod
    def latest(cls, run: Path) -> "Snapshot | None":
        """The newest of a run, or None. Raises `InputError` for one that is damaged."""
        stored = _stored(run)
        return cls._load(stored[-1]) if stored else None

    @classmethod
    def _load(cls, folder: Path) -> "Snapshot":
        stored = read_object(folder / "state.json")
        try:
            check_fields(stored, _STATE, "field of a checkpoint")
            tensors = {name: load_file(folder / f"{name}.safetensors") for name in _TENSORS}
            return cls(stored["step"], **tensors, state={name: stored[name] for name in _PLAIN})
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(
                f"{folder}: damaged ({first_sentence(error)}); remove it to go on from the one before"
            ) from None


def has_snapshots(run: Path) -> bool:
    """Whether a folder holds a checkpoint of a run."""
    return bool(_stored(run))


def clear_drafts(run: Path) -> None:
    """Remove what a killed process has left half written, by the names that it gave."""
    for folder, names in ((run / "checkpoints", _STEP), (run, "model")):
        for draft in drafts_of(folder, names) if folder.is_dir() else ():
            shutil.rmtree(draft, ignore_errors=True)


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:08}"


def _stored(run: Path) -> list[Path]:
    """The checkpoints, the newest last; a folder of another name, such as a copy that somebody keeps, is none."""
    folder = run / "checkpoints"
    paths = [path for path in folder.iterdir() if re.fullmatch(_STEP, path.name)] if folder.is_dir() else []
    return sorted((path for path in paths if path.is_dir()), key=lambda path: int(path.name.split("-")[1]))

"""Result files: JSON with where it comes from, written again and again as a run goes on."""

import json
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from singtheory.system import device_name, write_json

HEAD = ("version", "command", "device", "versions", "seed")
"""What every result carries of the run that made it."""
_PACKAGES = ("singdiffusion", "torch", "diffusers", "transformers", "accelerate")
RESULTS = Path(__file__).parents[1] / "results"
"""The folder of what is committed, with one for each experiment."""
_MOVED = json.loads((RESULTS / "modules.json").read_text(encoding="utf-8"))
"""Where the modules stand today that made committed results under another name: by that name, below this package."""


def present(command: str) -> str:
    """The command of a result by today's name of its module; a result keeps the command that was run."""
    python, flag, module, *arguments = command.split(" ")
    package, name = module.rsplit(".", 1)
    name = _MOVED.get(name, name) if package == "docs.experiments" else name
    return " ".join([python, flag, f"{package}.{name}", *arguments])


def origin(module: str, device: str, seed: int) -> dict[str, Any]:
    """`HEAD`. Files and folders of the command keep their last name alone.

    Args:
        module: that was run with this process's arguments.
        device: a name that torch knows.
        seed: of all random draws.
    """
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "version": versions.pop("singdiffusion"),
        "command": shlex.join(["python", "-m", module, *map(_shown, sys.argv[1:])]),
        "device": device_name(device),
        "versions": versions,
        "seed": seed,
    }


def _shown(word: str) -> str:
    """A word of the command; where a folder of this machine lies is nobody's business."""
    return Path(word).name if word.startswith(("/", "~", ".")) else word


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "from source"


def quiet() -> None:
    """Leave the libraries' advice and bars out of a run's output."""
    import diffusers
    import transformers

    for one in (diffusers, transformers):
        one.logging.set_verbosity_error()
        one.logging.disable_progress_bar()


class Result:
    """A result that grows.

    Args:
        path: of the JSON.
        head: where it comes from, as `origin`.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path, self.content = path, dict(head)

    @classmethod
    def continued(cls, path: Path, head: dict[str, Any]) -> Self:
        """With what the file holds from runs before, each listed under `earlier` with its `parts`; a part that is added again is the new run's."""
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not before:
            return cls(path, head)
        kept = {name: value for name, value in before.items() if name not in (*HEAD, "earlier")}
        return cls(path, head | {"earlier": runs_of(before)} | kept)

    def add(self, name: str, value: Any) -> None:
        """Note it and write the file."""
        self.content[name] = value
        if "earlier" in self.content:
            runs = [run | {"parts": [part for part in run["parts"] if part != name]} for run in self.content["earlier"]]
            self.content["earlier"] = [run for run in runs if run["parts"]]
        write_json(self.path, self.content)


def runs_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that made a result, the newest last: what `origin` gives for each, and its `parts`."""
    earlier = content.get("earlier", [])
    taken = {*HEAD, "earlier", *(part for run in earlier for part in run["parts"])}
    newest = {name: content[name] for name in HEAD} | {"parts": [name for name in content if name not in taken]}
    return [*earlier, newest]


def run_of(content: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The run that made a part of a result."""
    return next(run for run in runs_of(content) if part in run["parts"])

"""Result files: JSON with where it comes from, written again and again as a run goes on."""

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from singtheory.files import write_json
from singtheory.provenance import device_name

_PACKAGES = ("singdiffusion", "torch", "diffusers", "transformers", "accelerate")


def origin(module: str, device: str, seed: int) -> dict[str, Any]:
    """What every result carries: `command`, `device`, `versions`, `version`, `seed`. Files and folders of the command keep their last name alone.

    Args:
        module: that was run with this process's arguments.
        device: a name that torch knows.
        seed: of all random draws.
    """
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "version": versions.pop("singdiffusion"),
        "command": shlex.join(["python", "-m", module, *(Path(word).name or word for word in sys.argv[1:])]),
        "device": device_name(device),
        "versions": versions,
        "seed": seed,
    }


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
        told: where it comes from, as `origin`.
    """

    def __init__(self, path: Path, told: dict[str, Any]) -> None:
        self.path, self.content = path, dict(told)

    @classmethod
    def continued(cls, path: Path, told: dict[str, Any]) -> Self:
        """With what the file holds from other parts of the same run; all commands are kept, and the last is `command`."""
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        commands = [*before.get("commands", [before["command"]] if before else []), told["command"]]
        return cls(path, before | told | {"commands": list(dict.fromkeys(commands))})

    def add(self, name: str, value: Any) -> None:
        """Note it and write the file."""
        self.content[name] = value
        write_json(self.path, self.content)

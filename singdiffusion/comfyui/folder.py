"""The folder by which ComfyUI finds the nodes: one that imports this package, with example workflows."""

import hashlib
import json
import os
import tempfile
from importlib import resources
from pathlib import Path

from singdiffusion.system import first_sentence, new_folder, read_object
from singtheory.errors import InputError

NAME = "singdiffusion"
"""Of the folder among ComfyUI's `custom_nodes`."""
EXAMPLES = "example_workflows"
"""Where ComfyUI looks for workflows of a custom node, with a picture of the same name."""
_MANIFEST = "installed.json"
_IMPORTS = '''"""Written by `singdiffusion comfyui install`, which replaces it when it is called again."""

from singdiffusion.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
'''


def files() -> dict[str, bytes]:
    """What is written, by the path within the folder."""
    examples = resources.files("singdiffusion.comfyui") / "workflows"
    found = {
        f"{EXAMPLES}/{file.name}": file.read_bytes()
        for file in sorted(examples.iterdir(), key=lambda file: file.name)
        if file.name.endswith((".json", ".jpg"))
    }
    return {"__init__.py": _IMPORTS.encode()} | found


def install(folder: str | Path) -> Path:
    """Write the folder into ComfyUI's `custom_nodes`, whole or not at all.

    A folder that an earlier call wrote, and nobody changed since, is replaced.

    Args:
        folder: ComfyUI's, its base directory, or `custom_nodes` itself.

    Returns:
        What was written.

    Raises:
        InputError: for a folder that is none of these, for a folder of that name with anything else in it, and where it cannot be written.
    """
    target = _custom_nodes(Path(folder)) / NAME
    written = files()
    if not os.path.lexists(target) or (not target.is_symlink() and target.is_dir() and not any(target.iterdir())):
        with new_folder(target) as draft:
            _write(draft, written)
        return target
    _refuse_foreign(target)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{NAME}.") as temporary:
            draft, before = Path(temporary) / "new", Path(temporary) / "before"
            draft.mkdir()
            _write(draft, written)
            target.replace(before)
            try:
                draft.replace(target)
            except OSError:
                before.replace(target)
                raise
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or first_sentence(error)})") from None
    return target


def _custom_nodes(folder: Path) -> Path:
    if folder.is_dir() and folder.name == "custom_nodes":
        return folder.absolute()
    if (folder / "custom_nodes").is_dir():
        return (folder / "custom_nodes").absolute()
    raise InputError(f"{folder}: holds no custom_nodes; give ComfyUI's folder, in which main.py and custom_nodes lie")


def _write(folder: Path, written: dict[str, bytes]) -> None:
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    for name, content in (written | {_MANIFEST: json.dumps(manifest, indent=1).encode()}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _refuse_foreign(target: Path) -> None:
    """Raise `InputError` unless all that lies there was written by an earlier call, as it is."""
    if target.is_symlink() or not (target / _MANIFEST).is_file():
        raise InputError(f"{target}: was not written by this command; move it away first")
    manifest = read_object(target / _MANIFEST)
    for file in sorted(target.rglob("*")):
        name = file.relative_to(target).as_posix()
        if file.is_dir() or name == _MANIFEST or "__pycache__" in file.parts:
            continue
        if manifest.get(name) != hashlib.sha256(file.read_bytes()).hexdigest():
            raise InputError(f"{target}: {name} was added or changed since it was installed; move it away first")

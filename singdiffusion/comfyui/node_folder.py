"""The folder by which ComfyUI finds the nodes: one that imports this package, with example workflows."""

from importlib import resources
from pathlib import Path

from singdiffusion.system import installed_folder
from singtheory.errors import InputError

EXAMPLES = "example_workflows"
"""Where ComfyUI looks for workflows of a custom node, with a picture of the same name."""
_IMPORTS = '''"""Written by `singdiffusion comfyui install`, which replaces it when it is called again."""

from singdiffusion.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
'''


def files() -> dict[str, bytes]:
    """What is written, by the path within the folder."""
    examples = resources.files("singdiffusion.comfyui") / "workflows"
    files = {
        f"{EXAMPLES}/{file.name}": file.read_bytes()
        for file in sorted(examples.iterdir(), key=lambda file: file.name)
        if file.name.endswith((".json", ".jpg"))
    }
    return {"__init__.py": _IMPORTS.encode()} | files


def install(folder: str | Path) -> Path:
    """Write the folder into ComfyUI's `custom_nodes`, whole or not at all.

    Args:
        folder: ComfyUI's, its base directory, or `custom_nodes` itself.

    Returns:
        What was written.

    Raises:
        InputError: for a folder that is none of these, and as `installed_folder`.
    """
    target = _custom_nodes(Path(folder)) / "singdiffusion"
    installed_folder(target, files())
    return target


def _custom_nodes(folder: Path) -> Path:
    if folder.is_dir() and folder.name == "custom_nodes":
        return folder.absolute()
    if (folder / "custom_nodes").is_dir():
        return (folder / "custom_nodes").absolute()
    raise InputError(f"{folder}: holds no custom_nodes; give ComfyUI's folder, in which main.py and custom_nodes lie")

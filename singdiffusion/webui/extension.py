"""The extension's folder, as the web UI wants it: `extensions/singdiffusion/scripts/singular_start.py`."""

import sys
from importlib import resources
from pathlib import Path

from singdiffusion.system import installed_folder
from singtheory.errors import InputError

_PLACE = 'PYTHON = "python3"'


def files(python: str) -> dict[str, bytes]:
    """What is written, by the path within the folder; the script asks the package in `python`."""
    script = (resources.files("singdiffusion.webui") / "scripts" / "singular_start.py").read_text(encoding="utf-8")
    return {"scripts/singular_start.py": script.replace(_PLACE, f"PYTHON = {python!r}", 1).encode()}


def install(folder: str | Path) -> Path:
    """Write the extension, whole or not at all.

    Args:
        folder: of the web UI.

    Returns:
        What was written.

    Raises:
        InputError: for a folder that is none of a web UI, and as `installed_folder`.
    """
    extensions = Path(folder) / "extensions"
    if not extensions.is_dir():
        raise InputError(
            f"{folder}: holds no extensions; give the web UI's folder, in which webui.py and extensions lie"
        )
    target = extensions.absolute() / "singdiffusion"
    installed_folder(target, files(sys.executable))
    return target

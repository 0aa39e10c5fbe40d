"""The node that loads an average image."""

from pathlib import Path
from typing import Any

from singdiffusion.average import AverageModel, load_average
from singdiffusion.comfyui.inputs import AVERAGE, CATEGORY
from singtheory.errors import InputError


class LoadAverageImage:
    """The node."""

    RETURN_TYPES = (AVERAGE,)
    FUNCTION = "load"
    CATEGORY = CATEGORY
    DESCRIPTION = "An average image, or a spread that `singdiffusion calibrate` measured: its folder or hub id."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sockets."""
        where = {"default": "", "tooltip": "Folder that train, calibrate or convert wrote, or a hub id."}
        return {"required": {"path": ("STRING", where)}}

    @classmethod
    def IS_CHANGED(cls, path: str) -> float:
        """When a file of the folder was last changed; ComfyUI loads it again where this differs."""
        folder = Path(path.strip())
        return max((file.stat().st_mtime for file in folder.glob("*")), default=0.0) if folder.is_dir() else 0.0

    def load(self, path: str) -> tuple[AverageModel]:
        """What runs. Raises `InputError` as `load_average`."""
        if not path.strip():
            raise InputError("path: is empty; give the folder of an average image, or its hub id")
        return (load_average(path.strip()).eval(),)

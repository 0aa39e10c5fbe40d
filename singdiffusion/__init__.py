"""The production side of the toolkit: the singular initial step on diffusers, and average images for it.

`SingDiffusion` attaches the singular step to a pipeline, `initial_latents` gives it for any scheduler of diffusers, `first_step` for those that match flows; `AverageTable`,
`AverageUNet`, `AverageDecoder` and `AverageStatistics` are average images, `load_average` loads either. The mathematics is in `singtheory`, the checked claims are in
`proofs_checks`. Names are imported when they are first used, so that a command answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singdiffusion.average import (
        Average,
        AverageDecoder,
        AverageImage,
        AverageStatistics,
        AverageTable,
        AverageUNet,
        load_average,
    )
    from singdiffusion.base import schedule_of
    from singdiffusion.start import SingDiffusion, first_point, first_step, initial_latents

__version__: str
_FOLDERS = ("average", "start", "base")
"""The folders whose doors export what stands in `__all__`."""
__all__ = [
    "Average",
    "AverageDecoder",
    "AverageImage",
    "AverageStatistics",
    "AverageTable",
    "AverageUNet",
    "SingDiffusion",
    "first_point",
    "first_step",
    "initial_latents",
    "load_average",
    "schedule_of",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("singdiffusion")
    if name in __all__:
        for folder in _FOLDERS:
            door = _door(folder, name)
            if name in door.__all__:
                return getattr(door, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _door(folder: str, name: str) -> Any:
    """A folder of the package; what is not installed is named together with what it was wanted for."""
    try:
        return importlib.import_module(f"{__name__}.{folder}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("", "singdiffusion", "singtheory"):
            raise
        raise ModuleNotFoundError(
            f"singdiffusion.{name} needs {missing}, which is not installed; pip install singdiffusion", name=error.name
        ) from None

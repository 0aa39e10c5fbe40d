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
_FOLDERS = {
    "Average": "average",
    "AverageDecoder": "average",
    "AverageImage": "average",
    "AverageStatistics": "average",
    "AverageTable": "average",
    "AverageUNet": "average",
    "SingDiffusion": "start",
    "first_point": "start",
    "first_step": "start",
    "initial_latents": "start",
    "load_average": "average",
    "schedule_of": "base",
}
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
    if name not in _FOLDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        folder = importlib.import_module(f"{__name__}.{_FOLDERS[name]}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("", "singdiffusion", "singtheory"):
            raise
        raise ModuleNotFoundError(
            f"singdiffusion.{name} needs {missing}, which is not installed; pip install singdiffusion", name=error.name
        ) from None
    return getattr(folder, name)

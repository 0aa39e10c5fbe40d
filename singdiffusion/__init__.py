"""The production side of the toolkit: the singular initial step on diffusers, and average images for it.

`SingDiffusion` attaches the singular step to a pipeline, `initial_latents` gives it for any scheduler of diffusers, `first_step` for those that match flows; `AverageTable`,
`AverageUNet`, `AverageDecoder` and `AverageStatistics` are average images, `load_average` loads either. The mathematics is in `singtheory`, the checked claims are in
`proofs_checks`. Names are imported when they are first used, so that a command answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singdiffusion.average import Average, AverageImage, load_average
    from singdiffusion.decoder import AverageDecoder
    from singdiffusion.flow import first_step
    from singdiffusion.initial import first_point, initial_latents
    from singdiffusion.pipeline import SingDiffusion
    from singdiffusion.schedule import schedule_of
    from singdiffusion.statistics import AverageStatistics
    from singdiffusion.table import AverageTable
    from singdiffusion.time_free import AverageUNet

__version__: str
_ROOMS = {
    "Average": "average",
    "AverageDecoder": "decoder",
    "AverageImage": "average",
    "AverageStatistics": "statistics",
    "AverageTable": "table",
    "AverageUNet": "time_free",
    "SingDiffusion": "pipeline",
    "first_point": "initial",
    "first_step": "flow",
    "initial_latents": "initial",
    "load_average": "average",
    "schedule_of": "schedule",
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
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)

"""The mathematics of diffusion models at the two ends of time.

Names, and the folders they live in, are imported when they are first used: what reads an error's class or writes a file need not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singtheory.errors import InputError
    from singtheory.estimate import Estimate
    from singtheory.kernel import ReverseKernel
    from singtheory.law import Atoms, Gaussian, GaussianMixture, Law
    from singtheory.schedule import (
        Cosine,
        Discrete,
        LinearVP,
        Power,
        RectifiedFlow,
        Schedule,
        VarianceExploding,
        schedule_named,
    )

__version__: str
__all__ = [
    "Atoms",
    "Cosine",
    "Discrete",
    "Estimate",
    "Gaussian",
    "GaussianMixture",
    "InputError",
    "Law",
    "LinearVP",
    "Power",
    "RectifiedFlow",
    "ReverseKernel",
    "Schedule",
    "VarianceExploding",
    "schedule_named",
]
_HOMES = {"Estimate": "estimate", "InputError": "errors", "ReverseKernel": "kernel"} | dict.fromkeys(
    ("Atoms", "Gaussian", "GaussianMixture", "Law"), "law"
)
"""Where a name of `__all__` lives, if not in `schedule`."""


def __getattr__(name: str) -> Any:
    if name == "__version__":  # asked for when it is wanted: sources that are not installed have none
        return importlib.import_module("importlib.metadata").version("singdiffusion")
    if name in __all__:
        home = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'schedule')}")
        return globals().setdefault(name, getattr(home, name))
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The mathematics of diffusion models at the two ends of time."""

from importlib.metadata import version

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


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return version("singdiffusion")  # asked for when it is wanted: sources that are not installed have none

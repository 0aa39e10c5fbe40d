"""The mathematics of diffusion models at the two ends of time."""

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

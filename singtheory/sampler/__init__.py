"""Samplers, from noise to data, and the noise that they draw."""

from singtheory.sampler.methods import DDIM, DDPM, ODE, Matched, Sampler, exact_denoiser
from singtheory.sampler.widening import (
    Denoiser,
    Diagonal,
    Exact,
    Lanczos,
    LowRank,
    Variances,
    Widening,
    Work,
    jacobian_product,
)

__all__ = [
    "DDIM",
    "DDPM",
    "ODE",
    "Denoiser",
    "Diagonal",
    "Exact",
    "Lanczos",
    "LowRank",
    "Matched",
    "Sampler",
    "Variances",
    "Widening",
    "Work",
    "exact_denoiser",
    "jacobian_product",
]

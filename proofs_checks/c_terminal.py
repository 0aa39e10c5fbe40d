"""Claims C1 to C9: the end t = 1, in the order of the theory."""

from proofs_checks import c_denoiser, c_drift, c_guidance, c_singular_step, c_spread

__all__ = ["c_denoiser", "c_drift", "c_guidance", "c_singular_step", "c_spread"]

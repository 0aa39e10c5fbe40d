"""Claims C1 to C9: the end t = 1, in the order of the theory."""

from proofs_checks.claims.c import c1_c2_denoiser, c3_c4_drift, c5_c6_singular_step, c7_spread, c8_c9_guidance

__all__ = ["c1_c2_denoiser", "c3_c4_drift", "c5_c6_singular_step", "c7_spread", "c8_c9_guidance"]

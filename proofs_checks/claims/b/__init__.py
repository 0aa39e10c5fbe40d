"""The claims B: the Gaussian reverse-process error, in files by subject."""

from proofs_checks.claims.b import (
    b1_b2_b3_bounds,
    b4_b5_b6_identities,
    b7_b11_sharpness,
    b8_budget,
    b9_b10_pairs,
    b12_variation,
)

__all__ = ["b1_b2_b3_bounds", "b4_b5_b6_identities", "b7_b11_sharpness", "b8_budget", "b9_b10_pairs", "b12_variation"]

"""The claims B: the Gaussian reverse-process error, in files by subject."""

from proofs_checks import b_bounds, b_budget, b_identities, b_pairs, b_sharpness, b_variation

__all__ = ["b_bounds", "b_budget", "b_identities", "b_pairs", "b_sharpness", "b_variation"]

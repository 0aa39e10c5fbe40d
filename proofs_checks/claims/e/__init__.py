"""Claims E1 to E3: samplers, in the order of the theory."""

from proofs_checks.claims.e import e1_ddim, e2_grid, e3_matched

__all__ = ["e1_ddim", "e2_grid", "e3_matched"]

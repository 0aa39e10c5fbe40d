"""Claims E1 and E2: samplers, in the order of the theory."""

from proofs_checks.claims.e import e1_ddim, e2_grid

__all__ = ["e1_ddim", "e2_grid"]

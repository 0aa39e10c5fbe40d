"""Claims E1 and E2: samplers, in the order of the theory."""

from proofs_checks import e_ddim, e_grid

__all__ = ["e_ddim", "e_grid"]

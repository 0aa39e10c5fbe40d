"""Claims D1 to D6: the end t = 0, in the order of the theory."""

from proofs_checks.claims.d import d1_d2_atoms, d3_d4_inherent, d5_dynamics, d6_epsilon

__all__ = ["d1_d2_atoms", "d3_d4_inherent", "d5_dynamics", "d6_epsilon"]

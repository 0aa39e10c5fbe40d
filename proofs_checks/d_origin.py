"""Claims D1 to D6: the end t = 0, in the order of the theory."""

from proofs_checks import d_atoms, d_dynamics, d_epsilon, d_inherent

__all__ = ["d_atoms", "d_dynamics", "d_epsilon", "d_inherent"]

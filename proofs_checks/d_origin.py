"""Claims D1 to D4: the end t = 0, in the order of theory.md."""

from proofs_checks import d_atoms, d_inherent

__all__ = ["d_atoms", "d_inherent"]

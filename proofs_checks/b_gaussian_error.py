"""Claims B1 to B10: the Gaussian reverse-process error, in two files by subject."""

from proofs_checks import b_bounds, b_identities

__all__ = ["b_bounds", "b_identities"]

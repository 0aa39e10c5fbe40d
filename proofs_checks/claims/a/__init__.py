"""Group A: the forward process, the bridge and the reverse kernel; importing it registers its claims."""

from proofs_checks.claims.a import a1_a5_kernels

__all__ = ["a1_a5_kernels"]

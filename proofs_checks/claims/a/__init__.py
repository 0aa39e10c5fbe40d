"""Group A: the forward process, the bridge and the reverse kernel; importing it registers its claims."""

from proofs_checks.claims.a import a1_a2_a3_forward, a4_a5_reverse

__all__ = ["a1_a2_a3_forward", "a4_a5_reverse"]

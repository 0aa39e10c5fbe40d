"""Group F: what each step keeps; importing it registers its claims."""

from proofs_checks import f_cosine

__all__ = ["f_cosine"]

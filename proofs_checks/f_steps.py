"""Group F: what each step keeps; importing it registers its claims."""

from proofs_checks import f_any_law, f_cosine, f_ends, f_grids, f_samplers

__all__ = ["f_any_law", "f_cosine", "f_ends", "f_grids", "f_samplers"]

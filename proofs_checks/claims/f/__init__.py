"""Group F: what each step keeps; importing it registers its claims."""

from proofs_checks.claims.f import f1_f2_f3_cosine, f4_f5_f7_ends, f6_f8_grids, f9_f10_samplers, f11_any_law

__all__ = ["f1_f2_f3_cosine", "f4_f5_f7_ends", "f6_f8_grids", "f9_f10_samplers", "f11_any_law"]

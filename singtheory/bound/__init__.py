"""Bounds on the Gaussian reverse-process error: the ladder B2, B3, B5, B6, B9, B10 and B12."""

from singtheory.bound.ladder import (
    LADDER,
    Bound,
    bound_named,
    evaluate_ladder,
    kl_chi2,
    kl_family,
    kl_family_at,
    kl_moment_small_gap,
    kl_pair_lower,
    kl_pair_upper,
    kl_small_gap,
    kl_trace,
    skewness2,
    tv_chi2,
    tv_family,
    tv_norm,
    tv_trace,
)
from singtheory.bound.pairwise import BETAS, MAX_ATOMS, core, separated
from singtheory.bound.step_table import Row, check_queries, step_rows
from singtheory.bound.variation import lower, moments_tv, projected

__all__ = [
    "BETAS",
    "LADDER",
    "MAX_ATOMS",
    "Bound",
    "Row",
    "bound_named",
    "check_queries",
    "core",
    "evaluate_ladder",
    "kl_chi2",
    "kl_family",
    "kl_family_at",
    "kl_moment_small_gap",
    "kl_pair_lower",
    "kl_pair_upper",
    "kl_small_gap",
    "kl_trace",
    "lower",
    "moments_tv",
    "projected",
    "separated",
    "skewness2",
    "step_rows",
    "tv_chi2",
    "tv_family",
    "tv_norm",
    "tv_trace",
]

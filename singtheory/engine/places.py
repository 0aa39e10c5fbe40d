"""Where a kernel finds each number: the place of every constant in its tensor and of every row in its table, read from the tuples that name them.

Kernels load `known + at.ASKING_GOAL` and store to `numbers + at.LOOK_TOP * batch + query`, never a place by number. A field that is added or moved
in `rounding` or `rows` has its new place here at the next import.
"""

# pyright: reportMissingImports=false

from typing import NamedTuple

import triton.language as tl

from singtheory.engine import rounding
from singtheory.engine.rounding import Asking, Expansion, Nearness, Weighing
from singtheory.engine.rows import (
    AskedRows,
    DigitRows,
    Look,
    MomentRows,
    NearRows,
    Plan,
    SumRows,
    TileRows,
)  # fmt: skip


def _place(kind: type[NamedTuple], field: str) -> "tl.constexpr":
    """The place of a field among the fields, as a constant that kernels may read."""
    return tl.constexpr(kind._fields.index(field))


ASKING_PER_NORM = _place(Asking, "per_norm")
ASKING_PER_REST = _place(Asking, "per_rest")
ASKING_PER_SNR = _place(Asking, "per_snr")
ASKING_WEIGHTS = _place(Asking, "weights")
ASKING_RADIUS = _place(Asking, "radius")
ASKING_VARIANCE = _place(Asking, "variance")
ASKING_ROUNDING = _place(Asking, "rounding")
ASKING_CONSTANT = _place(Asking, "constant")
ASKING_UNIT = _place(Asking, "unit")
ASKING_BASE = _place(Asking, "base")
ASKING_GOAL = _place(Asking, "goal")

NEARNESS_ROUNDINGS = _place(Nearness, "roundings")
NEARNESS_PER_SNR = _place(Nearness, "per_snr")
NEARNESS_OTHERS = _place(Nearness, "others")
NEARNESS_SUMS = _place(Nearness, "sums")
NEARNESS_FAR = _place(Nearness, "far")
NEARNESS_CONSTANT = _place(Nearness, "constant")
NEARNESS_DIM = _place(Nearness, "dim")
NEARNESS_VARIANCE = _place(Nearness, "variance")
NEARNESS_PER_STEP = _place(Nearness, "per_step")
NEARNESS_PER_TILE = _place(Nearness, "per_tile")
NEARNESS_ABOVE = _place(Nearness, "above")
NEARNESS_RADIUS = _place(Nearness, "radius")
NEARNESS_GOAL = _place(Nearness, "goal")

EXPANSION_RADIUS = _place(Expansion, "radius")
EXPANSION_VARIANCE = _place(Expansion, "variance")
EXPANSION_ROUNDING = _place(Expansion, "rounding")
EXPANSION_CONSTANT = _place(Expansion, "constant")
EXPANSION_SQUARE = _place(Expansion, "square")
EXPANSION_LOG_NORM = _place(Expansion, "log_norm")

WEIGHING_RADIUS = _place(Weighing, "radius")
WEIGHING_MEAN_NORM = _place(Weighing, "mean_norm")
WEIGHING_HALF_REACH = _place(Weighing, "half_reach")
WEIGHING_OTHERS = _place(Weighing, "others")
WEIGHING_LEVELS_REST = _place(Weighing, "levels_rest")
WEIGHING_ROUNDING = _place(Weighing, "rounding")
WEIGHING_STEP = _place(Weighing, "step")
WEIGHING_BASE = _place(Weighing, "base")
WEIGHING_FULL = _place(Weighing, "full")
WEIGHING_LOG_NORM = _place(Weighing, "log_norm")

ASKED_SIZE = _place(AskedRows, "size")
ASKED_NORM = _place(AskedRows, "norm")
ASKED_ERROR = _place(AskedRows, "error")
ASKED_SERIES = _place(AskedRows, "series")
ASKED_REST = _place(AskedRows, "rest")
ASKED_SHIFT = _place(AskedRows, "shift")
ASKED_OFFSET = _place(AskedRows, "offset")

TILES_BEST = _place(TileRows, "best")
TILES_MASS = _place(TileRows, "mass")
TILES_COUNT = _place(TileRows, "count")

NEAR_DISTANCE = _place(NearRows, "distance")
NEAR_LOG_SUM = _place(NearRows, "log_sum")
NEAR_APART = _place(NearRows, "apart")
NEAR_VARIANCE = _place(NearRows, "variance")
NEAR_SHIFT = _place(NearRows, "shift")
NEAR_LOG_WEIGHT = _place(NearRows, "log_weight")

LOOK_TRACE = _place(Look, "trace")
LOOK_EVIDENCE = _place(Look, "evidence")
LOOK_BOUND = _place(Look, "bound")
LOOK_TOP = _place(Look, "top")
LOOK_SERIES = _place(Look, "series")
LOOK_REST = _place(Look, "rest")

PLAN_SERIES = _place(Plan, "series")
PLAN_REST = _place(Plan, "rest")
PLAN_DIGITS = _place(Plan, "digits")
PLAN_WEIGHT_DIGITS = _place(Plan, "weight_digits")
PLAN_UNUSUAL = _place(Plan, "unusual")

DIGITS_UNIT = _place(DigitRows, "unit")
DIGITS_REST = _place(DigitRows, "rest")
DIGITS_SIZE = _place(DigitRows, "size")
DIGITS_OFF_CENTRE = _place(DigitRows, "off_centre")
DIGITS_NORM2 = _place(DigitRows, "norm2")

SUMS_TOTAL = _place(SumRows, "total")
SUMS_SQUARE = _place(SumRows, "square")
SUMS_LOST = _place(SumRows, "lost")

MOMENTS_TRACE = _place(MomentRows, "trace")
MOMENTS_EVIDENCE = _place(MomentRows, "evidence")
MOMENTS_BOUND = _place(MomentRows, "bound")

NEAR_ROWS = tl.constexpr(len(NearRows._fields))
LEAST_USUAL, MOST_USUAL = tl.constexpr(rounding.LEAST_USUAL), tl.constexpr(rounding.MOST_USUAL)
LARGEST_DIGIT, NEGLIGIBLE = tl.constexpr(float(rounding.LARGEST_DIGIT)), tl.constexpr(rounding.NEGLIGIBLE)
NEVER = tl.constexpr(rounding.NEVER)

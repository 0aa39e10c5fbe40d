"""The domain of numbers; draws, distances, waves and sums that keep their digits."""

from singtheory.numerics.block import block_rows, row_squares
from singtheory.numerics.distance import diameter, distances
from singtheory.numerics.domain import (
    LENGTHS,
    NOISES,
    PRECISIONS,
    beyond_precisions,
    check_coordinates,
    check_length,
    check_noise,
    check_points,
    check_precisions,
    check_queries,
    check_shares,
    check_variances,
)
from singtheory.numerics.double_double import DOUBLED, Double2, two_product
from singtheory.numerics.draw import check_seed, choose, normal, uniform
from singtheory.numerics.lanczos import Krylov, krylov
from singtheory.numerics.waves import cosine_waves

__all__ = [
    "DOUBLED",
    "LENGTHS",
    "NOISES",
    "PRECISIONS",
    "Double2",
    "Krylov",
    "beyond_precisions",
    "block_rows",
    "check_coordinates",
    "check_length",
    "check_noise",
    "check_points",
    "check_precisions",
    "check_queries",
    "check_seed",
    "check_shares",
    "check_variances",
    "choose",
    "cosine_waves",
    "diameter",
    "distances",
    "krylov",
    "normal",
    "row_squares",
    "two_product",
    "uniform",
]

"""Time grids of samplers."""

from singtheory.grid.density import by_density
from singtheory.grid.grids import (
    BETWEEN,
    Mmse,
    cosine,
    ended,
    grid_named,
    karras,
    leading,
    optimal,
    root_integral,
    stationary,
    uniform_log_snr,
)
from singtheory.grid.spread_grid import even_angles, least_loss, nats_grid, w2_grid

__all__ = [
    "BETWEEN",
    "Mmse",
    "by_density",
    "cosine",
    "ended",
    "even_angles",
    "grid_named",
    "karras",
    "leading",
    "least_loss",
    "nats_grid",
    "optimal",
    "root_integral",
    "stationary",
    "uniform_log_snr",
    "w2_grid",
]

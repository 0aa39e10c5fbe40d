"""Exact posteriors of many queries over all atoms, each to a stated tolerance and with a bound on its own error.

The way of a query, from `law.posterior(z, snr, tol=...)` and back:

    law.Atoms.posterior            checks shapes, makes an AtomsPosterior
    └ engine_of(points)            (gpu) `Engine` on a CPU; `FusedEngine` on a CUDA device with Triton
      └ Engine.start / find        (host) splits queries into groups of 1,024, halves a group that does not fit into memory
        ├ Series                   (series) near γ = 0: moments of the data alone, with the remainder of the series
        ├ Screen → Candidates      (screen) log weights in float32 with a bound on their error: which atoms can matter
        │ └ rescore                (rescore) few atoms: weighed in float64 from differences to the best one
        └ scan                     (scan) many atoms: products over all of them, block by block
    PosteriorMoments               (results) mean, trace of the covariance, log evidence, error_bound: back to the posterior

A way that ends above the tolerance hands the query to the next, more careful one. `statistic` sees the same atoms in the same
pass: entropy, nearest atoms, draws, covariance along directions. `shard` does all this for atoms spread over processes.

On a GPU, `gpu` takes the same decisions; the work itself is asked of one of two modules with the same functions:

    gpu.FusedEngine
    ├ graphs                       many small launches recorded once for every shape and replayed; what the host waits for
    ├ launch → kernels, matrix     Triton: `launch` chooses blocks and parts, the others hold the compiled functions
    │        → hopper              products of 8-bit digits in CUDA C++ for H100 and H200, compiled at their first use
    ├ reference                    the same functions in plain torch, for processors without Triton and for tests
    └ levels                       data on at most 256 levels, as rows of 8-bit digits for exact integer products

`rounding` holds every bound on what a GPU leaves out or rounds, as formulas of named constants (`Sizes`, `Asking`, `Nearness`,
`Weighing`), read by `gpu`, `launch`, `reference`, `kernels` and `matrix`. `rows` names the numbers that go back to the host; `places` says where
a kernel finds each of both. The bounds of the CPU's ways stand in `singtheory.formula.rounding`. To change a constant, see docs/guides/change-the-engine.md.
"""

from singtheory.engine.gpu import engine_of
from singtheory.engine.host import DOUBLE_TOL, SINGLE_TOL, Engine, check_reached
from singtheory.engine.points import BLOCK, Points
from singtheory.engine.results import PosteriorMoments, Started, Uncertified
from singtheory.engine.shard import Shard, ShardEngine, agree
from singtheory.engine.statistic import CovarianceAlong, Draws, Entropy, Nearest, Statistic

__all__ = [
    "BLOCK",
    "DOUBLE_TOL",
    "SINGLE_TOL",
    "CovarianceAlong",
    "Draws",
    "Engine",
    "Entropy",
    "Nearest",
    "Points",
    "PosteriorMoments",
    "Shard",
    "ShardEngine",
    "Started",
    "Statistic",
    "Uncertified",
    "agree",
    "check_reached",
    "engine_of",
]

"""Exact posteriors of queries over all atoms."""

from singtheory.engine.gpu import engine_of
from singtheory.engine.host import DOUBLE_TOL, SINGLE_TOL, Engine, check_reached
from singtheory.engine.points import BLOCK, Points
from singtheory.engine.results import PosteriorMoments
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
    "Statistic",
    "agree",
    "check_reached",
    "engine_of",
]

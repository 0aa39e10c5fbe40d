"""Atoms that are spread over processes: each holds a part, and posteriors are those of all of them, through torch.distributed."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
import torch.distributed as dist
from torch import Tensor

from singtheory.engine.host import QUERIES, Engine, joined
from singtheory.engine.points import Points
from singtheory.engine.results import PosteriorMoments, Sums
from singtheory.engine.scan import most_parts, parts_for, scan
from singtheory.engine.statistic import Statistic
from singtheory.errors import InputError
from singtheory.numerics import check_shares


def agree(count: int, dim: int, device: torch.device | str, group: dist.ProcessGroup | None = None) -> None:
    """Let all processes know of all parts before any of them waits for another.

    Args:
        count: points of this part, 0 where they are none.
        dim: their width.
        device: of the points.
        group: of processes; all by default.

    Raises:
        InputError: on every process alike, where no processes are joined, a part has no points or the widths differ.
    """
    if not dist.is_initialized():
        raise InputError("shards: no processes are joined; call torch.distributed.init_process_group() first")
    least = torch.tensor([count, dim, -dim], device=device)
    dist.all_reduce(least, dist.ReduceOp.MIN, group)
    smallest, narrowest, widest = least.tolist()
    if smallest < 1 or narrowest != -widest:
        raise InputError(
            f"shards: the smallest part has {smallest} points, widths lie between {narrowest} and {-widest}; "
            "give each process points of one width"
        )


class Shard(Points):
    """This process's part, which knows of the whole what centring and bounds on errors need.

    Args:
        stored: as `Points`, on all of which `agree` was asked.
        weights: prior weights of the part, of any sum: they are normalised over all parts.
        group: of processes; all by default.

    Raises:
        InputError: on every process alike, where all weights of all parts are 0, and where one is beyond the domain.
    """

    def __init__(self, stored: Tensor, weights: Tensor, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        total = self._all(weights.sum())
        if not 0 < float(total) < torch.inf:
            raise InputError(
                f"shards: the weights of all parts sum to {float(total)}; give positive ones of an ordinary size"
            )
        positive = weights[weights > 0]
        least = positive.min() if len(positive) else weights.new_tensor(torch.inf)
        check_shares(torch.stack([self._all(least, dist.ReduceOp.MIN), self._all(weights.max(), dist.ReduceOp.MAX)]))
        super().__init__(stored, weights / total)
        # all at once and in one order, so that no process waits for one that never asks
        _ = self.total, self.mean, self.radius, self.variance, self.least_log_weight

    def _all(self, value: Tensor, how: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        dist.all_reduce(value := value.clone(), how, self.group)
        return value

    def _all_number(self, value: float, how: dist.ReduceOp.RedOpType) -> float:
        return float(self._all(torch.tensor(value, dtype=torch.float64, device=self.device), how))

    def most_of_all(self, number: int) -> int:
        """The largest of all processes' numbers, so that all go on in the same way."""
        return int(self._all_number(number, dist.ReduceOp.MAX))

    @cached_property
    def total(self) -> int:
        """Atoms of all parts."""
        return int(self._all_number(self.count, dist.ReduceOp.SUM))

    @cached_property
    def mean(self) -> Tensor:
        """`μ` of all, shape (d,)."""
        return self._all(super().mean)

    @cached_property
    def radius(self) -> float:
        """The largest `‖y′_i‖` of all, rounded up."""
        return self._all_number(super().radius, dist.ReduceOp.MAX)

    @cached_property
    def variance(self) -> float:
        """`tr Σ` of all."""
        return self._all_number(super().variance, dist.ReduceOp.SUM)

    @cached_property
    def least_log_weight(self) -> float:
        """The least log weight of all that are positive; a part may have none."""
        positive = self.log_weights[self.weights > 0]
        return self._all_number(float(positive.min()) if len(positive) else torch.inf, dist.ReduceOp.MIN)

    def gathered(self, sums: Sums) -> Sums:
        """The sums of all parts together: one maximum and one sum over the processes."""
        top = self._all(sums.top, dist.ReduceOp.MAX)
        share = torch.exp(sums.top - top)[:, None]
        packed = torch.cat([sums.total[:, None], sums.square[:, None], sums.first_moment], dim=1) * share
        packed = self._all(packed)
        return Sums(top, packed[:, 0], packed[:, 1], packed[:, 2:])


class ShardEngine(Engine):
    """Computes by products over all atoms, the one way whose sums are those of its parts.

    Args:
        points: this process's part.
    """

    points: Shard

    def __init__(self, points: Shard) -> None:
        super().__init__(points)

    def find(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        """The moments of queries, see `Engine.find`; every process asks the same queries and gets the same answers, or waits for those that do not ask."""
        self.points.check()
        return joined([self._scanned(*part, tol) for part in zip(z.split(QUERIES), snr.split(QUERIES), strict=True)])

    def _scanned(self, z: Tensor, snr: Tensor, tol: float) -> PosteriorMoments:
        """From products in as few parts of the width as should do, and in all where they do not: what every process decides alike."""
        shard, most = self.points, most_parts(self.points)
        spread = torch.full_like(snr, math.sqrt(shard.variance))
        parts = shard.most_of_all(parts_for(shard, z, snr, spread, tol)) if len(z) else 1
        moments = scan(shard, z, snr, parts)
        short = bool((~(moments.error_bound <= tol * shard.scale)).any())
        return scan(shard, z, snr, most) if shard.most_of_all(parts < most and short) else moments

    def tell(self, z: Tensor, snr: Tensor, tol: float, statistics: Sequence[Statistic]) -> PosteriorMoments:
        """Raise `InputError`: statistics see one process's atoms alone."""
        raise InputError(
            "shards: mean, trace and evidence are those of all parts; ask a law of all points for the rest"
        )

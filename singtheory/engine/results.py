"""What the ways of the engine give: posteriors of queries with their error bounds, and the sums over atoms behind them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated

from torch import Tensor

Uncertified = Annotated[Tensor, "no bound on its error is known"]
"""A number as it was computed: neither its rounding nor what was left out of it is bounded by `error_bound`, so that no bound may rest on it alone."""


@dataclass(frozen=True)
class PosteriorMoments:
    """What is known of the posteriors of some queries.

    Attributes:
        mean: shape (batch, d).
        trace_cov: shape (batch,); with no bound on its error.
        log_evidence: shape (batch,); with no bound on its error.
        error_bound: at least the Euclidean error of `mean` and of nothing else, shape (batch,).
    """

    mean: Tensor
    trace_cov: Uncertified
    log_evidence: Uncertified
    error_bound: Tensor

    def of(self, queries: Tensor | slice) -> "PosteriorMoments":
        """What is known of some of them."""
        return PosteriorMoments(*(getattr(self, field.name)[queries] for field in fields(self)))


@dataclass(frozen=True)
class Started:
    """A search that a device may have begun.

    Attributes:
        finish: gives what is known of the posteriors.
        checked: whether all numbers of the queries were seen to be finite, and snr to be at least 0; else they have yet to be looked at.
        reached: says, once all is finished, whether all bounds are known to be at most what was asked for; else they have yet to be looked at.
    """

    finish: Callable[[], PosteriorMoments]
    checked: bool
    reached: Callable[[], bool] = bool


@dataclass(frozen=True)
class Sums:
    """Over atoms, relative to the largest log weight.

    Attributes:
        top: that one, shape (batch,).
        total: of weights, shape (batch,).
        square: with `‖y′‖²`, shape (batch,).
        first_moment: with `y′`, shape (batch, d).
    """

    top: Tensor
    total: Tensor
    square: Tensor
    first_moment: Tensor

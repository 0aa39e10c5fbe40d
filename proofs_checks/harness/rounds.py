"""Estimates that sharpen round by round, and comparisons that ask for the next round until they are decided."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from proofs_checks.harness.claim import Outcome
from proofs_checks.harness.outcome import at_least, at_most, no_instance
from singtheory import Estimate


class Rounds:
    """Estimates of one quantity, each with more effort than the last, made when they are asked for and kept.

    Their intervals hold together: whoever makes them splits the error over the rounds, so that one may stop at any.

    Args:
        estimate: of round 0, 1, …
        count: how many rounds there are.
    """

    def __init__(self, estimate: Callable[[int], Estimate], count: int) -> None:
        self._estimate, self._count = estimate, count
        self._made: list[Estimate] = []

    @classmethod
    def of(cls, estimate: Estimate) -> "Rounds":
        """One estimate, which no effort sharpens."""
        return cls(lambda _: estimate, 1)

    def __iter__(self) -> Iterator[Estimate]:
        for k in range(self._count):
            if k == len(self._made):
                self._made.append(self._estimate(k))
            yield self._made[k]

    def __bool__(self) -> bool:
        return self._count > 0

    @property
    def first(self) -> Estimate:
        """The estimate of the least effort."""
        return next(iter(self))


UNMEASURED = Rounds(lambda _: Estimate.exact(torch.tensor([math.nan])), 0)
"""No estimate at all."""


def at_most_in_rounds(measured: Rounds, bound: float, where: str, slack: float = 0.0) -> Outcome:
    """`measured ≤ bound`, decided by the first round that can."""
    return _decided(measured, bound, lambda estimate: at_most(estimate, bound, where, slack))


def at_least_in_rounds(measured: Rounds, bound: float, where: str, slack: float = 0.0) -> Outcome:
    """`measured ≥ bound`, decided by the first round that can."""
    return _decided(measured, bound, lambda estimate: at_least(estimate, bound, where, slack))


def _decided(measured: Rounds, bound: float, compare: Callable[[Estimate], Outcome]) -> Outcome:
    outcome = no_instance("nothing was measured")
    for estimate in measured:
        outcome = compare(estimate)
        if outcome.verdict != "undecided":
            return outcome
        outcome = replace(outcome, remedy=_remedy(estimate, bound))
    return outcome


def _remedy(estimate: Estimate, bound: float) -> str:
    """How many draws would part the interval from the bound: its width falls with their root."""
    low, value, high = (float(v) for v in (estimate.low, estimate.value, estimate.high))
    if estimate.confidence == 1 or not estimate.n:
        return f"an interval narrower than {high - low:.2g}, that is more digits than float64 has here"
    apart, width = abs(bound - value), max(high - value, value - low)
    if apart == 0:
        return f"more than {estimate.n:.2g} draws, such as --full takes: the bound is the estimate"
    return (
        f"about {estimate.n * max(1.0, width / apart) ** 2:.1g} draws, after {estimate.n:.2g} here (--full takes more)"
    )

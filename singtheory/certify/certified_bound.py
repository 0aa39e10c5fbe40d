"""A bound on KL for atoms on a line, as a certificate takes it, and its margin against an enclosure of the information.

`KL(P‖Q) = ½ g C − I` (B9), so an upper bound holds on a box where it does against a lower bound on I, and a lower one against an upper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from flint import arb

from singtheory import formula
from singtheory.certify import interval
from singtheory.certify.interval import NAMESPACE, Box, ball, interval_ball
from singtheory.formula import Number, line

Value = Callable[..., Number]
"""A bound as a function of (points, weights, gap, namespace)."""
Law = Callable[..., tuple[line.Numbers, line.Numbers, Number]]
"""Points, weights and gap at a point of a box."""
BETA_STEPS = 64
"""The rule for β is rounded to a multiple of one in this many."""
_MOST_BETAS = 3


@dataclass(frozen=True)
class CertifiedBound:
    """A bound on KL, in the form that ball arithmetic takes.

    Attributes:
        name: as in the ladder (`bound.LADDER`).
        upper: whether it bounds from above.
        near: the bound where the gap is small (`two_point.NEAR`).
        far: the bounds that must all hold at a ball of laws and gaps beyond: one, or one for each β that the rule takes there; none
            if it takes too many.
    """

    name: str
    upper: bool
    near: Value
    far: Callable[[line.Numbers, line.Numbers, arb], Sequence[Value]]

    def margin(self, law: Law, information: Callable[..., Number], box: Box) -> arb:
        """The margin by which the bound holds over a box, as a share of B2's.

        Args:
            law: the laws and gaps of the box.
            information: I at a point of the box, or a bound on it from the side that `upper` needs.
            box: where.
        """
        values = self.far(*law(*map(interval_ball, box)))
        margins = [interval.enclose(partial(self._excess, value, law, information), box) for value in values]
        unit = line.kl_chi2(*law(*map(ball, interval.middle(box))), NAMESPACE)
        least = reduce(arb.min, margins) if margins else arb("nan")  # not a number if any is none
        return least / abs(unit).mid()

    def _excess(self, value: Value, law: Law, information: Callable[..., Number], *at: Number) -> Number:
        points, weights, gap = law(*at)
        kl = formula.kl_trace_bound(gap, line.variance(points, weights)) - information(*at)
        excess = value(points, weights, gap, NAMESPACE) - kl
        return excess if self.upper else -excess


def plain(name: str, upper: bool, value: Value) -> CertifiedBound:
    """A bound given by one formula."""
    return CertifiedBound(name, upper, value, lambda *_: (value,))


def family(at_beta: Value) -> CertifiedBound:
    """B10 with β by the rule `formula.family_beta`, rounded; `at_beta` takes β before the namespace."""

    def at(beta: Number) -> Value:
        return lambda points, weights, gap, xp: at_beta(points, weights, gap, beta, xp)

    def far(points: line.Numbers, weights: line.Numbers, gap: arb) -> Sequence[Value]:
        separated = line.separated(points, weights, gap, NAMESPACE)
        low, high = (
            formula.family_beta(arb(e), NAMESPACE) * BETA_STEPS for e in (separated.upper(), separated.lower())
        )
        if not (low.is_finite() and high.is_finite()):
            return ()
        # every whole number that a value between the two may round to, ties either way
        first = int((low - arb(1) / 2).ceil().lower().floor().unique_fmpz())
        last = int((high + arb(1) / 2).floor().upper().ceil().unique_fmpz())
        steps = range(first, last + 1)
        return [at(arb(k) / BETA_STEPS) for k in steps] if len(steps) <= _MOST_BETAS else ()

    return CertifiedBound("kl_family_bound", True, at(1), far)


CERTIFIED = (
    plain("kl_chi2_bound", True, line.kl_chi2),
    plain("kl_pair_bound", True, line.kl_pair_upper),
    plain("kl_pair_lower", False, line.kl_pair_lower),
    family(line.kl_family_at),
)
"""The bounds that are certified."""

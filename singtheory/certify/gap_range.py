r"""Certificates of the bounds B2, B9 and B10 for given atoms on a line, over a whole range of gaps.

`KL(P‖Q) = ½ g C − I(g)` and I is concave, for its slope is half the mmse, which falls (I-MMSE). So on an interval of g it lies above its
chord and below its tangent, and both are tight where the interval is short.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import final

from flint import arb

from singtheory import formula
from singtheory.certify import interval
from singtheory.certify.certified_bound import CertifiedBound
from singtheory.certify.interval import NAMESPACE, Box, Certificate, ball
from singtheory.errors import InputError
from singtheory.formula import Number, line


@final
class GapRange:
    """Atoms on a line, in ball arithmetic.

    Args:
        points: `y_i`, rationals or decimals as strings, for the float 0.1 is not 1/10.
        weights: `p_i`, likewise; they sum to one.
    """

    def __init__(self, points: Sequence[Fraction | str], weights: Sequence[Fraction | str]) -> None:
        exact = [Fraction(p) for p in weights]
        if sum(exact, Fraction(0)) != 1 or min(exact) < 0:
            raise InputError("weights: must sum to one exactly, and none may be negative; give them as fractions")
        with interval.precision():
            self.points, self.weights = [ball(y) for y in points], [ball(p) for p in weights]
        self._information: dict[Fraction, arb] = {}
        self._mmses: dict[Fraction, arb] = {}

    def information(self, gap: Fraction) -> arb:
        """`I(g)` at a rational gap."""
        if gap not in self._information:
            self._information[gap] = interval.information(self._noisy(gap), self.weights)
        return self._information[gap]

    def _mmse(self, gap: Fraction) -> arb:
        """`g` times twice the slope of I(g) at a rational gap."""
        if gap not in self._mmses:
            self._mmses[gap] = interval.mmse(self._noisy(gap), self.weights)
        return self._mmses[gap]

    def kl(self, gap: Fraction) -> arb:
        """An enclosure of `KL(P‖Q)`."""
        with interval.precision():
            return ball(gap) * line.variance(self.points, self.weights) / 2 - self.information(gap)

    def kl_moment(self, gap: Fraction) -> arb:
        """An enclosure of `KL(P‖M)` (B5)."""
        with interval.precision():
            return self.kl(gap) - formula.kl_gauss_term(ball(gap), line.variance(self.points, self.weights), NAMESPACE)

    def chi2(self, gap: Fraction) -> arb:
        """An enclosure of `χ²(P‖Q)` (B1)."""
        with interval.precision():
            return line.kl_chi2(self.points, self.weights, ball(gap), NAMESPACE).expm1()

    def tv(self, gap: Fraction) -> arb:
        """An enclosure of `TV(P, Q)` from the interval on which the density ratio is at most one (B12)."""
        with interval.precision():
            shifts = [y * ball(gap).sqrt() for y in line.centred(self.points, self.weights)]
            low, high = (interval.sign_change(partial(self._log_ratio, shifts), side) for side in (-1, 1))
            return line.tv_between(shifts, self.weights, low, high, NAMESPACE)

    def _log_ratio(self, shifts: Sequence[arb], u: arb) -> arb:
        """`log dP/dQ` at u, a convex function that is not positive at zero."""
        return line.ratio(shifts, self.weights, u, NAMESPACE).log()

    def certify(self, bound: CertifiedBound, gaps: tuple[Fraction, Fraction]) -> Certificate:
        """The certificate of a bound for all gaps between two; margins are relative to the bound."""
        with interval.precision():
            return interval.certify(partial(self._margin, bound), (gaps,), partial(self._exact_margin, bound))

    def _noisy(self, gap: Fraction) -> list[arb]:
        return [y * ball(gap).sqrt() for y in self.points]

    def _law(self, gap: Number) -> tuple[list[arb], list[arb], Number]:
        return self.points, self.weights, gap

    def _margin(self, bound: CertifiedBound, box: Box) -> arb:
        return bound.margin(self._law, self._chord(box) if bound.upper else self._tangent(box), box)

    def _exact_margin(self, bound: CertifiedBound, at: Box) -> arb:
        """The margin at one gap."""
        ((gap, _),) = at
        return bound.margin(self._law, lambda _: self.information(gap), at)

    def _chord(self, box: Box) -> Callable[[Number], Number]:
        ((low, high),) = box
        start, rise = self.information(low), self.information(high) - self.information(low)
        least, width = ball(low), ball(high - low)
        return lambda g: start + (g - least) / width * rise

    def _tangent(self, box: Box) -> Callable[[Number], Number]:
        ((low, _),) = box
        start, slope = self.information(low), self._mmse(low) / ball(low) / 2
        least = ball(low)
        return lambda g: start + slope * (g - least)

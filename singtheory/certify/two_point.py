r"""Certificates of the bounds B2, B9 and B10 for every law on two points.

Two points with weights `p ≤ ½` and `1 − p`, at distance `e = √g Δ` in units of the step's noise; boxes are in `(e², p)`, and g below is
`e²`, the gap for points at distance one. All bounds are `½ g p(1−p)` less something, and so is `KL(P‖Q) = ½ g p(1−p) − I(g, p)`, where I is the
information of the noisy observation on the point. Two enclosures of KL:

*Far* (`g ≥ ¼`): I is concave in g (its derivative is half the mmse, which falls) and concave in p (any information is, in the input's
law). So on a box it lies above the bilinear interpolation of its four corners, and below its tangents at the lower corner, whose
slopes are half the mmse (itself concave and symmetric in p, so at most its value at the larger p) and a difference of component KLs.

*Near* (`g ≤ ¼`): every bound and KL have the leading order `g²`, and B10 agrees with KL to higher orders yet, so they are compared
coefficient by coefficient. Along g the posterior weight π is a martingale with `dπ = π(1−π) dW`, so with `v = π(1−π)` and `L f = ½ v² f''`

    d²KL/dg² = ½ E v²,    d^{k+2} KL/dg^{k+2} = ½ E[(L^k v²)(π_g)],    L^k v² = v² R_k(π), R_k a polynomial,

and `E v_g² ≤ v² e^g` (B11) bounds the remainder. The bounds' own coefficients are polynomials in p, found exactly by interpolation of
rational power series; their remainder is bounded by Cauchy's estimate on `|g| ≤ 1`.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache, cached_property, partial, reduce
from itertools import pairwise, product
from math import factorial
from typing import final

from flint import acb, arb, fmpq, fmpq_mat, fmpq_poly, fmpq_series

from singtheory.certify import interval
from singtheory.certify.certified_bound import CertifiedBound
from singtheory.certify.interval import NAMESPACE, Box, Certificate, Interval, ball, interval_ball
from singtheory.formula import Number

WHOLE: Box = ((Fraction(1, 400), Fraction(36)), (Fraction(1, 50), Fraction(1, 2)))
"""All e in [0.05, 6] and p in [0.02, 0.5], as (e², p); p above ½ follows by symmetry."""
QUICK: Box = ((Fraction(1), Fraction(9, 8)), (Fraction(2, 5), Fraction(1, 2)))
"""The named part of `WHOLE` that a quick run certifies: e in [1, 1.06], p in [0.4, 0.5]."""
NEAR = Fraction(1, 4)
"""Up to this e² the enclosures are power series; there the rule of B10, rounded to a multiple of 1/64, gives β = 1."""
TERMS = 12
"""Terms kept of the power series in g."""
_SMALLEST = Fraction(1, 10**10)
"""The volume of the cells that are not cut any more."""
_MOST = 200
"""Boxes spent on a cell before it is cut."""
_VARIANCE = fmpq_poly([0, 1]) * fmpq_poly([1, -1])
_SQUARE = _VARIANCE * _VARIANCE
"""`v = p(1−p)` and `v²`."""


def law(gap: Number, p: Number) -> tuple[list[Number], list[Number], Number]:
    """Points at distance one, their weights, and the gap, in any arithmetic."""
    return [p * 0, p * 0 + 1], [1 - p, p], gap


def certify_two_points(
    bound: CertifiedBound, box: Box, progress: Callable[[float], None] = lambda _: None
) -> Certificate:
    """The certificate of a bound on a box of (e², p); margins are relative to B2's bound where e² ≥ ¼, and to KL's leading order below.

    Args:
        bound: on KL, by name and formula.
        box: where, within `WHOLE`.
        progress: called with the share of the box that is done.
    """
    (low, high), weights = box
    parts, shares = [], []
    with interval.precision(terms=TERMS):
        if low < NEAR:
            near = ((low, min(high, NEAR)), weights)
            series = Near(bound)
            parts = [interval.certify(series.margin, near, series.margin)]
            shares = [float(interval.volume(near))]
        cells: list[Box] = [((max(low, NEAR), high), weights)] if high > NEAR else []
        while cells:
            cell = cells.pop()
            certificate = certify_cell(bound, cell)
            if certificate is None:
                cells += interval.halves(cell)
                continue
            parts.append(certificate)
            shares.append(float(interval.volume(cell)))
            progress(sum(shares) / float(interval.volume(box)))
            if certificate.verdict == "refuted":
                return certificate
    return interval.merged(parts, shares)


# --- far -------------------------------------------------------------------------------------------------------------


def _noisy(gap: Fraction, p: Fraction) -> tuple[list[arb], list[arb]]:
    """The two points in units of the noise, and their weights."""
    points, weights, g = law(ball(gap), ball(p))
    return [y * g.sqrt() for y in points], weights


@cache
def _components(gap: Fraction, p: Fraction) -> tuple[arb, arb]:
    """KL of each component from the mixture."""
    points, weights = _noisy(gap, p)
    return interval.component_kl(points, weights, 0), interval.component_kl(points, weights, 1)


@cache
def information(gap: Fraction, p: Fraction) -> arb:
    """`I(g, p)` at a rational point."""
    first, second = _components(gap, p)
    return (1 - ball(p)) * first + ball(p) * second


@cache
def mmse(gap: Fraction, p: Fraction) -> arb:
    """`E Var(y|z)` at a rational point, twice the slope of `I(g, p)` along g; it falls with g, and grows with p up to ½."""
    return interval.mmse(*_noisy(gap, p)) / ball(gap)


def certify_cell(bound: CertifiedBound, cell: Box) -> Certificate | None:
    """A far cell, on which one enclosure of I serves every smaller box; None if the cell is too large for that."""
    centre = interval.middle(cell)
    at_centre = interval.point(centre)
    exact = bound.margin(law, lambda *_: information(*centre), at_centre)
    if exact < 0:
        return Certificate("refuted", 1, 0, 0.0, float(exact.upper()), interval.describe(at_centre))
    margin = partial(bound.margin, law, _interpolation(cell) if bound.upper else _tangent(cell))
    enclosed, small = margin(at_centre), interval.volume(cell) < _SMALLEST
    if not small and not exact - enclosed < enclosed:
        return None  # the enclosure of I takes more than half of the margin
    certificate = interval.certify(margin, cell, exact=None, max_boxes=_MOST)
    return None if certificate.verdict == "undecided" and not small else certificate


def _interpolation(cell: Box) -> Callable[[Number, Number], Number]:
    """The bilinear interpolation of I at the corners, below I on the cell."""
    (g1, g2), (p1, p2) = cell
    lowest, along_p = information(g1, p1), information(g1, p2) - information(g1, p1)
    along_g, twist = information(g2, p1) - lowest, information(g2, p2) - information(g2, p1) - along_p
    from_g, width_g, from_p, width_p = ball(g1), ball(g2 - g1), ball(p1), ball(p2 - p1)

    def below(g: Number, p: Number) -> Number:
        u, w = (g - from_g) / width_g, (p - from_p) / width_p
        return lowest + w * along_p + u * (along_g + w * twist)

    return below


def _tangent(cell: Box) -> Callable[[Number, Number], Number]:
    """A plane above I on the cell."""
    (g1, _), (p1, p2) = cell
    first, second = _components(g1, p1)
    start, slope_p, slope_g = information(g1, p1), second - first, mmse(g1, p2) / 2
    from_g, from_p = ball(g1), ball(p1)
    return lambda g, p: start + slope_p * (p - from_p) + slope_g * (g - from_g)


# --- near ------------------------------------------------------------------------------------------------------------


@cache
def kl_coefficient(k: int) -> fmpq_poly:
    """The coefficient of `g^k` in KL, over `v²`: `½ R_{k−2}(p)/k!`, a polynomial in p."""
    term = _SQUARE
    for _ in range(k - 2):
        term = _SQUARE * term.derivative().derivative() * fmpq(1, 2)
    return _quotient(term, _SQUARE) * fmpq(1, 2 * factorial(k))


def _quotient(dividend: fmpq_poly, divisor: fmpq_poly) -> fmpq_poly:
    quotient, rest = divmod(dividend, divisor)
    if rest != 0:
        raise ArithmeticError("a coefficient does not vanish with the weight as it should")
    return quotient


def _over(polynomial: fmpq_poly, box: Interval) -> arb:
    """A polynomial with rational coefficients over an interval, expanded about its middle, where its terms no longer cancel."""
    low, high = box
    centre = (low + high) / 2
    shifted = polynomial(fmpq_poly([fmpq(centre.numerator, centre.denominator), 1]))
    offset, total = ball((high - low) / 2) * arb(0, 1), arb(0)
    for coefficient in reversed(shifted.coeffs()):
        total = total * offset + arb(coefficient)
    return total


@final
class Near:
    """One bound against KL at small gaps, as power series in g.

    Args:
        bound: on KL, by name and formula.
    """

    def __init__(self, bound: CertifiedBound) -> None:
        self.bound = bound

    @cached_property
    def differences(self) -> list[fmpq_poly]:
        """Coefficients of `g, g², …` in bound less KL, or KL less bound, over the unit."""
        sign = 1 if self.bound.upper else -1
        kl = [fmpq_poly([0]), *(kl_coefficient(k) * _SQUARE for k in range(2, TERMS))]
        return [_quotient(sign * (own - of_kl), self.unit) for own, of_kl in zip(self._own, kl, strict=True)]

    @cached_property
    def _own(self) -> list[fmpq_poly]:
        """The bound's coefficients of `g, …, g^{TERMS−1}`: polynomials in p of degree at most 3k + 1, from that many exact values."""
        count = 3 * TERMS + 2
        nodes = [fmpq(k + 1, count + 3) for k in range(count + 2)]
        rows = [self.bound.near(*law(fmpq_series([0, 1]), p), NAMESPACE) for p in nodes]
        powers = fmpq_mat(count, count, [p**k for p in nodes[:count] for k in range(count)])
        polynomials = []
        for k in range(1, TERMS):
            values = [row[k] for row in rows]
            solution = powers.solve(fmpq_mat(count, 1, values[:count]))
            polynomial = fmpq_poly([solution[j, 0] for j in range(count)])
            if any(polynomial(p) != v for p, v in zip(nodes[count:], values[count:], strict=True)):
                raise ArithmeticError(
                    f"{self.bound.name}: the coefficient of g^{k} is no polynomial of degree {count - 1}"
                )
            polynomials.append(polynomial)
        return polynomials

    @cached_property
    def unit(self) -> fmpq_poly:
        """`v²` if the bound has KL's order in the smaller weight, else v."""
        return _SQUARE if all(divmod(c, _SQUARE)[1] == 0 for c in self._own) else _VARIANCE

    @cached_property
    def order(self) -> int:
        """The power of g by which the margin is divided."""
        return 2 if self.differences[0] == 0 else 1

    def margin(self, box: Box) -> arb:
        """The difference over `¼ g² v²`, KL's leading order (or over `¼ g v`), from below."""
        g, total = interval_ball(box[0]), arb(0)
        for coefficient in reversed(self.differences[self.order - 1 :]):
            total = total * g + _over(coefficient, box[1])
        own = self.largest / (1 - g) / _over(self.unit, box[1])
        remainder = (own + _largest_rate() * g.exp()) * g ** (TERMS - self.order)
        return 4 * (total + remainder.upper() * arb(0, 1))

    @cached_property
    def largest(self) -> arb:
        """The largest `|bound|` over complex `|g| ≤ 1` and all p: at least each of its coefficients (Cauchy's estimate)."""
        pieces = 20
        cuts = [interval.hull(arb(k) / pieces, arb(k + 1) / pieces) for k in range(-pieces, pieces)]
        low, high = WHOLE[1]
        weights = [ball(low + (high - low) * k / pieces) for k in range(pieces + 1)]
        values = [
            abs(self.bound.near(*law(acb(x, y), acb(interval.hull(p, q))), interval.COMPLEX)).upper()
            for p, q in pairwise(weights)
            for x, y in product(cuts, cuts)
            if (x * x + y * y).lower() <= 1
        ]
        if not all(value.is_finite() for value in values):
            raise ArithmeticError(f"{self.bound.name}: not shown analytic for |g| ≤ 1")
        return reduce(arb.max, values)


@cache
def _largest_rate(pieces: int = 64) -> arb:
    """At least `½ |R|/TERMS!` over all π: with `e^g` it bounds KL's remainder, over `v²`."""
    cuts = [(Fraction(k, pieces), Fraction(k + 1, pieces)) for k in range(pieces)]
    return reduce(arb.max, (abs(_over(kl_coefficient(TERMS), cut)).upper() for cut in cuts))

r"""Certificates in ball arithmetic: an inequality shown on a whole box, not at sampled points.

A ball `[m ± r]` contains every value that an expression takes on the balls put into it, rounding included (Johansson 2017, Arb). An
inequality `0 ≤ margin` holds on a box if the lower end of the margin's ball is not negative there; `certify` halves the boxes on which
that cannot be decided. The formulas are those of `formula` and `line`, with this module's `NAMESPACE`.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from types import SimpleNamespace
from typing import Any, Literal

from flint import acb, arb, arb_series, ctx, fmpq

from singtheory.errors import InputError
from singtheory.formula import Number
from singtheory.formula.line import centred, variance

Verdict = Literal["proved", "refuted", "undecided"]
Interval = tuple[Fraction, Fraction]
Box = tuple[Interval, ...]

PRECISION = 80
"""Bits. The smallest relative margin certified is about 1e-10, and the largest cancellation another 1e-8."""
TAIL = 12
"""Standard deviations beyond which an integral against a Gaussian is bounded instead of summed."""


def _relu(x: arb) -> arb:
    """`max(0, x)` of a ball."""
    if x >= 0:
        return x
    return x * 0 if x <= 0 else hull(arb(0), x.upper())


NAMESPACE = SimpleNamespace(
    exp=lambda x: x.exp(),
    log=lambda x: x.log(),
    log1p=lambda x: (1 + x).log(),
    sqrt=lambda x: x.sqrt(),
    relu=_relu,
    ndtr=lambda x: (-x / arb(2).sqrt()).erfc() / 2,
)
"""What `singtheory.formula` and `singtheory.formula.line` need to work on balls and on power series of balls or rationals."""
COMPLEX = SimpleNamespace(exp=lambda z: z.exp(), log=lambda z: z.log(True), log1p=lambda z: (1 + z).log(True))
"""What they need to work on complex balls; no number where a logarithm's ball touches the branch cut, so that a finite value is analytic."""


@contextmanager
def precision(bits: int = PRECISION, terms: int = 10) -> Iterator[None]:
    """The working precision of balls and the number of terms kept of power series."""
    before = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = bits, terms
    try:
        yield
    finally:
        ctx.prec, ctx.cap = before


def ball(number: Fraction | int | str) -> arb:
    """The ball about a rational; decimals as strings, for the float 0.1 is not 1/10."""
    exact = number if isinstance(number, Fraction) else Fraction(number)
    return arb(fmpq(exact.numerator, exact.denominator))


def hull(low: arb, high: arb) -> arb:
    """The smallest ball that contains both."""
    return low.union(high)


def interval_ball(interval: Interval) -> arb:
    """The ball that contains an interval."""
    return hull(ball(interval[0]), ball(interval[1]))


def middle(box: Box) -> tuple[Fraction, ...]:
    """The centre of a box."""
    return tuple((low + high) / 2 for low, high in box)


def point(at: tuple[Fraction, ...]) -> Box:
    """The box that is one point."""
    return tuple((x, x) for x in at)


def enclose(function: Callable[..., Any], box: Box) -> arb:
    """An enclosure of a function over a box by its Taylor polynomial: `f(m) + f'(m) h + ½ f''(box) h²` along every h of the box.

    Args:
        function: of one number a side of the box; takes balls and power series of balls.
        box: where.
    """
    centre, balls = [ball(m) for m in middle(box)], [interval_ball(side) for side in box]
    reaches = [ball((high - low) / 2) * arb(0, 1) for low, high in box]
    try:
        value = function(*centre) + function(*(arb_series([b, h], 3) for b, h in zip(balls, reaches, strict=True)))[2]
        # one slope at a time: along a ball of directions the terms of a slope do not cancel
        for k, reach in enumerate(reaches):
            value += function(*(arb_series([m, int(j == k)], 2) for j, m in enumerate(centre)))[1] * reach
    except (ValueError, ZeroDivisionError):  # a divisor's ball contains zero: the box is too large to tell
        return arb("nan")
    return value


def sign_change(function: Callable[[arb], arb], side: int, reach: int = 2**60, steps: int = 60) -> arb:
    """A ball about the zero on one side (±1) of the origin of a function that is negative at zero and convex.

    Raises `InputError` if it is shown positive nowhere up to `reach`.
    """
    low, high = Fraction(0), Fraction(1)
    while not function(ball(side * high)) > 0:
        if high >= reach:
            raise InputError(
                f"no sign change up to {side * reach}: the ratio of the densities is too near 1 to tell; take a larger gap"
            )
        low, high = (high if function(ball(side * high)) < 0 else low), 2 * high
    for _ in range(steps):
        middle = (low + high) / 2
        value = function(ball(side * middle))
        if value > 0:
            high = middle
        elif value < 0:
            low = middle
        else:
            break
    return hull(ball(side * low), ball(side * high))


@dataclass(frozen=True)
class Certificate:
    """What became of an inequality on a box.

    Attributes:
        verdict: proved only if it was shown on all of the box.
        boxes: how many boxes it took.
        depth: the most halvings of any.
        coverage: the share of the box on which it is shown.
        margin: the least lower end of the margin on any box; at most zero where the inequality is not shown.
        where: the box of that margin.
    """

    verdict: Verdict
    boxes: int
    depth: int
    coverage: float
    margin: float
    where: str


def merged(parts: Sequence[Certificate], shares: Sequence[float]) -> Certificate:
    """One certificate for boxes that cover a box: as good as the worst of them; `shares` are their volumes."""
    order = ("refuted", "undecided", "proved")
    worst = min(parts, key=lambda c: (order.index(c.verdict), c.margin))
    covered = sum(c.coverage * share for c, share in zip(parts, shares, strict=True)) / sum(shares)
    complete = all(c.verdict == "proved" for c in parts)
    boxes, depth = sum(c.boxes for c in parts), max(c.depth for c in parts)
    return Certificate(worst.verdict, boxes, depth, 1.0 if complete else covered, worst.margin, worst.where)


def certify(
    margin: Callable[[Box], arb],
    box: Box,
    exact: Callable[[Box], arb] | None,
    max_depth: int = 40,
    max_boxes: int = 200_000,
) -> Certificate:
    """Branch and bound on `0 ≤ margin`.

    Args:
        margin: a ball whose lower end is at most `rhs − lhs` (or any positive multiple) anywhere on a box.
        box: where it is to hold.
        exact: an enclosure of the same at one point; asked where a margin is negative, for only a point refutes. None to cut on.
        max_depth: halvings of a box before it counts as undecided.
        max_boxes: boxes before the rest counts as undecided.
    """
    pending: list[tuple[int, int, Box]] = [(0, 0, box)]
    total, shown, boxes, depth = volume(box), Fraction(0), 0, 0
    least, where = math.inf, ""
    while pending:
        level, _, current = heapq.heappop(pending)
        boxes, depth = boxes + 1, max(depth, level)
        value = margin(current)
        low = (
            float(value.lower()) if value.is_finite() else -math.inf
        )  # for the record: rounding to a float could lose a sign
        if value.is_finite() and value.lower() >= 0:
            shown += volume(current)
        elif exact and value.is_finite() and value < 0 and (off := exact(point(middle(current)))) < 0:
            return Certificate("refuted", boxes, depth, float(shown / total), float(off.upper()), describe(current))
        elif level < max_depth and boxes < max_boxes:
            for k, half in enumerate(halves(current)):
                heapq.heappush(pending, (level + 1, 2 * boxes + k, half))
            continue
        else:
            return Certificate("undecided", boxes, depth, float(shown / total), low, describe(current))
        if low < least:
            least, where = low, describe(current)
    return Certificate("proved", boxes, depth, float(shown / total), least, where)


def volume(box: Box) -> Fraction:
    """The product of the sides."""
    return math.prod((high - low for low, high in box), start=Fraction(1))


def halves(box: Box) -> tuple[Box, Box]:
    """A box cut across the side that is longest in proportion to where it lies."""
    k = max(range(len(box)), key=lambda j: float((box[j][1] - box[j][0]) / (abs(box[j][1]) + abs(box[j][0]))))
    cut = middle(box)[k]
    return (*box[:k], (box[k][0], cut), *box[k + 1 :]), (*box[:k], (cut, box[k][1]), *box[k + 1 :])


def describe(box: Box) -> str:
    """A box in a line."""
    return " × ".join(f"[{float(low):.6g}, {float(high):.6g}]" for low, high in box)


def component_kl(points: Sequence[Number], weights: Sequence[Number], index: int) -> arb:
    """`KL(N(y_i, 1)‖Σ p_j N(y_j, 1))` for atoms on a line, `−E_n log Σ_j p_j exp((y_j − y_i) n − (y_j − y_i)²/2)`.

    By Arb's integrator within twelve standard deviations; beyond, the logarithm lies between `log p_i` and `max_j |y_j − y_i| |n|`.
    """
    shifts = [y - points[index] for k, y in enumerate(points) if k != index]
    own, others = acb(weights[index]), [p for k, p in enumerate(weights) if k != index]
    terms = [(d, d * d / 2, p) for d, p in zip(shifts, others, strict=True)]

    def integrand(n: acb, analytic: bool) -> acb:
        density = own
        for d, half, p in terms:
            density = density + p * (d * n - half).exp()
        return (-n * n / 2).exp() * density.log(analytic)

    within = acb.integral(integrand, -TAIL, TAIL, rel_tol=arb(2) ** -(PRECISION - 10), abs_tol=arb(2) ** -PRECISION)
    tail = arb(TAIL)
    reach = reduce(arb.max, (abs(d) for d in shifts), arb(0))
    beyond = (
        2 * reach * (-tail * tail / 2).exp()
        - weights[index].log() * (2 * arb.pi()).sqrt() * (tail / arb(2).sqrt()).erfc()
    )
    return -(within.real + beyond.upper() * arb(0, 1)) / (2 * arb.pi()).sqrt()


def information(points: Sequence[Number], weights: Sequence[Number]) -> arb:
    """`I = Σ p_i KL(N(y_i, 1)‖Σ p_j N(y_j, 1))`, so that `KL(P‖Q) = ½ C − I` for `y_i = √g ξ_i` (B9)."""
    return sum((p * component_kl(points, weights, i) for i, p in enumerate(weights)), arb(0))


def mmse(points: Sequence[Number], weights: Sequence[Number]) -> arb:
    """`E Var(y | y + n)`, twice the slope of `information` along a common factor of all `y_i²` (I-MMSE).

    `Σ p_i y_i² − ∫ φ(u) (Σ p_i y_i r_i)²/Σ p_i r_i du` with `r_i = exp(y_i u − y_i²/2)` and centred `y_i`, whose integrand is at most
    `max y_i²` times the mixture's density.
    """
    ys = centred(points, weights)
    reach = reduce(arb.max, (abs(y).upper() for y in ys))
    end = (reach + TAIL).upper()

    def integrand(u: acb, _: bool) -> acb:
        ratios = [p * (y * u - y * y / 2).exp() for y, p in zip(ys, weights, strict=True)]
        total, moment = sum(ratios, acb(0)), sum((y * r for y, r in zip(ys, ratios, strict=True)), acb(0))
        return (-u * u / 2).exp() * moment * moment / total

    within = acb.integral(integrand, -end, end, rel_tol=arb(2) ** -(PRECISION - 10), abs_tol=arb(2) ** -PRECISION)
    explained = within.real / (2 * arb.pi()).sqrt() + hull(
        arb(0), (reach * reach * (arb(TAIL) / arb(2).sqrt()).erfc()).upper()
    )
    return variance(points, weights) - explained

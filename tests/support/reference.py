r"""Divergences of finite data on a line, computed apart from the package: exact sums and integrals at 100 digits, from the floats as they are.

Weights come from `log w_i − ½(z − √γ y_i)²` in mpmath, KL from `½ g tr C + Σ p_i E log Σ_j p_j exp(−½Δ_ij² − Δ_ij n)` in ball arithmetic (which bounds its own
error), TV in the same from the two roots of `dP/dQ = 1` and normal distribution functions. No formula of the package is called.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import mpmath as mp
from flint import acb, arb, ctx

Real = Any
"""An mpmath number."""
DIGITS = 700
"""Of weights and sums, for weights go down to 1e-300."""
_BITS = 140
"""Of KL, beyond what its terms cancel to."""


def posterior(points: Sequence[float], weights: Sequence[float], z: float, snr: float) -> list[Real]:
    """The posterior weights of points on a line."""
    with mp.workdps(DIGITS):
        root = mp.sqrt(mp.mpf(snr))
        logs = [
            mp.log(mp.mpf(w)) - (mp.mpf(z) - root * mp.mpf(y)) ** 2 / 2 if w > 0 else mp.ninf
            for y, w in zip(points, weights, strict=True)
        ]
        top = max(logs)
        joint = [mp.exp(value - top) for value in logs]
        total = mp.fsum(joint)
        return [value / total for value in joint]


def posterior_in_space(
    points: Sequence[Sequence[float]], weights: Sequence[float], z: Sequence[float], snr: float
) -> list[Real]:
    """The posterior weights of points in any dimension."""
    with mp.workdps(DIGITS):
        root = mp.sqrt(mp.mpf(snr))
        logs = [
            mp.log(mp.mpf(w)) - mp.fsum((mp.mpf(c) - root * mp.mpf(v)) ** 2 for c, v in zip(z, y, strict=True)) / 2
            if w > 0
            else mp.ninf
            for y, w in zip(points, weights, strict=True)
        ]
        top = max(logs)
        joint = [mp.exp(value - top) for value in logs]
        total = mp.fsum(joint)
        return [value / total for value in joint]


def shifts(points: Sequence[float], p: Sequence[Real], gap: float) -> list[Real]:
    """`√g ξ_i`."""
    with mp.workdps(max(DIGITS, mp.mp.dps)):
        moved = [mp.mpf(y) - mp.mpf(points[0]) for y in points]
        mean = mp.fsum(w * y for w, y in zip(p, moved, strict=True))
        return [mp.sqrt(mp.mpf(gap)) * (y - mean) for y in moved]


def kl(points: Sequence[float], p: Sequence[Real], gap: float) -> Real:
    """`KL(P‖Q)`, to many more digits than a float has."""
    with mp.workdps(DIGITS):
        m = shifts(points, p, gap)
        kept = [i for i, w in enumerate(p) if w > mp.mpf(10) ** -600]
        trace = mp.fsum(p[i] * m[i] ** 2 for i in kept)
        total = trace / 2
        # KL is at least ½(λ − log(1 + λ)), λ = g tr C, while its terms are of the size of λ and of one
        least = (trace - mp.log1p(trace)) / 2
        if least == 0:
            return mp.mpf(0)
        bits = _BITS + int(mp.log((1 + trace) / least, 2))
        for i in kept:
            total += p[i] * _mean_log(m[i], [(p[j], m[j]) for j in kept], bits)
        return total


def _mean_log(centre: Real, atoms: Sequence[tuple[mp.mpf, Real]], bits: int) -> Real:
    """`E log Σ_j p_j exp(−½Δ_j² − Δ_j n)` over a standard normal n, `Δ_j = m_i − m_j`."""
    with _precision(bits):
        # components far away weigh e^{−½Δ² + 45Δ} at most where n has any mass
        near = [(_ball(w).log(), _ball(centre - m)) for w, m in atoms if abs(centre - m) < 400]
        lines = [(acb(log_w - d * d / 2), acb(-d)) for log_w, d in near]
        level, half = acb(-(2 * arb.pi()).log() / 2), acb(arb(-0.5))

        def integrand(n: acb, analytic: bool) -> acb:
            inner = sum([(log + slope * n).exp() for log, slope in lines], acb(0))
            return inner.log(analytic=analytic) * (level + half * n * n).exp()

        tolerance = arb(2) ** (20 - bits)
        cuts = [-48 + 4 * k for k in range(25)]
        actual = sum(
            (
                acb.integral(integrand, acb(a), acb(b), eval_limit=200_000, abs_tol=tolerance, rel_tol=tolerance)
                for a, b in pairwise(cuts)
            ),
            acb(0),
        )
        return _middle(actual.real)


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    """Ball arithmetic with so many bits."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def _ball(x: Real) -> arb:
    """The number itself, with all its digits."""
    exact = mp.mpmathify(x)
    return arb((int(exact.man) * (-1 if x < 0 else 1), int(exact.exp)))


def _middle(x: arb) -> Real:
    man, exp = x.mid().man_exp()
    return mp.ldexp(mp.mpf(int(man)), int(exp))


def chi2(points: Sequence[float], p: Sequence[Real], gap: float) -> Real:
    """`χ²(P‖Q) = Σ p_i p_j e^{g ξ_i ξ_j} − 1`."""
    with mp.workdps(DIGITS):
        m = shifts(points, p, gap)
        return mp.fsum(p[i] * p[j] * mp.expm1(m[i] * m[j]) for i in range(len(p)) for j in range(len(p)))


def chi2_in_space(points: Sequence[Sequence[float]], p: Sequence[Real], gap: float) -> Real:
    """`χ²(P‖Q)` of points in any dimension."""
    with mp.workdps(DIGITS):
        axes = [shifts(axis, p, gap) for axis in zip(*points, strict=True)]
        m = list(zip(*axes, strict=True))
        pairs = [(i, j) for i in range(len(p)) for j in range(len(p))]
        inner = [mp.fsum(a * b for a, b in zip(m[i], m[j], strict=True)) for i, j in pairs]
        return mp.fsum(p[i] * p[j] * mp.expm1(x) for (i, j), x in zip(pairs, inner, strict=True))


def tv(points: Sequence[float], p: Sequence[Real], gap: float) -> Real:
    """`TV(P, Q)` from the roots of the convex `dP/dQ − 1` on either side of 0."""
    digits = 70 + int(-mp.log10(min(w for w in p if w > mp.mpf(10) ** -600)))
    with mp.workdps(digits):
        # the TV of small shifts is of the size of their mean square, and its terms are of that of one
        spread = mp.fsum(w * x**2 for w, x in zip(p, shifts(points, p, gap), strict=True))
        # below 1e-1000 it is 0 beside any float
        digits += int(min(1000, max(0, -mp.log10(spread)))) if spread > 0 else 0
    with mp.workdps(digits):
        m = shifts(points, p, gap)
        if all(value == 0 for value, w in zip(m, p, strict=True) if w > 0):
            return mp.mpf(0)
    # with guard digits of its own
    with _precision(int(3.33 * digits) + 32):
        lines = [(_ball(w), _ball(x)) for w, x in zip(p, m, strict=True) if w > 0]
        a, b = -_root(lines, -1), _root(lines, 1)
        mass = sum((w * (_cdf(b - x) - _cdf(a - x)) for w, x in lines), arb(0))
        tv = _cdf(b) - _cdf(a) - mass
    with mp.workdps(digits):
        return max(mp.mpf(0), _middle(tv))


def _root(lines: Sequence[tuple[arb, arb]], sign: int) -> arb:
    """Where the convex `log dP/dQ` is 0 on that side, by Newton's steps, which come down from 60; 60 where it is not positive there."""
    logs = [(w.log() - x * x / 2, sign * x) for w, x in lines]
    at = arb(60)
    for _ in range(10_000):
        terms = [((level + slope * at).exp(), slope) for level, slope in logs]
        r = sum((term for term, _ in terms), arb(0))
        # above the root both are positive, and at it the sign is no longer known
        if not r > 1:
            return at
        step = r.log() * r / sum((term * slope for term, slope in terms), arb(0))
        at = (at - step).mid()
    raise ArithmeticError(f"no root of dP/dQ = 1 after 10,000 steps, at {at}")


def _cdf(x: arb) -> arb:
    if abs(x) > 100:
        return arb(1 if x > 0 else 0)
    return (-x / arb(2).sqrt()).erfc() / 2

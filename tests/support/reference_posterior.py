"""Posterior means, mmse and information of few atoms by mpmath, from the definitions: no formula of the package is used."""

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import torch
from mpmath.calculus.quadrature import GaussLegendre

from singtheory import Atoms

Real = Any
"""A number of mpmath."""
DIGITS = 40
_DEGREE = 4
"""Of Gauss and Legendre's rule on a piece: 24 nodes."""
_TAIL = 44
"""Standard deviations beyond which densities are below e^-968, and so half-way between two atoms."""


def _joint(law: Atoms, z: list[float], snr: float) -> list[Real]:
    """`w_i φ(z − √γ y_i)` up to `(2π)^{−d/2}`."""
    root = mpmath.sqrt(mpmath.mpf(snr))
    rows = zip(law.points.tolist(), law.weights.tolist(), strict=True)
    return [
        mpmath.mpf(w) * mpmath.exp(-mpmath.fsum((mpmath.mpf(a) - root * mpmath.mpf(b)) ** 2 for a, b in zip(z, y, strict=True)) / 2)
        for y, w in rows
    ]  # fmt: skip


def posterior(law: Atoms, z: list[float], snr: float) -> tuple[list[Real], Real, list[Real]]:
    """Mean, trace of the covariance and weights for one query, with digits enough for what cancels."""
    size = max(1.0, float(law.points.abs().max()) ** 2 * max(snr, 1e-30), max(abs(v) for v in z) ** 2)
    with mpmath.workdps(DIGITS + int(mpmath.log10(size)) + 1):
        joint = _joint(law, z, snr)
        total = mpmath.fsum(joint)
        weights = [j / total for j in joint]
        points = law.points.tolist()
        mean = [mpmath.fsum(w * mpmath.mpf(y[k]) for w, y in zip(weights, points, strict=True)) for k in range(law.dim)]
        trace = mpmath.fsum(
            w * mpmath.fsum((mpmath.mpf(v) - m) ** 2 for v, m in zip(y, mean, strict=True))
            for w, y in zip(weights, points, strict=True)
        )
        return mean, trace, weights


def mmse(law: Atoms, snr: float) -> Real:
    """`E Var(x_0|z)` on a line: `∫ Σ_{i<j} P_i P_j (y_i − y_j)²/Σ P dz`, cut where atoms lie and where two weigh the same."""

    def density(joint: list[Real], points: list[Real]) -> Real:
        pairs = itertools.combinations(zip(joint, points, strict=True), 2)
        return mpmath.fsum(p * q * (x - y) ** 2 for (p, x), (q, y) in pairs) / mpmath.fsum(joint)

    return _integral(law, snr, density)


def information(law: Atoms, snr: float) -> Real:
    """`I(x_0; z)` in nats on a line: the entropy of z less that of the noise."""

    def density(joint: list[Real], _: list[Real]) -> Real:
        q = mpmath.fsum(joint) / mpmath.sqrt(2 * mpmath.pi)
        return -mpmath.fsum(joint) * mpmath.log(q) if q > 0 else mpmath.mpf(0)

    return _integral(law, snr, density) - mpmath.log(2 * mpmath.pi * mpmath.e) / 2


def _integral(law: Atoms, snr: float, density: Callable[[list[Real], list[Real]], Real]) -> Real:
    # places of the noise's size are told apart however far from the origin the atoms lie
    far = mpmath.sqrt(mpmath.mpf(snr)) * float(law.points.abs().max())
    with mpmath.workdps(25 + max(0, int(mpmath.log10(far)) + 1 if far > 0 else 0)):
        root = mpmath.sqrt(mpmath.mpf(snr))
        support = [
            (mpmath.mpf(y[0]), mpmath.mpf(w))
            for y, w in zip(law.points.tolist(), law.weights.tolist(), strict=True)
            if w > 0
        ]
        points, centres = [y for y, _ in support], [root * y for y, _ in support]

        def integrand(z: Real) -> Real:
            joint = [w * mpmath.exp(-((z - a) ** 2) / 2) for (_, w), a in zip(support, centres, strict=True)]
            return density(joint, points) / mpmath.sqrt(2 * mpmath.pi) if any(joint) else mpmath.mpf(0)

        cuts = {a + step for a in centres for step in range(-_TAIL, _TAIL + 1, 4)}
        for (_, w), (_, v), a, b in _pairs(support, centres):
            if 0 < abs(a - b) < 80:
                middle = (a + b) / 2 + mpmath.log(v / w) / (a - b)
                cuts |= {middle + step / abs(a - b) for step in (-60, -20, -7, -2, 0, 2, 7, 20, 60)}
        limits = sorted(cut for cut in cuts if min(abs(cut - a) for a in centres) <= _TAIL + 0.5)
        # a rule of fixed nodes: mpmath.quad stops where an error is small in absolute terms, and an mmse may be 1e-290
        rule = GaussLegendre(mpmath.mp).calc_nodes(_DEGREE, mpmath.mp.prec)
        parts = []
        for x, y in itertools.pairwise(limits):
            middle, half = (x + y) / 2, (y - x) / 2
            if min(abs(middle - a) for a in centres) <= _TAIL:
                parts.append(half * mpmath.fsum(w * integrand(middle + half * node) for node, w in rule))
        return mpmath.fsum(parts)


def _pairs(support: list, centres: list) -> list:
    return [(support[i], support[j], centres[i], centres[j]) for i, j in itertools.combinations(range(len(support)), 2)]


def as_tensor(values: list[Real]) -> torch.Tensor:
    """Rounded to float64."""
    return torch.tensor([float(v) for v in values], dtype=torch.float64)

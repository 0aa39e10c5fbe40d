"""What the components of P state about their errors, against components that differ by all of it."""

import mpmath
import pytest
import torch

from singtheory import Atoms, GaussianMixture, divergence
from singtheory.divergence import Components
from singtheory.formula import DOUBLE
from tests.support import reference

F64 = torch.float64
LOST = 8 * DOUBLE
"""What eigenvalues of a covariance of norm 1 in two dimensions may be off, as a norm."""


@pytest.mark.parametrize("share", [0.1, 0.4, 0.49])
@pytest.mark.parametrize("change", [(0.0, 0.0, LOST), (0.0, LOST, LOST**2), (-LOST / 4, LOST / 2, LOST**2)])
def test_spreads_of_turned_covariances_lie_within_their_errors(share, change):
    """Of `diag(1, 0)`, computed, and `Σ + F`, meant, with `‖F‖ ≤ ε` and γε the share: `−E ≤ C' − C ≤ E` as matrices, not eigenvalue by eigenvalue.

    Where F turns the axis along which Σ is 0, the lower bound along that axis is `f(0 − ε) = −ε/(1 − γε)`: with ε alone the matrix `C' − C + E` is negative
    along some direction.
    """
    snr, gap = share / LOST, 0.5
    law = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[[1.0, 0.0], [0.0, 0.0]]] * 2)
    of = Components.of(law.posterior([0.3, 0.2], snr)[0], gap)
    assert of.spread is not None and of.basis is not None and of.spread_error is not None
    first, turned, least = change
    with mpmath.workdps(60):
        meant = mpmath.matrix([[1 + mpmath.mpf(first), turned], [turned, least]])
        assert min(mpmath.eigsy(meant, eigvals_only=True)) >= 0
        moved = [gap * cov * (mpmath.eye(2) + snr * cov) ** -1 for cov in (mpmath.diag([1, 0]), meant)]
        for basis, spread, error in zip(of.basis, of.spread, of.spread_error, strict=True):
            assert spread.tolist() == pytest.approx([0.0, gap / (1 + snr)], rel=1e-15)
            # the rounding of the spread itself is counted elsewhere
            axes = mpmath.matrix(basis.tolist())
            off = axes.T * (moved[1] - moved[0]) * axes
            stated = mpmath.diag([mpmath.mpf(v) * (1 + mpmath.mpf(2) ** -40) for v in error.tolist()])
            for sign in (-1, 1):
                assert min(mpmath.eigsy(stated + sign * (off + off.T) / 2, eigvals_only=True)) >= 0


def log_ratio(p, means, spreads, u):
    """`log Σ p_j N(u; m_j, I + S_j)/N(u; 0, I)` of spreads along the axes, in 60 digits."""
    with mpmath.workdps(60):
        terms = []
        for weight, mean, spread in zip(p, means, spreads, strict=True):
            parts = [
                (v**2 - (v - m) ** 2 / (1 + s) - mpmath.log1p(s)) / 2 for v, m, s in zip(u, mean, spread, strict=True)
            ]
            terms.append(weight * mpmath.exp(mpmath.fsum(parts)))
        return mpmath.log(mpmath.fsum(terms))


@pytest.mark.parametrize("far", [0.5, 8.0, 40.0])
@pytest.mark.parametrize("off", [[1e-6, 0.0], [0.0, 1e-6], [1e-6, 1e-6]])
@pytest.mark.parametrize("reference", [-1, 0, 1])
def test_what_a_distant_centre_is_off_is_in_the_ratio_at_it(far, off, reference):
    """At `u = m_k + n` the ratio is `½‖m_k‖² + ⟨m_k, n⟩` and more: an error of m_k moves it by `‖m_k‖` times that, at n = 0 too."""
    gap, p, spreads = 0.25, [0.25, 0.75], [[0.2, 0.4], [0.3, 0.1]]
    points = [[2 * far, 0.0], [0.0, 0.0]]
    of = Components(
        torch.tensor(p, dtype=F64).log(),
        torch.zeros(2, dtype=F64),
        torch.tensor(points, dtype=F64),
        gap,
        torch.tensor(spreads, dtype=F64),
        torch.eye(2, dtype=F64).expand(2, 2, 2),
        torch.zeros(2, 2, dtype=F64),
        torch.tensor(off, dtype=F64),
    )
    nodes = torch.tensor([[0.0, 0.0], [0.5, -1.0], [-2.0, 0.25]], dtype=F64)
    actual = of.ratio(nodes, reference)
    for sign in (-1, 1):
        with mpmath.workdps(60):
            # apart from each other by what both may be off
            moved = [
                [mpmath.mpf(x) + sign * s * o, mpmath.mpf(y)] for (x, y), s, o in zip(points, (1, -1), off, strict=True)
            ]
            mean = [mpmath.fsum(w * m[i] for w, m in zip(p, moved, strict=True)) for i in range(2)]
            centres = [[mpmath.sqrt(gap) * (a - b) for a, b in zip(m, mean, strict=True)] for m in moved]
            at = centres[reference] if reference >= 0 else [mpmath.mpf(0)] * 2
            for n, value, error in zip(nodes.tolist(), actual.log_r.tolist(), actual.error.tolist(), strict=True):
                right = log_ratio(p, centres, spreads, [a + b for a, b in zip(at, n, strict=True)])
                assert abs(mpmath.mpf(value) - right) <= error


def test_components_are_kept_for_one_posterior_and_one_gap():
    posterior, other = (Atoms([[-1.0], [0.5], [2.0]]).posterior([z], 0.5) for z in (0.1, 0.7))
    first = Components.of(posterior, 0.3)
    assert Components.of(posterior, 0.3) is first
    assert Components.of(posterior, 0.4).gap == 0.4
    second = Components.of(other, 0.4)
    assert float(second.p[0]) != float(first.p[0])
    assert torch.equal(Components.of(posterior, 0.3).centres, first.centres)


@pytest.mark.parametrize(
    ("far", "z", "gap"), [(5.0, -12.0, 1e40), (5.0, -12.0, 1.0), (1.0, -60.0, 1e76), (3.0, -20.0, 1e20)]
)
def test_a_weight_below_the_least_float_is_in_every_error(far, z, gap):
    """A far point of weight 1e-330: its part of the trace, of KL and of W₂ is none that float64 cannot hold, and was left out."""
    law = Atoms([[0.0], [far]], [1.0, 1e-300])
    query, weights = law.posterior([z], 1.0), law.weights.tolist()
    p = reference.posterior([0.0, far], weights, z, 1.0)
    assert float(query.weights[0, 1]) < 1e-310
    of = Components.of(query, gap)
    with mpmath.workdps(reference.DIGITS):
        spread = mpmath.mpf(gap) * p[0] * p[1] * mpmath.mpf(far) ** 2
        assert abs(spread - mpmath.mpf(of.trace)) <= of.trace_error
        assert abs(spread - mpmath.mpf(float(of.eigenvalues[0]))) <= of.eigenvalue_error
        least, most = spread / 2 - entropy(p), spread / 2  # KL of atoms that are apart (B9's limit), and B3
        kl, w2 = divergence.kl_quadrature(query, gap), divergence.w2_exact(query, gap)
        assert float(kl.low) <= most and max(least, 0) <= float(kl.high)
        # W₂² is at most the trace (coupling by one noise), and a mass p₁ at a distance m costs at least p₁(m − 50)², for Q has none beyond 40
        apart = max(mpmath.sqrt(mpmath.mpf(gap)) * far - 50, 0)
        assert float(w2.low) <= mpmath.sqrt(spread) and mpmath.sqrt(p[1]) * apart * 0.99 <= float(w2.high)


def entropy(p):
    """`−Σ p log p`."""
    return -mpmath.fsum(w * mpmath.log(w) for w in p)

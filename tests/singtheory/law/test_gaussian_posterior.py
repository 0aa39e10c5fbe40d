"""What the eigenvalues of a covariance lose, against posteriors of covariances that differ by all that is stated, in 60 digits.

The computed eigenvalues and eigenvectors are those of Σ; the right covariance is `Σ + F`, any that is not negative with `‖F‖ ≤ ε = 4d u‖Σ‖`.
"""

import mpmath
import pytest
import torch

from singtheory import Gaussian, GaussianMixture
from singtheory.formula import DOUBLE

LOST = 8 * DOUBLE
"""ε for d = 2 and ‖Σ‖ = 1."""
LEAST = 2 * LOST
CHANGES = {
    "none": (0.0, 0.0, 0.0),
    "all larger": (LOST, 0.0, LOST),
    "all smaller": (-LOST, 0.0, -LOST),
    "the least smaller": (0.0, 0.0, -LOST),
    "the least larger": (0.0, 0.0, LOST),
    "turned": (0.0, LOST, 0.0),
}
"""F as its entries `F_11, F_12, F_22`."""
F64 = torch.float64


def posterior(cov, snr, residual):
    """C, the mean less that of the prior and the log gain `½[γ ρᵀCρ − log det(1 + γΣ)]`, ρ the residual."""
    widened = mpmath.eye(2) + snr * cov
    actual = cov * widened**-1
    actual = (actual + actual.T) / 2
    gain = (snr * (residual.T * actual * residual)[0] - mpmath.log(mpmath.det(widened))) / 2
    return actual, mpmath.sqrt(snr) * actual * residual, gain


def states(snr, z):
    """The computed posterior of `diag(1, 2ε)` about 0, and what is exact of the same."""
    law = Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, LEAST]])
    actual = law.posterior(z, snr)
    # of a diagonal matrix eigenvalues and eigenvectors are exact
    assert actual.basis.abs().tolist() == [[0.0, 1.0], [1.0, 0.0]]
    return actual, mpmath.matrix(z)


@pytest.mark.parametrize("share", [1e-3, 0.1, 0.4, 0.49])
@pytest.mark.parametrize("z", [[0.0, 0.0], [0.0, 3.0], [2.0, 0.5], [1e6, 2.0]])
@pytest.mark.parametrize("change", CHANGES)
def test_all_covariances_that_may_be_meant_are_within_what_is_stated(share, z, change):
    """`share` is γε: where it is near a half, `f(λ) − f(λ − ε)` and `f(λ + ε) − f(λ)` differ by a factor."""
    snr = share / LOST
    actual, residual = states(snr, z)
    first, turned, least = CHANGES[change]
    with mpmath.workdps(60):
        meant = mpmath.matrix([[1 + mpmath.mpf(first), turned], [turned, mpmath.mpf(LEAST) + least]])
        cov, moved, gain = posterior(meant, snr, residual)
        rounding = 40 * DOUBLE
        off = mpmath.matrix([(mpmath.mpf(m) - e) for m, e in zip(actual.moved[0].tolist(), moved, strict=True)])
        assert mpmath.norm(off) <= float(actual.lost.moved[0])
        total, sizes = actual.log_gain[0].tolist()
        assert abs(total - gain) <= float(actual.lost.log_gain[0]) + rounding * sizes
        # in the order of `basis`, which is that of the eigenvalues
        stated = mpmath.diag([mpmath.mpf(v) for v in reversed(actual.lost.cov[0].tolist())])
        change_of_cov = cov - mpmath.diag([mpmath.mpf(v) for v in reversed(actual.spectrum[0].tolist())])
        slack = rounding * mpmath.diag([mpmath.mpf(v) for v in reversed(actual.spectrum[0].tolist())])
        for sign in (-1, 1):
            assert min(mpmath.eigsy(stated + slack + sign * change_of_cov, eigvals_only=True)) >= 0
        values = mpmath.eigsy(cov, eigvals_only=True)
        order = actual.spectrum[0].argsort()
        for value, lost, right in zip(
            actual.spectrum[0, order].tolist(), actual.lost.eigenvalues[0, order].tolist(), values, strict=True
        ):
            assert abs(value - right) <= lost + rounding * right


def test_what_is_stated_is_of_the_size_of_what_may_happen():
    """A bound that holds everything tells nothing: each is reached within a factor of six."""
    snr = 0.1 / LOST
    actual, residual = states(snr, [0.0, 3.0])
    with mpmath.workdps(60):
        right = posterior(mpmath.diag([1, mpmath.mpf(LEAST) - LOST]), snr, residual)
        same = posterior(mpmath.diag([1, mpmath.mpf(LEAST)]), snr, residual)
        assert float(actual.lost.moved[0]) <= 6 * mpmath.norm(right[1] - same[1])
        assert float(actual.lost.log_gain[0]) <= 6 * abs(right[2] - same[2])
        assert float(actual.lost.cov[0, 0]) <= 6 * abs(right[0][1, 1] - same[0][1, 1])


@pytest.mark.parametrize("make", [Gaussian, lambda mean, cov: GaussianMixture([1.0], [mean], [cov])])
def test_a_query_of_many_has_what_it_loses_itself(make):
    """The first query lies at the prior mean, whose posterior mean is exact; the second far away, and what it loses is its own."""
    law, z, snr = make([0.0, 0.0], [[0.7, 0.3], [0.3, 0.4]]), torch.tensor([[0.0, 0.0], [3e5, -1e5]], dtype=F64), 2.0
    together = law.posterior(z, torch.tensor([1e-9, snr], dtype=F64))
    for row, gamma in ((0, 1e-9), (1, snr)):
        of, alone = together[row], law.posterior(z[row], gamma)
        if isinstance(law, GaussianMixture):
            of, alone = of.components[0], alone.components[0]
        for one, other in zip(of.lost, alone.lost, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=0.0)
        with mpmath.workdps(60):
            cov = mpmath.matrix([[0.7, 0.3], [0.3, 0.4]])
            moved = posterior(cov, mpmath.mpf(gamma), mpmath.matrix(z[row].tolist()))[1]
            off = mpmath.matrix([(mpmath.mpf(m) - e) for m, e in zip(of.moved[0].tolist(), moved, strict=True)])
            assert mpmath.norm(off) <= float(of.lost.moved[0]) <= 1e-13 * (1 + mpmath.norm(moved))


@pytest.mark.parametrize("snr", [1e-80, 1e-30, 1.0, 1e30, 1e80])
@pytest.mark.parametrize("variance", [0.0, 1e-60, 1e-17, 1.0, 1e17, 1e60])
def test_a_gaussian_at_every_end_of_the_domain(variance, snr):
    """The mean was the prior's, and C was 0, as soon as `1 + γλ` was infinite: that lies beyond the domain now."""
    root, z, mean = snr**0.5, 3.0, 0.25
    posterior = Gaussian([mean], [[variance]]).posterior([z], snr)
    with mpmath.workdps(700):
        lam, gamma = mpmath.mpf(variance), mpmath.mpf(snr)
        c = lam / (1 + gamma * lam)
        residual = z - mpmath.mpf(root) * mean
        right = mean + mpmath.sqrt(gamma) * c * residual
        log_evidence = -(residual**2 / (1 + gamma * lam) + mpmath.log(2 * mpmath.pi * (1 + gamma * lam))) / 2
    assert float(posterior.trace_cov) == pytest.approx(float(c), rel=1e-14)
    assert float(posterior.mean) == pytest.approx(float(right), rel=1e-13, abs=1e-15)
    assert float(posterior.log_evidence) == pytest.approx(float(log_evidence), rel=1e-12)


@pytest.mark.parametrize(
    ("scale", "snr", "z"), [(1e30, 1.0, 0.1), (1e30, 1e-80, 0.1), (1e30, 1e80, 1e70), (1.0, 1e80, -1e40)]
)
def test_a_mixture_at_the_ends_of_the_domain_has_a_posterior(scale, snr, z):
    """Where squares overflowed it was NaN."""
    posterior = GaussianMixture([0.5, 0.5], [[scale], [-scale]], [[[1.0]], [[2.0]]]).posterior([z], snr)
    assert bool(posterior.mean.isfinite().all() & posterior.trace_cov.isfinite().all())
    assert not bool((posterior.log_weights + posterior.log_weight_error).isnan().any())

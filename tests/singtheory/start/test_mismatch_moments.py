"""What eigenvalues and moments lose to rounding is in the intervals of starts: against Gaussians in 60 digits."""

import mpmath
import pytest
import torch

from singtheory import Atoms, Gaussian, budget
from singtheory.mmse.exact import exact_curve
from singtheory.start.mismatch import Moments, Start, from_matched, from_mean, from_noise, initial_mismatch


def _kl_of_start(mean, cov, start: Start, basis, alpha: float, sigma: float) -> mpmath.mpf:
    """`KL(N(αμ, α²Σ + σ²I)‖S)` of a Σ of 60 digits."""
    dim = len(mean)
    inner = mpmath.diag([1] * dim) * mpmath.mpf(start.rest) ** 2
    for row, std in zip(basis.tolist(), start.std.tolist(), strict=True):
        direction = mpmath.matrix(row)
        inner += direction * direction.T * (mpmath.mpf(std) ** 2 - mpmath.mpf(start.rest) ** 2)
    noised = cov * mpmath.mpf(alpha) ** 2 + mpmath.diag([mpmath.mpf(sigma) ** 2] * dim)
    apart = mpmath.matrix(mean) * mpmath.mpf(alpha) - mpmath.matrix(start.mean.tolist())
    inverse = inner**-1
    trace = mpmath.fsum((inverse * noised)[i, i] for i in range(dim))
    logs = mpmath.log(mpmath.det(inner)) - mpmath.log(mpmath.det(noised))
    return (trace - dim + logs + (apart.T * inverse * apart)[0]) / 2


HIDDEN = {
    "one small": [1.0, 1e-17],
    "several small": [1.0, 1e-3, 3e-16, 1e-16, 1e-18],
    "none": [1.0, 0.5, 0.25],
    "of another scale": [1e20, 1e6, 1e3],
    "singular": [4.0, 1.0, 0.0, 0.0],
}
"""Eigenvalues, some below what float64 knows beside the largest."""


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("sigma", [1.0, 1e-3, 1e-7, 1e-9, 1e-12])
@pytest.mark.parametrize("turned", [False, True])
def test_the_start_term_holds_what_eigenvalues_lose(name, sigma, turned):
    """A variance under the rounding of the largest was left out, and the interval lay beside the KL: it holds for Gaussians to 60 digits."""
    values = torch.tensor(HIDDEN[name], dtype=torch.float64)
    dim = len(values)
    turn = torch.eye(dim, dtype=torch.float64)
    if turned:
        turn = torch.linalg.qr(torch.arange(dim * dim, dtype=torch.float64).sin().view(dim, dim))[0]
    cov = (turn * values) @ turn.mT
    cov = (cov + cov.mT) / 2
    law = Gaussian(torch.linspace(-1, 2, dim, dtype=torch.float64), cov)
    moments, curve = budget.moments_of(law), exact_curve(law)
    with mpmath.workdps(60):
        variances, axes = mpmath.eigsy(mpmath.matrix(law.cov.tolist()))
        exactly = axes * mpmath.diag([max(v, 0) for v in variances]) * axes.T  # rounding may have made one negative
        for start in (from_noise(moments), from_mean(moments, 0.9, sigma), from_matched(moments, 1, 0.9, sigma)):
            expected = _kl_of_start(law.mean.tolist(), exactly, start, moments.components.basis, 0.9, sigma)
            for actual in (
                budget.start_term(curve, moments, start, 0.9, sigma),
                initial_mismatch(moments, start, 0.9, sigma),
            ):
                assert actual.low <= expected <= actual.high


@pytest.mark.parametrize("seed", range(8))
def test_the_start_term_holds_small_eigenvalues_of_either_sign_of_error(seed):
    """A start that matches the large direction alone: the trace along the small ones, a thousandth of which is rounding of the large one, is most of the KL."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    cov = (turn * torch.tensor([1.0, 1e-13, 3e-14], dtype=torch.float64)) @ turn.mT
    law = Gaussian(torch.zeros(3, dtype=torch.float64), (cov + cov.mT) / 2)
    moments, sigma = budget.moments_of(law), 1e-8
    start = from_matched(moments, 1, 0.9, sigma)
    actual = budget.start_term(exact_curve(law), moments, start, 0.9, sigma)
    with mpmath.workdps(60):
        exactly = mpmath.matrix(law.cov.tolist())
        expected = _kl_of_start([0, 0, 0], exactly, start, moments.components.basis, 0.9, sigma)
        assert actual.low <= expected <= actual.high


def test_moments_of_points_say_what_was_left_out():
    """Points that vary by 1e-12 along the second axis, far from the origin: what is below the rounding is in `lost`."""
    points = torch.tensor([[1e4, 1e4], [1e4 + 1, 1e4], [1e4 - 1, 1e4 + 2.0**-39]], dtype=torch.float64)
    law = Atoms(points)
    with mpmath.workdps(60):
        exact = [[mpmath.mpf(v) for v in row] for row in points.tolist()]
        mean = [mpmath.fsum(column) / 3 for column in zip(*exact, strict=True)]
        centred = mpmath.matrix([[v - m for v, m in zip(row, mean, strict=True)] for row in exact])
        cov = centred.T * centred / 3
        for moments in (Moments.of(law), budget.moments_of(law)):
            lost = torch.as_tensor(moments.lost).tolist()
            for row, std, off in zip(
                moments.components.basis.tolist(), moments.components.std.tolist(), lost, strict=False
            ):
                direction = mpmath.matrix(row)
                assert abs((direction.T * cov * direction)[0] - mpmath.mpf(std) ** 2) <= off
            total = mpmath.fsum(cov[i, i] for i in range(2)) - mpmath.fsum(
                mpmath.mpf(s) ** 2 for s in moments.components.std.tolist()
            )
            assert abs(total) <= sum(lost)

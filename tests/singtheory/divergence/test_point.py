"""The step to s = 0: what is left of KL, TV, χ² and W₂ where the kernel is the posterior itself."""

import math
from fractions import Fraction

import mpmath
import pytest
import torch

from singtheory import Atoms, Cosine, Gaussian, GaussianMixture, ReverseKernel, divergence
from singtheory.divergence import point
from singtheory.divergence.point import mean_is


@pytest.mark.parametrize(
    ("points", "weights", "t", "x", "left"),
    [
        ([-1.0, 0.0, 1.0], None, 1.0, 0.7, 2 / 3),
        ([-1.0, 0.0, 1.0], [1, 2, 1], 1.0, 0.0, 0.5),
        ([-1.0, 0.0, 0.0, 1.0], None, 1.0, 0.0, 0.5),  # equal points are one
        ([-1.0, 1e-30, 1.0], None, 1.0, 0.0, 1.0),  # the mean is 1e-30/3
        ([-1.0, 0.0, 1.0], [1, 2, 1.0000000000000002], 1.0, 0.0, 1.0),
        ([-1.0, 0.1, 1.3], None, 1.0, 0.0, 1.0),
        ([9.0, -1.0, 0.0, 1.0], [0, 1, 2, 1], 1.0, 0.0, 0.5),  # a point without weight comes first
        ([0.4], None, 0.5, 0.1, 0.0),
        ([0.4, 0.4, 9.0], [1, 3, 0], 0.5, 0.1, 0.0),
        ([-1.0, 1.0], None, 0.5, 0.0, 1.0),
    ],
)
def test_mass_that_is_not_at_the_mean(points, weights, t, x, left):
    step = ReverseKernel(Atoms([[y] for y in points], weights), Cosine(), t, 0.0).at([x])
    actual = step.tv()
    assert float(actual.low) <= left <= float(actual.high)
    assert float(actual) == pytest.approx(left, abs=1e-15) and float(actual.high - actual.low) < 1e-13
    assert float(step.kl()) == float(step.chi2()) == (0.0 if left == 0 else math.inf)
    assert float(step.w2().low) <= float(step.w2().high)
    assert (float(step.w2()) == 0) == (left == 0)


def test_symmetric_points_inside_are_decided_by_their_exponents():
    """At x = 0 the points −1 and 1 weigh alike; at 0.3 they do not, and the mean is no point."""
    actual = ReverseKernel(Atoms([[-1.0], [0.0], [1.0]]), Cosine(), 0.5, 0.0).at([[0.0], [0.3]]).tv()
    assert 0.5 < float(actual.value[0]) < 0.6 and float(actual.high[0] - actual.low[0]) < 1e-13
    assert float(actual.value[1]) == float(actual.low[1]) == 1


def test_the_mean_of_other_exponents_is_no_point():
    """±1 about 0 with weights that make up for the tilt to seventeen digits: the exponents differ, so the mean is not 0."""
    tilt = math.exp(-2 * 0.5 * 0.3)
    posterior = Atoms([[-1.0], [0.0], [1.0]], [1.0, 1.0, tilt]).posterior([0.3], 0.25)
    assert abs(float(posterior.mean)) < 1e-15
    assert not mean_is(posterior, 1)
    assert float(divergence.tv_to_point(posterior)) == 1
    assert mean_is(Atoms([[-1.0], [0.0], [1.0]]).posterior([0.0], 0.3), 1)  # an irrational root
    # about z = 2 the points 1 and 3 have the exponents 2y − ½y² = 3/2
    assert mean_is(Atoms([[1.0], [2.0], [3.0]]).posterior([2.0], 1.0), 1)


def test_smooth_laws():
    assert float(divergence.tv_to_point(Gaussian([0.3], [[0.5]]).posterior([0.1], 2.0))) == 1
    point = Gaussian([0.3], [[0.0]]).posterior([0.1], 2.0)
    assert float(divergence.tv_to_point(point)) == 0 and bool(divergence.is_point(point).all())
    half = GaussianMixture([0.5, 0.25, 0.25], [[0.0], [-1.0], [1.0]], [[[0.0]], [[0.5]], [[0.5]]]).posterior([0.0], 0.0)
    actual = divergence.tv_to_point(half)
    assert float(actual.low) <= 0.5 <= float(actual.high) and float(actual) == pytest.approx(0.5)
    assert float(divergence.to_point(half).value) == math.inf


def test_wasserstein_is_the_root_of_the_trace_wherever_the_data_lie():
    law = Atoms([[1e8], [1e8 + 1.0]])
    actual = divergence.w2_to_point(law.posterior([0.0], 0.0))
    assert float(actual) == pytest.approx(0.5, rel=1e-12)
    assert float(actual.low) <= 0.5 <= float(actual.high)
    assert torch.equal(divergence.is_point(law.posterior([[0.0], [1.0]], 0.0)), torch.tensor([False, False]))


def test_many_points_need_no_rational_numbers(monkeypatch):
    """Exponents that are no other's decide; in 100 dimensions rational numbers would take minutes."""
    points = torch.randn(300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = ReverseKernel(Atoms(points), Cosine(), 0.01, 0.0)
    monkeypatch.setattr(point, "Fraction", None)
    assert step.at(step.schedule.alpha(0.01) * points[:3]).tv().value.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("far", [1e-30, 1.0, 1e29])
def test_exponents_that_are_alike_are_decided_exactly(far):
    """Of four points two pairs have one exponent each: no point is alone, and the mean is the middle one."""
    points = far * torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    nowhere = torch.full((1, 2), 7 * far, dtype=torch.float64)  # has no weight, and no other its exponent
    law = Atoms(torch.cat([points, nowhere]), [1, 1, 1, 1, 1, 0])
    posterior = law.posterior([0.0, 0.0], 0.5)
    assert mean_is(posterior, 4) and not mean_is(posterior, 0)


@pytest.mark.parametrize(
    ("square", "root"),
    [
        (Fraction(9, 4), Fraction(3, 2)),
        (Fraction(25), Fraction(5)),
        (Fraction(9, 8), None),
        (Fraction(2), None),
        (Fraction(4, 3), None),
    ],
)
def test_roots_that_are_rational(square, root):
    assert point._root(square) == root


def test_a_far_point_does_not_hide_that_near_ones_differ():
    """The rounding of an exponent is that of its own point: 5e15 of the far one says nothing of 0 and −¼."""
    query = Atoms([[0.0], [1.0], [1e8]]).posterior([0.25], 1.0)
    assert point._alone(query).tolist() == [True, True, True]


@pytest.mark.parametrize(
    ("far", "weight", "z"),
    [
        (1e-30, 1e-300, 0.0),  # the square of the distance times the weight underflows
        (100.0, 1.0, 40.79),  # the weight does: e^-921
        (1e30, 1.0, 40.79),
    ],
)
def test_w2_to_the_point_where_squares_underflow(far, weight, z):
    """`√(p(1 − p)) d` for two atoms, d apart; p from its logarithm, at 400 digits."""
    snr = 1.0 if far == 1e-30 else 1e4 / far**2
    law = Atoms([[0.0], [far]], [1.0, weight])
    with mpmath.workdps(400):
        root = mpmath.sqrt(mpmath.mpf(snr)) * mpmath.mpf(far)
        ratio = mpmath.mpf(float(law.weights[1])) / mpmath.mpf(float(law.weights[0]))
        odds = ratio * mpmath.exp(root * mpmath.mpf(z) - root**2 / 2)
        truth = mpmath.sqrt(odds) / (1 + odds) * mpmath.mpf(far)
    posterior = law.posterior([z], snr)
    estimate = divergence.w2_to_point(posterior)
    assert 0 < mpmath.mpf(float(estimate.low)) <= truth <= mpmath.mpf(float(estimate.high))
    assert float(estimate.high) <= float(estimate.low) * (1 + 1e-9)
    apart = divergence.w2_exact(posterior, 1.0)
    assert 0 < truth * (1 - mpmath.mpf(1e-9)) <= mpmath.mpf(float(apart.high))

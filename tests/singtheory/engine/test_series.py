"""Moments near γ = 0: mean, trace and evidence against posteriors that are known in closed form."""

import math

import pytest
import torch

from singtheory.engine import series
from singtheory.engine.points import Points
from singtheory.engine.series import Series

F64 = torch.float64


def by_series(points: list[list[float]], weights: list[float], z: list[float], snr: float):
    """The series at one query."""
    series = Series(Points(torch.tensor(points, dtype=F64), torch.tensor(weights, dtype=F64)))
    return series.posterior(torch.tensor([z], dtype=F64), torch.tensor([snr], dtype=F64))


def exactly(points: list[list[float]], weights: list[float], z: list[float], snr: float):
    """Mean, trace and log evidence by their sums."""
    y, w, at = torch.tensor(points, dtype=F64), torch.tensor(weights, dtype=F64), torch.tensor(z, dtype=F64)
    joint = w.log() - (at - math.sqrt(snr) * y).square().sum(dim=1) / 2
    p = torch.softmax(joint, dim=0)
    mean = p @ y
    log_norm = len(z) / 2 * math.log(2 * math.pi)
    return mean, float(p @ (y - mean).square().sum(dim=1)), float(torch.logsumexp(joint, 0)) - log_norm


LAWS = {
    "skew on a line": ([[-1.0], [2.0]], [2 / 3, 1 / 3]),
    "skew beside the origin": ([[9.0], [12.0]], [2 / 3, 1 / 3]),
    "three in the plane": ([[0.0, 0.0], [1.0, 0.5], [-2.0, 3.0]], [0.2, 0.5, 0.3]),
}


@pytest.mark.parametrize("name", LAWS)
def test_first_order_in_the_root_of_snr(name):
    """At γ = 10⁻⁸ what is left is of the order of γ: `‖z‖²` and four powers of the reach together stay below 10⁴."""
    points, weights = LAWS[name]
    z, snr = [0.7] * len(points[0]), 1e-8
    mean, trace, evidence = exactly(points, weights, z, snr)
    of = by_series(points, weights, z, snr)
    assert float((of.mean[0] - mean).norm()) < 1e4 * snr
    assert float(of.trace_cov) == pytest.approx(trace, abs=1e4 * snr)
    assert float(of.log_evidence) == pytest.approx(evidence, abs=1e4 * snr)
    assert float((of.mean[0] - mean).norm()) <= float(of.error_bound)


def test_the_trace_loses_what_the_norms_vary_by():
    """About the mean, z′ = 0, the exponent is `−½γ‖y′‖²`, so that `tr C = tr Σ − ½γ Var‖y′‖² + O(γ²)`; in numbers, 2 − ½·10⁻⁴·2."""
    points, weights = LAWS["skew on a line"]
    of = by_series(points, weights, [0.0], 1e-4)
    assert float(of.trace_cov) == pytest.approx(2 - 1e-4, abs=1e-7)
    assert float(of.trace_cov) == pytest.approx(exactly(points, weights, [0.0], 1e-4)[1], abs=1e-7)


def test_the_evidence_loses_half_of_the_spread():
    """`log E e^{−½γ‖y′‖²} = −½γ tr Σ + O(γ²)`, tr Σ = 2, beside what the Gaussian itself has."""
    points, weights = LAWS["skew on a line"]
    expected = -(math.log(2 * math.pi) + 1e-4 * 2) / 2
    assert float(by_series(points, weights, [0.0], 1e-4).log_evidence) == pytest.approx(expected, abs=1e-7)


def test_the_trace_loses_the_square_of_the_shift():
    """±1 at z: `tr C = 1 − tanh²(√γ z) = 1 − γz² + O(γ²)`, and norms that do not vary have no other term."""
    of = by_series([[-1.0], [1.0]], [0.5, 0.5], [3.0], 1e-4)
    assert float(of.trace_cov) == pytest.approx(1 - 9e-4, abs=2e-6)
    assert float(of.mean) == pytest.approx(math.tanh(0.03), abs=0.03**3)


def test_the_trace_is_no_less_than_nothing():
    """Where the series says nothing: its remainder is large, and a trace stays one."""
    of = by_series([[-1.0], [1.0]], [0.5, 0.5], [3.0], 1.0)
    assert float(of.trace_cov) == 0.0
    assert float(of.error_bound) > 1.0


def test_the_best_linear_denoiser():
    """`Σ λ/(1 + γλ)`: eigenvalues 4 and 1 at γ = ½ give 4/3 + 2/3."""
    points = [[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]]
    series = Series(Points(torch.tensor(points, dtype=F64), torch.full((4,), 0.25, dtype=F64)))
    assert float(series.linear_mmse(torch.tensor([0.5], dtype=F64))) == pytest.approx(2.0, rel=1e-12)
    assert float(series.linear_mmse(torch.tensor([0.0], dtype=F64))) == pytest.approx(5.0, rel=1e-12)


def test_of_wide_data_the_mean_eigenvalue_stands_for_all_and_makes_the_error_no_smaller(monkeypatch):
    points = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)).double() * torch.arange(1, 7)
    snr = torch.tensor([0.0, 1e-3, 0.1, 3.0, 1e3], dtype=F64)

    def linear_mmse() -> torch.Tensor:
        return Series(Points(points, torch.full((40,), 1 / 40, dtype=F64))).linear_mmse(snr)

    exact = linear_mmse()
    monkeypatch.setattr(series, "_WIDEST", 5)
    wide = linear_mmse()
    assert bool((wide >= exact * (1 - 1e-12)).all()) and float(wide[3]) > 1.05 * float(exact[3])
    torch.testing.assert_close(wide[0], exact[0])
    assert bool((wide[1:] <= 6 / snr[1:]).all())


def test_the_evidence_has_its_second_order():
    """At the query that lies on the mean γ enters the evidence alone: what is left out is `γ³/48` of the third cumulant of `‖y′‖²`."""
    points, weights, snr = [[0.0], [1.0], [4.0]], [0.5, 0.3, 0.2], 1e-3
    mean = sum(y[0] * w for y, w in zip(points, weights, strict=True))
    z = [math.sqrt(snr) * mean]
    norms2 = [(y[0] - mean) ** 2 for y in points]
    second = sum(n * w for n, w in zip(norms2, weights, strict=True))
    third = sum((n - second) ** 3 * w for n, w in zip(norms2, weights, strict=True))
    off = float(by_series(points, weights, z, snr).log_evidence) - exactly(points, weights, z, snr)[2]
    assert off == pytest.approx(snr**3 / 48 * third, rel=0.05)


@pytest.mark.parametrize("place", [4.85546875, 1 / 3, 1e12 + 0.1, 846.3168335])
def test_equal_atoms_are_their_own_mean(place):
    """What their computed mean is off by is all that is left of them, and no spread: the posterior of any query is the atom itself."""
    weights = torch.rand(900, generator=torch.Generator().manual_seed(0), dtype=F64)
    points = Points(torch.full((900, 3), place, dtype=F64), weights / weights.sum())
    assert points.radius > 0, "the mean is rounded here, or there is nothing to see"
    series = Series(points)
    exponent = torch.tensor([0.0, 0.01, 0.05, 0.1, 0.2, 0.3], dtype=F64)
    shifted = exponent[:, None] * torch.ones(1, 3, dtype=F64) / (math.sqrt(3) * points.radius)
    of = series.posterior(points.mean + shifted, torch.ones_like(exponent))
    assert bool(((of.mean - place).norm(dim=1) <= of.error_bound).all())
    assert float(of.trace_cov.max()) <= 1e-3 * points.radius**2
    atom = -(points.mean + shifted - place).square().sum(dim=1) / 2 - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(of.log_evidence, atom, rtol=1e-9, atol=0)

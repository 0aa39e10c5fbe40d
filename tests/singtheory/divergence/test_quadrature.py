"""What cubature leaves out is in its interval: windows made too narrow, and light components left out, on purpose."""

import mpmath
import pytest
import torch

from singtheory import Atoms, divergence
from singtheory.divergence import quadrature
from tests.support import reference

GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])
PLANE = Atoms([[0.0, 0.0], [1.0, 0.5], [-2.0, 3.0]], [0.2, 0.5, 0.3])
FAR = Atoms([[-0.1], [0.1], [40.0]], [0.5, 0.499, 0.001])


@pytest.mark.parametrize("law", [GOLDEN, PLANE], ids=["line", "plane"])
@pytest.mark.parametrize("reach", [1.0, 2.0, 3.0])
def test_windows_that_are_too_narrow_widen_the_interval(law, reach, monkeypatch):
    """All of them reach nine standard deviations at least, so that what lies beyond was never seen; it is bounded all the same."""
    query = law.posterior([0.0] * law.dim, 0.0)
    truth = divergence.kl_quadrature(query, 0.7)
    known = divergence.kl_gauss_low(query, 0.7)
    monkeypatch.setattr(quadrature, "_LEAST", reach)
    monkeypatch.setattr(quadrature, "_MOST", reach)
    of = quadrature.Components.of(query, 0.7).on_host().rotated()
    actual, error = quadrature._kl(of, quadrature.plug_in(of), float(known))
    assert actual.value + error >= float(truth.low) and actual.value - error <= float(truth.high)
    assert abs(actual.value - float(truth)) > 1e-6 * float(truth)  # so that it is what is left out that covers it
    assert error > float(truth) * 1e-6


def test_light_components_that_are_left_out_widen_the_interval(monkeypatch):
    """A thousandth of the weight, 40 away, is nearly all of KL."""
    query = FAR.posterior([0.0], 0.0)
    truth = divergence.kl_quadrature(query, 1.0)
    monkeypatch.setattr(quadrature, "_DIGITS", -2.0)
    of = quadrature.Components.of(query, 1.0).on_host()
    actual, error = quadrature._kl(of, quadrature.plug_in(of), 1.0)
    assert actual.value < float(truth) - 0.3
    assert actual.value + error >= float(truth.low)


@pytest.mark.parametrize("gap", [1e-6, 0.3, 20.0])
def test_a_moment_matched_gaussian_leaves_less_than_the_plug_in(gap):
    """`KL(P‖Q) = KL(P‖M) + KL(M‖Q)` (B5), each with its own interval."""
    query = GOLDEN.posterior([0.0], 0.0)
    whole, rest = divergence.kl_quadrature(query, gap), divergence.kl_moment_quadrature(query, gap)
    gauss = divergence.kl_gauss(query, gap)
    size = torch.finfo(torch.float64).eps * 1e3 * float(whole)
    assert float(whole.low) - size <= float(rest.high + gauss) and float(rest.low + gauss) <= float(whole.high) + size


@pytest.mark.parametrize("var", [0.5, 1.0, 1.7])
def test_another_variance_moves_kl_by_a_closed_form(var):
    """`KL(P‖N(0, v)) − KL(P‖Q) = ½[log v + (1 + g tr C)(1/v − 1)]` on a line (B7)."""
    query, gap = GOLDEN.posterior([0.0], 0.0), 0.7
    at, unit = divergence.kl_isotropic_quadrature(query, gap, var), divergence.kl_quadrature(query, gap)
    spread = 1 + gap * float(query.trace_cov)
    expected = (torch.log(torch.tensor(var, dtype=torch.float64)) + spread * (1 / var - 1)) / 2
    assert float(at.value - unit.value) == pytest.approx(float(expected), abs=1e-12)
    assert float(at.low) <= float(unit.value + expected) <= float(at.high) + 1e-13


@pytest.mark.parametrize("off", [1e-3, 1e-2, 0.5])
@pytest.mark.parametrize("gap", [1e-3, 0.3, 20.0])
def test_a_gap_that_is_off_moves_kl_by_its_part_of_half_the_trace(gap, off):
    """`0 ≤ dKL/dg ≤ ½ tr C` (B4): what a schedule's rounding can make of an interval."""
    query = GOLDEN.posterior([0.0], 0.0)
    moved = float(divergence.kl_quadrature(query, gap * (1 + off))) - float(divergence.kl_quadrature(query, gap))
    assert 0 < moved < gap * off * float(query.trace_cov) / 2


@pytest.mark.parametrize("gap", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e-4])
@pytest.mark.parametrize("p", [(0.5, 0.3, 0.2), (0.9999, 0.00005, 0.00005)])
def test_an_interval_of_atoms_that_a_step_hardly_tells_apart_is_narrow(gap, unit, p):
    """KL is `¼ ‖gC‖²` but for a part `gD²/2`, and the interval reached up to twice that: both ends against 100 digits."""
    points = [0.0, unit, -2 * unit]
    actual = divergence.kl_quadrature(Atoms([[y] for y in points], p).posterior([0.0], 0.0), gap)
    size = gap * 9 * unit**2
    weights = reference.posterior(points, Atoms([[y] for y in points], p).weights.tolist(), 0.0, 0.0)
    with mpmath.workdps(100):
        mean = mpmath.fsum(w * mpmath.mpf(y) for w, y in zip(weights, points, strict=True))
        var = mpmath.fsum(w * (mpmath.mpf(y) - mean) ** 2 for w, y in zip(weights, points, strict=True))
        leading = (mpmath.mpf(gap) * var) ** 2 / 4
        # B11: between `1 − gD²/6` and `1 + gD²/2` times the leading order, for gD² of at most ½
        if size <= 0.5:
            assert float(actual.low) <= leading * (1 + mpmath.mpf(size) / 2) and leading * (
                1 - mpmath.mpf(size) / 6
            ) <= float(actual.high)
        if size <= 1e-3:
            assert float(actual.high) <= float(actual.low) * (1 + 4 * size + 1e-11)
    if size >= 1e-6:
        truth = reference.kl(points, weights, gap)
        assert float(actual.low) <= truth <= float(actual.high)

"""Bounds on rounding: they hold, and the worst cases come close to them, so that a smaller constant would be refuted."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import formula
from singtheory.engine.points import Points
from singtheory.engine.rescore import Candidates, rescore
from singtheory.engine.screen import TILE, SingleScreen, left_out_below


@pytest.mark.parametrize("roundings", [1, 10, 1000])
def test_a_sum_that_loses_every_time_reaches_the_bound_of_accumulation(roundings):
    total = 1.0
    for _ in range(roundings):
        total += formula.DOUBLE  # a tie, which goes to the even 1
    share = (roundings * formula.DOUBLE + (1 - total)) / formula.accumulation(roundings, formula.DOUBLE)
    assert total == 1.0 and 0.999 < share <= 1


@given(st.integers(2, 40), st.floats(1e-6, 0.4), st.integers(0, 2**31))
def test_weights_that_are_off_move_a_mean_by_no_more(n, eta, seed):
    generator = torch.Generator().manual_seed(seed)
    q = torch.rand(n, generator=generator, dtype=torch.float64)
    q, y = q / q.sum(), torch.randn(n, 3, generator=generator, dtype=torch.float64)
    off = eta * (2 * torch.rand(n, generator=generator, dtype=torch.float64) - 1)
    p = q * (1 + off)
    moved = float((p / p.sum() @ y - q @ y).norm())
    distance = (y - q @ y).norm(dim=1)
    assert moved <= float(formula.tilt_error(eta * (q @ distance), eta)) * (1 + 1e-12)


@pytest.mark.parametrize("eta", [1e-6, 1e-3, 0.1])
def test_two_atoms_whose_weights_are_off_against_each_other_reach_that_bound(eta):
    # masses ½(1 ± η) at ±1 have the mean η
    assert formula.tilt_error(eta, eta) == pytest.approx(eta, rel=2 * eta)
    # and masses that are all off by −η have their old mean, over 1 − η
    assert formula.tilt_error(eta, eta) * (1 - eta) == pytest.approx(eta, rel=1e-12)
    assert float(formula.tilt(math.log1p(eta), math)) == pytest.approx(eta, rel=1e-9)


def test_what_is_left_out_moves_a_mean_by_its_share_times_its_distance():
    # 1 − τ at 0 and τ at 5
    assert formula.truncation_error(0.01, 5.0) == 0.01 * 5


@pytest.mark.parametrize("largest", [1e-4, 1e-3, 1e-2])
def test_the_series_comes_within_half_of_its_remainder(largest):
    # a rare atom at distance ρ carries all of t: E ξ(t − E t)²/2 is half of ρ Var t
    w, rho = 1e-6, 2.0
    y, t = torch.tensor([0.0, rho], dtype=torch.float64), torch.tensor([0.0, largest], dtype=torch.float64)
    prior = torch.tensor([1 - w, w], dtype=torch.float64)
    tilted = prior * t.exp()
    variance = float(prior @ t.square() - (prior @ t) ** 2)
    series = prior @ y + prior @ ((y - prior @ y) * t)
    off = float((tilted / tilted.sum()) @ y - series)
    bound = formula.series_error(rho, math.exp(2 * largest), variance)
    assert 0.45 < off / bound <= 1


def test_atoms_just_left_out_come_within_half_of_the_bound():
    n, gamma, tol = 1000, 0.5, 1e-3
    y = torch.cat([torch.ones(1, 1), -torch.ones(n - 1, 1)]).double()
    points = Points(y, torch.full((n,), 1 / n, dtype=torch.float64))
    below = left_out_below(points, tol)
    assert n * math.exp(-below) * 2 * points.radius == pytest.approx(tol / 8)
    z = torch.tensor([[(below + 1e-6) / (2 * math.sqrt(gamma))]], dtype=torch.float64)
    snr = torch.tensor([gamma], dtype=torch.float64)
    actual = rescore(points, z, snr, Candidates.everything(1, n, z.device), below)
    mean = math.tanh(math.sqrt(gamma) * float(z) - math.log(n - 1) / 2)
    off = abs(float(actual.mean) - mean)
    assert 0.45 < off / float(actual.error_bound) <= 1


@given(st.integers(1, 6), st.floats(-3, 6), st.integers(0, 2**31))
def test_the_screen_is_off_by_no_more_than_it_says(dim, magnitude, seed):
    generator = torch.Generator().manual_seed(seed)
    points = Points(torch.randn(100, dim, generator=generator, dtype=torch.float64), torch.full((100,), 0.01).double())
    snr = torch.full((8,), 10**magnitude, dtype=torch.float64)
    z = snr.sqrt()[:, None] * points.whole[:8] + torch.randn(8, dim, generator=generator, dtype=torch.float64)
    screened = SingleScreen(points)(z, snr)
    shifted, centred = z - snr.sqrt()[:, None] * points.mean, points.whole - points.mean
    exact = snr.sqrt()[:, None] * (shifted @ centred.mT) - snr[:, None] * centred.square().sum(1) / 2 + math.log(0.01)
    tiles = torch.stack([part.amax(dim=1) for part in exact.split(TILE, dim=1)], dim=1)
    off = (screened.largest.double() - tiles).abs().amax(dim=1)
    assert bool((off <= screened.error).all())


def test_the_screen_does_not_claim_much_more_than_it_is_off():
    generator = torch.Generator().manual_seed(0)
    points = Points(
        torch.randn(4096, 1, generator=generator, dtype=torch.float64), torch.full((4096,), 1 / 4096).double()
    )
    snr = torch.full((64,), 1e4, dtype=torch.float64)
    z = snr.sqrt()[:, None] * points.whole[:64]
    screened = SingleScreen(points)(z, snr)
    shifted, centred = z - snr.sqrt()[:, None] * points.mean, points.whole - points.mean
    exact = snr.sqrt()[:, None] * (shifted @ centred.mT) - snr[:, None] * centred.square().sum(1) / 2 - math.log(4096)
    tiles = torch.stack([part.amax(dim=1) for part in exact.split(TILE, dim=1)], dim=1)
    share = ((screened.largest.double() - tiles).abs().amax(dim=1) / screened.error).max()
    assert 0.02 < float(share) <= 1

"""Screened log weights against exact rationals, at scales whose squares float32 cannot hold."""

from fractions import Fraction

import mpmath
import pytest
import torch

from singtheory.engine.points import Points
from singtheory.engine.screen import TILE, Screened, SingleScreen, left_out_below

F64 = torch.float64


@pytest.mark.parametrize("power", [-400, -70, -3, 0, 3, 70, 400])
def test_screened_log_weights_lie_within_their_error(power):
    """One atom a tile, the others its copies: the log weights of two tiles differ by `√γ⟨z, y − y'⟩ − ½γ(‖y‖² − ‖y'‖²)`."""
    unit = 2.0**power
    tiles = torch.tensor([[1.0, 2.0], [-3.0, 0.5], [0.25, -1.0], [1.75, -1.5]], dtype=F64) * unit
    points = Points(tiles.repeat_interleave(TILE, dim=0), torch.full((4 * TILE,), 1 / (4 * TILE), dtype=F64))
    root = torch.tensor([2.0**-10, 1.0, 16.0], dtype=F64) / unit
    z = torch.tensor([[0.5, -0.25], [3.0, 1.0], [-40.0, 17.0]], dtype=F64)
    actual = SingleScreen(points)(z, root.square())
    for largest, error, query, scale in zip(
        actual.largest, actual.error.tolist(), z.tolist(), root.tolist(), strict=True
    ):
        exact = [
            -sum((Fraction(c) - Fraction(scale) * Fraction(v)) ** 2 for c, v in zip(query, y, strict=True)) / 2
            for y in tiles.tolist()
        ]
        assert error <= 1e-5 * (1 + float(max(exact) - min(exact)))
        for i in range(4):
            for j in range(4):
                apart = Fraction(float(largest[i])) - Fraction(float(largest[j]))
                assert abs(apart - (exact[i] - exact[j])) <= 2 * error


@pytest.mark.parametrize("seed", range(4))
def test_a_distant_origin_is_in_the_error(seed):
    """z less √γ times a mean of 1e12 is rounded in float64, which is more than float32 loses of points 1 apart."""
    generator = torch.Generator().manual_seed(seed)
    tiles = torch.randn(4, 2, dtype=F64, generator=generator) + 2.0**40
    points = Points(tiles.repeat_interleave(TILE, dim=0), torch.full((4 * TILE,), 1 / (4 * TILE), dtype=F64))
    snr = torch.rand(3, dtype=F64, generator=generator) + 0.5
    z = snr.sqrt()[:, None] * tiles[:3] + torch.randn(3, 2, dtype=F64, generator=generator)
    actual = SingleScreen(points)(z, snr)
    for largest, error, query, ratio in zip(
        actual.largest, actual.error.tolist(), z.tolist(), snr.tolist(), strict=True
    ):
        with mpmath.workdps(60):
            root = mpmath.sqrt(mpmath.mpf(ratio))
            exact = [
                -mpmath.fsum((mpmath.mpf(c) - root * mpmath.mpf(v)) ** 2 for c, v in zip(query, y, strict=True)) / 2
                for y in tiles.tolist()
            ]
            for i in range(4):
                apart = mpmath.mpf(float(largest[i])) - mpmath.mpf(float(largest[0]))
                assert abs(apart - (exact[i] - exact[0])) <= 2 * error


def test_a_tile_is_left_out_only_where_both_errors_leave_no_doubt():
    """Its own largest may be as much too small as the best is too large."""
    points = Points(torch.tensor([[0.0], [1.0]], dtype=F64), torch.tensor([0.5, 0.5], dtype=F64))
    slack, error = left_out_below(points, 1e-6), 0.5
    largest = torch.tensor([[0.0, -slack - 1.9 * error, -slack - 2.1 * error]], dtype=torch.float32)
    screened = Screened(largest, torch.tensor([error], dtype=F64), TILE)
    assert screened.kept(points, 1e-6).tolist() == [[True, True, False]]

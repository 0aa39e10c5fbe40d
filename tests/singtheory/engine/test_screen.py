"""Screened log weights against exact rationals, at scales whose squares float32 cannot hold."""

from fractions import Fraction

import pytest
import torch

from singtheory.engine.points import Points
from singtheory.engine.screen import TILE, SingleScreen

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

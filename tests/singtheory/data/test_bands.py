"""Bands of spatial frequency: waves fall into their own, the sum is all of the variance, and resolution changes nothing."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import InputError
from singtheory.data import bands
from singtheory.data.bands import frequency_bands

SIDES = st.integers(1, 20)


def wave(height: int, width: int, row: int, column: int) -> torch.Tensor:
    """`cos(π i (y + ½)/h) cos(π j (x + ½)/w)` of norm 1, shape (h, w)."""
    y, x = (torch.arange(n, dtype=torch.float64) + 0.5 for n in (height, width))
    values = torch.cos(math.pi * row * y / height)[:, None] * torch.cos(math.pi * column * x / width)
    return values / values.norm()


@pytest.mark.parametrize(
    ("row", "column", "name"),
    [
        (0, 0, "constant"),
        (0, 1, "0 to 1"),
        (2, 0, "0 to 1"),
        (1, 2, "1 to 2"),
        (4, 0, "1 to 2"),
        (3, 3, "2 to 4"),
        (0, 16, "4 to 8"),
        (12, 12, "over 8"),
        (31, 31, "over 8"),
    ],
)
def test_a_wave_is_all_in_its_own_band(row, column, name):
    """Of 32 pixels: wave (i, j) has √(i² + j²)/2 cycles across the picture."""
    basis = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    basis[0, 1] = wave(32, 32, row, column)
    bands = frequency_bands(basis, torch.tensor([7.0]))
    for band in bands:
        assert float(band.spread) == pytest.approx(7.0 if band.name == name else 0.0, abs=1e-12)
        assert band.low <= math.hypot(row, column) / 2 <= band.high or band.name != name
    assert [band.name for band in bands] == ["constant", "0 to 1", "1 to 2", "2 to 4", "4 to 8", "over 8"]


@given(SIDES, SIDES, st.integers(1, 3), st.integers(0, 2**31))
def test_the_bands_add_up_and_hold_every_wave_once(height, width, channels, seed):
    dim = channels * height * width
    generator = torch.Generator().manual_seed(seed)
    count = min(dim, 4)
    basis = torch.linalg.qr(torch.randn(dim, count, dtype=torch.float64, generator=generator))[0].mT
    variances = torch.rand(count, dtype=torch.float64, generator=generator)
    bands = frequency_bands(basis.reshape(count, channels, height, width), variances)
    torch.testing.assert_close(sum(band.spread for band in bands), variances)
    assert sum(band.size for band in bands) == dim
    assert bands[0].size == channels and bands[0].high == 0
    assert all(one.high == two.low for one, two in pairwise(bands))


@given(SIDES, SIDES, st.integers(1, 3))
def test_a_wave_of_every_frequency_on_any_shape_is_where_its_frequency_is(height, width, channels):
    """The projector against sums of waves written apart."""
    row, column = height // 2, width - 1
    basis = torch.zeros(1, channels, height, width, dtype=torch.float64)
    basis[0, -1] = wave(height, width, row, column)
    cycles = max(height, width) / 2 * math.hypot(row / height, column / width)
    (held,) = [b for b in frequency_bands(basis, torch.ones(1)) if float(b.spread) > 0.5]
    assert held.low < cycles <= held.high or cycles == held.low == held.high == 0


def test_resolution_changes_no_share():
    """A picture of eight low waves at 16, 32 and 64 pixels, and with pixels repeated nearly so."""
    shares = []
    for side in (16, 32, 64):
        picture = sum(amount * wave(side, side, i, j) for amount, i, j in ((1, 0, 0), (2, 1, 0), (3, 1, 2), (1, 3, 3)))
        bands = frequency_bands((picture / picture.norm())[None, None], torch.ones(1))
        shares.append([float(band.spread) for band in bands[:4]])
    assert shares[0] == pytest.approx([1 / 15, 4 / 15, 9 / 15, 1 / 15])
    assert shares[1] == pytest.approx(shares[0]) and shares[2] == pytest.approx(shares[0])
    picture = wave(16, 16, 1, 2).repeat_interleave(2, dim=0).repeat_interleave(2, dim=1) / 2
    bands = {band.name: float(band.spread) for band in frequency_bands(picture[None, None], torch.ones(1))}
    assert bands["1 to 2"] > 0.98


def test_many_components_are_taken_in_parts(monkeypatch):
    basis = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    whole = frequency_bands(basis.reshape(64, 1, 8, 8), torch.ones(64))
    monkeypatch.setattr("singtheory.data.bands._ENTRIES", 200)
    for one, two in zip(whole, frequency_bands(basis.reshape(64, 1, 8, 8), torch.ones(64)), strict=True):
        torch.testing.assert_close(one.spread, two.spread)


@pytest.mark.parametrize("shape", [(2, 16), (2, 4, 4), (3, 1, 4, 4)])
def test_what_is_no_basis_of_pictures_is_refused(shape):
    with pytest.raises(InputError, match="channels, h, w"):
        frequency_bands(torch.zeros(shape), torch.ones(2))


@pytest.mark.parametrize(
    ("side", "edges"),
    [(2, [0.0]), (3, [0.0, 1.0]), (11, [0.0, 1.0, 2.0]), (12, [0.0, 1.0, 2.0, 4.0]), (13, [0.0, 1.0, 2.0, 4.0])],
)
def test_the_last_band_begins_at_a_third_of_the_side(side, edges):
    """At most there, and there where a third is a power of two."""
    assert bands._edges(side) == edges

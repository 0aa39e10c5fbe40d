"""Levels and digits: exact, or refused."""

from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory.engine.levels import digits_of, levels_of, levels_of_bytes, rounded
from singtheory.engine.points import decoded


@given(st.integers(2, 256), st.floats(-100, 100), st.floats(1e-3, 1e3), st.integers(0, 2**31))
def test_data_on_levels_are_found_with_what_rounding_left(count, low, step, seed):
    whole = torch.randint(count, (50, 7), generator=torch.Generator().manual_seed(seed))
    whole.view(-1)[:2] = torch.tensor([0, count - 1])
    points = low + step * whole.double()
    levels = levels_of(points)
    if levels is None:
        # the levels in use may lie too far apart to be told: then none of their gaps is a step
        assert int(whole.unique().diff().min()) > 1 or abs(low) > 1e4 * step
        return
    actual = levels.base + levels.step * levels.numbers.double()
    assert float((actual - points).norm(dim=1).max()) <= levels.rest <= 1e-10 * (abs(low) + count * step)


def test_data_off_levels_or_with_more_than_256_have_none():
    generator = torch.Generator().manual_seed(0)
    assert levels_of(torch.randn(50, 3, generator=generator).double()) is None
    assert levels_of(torch.arange(257).double()[:, None]) is None
    assert levels_of(torch.full((5, 2), 0.3).double()) is None
    images = torch.randint(0, 256, (50, 9), generator=generator).double() / 127.5 - 1
    assert levels_of(images) is not None
    images[3, 4] += 1e-9
    assert levels_of(images) is None


def test_bytes_lie_on_the_levels_that_are_known_without_looking_at_them():
    stored = torch.arange(256, dtype=torch.uint8).repeat(3)[:, None].expand(-1, 5).contiguous()
    known, found_by_looking = levels_of_bytes(stored), levels_of(decoded(stored))
    assert found_by_looking is not None and torch.equal(known.numbers, found_by_looking.numbers)
    actual = known.base + known.step * known.numbers.double()
    assert float((actual - decoded(stored)).norm(dim=1).max()) <= known.rest <= 1e-14
    # all 256 values against the rationals that they stand for
    for byte, value in enumerate(decoded(torch.arange(256, dtype=torch.uint8)).tolist()):
        assert abs(Fraction(value) - (Fraction(2 * byte, 255) - 1)) <= 2.0**-53


@given(st.lists(st.integers(-(127 * 256**6), 127 * 256**6), min_size=1, max_size=20))
def test_digits_put_together_are_the_number(numbers):
    whole = torch.tensor(numbers)
    digits = digits_of(whole, 7)
    assert digits.dtype == torch.int8
    assert torch.equal(sum(digit.long() * 256 ** (6 - k) for k, digit in enumerate(digits)), whole)


@given(st.integers(1, 6), st.integers(0, 2**31))
def test_rounded_rows_are_off_by_no_more_than_they_say(digits, seed):
    rows = torch.randn(5, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    actual = rounded(rows, digits)
    whole = sum(digit.double() * 256.0 ** (digits - 1 - k) for k, digit in enumerate(actual.digits))
    rest = (rows - whole * actual.scale[:, None]).norm(dim=1)
    assert bool((rest <= actual.rest).all())
    assert bool((actual.rest <= 1.1 * rows.norm(dim=1) * 40**0.5 * 127.0**-1 * 256.0 ** (1 - digits)).all())

"""Distances at any scale, against exact rationals."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Atoms, numerics
from singtheory.numerics import distance
from tests.support.strategies import examples

SCALES = st.floats(-320.0, 307.0)
COORDINATES = st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6)


def _largest2(points: list[list[float]]) -> Fraction:
    """The square of the largest distance."""
    exact = [[Fraction(x) for x in row] for row in points]
    return max(sum(((a - b) ** 2 for a, b in zip(p, q, strict=True)), Fraction()) for p in exact for q in exact)


@settings(max_examples=examples(100))
@given(SCALES, COORDINATES, st.sampled_from([0.0, 1.0, 1e12]))
def test_the_diameter_at_any_scale(exponent: float, coordinates: list[float], offset: float) -> None:
    scale = 10.0**exponent
    points = torch.tensor(coordinates, dtype=torch.float64).view(3, 2) * scale + min(offset * scale, 1e300)
    truth, actual = _largest2(points.tolist()), numerics.diameter(points)
    if truth > Fraction(1.7e308) ** 2:
        assert actual > 1.6e308  # float64 ends there
        return
    off = abs(Fraction(actual) ** 2 - truth)
    assert off <= Fraction(2) ** -48 * truth + Fraction(5e-324) * (Fraction(actual) * 4 + Fraction(1e-322))


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 1e-160, 1.0, 1e155, 1e200, 1e307])
@pytest.mark.parametrize("many", [False, True])
def test_squares_that_leave_float64_cost_no_digit(scale: float, many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The diameter was 0 at 1e-170 and infinite at 1e155, so that B3's bound was 0; `many` is by products."""
    monkeypatch.setattr(distance, "_DIRECT", 0 if many else 2**30)
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [3.0, 4.0]], dtype=torch.float64) * scale
    assert numerics.diameter(points) == pytest.approx(5.0 * scale, rel=1e-13)
    assert float(numerics.distances(points[:1], points).max()) == 5.0 * scale


def test_a_bound_on_the_diameter_of_many_atoms_at_a_small_scale() -> None:
    points = torch.linspace(0, 1e-30, 6000, dtype=torch.float64)[:, None]
    assert 1e-30 <= Atoms(points).diameter <= 1.001e-30


def test_distances_of_numbers_of_opposite_sign_do_not_overflow() -> None:
    largest = torch.finfo(torch.float64).max
    points = torch.tensor([[largest], [-largest / 4]], dtype=torch.float64)
    assert numerics.diameter(points) == math.inf  # beyond float64
    assert numerics.diameter(points / 2) == pytest.approx(1.25 * (largest / 2), rel=1e-15)


def test_equal_points_have_no_diameter() -> None:
    assert numerics.diameter(torch.full((3, 2), 1e200, dtype=torch.float64)) == 0.0
    assert numerics.diameter(torch.zeros(2, 1, dtype=torch.float64)) == 0.0


@pytest.mark.parametrize(("same", "tiny"), [(1.0, 1e-200), (1e150, 1.0), (1e308, 5e-324), (1e-310, 1e200)])
@pytest.mark.parametrize("many", [False, True])
def test_a_coordinate_that_is_the_same_everywhere_changes_no_distance(
    same: float, tiny: float, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was scaled up and down in turn, without end."""
    if many:
        monkeypatch.setattr(distance, "_DIRECT", 0)
    points = torch.tensor([[same, tiny], [same, 3 * tiny]], dtype=torch.float64)
    apart = float(points[1, 1] - points[0, 1])
    assert numerics.diameter(points) == pytest.approx(apart, rel=1e-13)
    assert numerics.distances(points[:1], points).tolist() == [[0.0, apart]]


def test_no_points_have_no_distances() -> None:
    assert numerics.distances(torch.ones(0, 2), torch.ones(3, 2)).shape == (0, 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_diameter_by_products_is_never_below(seed, monkeypatch):
    """By products of differences, as for many points: an upper bound, to the last digit."""
    monkeypatch.setattr(distance, "_DIRECT", 0)
    points = torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    actual, exact = Fraction(distance.diameter(points)), _largest2(points.tolist())
    assert exact <= actual**2 * (1 + Fraction(1, 2**52)) and actual**2 <= exact * (1 + Fraction(1, 2**40))

"""Log weights against exact rationals, for inputs whose `√γ` is one: the value, to its last digits, and its bound."""

import itertools
from fractions import Fraction

import pytest
import torch

from singtheory.engine.points import Points
from singtheory.law import logits

F64 = torch.float64


def exactly(points: list[list[float]], z: list[float], root: float) -> list[Fraction]:
    """`−½‖z − √γ y_i‖²` less the largest of them."""
    terms = [
        -sum((Fraction(c) - Fraction(root) * Fraction(v)) ** 2 for c, v in zip(z, y, strict=True)) / 2 for y in points
    ]
    return [term - max(terms) for term in terms]


ROOT = 1 + 2.0**-20
"""Its square is a float, its products with other floats are none."""
CASES = {
    "one step beside the middle": ([[0.0], [1.0]], [0.5 + 2.0**-40], 1.0),
    "far from the origin": ([[1e8], [1e8 + 1], [1e8 - 3]], [1e8 + 0.25], 1.0),
    "a query far away": ([[0.0, 0.0], [0.5, 0.0], [0.0, 0.25]], [2.0**40, 3.0], 0.5),
    "large and close to a tie": ([[-(2.0**20)], [2.0**20]], [2.0**-24], 4.0),
    "a middle between two floats": ([[0.0], [2.0**30 + 2.0**-20]], [ROOT * (2.0**30 + 2.0**-20) / 2], ROOT),
    "three coordinates": ([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5], [-2.0, 0.25, 1.0]], [0.5, 0.25, -1.0], 0.5),
    "three coordinates, far away": ([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]], [2.0**45, 0.25, -1.0], 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_differences_of_log_weights(name):
    """Of equal prior weights: `log p_i − log p_best` is the difference of the squares, within the bounds of both."""
    points, z, root = CASES[name]
    y, w = torch.tensor(points, dtype=F64), torch.full((len(points),), 1 / len(points), dtype=F64)
    actual, error = logits.log_weights(Points(y, w), torch.tensor([z], dtype=F64), torch.tensor([root**2], dtype=F64))
    expected = exactly(points, z, root)
    best = expected.index(0)
    for i, value in enumerate(expected):
        off = abs(float(Fraction(float(actual[0, i])) - Fraction(float(actual[0, best])) - value))
        assert off <= float(error[0, i] + error[0, best])
        assert off <= 2.0**-46 * (1 + abs(float(value)))  # of its own size: what cancels has cost nothing
        largest = max(abs(root * v) ** 2 for v in (*z, *(c for of in points for c in of)))
        assert (
            float(error[0, i]) <= 2.0**-44 * (1 + abs(float(value))) + 2.0**-94 * largest
        )  # what 106 bits lose, counted
    assert float(actual.exp().sum()) == pytest.approx(1.0, rel=1e-12)


def test_the_point_that_others_are_told_from_changes_nothing():
    """From the first point, and from the heaviest where that is another."""
    points = [[5.0], [0.0], [0.25]]
    moved = points[1:] + points[:1]
    z, snr = torch.tensor([[0.1]], dtype=F64), torch.tensor([4.0], dtype=F64)
    w = torch.full((3,), 1 / 3, dtype=F64)
    one, _ = logits.log_weights(Points(torch.tensor(points, dtype=F64), w), z, snr)
    other, _ = logits.log_weights(Points(torch.tensor(moved, dtype=F64), w), z, snr)
    assert torch.equal(one[0], other[0].roll(1))


def test_points_without_weight_have_none_and_move_nothing():
    y = torch.tensor([[0.0], [1.0], [0.5]], dtype=F64)
    w = torch.tensor([0.5, 0.5, 0.0], dtype=F64)
    actual, error = logits.log_weights(Points(y, w), torch.tensor([[0.5]], dtype=F64), torch.ones(1, dtype=F64))
    assert actual[0, 2] == -torch.inf
    assert actual[0, :2].tolist() == pytest.approx([-0.6931471805599453] * 2, rel=1e-15)
    assert bool(error[0, :2].isfinite().all())


@pytest.mark.parametrize("off", [1e-9, 1e-3, 2.0])
def test_the_errors_of_all_move_the_normalised_weight_of_each(off):
    """One heavy point whose log weight is off moves the normalised weights of all others: every sign is tried."""
    joint = torch.tensor([[0.0, -3.0, -1.0]], dtype=F64)
    errors = torch.tensor([[off, 0.0, off / 2]], dtype=F64)
    normalised, stated = logits._normalised(joint, errors)
    for signs in itertools.product((-1.0, 1.0), repeat=3):
        moved = torch.log_softmax(joint + errors * torch.tensor(signs, dtype=F64), dim=1)
        assert bool(((moved - normalised).abs() <= stated).all())
    assert float(stated[0, 1]) >= 0.5 * off  # the light one has no error of its own

"""What the interval of W₂ on a line allows for: quantiles of Q, and the rounding of weights."""

import pytest
import torch

from singtheory import Atoms
from singtheory.divergence import transport
from singtheory.divergence.components import Components
from singtheory.formula import DOUBLE

F64 = torch.float64


def test_a_quantile_loses_as_much_as_its_size_has():
    """P = Q: nothing is moved, and what a quantile of size x loses is `64 u (1 + 2|x|)`, squared."""
    of = Components.of(Atoms([[0.7]]).posterior([0.0], 0.0), 0.3)
    places = torch.tensor([0.0, 0.5, -2.0], dtype=F64)
    value, error = transport._moved(of, places[:, None], -1)
    density = torch.exp(-places.square() / 2) / (2 * torch.pi) ** 0.5
    assert value.tolist() == pytest.approx([0.0] * 3, abs=1e-30)
    lost = (64 * DOUBLE * (1 + 2 * places.abs())) ** 2
    assert float(error[0]) == pytest.approx(float(density[0] * lost[0]), rel=1e-6)
    assert bool((error <= 1.5 * density * lost + 4e-31).all())


def test_the_rounding_of_weights_widens_by_what_it_can_move(monkeypatch):
    """A relative change t of every weight moves W₂ by at most `2 t (W₂ + its upper bound)`, or by √t times the spread where that is less."""
    of = Components.of(Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3]).posterior([0.0], 0.0), 0.3)
    high = transport._bracket(of)[1]
    known = transport._w2(of)
    tilt = 1e-7
    monkeypatch.setattr(Components, "tilt", torch.full((3,), tilt, dtype=F64))
    wider = transport._w2(Components.of(Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3]).posterior([0.0], 0.0), 0.3))
    grown = float(wider.high - wider.value) - float(known.high - known.value)
    assert grown >= 2 * tilt * (float(known) + high) * 0.99

"""The roots of `dP/dQ = 1` on a line: where they are, and in how few rounds."""

import pytest
import torch

from singtheory import Atoms
from singtheory.divergence import variation
from singtheory.divergence.components import Components

LAWS = {
    "golden": ([-1.3, 0.2, 1.1], [0.2, 0.5, 0.3], 1.0),
    "golden, a large gap": ([-1.3, 0.2, 1.1], [0.2, 0.5, 0.3], 4e5),
    "golden, a small gap": ([-1.3, 0.2, 1.1], [0.2, 0.5, 0.3], 1e-12),
    "a light atom, far": ([0.0, 40.0], [1.0, 1e-30], 0.3),
    "an atom farther than Q reaches": ([0.0, 0.1, 1e6], [1.0, 1.0, 1e-9], 1.0),
}


@pytest.mark.parametrize("name", LAWS)
def test_ratios_on_both_sides_of_a_root_are_below_and_above_one(name, monkeypatch):
    """The first floats on either side that tell; and each round is one call for both roots."""
    points, weights, gap = LAWS[name]
    of = Components.of(Atoms([[y] for y in points], weights).posterior([0.1], 0.0), gap)
    calls, ratio = [], Components.ratio
    monkeypatch.setattr(Components, "ratio", lambda self, n: calls.append(len(n)) or ratio(self, n))
    roots = variation._roots(of)
    # cuts by 16 alone take thirteen rounds and more
    assert len(calls) <= 9
    monkeypatch.undo()
    for sign, root in zip((-1.0, 1.0), roots.tolist(), strict=True):
        if root == variation._REACH:
            assert float(of.ratio(torch.tensor([[sign * root]], dtype=torch.float64)).excess) <= 0
            continue
        beside = sign * root * torch.tensor([[1 - 1e-12], [1 + 1e-12]], dtype=torch.float64)
        at = of.ratio(beside)
        below, above = at.excess.tolist()
        lost = 2 * float(at.error.max())
        assert below <= lost and above >= -lost
        further = of.ratio(sign * root * torch.tensor([[1 - 1e-6], [1 + 1e-6]], dtype=torch.float64)).excess.tolist()
        assert further[0] < 0 < further[1]

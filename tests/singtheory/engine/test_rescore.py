"""Means from differences: where rounding may have taken all of a weight, nothing is bounded."""

import pytest
import torch

from singtheory.engine.points import Points
from singtheory.engine.rescore import Candidates, rescore

TWO = Points(torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64), torch.full((2,), 0.5, dtype=torch.float64))


def errors(beside: torch.Tensor) -> torch.Tensor:
    """The bounds on the error at `z = (½, beside)`, where both atoms weigh the same and log weights lose `beside · 2⁻⁵³` and more."""
    z = torch.stack([torch.full_like(beside, 0.5), beside], dim=1)
    everything = Candidates.everything(len(z), 2, z.device)
    return rescore(TWO, z, torch.ones_like(beside), everything, 60.0).error_bound


def test_no_bound_where_the_weights_may_have_lost_half_of_their_mass():
    """A relative error η of the further weight is a mass μ = ½η, moves the mean by at most `(μ + ½μ)/(1 − μ)`, and is bounded below μ = ½: up to 1½."""
    actual = errors(torch.logspace(12, 18, 2000, dtype=torch.float64))
    assert not bool(actual.isnan().any())
    finite = actual[actual.isfinite()]
    assert bool((finite > 0).all()) and 1.45 < float(finite.max()) < 1.52
    assert bool((actual[len(finite) :] == torch.inf).all())


@pytest.mark.parametrize("beside", [0.0, 1e3, 1e9])
def test_the_bound_is_small_where_nothing_is_lost(beside):
    assert float(errors(torch.tensor([beside], dtype=torch.float64))) < 1e-13 * (1 + beside)

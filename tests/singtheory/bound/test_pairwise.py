"""The core of a posterior: what is bounded about it lies on the safe side of what rounding takes, at any scale."""

import gc
import math

import mpmath
import pytest
import torch

from singtheory.bound import pairwise
from singtheory.bound.ladder import kl_pair_lower
from singtheory.law.posterior import AtomsPosterior

F64 = torch.float64


def exact_norm(x: torch.Tensor) -> mpmath.mpf:
    with mpmath.workdps(60):
        return mpmath.sqrt(mpmath.fsum(mpmath.mpf(v) ** 2 for v in x.tolist()))


def test_a_length_is_at_least_the_norm():
    """Of random vectors a norm in float64 lies below the exact one for about every other."""
    x = torch.randn(200, 7, dtype=F64, generator=torch.Generator().manual_seed(0))
    for row, actual in zip(x, pairwise.length(x).tolist(), strict=True):
        assert exact_norm(row) <= actual <= exact_norm(row) * (1 + 1e-13)
    assert pairwise.length(torch.zeros(2, 3, dtype=F64)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("unit", [1.0, 1e-170, 1e-300])
def test_the_shift_of_a_core_is_at_least_its_norm(unit, monkeypatch):
    """Where squares underflow too: a shift of 0 would put both Gaussians at one place."""
    monkeypatch.setattr(pairwise, "MAX_ATOMS", 2)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        points = torch.rand(4, 5, dtype=F64, generator=generator) * unit
        query = AtomsPosterior.of(points, torch.log_softmax(torch.randn(4, dtype=F64, generator=generator), 0))
        core = pairwise.Core(query)
        assert float(core.shift) >= exact_norm(core.p @ core.points) > 0
        assert core.apart and not core.is_all


def test_what_is_left_of_the_core_is_bounded(monkeypatch):
    """Three of five atoms: mass, rest and trace against their sums."""
    monkeypatch.setattr(pairwise, "MAX_ATOMS", 3)
    generator = torch.Generator().manual_seed(2)
    points, p = torch.randn(5, 2, dtype=F64, generator=generator), torch.tensor([0.4, 0.05, 0.3, 0.05, 0.2], dtype=F64)
    core = pairwise.Core(AtomsPosterior.of(points, p.log()))
    xi = points - p @ points
    norms2 = xi.square().sum(dim=1)
    assert float(core.mass) == pytest.approx(0.9, rel=1e-13) and float(core.mass) >= 0.9 * (1 - 1e-16)
    assert float(core.light) == pytest.approx(0.1, rel=1e-12)
    assert float(core.rest) == pytest.approx(float(p[[1, 3]] @ norms2[[1, 3]]), rel=1e-12)
    assert float(p @ norms2) <= float(core.all_trace) <= float(p @ norms2) * (1 + 1e-12)  # what is left out counts once
    assert float(core.p @ core.xi.sum(dim=1)) == pytest.approx(0.0, abs=1e-15)
    assert float(core.shift2) == pytest.approx(float((core.p @ xi[[0, 2, 4]]).square().sum()), rel=1e-9)


@pytest.mark.parametrize(("decay", "expected"), [(1e-6, 1024), (0.02, 1037), (0.01, 2048)])
def test_a_core_has_as_many_of_many_atoms_as_pairs_are_worth(decay, expected):
    """Nearly all alike, so that pairs say little; nearly all of the weight in some; and between."""
    points = torch.randn(5000, 2, dtype=F64, generator=torch.Generator().manual_seed(3))
    log_weights = torch.log_softmax(-decay * torch.arange(5000, dtype=F64), 0)
    core = pairwise.Core(AtomsPosterior.of(points, log_weights))
    assert len(core.p) == expected and not core.is_all
    p = log_weights.exp()
    xi = points - p @ points
    left = float(p @ xi.square().sum(dim=1)) - float(p[:expected] @ xi[:expected].square().sum(dim=1))
    assert float(core.mass) == pytest.approx(float(p[:expected].sum()), rel=1e-12)
    assert float(core.rest) >= left * (1 - 1e-9)


def test_bounds_of_one_posterior_share_what_they_are_made_of():
    """As long as it lives, and no longer."""
    query = AtomsPosterior.of(torch.randn(6, 2, dtype=F64), torch.full((6,), -math.log(6), dtype=F64))
    core = pairwise.core(query)
    assert pairwise.core(query) is core and pairwise.family(core, 0.5) is pairwise.family(core, 0.5)
    assert float(pairwise.family(core, 0.5)) != float(pairwise.family(core, 1.0))
    known = len(pairwise._CORES)
    del query
    gc.collect()
    assert len(pairwise._CORES) < known


def test_the_lower_bound_pays_for_what_tells_core_and_rest_apart(monkeypatch):
    """Three atoms far apart, the light one at the mean: KL is `½gC − H(p)`, of which `h(m)` is a part that the core does not know."""
    monkeypatch.setattr(pairwise, "MAX_ATOMS", 2)
    p = torch.tensor([0.4, 0.2, 0.4], dtype=F64)
    query = AtomsPosterior.of(torch.tensor([[-30.0], [0.0], [30.0]], dtype=F64), p.log())
    truth = 0.8 * 900 / 2 - float(torch.special.entr(p).sum())
    assert truth - 0.25 <= float(kl_pair_lower(query, 1.0)) <= truth

"""Intervals of a curve from draws where nothing is drawn any more: underflow, short steps, all information."""

import math

import mpmath
import pytest
import torch

from singtheory import Atoms
from singtheory.mmse.ceiling import Ceiling
from singtheory.mmse.sampled import sample_curve

F64 = torch.float64
CORNERS = Atoms(torch.tensor([[0.0, 0.0, 0.0], [1e15, 0.0, 0.0]], dtype=F64))
SIGNS = Atoms(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], dtype=F64))


def curve(law: Atoms, end: float, queries: int = 64):
    return sample_curve(law, end, torch.Generator().manual_seed(0), queries=queries, nodes=8)


def test_an_mmse_whose_chances_underflow_is_not_zero():
    """Two atoms e = √γ d apart: with `tanh` the mmse is `(d²/4) ∫ φ(n) (1 − tanh(e²/4 + e n/2)) dn`, here 8e-297 at chances of 1e-327."""
    snr = 6.0e-27
    with mpmath.workdps(400):
        e = mpmath.sqrt(mpmath.mpf(snr)) * mpmath.mpf(1e15)

        def lost(n):
            odds = mpmath.exp(-(e * e / 2 + e * n))
            return mpmath.exp(-n * n / 2) / mpmath.sqrt(2 * mpmath.pi) * 2 * odds / (1 + odds)

        cuts = [-e / 2 + k for k in range(-12, 13, 2)]
        truth = mpmath.mpf(1e15) ** 2 / 4 * mpmath.quad(lost, cuts)
    low, high = curve(CORNERS, 1e-25).interval(torch.tensor([snr], dtype=F64))
    assert mpmath.mpf(float(low)) <= truth <= mpmath.mpf(float(high))
    assert truth > 1e-300


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [1.0, 1e-12, 3e-13], [1.0, 1e-290, 0.2], [0.1, 0.2, 0.7]])
def test_no_information_exceeds_the_entropy_that_bounds_it(weights):
    """At 400 digits of the weights as shares of their sum; and by no more than rounding."""
    law = Atoms([[0.0], [1.0], [3.0]], weights)
    with mpmath.workdps(400):
        total = mpmath.fsum(map(mpmath.mpf, law.weights.tolist()))
        shares = [mpmath.mpf(w) / total for w in law.weights.tolist()]
        truth = -mpmath.fsum(p * mpmath.log(p) for p in shares)
        assert truth <= mpmath.mpf(Ceiling(law).entropy) <= truth * (1 + mpmath.mpf(1e-13))


@pytest.mark.parametrize("ahead", [1.2, 1.5, 1.7, 5.0, 10.0])
def test_information_just_above_zero_is_half_the_area(ahead):
    """`½ γ tr Σ (1 − O(γ))`, for γ of a few units of the first node's rounding."""
    sampled = curve(SIGNS, 10.0, queries=4096)
    snr = sampled.snr[1] * torch.tensor([ahead * 1e-16], dtype=F64)
    low, high = sampled.information_interval(snr)
    assert 0 < float(low) <= float(snr) / 2 <= float(high)


@pytest.mark.parametrize("units", [1, 3, 7])
def test_a_step_of_a_few_roundings_costs_next_to_nothing(units):
    """At most `½ g² |mmse′|`, far below the rounding of the areas up to it; mmse is at most one here."""
    sampled = curve(SIGNS, 10.0, queries=4096)
    node = float(sampled.snr[3])
    for start in (1.0, 2.0, node * (1 - 2.0**-53), node):
        gap = units * math.ulp(start)
        chain = torch.tensor([start, start + gap], dtype=F64)
        low, high = sampled.discretisation_interval(chain)
        assert low <= gap**2 / 2
        assert high >= 0
        assert bool((sampled.discretisation(chain) >= 0).all())


def test_a_step_over_several_nodes_has_the_area_of_all():
    """The areas of parts add up to that of the whole."""
    sampled = curve(SIGNS, 10.0)
    chain = torch.tensor([0.1, 0.2, float(sampled.snr[2]), 5.0, float(sampled.snr[-1])], dtype=F64)
    whole = sampled._step_areas(chain[[0, -1]])
    for part, total in zip(sampled._step_areas(chain), whole, strict=True):
        assert float(part.sum()) == pytest.approx(float(total), rel=0.2)
    assert float(whole[0]) <= 2 * math.log(2) <= 2 * float(whole[1])


def test_the_area_ahead_of_a_node_is_at_least_that_of_what_mmse_falls_to():
    """The mmse decreases: `I(γ) − I(γ_k) ≥ ½ (γ − γ_k) mmse(γ)`, of the lower ends of both."""
    sampled = curve(SIGNS, 10.0)
    for node, after in zip(sampled.snr[1:-1], sampled.snr[2:], strict=True):
        between = torch.stack([node + share * (after - node) for share in (0.0, 0.1, 0.5, 0.9)])
        known = sampled.information_interval(between)[0]
        least = (between - node) / 2 * sampled.interval(between)[0]
        assert bool((known - known[0] >= least * (1 - 1e-9)).all())

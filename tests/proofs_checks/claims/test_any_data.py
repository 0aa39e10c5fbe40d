"""On data of any shape and scale no true statement is refuted; measured intervals hold the truth; and undecided says what would decide."""

import math
from copy import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from proofs_checks.harness.claim import Outcome
from proofs_checks.harness.context import Context
from proofs_checks.harness.harness import CheckResult, ClaimResult, load_claims, run_claim, statistical_checks
from proofs_checks.harness.rounds import UNMEASURED, Rounds, at_least_in_rounds, at_most_in_rounds
from proofs_checks.instances.deviations import deviations
from proofs_checks.instances.laws import GOLDEN, TRI
from proofs_checks.instances.own_units import described, in_own_units
from proofs_checks.measurements.leading import Leading, estimate
from proofs_checks.measurements.steps_on_data import _Measured, gap_at, kl_steps, shift_gap, tv_steps
from proofs_checks.measurements.toy_steps import prior_posterior
from proofs_checks.terminal import console
from singtheory import Atoms, InputError, divergence
from singtheory.bound import ladder, pairwise
from singtheory.data.sources import Data
from tests.support.data_sets import Set, all_sets
from tests.support.strategies import examples, wild_atoms

CLAIMS = load_claims()
ERROR = 1e-6 / statistical_checks(CLAIMS.values())
_RNG = np.random.default_rng(3)
_NORMAL = _RNG.normal(size=(40, 3))
SMALL = {
    "normal": _NORMAL,
    "normal, far off": _NORMAL + 900,
    "a line in the plane": np.outer(np.linspace(-1, 1, 20), [1.0, 2.0]),
    "two far clusters": np.r_[_NORMAL[:20, :2] * 0.01 - 3, _NORMAL[20:40, :2] * 0.01 + 3],
    "simplex": np.eye(8),
    "a far outlier": np.r_[_NORMAL[:, :2], [[500.0, 500.0]]],
    "two points in space": _NORMAL[:2],
    "equal but for a rounding": 7e-4 + 1e-19 * _NORMAL,
    "an atom at the mean": np.array([[-1.0], [0.0], [1.0]]),
    "an atom at the mean of a triangle": np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)], [0.0, 0.0]]),
    "a cross with its centre": np.r_[np.eye(2), -np.eye(2), np.zeros((1, 2))],
}
"""Ordinary sets on which a bound is tight, an identity cancels, or an instance is missing."""


SLOW_SETS = 40


@cache
def slow_sets() -> list[Set]:
    return list(all_sets(SLOW_SETS))


def context_of(points: np.ndarray, weights: np.ndarray | None = None) -> Context:
    data, _ = in_own_units(Data(Atoms(points, weights), "set", None))
    return Context(data, seed=0, error=ERROR)


def failed(context: Context, ids: tuple[str, ...], methods: tuple[str, ...]) -> dict[str, Outcome]:
    """What is refuted or undecided of the true statements, by claim."""
    results = {}
    for id in ids:
        for k, check in enumerate(CLAIMS[id].checks):
            if check.method in methods:
                outcome = check.run(CLAIMS[id].sides, context.within(f"{id}/{k}"))
                if outcome.verdict in ("refuted", "undecided"):
                    results[f"{id}/{k} {check.scope}"] = outcome
    return results


@pytest.mark.parametrize("name", SMALL)
def test_bounds_and_kernels_hold_on_ordinary_data(name):
    context = context_of(SMALL[name])
    ids = ("A4", "A5", "B2", "B3", "B4", "B5", "B9", "B10", "B11", "B12", "C5", "D2")
    assert not failed(context, ids, ("monte-carlo",))
    assert not failed(context, ("A4", "A5", "B1", "B3", "B5"), ("exact",))


@settings(max_examples=examples(15))
@given(wild_atoms())
def test_nothing_exact_is_refuted_on_hostile_laws(law):
    support = law.points[law.weights > 0]
    if bool((support == support[0]).all()):
        return
    data, _ = in_own_units(Data(law, "wild", None))
    actual = failed(Context(data, seed=0, error=ERROR), ("A4", "A5", "B1", "B3", "B5"), ("exact",))
    assert not actual, actual


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SLOW_SETS))
def test_no_claim_is_refuted_on_any_data(number):
    """All claims with their twins; `tests/benchmarks/any_data.py` does the same for any number of sets."""
    name, points, weights = slow_sets()[number]
    images = points.ndim > 2
    rows = points.reshape(len(points), -1) / (127.5 if images else 1) - images
    context = context_of(rows, weights)
    results = [run_claim(claim, replace(context, data=replace(context.data, name=name))) for claim in CLAIMS.values()]
    assert not [line for result in results if result.verdict == "refuted" for line in console.failures([result])]
    assert sum(result.verdict == "undecided" for result in results) <= 1, console.failures(results)
    assert all(twin.outcome.verdict == "refuted" for result in results for twin in result.twins)


# --- the steps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [GOLDEN, TRI], ids=["line", "plane"])
@pytest.mark.parametrize("gap", [0.3, 3.0])
def test_every_round_holds_the_truth_and_each_is_narrower(law, gap):
    """Against quadrature, of KL in one and two dimensions and of TV in one."""
    posterior = prior_posterior(law)
    measured = _Measured(posterior, gap, Context(Data(law, "toy", None), 0, 1e-3))
    rounds = [measured._kl(k) for k in range(3)]
    truth = float(divergence.kl_quadrature(posterior, gap).value)
    assert all(float(r.low) <= truth <= float(r.high) for r in rounds)
    widths = [float(r.high - r.low) for r in rounds]
    assert widths[1] < 0.7 * widths[0] and widths[2] < 0.7 * widths[1]
    if law.dim == 1:
        tv = float(divergence.tv_exact(posterior, gap).value)
        assert all(float(r.low) <= tv <= float(r.high) for r in (measured._tv(k) for k in range(2)))


def test_tv_by_its_leading_direction_agrees_with_plain_draws():
    """A plane that is nearly a line: the control variate moves nothing and narrows the interval."""
    law = Atoms(_NORMAL[:30, :2] * [1.0, 0.05])
    posterior = prior_posterior(law)
    context = Context(Data(law, "toy", None), 0, 1e-3)
    controlled, plain = (_Measured(posterior, 2.0, context) for _ in range(2))
    plain._near = copy(plain._near)  # one is kept for both
    plain._near.share = 0.0
    near, wide = controlled._tv(0), plain._tv(0)
    assert float(near.low) < float(wide.high) and float(wide.low) < float(near.high)
    assert float(near.high - near.low) < 0.3 * float(wide.high - wide.low)


def test_kl_by_quadrature_of_a_thin_plane_holds_its_true_value():
    law = Atoms(_NORMAL[:20, :2] * [1.0, 0.01])
    posterior = prior_posterior(law)
    actual = Leading(posterior, 2.0).kl()
    truth = float(divergence.kl_quadrature(posterior, 2.0).value)
    assert actual is not None and float(actual.low) <= truth <= float(actual.high)
    assert float(actual.low) < truth - 1e-8  # what the line loses is not nothing


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_steps_do_not_depend_on_unit_or_origin(unit):
    gaps = [[i.gap for i in kl_steps(context_of((_NORMAL + shift) * unit))] for shift in (0.0, 900.0)]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-6)
    assert len(gaps[0]) == 5 and len(tv_steps(context_of(_NORMAL * unit))) == 3


def test_steps_part_the_atoms_as_far_as_they_say():
    posterior = prior_posterior(Atoms(_NORMAL))
    gap = gap_at(posterior, 0.4)
    assert gap is not None and float(pairwise.separated(pairwise.core(posterior), gap)) == pytest.approx(0.4, abs=1e-4)
    rare = prior_posterior(Atoms([[0.0, 0.0], [1.0, 2.0]], [1.0, 1e-30]))
    assert gap_at(rare, 0.4) is None and shift_gap(rare, 0.4) is None


@pytest.mark.parametrize("centre", [0.05, 0.24, 0.25, 1 / 3, 0.9])
def test_steps_reach_a_part_of_what_an_atom_at_the_mean_leaves(centre):
    """TV and B3's bound tend to 1 less its weight: a step that asks for more would have them equal."""
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])
    weights = np.array([(1 - centre) / 4] * 4 + [centre])
    posterior = prior_posterior(Atoms(points, weights))
    gap = shift_gap(posterior, 0.75)
    shift = math.erf(gap**0.5 / 8**0.5)  # 2Φ(√g/2) − 1 of each atom at distance one
    assert shift == pytest.approx(0.75, abs=1e-5)
    context = context_of(points, weights)
    first, unit = tv_steps(context)[0], deviations(context)[2]
    assert math.erf(first.gap**0.5 / unit / 8**0.5) == pytest.approx(0.5, abs=1e-5)


def test_deviations_keep_distances_and_lose_the_origin():
    points = np.concatenate([_NORMAL[:5], np.zeros((5, 200))], axis=1)
    for offset in (0.0, 2.0**30):
        _, law, unit = deviations(context_of(points + offset))
        assert law.dim == 4
        kept = points + offset  # as float64 has it
        expected = torch.pdist(torch.tensor(kept - kept[0])).sort().values
        unit *= in_own_units(Data(Atoms(kept), "", None))[1]
        assert torch.allclose(torch.pdist(law.points).sort().values * unit, expected, rtol=1e-13)


def test_equal_atoms_become_one_with_their_weights():
    points = np.array([[1.0, 0.0], [0.0, 3.0], [1.0, 0.0], [5.0, 5.0]])
    _, law, _ = deviations(context_of(points, np.array([0.1, 0.2, 0.3, 0.4])))
    assert sorted(law.weights.tolist()) == pytest.approx([0.2, 0.4, 0.4])


# --- rounds and words ------------------------------------------------------------------------------------------------


def intervals(*limits: tuple[float, float]) -> Rounds:
    made = [estimate((low + high) / 2, low, high, 0.9, 100 * 4**k) for k, (low, high) in enumerate(limits)]
    return Rounds(lambda k: made[k], len(made))


def test_rounds_go_on_until_one_decides():
    asked = []

    def make(k: int):
        asked.append(k)
        return estimate(0.5, 0.5 - 0.4 / 2**k, 0.5 + 0.4 / 2**k, 0.9, 100 * 4**k)

    rounds = Rounds(make, 5)
    assert at_most_in_rounds(rounds, 0.95, "").verdict == "supported" and asked == [0]
    assert at_most_in_rounds(rounds, 0.65, "").verdict == "supported" and asked == [0, 1, 2]
    assert at_most_in_rounds(rounds, 0.35, "").verdict == "refuted" and asked == [0, 1, 2]
    assert at_least_in_rounds(rounds, 0.45, "").verdict == "supported" and asked == [0, 1, 2, 3]
    assert at_least_in_rounds(UNMEASURED, 0.45, "").verdict == "vacuous" and not UNMEASURED


def test_undecided_says_how_many_draws_would_decide():
    outcome = at_most_in_rounds(intervals((0.0, 1.0), (0.4, 0.6)), 0.51, "here")
    assert outcome.verdict == "undecided"
    assert outcome.remedy.startswith("about 4e+04 draws, after 4e+02 here")  # ten times narrower: a hundred times 400
    exact = at_most_in_rounds(Rounds.of(estimate(0.5, 0.4, 0.6, 1.0, 9, "quadrature")), 0.5, "here")
    assert "narrower than 0.2" in exact.remedy


def test_words_say_on_which_side_the_measured_value_must_lie():
    claim = CLAIMS["A1"]
    open_ = at_least_in_rounds(intervals((1.0, 3.0)), 1.9, "here")
    refuted = at_most_in_rounds(intervals((2.0, 3.0)), 1.9, "there")
    checks = [CheckResult(claim.checks[0], outcome) for outcome in (open_, refuted)]
    result = ClaimResult(claim, "refuted", tuple(checks), (), 0.0)
    undecided_line, refuted_line = console.failures([result])
    assert "measured 2, must be ≥ 1.9, at here; would decide: about" in undecided_line
    assert "measured 2.5, must be ≤ 1.9, at there" in refuted_line


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "unit"), [(1e-29, 2.0**-96), (1.0, 1.0), (900.0, 1.0), (1e12, 2.0**40), (1e29, 2.0**97)]
)
def test_a_strange_scale_becomes_a_power_of_two(scale, unit):
    points = torch.tensor([[1.1, -0.3], [0.2, 0.7]], dtype=torch.float64) * scale
    data, actual = in_own_units(Data(Atoms(points), "set", None))
    assert actual == pytest.approx(unit, rel=3)
    assert math.frexp(actual)[0] == 0.5
    assert torch.equal(data.law.points * actual, points)
    assert f"= {actual:.6g}" in described(actual)


def test_one_distinct_point_is_refused_whatever_has_no_weight():
    with pytest.raises(InputError, match="all points are equal"):
        in_own_units(Data(Atoms([[1.0], [1.0], [5.0]], [0.5, 0.5, 0.0]), "set", None))


def test_a_far_origin_costs_no_digits_of_a_density(context):
    """Points that differ by thousandths beside an offset of thousands: the marginals of A4 and A5 are those of their deviations."""
    generator = torch.Generator().manual_seed(25)
    points = 1e-3 * torch.randn(193, 10, dtype=torch.float64, generator=generator) + 2e3
    far = replace(context, data=Data(Atoms(points), "far", None))
    for id in ("A4", "A5"):
        claim = load_claims()[id]
        for check in (c for c in claim.checks if c.scope == "the same on the data"):
            assert check.run(claim.sides, far).verdict == "supported"


@pytest.mark.parametrize(("share", "distance"), [(1 / 337, 1e5), (1e-6, 1e9)])
def test_a_far_atom_leaves_steps_that_draws_decide(share, distance):
    """B3 misses TV by a quarter of its weight where all others are one to it: 7e-4, for which draws were averaged away, and 2.5e-7, which no draws tell."""
    points = np.random.default_rng(5).normal(size=(60, 3))
    points[-1] *= distance
    weights = np.full(60, (1 - share) / 59)
    weights[-1] = share
    steps = tv_steps(context_of(points, weights))
    assert len(steps) == 3
    for step in steps:
        upper = float(ladder.tv_norm(step.posterior, step.gap))
        assert at_most_in_rounds(step.tv, upper, step.where).verdict == "supported"
        assert at_most_in_rounds(step.tv, upper * 0.99, step.where).verdict in ("supported", "refuted")
        assert 0.4 < upper < 0.8

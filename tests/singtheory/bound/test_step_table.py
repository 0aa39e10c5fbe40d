"""The step table: its fields, its order, and intervals for the mean over all x_t."""

import math
from functools import cache

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory import Atoms, Cosine, InputError, divergence, schedule_named
from singtheory.bound import step_table
from singtheory.bound.step_table import step_rows
from singtheory.data import sources
from singtheory.divergence.components import Components
from singtheory.grid.grids import leading
from singtheory.law import AtomsPosterior
from tests.support.strategies import examples, wild_atoms, wild_gaps, wild_snrs

GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])


def rows(law, times, queries=16, seed=0, confidence=0.99):
    generator = torch.Generator().manual_seed(seed)
    return list(step_rows(law, Cosine(), torch.tensor(times), queries, generator, confidence))


@cache
def means_over_x(t: float, s: float) -> tuple[float, float]:
    """The means of KL and TV of the step over z, by quadrature."""
    schedule = Cosine()
    snr, gap = float(schedule.snr(t)), float(schedule.snr(s) - schedule.snr(t))
    z = torch.linspace(-12 - 2 * snr**0.5, 12 + 2 * snr**0.5, 241, dtype=torch.float64)[:, None]
    posterior = GOLDEN.posterior(z, snr)
    density = posterior.log_evidence.exp() * (z[1] - z[0])
    kl, tv = divergence.kl_quadrature(posterior, gap).value, divergence.tv_exact(posterior, gap).value
    return float(density @ kl), float(density @ tv)


@pytest.mark.parametrize(("t", "s"), [(0.9, 0.8), (0.6, 0.5), (0.5, 0.2)])
def test_intervals_hold_the_mean_over_all_x(t, s):
    (row,) = rows(GOLDEN, [t, s], queries=64)
    kl, tv = means_over_x(t, s)
    assert row["kl_low"] <= kl <= row["kl_high"]
    assert row["tv_low"] <= tv <= row["tv_high"]
    assert row["kl_high"] < 3 * kl + 0.05 and row["tv_high"] < 1.5 * tv
    assert row["kl"] == pytest.approx(kl, rel=0.35)


def test_values_lie_between_the_bounds_of_their_own_queries():
    law, sd = sources.load("digits").law, schedule_named("sd")
    times = leading(sd, 50)[[0, 1, 20, 21]]
    results = list(step_rows(law, sd, times[:2], 2, torch.Generator().manual_seed(0)))
    results += list(step_rows(law, sd, times[2:], 2, torch.Generator().manual_seed(0)))
    for row in results:
        assert row["kl_low"] <= row["kl"] <= row["kl_high"]
        assert row["tv_low"] <= row["tv"] <= row["tv_high"]
        # 512 draws behind each value
        assert 0.7 * row["kl_gauss_lower"] <= row["kl"] <= 1.3 * row["kl_family_bound"]
        assert row["kl_family_bound"] <= min(row["kl_chi2_bound"], row["kl_pair_bound"]) * (1 + 1e-9)
        assert row["kl_moment_matched"] < 0.3 * row["kl"]


def test_rows_of_very_many_points_hold_with_fewer_draws(monkeypatch):
    """Of an x_t fewer draws are made, of which the intervals know; and means over x_t are taken a few at a time."""
    monkeypatch.setattr(step_table, "_PAIRS", 60)
    monkeypatch.setattr(step_table, "_HELD", 12)
    assert step_table.draws_per_query(3) == 20 and step_table.draws_per_query(100) == 16
    (row,) = rows(GOLDEN, [0.6, 0.5], queries=64)
    kl, tv = means_over_x(0.6, 0.5)
    assert row["kl_low"] <= kl <= row["kl_high"] and row["tv_low"] <= tv <= row["tv_high"]
    (narrower,) = rows(GOLDEN, [0.6, 0.5], queries=512)
    assert narrower["tv_high"] - narrower["tv_low"] < row["tv_high"] - row["tv_low"]


def laws_of_few_dimensions():
    generator = torch.Generator().manual_seed(3)
    return {
        "line": Atoms(torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]),
        "rare and far": Atoms([[0.0], [0.1], [300.0]], [1, 1, 1e-6]),
        "plane": Atoms(torch.randn(12, 2, dtype=torch.float64, generator=generator)),
        "space": Atoms(torch.randn(40, 5, dtype=torch.float64, generator=generator)),
    }


@pytest.mark.parametrize("name", laws_of_few_dimensions())
def test_values_lie_between_the_bounds_beside_them(name):
    """KL and TV are means of what lies between the bounds at each x_t, so they lie between the means of the bounds."""
    actual = rows(laws_of_few_dimensions()[name], [0.999, 0.9, 0.5, 0.3], queries=4)
    for row in actual:
        assert max(row["kl_gauss_lower"], row["kl_pair_lower"]) <= row["kl"] * (1 + 1e-12)
        upper = ("kl_chi2_bound", "kl_trace_bound", "kl_pair_bound", "kl_family_bound")
        assert row["kl"] <= min(row[key] for key in upper) * (1 + 1e-12)
        assert 0 <= row["tv"] <= min(row[key] for key in ("tv_family_bound", "tv_norm_bound", "tv_trace_bound"))
        assert row["kl_low"] <= row["kl"] <= row["kl_high"] and row["tv_low"] <= row["tv"] <= row["tv_high"]


def test_a_step_to_zero_of_a_single_point_costs_nothing():
    row = rows(Atoms([[0.3], [0.3]]), [0.1, 0.0])[0]
    assert row["kl"] == row["tv"] == row["kl_family_bound"] == row["tv_norm_bound"] == row["chi2"] == 0
    row = rows(Atoms([[-1.0], [0.0], [1.0]]), [1.0, 0.0])[0]
    assert row["tv"] == pytest.approx(2 / 3) and row["kl"] == math.inf


def test_a_step_to_zero_is_singular():
    row = rows(GOLDEN, [0.1, 0.0])[0]
    assert row["kl"] == row["kl_family_bound"] == row["gap"] == math.inf
    assert row["tv"] == 1


def test_same_seed_same_rows():
    assert rows(GOLDEN, [0.9, 0.8, 0.5], seed=4) == rows(GOLDEN, [0.9, 0.8, 0.5], seed=4)
    assert rows(GOLDEN, [0.9, 0.8], seed=4) != rows(GOLDEN, [0.9, 0.8], seed=5)


@pytest.mark.parametrize(("queries", "confidence", "words"), [(0, 0.99, "queries 0"), (1, 1.5, "confidence")])
def test_bad_input(queries, confidence, words):
    with pytest.raises(InputError, match=words):
        rows(GOLDEN, [0.9, 0.8], queries=queries, confidence=confidence)


def test_what_is_made_of_a_querys_points_is_made_once(monkeypatch):
    """A step of 50,000 points spent half of its time on making them again for every bound: components a query and gap, differences for pairs and for draws."""
    made, moved = [], []
    components, deviations = Components._made.__func__, AtomsPosterior.deviations
    monkeypatch.setattr(Components, "_made", classmethod(lambda cls, *of: made.append(of) or components(cls, *of)))
    monkeypatch.setattr(AtomsPosterior, "deviations", lambda query: moved.append(query) or deviations(query))
    rows(laws_of_few_dimensions()["space"], [0.9, 0.8], queries=5)
    assert len(made) == 5
    assert len(moved) == 10


def test_both_of_a_product_are_each_of_them():
    posterior = laws_of_few_dimensions()["space"].posterior(torch.ones(3, 5, dtype=torch.float64), 0.4)
    u = divergence.draw_plug_in(posterior, 7, torch.Generator().manual_seed(0))
    log_ratio, entropy = posterior.ratio_and_entropy(u, 0.6)
    assert torch.equal(log_ratio, posterior.log_ratio(u, 0.6))
    assert torch.equal(entropy, posterior.conditional_entropy(u, 0.6))
    assert log_ratio.shape == entropy.shape == (3, 7)


@settings(max_examples=examples(60))
@given(wild_atoms(), wild_snrs(), wild_gaps(), st.integers(0, 2**31))
def test_log_ratios_by_products_are_within_their_error(law, snr, gap, seed):
    """Of those from differences, on any law: where products say that they hold to 1e-6 they do, and both ways give one value."""
    generator = torch.Generator().manual_seed(seed)
    posterior = step_table._draw_posterior(law, snr, 3, generator)
    u = divergence.draw_plug_in(posterior, 1, generator)
    exact = posterior.log_ratio(u, gap)[:, 0]
    values, error = step_table._log_ratio_by_products(posterior, u[:, 0], gap)
    size = 1e-13 * (1 + exact.abs())  # of the differences themselves
    certain = error <= 1e-6
    assert bool(((values - exact).abs() <= error + size)[certain].all())
    actual = step_table._log_ratio_at_one(posterior, u, gap)
    assert bool((((actual - exact).abs() <= step_table._LOST + size) | (actual == exact)).all())


def test_log_ratios_by_products_serve_ordinary_data():
    """The error is a tenth of what is allowed where nothing is far, so that draws over many points take one product."""
    law = Atoms(torch.randn(500, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    generator = torch.Generator().manual_seed(1)
    posterior = step_table._draw_posterior(law, 0.1, 5, generator)
    u = divergence.draw_plug_in(posterior, 1, generator)
    values, error = step_table._log_ratio_by_products(posterior, u[:, 0], 0.3)
    assert float(error.max()) < step_table._LOST / 10
    assert float((values - posterior.log_ratio(u, 0.3)[:, 0]).abs().max()) < 1e-12


def test_tv_is_of_the_draws_from_q_and_kl_of_those_from_p():
    """Of the same draws TV would be `E_P (1 − r)₊`, which is less where the atoms are separated: 0.15 for 0.50 here."""
    law = Atoms([[-3.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 4.0, 0.0]], [0.2, 0.3, 0.5])
    query, gap = law.posterior([0.0, 0.0, 0.0], 0.01), 0.5
    bounds = {name: float(value) for name, value in step_table.ladder.evaluate_ladder(query, gap).items()}
    generator = torch.Generator().manual_seed(0)
    drawn = [step_table._drawn(query, gap, bounds, float(query.entropy), generator) for _ in range(40)]
    kl, tv = (torch.tensor(values, dtype=torch.float64) for values in zip(*drawn, strict=True))
    exact_kl, exact_tv = (
        divergence.kl_monte_carlo(query, gap, 200_000, generator, 0.9999),
        divergence.tv_monte_carlo(query, gap, 200_000, generator, 0.9999),
    )
    for values, exact in ((kl, exact_kl), (tv, exact_tv)):
        # the mean of 40 sums of independent draws: six of its standard errors, beside an interval
        slack = 6 * float(values.std()) / len(values) ** 0.5
        assert float(exact.low) - slack <= float(values.mean()) <= float(exact.high) + slack
        assert slack < 0.1 * float(values.mean())


@pytest.mark.parametrize("repeats", [1, 100])
@pytest.mark.parametrize(("weight", "gap"), [(1e-31, 200.0), (1e-80, 500.0)])
def test_chi2_of_a_row_counts_atoms_that_hardly_weigh(repeats, weight, gap):
    """Atoms of posterior weight w = 1e-31 or 1e-80 make `χ² = Σ p_i p_j e^{g ξ_i ξ_j} − 1` 1e25 or more; equal atoms, more than are all summed, change nothing."""
    law = Atoms([[0.0]] * repeats + [[1.0]] * 3 * repeats, [1 / repeats] * repeats + [weight / repeats] * 3 * repeats)
    with mpmath.workdps(200):
        light = 3 * mpmath.mpf(weight) / (1 + 3 * mpmath.mpf(weight))
        xi = [(-light, 1 - light), (1 - light, light)]
        expected = mpmath.fsum(p * q * mpmath.expm1(gap * x * y) for x, p in xi for y, q in xi)
    query = law.posterior([0.0], 0.0)
    assert step_table._chi2(query, gap) == pytest.approx(float(expected), rel=1e-9)
    assert expected > 1e25

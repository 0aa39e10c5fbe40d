"""The ladder: every bound on its side of the truth, at its declared rate, whole or on a core."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings

from proofs_checks.harness.slope import fitted_slope
from proofs_checks.measurements.toy_steps import prior_posterior
from singtheory import Atoms, Gaussian, GaussianMixture, InputError, divergence, formula, limit
from singtheory.bound import ladder, pairwise
from singtheory.bound.ladder import LADDER
from singtheory.divergence.chi2 import chi_square, log1p_chi2_by_moments
from singtheory.divergence.components import Components
from tests.support.strategies import atoms, examples, gaps, wild_atoms, wild_gaps

GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3]).posterior([0.0], 0.0)
NINE_TO_ONE = Atoms([[-1.0], [1.0]], [0.9, 0.1]).posterior([0.0], 0.0)
BOUNDS = {bound.name: bound for bound in LADDER}


@settings(max_examples=examples(60))
@given(atoms(dims=(1, 2), least=2), gaps())
def test_every_bound_is_on_its_side(law, gap):
    posterior = law.posterior([0.0] * law.dim, 0.0)
    truth = {"kl": divergence.kl_quadrature(posterior, gap)}
    if law.dim == 1:
        truth["tv"] = divergence.tv_exact(posterior, gap)
    for name, value in ladder.evaluate_ladder(posterior, gap).items():
        bound = BOUNDS[name]
        if bound.quantity in truth and bound.side != "leading":
            exact = truth[bound.quantity]
            if bound.side == "upper":
                assert float(value) >= float(exact.low), name
            else:
                assert float(value) <= float(exact.high), name


@pytest.mark.parametrize("bound", [bound for bound in LADDER if bound.rate is not None], ids=lambda bound: bound.name)
@pytest.mark.parametrize("posterior", [GOLDEN, NINE_TO_ONE], ids=["golden", "9:1"])
def test_declared_rates(bound, posterior):
    at = [1e-3, 2e-3, 4e-3, 8e-3]
    slope = fitted_slope(at, [float(bound.evaluate(posterior, g)) for g in at])
    assert slope == pytest.approx(bound.rate, abs=0.1)


def test_bounds_without_a_rate_say_nothing_at_small_gaps():
    """B9's lower bound is negative there, and the ladder says 0, for KL is not negative."""
    without = [bound for bound in LADDER if bound.rate is None]
    assert [bound.name for bound in without] == ["kl_pair_lower"]
    assert float(ladder.kl_pair_lower(GOLDEN, 1e-3)) < 0 == float(without[0].evaluate(GOLDEN, 1e-3))
    assert float(without[0].evaluate(GOLDEN, 100.0)) == float(ladder.kl_pair_lower(GOLDEN, 100.0)) > 1


@given(wild_atoms(dims=(1, 2, 3)), wild_gaps())
@settings(max_examples=examples(30), deadline=None)
def test_no_bound_on_what_is_not_negative_is_negative(law, gap):
    query = prior_posterior(law)
    assert all(float(value) >= 0 for value in ladder.evaluate_ladder(query, gap).values())
    assert float(ladder.skewness2(query)) >= 0


def test_a_third_moment_that_vanishes_leaves_no_negative_number():
    """Of laws that are their own mirror image κ = 0, and rounding alone is left."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(40):
        half = torch.randn(7, 3, dtype=torch.float64, generator=generator)
        query = prior_posterior(Atoms(torch.cat([half, -half])))
        assert 0 <= float(ladder.skewness2(query)) < 1e-12
        assert 0 <= float(ladder.kl_moment_small_gap(query, 0.5)) < 1e-12


@pytest.mark.parametrize("gap", [0.001, 0.01, 0.1, 0.683, 1.0, 3.0, 10.0, 100.0, 1000.0])
def test_family_is_within_its_factor_on_golden(gap):
    """The golden values: B10 within 1.036, min(B2, B9) within 2.842 (printed there as 2.84)."""
    kl = float(divergence.kl_quadrature(GOLDEN, gap))
    assert kl * (1 - 1e-9) <= float(ladder.kl_family(GOLDEN, gap)) <= 1.036 * kl
    least = min(float(ladder.kl_chi2(GOLDEN, gap)), float(ladder.kl_pair_upper(GOLDEN, gap)))
    assert kl * (1 - 1e-9) <= least <= 2.842 * kl


@settings(max_examples=examples(30))
@given(atoms(dims=(1, 2, 3), least=2), gaps())
def test_the_family_contains_the_others(law, gap):
    posterior = law.posterior([0.0] * law.dim, 0.0)
    pair, best = float(ladder.kl_pair_upper(posterior, gap)), float(ladder.kl_family(posterior, gap))
    assert float(ladder.kl_family_at(posterior, gap, 0.5)) == pytest.approx(pair, rel=1e-9, abs=1e-12)
    assert best <= min(pair, float(ladder.kl_chi2(posterior, gap))) * (1 + 1e-9) + 1e-12


def crowd() -> tuple[Atoms, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(40, 2, dtype=torch.float64, generator=generator)
    return Atoms(points, torch.rand(40, dtype=torch.float64, generator=generator) ** 6 + 1e-9), torch.zeros(1, 2)


@pytest.mark.parametrize("most", [3, 10, 39])
@pytest.mark.parametrize("gap", [0.05, 1.0, 20.0])
def test_bounds_survive_the_split_into_core_and_rest(most, gap, monkeypatch):
    law, z = crowd()
    posterior = law.posterior(z, 0.0)
    kl = float(divergence.kl_quadrature(posterior, gap))
    whole = {name: float(value) for name, value in ladder.evaluate_ladder(posterior, gap).items()}
    monkeypatch.setattr(pairwise, "MAX_ATOMS", most)
    split = {name: float(value) for name, value in ladder.evaluate_ladder(law.posterior(z, 0.0), gap).items()}
    assert split["kl_family_bound"] != whole["kl_family_bound"]
    for name in ("kl_chi2_bound", "kl_pair_bound", "kl_family_bound"):
        assert split[name] >= kl
    assert split["kl_pair_lower"] <= kl
    tv = divergence.tv_monte_carlo(posterior, gap, 20_000, torch.Generator().manual_seed(1), 1 - 1e-6)
    assert split["tv_chi2_bound"] >= float(tv.low)


@settings(max_examples=examples(100))
@given(wild_atoms(), wild_gaps())
def test_chi2_by_moments_is_at_least_chi2(law, gap):
    """Against the sum over all pairs less its own error, at any distance, scale and weight."""
    of = Components.of(law.posterior([0.0] * law.dim, 0.0), gap)
    pairs = chi_square(of)
    assert log1p_chi2_by_moments(of) >= pairs.log1p - pairs.error


@pytest.mark.parametrize("weight", [1e-100, 1e-155, 1e-160, 1e-185, 1e-200, 1e-220])
def test_chi2_by_moments_where_squares_of_weights_underflow(weight):
    """`p² e^{gΔ²}` with `p² < 5e-324`: the square of ‖gC‖_F was 0, and B2 and B10 were 1e-300."""
    gap, apart = 120.0, 2.0
    of = Components.of(Atoms([[0.0], [apart]], [1.0, weight]).posterior([0.0], 0.0), gap)
    with mpmath.workdps(700):
        p, g = mpmath.mpf(weight), mpmath.mpf(gap)
        near, far = -p * apart, (1 - p) * apart
        chi2 = (1 - p) ** 2 * mpmath.expm1(g * near**2) + p**2 * mpmath.expm1(g * far**2)
        chi2 += 2 * p * (1 - p) * mpmath.expm1(g * near * far)
        assert log1p_chi2_by_moments(of) >= mpmath.log1p(chi2)


@pytest.mark.parametrize("dim", [1, 3, 20])
def test_chi2_by_moments_has_the_order_of_chi2(dim):
    """Its ratio to χ² tends to 1, as `h(M) = 1 + M/3 + …` does and χ² loses a part of the order of g."""
    law = Atoms(torch.randn(400, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    query = law.posterior([0.0] * dim, 0.0)
    furthest = float((law.points - law.points.mean(dim=0)).square().sum(dim=1).max())
    for most in (1e-12, 1e-6, 1e-2):
        of = Components.of(query, most / furthest)
        assert 1 <= log1p_chi2_by_moments(of) / chi_square(of).log1p < 1 + 2 * most + 1e-11


def test_a_posterior_on_very_many_atoms_keeps_its_bounds():
    """Twenty thousand atoms of nearly equal weight: the core holds a tenth of it, and by the core alone KL's bound was 30 times the moments'."""
    law = Atoms(torch.randn(20_000, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4)))
    query, gap = law.posterior([0.0] * 5, 0.0), 0.03
    core = pairwise.core(query)
    assert not core.is_all and float(core.mass) < 0.2
    least = float(ladder.kl_gauss_lower(query, gap))
    by_core = float(core.kl_upper(pairwise.family(core, gap), gap))
    assert least < float(ladder.kl_family(query, gap)) < by_core / 5
    assert float(ladder.tv_family(query, gap)) <= float(ladder.tv_chi2(query, gap)) < 0.1


def test_a_core_of_nearly_all_is_nearly_everything(monkeypatch):
    law, z = crowd()
    whole = ladder.evaluate_ladder(law.posterior(z, 0.0), 1.0)
    monkeypatch.setattr(pairwise, "NEGLIGIBLE", 1e-6)
    split = ladder.evaluate_ladder(law.posterior(z, 0.0), 1.0)
    for name in ("kl_chi2_bound", "kl_pair_bound", "kl_pair_lower", "kl_family_bound", "tv_chi2_bound"):
        assert float(split[name]) == pytest.approx(float(whole[name]), rel=3e-3, abs=3e-3)
        assert float(split[name]) != float(whole[name])


@pytest.mark.parametrize("count", [300, 600])
def test_many_atoms_take_few_betas_and_lose_little(count, monkeypatch):
    generator = torch.Generator().manual_seed(2)
    posterior = Atoms(torch.randn(count, 3, dtype=torch.float64, generator=generator)).posterior([0.0] * 3, 0.0)
    for gap in (0.05, 1.0, 10.0):
        few = float(ladder.kl_family(posterior, gap))
        every = min(float(ladder.kl_family_at(posterior, gap, beta)) for beta in pairwise.BETAS)
        assert float(ladder.kl_gauss_lower(posterior, gap)) <= few <= 1.05 * every


def test_gaussian_posteriors_get_the_bounds_that_apply():
    posterior = Gaussian([0.0], [[0.5]]).posterior([0.0], 0.0)
    actual = ladder.evaluate_ladder(posterior, 0.4)
    assert set(actual) == {bound.name for bound in LADDER if not bound.finite_only}
    assert float(actual["kl_trace_bound"]) == pytest.approx(0.5 * 0.4 * 0.5)
    assert float(actual["kl_gauss_lower"]) == pytest.approx(0.5 * (0.2 - math.log(1.2)))
    assert float(actual["kl_small_gap"]) == pytest.approx(0.4**2 / 4 * 0.25)
    assert float(actual["tv_trace_bound"]) == pytest.approx(math.sqrt(0.2 / (2 * math.pi)))


def test_skewness_of_two_atoms():
    """±1 with weights 0.9 and 0.1: ξ is −0.2 or 1.8, so E ξ³ = 0.576 and ‖κ‖² is its square."""
    assert float(ladder.skewness2(NINE_TO_ONE)) == pytest.approx(0.576**2, rel=1e-12)


def test_infinite_gap_and_unknown_names():
    for name, value in ladder.evaluate_ladder(GOLDEN, math.inf).items():
        assert float(value) == (1.0 if name in ("tv_norm_bound", "tv_family_bound") else math.inf)
    one = Atoms([[0.3], [0.3], [7.0]], [1, 2, 0]).posterior([0.1], 0.5)
    assert all(float(value) == 0 for value in ladder.evaluate_ladder(one, math.inf).values())
    with pytest.raises(InputError, match="kl_family_bound"):
        ladder.bound_named("kl_familiy_bound")


def test_rule_for_beta_has_its_ends_and_its_value_between():
    """β is `1 − ½τ⁴` up to τ = 1/20, ½ at τ = 1, and `½ + ½(1 − τ⁴)/2` where `τ − 1/20 = 7/25`."""
    tau = torch.tensor([0.0, 0.05, 0.33, 1.0], dtype=torch.float64)
    expected = torch.tensor([1.0, 1 - 0.05**4 / 2, 0.5 + (1 - 0.33**4) / 4, 0.5], dtype=torch.float64)
    torch.testing.assert_close(formula.family_beta(tau, torch), expected)


def test_total_variation_inequalities_have_their_constants():
    kl = torch.tensor([0.02, 2.0], dtype=torch.float64)
    torch.testing.assert_close(formula.tv_pinsker(kl, torch), torch.tensor([0.1, 1.0], dtype=torch.float64))
    torch.testing.assert_close(formula.tv_bretagnolle_huber(kl, torch), (1 - (-kl).exp()).sqrt())


def test_a_batch_has_the_bounds_of_its_queries():
    law = Atoms([[-1.0, 0.0], [0.5, 2.0], [1.0, -1.0]], [0.5, 0.3, 0.2])
    batch = law.posterior([[0.3, 0.1], [-0.2, 1.0]], 0.7)
    for bound in LADDER:
        one_by_one = torch.cat([bound.evaluate(query, 0.8) for query in batch])
        torch.testing.assert_close(bound.evaluate(batch, 0.8), one_by_one)
    assert limit.kl_atoms_lower(batch, 3.0).shape == (2,)
    assert ladder.evaluate_ladder(batch, math.inf)["kl_trace_bound"].dtype == torch.float64


def test_chi2_of_all_but_equal_atoms_is_not_negative():
    """Found by a thousand random laws: `E⟨ξ, ξ'⟩ = 0` rounds to a negative number, whose root is none."""
    posterior = Atoms([[0.0], [2.0328555186385256e-82], [1e-12]]).posterior([0.0], 0.0)
    assert 0 <= float(ladder.tv_chi2(posterior, 1.0)) < 1e-12


def test_small_variances_of_rare_components_count_at_large_gaps():
    """`½ g p λ` and `√(g p λ/2π)` for a component of weight 1e-300 and variance 1e-60, whose product underflows."""
    law = GaussianMixture([1.0, 1e-300], [[0.0], [0.0]], [[[0.0]], [[1e-60]]])
    bounds = ladder.evaluate_ladder(law.posterior([0.0], 0.0), 1e80)
    with mpmath.workdps(40):
        trace = mpmath.mpf(float(law.weights[1])) * mpmath.mpf(1e-60) * mpmath.mpf(1e80)
        assert trace / 2 <= mpmath.mpf(float(bounds["kl_trace_bound"])) <= 0.501 * trace
        least = mpmath.sqrt(trace / (2 * mpmath.pi))
        assert least <= mpmath.mpf(float(bounds["tv_trace_bound"])) <= 1.001 * least

"""What matched steps cost (E3): lines by quadrature, Gaussian data not at all, atoms by draws, beside other ways to the same numbers."""

import math

import pytest
import torch

from proofs_checks.instances.laws import BUMPS, GOLDEN, TRI
from proofs_checks.measurements import matched_costs
from proofs_checks.measurements.path_costs import Line, line_of, path_cost
from singtheory import Atoms, Gaussian, InputError, divergence
from singtheory.mmse import exact_curve

CHAIN = torch.tensor([0.2, 0.5, 1.0, 2.5, 6.0], dtype=torch.float64)


def test_levels_are_those_of_the_curve():
    """`E C`, `E C²` and the information of `path_costs` are the mmse curve's, which another rule computes (B4, B11)."""
    for law in (GOLDEN, BUMPS):
        curve, line = exact_curve(law), line_of(law)
        level, slope = curve(CHAIN)
        for k, snr in enumerate(CHAIN.tolist()):
            actual = line.level(snr)
            assert actual.trace == pytest.approx(float(level[k]), rel=1e-10)
            assert actual.norm2 == pytest.approx(-float(slope[k]), rel=1e-10)
            assert actual.apart2 == pytest.approx(actual.norm2 - actual.trace**2, abs=1e-12)
        known = line.level(6.0).information - line.level(0.2).information
        assert known == pytest.approx(float(curve.information(CHAIN[[0, -1]]).diff()), abs=1e-11)
        assert path_cost(line, "plug-in", tuple(CHAIN.tolist())) == pytest.approx(
            float(curve.discretisation(CHAIN).sum()), abs=1e-11
        )


def test_one_matched_step_from_noise_is_the_divergence_from_m():
    """At γ = 0 the posterior is the law: one step costs `KL(P‖M)`, which cubature computes (B5)."""
    posterior = GOLDEN.posterior([[0.0]], 0.0)
    for gap in (0.1, 1.0, 10.0):
        cost = path_cost(line_of(GOLDEN), "matched", (0.0, gap))
        assert cost == pytest.approx(float(divergence.kl_moment_quadrature(posterior, gap).value), abs=1e-10)


def test_kappa_is_the_slope_of_the_variance():
    """`dC/dz = √γ κ` at every z."""
    line, snr = Line.of(BUMPS), 1.7
    _, _, cov, kappa = line.posterior(snr)
    spread = 1 + snr * line.variances
    low = float((math.sqrt(snr) * line.centres - 10 * spread.sqrt()).min())
    high = float((math.sqrt(snr) * line.centres + 10 * spread.sqrt()).max())
    z = torch.linspace(low, high, len(cov), dtype=torch.float64)
    slope = torch.gradient(cov, spacing=(z,))[0]
    middle = slice(len(z) // 4, 3 * len(z) // 4)
    assert torch.allclose(slope[middle], math.sqrt(snr) * kappa[middle], atol=2e-3)


def test_a_far_point_costs_no_nodes_between():
    """Sixteen a standard deviation of the noise all the way were 16 million of them, and 13 GB for a point at 1e6 and γ = 1e4."""
    far = Line.of(Atoms([[0.0], [1.0], [1e4]], [0.5, 0.5, 1e-3]))
    assert len(far.posterior(1e4)[0]) < 1000
    near = Line.of(Atoms([[0.0], [1.0]]))
    share = 1 / 1.001
    for snr in (1.0, 9.0):  # where the two near points overlap and the far one does not
        assert far.level(snr).trace == pytest.approx(share * near.level(snr).trace, rel=1e-12)
        mass = far.posterior(snr)[0]
        assert float(mass.sum()) == pytest.approx(1.0, abs=1e-13)


def test_where_a_line_lies_does_not_matter():
    for snr in (0.7, 30.0):
        here, there = (Line.of(Atoms(GOLDEN.points.round(decimals=1) * 10 + at, GOLDEN.weights)) for at in (0.0, 1e15))
        assert there.level(snr) == here.level(snr)


def test_gaussian_data_cost_nothing():
    term = matched_costs.matched_term(Gaussian([0.0, 1.0], [[4.0, 1.0], [1.0, 2.0]]), CHAIN, 64, 0)
    assert term.value == 0 and term.exact and len(term.steps) == 4


def test_draws_agree_with_quadrature():
    """A law on a line, told as one in the plane that does not use its second coordinate: draws on one side, quadrature on the other."""
    flat = Atoms(torch.cat([GOLDEN.points, torch.zeros(3, 1, dtype=torch.float64)], dim=1), GOLDEN.weights)
    exact = matched_costs.matched_term(GOLDEN, CHAIN, 64, 0)
    drawn = matched_costs.matched_term(flat, CHAIN, 8 * 500, 0)
    assert not drawn.exact and abs(drawn.value - exact.value) < 5 * drawn.error < 0.5 * exact.value
    snr = torch.tensor([0.5, 2.0], dtype=torch.float64)
    actual, expected = matched_costs.skewness2(flat, snr, 8 * 2000, 0), matched_costs.skewness2(GOLDEN, snr, 64, 0)
    assert torch.allclose(actual, expected, rtol=0.25)


def test_the_least_cost_of_many_steps():
    """`S³/12N²` beside the cost on the grid of equal steps of `(E‖κ‖²)^⅓`, 200 of them."""
    from proofs_checks.claims.e import e3_matched

    integral = matched_costs.cube_root_integral(GOLDEN, 0.5, 5.0, 64, 0)
    chain = e3_matched._spread(line_of(GOLDEN), (0.5, 5.0), e3_matched._cube_root, 200)
    assert 200**2 * path_cost(line_of(GOLDEN), "matched", chain) == pytest.approx(integral**3 / 12, rel=0.02)


def test_bad_input():
    with pytest.raises(InputError, match="kernel 'other': unknown; there are isotropic, matched"):
        matched_costs.check_kernel("other")
    wide = Atoms(torch.eye(2, 300, dtype=torch.float64))
    matched_costs.check_kernel("isotropic", wide)
    with pytest.raises(InputError, match=r"300 dimensions .*principal components"):
        matched_costs.check_kernel("matched", wide)
    matched_costs.check_kernel("matched", TRI)


def test_of_the_networks_error_nothing_is_certain_under_the_matched_kernel():
    """Its noise is wider, so that the error weighs from nothing up to what it does beside the plug-in kernel's."""
    row = {f"{name}_{side}": 1.0 for name in ("start", "discretisation", "network") for side in ("low", "high")}
    row |= {"network_high": 2.0, "discretisation_high": 4.0}
    term = matched_costs.MatchedTerm(torch.tensor([0.5, 0.25], dtype=torch.float64), 0.0, 0.125, True)
    matched = matched_costs.with_matched(row, term)
    assert (matched["network_low"], matched["network_high"]) == (0.0, 2.0)
    assert (matched["discretisation_low"], matched["discretisation_high"]) == (0.625, 0.875)
    assert (matched["total_low"], matched["total_high"]) == (1.625, 3.875)
    drawn = matched_costs.with_matched(row, matched_costs.MatchedTerm(term.steps, 0.1, 0.0, False))
    assert (drawn["discretisation_low"], drawn["discretisation_high"]) == (0.0, 4.0)

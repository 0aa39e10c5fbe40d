"""What statements once said too widely, each with the example that shows it, and what they said too narrowly."""

import math
from fractions import Fraction

import pytest
import torch

from proofs_checks.harness.harness import load_claims
from proofs_checks.instances.laws import GOLDEN, SIGNS
from proofs_checks.measurements.toy_steps import prior_posterior
from singtheory import Atoms, Cosine, RectifiedFlow, ReverseKernel, divergence, formula, limit
from singtheory.bound import pairwise

CLAIMS = load_claims()


def score(law, x, noise):
    time = Cosine().time_of_snr(1 / noise**2 - 1)
    return float(limit.score(law, Cosine(), torch.tensor([[x]], dtype=torch.float64), time).norm())


def test_a3_w2_depends_on_more_than_the_gap():
    results = []
    for schedule in (Cosine(), RectifiedFlow()):
        t, s = (float(schedule.time_of_snr(snr)) for snr in (0.1, 1.1))
        step = ReverseKernel(GOLDEN, schedule, t, s).at([0.5 * float(schedule.sigma(t))])
        results.append((float(step.kl().value), float(step.w2().value), step.bridge.var**0.5))
    (kl, w2, c), (other_kl, other_w2, other_c) = results
    assert kl == pytest.approx(other_kl, rel=1e-9)
    assert abs(w2 - other_w2) > 0.01
    assert w2 / c == pytest.approx(other_w2 / other_c, rel=1e-6)
    assert "$W_2$ is $c$ times" in CLAIMS["A3"].statement


def test_b10_tries_three_betas_of_many_atoms(monkeypatch):
    tried = []
    monkeypatch.setattr(pairwise, "family_at", lambda core, gap, beta: tried.append(beta) or torch.zeros(()))
    monkeypatch.setattr(pairwise, "pair_upper", lambda core, gap: tried.append("½, which is B9") or torch.ones(()))
    for count, expected in ((256, 13), (257, 3)):
        tried.clear()
        law = Atoms(torch.linspace(-1, 1, count, dtype=torch.float64)[:, None])
        pairwise.family(pairwise.core(prior_posterior(law)), 1.0)
        assert len(tried) == expected
    assert "beyond 256 atoms" in CLAIMS["B10"].statement


def test_d2_the_score_at_a_tie_is_that_of_the_limit_of_the_denoiser():
    assert [score(SIGNS, 0.0, noise) for noise in (0.1, 0.01, 0.001)] == [0, 0, 0]
    # halfway between −1.3 and 0.2 the two weigh as exp(‖y‖²/4), with the prior weights 0.2 and 0.5 (D1)
    weights = torch.tensor([0.2, 0.5], dtype=torch.float64) * torch.tensor([1.3**2, 0.2**2]).div(4).exp()
    limit_point = float(weights @ torch.tensor([-1.3, 0.2], dtype=torch.float64) / weights.sum())
    assert 1e-6 * score(GOLDEN, -0.55, 0.001) == pytest.approx(abs(-0.55 - limit_point), rel=1e-3)
    assert "off ties" in CLAIMS["D2"].statement


@pytest.mark.parametrize("points", [[[-1.0, 0.0], [1.0, 0.0]], [[-1.0, -2.0], [0.5, 1.0], [1.0, 2.0]]])
def test_d3_the_two_sides_meet_without_full_rank(points):
    posterior = prior_posterior(Atoms(points))
    assert float(posterior.eigenvalues.min()) < 1e-12
    actual = float(divergence.kl_moment_quadrature(posterior, 300.0).value)
    assert actual == pytest.approx(float(limit.kl_atoms_lower(posterior, 300.0)), abs=1e-6)


def test_e1_no_kept_noise_beyond_eta_one():
    limits = 0.3, 0.9, 0.8, 0.6
    a, var = formula.bridge_a(*limits), formula.bridge_var(*limits)
    assert formula.ddim_kept_var(1.0, a, var, 0.9) > 0
    assert formula.ddim_kept_var(1.5, a, var, 0.9) < 0
    assert "0 \\le \\eta \\le 1" in CLAIMS["E1"].statement


def test_f7_zero_init_may_be_better_than_the_right_mean():
    """The golden law at α = 0.6, by exact fractions: `½[(α² − γ) tr Σ + α²μ² + σ² − 1 − log σ²]` is negative."""
    points, weights = (
        (Fraction(-13, 10), Fraction(1, 5), Fraction(11, 10)),
        (Fraction(1, 5), Fraction(1, 2), Fraction(3, 10)),
    )
    mean = sum(w * y for w, y in zip(weights, points, strict=True))
    var = sum(w * y**2 for w, y in zip(weights, points, strict=True)) - mean**2
    alpha2, sigma2 = Fraction(9, 25), Fraction(16, 25)
    rational = (alpha2 - alpha2 / sigma2) * var + alpha2 * mean**2 + sigma2 - 1
    expected = (float(rational) - math.log(sigma2)) / 2
    actual = CLAIMS["F7"].sides["cost"](0.6, 0.8, float(mean**2), 0.0, float(var), 1, math)
    assert actual == pytest.approx(expected, rel=1e-12) and actual < 0
    assert "golden law" in CLAIMS["F7"].statement


def test_what_is_conditional_is_not_called_proved():
    """C2 and C3 rest on C1's limits and D5 on D1's, which no symbolic check covers."""
    assert not any(CLAIMS[id].whole for id in ("C2", "C3", "D5"))
    for id in ("C2", "C3", "D5"):
        assert any(check.scope.startswith("given ") for check in CLAIMS[id].checks if check.method == "symbolic")


def test_b4_and_b11_do_not_rest_on_b6():
    """B6 is proved from B11, and B11 from B4: neither may cite what it is needed for."""
    assert "B6" not in CLAIMS["B4"].derivation + CLAIMS["B11"].derivation
    assert "B11" in CLAIMS["B6"].derivation and "B4" in CLAIMS["B11"].derivation

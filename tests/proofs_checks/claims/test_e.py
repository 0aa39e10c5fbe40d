"""What the checks of E1 and E2 rest on: derivations, the golden values, and the laws they need to decide."""

import pytest
import sympy
import torch

from proofs_checks.claims.e.e2_grid import _TWO_SCALES, _integrals, _mmse, _optimal
from proofs_checks.instances.laws import GOLDEN
from singtheory import Cosine, RectifiedFlow, formula
from singtheory.formula import symbolic
from singtheory.grid import grids
from singtheory.sampler import DDIM


@pytest.mark.parametrize(("end", "limit"), [(25.0, 2.055), (300.0, 2.764)])
def test_the_golden_law_costs_2055_up_to_25_and_2764_in_all(end, limit):
    assert _integrals(GOLDEN, 0.0, end)[1] ** 2 / 4 == pytest.approx(limit, abs=5e-4)


def test_uniform_t_on_the_cosine_is_dearer():
    """The twin's numbers: four steps from γ = 0 to 25."""
    snr, mmse, schedule = _optimal(GOLDEN, 4, 0.0, 25.0), _mmse(GOLDEN), Cosine()
    uniform = schedule.snr(torch.linspace(1, float(schedule.time_of_snr(25.0)), 5, dtype=torch.float64))
    areas = [float((mmse(of[:-1])[0] * of.diff()).sum()) for of in (snr, uniform)]
    cost = [(area - _integrals(GOLDEN, 0.0, 25.0)[0]) / 2 for area in areas]
    assert cost == pytest.approx([0.685, 2.00], abs=5e-3)


def test_two_scales_have_three_stationary_grids():
    mmse = _mmse(_TWO_SCALES)
    for snr in (actual := grids.stationary(3, 0.0, 1000.0, mmse)):
        level, slope = mmse(snr)
        for k in (1, 2):
            after = formula.next_optimal_snr(snr[k], level[k - 1], level[k], slope[k])
            assert float(after) == pytest.approx(float(snr[k + 1]), rel=1e-9)
    assert len(actual) == 3


def test_the_ratio_of_the_gap_of_a_root_step_is_its_definition():
    """`∫√|mmse′| = ε` to second order, by substitution."""
    epsilon, height, tilt = sympy.symbols("e w c", positive=True)
    gap, _ = symbolic.root_step(epsilon, height, tilt)
    reached = sympy.integrate(sympy.sqrt(height + tilt * epsilon), (epsilon, 0, gap))
    assert [sympy.simplify(c) for c in symbolic.coefficients(reached, epsilon, 2)] == [0, 1, 0]


def test_euler_in_t_is_ddim_on_rectified_flow_alone():
    x_t, x_hat, (t, s) = (
        torch.tensor([[0.8]], dtype=torch.float64),
        torch.tensor([[-0.3]], dtype=torch.float64),
        (0.7, 0.5),
    )

    def off(schedule) -> float:
        alpha, sigma = schedule(t)
        rates = schedule.alpha_dot(t), schedule.sigma_dot(t)
        drift = formula.ode_drift(*rates, x_hat, formula.epsilon_of(x_t, x_hat, alpha, sigma))
        return float(DDIM(schedule).step(lambda x, u: x_hat, x_t, t, s) - x_t - (s - t) * drift)

    assert abs(off(RectifiedFlow())) < 1e-15
    assert abs(off(Cosine())) > 0.01

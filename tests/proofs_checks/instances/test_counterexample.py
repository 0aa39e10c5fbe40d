"""The laws on which a statement fails: that they do, and that each formula is what its law says."""

import math

import pytest
import torch
from scipy.integrate import quad

from proofs_checks.instances import counterexample
from proofs_checks.instances.laws import GOLDEN
from singtheory import Cosine, InputError, RectifiedFlow, ReverseKernel, divergence, limit


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("snr", [1e-2, 1.0, 20.0])
def test_cauchy_trace_by_quadrature(snr):
    """B3."""

    def density(x: float) -> float:
        return math.exp(-snr * x * x / 2) / (1 + x * x)

    second, mass = (2 * quad(lambda x, k=k: x**k * density(x), 0, math.inf)[0] for k in (2, 0))
    assert float(counterexample.cauchy_trace(number(snr))) == pytest.approx(second / mass, rel=1e-7)


def test_no_diameter_bounds_the_trace_of_cauchy_data():
    """B3: the diameter of quantiles grows like 4n/π, and `tr C` passes `D²/4` for each of them."""
    for samples in (2, 10, 100):
        diameter = counterexample.cauchy_diameter(samples)
        assert diameter == pytest.approx(2 * math.tan(math.pi * (0.5 - 0.5 / samples)), rel=1e-9)
        assert float(counterexample.cauchy_trace(number(1 / diameter**4))) > diameter**2 / 4
    assert counterexample.cauchy_diameter(10**6) == pytest.approx(4e6 / math.pi, rel=1e-9)


def test_steep_schedule_has_no_terminal_drift():
    """C3: the drift grows like `(1 − t)^{−1/2}` and the limit is refused."""
    x = number(0.8)[None, None]
    far, near = (float(limit.ode_drift(GOLDEN, counterexample.STEEP, x, 1 - u).norm()) for u in (1e-8, 1e-10))
    assert near / far == pytest.approx(10, rel=1e-3)
    with pytest.raises(InputError, match="infinite"):
        limit.terminal_drift(GOLDEN, counterexample.STEEP, x)


def test_the_kernel_of_smooth_data_is_its_moment_matched_gaussian():
    """D3: KL 0 at every draw on the way, and at s = 0 the same mean and a positive variance."""
    posterior = counterexample.SMOOTH.posterior([0.4], 2.0)
    generator = torch.Generator().manual_seed(0)
    for gap in (0.1, 10.0, 1e4):
        assert float(divergence.kl_moment_draws(posterior, gap, 50, generator).max()) < 1e-15
    step = ReverseKernel(counterexample.SMOOTH, Cosine(), 0.6, 0.0).at([[0.4]])
    matched = step.moment_matched()[0]
    assert float(matched.mean) == pytest.approx(float(step.posterior.mean))
    assert float(matched.cov) == pytest.approx(float(step.posterior.cov)) and float(matched.cov) > 0.1


def test_line_has_no_density_and_a_score_of_order_sigma_minus_two():
    """D4."""
    x = torch.tensor([[0.9, 1.5]], dtype=torch.float64)
    with pytest.raises(InputError, match="no density"):
        counterexample.LINE.log_prob(x)
    far, near = (float(limit.score(counterexample.LINE, RectifiedFlow(), x, t).norm()) for t in (1e-4, 1e-5))
    assert near / far == pytest.approx(100, rel=1e-2)

"""Claims C1 to C9 on data that no claim was tuned on, and the numbers of their false twins."""

import math

import pytest
import torch

from proofs_checks.claims.c import __init__
from proofs_checks.instances.laws import GOLDEN
from singtheory import Atoms, Cosine, Discrete, RectifiedFlow, formula, limit, schedule_named
from tests.proofs_checks.claims.holding import assert_holds

assert __init__
IDS = [f"C{k}" for k in range(1, 10)]
GAMMA = torch.distributions.Gamma(2.0, 1.0)


def skewed_line() -> Atoms:
    torch.manual_seed(0)
    return Atoms(GAMMA.sample((40, 1)).double())


DATA = {
    "one dimension": skewed_line(),
    "one point": Atoms([[0.0, 1.0, 2.0]]),
    "two points, symmetric": Atoms([[-1.0, -2.0], [1.0, 2.0]]),
    "a tiny scale": Atoms(1e-3 * skewed_line().points),
    "duplicates": Atoms([[0.0, 1.0], [0.0, 1.0], [2.0, -1.0], [2.0, -1.0], [0.5, 0.5]]),
    "weights with zeros": Atoms([[0.0, 1.0], [5.0, 1.0], [2.0, -1.0]], [0.3, 0.0, 0.7]),
    "far off the origin": Atoms(100 + skewed_line().points),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("id", IDS)
def test_claim_holds_on_other_data(id, data):
    assert_holds(id, DATA[data], data)


def test_series_meets_the_exact_denoiser_near_the_end():
    """C1: at γ = 1e-12 the two differ by the remainder's bound at most, a millionth of their distance from μ."""
    x = torch.tensor([[0.7], [-2.0]], dtype=torch.float64)
    t = 1 - 2 / math.pi * 1e-6
    series = limit.denoiser_series(GOLDEN, x, Cosine().alpha(t), Cosine().sigma(t))
    direct = limit.denoiser(GOLDEN, Cosine(), x, t)
    bound = limit.denoiser_series_error(GOLDEN, x, Cosine().alpha(t), Cosine().sigma(t))
    assert ((series - direct).norm(dim=1) <= bound + 1e-15).all()
    assert (bound < 1e-5 * (direct - GOLDEN.mean).norm(dim=1)).all()


def test_conditioning_at_the_end():
    """C2."""
    at = limit.conditioning(RectifiedFlow(), 1.0)
    assert at["epsilon"] == math.inf
    assert at["x"] == 1
    assert at["v"] == 1


def test_drift_has_no_limit_where_its_rate_is_infinite():
    """C3: the betas of Stable Diffusion with zero terminal SNR end like (1 − t)^½."""
    schedule = schedule_named("sd-zero-snr")
    assert isinstance(schedule, Discrete)
    with pytest.raises(ValueError, match="no finite limit"):
        limit.terminal_drift(GOLDEN, schedule, torch.zeros(1, 1, dtype=torch.float64))


@pytest.mark.parametrize(("name", "growth"), [("cosine", 1.0), ("power:0.3", 1.0), ("sd-zero-snr", 1.0), ("sd", 0.25)])
def test_sde_growth(name, growth):
    """C4."""
    assert limit.sde_growth(schedule_named(name), 4.0) == growth


def test_gain_against_standard_noise_can_be_negative():
    """C6, the golden value."""
    alpha, sigma = torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    gain = formula.noise_start_gain(alpha, sigma, GOLDEN.mean**2, GOLDEN.cov[0, 0], 1, torch)
    assert float(gain) == pytest.approx(-0.02172957368579)


def test_flow_of_a_gaussian_with_one_flat_direction():
    """C7 with λ = 0: the spread of any start vanishes and its mean arrives."""
    zero = torch.zeros((), dtype=torch.float64)
    assert formula.flow_end_mean(1.5, zero, 0.2, 0.6, 0.8, torch) == 1.5
    assert formula.flow_end_var(zero, 1.0, 0.6, 0.8) == 0

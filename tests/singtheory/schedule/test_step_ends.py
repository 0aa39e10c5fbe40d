"""Ends of steps that float64 does not hold are refused: they would pass for t = 0 and t = 1."""

import math

import pytest
import torch

from singtheory import InputError, Power, RectifiedFlow, schedule_named
from singtheory.schedule import positive_alpha, snr_up_to_zero
from tests.support.strategies import SCHEDULE_NAMES


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_what_float64_holds_is_the_schedules_own(name):
    schedule, times = schedule_named(name), torch.tensor([0.0, 1e-9, 0.3, 0.9], dtype=torch.float64)
    assert torch.equal(snr_up_to_zero(schedule, times), schedule.snr(times))
    assert torch.equal(positive_alpha(schedule, times), schedule.alpha(times))
    assert float(snr_up_to_zero(schedule, 0.0)) == math.inf


def test_a_ratio_above_the_largest_number_is_no_infinity():
    """On rectified flow γ = 1e320 at t = 1e-160, and 1e300 at 1e-150."""
    with pytest.raises(InputError, match="time 1e-160: "):
        snr_up_to_zero(RectifiedFlow(), torch.tensor([0.0, 0.5, 1e-160], dtype=torch.float64))
    assert float(snr_up_to_zero(RectifiedFlow(), 1e-150)) == pytest.approx(1e300, rel=1e-12)


def test_alpha_that_is_zero_or_underflows():
    """On `power:1000` it is 1e-1000 at t = 0.9."""
    for s in (0.9, 1.0, torch.tensor([0.5, 0.9], dtype=torch.float64)):
        with pytest.raises(InputError, match=r"s = (0\.9|1\.0).*nearer to 0"):
            positive_alpha(Power(1000.0), s)

"""Ends of steps that float64 does not hold are refused: they would pass for t = 0 and t = 1."""

import math
import re

import pytest
import torch

from singtheory import Atoms, InputError, Power, RectifiedFlow, ReverseKernel, schedule_named
from singtheory.errors import DomainError
from singtheory.schedule import positive_alpha, snr_of_posterior, snr_up_to_zero
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


def _neighbours(end: float, count: int = 10) -> list[float]:
    """The floats next to an end of [0, 1], nearest first."""
    times = [math.nextafter(end, 0.5)]
    while len(times) < count:
        times.append(math.nextafter(times[-1], 0.5))
    return times


@pytest.mark.parametrize("name", sorted({*SCHEDULE_NAMES, "power:5", "power:20", "power:1e6", "power:1e-6"}))
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_remedy_beside_an_end_is_one(name, end):
    """Within ten floats of an end a posterior is given or refused with a time, and that time is then taken."""
    schedule = schedule_named(name)
    for t in _neighbours(end):
        try:
            snr_of_posterior(schedule, t)
        except DomainError as error:
            where = re.fullmatch(r"time (\S+): .*; take .*at (?:most|least) (\S+)", str(error))
            assert where is not None, str(error)
            assert float(where[1]) == t
            near = float(where[2])
            assert float(snr_of_posterior(schedule, near)) > 0 and abs(near - end) > abs(t - end)
            away = max(0.01 * abs(end - near), 4 * math.ulp(near))
            beyond = float(schedule.snr(near + math.copysign(away, end - near)))
            assert not 1e-80 <= beyond <= 1e80  # so near is the nearest to a part in a hundred, or to a few floats


@pytest.mark.parametrize(("name", "power"), [("power:3", 6), ("power:5", 10)])
def test_a_kernel_beside_the_end_names_a_time_that_helps(name, power):
    """γ = 2^(−53·2p), 1.9e-96 for p = 3, is beyond the domain; 0 at t = 1 and 1e-80 at the time named are in it."""
    schedule, law, late = schedule_named(name), Atoms([[-1.0], [1.0]]), 1 - 2.0**-53
    assert float(schedule.snr(late)) == pytest.approx(2.0 ** (-53 * power), rel=1e-14)
    for refused in (lambda: ReverseKernel(law, schedule, late, 0.5), lambda: ReverseKernel(law, schedule, 1.0, late)):
        with pytest.raises(DomainError, match=r"take 1, where it is 0, or at most 0\.99") as error:
            refused()
    near = float(str(error.value).split()[-1])
    expected = float(ReverseKernel(law, schedule, 1.0, 0.5).at([0.3]).kl())
    assert float(ReverseKernel(law, schedule, near, 0.5).at([0.3]).kl()) == pytest.approx(expected, rel=1e-12)


def test_a_gap_below_the_domain_asks_for_a_longer_step():
    schedule, t = Power(3.0), 1 - 5e-14
    with pytest.raises(DomainError, match="take a longer step"):
        ReverseKernel(Atoms([[-1.0], [1.0]]), schedule, t, t - 2.0**-53)


@pytest.mark.parametrize("name", ["power:0.5", "rectified-flow", "sd-zero-snr"])
def test_what_posteriors_take_is_the_schedules_own(name):
    schedule, times = schedule_named(name), torch.tensor([0.0, 1e-9, 0.3, 0.9, 1.0], dtype=torch.float64)
    assert torch.equal(snr_of_posterior(schedule, times), schedule.snr(times))


def test_a_ratio_that_underflows_is_not_the_end():
    """On `power:20` γ = 2^-2120 beside t = 1, which float64 has as 0."""
    with pytest.raises(DomainError, match="below 1e-80"):
        snr_of_posterior(Power(20.0), 1 - 2.0**-53)
    assert float(snr_of_posterior(Power(20.0), 1.0)) == 0

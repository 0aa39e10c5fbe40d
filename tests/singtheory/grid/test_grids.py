"""Grids: diffusers' own step numbers, and the formulas of the others."""

from functools import partial

import mpmath
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singtheory import Atoms, Cosine, Gaussian, InputError, LinearVP, RectifiedFlow, formula, schedule_named
from singtheory.grid.density import by_density
from singtheory.grid.grids import (
    BETWEEN,
    cosine,
    ended,
    grid_named,
    karras,
    leading,
    linspace,
    optimal,
    root_integral,
    trailing,
    uniform_log_snr,
)
from singtheory.grid.spread_grid import even_angles, nats_grid, w2_grid
from singtheory.mmse.exact import exact_curve
from singtheory.mmse.information import gaussian_mmse, line_mmse
from singtheory.mmse.smooth import Smooth
from singtheory.schedule.schedules import STABLE_DIFFUSION, Discrete
from tests.support.strategies import atoms, examples


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 50, 333])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_the_steps_are_those_of_diffusers(spacing, steps):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler.from_config({**STABLE_DIFFUSION, "timestep_spacing": spacing})
    theirs.set_timesteps(steps)
    ours = grid_named(spacing, schedule_named("sd"), steps)
    assert ((ours[:-1] * 1000).round().long() - 1).tolist() == theirs.timesteps.tolist()


def test_known_starts():
    sd = schedule_named("sd")
    assert round(float(leading(sd, 50)[0]) * 1000) - 1 == 981
    assert round(float(leading(sd, 10)[0]) * 1000) - 1 == 901
    assert round(float(trailing(sd, 50)[0]) * 1000) - 1 == 999


def test_the_end_follows_the_config():
    first_node = Discrete.from_config(STABLE_DIFFUSION)
    at_zero = Discrete.from_config({**STABLE_DIFFUSION, "set_alpha_to_one": True})
    assert float(leading(first_node, 50)[-1]) == 0.001
    assert float(leading(at_zero, 50)[-1]) == 0
    # linspace ends on the first node, from where only t = 0 is left
    assert float(grid_named("linspace", first_node, 50)[-1]) == 0


def test_continuous_grids():
    assert leading(Cosine(), 4).tolist() == pytest.approx([0.75, 0.5625, 0.375, 0.1875, 0])
    assert trailing(Cosine(), 4).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert grid_named("linspace", Cosine(), 4).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_uniform_log_snr_and_karras_are_uniform_in_their_variables():
    schedule = RectifiedFlow()
    log_snr = schedule.snr(uniform_log_snr(schedule, 5, 0.01, 100)).log()
    assert log_snr.diff().tolist() == pytest.approx([float(log_snr[1] - log_snr[0])] * 5)
    noise = schedule.snr(karras(schedule, 5, 0.01, 100)) ** (-0.5 / 7)
    assert noise.diff().tolist() == pytest.approx([float(noise[1] - noise[0])] * 5)
    for grid in (uniform_log_snr, karras):
        limits = schedule.snr(grid(schedule, 3, 0.01, 100))[[0, -1]]
        torch.testing.assert_close(limits, torch.tensor([0.01, 100.0], dtype=torch.float64))


def test_cosine_takes_equal_angles_from_any_start():
    times = cosine(RectifiedFlow(), 6, 0.0, 50.0)
    angles = torch.atan(times / (1 - times))  # arctan(σ/α) of rectified flow
    assert angles.diff().tolist() == pytest.approx([float(angles[1] - angles[0])] * 6)
    assert float(times[0]) == 1 and float(RectifiedFlow().snr(times[-1])) == pytest.approx(50.0)


def test_an_ended_grid_keeps_its_times_and_closes_with_the_end():
    sd = schedule_named("sd")
    times = trailing(sd, 10)
    assert ended(sd, times, float(sd.snr(0.15))).tolist() == pytest.approx([*times[:9].tolist(), 0.15])
    assert times[8:10].tolist() == pytest.approx([0.2, 0.1])
    assert ended(sd, times, float(sd.snr(times[-1]))).tolist() == pytest.approx(times.tolist())
    assert ended(Cosine(), trailing(Cosine(), 4), 1e4).tolist()[:-1] == [1, 0.75, 0.5, 0.25]


GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])
UNIT = partial(gaussian_mmse, Gaussian([0.0], [[1.0]]))


def _area(snr: torch.Tensor, mmse) -> float:
    """`Σ mmse(γ_k)(γ_{k+1} − γ_k)`, the part of the discretisation term that depends on the nodes between the ends."""
    return float((mmse(snr[:-1])[0] * snr.diff()).sum())


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
@pytest.mark.parametrize("limits", [(0.0, 10.0), (0.01, 1e4), (0.0, 1e8)])
def test_optimal_is_geometric_for_gaussian_data(steps, limits):
    """E2; on any schedule that reaches the ends."""
    snr = RectifiedFlow().snr(optimal(RectifiedFlow(), steps, *limits, UNIT))
    low, high, fraction = (
        *torch.tensor(limits, dtype=torch.float64),
        torch.arange(steps + 1, dtype=torch.float64) / steps,
    )
    expected = formula.geometric_snr(1.0, low, high, fraction, torch)
    # γ_1 is known to a rounding of mmse(0) = 1
    torch.testing.assert_close(1 + snr, 1 + expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("eigenvalue", [1e-24, 1e-12, 1.0, 1e12])
@pytest.mark.parametrize("low", [1e-14, 4.7e-3])
def test_the_geometric_grid_keeps_its_digits(eigenvalue, low):
    """As mpmath has it: `1 + λγ` alone has none left of a small `λγ`, and a budget of small data stopped at γ = 0."""
    with mpmath.workdps(60):
        first, last = (1 + mpmath.mpf(eigenvalue) * snr for snr in (low, 1000.0))
        expected = [
            float((first * (last / first) ** (mpmath.mpf(k) / 4) - 1) / mpmath.mpf(eigenvalue)) for k in range(5)
        ]
    limits = (torch.tensor(snr, dtype=torch.float64) for snr in (low, 1000.0))
    actual = formula.geometric_snr(eigenvalue, *limits, torch.arange(5, dtype=torch.float64) / 4, torch)
    assert actual.tolist() == pytest.approx(expected, rel=1e-13)


def test_optimal_grids_are_times_of_the_schedule():
    times = optimal(LinearVP(), 6, 0.01, 100.0, UNIT)
    assert bool((times.diff() < 0).all())
    torch.testing.assert_close(
        LinearVP().snr(times), RectifiedFlow().snr(optimal(RectifiedFlow(), 6, 0.01, 100.0, UNIT))
    )


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_optimal_is_cheaper_than_the_usual_grids(steps):
    mmse, schedule = partial(line_mmse, GOLDEN), RectifiedFlow()
    best = _area(schedule.snr(optimal(schedule, steps, 0.01, 20.0, mmse)), mmse)
    for other in (uniform_log_snr, karras):
        assert best < _area(schedule.snr(other(schedule, steps, 0.01, 20.0)), mmse)


def test_optimal_takes_the_cheapest_of_several_stationary_grids():
    """±0.9 and ±1.1: three grids of three steps satisfy E2, with areas 13.388, 13.506 and 13.122 above a common integral."""
    mmse = partial(line_mmse, Atoms([[-1.1], [-0.9], [0.9], [1.1]]))
    snr = RectifiedFlow().snr(optimal(RectifiedFlow(), 3, 0.0, 1000.0, mmse))
    assert _area(snr, mmse) == pytest.approx(13.122050106, rel=1e-9)


@given(atoms(dims=(1,), least=2), st.floats(-3, 0), st.floats(0.5, 2), st.integers(1, 20))
@settings(deadline=None, max_examples=examples(8))
def test_no_named_grid_is_cheaper_than_the_best(law, low, high, steps):
    """On every law, schedule and number of steps, ends alike; and the best is stationary (E2)."""
    assume(float(law.cov) > 1e-2)
    mmse, schedule, limits = partial(line_mmse, law), RectifiedFlow(), (10**low, 10**high)
    snr = schedule.snr(optimal(schedule, steps, *limits, mmse))
    for other in BETWEEN.values():
        assert _area(snr, mmse) <= _area(schedule.snr(other(schedule, steps, *limits)), mmse) * (1 + 1e-9)
    level, slope = mmse(snr)
    if steps > 1 and float(level[-1]) > 1e-6 * float(level[0]):
        follows = formula.next_optimal_snr(snr[1:-1], level[:-2], level[1:-1], slope[1:-1])
        torch.testing.assert_close(follows, snr[2:], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("steps", [2, 5, 10, 20, 50, 200, 500])
def test_no_named_grid_is_cheaper_where_the_curve_is_nearly_level(steps):
    """As a curve from few draws can be: there E2's steps jump, and what follows from it alone costs a hundred times as much."""
    snr = torch.tensor([0, 0.01, 0.03, 0.09, 0.1, 0.3, 0.45, 0.47, 0.8, 1, 1.5, 2, 10, 1200], dtype=torch.float64)
    fall = [0.3, 0.3, 0.6, 1e-9, 1.0, 1.8, 1e-10, 0.9, 2.3, 1e-10, 1.9, 10.0, 7.0]
    levels = 270 * torch.exp(-torch.tensor([0.0, *fall], dtype=torch.float64).cumsum(0))
    mmse, schedule, limits = Smooth(snr, levels, 270.0), RectifiedFlow(), (0.005, 1175.0)
    best = schedule.snr(optimal(schedule, steps, *limits, mmse))
    assert bool((best.diff() > 0).all())
    least = float(mmse.area(best[[0, -1]]).diff())
    cost = (_area(best, mmse) - least) / 2
    for other in (*BETWEEN.values(), *(partial(_cut, grid) for grid in (leading, trailing))):
        assert cost <= (_area(schedule.snr(other(schedule, steps, *limits)), mmse) - least) / 2
    limit = root_integral(mmse, *limits) ** 2 / 4
    if steps >= 50:
        assert 1 < cost * steps / limit < 1.2
    level, slope = mmse(best)
    pull = level[:-2] - level[1:-1] + slope[1:-1] * (best[2:] - best[1:-1])  # E2: what moving γ_k changes
    assert bool((pull.abs() < 2e-2 * level[:-2]).all())


def _cut(grid, schedule, steps: int, snr_start: float, snr_end: float) -> torch.Tensor:
    """A grid spaced in time between the same ends, with as many steps or fewer."""
    times = grid(schedule, steps)
    inside = times[(schedule.snr(times) > snr_start) & (schedule.snr(times) < snr_end)]
    first, last = schedule.time_of_snr(torch.tensor([snr_start, snr_end], dtype=torch.float64)).split(1)
    return torch.cat([first, inside[1 - steps :], last])


@pytest.mark.parametrize(("law", "mmse"), [("golden", partial(line_mmse, GOLDEN)), ("Gaussian", UNIT)])
def test_many_steps_cost_the_limit(law, mmse):
    """`N · cost → R²/4`, and what is left after the second order falls like 1/N² (E2)."""
    schedule, (low, high) = RectifiedFlow(), (0.0, 10.0)
    smooth = Smooth.through(mmse, high, 1.0, 513)
    area = float(smooth.area(torch.tensor([high], dtype=torch.float64)))
    slopes = mmse(torch.tensor([low, high], dtype=torch.float64))[1]
    left = []
    for steps in (10, 40, 160):
        snr = schedule.snr(optimal(schedule, steps, low, high, smooth))
        cost = (_area(snr, smooth) - area) / 2
        expected = formula.optimal_cost(root_integral(smooth, low, high), slopes[0] / slopes[1], steps, torch)
        left.append(abs(cost / float(expected) - 1))
    assert left[0] < 0.06 and left[1] < left[0] / 10 and left[2] < left[1] / 10, (law, left)


def test_the_root_integral_of_gaussian_data_is_a_logarithm():
    """`√|mmse′| = λ/(1 + γλ)` for one eigenvalue."""
    mmse = partial(gaussian_mmse, Gaussian([0.0], [[2.5]]))
    expected = torch.log(torch.tensor((1 + 2.5 * 300.0) / (1 + 2.5 * 0.1), dtype=torch.float64))
    assert root_integral(mmse, 0.1, 300.0) == pytest.approx(float(expected), rel=1e-12)


def test_the_slope_of_the_mmse_is_its_derivative():
    snr = torch.tensor([0.0, 0.3, 5.0], dtype=torch.float64)
    for mmse in (UNIT, partial(line_mmse, GOLDEN)):
        slopes = (mmse(snr + 2e-5)[0] - mmse(snr)[0]) / 2e-5
        torch.testing.assert_close(slopes, mmse(snr + 1e-5)[1], rtol=1e-8, atol=1e-10)
    assert float(line_mmse(GOLDEN, snr)[0][0]) == pytest.approx(float(GOLDEN.cov))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: leading(Cosine(), 0), "steps 0: need from 1 to 100000"),
        (lambda: leading(schedule_named("sd"), 1000), "steps 1000: .*steps_offset 1 .*last is 999; take at most 999"),
        (lambda: leading(schedule_named("sd"), 1001), "steps 1001: .* has 1000 steps; take at most 1000"),
        (lambda: trailing(schedule_named("sd"), 1001), "steps 1001: .* has 1000 steps; take at most 1000"),
        (lambda: linspace(schedule_named("sd"), 1001), "steps 1001: .* has 1000 steps; take at most 1000"),
        (lambda: trailing(Cosine(), 10**20), "steps 1" + 20 * "0" + ": need from 1 to 100000"),
        (lambda: linspace(schedule_named("sd"), -(10**20)), "need from 1 to 100000"),
        (lambda: leading(Discrete.from_config({**STABLE_DIFFUSION, "steps_offset": 999}), 3), "take at most 1 steps"),
        (lambda: grid_named("tailing", Cosine(), 5), "trailing"),
        (lambda: karras(Cosine(), 5, 1.0, 0.5), "start < end"),
        (lambda: uniform_log_snr(Cosine(), 5, 0.0, 1.0), "start < end"),
        (lambda: cosine(Cosine(), 5, -1.0, 0.5), "start < end"),
        (lambda: cosine(Cosine(), 5, float("nan"), 0.5), "start < end"),
        (lambda: cosine(Cosine(), 0, 0.1, 0.5), "need from 1 to"),
        (lambda: ended(Cosine(), trailing(Cosine(), 4), float("inf")), "must end where σ > 0"),
        (lambda: ended(Cosine(), trailing(Cosine(), 4), float("nan")), "must end where σ > 0"),
        (lambda: ended(Cosine(), leading(Cosine(), 4), 0.01), "starts beyond"),
        (lambda: optimal(Cosine(), 0, 0.0, 1.0, UNIT), "need from 1 to"),
        (lambda: optimal(Cosine(), 5, 2.0, 1.0, UNIT), "start < end"),
        (lambda: optimal(Cosine(), 5, 0.0, float("inf"), UNIT), "start < end"),
        (lambda: optimal(Cosine(), 5, 0.0, 1.0, lambda g: (g, 1 + g)), "must decrease"),
        (lambda: optimal(LinearVP(), 5, 0.0, 1.0, UNIT), "below the schedule"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("scale", [1e-12, 1e-30])
def test_where_the_mmse_is_level_the_best_grid_follows_its_slope(scale):
    """Data of that size are hardly seen: mmse falls by less than its rounding, at a constant rate, so that equal steps of γ cost least."""
    curve = exact_curve(Gaussian([0.0], [[scale**2]]))
    snr = RectifiedFlow().snr(optimal(RectifiedFlow(), 8, 0.5, 100.5, curve))
    torch.testing.assert_close(snr.diff(), torch.full((8,), 12.5, dtype=torch.float64), rtol=1e-9, atol=0)
    two = exact_curve(Atoms([[-scale], [scale]]))
    snr = RectifiedFlow().snr(optimal(RectifiedFlow(), 4, 0.5, 100.5, two))
    torch.testing.assert_close(snr.diff(), torch.full((4,), 25.0, dtype=torch.float64), rtol=1e-9, atol=0)


def test_a_curve_that_does_not_fall_is_refused_with_a_remedy():
    with pytest.raises(InputError, match="take ends between which it does"):
        optimal(RectifiedFlow(), 4, 0.5, 2.0, lambda snr: (torch.ones_like(snr), torch.zeros_like(snr)))


STEEP = ["sd-zero-snr", "power:0.5", "cosine", "rectified-flow", "power:3"]
"""Schedules that end at γ = 0, along which it rises steeply from there."""


@pytest.mark.parametrize("name", STEEP)
@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 1e-20), (1e-40, 1e-30), (1e-30, 1.0), (0.0, 1e-12), (0.0, 4.0), (1e60, 1e70)]
)
def test_times_are_distinct_or_refused_in_one_line(name, start, end):
    """Where float64 has no time between two signal-to-noise ratios a grid repeated one in silence."""
    schedule, lam = schedule_named(name), torch.tensor([1.0, 0.25], dtype=torch.float64)
    snr, ones = torch.linspace(start, end, 7, dtype=torch.float64), torch.ones(7, dtype=torch.float64)
    made = [
        *(partial(of, schedule, 6, start, end) for of in BETWEEN.values()),
        lambda: optimal(schedule, 6, start, end, partial(gaussian_mmse, Gaussian([0.0, 0.0], lam.diag()))),
        lambda: by_density(schedule, 6, snr, ones),
        lambda: even_angles(schedule, 6, start, end, 1.0),
        lambda: w2_grid(schedule, 6, start, end, lam),
        lambda: nats_grid(schedule, 6, start, end, lam),
    ]
    for make in made:
        try:
            times = make()
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert len(times) == 7 and bool((times.diff() < 0).all())


@pytest.mark.parametrize("name", ["sd-zero-snr", "power:0.5"])
def test_the_line_names_the_time_that_repeats(name):
    """At t = 1 − 2⁻⁵³ γ is already 2e-15 and 1e-16, so that nothing lies between there and 1e-20."""
    with pytest.raises(InputError, match=r"steps 3: .* both at t = 0\.9999999999999999, .* fewer steps"):
        uniform_log_snr(schedule_named(name), 3, 1e-40, 1e-30)
    assert uniform_log_snr(schedule_named(name), 3, 1e-12, 1.0).diff().max() < 0


def test_a_grid_that_is_ended_where_it_is_has_no_time_twice():
    schedule, late = schedule_named("sd-zero-snr"), 1 - 2.0**-53
    times = torch.tensor([1.0, late], dtype=torch.float64)
    assert ended(schedule, times, 2 * float(schedule.snr(late))).diff().max() < 0


@pytest.mark.parametrize("share", [0.4, 0.8, 1.2, 1.6])
def test_a_grid_that_ends_within_a_unit_of_its_time_has_no_time_twice(share):
    """Beside t = 1 γ is a multiple of that of the float before: an end between two floats is at the time of one of them."""
    schedule, late = schedule_named("sd-zero-snr"), torch.tensor([1.0, 1 - 2.0**-53], dtype=torch.float64)
    assert ended(schedule, late, (1 + share) * float(schedule.snr(late[1]))).diff().max() < 0

"""The grids that keep the most: closed forms, rivals, limits and bad input."""

import math

import pytest
import torch

from singtheory import Cosine, InputError, RectifiedFlow
from singtheory.grid import spread_grid
from singtheory.grid.spread_grid import even_angles, least_loss, nats_grid, w2_grid
from singtheory.response import spread_kept

SPECTRUM = [900.0, 100.0, 10.0, 1.0, 0.1, 0.01]


@pytest.mark.parametrize("schedule", [RectifiedFlow(), Cosine()])
@pytest.mark.parametrize("lam", [0.01, 1.0, 900.0])
def test_even_angles_keep_what_the_closed_form_says(schedule, lam):
    times = even_angles(schedule, 10, 0.0, math.inf, lam)
    assert (float(times[0]), float(times[-1])) == (1.0, 0.0)
    assert float(spread_kept(schedule, times, [lam])) == pytest.approx(math.cos(math.pi / 20) ** 10, rel=1e-9)


def cost(times: torch.Tensor, nats: bool) -> float:
    kept = spread_kept(RectifiedFlow(), times, SPECTRUM)
    return float(-kept.log().sum()) if nats else float((torch.tensor(SPECTRUM).double() * (1 - kept) ** 2).sum())


@pytest.mark.parametrize(("grid", "nats"), [(nats_grid, True), (w2_grid, False)])
def test_no_small_change_makes_it_cheaper_for_many_steps(grid, nats):
    times = grid(RectifiedFlow(), 64, 0.0, math.inf, SPECTRUM)
    best, bend = cost(times, nats), torch.sin(torch.linspace(0, math.pi, 65, dtype=torch.float64))
    for k in (1, 2, 3):
        for sign in (-1, 1):  # moves nodes along the grid, ends fixed
            index = torch.linspace(0, 64, 65, dtype=torch.float64) + sign * 3 * bend**k
            low = index.floor().clamp(0, 63).long()
            moved = torch.lerp(times[low], times[low + 1], index - low)
            assert cost(moved, nats) > best


def test_each_is_best_by_its_own_measure():
    grids = [f(RectifiedFlow(), 12, 0.0, math.inf, SPECTRUM) for f in (nats_grid, w2_grid)]
    assert cost(grids[0], nats=True) < cost(grids[1], nats=True)
    assert cost(grids[1], nats=False) < cost(grids[0], nats=False)


def test_the_cost_tends_to_its_limit():
    limit = least_loss(0.0, math.inf, SPECTRUM, [1.0] * 6)
    off = [n * cost(nats_grid(RectifiedFlow(), n, 0.0, math.inf, SPECTRUM), nats=True) - limit for n in (32, 64)]
    assert 0 < off[1] < off[0] / 3.5


def test_one_eigenvalue_is_the_even_grid():
    one, many = even_angles(Cosine(), 9, 1e-3, 50.0, 4.0), nats_grid(Cosine(), 9, 1e-3, 50.0, [4.0])
    torch.testing.assert_close(one, many, rtol=1e-6, atol=1e-9)


def test_eigenvalues_at_both_ends_of_the_domain():
    """Two far apart turn one after the other, so that R = π; of more than 64 powers of ten between them the answer was 2e8."""
    assert least_loss(0.0, math.inf, [1e-20, 1e20], [1.0, 1.0]) == pytest.approx(math.pi**2 / 2, rel=1e-5)
    for grid in (nats_grid, w2_grid):
        with pytest.raises(InputError, match="eigenvalues from 1e-60 to 1e\\+60"):
            grid(RectifiedFlow(), 3, 0.0, math.inf, [1e-60, 1e60])


@pytest.mark.parametrize("odd", [1e12, 1e-12])
def test_an_eigenvalue_far_from_all_others_is_resolved(odd):
    """It alone counts and turns by π/2, so that `½R² = π²/8`; all others lie on one side of it."""
    weights = [1.0] + [0.0] * 9
    assert least_loss(0.0, math.inf, [odd] + [1.0] * 9, weights) == pytest.approx(math.pi**2 / 8, rel=1e-5)


def test_more_steps_than_any_grid_has_are_refused_before_memory_is_asked_for():
    for grid in (nats_grid, w2_grid):
        with pytest.raises(InputError, match="steps 1000000000: need from 1 to"):
            grid(RectifiedFlow(), 10**9, 0.0, 1.0, [1.0])
    with pytest.raises(InputError, match="steps 1000000000: need from 1 to"):
        even_angles(Cosine(), 10**9, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("steps", "start", "end", "lam"),
    [
        (0, 0.0, 1.0, [1.0]),
        (3, 2.0, 1.0, [1.0]),
        (3, -1.0, 1.0, [1.0]),
        (3, 0.0, 1.0, [0.0]),
        (3, math.nan, 1.0, [1.0]),
    ],
)
@pytest.mark.parametrize("grid", [nats_grid, w2_grid])
def test_bad_input(grid, steps, start, end, lam):
    with pytest.raises(InputError):
        grid(RectifiedFlow(), steps, start, end, lam)


@pytest.mark.parametrize("eigenvalues", [[1.0], [900.0, 0.01], [1e-12, 3.0, 7e11], [0.3, 0.7, 1.9]])
@pytest.mark.parametrize(("start", "end"), [(0.0, math.inf), (1e-3, 1e4), (0.37, 0.38), (0.0, 17.0)])
def test_no_place_lies_beyond_the_ends(eigenvalues, start, end):
    """Places are turned from the angles of other eigenvalues, which rounds them past the ends: γ would be beyond them, or negative."""
    path = spread_grid._Path(torch.tensor(eigenvalues, dtype=torch.float64), start, end)
    first, last = (spread_grid._angle(snr, path.centre) for snr in (start, end))
    assert float(path.place[0]) == pytest.approx(first, abs=1e-15) and float(path.place[-1]) == pytest.approx(last)
    assert bool(((path.place >= first) & (path.place <= last)).all())
    assert bool((path.place.diff() > 0).all())

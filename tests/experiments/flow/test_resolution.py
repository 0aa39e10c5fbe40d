"""The flow at 64×64: its network, and what the page says of it."""

import dataclasses
import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import pixel_unshuffle

from docs.experiments.flow import resolution
from docs.experiments.flow.page import resolution as resolution_page
from docs.experiments.flow.page.results import Change, Results, border
from docs.experiments.flow.resolution import Halved, Patches
from docs.experiments.flow.solvers import shifted_grid
from singtheory import formula


@pytest.fixture(scope="module")
def large():
    return resolution_page.read()


@pytest.fixture(scope="module")
def small():
    return Results.read()


def test_a_network_of_patches_sees_each_pixel_in_its_place():
    """The places of its U-Net hold 2×2 pixels of each colour, and what it gives is laid out as pictures are."""
    seen = []

    def unet(x, t, states):
        seen.append(x)
        return SimpleNamespace(sample=x * t)

    network = Patches(torch.nn.Identity())
    network.unet.forward = unet
    x = torch.randn(2, 3, 8, 6)
    assert torch.equal(network(x, 2.0, None).sample, 2 * x)
    assert torch.equal(seen[0], pixel_unshuffle(x, 2)) and seen[0].shape == (2, 12, 4, 3)


def test_halved_pictures_are_means_of_four_pixels():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert Halved(torch.nn.Identity())(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_what_was_expected_is_f6_of_the_eigenvalues_at_half_the_side(large, small):
    """Each step keeps the cosine of its angle at λ four times as large; the products here are made by hand."""
    lam = 4 * small.content["prediction"]["eigenvalues"][0]
    for row in large.content["expected"]:
        grid, kept = shifted_grid(row["steps"], row["shift"]), 1.0
        for t, s in pairwise(grid):
            kept *= ((1 - s) * lam * (1 - t) + s * t) / (
                ((1 - s) ** 2 * lam + s**2) * ((1 - t) ** 2 * lam + t**2)
            ) ** 0.5
        assert row["kept"][0] == pytest.approx(kept, rel=1e-4)
    assert len(large.content["expected"]) == len(resolution.STEPS) * len(resolution.SHIFTS)


def test_twice_the_shift_at_twice_the_side_is_the_same_step(small):
    """F6 in the law itself, which the table's last columns rest on."""
    lam = small.content["prediction"]["eigenvalues"][0]
    for t in (0.2, 0.5, 0.9):
        angles = [
            formula.spread_angle(1 - s, s, scale * lam, math)
            for s, scale in ((formula.shifted_time(t, 3.0), 1), (formula.shifted_time(t, 6.0), 4))
        ]
        assert float(angles[0]) == pytest.approx(float(angles[1]), rel=1e-6)


def change(budget, before, after, half):
    return Change("mine", "plain", 1.0, budget, "64 components", before, after, half)


def test_the_border_is_where_the_first_gain_is_within_its_interval():
    rows = [change(10, 5.0, 4.9, 1.0), change(4, 9.0, 4.0, 1.0), change(6, 7.0, 4.0, 1.0), change(20, 5.0, 1.0, 1.0)]
    assert border(rows) == 6
    assert border([change(4, 4.0, 9.0, 1.0)]) == 0


def test_the_page_tells_the_cells(large, small):
    second = resolution_page.read_second()
    text = resolution_page.section(large, small, second)
    assert f"({second.content['seed']})" in text and second.content["seed"] != large.content["seed"]
    cell = large.cells["UniPC", 1.0, 4]
    assert f"| 4, UniPC | {cell['64 components']:.1f} | {cell['the classifier']:.1f} |" in text
    assert all(0.5 < ratio < 2 for ratio in resolution_page.halves(large, small))
    assert resolution_page.predicted_border(small, 6) > 6


def test_the_target_follows_from_the_cells(large, small):
    one = resolution_page.border_of(large, small)
    assert one.drawn == large.budgets(1.0) and one.said == resolution_page.predicted_border(small, one.before)
    second = resolution_page.read_second()
    other = resolution_page.border_of(second, small)
    target = resolution_page.target(large, small, second)
    assert (
        target.met == (one.agrees and other.agrees) and f"another seed of samples up to {other.now}," in target.outcome
    )
    nowhere = dataclasses.replace(second, z=1e3)
    assert resolution_page.border_of(nowhere, small).now == 0 and not resolution_page.target(large, small, nowhere).met
    drawn = [4, 6, 10, 20]
    agree = {now: resolution_page.Border(6, 11, now, drawn).agrees for now in (6, 10, 20)}
    assert agree == {6: False, 10: True, 20: False}

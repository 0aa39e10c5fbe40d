"""Every scheduler of diffusers, spacing and prediction: what is kept is a number, in bounds or listed, as committed, and the same twice."""

import json
import math

import pytest

from tests.singdiffusion.scheduler import response_matrix
from tests.singdiffusion.scheduler.matrix import names
from tests.singdiffusion.start.test_initial_matrix import MEANT_FOR_STABLE_DIFFUSION

RECORDED = json.loads(response_matrix.RESULT.read_text(encoding="utf-8"))
ADDING = {
    "HeunDiscreteScheduler": "Heun's rule grows what is small at few steps: its second stage overshoots the last, widest angle",
    "KDPM2DiscreteScheduler": "the midpoint rule, likewise",
    "KDPM2AncestralDiscreteScheduler": "the midpoint rule with fresh noise, likewise",
}
"""What keeps more than 1.2 along texture, and why."""


def test_every_response_is_a_number_in_bounds_or_its_scheduler_is_listed():
    results = list(response_matrix.runs(RECORDED))
    assert len(results) > 150
    for name, words, kept in results:
        for direction in response_matrix.EIGENVALUES:
            value = kept[direction]
            assert math.isfinite(value) and value >= 0, (name, words)
            assert value <= response_matrix.MOST or (name in ADDING and direction == "texture"), (name, words, value)
    assert response_matrix.beyond(RECORDED) == set(ADDING)


def test_every_scheduler_for_stable_diffusion_has_a_response():
    answered = {name for name, _, _ in response_matrix.runs(RECORDED)}
    assert answered >= MEANT_FOR_STABLE_DIFFUSION
    assert set(RECORDED["schedulers"]) == set(names())


def test_what_has_none_says_why_in_one_line():
    for configured in RECORDED["schedulers"].values():
        for kept in configured.values():
            assert "\n" not in kept.get("refused", "") and kept.get("refused", "-")


FAST = ["DDIMScheduler", "EulerAncestralDiscreteScheduler", "FlowMatchEulerDiscreteScheduler", "HeunDiscreteScheduler"]


def again(name):
    first, second = (response_matrix.measured(name) for _ in range(2))
    assert first == second
    recorded = RECORDED["schedulers"][name]
    assert set(first) == set(recorded)
    for words, kept in first.items():
        if "refused" in kept:
            assert "refused" in recorded[words]
        else:
            assert kept == pytest.approx(recorded[words], rel=1e-4)  # schedulers step in float32


@pytest.mark.parametrize("name", FAST)
def test_two_runs_are_equal_and_as_committed(name):
    again(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if name not in FAST])
def test_all_runs_are_equal_and_as_committed(name):
    again(name)


def test_the_matrix_sees_what_is_beyond():
    """A scheduler that doubles its steps is found."""
    kept = {"texture": 2.0, "middle": 1.0, "brightness": 1.0}
    actual = {"schedulers": {"One": {"leading": kept}, "Two": {"": {"refused": "no"}}}}
    assert response_matrix.beyond(actual) == {"One"}
    assert response_matrix.worst(actual, "texture") == [("One", "leading", 2.0)]

"""Every flow scheduler of diffusers, with its shifts and sigma rules: none gives a wrong first step (`python -m tests.singdiffusion.scheduler.flow_matrix` counts)."""

import json

import pytest
from hypothesis import settings

from singdiffusion.start import flow, flow_pipeline
from tests.singdiffusion.scheduler import flow_matrix

RECORDED = json.loads(flow_matrix.RESULT.read_text(encoding="utf-8"))
FULL = settings.get_current_profile_name() == "full"


@pytest.mark.parametrize("name", flow_matrix.names())
def test_no_first_step_is_wrong(name):
    steps, every = (flow_matrix.STEPS, 1) if FULL else ((4,), 8)
    actual = flow_matrix.tally(name, steps, every)
    assert actual.wrong == []
    assert actual.right > 0
    assert not actual.refused
    if FULL:
        assert actual.right == RECORDED["schedulers"][name]["right"]


def test_the_record_has_none_wrong_and_every_scheduler():
    assert RECORDED["wrong"] == 0
    assert set(RECORDED["schedulers"]) == set(flow_matrix.names())
    assert RECORDED["right"] == sum(one["right"] for one in RECORDED["schedulers"].values())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda *a: a[0],
        lambda plain, x_1, output, first, mean, spread: flow.mended(plain, x_1, -output, first, mean, spread),
        lambda plain, x_1, output, first, mean, spread: flow.mended(
            plain, x_1, output, first._replace(kept_std=first.sigma_s / 2), mean, spread
        ),
    ],
    ids=["as it was", "the velocity of the wrong sign", "too little kept"],
)
def test_the_matrix_sees_a_wrong_step(wrong, monkeypatch):
    monkeypatch.setattr(flow_pipeline, "mended", wrong)
    assert len(flow_matrix.tally("FlowMatchHeunDiscreteScheduler", (4,), 4).wrong) > 0

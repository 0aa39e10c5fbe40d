"""The mended first step of a flow in its pipeline, at a tiny size; `flow_step.py` measures the real one on a GPU."""

import pytest
import torch

from singdiffusion.start.pipeline import SingDiffusion
from tests.benchmarks.start import flow_step

TINY = flow_step.SD3_MEDIUM | {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 2,
    "attention_head_dim": 8,
    "num_attention_heads": 4,
    "joint_attention_dim": 32,
    "caption_projection_dim": 32,
    "pooled_projection_dim": 16,
}


@pytest.fixture(scope="module")
def pipe():
    with torch.no_grad():
        return flow_step.pipeline(TINY, "cpu", torch.float32, tokens=7)


@pytest.fixture(scope="module")
def spread():
    return flow_step.spread_of(TINY, "cpu", rank=3)


def test_the_first_step_is_the_formula_and_detaching_gives_the_plain_pipeline_back(pipe, spread):
    actual = flow_step.rightness(pipe, spread, flow_step.table_of(TINY, "cpu", rank=3), "cpu")
    assert actual.pop("the same bits once detached")
    assert max(actual.values()) < 1e-6


def test_a_plain_step_is_not_the_formula(pipe, spread):
    assert flow_step.error(flow_step.called(pipe, "cpu")[1], pipe, None, spread) > 0.1


def test_costs_are_of_every_call_around_the_network(pipe, spread):
    actual = flow_step.costs(pipe, {"plain": None, "network": SingDiffusion(spread=spread)}, "cpu", repeats=1)
    assert actual["one guided step"] > 0
    assert set(actual["network"]) >= {*flow_step.WATCHED, "added", "of a guided step"}

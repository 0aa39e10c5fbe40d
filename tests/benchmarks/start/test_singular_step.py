"""The singular step beside one ordinary guided step, at a tiny size; `singular_step.py` measures the real one on a GPU."""

import pytest
import torch

from tests.benchmarks.start import singular_step

TINY = singular_step.SD_15 | {"sample_size": 8, "block_out_channels": (32, 32, 32, 32), "cross_attention_dim": 16}
TINY_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 100,
}
WAYS = singular_step.ways(TINY, TINY_TEXT, "cpu", torch.float32)


@pytest.mark.parametrize("name", WAYS)
def test_way(benchmark, name):
    with torch.no_grad():
        assert bool(benchmark(WAYS[name]).isfinite().all())

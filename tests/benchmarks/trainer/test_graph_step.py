"""Recorded training at a tiny size, on the CPU with a twin of the recording; `graph_step.py` measures the real one on a GPU."""

import json

from singtheory.system.files import write_json
from tests.benchmarks.trainer import graph_step
from tests.benchmarks.trainer.test_equal_loss import SIZES, pictures
from tests.singdiffusion.training.test_passes import by_twin

REAL = graph_step.trainer
AMOUNTS = graph_step.Amounts(batches=(4, 8), block=2, blocks=3)

__all__ = ["pictures"]


def twin_trainer(chosen, cache):
    one = REAL(chosen, cache)
    return by_twin(one) if chosen.graph else one


def small(monkeypatch):
    monkeypatch.setattr(graph_step, "DECODER", {"width": 32, "layers": 1, "frequencies": 2, "lr": 1e-3})


def test_both_runs_have_the_same_losses(pictures, tmp_path, monkeypatch):
    small(monkeypatch)
    monkeypatch.setattr(graph_step, "trainer", twin_trainer)
    actual = graph_step.measure(
        str(pictures), tmp_path, SIZES, AMOUNTS, lambda part: write_json(tmp_path / "part.json", part)
    )
    assert json.loads((tmp_path / "part.json").read_text()).keys() == actual.keys()
    for batch in AMOUNTS.batches:
        one = actual[f"batch {batch}"]
        assert one["recorded"] and one["steps"] == 9
        assert len(set(one["final loss"].values())) == 1
        assert one["largest difference of a loss in the first 20 steps"] == 0
        assert one["times as many"] > 0


def test_without_a_gpu_the_result_says_that_nothing_was_recorded(pictures, tmp_path, monkeypatch):
    small(monkeypatch)
    cache = graph_step.opened(str(pictures), tmp_path / "cache", SIZES)
    actual = graph_step.compare(cache, tmp_path, SIZES, graph_step.Amounts((8,), 1, 2))
    assert not actual["recorded"]

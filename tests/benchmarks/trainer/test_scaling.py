"""Two processes beside one at a tiny size, on the CPU with gloo; `scaling.py` measures the real ones on two GPUs."""

import sys

import pytest
import torch

from tests.benchmarks.start.test_singular_step import TINY
from tests.benchmarks.trainer import scaling

SIZES = scaling.Sizes(
    small=scaling.SMALL | {"sample_size": 8},
    small_batch=8,
    small_steps=6,
    unet=TINY,
    tokens=(5, 16),
    batch=2,
    steps=2,
    precision="no",
    device="cpu",
)


def test_two_processes_are_one_with_the_doubled_batch(tmp_path):
    actual = scaling.measure(SIZES, tmp_path)
    distances = actual["distance of all weights after 6 steps"]
    assert set(distances) == {"decoder", "unet"} and min(distances.values()) > 0 and max(distances.values()) < 1e-5
    rates = actual["examples a second by processes"]
    assert actual["scaling efficiency"] == pytest.approx(rates["2"]["training"] / (2 * rates["1"]["training"]))
    assert scaling.distance(tmp_path / "1" / "unet", tmp_path / "1" / "unet") == 0


def test_too_few_gpus_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scaling", "--out", str(tmp_path / "out.json")])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SystemExit, match="2"):
        scaling.main()
    assert "1 GPUs here, needs 2" in capsys.readouterr().err.splitlines()[-1]

"""The rates of cache and trainer at a tiny size; `training.py` measures the real ones on a GPU."""

import torch

from tests.benchmarks.start.test_singular_step import TINY, TINY_TEXT
from tests.benchmarks.trainer import training

SIZES = training.Sizes(
    unet=TINY,
    text=TINY_TEXT,
    vae=training.VAE | {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1},
    pictures=16,
    resolution=64,
    batch=4,
    decoder_batch=8,
    steps=2,
    precision="no",
    device="cpu",
)


def test_all_rates(tmp_path):
    actual = training.measure(SIZES, tmp_path)
    rates = torch.tensor([value for part in actual.values() for value in part.values()])
    assert bool(torch.isfinite(rates).all()) and float(rates.min()) > 0

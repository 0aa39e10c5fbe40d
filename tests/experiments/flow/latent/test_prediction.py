"""The law's brightness in latents: shares of components, and what is expected before anything is drawn."""

import math
from itertools import pairwise

import pytest
import torch

from docs.experiments.flow import predict
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.latent import prediction
from docs.experiments.flow.solvers import shifted_grid


def test_the_shift_of_a_dimension_is_that_of_f6():
    assert [prediction.root_shift(d) for d in (192, 3072, 12288, 4096)] == [1.0, 4.0, 8.0, 4.6]


def test_brightness_along_one_component_is_that_component():
    points = torch.randn(500, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1.0, 2.0, 0.5]).reshape(1, 1, 2, 2)  # fmt: skip
    moments = Moments.of_points(points, "cpu")
    along = (points - moments.mean).flatten(1) @ moments.basis.mT
    share = prediction.shares(points, 5 * along[:, 1] + 7, moments)
    assert share.tolist() == pytest.approx([0, 1, 0, 0], abs=1e-5)
    mixed = prediction.shares(points, along[:, 0] + along[:, 2], moments)
    assert float(mixed.sum()) == pytest.approx(1, abs=1e-4)
    assert float(mixed[0] / mixed[2]) == pytest.approx(float(moments.var[0] / moments.var[2]), rel=1e-3)


def test_kept_brightness_is_a_mean_square():
    kept, share = torch.tensor([0.5, 1.0], dtype=torch.float64), torch.tensor([0.6, 0.2, 0.1])
    assert predict.brightness_kept(kept, share) == pytest.approx(math.sqrt((0.6 * 0.25 + 0.2) / 0.8))


def test_what_is_expected_is_the_product_of_cosines():
    lam, share = torch.tensor([800.0, 20.0]), torch.tensor([1.0, 0.0])
    rows = prediction.expected(lam, share, 4096)
    assert len(rows) == len(prediction.STEPS) * 3
    for row in rows:
        kept = 1.0
        for t, s in pairwise(shifted_grid(row["steps"], row["shift"])):
            kept *= ((1 - s) * 800 * (1 - t) + s * t) / (
                ((1 - s) ** 2 * 800 + s**2) * ((1 - t) ** 2 * 800 + t**2)
            ) ** 0.5
        assert row["brightness"] == pytest.approx(kept, rel=1e-4, abs=1e-5)
        assert row["kept"][0] == row["brightness"]

"""A network that is a Gaussian law's denoiser keeps what the cosine law says, and another's error is seen in its slopes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from docs.experiments.flow import predict
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.model import TRAIN_STEPS
from docs.experiments.flow.solvers import shifted_grid
from singtheory.response import spread_kept
from singtheory.schedule import RectifiedFlow

LAM = torch.tensor([9.0, 1.0, 0.04], dtype=torch.float64)


class Linear:
    """A network whose x̂ is linear along each coordinate; `factor` times the Gaussian slope."""

    batch = 1000

    def __init__(self, factor):
        self.factor = factor

    def encode(self, prompts):
        return torch.zeros(len(prompts), 1)

    def predict(self, x, t, states):
        t = t / TRAIN_STEPS
        slope = self.factor * (1 - t) * LAM / ((1 - t) ** 2 * LAM + t**2)
        return (x - (x.flatten(1) * slope.float()).reshape(x.shape)) / t


def flows_of(factor) -> Any:
    moments = Moments(torch.zeros(3, 1, 1), torch.eye(3), LAM, torch.ones(3))
    return SimpleNamespace(drawer=Linear(factor), moments=moments)


@pytest.mark.parametrize("steps", [4, 9])
def test_the_slopes_of_a_gaussian_law_are_the_cosine_law(steps):
    points = torch.randn(2500, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * LAM.sqrt().float()[:, None, None]
    one = predict.slopes(flows_of(1.0), points, 0, steps, 3.0, LAM)
    law = spread_kept(RectifiedFlow(), shifted_grid(steps, 3.0), LAM)
    assert one["kept"] == pytest.approx(law.tolist(), rel=1e-3)
    assert len(one["slopes"]) == steps == len(one["times"]) and one["slopes"][0] == pytest.approx([0.0] * 3, abs=1e-5)


def test_slopes_that_are_too_flat_keep_less():
    points = torch.randn(2500, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * LAM.sqrt().float()[:, None, None]
    flat, right = (predict.slopes(flows_of(factor), points, 0, 6, 3.0, LAM)["kept"] for factor in (0.8, 1.0))
    assert all(a < 0.9 * b for a, b in zip(flat, right, strict=True))

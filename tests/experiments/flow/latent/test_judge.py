"""Principal components of pictures too large for a covariance, and the distance that leaves the autoencoder's own out."""

import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.latent.judge import RECONSTRUCTED, DecodedJudge, principal
from docs.experiments.flow.metrics import of_small_pictures


def data(n=40, side=8):
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(256, (n, 3, 2, 2), generator=generator, dtype=torch.uint8)
    return Captioned.of(low.repeat_interleave(side // 2, 2).repeat_interleave(side // 2, 3), ["a"] * n)


def test_they_are_those_of_the_whole_covariance():
    whole, part = Moments.of(data(), "cpu"), principal(data(), "cpu")
    torch.testing.assert_close(part.mean, whole.mean)
    torch.testing.assert_close(part.var[:12], whole.var[:12], rtol=1e-3, atol=1e-3)
    overlap = (part.basis[:12] @ whole.basis[:12].mT).square().sum()
    assert float(overlap) == pytest.approx(12, abs=1e-2)
    torch.testing.assert_close(part.basis @ part.basis.mT, torch.eye(len(part.basis)), rtol=0, atol=1e-4)


def test_a_second_law_is_that_of_the_reconstructions():
    pictures = data()
    judge = DecodedJudge(pictures, principal(pictures, "cpu"), None, {}, "cpu")
    dim = pictures.x_0() * 0.5
    first = judge.distances(dim)
    assert RECONSTRUCTED not in first and next(iter(first.values())).value > 1
    judge.compare_to(list(dim.split(16)))
    again = judge.distances(dim)
    assert again[RECONSTRUCTED].value == pytest.approx(0, abs=1e-6)
    assert {name: again[name].value for name in first} == {name: one.value for name, one in first.items()}


def test_the_classifier_sees_small_pictures():
    for side in (128, 64):
        images = torch.rand(2, 3, side, side)
        seen, part = of_small_pictures(lambda x: x)(images), side // 32
        assert seen.shape == (2, 3, 32, 32)
        torch.testing.assert_close(seen[:, :, 0, 0], images[:, :, :part, :part].mean(dim=(2, 3)))
